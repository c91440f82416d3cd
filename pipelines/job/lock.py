"""One run at a time in an output folder or bucket.

In a folder the kernel holds the lock, so that one of a dead run holds nothing back. A bucket has no locks: there the run keeps a
*lease*, an object that it puts again every ``RENEWED_S``; one that is older than ``STALE_S`` is of a dead run. A run that
slept so long may not be dead: before it commits, and before it renews its lease, it sees that the lease is still its own.
"""

import fcntl
import json
import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from space_data.errors import SpaceError
from space_data.files import make_folder
from space_data.store import Place

logger = logging.getLogger(__name__)

LOCK_FILE = "lock"
RENEWED_S, STALE_S = 20.0, 120.0
SETTLED_S = 1.0
"""So long after it was put a lease is read again: of two runs that began together the later one stays."""
StillHeld = Callable[[], None]
"""Raises SpaceError if another run has taken the place over meanwhile, and OSError if the store does not tell. To be called right
before a commit: what lies between the two (no store here puts an object on a condition) is milliseconds, not a night's sleep."""
_held: dict[str, StillHeld] = {}


@contextmanager
def one_run_in(cache: Place | Path) -> Iterator[StillHeld]:
    """Hold the lock of the run that ``cache`` belongs to; a run may take its own again.

    Raises:
        SpaceError: another run holds it; says which.
    """
    place = Place.of(cache)
    key = place.uri if place.is_remote else os.path.realpath(place)
    if key in _held:
        yield _held[key]
        return
    with _lease(place) if place.is_remote else _kernel_lock(place.local()) as still_held:
        _held[key] = still_held
        try:
            yield still_held
        finally:
            del _held[key]


def _who() -> str:
    return f"host {socket.gethostname()}, process {os.getpid()}: {' '.join(sys.argv)[:200]}"


def _refused(place: object, who: str) -> SpaceError:
    return SpaceError(f"{place}: another run is at work there ({who}); wait for it, end it, or choose another output folder")


@contextmanager
def _kernel_lock(cache: Path) -> Iterator[StillHeld]:
    make_folder(cache)
    try:
        opened = (cache / LOCK_FILE).open("a+b", buffering=0)
    except OSError as error:
        raise SpaceError(f"{cache / LOCK_FILE}: cannot be written ({error.strerror})") from error
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _refused(cache.parent, file.read().decode(errors="replace").strip() or "just started") from None
        file.truncate(0)
        with suppress(OSError):  # a full disk: the lock holds without words
            file.write(f"{_who()}\n".encode(errors="replace"))
        try:
            yield lambda: None  # the kernel gives it to nobody else
        finally:
            file.truncate(0)


def _age_s(place: Place) -> float:
    """How long ago an object was put, by the clock of the store: those of the machines may be anything."""
    now = place.parent / f".{uuid.uuid4().hex}"
    now.put(b"")
    put_ns, now_ns = place.info().mtime_ns, now.info().mtime_ns
    now.delete()
    return (now_ns - put_ns) / 1e9 if put_ns is not None else STALE_S  # gone meanwhile


@contextmanager
def _lease(cache: Place) -> Iterator[StillHeld]:
    """Raises SpaceError if another run has a lease that it still renews."""
    place, own, ended = cache / LOCK_FILE, uuid.uuid4().hex, threading.Event()

    def put() -> None:
        place.put(json.dumps({"id": own, "who": _who()}).encode())

    def there() -> dict[str, str]:
        """The lease that is in the store; empty: none."""
        try:
            return json.loads(place.read())
        except FileNotFoundError:
            return {}

    def see_that_it_is_free() -> None:
        lease = there()
        if lease and lease["id"] != own and _age_s(place) < STALE_S:
            raise _refused(cache.parent, lease["who"])

    def still_held() -> None:
        lease = there()
        if lease.get("id") != own:
            who = lease.get("who", "it has ended")
            raise SpaceError(
                f"{cache.parent}: another run took over ({who}), since this one had given no sign of life for {STALE_S:.0f} s; "
                "this one commits nothing: run it again once the other has ended"
            )

    def renew() -> None:
        while not ended.wait(RENEWED_S):
            try:
                still_held()
                put()
            except SpaceError as error:
                logger.warning("%s", error)
                return
            except OSError as error:  # the stages themselves wait for a store that is away, or give up
                logger.warning("%s: the lease cannot be renewed (%s)", place, error)

    see_that_it_is_free()
    put()
    time.sleep(SETTLED_S)
    see_that_it_is_free()
    renewing = threading.Thread(target=renew, daemon=True)
    renewing.start()
    try:
        yield still_held
    finally:
        ended.set()
        renewing.join()
        if there().get("id") == own:
            place.delete()
