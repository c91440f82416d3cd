"""Files and folders wherever they lie: a local path, or a bucket behind ``s3://`` or ``gs://``; all of it through ``pyarrow.fs``.

A ``Place`` is what ``Path`` is for local files, with the few operations that every store has. What is put appears whole or not
at all: objects of a bucket do so by themselves, a local file is written beside its place, synced, and renamed.
"""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
from pyarrow import fs

from space_data.errors import SpaceError
from space_data.files import check_length, make_folder

SCHEMES = ("s3", "gs")
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, order=True)
class Place:
    """A file or folder. ``uri``: a path, or ``s3://bucket/key?endpoint_override=...`` (the options of Arrow's file system)."""

    uri: str

    @staticmethod
    def of(path: "Place | Path | str") -> "Place":
        """``path`` as a place."""
        return path if isinstance(path, Place) else Place(str(path))

    @property
    def _address(self) -> tuple[str, str]:
        """The URI before and after its options."""
        path, _, options = self.uri.partition("?") if self.is_remote else (self.uri, "", "")
        return path, options

    @property
    def is_remote(self) -> bool:
        """Whether it lies in a bucket."""
        return self.uri.partition("://")[0] in SCHEMES

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self._address[0]).name

    @property
    def parent(self) -> "Place":
        """The folder that it lies in."""
        path, options = self._address
        if not self.is_remote:
            return Place(str(Path(path).parent))
        return Place(path.rstrip("/").rpartition("/")[0] + (f"?{options}" if options else ""))

    def __truediv__(self, below: str) -> "Place":
        path, options = self._address
        if not self.is_remote:
            return Place(str(Path(path) / below))
        return Place(f"{path.rstrip('/')}/{below}" + (f"?{options}" if options else ""))

    def __str__(self) -> str:
        return self._address[0]

    def local(self) -> Path:
        """The path of a local one.

        Raises:
            SpaceError: it lies in a bucket.
        """
        if self.is_remote:
            raise SpaceError(f"{self}: lies in a bucket, need a local folder")
        return Path(self.uri)

    @property
    def filesystem(self) -> fs.FileSystem:
        """Arrow's file system, for ``pyarrow.parquet``; ``path`` is the path in it."""
        path, options = self._address
        return _filesystem(urlsplit(path).scheme if self.is_remote else "", options)

    @property
    def path(self) -> str:
        """Path within ``filesystem``."""
        path = self._address[0]
        return path.partition("://")[2] if self.is_remote else path

    def info(self) -> fs.FileInfo:
        """What there is: type, size, time of change."""
        try:
            return self.filesystem.get_file_info(self.path)
        except OSError as error:
            error.filename = error.filename or str(self)  # Arrow does not say which
            raise

    def is_file(self) -> bool:
        """Whether there is a file."""
        return self.info().is_file

    def read(self) -> bytes:
        """The whole content.

        Raises:
            OSError: it cannot be read.
        """
        with self.filesystem.open_input_stream(self.path) as stream:
            return stream.read()

    def open(self) -> pa.NativeFile:
        """The content, for reading here and there."""
        return self.filesystem.open_input_file(self.path)

    def put(self, content: bytes | Path) -> None:
        """Write bytes, or a local file's, whole or not at all.

        Raises:
            OSError: the disk is full, the store is away.
            SpaceError: the folder cannot be written, or the name is too long.
        """
        if self.is_remote:
            with self.filesystem.open_output_stream(self.path) as out:
                for block in _blocks(content):
                    out.write(block)
            return
        path = Path(self.uri)
        make_folder(path.parent)
        check_length(path)
        part = path.with_name(f".{uuid.uuid4().hex}.part")
        try:
            with part.open("wb") as file:
                for block in _blocks(content):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
            _sync_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)

    def touch(self) -> None:
        """Note that a local file is in use; objects in a bucket keep the time at which they were put."""
        if not self.is_remote:
            with contextlib.suppress(OSError):
                os.utime(self.uri)

    def files(self, suffix: str = "", below: bool = False) -> list["Place"]:
        """The files in this folder whose names end in ``suffix``, sorted; with ``below`` those of its folders, too.

        Half-written ones (whose names begin with a dot) are left out, and there are none in a folder that does not exist.
        """
        chosen = fs.FileSelector(self.path, recursive=below, allow_not_found=True)
        root = self.path.rstrip("/")
        found = [info.path[len(root) + 1 :] for info in self.filesystem.get_file_info(chosen) if info.is_file]
        return [self / path for path in sorted(found) if path.endswith(suffix) and not PurePosixPath(path).name.startswith(".")]

    def delete(self) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_file(self.path)

    def sha256(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        digest = hashlib.sha256()
        with self.filesystem.open_input_stream(self.path) as stream:
            while block := stream.read(BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()


@lru_cache
def _filesystem(scheme: str, options: str) -> fs.FileSystem:
    if not scheme:
        return fs.LocalFileSystem()
    chosen = dict(parse_qsl(options))
    kind = {"s3": "S3FileSystem", "gs": "GcsFileSystem"}[scheme]
    try:
        return getattr(fs, kind)(**chosen)
    except (TypeError, AttributeError) as error:
        raise SpaceError(f"{scheme}://...?{options}: {error} (the options are those of pyarrow.fs.{kind})") from error


def _blocks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself outlast a power cut, where the file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot sync a folder
            os.fsync(handle)
    finally:
        os.close(handle)
