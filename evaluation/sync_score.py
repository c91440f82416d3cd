"""Lips against sound for the benchmark: the weightless scorer of `space_data.avsync`, fitted on identities that are not scored.

The aligned clips have had their offsets taken out, so lips and sound are paired as they are. Test identities are left out: a
scorer that knows a speaker's lips would favour videos that keep to them. (Those of the filter know them: they score each fold
with the others, test identities among them.) Where too little speech is left, the shipped scorer is used; the scorer says which.
"""

from collections.abc import Callable, Iterator, Set
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from evaluation.detected_face import DetectedFace
from space_data.avsync import (
    MAX_LAG_FRAMES,
    SHORTEST_OVERLAP_FRAMES,
    Array,
    Scorer,
    SyncScore,
    fit,
    lip_points,
    mel_frames,
    score_clip,
)
from space_data.features import fill_gaps
from space_data.schema import FeatureClip, FeatureFrame
from space_data.speech import MEL_BANDS, log_mel
from space_data.store import Place
from space_data.tables import read_table, stream_clips, vectors
from space_data.timebase import fit_samples, frame_start_s

VIDEO = "video"
LEAST_SPEECH_S = 150.0
"""Of video to fit on: with 140-160 s the study found 97-100 % of 4 s windows, with 70-90 s 91-94 %."""


def shipped_scorer() -> Scorer:
    """The scorer that comes with the package: fitted on other speakers than the one that the stage ``sync`` falls back on."""
    return Scorer.load(Path(str(files("space_data") / "assets" / "sync_scorer_evaluation.npz")))


@threadpool_limits.wrap(limits=1, user_api="blas")  # sums of products round by the number of threads, and cores
def fit_scorer(frames: Place, clips: Place, scored: Set[str]) -> Scorer:
    """Fit on the video clips of all identities but ``scored``; the shipped scorer where there are less than 150 s of them.

    ``frames`` and ``clips`` are the tables of the stage ``features``, of which one row group at a time is in memory.
    """
    used = [clip for clip in read_table(clips, FeatureClip) if clip.kind == VIDEO and clip.subject not in scored]
    seconds = frame_start_s(sum(clip.n_frames for clip in used))
    if seconds < LEAST_SPEECH_S:
        return shipped_scorer()
    people = {clip.subject for clip in used}
    fitted_on = f"{len(used)} clips, {seconds:.0f} s, of {len(people)} identities that are not scored"
    return fit(pairs_of(frames, {clip.clip_id for clip in used}), fitted_on)


def pairs_of(frames: Place, clip_ids: Set[str]) -> Iterator[tuple[Array, Array]]:
    """Lips (T, 25, 2) and mel (T, 40) of some clips, one after the other."""
    for clip_id, rows in stream_clips(frames, FeatureFrame, ["clip_id", "frame", "normalised", "log_mel"], clip_ids):
        if clip_id in clip_ids:
            mel = vectors(rows, "log_mel").reshape(-1, MEL_BANDS)
            yield lip_points(vectors(rows, "normalised").reshape(len(rows), -1, 3)), mel_frames(mel)


def clip_scorer(scorer: Scorer, audio: NDArray[np.float32], n_frames: int) -> Callable[[DetectedFace], SyncScore | None]:
    """How well a face's lips fit 16 kHz ``audio`` (samples,), of which ``n_frames`` video frames count.

    Lost faces are interpolated. None for fewer frames than the lag search needs.
    """
    mel = mel_frames(log_mel(fit_samples(audio, n_frames)))
    return face_scorer(lambda lips: score_clip(lips, mel[: len(lips)], scorer), len(mel))


def face_scorer(score_lips: Callable[[Array], SyncScore], n_frames: int) -> Callable[[DetectedFace], SyncScore | None]:
    """``score_lips``, which takes up to ``n_frames`` frames of lip points (T, 25, 2), of faces, as `clip_scorer` says."""

    def score(face: DetectedFace) -> SyncScore | None:
        n = min(len(face), n_frames)
        found = face.found()[:n]
        if n < MAX_LAG_FRAMES + SHORTEST_OVERLAP_FRAMES or not found.any():
            return None
        flat = fill_gaps(face.normalised[:n].reshape(n, -1), found)
        return score_lips(lip_points(flat.reshape(n, -1, 3)))

    return score
