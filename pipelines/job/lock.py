"""One run at a time in an output folder. The kernel holds the lock, so that one of a dead run holds nothing back."""

import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from space_data.errors import SpaceError
from space_data.files import make_folder

LOCK_FILE = "lock"
_held: set[Path] = set()


@contextmanager
def one_run_in(cache: Path) -> Iterator[None]:
    """Hold the lock of the run that ``cache`` belongs to; a run may take its own again.

    Raises:
        SpaceError: another run holds it; says which.
    """
    place = cache.resolve()
    if place in _held:
        yield
        return
    make_folder(cache)
    with (cache / LOCK_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise SpaceError(
                f"{cache.parent}: another run is at work there ({file.read().strip() or 'just started'}); "
                "wait for it, end it, or choose another output folder"
            ) from None
        file.truncate(0)
        file.write(f"host {socket.gethostname()}, process {os.getpid()}: {' '.join(sys.argv)[:200]}\n")
        file.flush()
        _held.add(place)
        try:
            yield
        finally:
            _held.discard(place)
            file.truncate(0)
