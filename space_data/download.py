"""Downloads that can be resumed, end some time, and never leave a file that was not checked."""

import fcntl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO

from space_data import progress
from space_data.errors import SpaceError
from space_data.files import fitting_name, make_folder

CHUNK_BYTES = 1 << 20
SILENT_S, LONGEST_S = 30.0, 3600.0
"""A server that says nothing for so long, or has not said all after so long, is given up."""
MOST_BYTES = 1 << 30
"""Of a file whose size is not known."""
PARTIAL_CONTENT, NOT_SATISFIABLE = 206, 416


def download(url: str, path: Path, n_bytes: int | None, title: str, check: Callable[[Path], Any]) -> None:
    """Bring ``url`` to ``path``. What has come of it stays in a hidden file beside it when the connection breaks off.

    Args:
        url: an address.
        path: where the whole, checked file appears in one step.
        n_bytes: its size, if that is known.
        title: for the bar.
        check: raises SpaceError if a file is not the right one; what it has refused is deleted.

    Raises:
        SpaceError: it cannot be had within the limits, is longer than it should be, is refused by ``check``, or another process
            is fetching it.
    """
    make_folder(path.parent)
    part = path.with_name(fitting_name(f".{path.name}", ".download"))
    with _locked(part) as file:
        try:
            _receive(url, file, n_bytes, title)
        except (OSError, HTTPException) as error:  # urllib's errors are among the first
            here = f"; {file.tell():,} bytes are kept, the same command goes on from there" if file.tell() else ""
            raise SpaceError(f"{url} cannot be fetched ({error}); put the file into {path.parent}{here}") from error
        except _TooLongError as error:
            part.unlink()
            raise SpaceError(f"{url} cannot be fetched ({error}); put the file into {path.parent}") from error
        file.flush()
        try:
            check(part)
        except SpaceError:
            part.unlink()
            raise
        part.replace(path)


class _TooLongError(Exception):
    """More has come than there should be: what is there is not the file."""


@contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """The partial file, open at its end, for this process alone."""
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SpaceError(f"{part}: another process is fetching it (wait for that one)") from error
        try:
            yield file
        finally:
            if part.exists() and not file.tell():
                part.unlink()


def _receive(url: str, file: BinaryIO, n_bytes: int | None, title: str) -> None:
    """Append what is still missing; from the start where the server cannot go on in the middle."""
    most, until_s = n_bytes or MOST_BYTES, time.monotonic() + LONGEST_S
    begin = file.tell()
    if n_bytes is not None and begin >= n_bytes:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={begin}-"} if begin else {})
    with _answer(request) as answer, progress.bar(title, n_bytes) as advance:
        if begin and getattr(answer, "status", None) != PARTIAL_CONTENT:
            file.seek(0)
            file.truncate()
            begin = 0
        advance(begin)
        while chunk := answer.read1(CHUNK_BYTES):  # not ``read``, which waits for all of a trickle
            file.write(chunk)
            advance(len(chunk))
            if file.tell() > most:
                raise _TooLongError(f"more than the {most:,} bytes that there should be")
            if time.monotonic() > until_s:
                raise TimeoutError(f"only {file.tell():,} bytes in {LONGEST_S:.0f} s")
        whole = n_bytes or file.tell() + (getattr(answer, "length", None) or 0)  # what the server had promised
        if file.tell() < whole:
            raise OSError(f"broke off after {file.tell():,} of {whole:,} bytes")


def _answer(request: urllib.request.Request) -> Any:
    """The server's answer; where it refuses to go on in the middle, that to a question for the whole."""
    try:
        return urllib.request.urlopen(request, timeout=SILENT_S)
    except urllib.error.HTTPError as error:
        if error.code != NOT_SATISFIABLE:
            raise
        return urllib.request.urlopen(request.full_url, timeout=SILENT_S)
