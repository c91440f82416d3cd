"""Emotions on the command line: mixtures with intensities."""

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, UNKNOWN, emotion_vector


def parse_emotion(text: str) -> NDArray[np.float32]:
    """Mixture vector (9,) of a text like ``happy:0.8`` or ``happy:0.6+surprised:0.3``; a label alone means intensity 1.

    ``unknown``, by itself, is all NaN: the null condition, as which a model learnt its unlabelled clips.

    Raises:
        SpaceError: unknown label, an intensity that is no number in [0, 1], or a label given twice.
    """
    if text.strip().lower() == UNKNOWN:
        return emotion_vector(UNKNOWN, 0.0)
    vector = np.zeros(len(EMOTIONS), np.float32)
    seen: set[str] = set()
    for part in text.split("+"):
        label, colon, number = part.strip().lower().partition(":")
        if label not in EMOTIONS:
            raise SpaceError(f"emotion {label!r}: not a label, need one of {', '.join(EMOTIONS)} (or {UNKNOWN}, by itself)")
        if label in seen:
            raise SpaceError(f"emotion {text!r}: {label} stands twice")
        try:
            intensity = float(number) if colon else 1.0
        except ValueError:
            raise SpaceError(f"emotion {part.strip()!r}: intensity {number!r} is not a number (need label:0..1)") from None
        if not 0.0 <= intensity <= 1.0:
            raise SpaceError(f"emotion {label}: intensity {intensity:g}, need 0 to 1")
        seen.add(label)
        vector[EMOTIONS.index(label)] = intensity
    return vector
