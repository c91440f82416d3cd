"""One interface to what models hear: per video frame, so many vectors of so many numbers, by a named speech encoder.

``log-mel`` needs nothing; ``whisper-tiny.en`` needs weights and PyTorch (``space_models.speech_encoders`` loads either by name).
Normalisation and reduction of the vectors are the model's that learns from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.speech import MEL_BANDS, log_mel
from space_data.timebase import FEATURES_PER_FRAME, features_to_frames

LOG_MEL, WHISPER_TINY_EN = "log-mel", "whisper-tiny.en"
SPEECH_ENCODERS = {LOG_MEL: (FEATURES_PER_FRAME, MEL_BANDS), WHISPER_TINY_EN: (2, 384)}
"""By name: vectors per 25 Hz frame, numbers per vector (Whisper: of one layer)."""
WHISPER_LAYERS = 4
"""Blocks of the encoder; layer 0 is what its convolutions say, the last one its output."""


@dataclass(frozen=True)
class SpeechSpec:
    """What a speech encoder gives, and which one it is: a model works with the encoder it was trained with, and no other."""

    name: str
    per_frame: int
    """vectors per 25 Hz frame, evenly spaced"""
    width: int
    """numbers per vector"""
    weights_sha256: str = ""
    """over the encoder's tensors, whatever file they came in; empty without weights"""
    layers: tuple[int, ...] = ()
    """whose states each vector holds side by side; empty: the encoder's output alone"""


def spec_of(name: str, weights_sha256: str = "", layers: Sequence[int] = ()) -> SpeechSpec:
    """What the encoder called ``name`` gives, without loading it; ``layers`` as in ``SpeechSpec``.

    Raises:
        SpaceError: no such encoder, or one without these layers.
    """
    if name not in SPEECH_ENCODERS:
        raise SpaceError(f"speech encoder {name!r}: need one of {', '.join(SPEECH_ENCODERS)}")
    last = WHISPER_LAYERS if name == WHISPER_TINY_EN else -1
    if len(set(layers)) < len(layers) or not all(0 <= layer <= last for layer in layers):
        needed = f"different ones of 0 ... {last}" if last >= 0 else "none, it has no layers"
        raise SpaceError(f"speech encoder {name}: layers {list(layers)}, need {needed}")
    per_frame, width = SPEECH_ENCODERS[name]
    return SpeechSpec(name, per_frame, width * max(1, len(layers)), weights_sha256, tuple(layers))


class SpeechEncoder(Protocol):
    """Sound in, vectors out."""

    @property
    def spec(self) -> SpeechSpec:
        """What ``encode`` gives."""

    def encode(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors of 16 kHz mono ``audio`` (640 T,): (T, per_frame, width), float32."""


class LogMel:
    """``speech.log_mel``: 4 vectors of 40 bands per frame, natural log of power, no mean removed."""

    spec = spec_of(LOG_MEL)

    def encode(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mel of 16 kHz mono ``audio`` (640 T,): (T, 4, 40). The floor depends on the whole of it."""
        return features_to_frames(log_mel(audio))
