"""What the audio-visual scorer could hear: log-mel or Whisper's states, the same CCA with the same lips, on short windows.

    python -m benchmarks.sync_encoders [--weights models/weights] [--real ../shared/media]

Lips and sound of the default run's filmed clips, in five folds of speakers; with ``--real`` also real speakers
(`benchmarks.s2l_real.clips_of`), judged by what was fitted on the filmed clips, all rendered heads. Every window is compared at
31 lags with as much sound (the clip goes on 15 frames around it): found within a frame of 0, the confidence of its own sound
against other people's as AUC, and the same of the score in place. Real clips have their offset taken out by the shipped scorer,
which hears log-mel.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.s2l_real import clips_of
from evaluation.sync_score import VIDEO
from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from space_data.avsync import (
    LAGS,
    LIP_COMPONENTS,
    MAX_LAG_FRAMES,
    MEL_COMPONENTS,
    Array,
    Moments,
    SyncScore,
    cca,
    lip_context,
    lip_points,
    mel_context,
    mel_frames,
    read_curve,
)
from space_data.media.sound import decode_audio
from space_data.schema import FeatureClip, FeatureFrame
from space_data.speech import log_mel
from space_data.speech_encoder import LOG_MEL, WHISPER_TINY_EN, SpeechEncoder
from space_data.tables import read_table, stream_clips, vectors
from space_data.timebase import fit_samples, frames_in
from space_models.speech_encoders import load_speech_encoder

WINDOWS_S = (1.0, 2.0, 3.0, 5.0)
HOP_FRAMES = 12
FOLDS = 5
OTHERS = 4
"""Other people's sounds that each window is compared with, at most."""
STATE_COMPONENTS = 64
"""Of a frame's 768 numbers; the frame before and after make it 192, of which the CCA takes as many components as of log-mel."""
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Spoken:
    """One clip: lips (T, 25, 2), log-mel (T, 40), states (T, 768)."""

    subject: str
    lips: Array
    mel: Array
    states: Array


@dataclass(frozen=True)
class Projected:
    """A clip as a CCA sees it: (T, 6) each."""

    subject: str
    lips: Values
    sound: Values


def filmed(layout: Layout, encoder: SpeechEncoder) -> list[Spoken]:
    """The filmed clips of a finished run."""
    subjects = {clip.clip_id: clip.subject for clip in read_table(layout.feature_clips, FeatureClip) if clip.kind == VIDEO}
    sounds = {clip.clip_id: clip.audio for clip in aligned_clips(layout)}
    columns = ["clip_id", "frame", "normalised"]
    return [
        spoken(subjects[clip_id], vectors(rows, "normalised").reshape(len(rows), -1, 3), decode_audio(sounds[clip_id]), encoder)
        for clip_id, rows in stream_clips(layout.feature_frames, FeatureFrame, columns, set(subjects))
        if clip_id in subjects
    ]


def spoken(subject: str, normalised: Array, audio: Array, encoder: SpeechEncoder) -> Spoken:
    """A clip of landmarks (T, 78, 3) and 16 kHz sound."""
    sound = fit_samples(audio, len(normalised))
    return Spoken(subject, lip_points(normalised), mel_frames(log_mel(sound)), encoder.encode(sound).reshape(len(normalised), -1))


def heard(clips: Sequence[Spoken], fitted_on: Sequence[Spoken], name: str) -> list[Values]:
    """Sound of each clip with its neighbours in time; Whisper's states are reduced by a PCA of ``fitted_on`` first."""
    if name == LOG_MEL:
        return [mel_context(clip.mel) for clip in clips]
    centred = [clip.states - clip.states.mean(axis=0) for clip in fitted_on]
    second = np.sum([states.T.astype(np.float64) @ states for states in centred], axis=0)
    axes = np.linalg.eigh(second)[1][:, ::-1][:, :STATE_COMPONENTS]
    found = []
    for clip in clips:
        states = np.pad((clip.states - clip.states.mean(axis=0)) @ axes, ((1, 1), (0, 0)), mode="edge")
        found.append(np.concatenate([states[i : i + len(clip.states)] for i in range(3)], axis=1))
    return found


