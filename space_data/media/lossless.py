"""Pictures without loss: FFV1 (RFC 9043) in Matroska, RGB as it came.

FFV1 and not x264 at quantiser 0: it is intra-only (any frame alone, nothing rests on another), carries a checksum per slice, its
encoder is integer arithmetic that gives the same bytes on every machine, and 512² talking heads take 57 kB a frame against 83
(x264 in RGB, ultrafast; that encodes 2.7 times as fast, 370 against 137 frames/s of one core).
"""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.media.container import RgbImage, reason
from space_data.timebase import VIDEO_FPS

SUFFIX = ".mkv"
OPTIONS = {"level": "3", "slices": "4", "slicecrc": "1"}


def write_lossless(path: Path | str, frames: Iterable[RgbImage]) -> int:
    """Write pictures (H, W, 3) of one size at 25 fps, silent; returns how many. `decode_video` gives back equal ones.

    Raises:
        SpaceError: there are none, or the file cannot be written.
    """
    count = 0
    with atomic_file(path) as part:
        try:
            with av.open(str(part), "w", format="matroska", container_options={"fflags": "+bitexact"}) as container:
                stream = container.add_stream("ffv1", rate=VIDEO_FPS)
                stream.pix_fmt, stream.options = "bgr0", {**OPTIONS, "flags": "+bitexact"}
                stream.codec_context.thread_count = 1
                for rgb in frames:
                    if not count:
                        stream.height, stream.width = rgb.shape[:2]
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")))
                    count += 1
                if count:
                    container.mux(stream.encode(None))
        except (av.FFmpegError, OSError) as error:
            raise SpaceError(f"{path}: writing failed after {count} frames ({reason(error)})") from error
        if not count:
            raise SpaceError(f"{path}: no frames to write")
    return count
