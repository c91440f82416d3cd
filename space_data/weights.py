"""Published weights: declared in ``assets/weights.yaml``, verified before every use, fetched only on request.

Command: ``python -m space_data.weights inception-2015-12-05 --folder models/weights``
"""

import argparse
import logging
import sys
import time
import urllib.request
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from space_data import progress
from space_data.errors import SpaceError
from space_data.files import atomic_file, sha256_of

INCEPTION = "inception-2015-12-05"
SYNCNET = "syncnet-v2"
S3FD, FAN_3D, FAN_DEPTH = "face-alignment-s3fd", "face-alignment-3dfan4", "face-alignment-depth"
CHUNK_BYTES = 1 << 20
SHA256_DIGITS = 64
SILENT_S, LONGEST_S = 30.0, 3600.0
"""A server that says nothing for so long, or has not said all after so long, is given up."""
MOST_BYTES = 1 << 30
"""Of a file whose size is not declared."""

logger = logging.getLogger(__name__)


class Declaration(BaseModel):
    """One entry of ``weights.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    url: str
    bytes: int | None
    """None: the publisher does not say"""
    sha256: str
    """64 hexadecimal digits, or the leading ones (at least 10) that the publisher put into the file's name: then the whole is
    vouched for by nobody, which ``verify`` says; such files are opened as tensors only, never as pickles"""
    licence: str
    used_for: str


def declared() -> dict[str, Declaration]:
    """All declared weights by name."""
    text = (files("space_data") / "assets" / "weights.yaml").read_text()
    return {name: Declaration.model_validate(entry) for name, entry in yaml.safe_load(text).items()}


def declaration(name: str) -> Declaration:
    """The entry called ``name``; SpaceError lists the known names."""
    known = declared()
    if name not in known:
        raise SpaceError(f"weights {name!r}: not declared, need one of {', '.join(known)}")
    return known[name]


def find(name: str, folder: Path) -> Path | None:
    """Path of verified weights in ``folder``, or None when the file is absent.

    Raises:
        SpaceError: a file of that name is there but is not the declared one.
    """
    path = folder / declaration(name).file
    if not path.is_file():
        return None
    verify(name, path)
    return path


def verify(name: str, path: Path) -> None:
    """Raise SpaceError unless size and SHA-256 of ``path`` are those declared for ``name``; log what cannot be verified."""
    wanted = declaration(name)
    size = path.stat().st_size
    if wanted.bytes is not None and size != wanted.bytes:
        raise SpaceError(f"{path}: {size} bytes, weights {name} have {wanted.bytes} (download broken off, or an error page?)")
    found = sha256_of(path)
    if not found.startswith(wanted.sha256):
        raise SpaceError(f"{path}: SHA-256 {found}, weights {name} have {wanted.sha256} (another file of that name)")
    if len(wanted.sha256) < SHA256_DIGITS:
        _tell_what_is_not_verified(name, len(wanted.sha256))


@cache
def _tell_what_is_not_verified(name: str, digits: int) -> None:
    """Once per process."""
    logger.warning(
        "weights %s: not verified in full: only the first %d of %d digits of the SHA-256 are published (they agree)",
        name, digits, SHA256_DIGITS,
    )  # fmt: skip


def absence(name: str, folder: Path) -> str:
    """One line for people: which weights are missing, what for, and what to do."""
    wanted = declaration(name)
    return (
        f"weights {name} ({wanted.used_for}) are not in {folder}: run `python -m space_data.weights {name} --folder {folder}` "
        f"or put {wanted.file} there"
    )


def fetch(name: str, folder: Path) -> Path:
    """Download, verify and keep weights; returns their path. Nothing is left behind if they are not the declared ones.

    Raises:
        SpaceError: they cannot be had within ``LONGEST_S``, are longer than declared, or are others.
    """
    wanted = declaration(name)
    path = folder / wanted.file
    if find(name, folder) is not None:
        return path
    with atomic_file(path) as part:
        try:
            _download(name, wanted, part)
        except OSError as error:  # urllib's errors are among them
            raise SpaceError(f"weights {name}: {wanted.url} cannot be fetched ({error}); put the file into {folder}") from error
        verify(name, part)
    return path


def _download(name: str, wanted: Declaration, part: Path) -> None:
    """Write what the declared address gives to ``part``; ``OSError`` where it does not within the limits."""
    most, until_s = wanted.bytes or MOST_BYTES, time.monotonic() + LONGEST_S
    with (
        urllib.request.urlopen(wanted.url, timeout=SILENT_S) as answer,
        part.open("wb") as file,
        progress.bar(name, wanted.bytes) as advance,
    ):
        while chunk := answer.read1(CHUNK_BYTES):  # not ``read``, which waits for all of a trickle
            file.write(chunk)
            advance(len(chunk))
            if file.tell() > most:
                raise OSError(f"more than the {most:,} bytes that there should be")
            if time.monotonic() > until_s:
                raise TimeoutError(f"only {file.tell():,} bytes in {LONGEST_S:.0f} s")


def main(argv: list[str] | None = None) -> None:
    """Fetch weights by name."""
    parser = argparse.ArgumentParser(prog="python -m space_data.weights", description=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted(declared()), metavar="NAME", help=", ".join(sorted(declared())))
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(argv)
    progress.setup()
    try:
        for name in options.names:
            print(fetch(name, options.folder))
    except SpaceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
