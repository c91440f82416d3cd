"""Files and folders wherever they lie: a local path, or a bucket behind ``s3://`` or ``gs://``; all of it through ``pyarrow.fs``.

A ``Place`` is what ``Path`` is for local files, with the few operations that every store has. What is put appears whole or not
at all: objects of a bucket do so by themselves, a local file is written beside its place, synced, and renamed. A local place can
be given wherever a path is wanted (it has ``__fspath__``); one in a bucket then says that a local one is needed. What only reads
local files, as codecs do, gets a ``local_file``.
"""

import atexit
import contextlib
import dataclasses
import datetime
import errno
import hashlib
import os
import re
import shutil
import tempfile
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qsl, urlsplit

from pyarrow import fs

from space_data.errors import SpaceError
from space_data.files import atomic_file, check_length, make_folder, own_folder, own_folder_name, remove_dead

SCHEMES = ("s3", "gs")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
BLOCK_BYTES = 1 << 20
PARTED_LEVELS, MOST_BRANCHES = 2, 16
"""A tree is listed in parts where a folder of its first levels holds so few folders: each part is a request more."""
SAID_BY_STORES = ("AWS Error ", "google::cloud::Status")
"""What Arrow's errors of a bucket say of themselves, also of a network that is down: numbers they have none."""
GS_RETRY_S = 30.0
"""So long Arrow asks a ``gs://`` store again that does not answer; its own limit is a quarter of an hour without a word."""
COPIES = 4
"""Local copies that a process keeps: video and sound of the clip at hand and of the one before."""


