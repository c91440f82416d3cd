"""What native libraries print past Python's logging: hidden where it says nothing a user can act on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_is_kept = False


def keep_native_noise() -> None:
    """Hide nothing in this process from now on.

    For one whose standard error is a log that its maker reads: where native code aborts, its last words say whether memory or the
    clip was to blame.
    """
    global _is_kept
    _is_kept = True


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hide what the block's native code writes to standard error (MediaPipe's graphs, libpng's advice on colour profiles)."""
    if _is_kept:
        yield
        return
    saved = os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(devnull)
        os.close(saved)
