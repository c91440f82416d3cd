"""Files of a test, declared as published weights."""

from pathlib import Path
from typing import Literal

from space_data.files import sha256_of
from space_data.weights import Declaration, WeightsFile


def declared_file(source: Path, file: str | None = None, digits: int = 64, url: str | None = None) -> WeightsFile:
    """``source`` as a published file; ``digits`` of its hash are known, and its size if all are."""
    size = source.stat().st_size if digits == 64 else None
    return WeightsFile(file=file or source.name, url=url or source.as_uri(), bytes=size, sha256=sha256_of(source)[:digits])


def declared_as(*files: WeightsFile, need: Literal["one", "all"] = "all") -> Declaration:
    """An entry of the table."""
    return Declaration(licence="none", used_for="tests", need=need, files=files)
