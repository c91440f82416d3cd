"""Blinks: drawn at a rate, at given times, or as somebody else's."""

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.timebase import VIDEO_FPS

Array = NDArray[np.float32]

OFF = "off"
BLINK_CLOSURE = (0.35, 0.85, 1.0, 0.95, 0.7, 0.35, 0.1)
"""Share by which the lids are closed in the frames of a blink: down fast, up slowly."""
SHUT_FRAME = BLINK_CLOSURE.index(1.0)
USUAL_BLINK_S = len(BLINK_CLOSURE) / VIDEO_FPS
BLINK_RANGE_S = (0.12, 2.0)
SHORTEST_GAP_S = 0.6
MOST_PER_MIN = 60.0


def blinks_at(times_s: list[float], n_frames: int, durations_s: float | list[float] = USUAL_BLINK_S) -> Array:
    """Lid closure (n_frames,) in 0 ... 1 of blinks whose lids are shut at ``times_s``, as long as ``durations_s``."""
    closure = np.zeros(n_frames, np.float32)
    shape = np.array([0.0, *BLINK_CLOSURE, 0.0])
    for time_s, duration_s in np.broadcast(np.asarray(times_s, float), np.asarray(durations_s, float)):
        pace = (len(shape) - 1) / (float(duration_s) * VIDEO_FPS + 1)  # of the shape, per frame
        shut, reach = round(float(time_s) * VIDEO_FPS), int(len(shape) / pace) + 1
        frames = np.arange(max(shut - reach, 0), min(shut + reach, n_frames))  # an hour has a thousand blinks
        own = np.interp((frames - shut) * pace + SHUT_FRAME + 1, np.arange(len(shape)), shape, left=0.0, right=0.0)
        closure[frames] = np.maximum(closure[frames], own)
    return closure


def blink_times(rng: np.random.Generator, n_frames: int, per_min: float) -> list[float]:
    """Times in s at which the lids are shut, at exponential intervals, none in the first second."""
    times_s: list[float] = []
    if per_min <= 0:
        return times_s
    mean_gap_s = max(60.0 / per_min - SHORTEST_GAP_S, 0.1)
    time_s = 0.5 + SHUT_FRAME / VIDEO_FPS
    while True:
        time_s += SHORTEST_GAP_S + rng.exponential(mean_gap_s)
        if time_s * VIDEO_FPS >= n_frames:
            return times_s
        times_s.append(time_s)


def parse_blinks(text: str) -> float | list[float]:
    """``off`` (0.0) or a rate per minute, e.g. ``15``; or times in s, with a comma, e.g. ``1.2,3`` or ``2,``.

    Raises:
        SpaceError: neither, or out of range.
    """
    if text.strip().lower() == OFF:
        return 0.0
    try:
        numbers = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        numbers = []
    if not numbers or not np.isfinite(numbers).all() or min(numbers) < 0:
        raise SpaceError(f"blinks {text!r}: need 'off', a rate per minute (15), times in s (1.2,3.5; one: '2,'), or a video")
    if "," in text:
        return numbers
    if numbers[0] > MOST_PER_MIN:
        raise SpaceError(f"blinks {text}: per minute, need {MOST_PER_MIN:g} or fewer (one blink at {text} s: '{text},')")
    return numbers[0]
