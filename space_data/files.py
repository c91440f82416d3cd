"""Names that fit, folders that can be written, files that appear whole: without codecs, so that training needs none."""

import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType

from space_data.errors import SpaceError

NAME_BYTES, PATH_BYTES = 255, 4095
"""What Linux takes: NAME_MAX of its usual file systems, and PATH_MAX without the final zero."""
STEM_BYTES = 1024
"""An id longer than this becomes one name, without folders: most of a path's room is the output folder's."""
HASH_CHARACTERS = 16
PART_BYTES = len("..4194304.part")
"""What a temporary name adds to a path; the number is the largest process id of Linux."""


def check_length(path: Path | str, below_bytes: int = 0) -> None:
    """See that ``path``, and names of ``below_bytes`` below it, are not too long for a file system.

    Raises:
        SpaceError: one of its names, or the whole, is.
    """
    name_bytes = max(len(_bytes(name)) for name in str(path).split("/"))
    path_bytes, most = len(_bytes(str(path))), PATH_BYTES - below_bytes
    if name_bytes > NAME_BYTES:
        raise SpaceError(f"{path}: has a name of {name_bytes} bytes, need at most {NAME_BYTES} (shorten it)")
    if path_bytes > most:
        raise SpaceError(f"{path}: path of {path_bytes} bytes, need at most {most} (shorten it, or give it relative to a folder)")


@contextmanager
def lengths_in_words() -> Iterator[None]:
    """Make a ``SpaceError`` of the system's refusal of a path that is too long, whoever met it: a caller may have given it."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        check_length(error.filename)
        raise SpaceError(f"{error.filename}: {len(_bytes(str(error.filename)))} bytes, too long for its file system") from error


def fitting_name(stem: str, suffix: str = "") -> str:
    """``stem + suffix``, in at most 255 bytes: a longer stem is cut between two characters and ends in a hash of all of it."""
    if len(_bytes(stem + suffix)) <= NAME_BYTES:
        return stem + suffix
    tail = f"-{_short_hash(stem)}{suffix}"
    return _bytes(stem)[: NAME_BYTES - len(_bytes(tail))].decode("utf-8", "ignore") + tail


def file_stems(ids: Iterable[str], *suffixes: str) -> dict[str, str]:
    """By id, the relative path of its files without their suffix, which is one of ``suffixes``; every name is a ``fitting_name``.

    A hash sign, which ends an address in a browser, becomes ``-s``. Where that, upper and lower case, Unicode's forms of one
    text, or a folder called like a file would let two ids meet on some file system, a hash of each id tells them apart.

    Raises:
        SpaceError: an id that leads elsewhere (``..``, or empty names as in ``/a``).
    """
    paths = {clip_id: clip_id.replace("#", "-s") for clip_id in ids}
    longest = max(suffixes, key=len)
    stems = {clip_id: _fitting_path(path, longest) for clip_id, path in paths.items()}
    keys = {clip_id: [_folded(f"{stem}{suffix}") for suffix in suffixes] for clip_id, stem in stems.items()}
    files = Counter(key for own in keys.values() for key in own)
    parents = {stem.rpartition("/")[0] for stem in stems.values()}
    folders = {_folded(str(folder)) for parent in parents for folder in PurePosixPath(f"{parent}/_").parents}
    for clip_id, path in paths.items():
        if any(files[key] > 1 or key in folders for key in keys[clip_id]):
            stems[clip_id] = _fitting_path(f"{path}-{_short_hash(clip_id)}", longest)
    return stems


def file_stem(clip_id: str, mark: str, *suffixes: str) -> str:
    """Relative path of the files of ``clip_id`` without their suffix, which is one of ``suffixes``; ends in ``mark``."""
    return _fitting_path(f"{clip_id.replace('#', '-s')}-{mark}", max(suffixes, key=len))


def _fitting_path(path: str, suffix: str) -> str:
    """``path``, each name a ``fitting_name``, the last with ``suffix``; one name if it is longer than ``STEM_BYTES``."""
    if not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise SpaceError(f"{path!r}: an id that leads out of the folder of its files")
    *parents, name = (path if len(_bytes(path)) <= STEM_BYTES else path.replace("/", "-")).split("/")
    return "/".join([*map(fitting_name, parents), fitting_name(name, suffix).removesuffix(suffix)])


def part_of(path: Path) -> Path:
    """The temporary sibling that becomes ``path``: no other process, and no other file, has the same one.

    Raises:
        SpaceError: ``path`` is too long.
    """
    check_length(path, PART_BYTES)
    return path.with_name(fitting_name(f".{path.name}", f".{os.getpid()}.part"))


def maker_of_part(path: Path) -> int | None:
    """Id of the process that made a ``part_of``; None of any other file."""
    found = re.fullmatch(r"\..*\.(\d+)\.part", path.name, re.DOTALL)
    return int(found[1]) if found else None


def _short_hash(text: str) -> str:
    return hashlib.sha256(_bytes(text)).hexdigest()[:HASH_CHARACTERS]


def _bytes(name: str) -> bytes:
    """As Linux stores it; bytes that are not UTF-8 come from it as lone surrogates."""
    return name.encode("utf-8", "surrogateescape")


def _folded(path: str) -> str:
    """Equal for paths that are one on a file system that ignores case and Unicode's forms."""
    return path.lower() if path.isascii() else unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def own_folder(root: Path) -> Path:
    """The folder of this process below ``root``, made if need be; those of dead processes of this machine are removed."""
    remove_dead(root)
    folder = own_folder_name(root)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def own_folder_name(root: Path) -> Path:
    """The path of ``own_folder``."""
    return root / f"{socket.gethostname()}-{os.getpid()}"


def remove_dead(root: Path) -> None:
    """Remove the ``own_folder`` of every dead process of this machine."""
    for old in root.glob(f"{socket.gethostname()}-*") if root.is_dir() else []:
        if not _alive(int(old.name.rpartition("-")[2])):
            shutil.rmtree(old, ignore_errors=True)


def _alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its parents.

    Raises:
        SpaceError: it cannot be created or written to, or is too long.
    """
    check_length(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SpaceError(f"{folder}: output folder cannot be written ({error.strerror})") from error


class atomic_file:
    """``with atomic_file(path) as part: ...`` hands out a temporary sibling that replaces ``path`` if the block ends well.

    Raises:
        SpaceError: ``path`` is too long or cannot be written.
    """

    def __init__(self, path: os.PathLike[str] | str) -> None:
        self.path = Path(path)
        self._part = part_of(self.path)
        make_folder(self.path.parent)

    def __enter__(self) -> Path:
        return self._part

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                os.replace(self._part, self.path)
        except OSError as failed:
            raise SpaceError(f"{self.path}: cannot be written ({failed.strerror})") from failed
        finally:
            self._part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise SpaceError(f"{self.path}: cannot be written ({error.strerror})") from error


def sha256_of(path: os.PathLike[str] | str) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