@dataclass(frozen=True, order=True)
class Place:
    """A file or folder.

    ``uri``: an absolute path, or ``s3://bucket/key?endpoint_override=...`` with the options of Arrow's file system; in a key
    a question mark is ``%3F`` there, and a per cent sign ``%25``.
    """

    uri: str

    @staticmethod
    def of(path: "Place | Path | str") -> "Place":
        """``path`` as a place; a relative one is made absolute, so that it is the same for workers in other folders.

        Raises:
            SpaceError: it is an address of another kind, which would become a local folder of that name.
        """
        if isinstance(path, Place):
            return path
        place = Place(str(path))
        if place.is_remote:
            return place
        if ADDRESS.match(place.uri):
            raise SpaceError(f"{place.uri}: not a known kind of store, need {' or '.join(f'{s}://' for s in SCHEMES)} or a path")
        return Place(os.path.abspath(place.uri))

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
    def _key(self) -> str:
        """The URI without options, as its parts are called."""
        path = self._address[0]
        return path.replace("%3F", "?").replace("%25", "%") if self.is_remote else path

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self._key).name

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
        key = below.replace("%", "%25").replace("?", "%3F")
        return Place(f"{path.rstrip('/')}/{key}" + (f"?{options}" if options else ""))

    def __str__(self) -> str:
        """For messages: without options; a local one as seen from the working folder, if it lies below."""
        return self._key if self.is_remote else self.uri.removeprefix(f"{os.getcwd()}/")

    def local(self) -> Path:
        """The path of a local one.

        Raises:
            SpaceError: it lies in a bucket.
        """
        if self.is_remote:
            raise SpaceError(f"{self}: lies in a bucket, need a local folder")
        return Path(self.uri)

    def __fspath__(self) -> str:
        return str(self.local())

    @property
    def filesystem(self) -> fs.FileSystem:
        """Arrow's file system, for ``pyarrow.parquet``; ``path`` is the path in it."""
        path, options = self._address
        scheme = urlsplit(path).scheme if self.is_remote else ""
        return _filesystem(scheme, options, os.environ.get("AWS_ENDPOINT_URL", "") if scheme == "s3" else "")

    @property
    def path(self) -> str:
        """Path within ``filesystem``."""
        return self._key.partition("://")[2] if self.is_remote else self.uri

    @contextlib.contextmanager
    def _named(self) -> Iterator[fs.FileSystem]:
        """The file system; its errors get the file's name and, where the network gave none, a number: Arrow says neither."""
        try:
            yield self.filesystem
        except OSError as error:
            words = in_a_line(error)
            if error.errno is None:
                raise OSError(errno.EREMOTEIO if self.is_remote else errno.EIO, words, str(self)) from error
            error.filename, error.strerror = error.filename or str(self), words
            raise

    def info(self) -> fs.FileInfo:
        """What there is: type, size, time of change."""
        with self._named() as files:
            return files.get_file_info(self.path)

    def size(self) -> int:
        """Size in bytes.

        Raises:
            OSError: there is no file.
        """
        if not self.is_remote:
            return os.stat(self.uri).st_size
        info = self.info()
        if not info.is_file:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return info.size

    def is_file(self) -> bool:
        """Whether there is a file."""
        return self.info().is_file

    def is_empty(self) -> bool:
        """Whether nothing lies in this folder, or there is none."""
        with self._named() as files:
            return not files.get_file_info(fs.FileSelector(self.path, recursive=not _lists_folders(files), allow_not_found=True))

    def resolved(self) -> str:
        """Its path with links followed, to compare it with others, and for what the names of folders say."""
        return self._key if self.is_remote else os.path.realpath(self.uri)

    def is_folder(self) -> bool:
        """Whether there is a folder; in a bucket: anything below that name."""
        return self.info().type == fs.FileType.Directory

    def read(self, at_most_bytes: int | None = None) -> bytes:
        """The content, or its beginning.

        Raises:
            OSError: it cannot be read.
        """
        if not self.is_remote:
            with open(self.uri, "rb", buffering=0) as file:
                return file.read(-1 if at_most_bytes is None else at_most_bytes)
        with self._named() as files, files.open_input_stream(self.path) as stream:
            return stream.read(at_most_bytes)

    def open(self) -> BinaryIO:
        """The content, for reading here and there."""
        if not self.is_remote:
            return open(self.uri, "rb")
        with self._named() as files:
            return files.open_input_file(self.path)

    def put(self, content: bytes | Path) -> None:
        """Write bytes, or a local file's, whole or not at all.

        Raises:
            OSError: the disk is full, the store is away.
            SpaceError: the folder cannot be written, or the name is too long.
        """
        if self.is_remote:
            if threading.current_thread() is not threading.main_thread():
                self._upload(content)
            else:  # Ctrl-C and SIGTERM come here, and wait: Arrow ends an upload that breaks off as if it were whole
                with ThreadPoolExecutor(1) as beside:
                    beside.submit(self._upload, content).result()
            return
        path = Path(self.uri)
        make_folder(path.parent)
        check_length(path)
        part = path.with_name(f".{uuid.uuid4().hex}.part")
        try:
            with self._named():
                with part.open("wb") as file:
                    for block in _blocks(content):
                        file.write(block)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(part, path)
                _sync_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)

    def _upload(self, content: bytes | Path) -> None:
        with self._named() as files, files.open_output_stream(self.path) as out:
            for block in _blocks(content):
                out.write(block)

    def touch(self) -> None:
        """Note that a local file is in use; objects in a bucket keep the time at which they were put."""
        if not self.is_remote:
            with contextlib.suppress(OSError):
                os.utime(self.uri)

    def mark_changed(self) -> None:
        """Give the file the present as its time of change; in a bucket only a new object has one, so its bytes are put again."""
        if self.is_remote:
            self.put(self.read())
        else:
            self.touch()

    def files(self, suffix: str = "", below: bool = False) -> list["Place"]:
        """The files in this folder whose names end in ``suffix``, sorted; with ``below`` those of its folders, too.

        Half-written ones (whose names begin with a dot) are left out, and there are none in a folder that does not exist.
        """
        return [self / name for name in self.names(below) if name.endswith(suffix)]

    def names(self, below: bool = False) -> list[str]:
        """The names of the same files, relative to this folder: of millions they take a quarter of the room of ``files``."""
        root = self.path.rstrip("/")
        with self._named() as files:
            found = [path[len(root) + 1 :] for path in _paths_in(files, self.path, PARTED_LEVELS if below else -1)]
        return sorted(name for name in found if not name.rpartition("/")[2].startswith("."))

    def delete(self) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError), self._named() as files:
            files.delete_file(self.path)

    def sha256(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        digest = hashlib.sha256()
        with self._named() as files, files.open_input_stream(self.path) as stream:
            while block := stream.read(BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()

    def download(self, target: Path) -> None:
        """Copy the content to a local file.

        Raises:
            OSError: it cannot be read, or written.
        """
        with self._named() as files, files.open_input_stream(self.path) as stream, target.open("wb") as file:
            while block := stream.read(BLOCK_BYTES):
                file.write(block)


def in_a_line(error: OSError) -> str:
    """What an error of Arrow's says; Google's client adds pages."""
    return " ".join(str(error.strerror or error).partition(" error_info=")[0].split())


@contextlib.contextmanager
def written(path: Place | Path | str) -> Iterator[Path]:
    """``with written(path) as part: ...`` hands out a local file that becomes ``path`` if the block ends well.

    Raises:
        SpaceError: a local one cannot be written.
        OSError: the store does not take it.
    """
    place = Place.of(path)
    if not place.is_remote:
        with atomic_file(place) as part:
            yield part
        return
    with tempfile.TemporaryDirectory(prefix="space-written-") as folder:
        part = Path(folder) / place.name
        yield part
        place.put(part)


Row = TypeVar("Row")


def located(row: Row, root: Place, *fields: str) -> Row:
    """``row`` with the paths in ``fields``, which tables hold relative to ``root``, as URIs.

    Those that are whole already, since they lie elsewhere, and empty ones stay as they are.

    Raises:
        SpaceError: a path is whole though it lies below ``root``: once the corpus has been moved it would point nowhere.
    """
    paths = {name: getattr(row, name) for name in fields}
    for name, path in paths.items():
        if (os.path.isabs(path) or Place(path).is_remote) and (relative := below(path, root)) != path:
            raise SpaceError(f"{name} {path}: a whole path in a table, need {relative}, relative to {root}")
    whole = {name: (root / path).uri for name, path in paths.items() if path and not Place(path).is_remote}
    return dataclasses.replace(row, **whole)  # type: ignore[type-var]


def below(uri: str, root: Place) -> str:
    """``uri`` as tables hold it: relative to ``root`` if it lies there."""
    path, top = Place(uri)._key, root._key.rstrip("/") + "/"
    return path.removeprefix(top) if path.startswith(top) else uri


@dataclass(frozen=True)
class LocalFile(os.PathLike[str]):
    """A file to open. In words it is its bare name: what is said of it in a table must not depend on where it lies."""

    path: str
    name: str

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.name


_copies: OrderedDict[str, Path] = OrderedDict()


def local_file(uri: str) -> LocalFile:
    """The file at ``uri`` as one to open, for what reads local files only.

    Of one in a bucket it is a copy on this machine, of which the last ``COPIES`` are kept.

    Raises:
        OSError: it cannot be read, or there is no room for the copy.
    """
    place = Place(uri)
    return LocalFile(str(_copy(place) if place.is_remote else uri), place.name)


def _copy(place: Place) -> Path:
    uri = place.uri
    if uri not in _copies:
        while len(_copies) >= COPIES:
            _copies.popitem(last=False)[1].unlink(missing_ok=True)
        folder = own_folder(_copies_root())
        target = folder / f"{uuid.uuid4().hex}{PurePosixPath(place.path).suffix}"
        try:
            place.download(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        _copies[uri] = target
    _copies.move_to_end(uri)
    return _copies[uri]


def _copies_root() -> Path:
    return Path(tempfile.gettempdir()) / "space-copies"


@atexit.register
def forget_copies() -> None:
    """Remove the local copies of this process and of dead ones: what is asked for again is read from the store again."""
    _copies.clear()
    shutil.rmtree(own_folder_name(_copies_root()), ignore_errors=True)
    remove_dead(_copies_root())


@lru_cache
def _filesystem(scheme: str, options: str, endpoint: str) -> fs.FileSystem:
    if not scheme:
        return fs.LocalFileSystem()
    chosen: dict[str, Any] = {name: {"true": True, "false": False}.get(value, value) for name, value in parse_qsl(options)}
    if endpoint and "endpoint_override" not in chosen:
        chosen["endpoint_override"] = endpoint  # as Amazon's own tools do
    kind = {"s3": "S3FileSystem", "gs": "GcsFileSystem"}[scheme]
    try:
        if scheme == "gs":
            chosen["retry_time_limit"] = datetime.timedelta(seconds=float(chosen.get("retry_time_limit", GS_RETRY_S)))
        return getattr(fs, kind)(**chosen)
    except (TypeError, ValueError, AttributeError) as error:
        raise SpaceError(f"{scheme}://...?{options}: {error} (the options are those of pyarrow.fs.{kind})") from error


def _lists_folders(files: fs.FileSystem) -> bool:
    """Whether a listing of one folder names the folders in it: Arrow's of ``gs://`` names objects alone."""
    return files.type_name != "gcs"


def _paths_in(files: fs.FileSystem, folder: str, levels: int) -> Iterator[str]:
    """Paths of the files in ``folder`` and below it; with ``levels`` < 0 not below.

    What Arrow says of a file takes 250 bytes, until a listing is through. So a tree of a few large branches is listed branch by
    branch, where they part within the first ``levels``.
    """
    at_once = levels >= 0 and not _lists_folders(files)
    found = files.get_file_info(fs.FileSelector(folder, recursive=at_once, allow_not_found=True))
    folders = [info.path for info in found if info.type == fs.FileType.Directory] if levels >= 0 and not at_once else []
    if folders and (levels == 0 or len(folders) > MOST_BRANCHES):
        found, folders = files.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True)), []
    while found:
        info = found.pop()
        if info.is_file:
            yield info.path
    for each in folders:
        yield from _paths_in(files, each, levels - 1)


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
