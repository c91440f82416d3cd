"""Speech from a file: what the models hear, and what goes into the video."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.media.boxes import joined_s
from space_data.media.probe import probe_audio_hz
from space_data.media.sound import decode_audio, decode_stereo
from space_data.speech import log_mel, loudness_db, mean_normalise, seconds_of, speech_mask
from space_data.timebase import AUDIO_HZ, fit_samples, frame_start_s, frames_to_samples, samples_to_frames
from space_models.dataset import by_frame

logger = logging.getLogger(__name__)

SILENCE_DB = -60.0
LEAST_SPEECH_S = 0.2
SOUND_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Rates at which players expect AAC; other sound goes into the video at the last one."""


@dataclass(frozen=True)
class Speech:
    """Sound ready for the models: ``audio`` float32 (640 * T,) at 16 kHz, ``features`` mean-normalised log-mel (T, 160)."""

    audio: NDArray[np.float32]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.features)

    def first(self, n_frames: int) -> "Speech":
        """Its first ``n_frames`` frames."""
        return Speech(self.audio[: frames_to_samples(n_frames)], self.features[:n_frames])


def speech_features(audio: NDArray[np.float32]) -> Speech:
    """Features of 16 kHz ``audio``, cut to whole frames."""
    n_frames = samples_to_frames(len(audio))
    whole = fit_samples(audio, n_frames)
    return Speech(whole, by_frame(mean_normalise(log_mel(whole))))


def load_speech(path: Path, track: int | None = None) -> Speech:
    """Decode a sound file (or a video's sound) for ``animate``: its default track, or number ``track``, from 0.

    Raises:
        SpaceError: no such file, not media, no audio, shorter than a frame, or silent.
    """
    audio = decode_audio(path, track=track)
    speech = speech_features(audio)
    if not len(speech):
        raise SpaceError(f"{path}: {len(audio) / AUDIO_HZ:.3f} s of sound, need at least one frame ({frame_start_s(1):g} s)")
    loudest = float(loudness_db(speech.audio).max())
    if loudest < SILENCE_DB:
        raise SpaceError(f"{path}: silent (loudest 10 ms at {loudest:.0f} dB, need {SILENCE_DB:.0f} dB; a muted track?)")
    rate_hz = probe_audio_hz(path, track)
    if rate_hz < AUDIO_HZ:
        logger.warning("%s: recorded at %d Hz; lips follow best from %d Hz on (telephone audio?)", path, rate_hz, AUDIO_HZ)
    unheard_s = joined_s(path)
    if unheard_s:
        logger.warning(
            "%s: %.1f s of other recordings are joined to its end and not heard (MP4 files put together with `cat`? "
            "`ffmpeg -f concat` joins them)", path, unheard_s,
        )  # fmt: skip
    heard_s = seconds_of(speech_mask(speech.audio))
    if heard_s < LEAST_SPEECH_S:
        logger.warning(
            "%s: %.1f s of speech heard in %.1f s of sound, need %g s (music or noise? the mouth may move at random)",
            path, heard_s, frame_start_s(len(speech)), LEAST_SPEECH_S,
        )  # fmt: skip
    return speech


def original_sound(path: Path, track: int | None = None) -> tuple[NDArray[np.float32], int]:
    """The sound as it goes into the video, mono or stereo (1 or 2, samples), and its rate: its own, not what the models hear."""
    rate_hz = probe_audio_hz(path, track)
    rate_hz = rate_hz if rate_hz in SOUND_HZ else SOUND_HZ[-1]
    return decode_stereo(path, rate_hz, track), rate_hz
