"""What PoseGen hears: loudness, not words. Nods mark what is loud and long; what counts is how loudness rises, not where it is.

Rises vanish in silence and on a steady sound, so that neither pushes the head away from its mean, whatever the recording's level.
"""

import numpy as np
from numpy.typing import NDArray

from space_data.speech import MEL_BANDS
from space_data.timebase import FEATURES_PER_FRAME
from space_models.posegen.pose import FRAMES_PER_KEY

CHANNELS = 2
"""Loudness, and what of it is above the mean: syllables weigh otherwise than pauses."""
LARGEST_NEPERS = 4.0
"""Loudness is limited to this on either side of the mean: how silent a pause is says nothing."""
RISE_FRAMES = 2
"""A rise is the difference of loudness over so many frames."""
SEGMENT_FRAMES = FRAMES_PER_KEY - 1
"""The first frame drawn with a key pose in mind lies so far before it; sound beyond that is look-ahead."""


def loudness(log_mel: NDArray[np.floating]) -> NDArray[np.float64]:
    """Channels (T, 2), nepers of power, from mean-normalised log-mel features grouped by frame, (T, 160)."""
    width = FEATURES_PER_FRAME * MEL_BANDS
    level = np.asarray(log_mel, np.float64).reshape(len(log_mel), width).mean(1)
    level = np.clip(level, -LARGEST_NEPERS, LARGEST_NEPERS)
    return np.stack([level, np.maximum(level, 0.0)], 1)


def n_rises(memory_frames: int) -> int:
    """How many numbers describe the sound before one key pose."""
    return CHANNELS * (memory_frames // RISE_FRAMES)


def rises(
    channels: NDArray[np.floating], at_frames: NDArray[np.integer], lookahead_frames: int, memory_frames: int
) -> NDArray[np.float64]:
    """Rises of ``channels`` (T, 2) before key poses at ``at_frames`` (K,), newest first: (K, ``n_rises``).

    The newest sound lies ``lookahead_frames`` beyond the first frame that the key pose has a part in; rises go back from there
    for ``memory_frames``. The clip's first and last frame are held beyond its ends.
    """
    newest = at_frames - SEGMENT_FRAMES + lookahead_frames
    back = np.arange(memory_frames // RISE_FRAMES + 1) * RISE_FRAMES
    sampled = channels[np.clip(newest[:, None] - back, 0, len(channels) - 1)]  # (K, 1 + rises, 2)
    return (sampled[:, :-1] - sampled[:, 1:]).reshape(len(at_frames), -1)
