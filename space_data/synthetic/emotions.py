"""What an emotion adds to the speaking face and to the voice.

Presets of our study of synthetic heads (98 % of 480 poses told apart by the detector's landmarks alone), extended by calm.
They are added to the speech controls; where lips must meet, the mouth's share is damped.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.schema import EMOTIONS

Track = NDArray[np.float64]


@dataclass(frozen=True)
class Prosody:
    """Change of the voice at full intensity: factors on words per minute and pitch range, offset of the pitch (0-99)."""

    rate: float = 1.0
    pitch: int = 0
    pitch_range: float = 1.0


FACE: dict[str, dict[str, float]] = {
    "neutral": {},
    "calm": dict(smile_left=0.22, smile_right=0.22, squint=0.10, blink_left=0.10, blink_right=0.10, brow_in=0.12),
    "happy": dict(smile_left=0.9, smile_right=0.9, cheek=0.6, squint=0.25),
    "sad": dict(frown=0.8, brow_in=0.8, brow_out=-0.25, squint=0.15),
    "angry": dict(brow_in=-0.9, brow_out=-0.2, knit=0.8, press=0.4, squint=0.25, frown=0.25),
    "fearful": dict(brow_in=0.9, brow_out=0.3, knit=0.5, wide_eye=0.6, stretch=0.5),
    "disgusted": dict(brow_in=-0.5, lip_up=0.5, sneer=0.8, squint=0.35, frown=0.3),
    "surprised": dict(brow_in=0.9, brow_out=0.9, wide_eye=0.7, jaw=0.20),
    "contempt": dict(smile_left=0.7, brow_in=-0.15, brow_out=0.1, squint=0.10),
}
"""Control offsets at intensity 1. `press` under disgust and anger and `jaw` under surprise are milder than the study's stills:
they would hide the speech."""

VOICE: dict[str, Prosody] = {
    "neutral": Prosody(),
    "calm": Prosody(rate=0.90, pitch=-4, pitch_range=0.8),
    "happy": Prosody(rate=1.06, pitch=10, pitch_range=1.5),
    "sad": Prosody(rate=0.82, pitch=-8, pitch_range=0.6),
    "angry": Prosody(rate=1.10, pitch=6, pitch_range=1.5),
    "fearful": Prosody(rate=1.15, pitch=14, pitch_range=1.1),
    "disgusted": Prosody(rate=0.92, pitch=-5, pitch_range=1.0),
    "surprised": Prosody(rate=1.04, pitch=14, pitch_range=1.7),
    "contempt": Prosody(rate=0.94, pitch=-3, pitch_range=0.8),
}

_OPENS_THE_MOUTH = ("jaw", "lip_up", "lip_down", "press")
"""Damped fully where lips must meet."""
_MOVES_THE_CORNERS = ("smile_left", "smile_right", "frown", "stretch")
_CORNER_DAMPING = 0.35
_ROUNDING_DAMPING = 0.5
"""A smile gives way to rounded lips: nobody says 'oo' with the corners fully drawn back."""


def add_emotion(controls: Mapping[str, Track], emotion: str, intensity: Track | float, closure: Track) -> dict[str, Track]:
    """Controls (T,) of a speaking face with an emotion on top.

    Args:
        controls: speech controls, (T,) each.
        emotion: one of ``EMOTIONS``.
        intensity: 0..1, scalar or (T,).
        closure: (T,) 1 where the lips must meet.

    Raises:
        SpaceError: unknown emotion, or intensity outside [0, 1].
    """
    if emotion not in EMOTIONS:
        raise SpaceError(f"emotion {emotion!r}: unknown, need one of {', '.join(EMOTIONS)}")
    strength = np.broadcast_to(np.asarray(intensity, np.float64), closure.shape)
    if strength.size and (strength.min() < 0 or strength.max() > 1):
        raise SpaceError(f"emotion {emotion}: intensity {strength.min():g} to {strength.max():g}, need 0 to 1")
    rounded = np.clip(controls.get("pucker", 0.0) + controls.get("funnel", np.zeros(len(closure))), 0.0, 1.0)
    result = {name: np.array(track, np.float64) for name, track in controls.items()}
    for name, offset in FACE[emotion].items():
        change = offset * strength
        if name in _OPENS_THE_MOUTH:
            change = change * (1.0 - closure)
        elif name in _MOVES_THE_CORNERS:
            change = change * (1.0 - _CORNER_DAMPING * closure) * (1.0 - _ROUNDING_DAMPING * rounded)
        result[name] = result.get(name, np.zeros(len(closure))) + change
    return result
