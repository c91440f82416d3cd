"""What native libraries print past Python's logging: hidden where it says nothing a user can act on."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hide what the block's native code writes to standard error (MediaPipe's graphs, libpng's advice on colour profiles).

    A file keeps it: where native code aborts, its last words say whether memory or the clip was to blame.
    """
    if stat.S_ISREG(os.fstat(2).st_mode):
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
