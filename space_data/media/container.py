"""Opening media files with PyAV (which brings FFmpeg), and what all decoding shares."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError

av.logging.set_level(av.logging.PANIC)

RgbImage = NDArray[np.uint8]
"""Height x width x 3, red first."""


class MediaError(SpaceError):
    """A file that cannot be opened, has no stream of the kind asked for, or breaks off while being decoded."""


def _open(path: Path | str) -> Any:
    path = Path(path)
    if not path.exists():
        raise MediaError(f"{path}: no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise MediaError(f"{path}: empty file (0 bytes)")
    try:
        return av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: not a readable media file ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)


def _first(streams: Any) -> Any | None:
    """The first stream that there is a decoder for; a damaged header may name a codec that does not exist."""
    return next((stream for stream in streams if stream.codec_context is not None), None)


def _zero_s(container: Any) -> float:
    """The container's own start, seconds: the common zero of all its streams."""
    return container.start_time / av.time_base if container.start_time is not None else 0.0


def _start_s(stream: Any, zero_s: float) -> float:
    return float(stream.start_time * stream.time_base) - zero_s if stream.start_time is not None else 0.0
