"""Sound."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from space_data.media.container import MediaError, _first, _open, _reason, _zero_s
from space_data.timebase import AUDIO_HZ

logger = logging.getLogger(__name__)


AUDIO_GAP_S = 0.04
"""Holes between audio frames longer than this are filled with silence; shorter ones are rounding of time stamps."""
RESAMPLER_REACH_S = 0.5
"""Sound so far beyond a sample cannot change it."""


def decode_audio(
    path: Path | str, rate_hz: int = AUDIO_HZ, part_s: tuple[float, float | None] = (0.0, None)
) -> NDArray[np.float32]:
    """Decode the first audio stream to mono float32 in [-1, 1] at ``rate_hz``, shape (samples,); of it only ``part_s``.

    Sample 0 is the container's time 0, the zero that ``decode_video`` uses too (of a part: where it begins): a stream that
    starts late is padded with silence, samples before zero are cut, holes are filled.

    Raises:
        MediaError: no audio stream, or the data break off before the first sample.
    """
    pieces: list[NDArray[np.float32]] = []
    with _open(path) as container:
        stream = _first(container.streams.audio)
        if stream is None:
            raise MediaError(f"{path}: no audio stream")
        stream.codec_context.thread_count = 1
        zero_s = _zero_s(container)
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate_hz)
        position = 0  # next output sample to be written
        expected_s: float | None = None
        try:
            for frame in container.decode(stream):
                pts_s = float(frame.pts * frame.time_base) - zero_s if frame.pts is not None else expected_s
                if expected_s is None or (pts_s is not None and abs(pts_s - expected_s) > AUDIO_GAP_S):
                    position += _append(pieces, resampler.resample(None) if expected_s is not None else [])
                    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate_hz)
                    position += _move_to(pieces, position, round((pts_s or 0.0) * rate_hz))
                if part_s[1] is not None and (pts_s or 0.0) > part_s[1] + RESAMPLER_REACH_S:
                    break
                expected_s = (pts_s or 0.0) + frame.samples / frame.sample_rate
                frame.pts = None
                position += _append(pieces, resampler.resample(frame))
            if expected_s is not None:
                _append(pieces, resampler.resample(None))
        except av.FFmpegError as error:
            if not pieces:
                raise MediaError(f"{path}: audio cannot be decoded ({_reason(error)})") from error
            logger.warning("%s: audio breaks off after %.2f s (%s)", path, position / rate_hz, _reason(error))
    whole = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if part_s == (0.0, None):
        return whole
    start_s, end_s = part_s
    return whole[round(start_s * rate_hz) : None if end_s is None else round(end_s * rate_hz)].copy()


def _append(pieces: list[NDArray[np.float32]], frames: Iterable[Any]) -> int:
    arrays = [frame.to_ndarray()[0] for frame in frames if frame is not None and frame.samples]
    pieces.extend(arrays)
    return sum(len(array) for array in arrays)


def _move_to(pieces: list[NDArray[np.float32]], position: int, target: int) -> int:
    """Pad with silence up to sample ``target``, or cut what lies beyond it; returns the change in length."""
    if target >= position:
        pieces.append(np.zeros(target - position, np.float32))
        return target - position
    kept = np.concatenate(pieces)[: max(0, target)] if pieces else np.zeros(0, np.float32)
    pieces[:] = [kept]
    return len(kept) - position
