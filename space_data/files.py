"""Folders that can be written, and files that appear whole: in a module without codecs, so that training needs none."""

import errno
import hashlib
import os
import tempfile
from pathlib import Path
from types import TracebackType

from space_data.errors import SpaceError


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its parents.

    Raises:
        SpaceError: it cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SpaceError(f"{folder}: output folder cannot be written ({error.strerror})") from error


class atomic_file:
    """``with atomic_file(path) as part: ...`` hands out a temporary sibling that replaces ``path`` if the block ends well."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        make_folder(self.path.parent)
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")

    def __enter__(self) -> Path:
        return self._part

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            os.replace(self._part, self.path)
            return
        self._part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise SpaceError(f"{self.path}: cannot be written ({error.strerror})") from error


def sha256_of(path: Path | str) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