def projected(train: Sequence[Spoken], test: Sequence[Spoken], name: str) -> tuple[list[Projected], Values]:
    """``test`` as a CCA of ``train`` sees it, and the weights (6,) of its components."""
    pairs = zip((lip_context(clip.lips) for clip in train), heard(train, train, name), strict=True)
    moments = reduce(add, (Moments.of(*pair) for pair in pairs), Moments())
    lip_map, sound_map, correlation = cca(moments, LIP_COMPONENTS, MEL_COMPONENTS)
    sounds = heard(test, train, name)
    seen = [Projected(c.subject, lip_context(c.lips) @ lip_map, x @ sound_map) for c, x in zip(test, sounds, strict=True)]
    return seen, correlation / correlation.sum()


def score(lips: Values, sound: Values, begin: int, n: int, weights: Values) -> SyncScore:
    """Of ``n`` frames of lips from ``begin`` against as many of the sound at each lag."""
    curve = np.zeros(len(LAGS))
    for i, lag in enumerate(LAGS):
        a, b = lips[begin : begin + n], sound[begin + lag : begin + lag + n]
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        curve[i] = (weights * (a * b).sum(axis=0) / np.sqrt(np.maximum((a**2).sum(axis=0) * (b**2).sum(axis=0), 1e-12))).sum()
    return read_curve(curve)


def auc(own: Sequence[float], others: Sequence[float]) -> float:
    """Share of pairs in which one's own is the larger."""
    return float(np.mean(np.array(own)[:, None] > np.array(others)[None]))


def figures(groups: Sequence[tuple[list[Projected], Values]], seconds: float) -> str:
    """One row of the table."""
    n = frames_in(seconds)
    own, others = [], []
    for clips, weights in groups:
        for clip in clips:
            for begin in range(MAX_LAG_FRAMES, len(clip.lips) - n - MAX_LAG_FRAMES + 1, HOP_FRAMES):
                own.append(score(clip.lips, clip.sound, begin, n, weights))
                long_enough = (o for o in clips if o.subject != clip.subject and len(o.sound) >= begin + n + MAX_LAG_FRAMES)
                others += [score(clip.lips, other.sound, begin, n, weights) for other in islice(long_enough, OTHERS)]
    if not own or not others:
        return "no window is so long"
    hits = np.mean([abs(one.offset_frames) <= 1 for one in own])
    confidence = auc([one.confidence for one in own], [one.confidence for one in others])
    in_place = auc([one.at_zero for one in own], [one.at_zero for one in others])
    return f"{seconds:g} s | {len(own)} | {hits:.1%} | {confidence:.3f} | {in_place:.3f}"


def main() -> None:
    """Fit, score, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("models/weights"), help="folder of imported weights")
    parser.add_argument("--real", type=Path, help="folder of real speakers with a MANIFEST.csv")
    options = parser.parse_args()
    encoder = load_speech_encoder(WHISPER_TINY_EN, options.weights)
    clips = filmed(Layout(), encoder)
    people = sorted({clip.subject for clip in clips})
    folds = [{person for i, person in enumerate(people) if i % FOLDS == fold} for fold in range(FOLDS)]
    print(f"{len(clips)} filmed clips of {len(people)} people")
    real = [spoken(clip.name, clip.normalised, clip.audio, encoder) for clip in clips_of(options.real)] if options.real else []
    print("clips | sound | window | windows | within a frame | AUC confidence | AUC in place")
    for name in (LOG_MEL, WHISPER_TINY_EN):
        parts = [([c for c in clips if c.subject not in out], [c for c in clips if c.subject in out]) for out in folds]
        judged = {"filmed, folds": [projected(train, test, name) for train, test in parts if test]}
        if real:
            judged["real, fitted on filmed"] = [projected(clips, real, name)]
        for of, groups in judged.items():
            for seconds in WINDOWS_S:
                print(f"{of} | {name} | {figures(groups, seconds)}", flush=True)


if __name__ == "__main__":
    main()
