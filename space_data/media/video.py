"""Pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from space_data.media.container import MediaError, RgbImage, _first, _open, _reason, _zero_s
from space_data.timebase import CLOCK_SLACK_S, VIDEO_FPS


@dataclass(frozen=True)
class Frame:
    """One decoded picture: ``pts_s`` seconds after the container's start, ``rgb`` uint8 (height, width, 3)."""

    pts_s: float
    rgb: RgbImage


def _square_width(frame: Any, stream: Any) -> int:
    """Width in square pixels: the stored width times the sample aspect ratio, even."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return frame.width if aspect in (0, 1) else int(round(frame.width * aspect / 2)) * 2


def _display_shape(frame: Any, stream: Any, rotation_deg: int) -> tuple[int, int]:
    """Height and width of the upright picture with square pixels."""
    width, height = _square_width(frame, stream), frame.height
    return (width, height) if rotation_deg % 180 == 90 else (height, width)


def decode_video(
    path: Path | str, start_s: float = 0.0, end_s: float | None = None, at_most_hz: float | None = None
) -> Iterator[Frame]:
    """Stream the first video stream of ``path`` as upright RGB frames with square pixels.

    Args:
        path: the file.
        start_s, end_s: the part to give, half-open, seconds of the container's clock; found by seeking. ``pts_s`` then counts
            from ``start_s``.
        at_most_hz: give a frame only when so much time has passed since the last one given; the others are decoded, not
            converted.

    Frames without a time stamp and frames that do not advance the clock are given the time one nominal frame later, so
    ``pts_s`` always increases.

    Raises:
        MediaError: no video stream, or the data break off; the message says after how many frames.
    """
    with _open(path) as container:
        stream = _first(container.streams.video)
        if stream is None:
            raise MediaError(f"{path}: no video stream")
        stream.codec_context.thread_count = 1
        convert = _Converter(stream)
        zero_s = _zero_s(container)
        step_s = 1.0 / float(stream.average_rate or VIDEO_FPS)
        last_s, next_s, count = -np.inf, start_s if start_s > 0 else -np.inf, 0
        try:
            if start_s > 0:
                container.seek(int((start_s + zero_s) / stream.time_base), stream=stream, backward=True)
            for frame in container.decode(stream):
                pts_s = float(frame.pts * frame.time_base) - zero_s if frame.pts is not None else last_s + step_s
                if not pts_s > last_s:
                    pts_s = last_s + step_s if np.isfinite(last_s) else 0.0
                last_s, count = pts_s, count + 1
                if end_s is not None and pts_s >= end_s - CLOCK_SLACK_S:
                    return
                if pts_s >= next_s - CLOCK_SLACK_S:
                    next_s = pts_s + 1.0 / at_most_hz if at_most_hz else next_s
                    yield Frame(pts_s - start_s, convert(frame))
        except av.FFmpegError as error:
            raise MediaError(f"{path}: video breaks off after {count} frames ({_reason(error)})") from error


def picture_at(path: Path | str, time_s: float) -> RgbImage:
    """The picture on screen at ``time_s`` (the last one of the video beyond its end), found by seeking: cheap in long files.

    Raises:
        MediaError: no video stream, or nothing can be decoded there.
    """
    with _open(path) as container:
        stream = _first(container.streams.video)
        if stream is None:
            raise MediaError(f"{path}: no video stream")
        stream.codec_context.thread_count = 1
        target_s = time_s + _zero_s(container)
        shown = None
        try:
            if time_s > 0:
                container.seek(int(target_s / stream.time_base), stream=stream, backward=True)
            for frame in container.decode(stream):
                if shown is not None and frame.pts is not None and float(frame.pts * frame.time_base) > target_s:
                    break
                shown = frame
        except av.FFmpegError as error:
            if shown is None:
                raise MediaError(f"{path}: no picture at {time_s:.2f} s ({_reason(error)})") from error
        if shown is None:
            raise MediaError(f"{path}: no picture at {time_s:.2f} s")
        return _Converter(stream)(shown)


class _Converter:
    """Turns a stream's frames into upright RGB with square pixels.

    One reformatter for all frames: FFmpeg's conversion is set up once, not per frame; one thread, as for the decoding.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._reformatter = VideoReformatter()

    def __call__(self, frame: Any) -> RgbImage:
        turns = int(round(frame.rotation)) // 90
        width = _square_width(frame, self._stream)
        converted = self._reformatter.reformat(frame, width, frame.height, "rgb24", threads=1)
        rgb = np.asarray(converted.to_ndarray(), np.uint8)
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns % 4 else rgb
