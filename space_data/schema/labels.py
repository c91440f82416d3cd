"""What clips are labelled with."""

import numpy as np
from numpy.typing import NDArray

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised", "contempt")
"""The union of RAVDESS' and MEAD's labels; a clip's emotion is a vector of intensities in [0, 1] in this order."""
NEUTRAL_LABEL = EMOTIONS.index("neutral")
NEUTRAL: NDArray[np.float32] = np.zeros(len(EMOTIONS), np.float32)
"""The neutral mixture: the absence of emotion."""
UNKNOWN = "unknown"
"""Emotion of a clip that nobody labelled: not neutral, and never one of ``EMOTIONS``."""
SPLITS = ("train", "val", "test")


def emotion_vector(emotion: str, intensity: float) -> NDArray[np.float32]:
    """One label with an intensity in [0, 1] as the mixture vector, (9,); all NaN for ``UNKNOWN``."""
    if emotion == UNKNOWN:
        return np.full(len(EMOTIONS), np.nan, np.float32)
    vector = np.zeros(len(EMOTIONS), np.float32)
    vector[EMOTIONS.index(emotion)] = intensity
    return vector


def emotion_known(mixture: NDArray[np.floating]) -> bool:
    """Whether somebody labelled the clip with this mixture vector, (9,)."""
    return not np.isnan(mixture).any()
