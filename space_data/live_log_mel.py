"""Log-mel of sound as it comes: ``speech_encoder.LogMel`` without the floor, which depends on an utterance's end.

S2L floors it by the loudest band so far (``space_models.s2l.features``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space_data.speech import LEAST_POWER, mel_power
from space_data.speech_encoder import LOG_MEL, SpeechSpec, spec_of
from space_data.timebase import FEATURES_PER_FRAME, SAMPLES_PER_FEATURE, features_to_frames, frames_to_samples, samples_to_frames

MARGIN = SAMPLES_PER_FEATURE
"""Samples beside a feature's own that its window reaches into (120), in whole features."""


@dataclass(frozen=True)
class LiveState:
    """Between two chunks: sound from ``MARGIN`` samples before the first frame that has not been given out."""

    audio: NDArray[np.float32]


class LiveLogMel:
    """4 vectors of 40 bands per frame, natural log of power; a frame comes 10 ms after its sound."""

    spec: SpeechSpec = spec_of(LOG_MEL)

    def start(self) -> LiveState:
        """Before any sound: silence precedes it."""
        return LiveState(np.zeros(MARGIN, np.float32))

    def step(self, state: LiveState, audio: NDArray[np.float32], ends: bool = False) -> tuple[LiveState, NDArray[np.float32]]:
        """Hear 16 kHz mono ``audio`` (any number of samples) more.

        Args:
            state: the state before.
            audio: what comes next.
            ends: nothing comes after it: the last whole frame is given out, as if silence followed.

        Returns:
            The state after it, and log-mel of the frames whose sound is there, (n, 4, 40); n may be 0.
        """
        audio = np.concatenate([state.audio, np.asarray(audio, np.float32), np.zeros(MARGIN * ends, np.float32)])
        n_frames = samples_to_frames(max(0, len(audio) - 2 * MARGIN))
        there = frames_to_samples(n_frames)
        power = mel_power(audio[: there + 2 * MARGIN])[1 : 1 + n_frames * FEATURES_PER_FRAME]
        return LiveState(audio[there:].copy()), features_to_frames(np.log(power + LEAST_POWER).astype(np.float32))
