"""The judge on Whisper's states on clips of the benchmark: a module of its own, because it imports PyTorch."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.score_clip import SyncScorer
from evaluation.sync_score import face_scorer
from evaluation.whisper_sync import StateScorer, fit
from space_data.avsync import Array, lip_points
from space_data.media.sound import decode_audio
from space_data.schema import FeatureFrame
from space_data.speech_encoder import SpeechEncoder
from space_data.store import Place
from space_data.tables import stream_clips, vectors
from space_data.timebase import fit_samples
from space_models.speech_encoders import WhisperStates
from space_models.whisper_weights import load_encoder_file


@lru_cache(maxsize=1)
def _encoder(weights: Path) -> SpeechEncoder:
    return WhisperStates(load_encoder_file(weights))


def states_of(weights: Path, audio: NDArray[np.float32], n_frames: int) -> Array:
    """Whisper's states of 16 kHz ``audio`` (samples,), both of a frame in one row: (n_frames, 768)."""
    return _encoder(weights).encode(fit_samples(audio, n_frames)).reshape(n_frames, -1)


def fit_whisper(weights: Path, frames: Place, sounds: Mapping[str, str], fitted_on: str) -> StateScorer:
    """Fit on some clips: their frames are in the table ``frames`` of the stage ``features``, ``sounds`` are their files."""

    def pairs() -> Iterator[tuple[Array, Array]]:
        for clip_id, rows in stream_clips(frames, FeatureFrame, ["clip_id", "frame", "normalised"], set(sounds)):
            if clip_id in sounds:
                lips = lip_points(vectors(rows, "normalised").reshape(len(rows), -1, 3))
                yield lips, states_of(weights, decode_audio(sounds[clip_id]), len(rows))

    return fit(pairs(), fitted_on)


def whisper_scorer(weights: Path, scorer: StateScorer, audio: NDArray[np.float32], n_frames: int) -> SyncScorer:
    """Scores faces against 16 kHz ``audio`` (samples,), of which ``n_frames`` video frames count; as `sync_score.clip_scorer`."""
    states = states_of(weights, audio, n_frames)
    return face_scorer(lambda lips: scorer.score(lips, states[: len(lips)]), n_frames)
