"""Whose fault an error is: the clip's, the environment's, or the code's.

A clip is rejected or failed only for what is in its bytes. So the files that a unit reads are hashed again after it has run: if
they cannot be read, or are not those that were meant, whatever came of it counts for nothing. And a unit that found something
wrong with its input is run twice, since an error that the disk gave once reads like damage.
"""

import errno
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from typing import TypeVar

from pipelines.job.unit import EnvironmentFault
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.store import SAID_BY_STORES, Place, in_a_line, local_file

logger = logging.getLogger(__name__)

OF_THE_ENVIRONMENT = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "ENOSPC", "EDQUOT", "ESTALE", "EMFILE", "ENFILE", "ENOMEM", "EROFS", "ENODEV", "ENXIO", "ENOTCONN", "ETIMEDOUT",
        "ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EREMOTEIO", "EAGAIN", "ENOENT",
        "EFBIG",
    )
)  # fmt: skip
"""Numbers of errors that say nothing about a clip: the disk, the network, the limits of the machine, a file that is gone."""
OF_FFMPEG = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ESTALE, errno.EMFILE, errno.ENFILE})
"""Those of them that FFmpeg never says of a damaged file, as it does EIO, EAGAIN and ENOMEM. PyAV's errors are OSErrors, too."""
BACK_OFF_S = (1.0, 3.0, 10.0, 30.0, 60.0)
"""Pauses before something is tried again that the environment stopped; the last one again and again."""

T = TypeVar("T")


def environment_fault(error: BaseException) -> EnvironmentFault | None:
    """What ``error``, or one that it came from, says about the machine; None: nothing."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, EnvironmentFault):
            return seen
        if isinstance(seen, MemoryError):
            return EnvironmentFault(f"out of memory ({traceback.format_exception_only(seen)[-1].strip()})")
        if isinstance(seen, OSError) and seen.errno in (OF_FFMPEG if _is_of_ffmpeg(seen) else OF_THE_ENVIRONMENT):
            return EnvironmentFault(f"{seen.filename}: {seen.strerror}" if seen.filename else str(seen))
        if isinstance(seen, OSError) and seen.errno is None and any(words in str(seen) for words in SAID_BY_STORES):
            return EnvironmentFault(in_a_line(seen))  # from a reader of tables, which asks Arrow itself
        seen = seen.__cause__ or seen.__context__
    return None


def _is_of_ffmpeg(error: OSError) -> bool:
    return type(error).__module__.partition(".")[0] == "av"


def check_inputs(inputs: Sequence[tuple[str, str]]) -> None:
    """See that every file can be read and has the hash that it had when the unit was made.

    Raises:
        EnvironmentFault: one cannot, or has not.
    """
    for uri, sha256 in inputs:
        path = Place(uri)
        try:
            found = sha256_of(local_file(uri))
        except OSError as error:
            raise EnvironmentFault(f"{path}: {error.strerror} (it was there when it was ingested)") from error
        if found != sha256:
            raise EnvironmentFault(f"{path}: is no longer the file that was ingested (run `ingest` again)")


def _stopped(what: str, fault: EnvironmentFault) -> EnvironmentFault:
    return EnvironmentFault(f"{what}: stopped: {fault}; what is done is kept: mend that and run it again")


@contextmanager
def faults_in_words(what: str) -> Iterator[None]:
    """Make one line of a fault of the environment, whatever the driver was about."""
    try:
        yield
    except OSError as error:
        fault = environment_fault(error)
        if fault is None:
            raise
        raise _stopped(what, fault) from error


def patiently(action: Callable[[], T], patience_s: float, what: str) -> T:
    """Do ``action``; again and again, for ``patience_s``, while the environment does not let it.

    Raises:
        EnvironmentFault: it does not let it for longer. Other errors come at once.
    """
    waited_s = 0.0
    for pause_s in chain(BACK_OFF_S, repeat(BACK_OFF_S[-1])):
        try:
            return action()
        except (OSError, SpaceError) as error:
            fault = environment_fault(error)
            if fault is None:
                raise
            if waited_s + pause_s > patience_s:
                raise _stopped(what, fault) from error
            logger.warning("%s: %s; tried again in %g s", what, fault, pause_s)
        time.sleep(pause_s)
        waited_s += pause_s
    raise AssertionError("unreachable")
