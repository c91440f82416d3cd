"""Videos are signed with Content Credentials, and what cannot sign is refused before the work; certificates are made here."""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pipelines.options import asked_credentials
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.media.encode import write_video
from space_data.media.video import decode_video
from space_models import provenance
from space_models.provenance import GENERATED, TRACKS_LABEL, Credentials

NEEDS_C2PA = "c2pa-python is not installed (the extra 'c2pa')"
ROOT = Path(__file__).resolve().parents[2]


def made_certificate(subject: str, key, issuer_key, is_issuer: bool, days: int) -> str:
    """PEM of a certificate of ``key``, signed by ``issuer_key``."""
    names = [x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]) for name in (subject, "A made-up authority")]
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    builder = (
        x509.CertificateBuilder(names[1], names[0], key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(is_issuer, None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_issuer, key_cert_sign=is_issuer, crl_sign=is_issuer, **usage), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_issuer:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make_pair(tmp_path, "good", ec.generate_private_key(ec.SECP256R1()))


def make_pair(folder: Path, name: str, key, days: int = 30) -> Pair:
    """A key, and its certificate with the one that issued it."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = made_certificate("A made-up authority", root_key, root_key, True, 30)
    pair = Pair(folder / f"{name}-chain.pem", folder / f"{name}-key.pem")
    pair.certificate.write_text(made_certificate("A made-up studio", key, root_key, False, days) + root)
    plain = serialization.NoEncryption()
    pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return pair


@pytest.mark.parametrize("kind", ["es256", "es384", "ps256"])
def test_a_signed_video_says_that_it_is_generated_and_from_which_tracks(kind: str, tmp_path: Path) -> None:
    c2pa = pytest.importorskip("c2pa", reason=NEEDS_C2PA)
    keys = {
        "es256": lambda: ec.generate_private_key(ec.SECP256R1()), "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "ps256": lambda: rsa.generate_private_key(65537, 2048),
    }  # fmt: skip
    pair, video = make_pair(tmp_path, kind, keys[kind]()), tmp_path / "a.mp4"
    write_video(video, [np.full((64, 64, 3), 9 * i, np.uint8) for i in range(10)], audio=np.zeros(6400, np.float32))
    before = [frame.rgb for frame in decode_video(video)]
    credentials = Credentials.load(pair.certificate, pair.key)
    assert credentials.algorithm == kind
    credentials.sign(video, "A made-up video", "ab" * 32)
    assert all(np.array_equal(a, b.rgb) for a, b in zip(before, decode_video(video), strict=True))
    with c2pa.Reader(str(video)) as reader:
        state, told = reader.get_validation_state(), json.loads(reader.json())
    manifest = told["manifests"][told["active_manifest"]]
    said = {assertion["label"]: assertion["data"] for assertion in manifest["assertions"]}
    [action] = said["c2pa.actions.v2"]["actions"]
    assert state == "Valid" and manifest["title"] == "A made-up video"
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", GENERATED)
    assert action["softwareAgent"]["name"] == "open-space" and action["softwareAgent"]["version"]
    assert said[TRACKS_LABEL] == {"alg": "sha256", "hash": "ab" * 32}
    content = bytearray(video.read_bytes())
    at = content.index(b"mdat") + 100
    content[at] ^= 1
    video.write_bytes(content)
    with c2pa.Reader(str(video)) as reader:
        assert reader.get_validation_state() == "Invalid", "a changed picture shows"


def test_what_cannot_sign_is_refused_in_one_line(pair: Pair, tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason=NEEDS_C2PA)
    (tmp_path / "text").write_text("no PEM\n")
    other = make_pair(tmp_path, "other", ec.generate_private_key(ec.SECP256R1()))
    old = make_pair(tmp_path, "old", ec.generate_private_key(ec.SECP256R1()), days=-1)
    odd = make_pair(tmp_path, "odd", ec.generate_private_key(ec.SECP256K1()))
    for certificate, key, words in (
        (tmp_path / "none.pem", pair.key, "none.pem: no such file"), (tmp_path / "text", pair.key, "text: no certificate in it"),
        (pair.certificate, tmp_path / "text", "text: no private key"), (pair.certificate, other.key, "not the key of the first"),
        (old.certificate, old.key, "old-chain.pem: expired on"), (odd.certificate, odd.key, "a kind of key"),
        (pair.certificate, None, "need both or neither"), (None, pair.key, "need both or neither"),
    ):  # fmt: skip
        with pytest.raises(SpaceError, match=words):
            asked_credentials(certificate, key)
    assert asked_credentials(None, None) is None


def test_what_the_library_refuses_leaves_no_video(pair: Pair, tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason=NEEDS_C2PA)
    video = tmp_path / "a.mp4"
    video.write_bytes(b"no video at all" * 99)
    with pytest.raises(SpaceError, match=r"a.mp4: could not be signed"):
        Credentials.load(pair.certificate, pair.key).sign(video, "", "00")
    assert not list(tmp_path.glob("*.mp4*")) and not list(tmp_path.glob(".*"))


def test_an_interrupted_signing_leaves_no_video_either(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    c2pa = pytest.importorskip("c2pa", reason=NEEDS_C2PA)
    video = tmp_path / "a.mp4"
    write_video(video, [np.zeros((64, 64, 3), np.uint8)] * 5)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(c2pa.Builder, "sign_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Credentials.load(pair.certificate, pair.key).sign(video, "", "00")
    assert not list(tmp_path.glob("*.mp4*")) and not list(tmp_path.glob(".*"))


def test_without_the_library_one_line_says_what_to_install(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "find_spec", lambda name: None)
    before = sha256_of(pair.certificate)
    with pytest.raises(SpaceError, match="pip install c2pa-python"):
        Credentials.load(pair.certificate, pair.key)
    assert sha256_of(pair.certificate) == before


def test_only_signing_needs_the_library() -> None:
    code = "import sys, pipelines.cli, space_models.animate; assert not {'c2pa', 'cryptography'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
