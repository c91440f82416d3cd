"""Whose fault an error is: the clip's, the environment's, or the code's.

A clip is rejected or failed only for what is in its bytes. So the files that a unit reads are hashed again after it has run: if
they cannot be read, or are not those that were meant, whatever came of it counts for nothing. And a unit that found something
wrong with its input is run twice, since an error that the disk gave once reads like damage.
"""

import errno
import hashlib
import traceback
from collections.abc import Sequence
from pathlib import Path

from pipelines.job.unit import EnvironmentFault

OF_THE_ENVIRONMENT = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "ENOSPC", "EDQUOT", "ESTALE", "EMFILE", "ENFILE", "ENOMEM", "EROFS", "ENODEV", "ENXIO", "ENOTCONN", "ETIMEDOUT",
        "ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EREMOTEIO", "EAGAIN", "ENOENT",
    )
)  # fmt: skip
"""Numbers of errors that say nothing about a clip: the disk, the network, the limits of the machine, a file that is gone."""


def environment_fault(error: BaseException) -> EnvironmentFault | None:
    """What ``error``, or one that it came from, says about the machine; None: nothing."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, EnvironmentFault):
            return seen
        if isinstance(seen, MemoryError):
            return EnvironmentFault(f"out of memory ({traceback.format_exception_only(seen)[-1].strip()})")
        if isinstance(seen, OSError) and seen.errno in OF_THE_ENVIRONMENT and not _is_of_ffmpeg(seen):
            return EnvironmentFault(f"{seen.filename or 'a file'}: {seen.strerror or seen}")
        seen = seen.__cause__ or seen.__context__
    return None


def _is_of_ffmpeg(error: OSError) -> bool:
    """PyAV's errors are OSErrors, too, but FFmpeg says EIO or EAGAIN of damaged files as well."""
    return type(error).__module__.partition(".")[0] == "av"


def check_inputs(inputs: Sequence[tuple[str, str]]) -> None:
    """See that every file can be read and has the hash that it had when the unit was made.

    Raises:
        EnvironmentFault: one cannot, or has not.
    """
    for path, sha256 in inputs:
        try:
            with Path(path).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise EnvironmentFault(f"{path}: {error.strerror} (it was there when it was ingested)") from error
        if found != sha256:
            raise EnvironmentFault(f"{path}: is no longer the file that was ingested (run `ingest` again)")
