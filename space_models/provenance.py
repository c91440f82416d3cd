"""Content Credentials (C2PA) in a generated video: that it is generated, by what, from which tracks, signed.

Written by the Content Authenticity Initiative's own library, the extra ``c2pa``. Nothing is asked of the network, so that there
is no time stamp of an authority: the signature is judged by the certificate's own time.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from space_data.errors import SpaceError
from space_data.files import atomic_file

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's digital source type: made by a model that has learnt from samples."""
TRACKS_LABEL = "org.open-space.tracks"
PRODUCT = "open-space"
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Credentials:
    """A certificate with those that issued it, and its private key, both PEM; checked when loaded."""

    chain: bytes
    key: bytes
    algorithm: str
    """by C2PA's name, e.g. ``es256``"""

    @staticmethod
    def load(certificate: Path, key: Path) -> "Credentials":
        """From files.

        Raises:
            SpaceError: the library is not installed; a file is missing, is no such thing, has expired or does not fit the other.
        """
        found = find_spec("c2pa")
        if found is None or found.origin is None:  # a folder of that name is no library
            raise SpaceError(
                "signing: needs c2pa-python, which is not installed (`pip install c2pa-python`, or the extra 'c2pa')"
            )
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        for path in (certificate, key):
            if not path.is_file():
                raise SpaceError(f"{path}: no such file, need a PEM file to sign with")
        chain, secret = certificate.read_bytes(), key.read_bytes()
        try:
            own = x509.load_pem_x509_certificates(chain)[0]
        except ValueError as error:
            raise SpaceError(
                f"{certificate}: no certificate in it, need PEM: the signer's first, then those that issued it"
            ) from error
        try:
            private = load_pem_private_key(secret, None)
        except (TypeError, ValueError) as error:
            raise SpaceError(f"{key}: no private key that can be read, need PEM without a pass phrase") from error
        if private.public_key() != own.public_key():
            raise SpaceError(f"{key}: not the key of the first certificate in {certificate}")
        if own.not_valid_after_utc < datetime.now(UTC):
            raise SpaceError(f"{certificate}: expired on {own.not_valid_after_utc:%Y-%m-%d}, need a valid certificate")
        return Credentials(chain, secret, _algorithm(private, key))

    def sign(self, video: Path, title: str, tracks_sha256: str) -> None:
        """Put a signed manifest into ``video``, an MP4; if that fails there is no video.

        Raises:
            SpaceError: the library refuses, e.g. a certificate whose purpose is another.
        """
        import c2pa

        manifest = {
            "claim_generator_info": [{"name": PRODUCT, "version": version(PRODUCT)}],
            "title": title,
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": [{
                    "action": "c2pa.created", "digitalSourceType": GENERATED,
                    "softwareAgent": {"name": PRODUCT, "version": version(PRODUCT)},
                }]}},
                {"label": TRACKS_LABEL, "data": {"alg": "sha256", "hash": tracks_sha256}},
            ],
        }  # fmt: skip
        try:
            with (
                atomic_file(video) as part,
                c2pa.Signer.from_info(c2pa.C2paSignerInfo(self.algorithm, self.chain, self.key, None)) as signer,
                c2pa.Builder(json.dumps(manifest)) as builder,
            ):
                builder.sign_file(video, part, signer)
        except BaseException as error:  # an unsigned file must not stand for a signed one
            video.unlink(missing_ok=True)
            if isinstance(error, c2pa.C2paError):
                raise SpaceError(f"{video}: could not be signed ({error})") from error
            raise


def _algorithm(private: object, path: Path) -> str:
    """C2PA's name for what a key signs with."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        return CURVES[private.curve.name]
    if isinstance(private, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise SpaceError(f"{path}: a kind of key that C2PA does not sign with, need ECDSA (P-256, P-384, P-521), RSA or Ed25519")
