"""Pictures of a source that is live: a camera, or a pipe into which somebody writes a stream (MPEG-TS, MJPEG).

Nothing is kept: a picture is given when it has been decoded, and the next one is read when it is asked for.
"""

import os
import select
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import av
from av.codec.context import Flags

from space_data.errors import SpaceError
from space_data.media.container import LARGEST_PX, MediaError, RgbImage, reason

PIPE = "-"
POLL_MS = 100
"""After which a pipe that is silent is looked at for the reader's wish to end."""
PROBED = {"probesize": "500000", "analyzeduration": "500000", "fflags": "nobuffer"}
"""Bytes and microseconds from which FFmpeg tells what a stream is; its own 5 s are as long as a camera then would lag."""


def is_live(path: Path) -> bool:
    """Whether this is a camera or a pipe, `-` among them, and no file.

    Raises:
        SpaceError: it is not there.
    """
    if str(path) == PIPE:
        return True
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SpaceError(f"{path}: {reason(error)} (need a video, a camera's device, a named pipe, or -)") from error
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


class _Pipe:
    """What `av.open` reads: gives what is there, and ends with the writer, or when `is_over`."""

    def __init__(self, descriptor: int, is_over: Event) -> None:
        self._descriptor, self._is_over = descriptor, is_over
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        while not self._is_over.is_set():
            if self._poll.poll(POLL_MS):
                return os.read(self._descriptor, size)
        return b""


def live_pictures(source: Path, is_over: Event) -> Iterator[RgbImage]:
    """RGB pictures (height, width, 3) as they come, until the source ends or `is_over`.

    A named pipe ends with its writer; read again, it waits for the next. A device is read through FFmpeg's v4l2.

    Raises:
        MediaError: what comes is no video, or breaks.
    """
    try:
        if source.is_fifo():
            descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
            try:
                yield from _pictures(av.open(_Pipe(descriptor, is_over), options=PROBED), is_over)
            finally:
                os.close(descriptor)
        elif str(source) == PIPE:
            yield from _pictures(av.open(_Pipe(sys.stdin.fileno(), is_over), options=PROBED), is_over)
        else:
            yield from _pictures(av.open(str(source), format="v4l2"), is_over)
    except (av.FFmpegError, OSError) as error:
        if not is_over.is_set():  # else it was cut off by us
            raise MediaError(f"{source}: no live video ({reason(error)})") from error


def _pictures(container: Any, is_over: Event) -> Iterator[RgbImage]:
    with container:
        if not container.streams.video:
            raise MediaError("no video stream")
        stream = container.streams.video[0]
        stream.codec_context.options = {"max_pixels": str(LARGEST_PX)}
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= Flags.low_delay
        for packet in container.demux(stream):
            if is_over.is_set():
                return
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except av.FFmpegError:  # begun in the middle of a stream: pictures come with the next keyframe
                frames = []
            for frame in frames:
                yield frame.to_ndarray(format="rgb24")
