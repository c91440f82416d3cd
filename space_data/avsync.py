"""How far sound and lips are apart, and how sure that is, without downloaded weights: a CCA between lip shapes and mel bands.

Canonical correlation analysis between 11 frames of mel bands (PCA 60) and 5 frames of lip and chin points in normalised space
(PCA 40), six components weighted by their canonical correlation. A segment's lag curve is the weighted correlation of the two
projections for lags of -15 ... +15 frames; its peak is the offset (**+ = audio late**), peak - median the confidence. On real
speakers it finds 98 % of 4 s windows within a frame, where mouth opening against loudness finds 29 %.

The lags of the training clips need not be known: ``fit_aligned`` starts from an untrained pairing (``untrained_curve``: lip
signals against energy at 1-2.5 kHz, 78-81 % of 4 s windows), aligns, fits, and repeats.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt
from scipy.special import ndtr, ndtri

from space_data.errors import SpaceError
from space_data.landmarks import (
    INNER_LIP_PAIRS,
    JAW,
    MOUTH,
    MOUTH_CORNERS,
    OUTER_LIP_MIDDLES,
    PoseTrack,
    normalise,
)  # fmt: skip
from space_data.speech import MEL_BANDS, mel_centres_hz
from space_data.timebase import FEATURES_PER_FRAME, VIDEO_FPS, features_before, features_to_frames, frame_start_s, frames_in

Array = NDArray[np.float32]

MAX_LAG_FRAMES = 15
LAGS = np.arange(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1)
LIP_POINTS = np.concatenate([MOUTH, JAW[6:11]])
"""Both lip outlines and the chin, of the 78."""
LIP_CONTEXT_FRAMES, MEL_CONTEXT_FRAMES = 2, 5
"""On each side."""
LIP_COMPONENTS, MEL_COMPONENTS = 40, 60
COMPONENTS = 6
SHORTEST_OVERLAP_FRAMES = 20
HIGH_PASS_HZ = 0.6
VOWEL_BAND_HZ = (1000.0, 2500.0)
"""Where the loudness of speech follows the opening of the lips best."""
DEFAULT_NULL = 0.65
"""Confidence * sqrt(seconds) that mismatched sound exceeds in 5 % of cases (study: 0.47, 0.33, 0.29, 0.21 at 2, 4, 5, 8 s)."""
NULL_MEDIAN = 0.61
"""Median of mismatched sound's confidence over its 95th percentile: 0.58-0.65, real and rendered (docs/sync.md)."""
ROUNDS = 3


@dataclass(frozen=True)
class Track:
    """Lips and sound of one segment on a common 25 fps clock that starts with the segment."""

    clip_id: str
    subject: str
    lips: Array
    """(T, 25, 2) normalised x, y of ``LIP_POINTS``, IOD"""
    mel: Array
    """(T, 40) log-mel bands, mean over each frame"""
    speech: NDArray[np.bool_]
    """(T,) at least half of the frame"""
    around: Array = field(default_factory=lambda: np.zeros((0, MEL_BANDS), np.float32))
    """(T + 2 reach, 40) ``mel`` with the clip's sound before and after, NaN where there is none; empty: not asked for"""

    def __len__(self) -> int:
        return len(self.lips)

    def shifted(self, offset_frames: int) -> tuple[Array, Array]:
        """Lips and mel with an offset (+ = audio late) taken out, cut to where both exist."""
        n, d = len(self), offset_frames
        return self.lips[max(0, -d) : n - max(0, d)], self.mel[max(0, d) : n + min(0, d)]


def lip_points(normalised: NDArray[np.floating]) -> Array:
    """Lip and chin points (T, 25, 2) of normalised landmarks (T, 78, 3)."""
    return np.asarray(normalised[:, LIP_POINTS, :2], np.float32)


def mel_frames(log_mel: Array) -> Array:
    """Log-mel features (4 T, 40) at 100 Hz averaged over each 25 fps frame, (T, 40)."""
    return features_to_frames(log_mel).mean(axis=1)


def make_track(
    clip_id: str, subject: str, pts_s: NDArray[np.float64], landmarks_px: Array, pose: PoseTrack,
    log_mel: Array, speech: NDArray[np.bool_], start_s: float, end_s: float, reach_frames: int = 0,
) -> Track | None:  # fmt: skip
    """Put a segment's source frames and 100 Hz features on the 25 fps clock.

    Args:
        pts_s, landmarks_px, pose: the segment's source frames, (S,), (S, 78, 3), (S,); frames without a face are NaN.
        log_mel, speech: the whole clip's features from its time 0, (F, 40), (F,).
        start_s, end_s: the segment.
        reach_frames: so much of the clip's sound on each side is kept as ``Track.around``; 0: none.

    Returns:
        None if there are not two frames with a face or no sound.
    """
    seen = np.isfinite(pose.scale)
    begin = int(features_before(start_s))
    n_frames = min(frames_in(end_s - start_s), len(features_to_frames(log_mel[begin:])))
    if seen.sum() < 2 or n_frames < 1:
        return None
    points = lip_points(normalise(landmarks_px[seen], pose[seen])).reshape(int(seen.sum()), -1)
    times_s = start_s + np.array([frame_start_s(i) for i in range(n_frames)])
    lips = np.stack([np.interp(times_s, pts_s[seen], column) for column in points.T], axis=1)
    spoken = features_to_frames(speech[begin:, None].astype(np.float32)).mean(axis=(1, 2)) >= 0.5
    return Track(
        clip_id, subject, lips.reshape(n_frames, len(LIP_POINTS), 2).astype(np.float32),
        mel_frames(log_mel[begin:])[:n_frames], spoken[:n_frames],
        *([_around(log_mel, begin, n_frames, reach_frames)] if reach_frames else []),
    )  # fmt: skip


def _around(log_mel: Array, begin: int, n_frames: int, reach_frames: int) -> Array:
    """``mel_frames`` from ``reach_frames`` before feature ``begin`` to so many after ``n_frames``; NaN beyond the clip's ends."""
    first, end = begin - FEATURES_PER_FRAME * reach_frames, begin + FEATURES_PER_FRAME * (n_frames + reach_frames)
    inside = log_mel[max(0, first) : max(0, end)]
    padded = np.full((end - first, log_mel.shape[1]), np.nan, np.float32)
    padded[max(0, -first) : max(0, -first) + len(inside)] = inside
    return mel_frames(padded)


def _context(values: NDArray[np.floating], each_side: int) -> NDArray[np.float64]:
    """Centred values (T, n) with their neighbours in time, (T, n * (2 * each_side + 1)); ends are held."""
    centred = np.asarray(values, np.float64) - values.mean(axis=0)
    padded = np.pad(centred, ((each_side, each_side), (0, 0)), mode="edge")
    return np.concatenate([padded[i : i + len(values)] for i in range(2 * each_side + 1)], axis=1)


def lip_context(lips: Array) -> NDArray[np.float64]:
    """Lip points (T, 25, 2) with their neighbours in time, (T, 250): what ``Scorer.lip_map`` maps."""
    return _context(lips.reshape(len(lips), -1), LIP_CONTEXT_FRAMES)


def mel_context(mel: Array) -> NDArray[np.float64]:
    """Mel bands (T, 40) with their neighbours in time, (T, 440): what ``Scorer.mel_map`` maps."""
    return _context(mel, MEL_CONTEXT_FRAMES)


@dataclass(frozen=True)
class Scorer:
    """A fitted CCA; maps already contain the PCA.

    ``lip_map`` (250, 6), ``mel_map`` (440, 6), ``weights`` (6,) canonical correlations normalised to a sum of 1.
    """

    lip_map: NDArray[np.float64]
    mel_map: NDArray[np.float64]
    weights: NDArray[np.float64]
    null: float
    """what mismatched sound's confidence * sqrt(seconds) exceeds in 5 % of cases"""
    fitted_on: str

    def curve(self, lips: Array, mel: Array) -> NDArray[np.float64]:
        """Lag curve (31,) of lips (T, 25, 2) against mel (T, 40) for ``LAGS``."""
        return lag_curve(lip_context(lips) @ self.lip_map, mel_context(mel) @ self.mel_map, self.weights)

    def threshold(self, n_frames: int) -> float:
        """Confidence that mismatched sound of this length reaches in 5 % of cases."""
        return self.null / float(np.sqrt(frame_start_s(max(n_frames, 1))))

    def chance(self, confidence: float, n_frames: int) -> float:
        """Share of mismatched sound of this length that scores at least so high: a normal law through its median and ``null``.

        Measured on 5,700 real and 3,500 rendered pairs, the 90th, 99th and 99.9th percentiles lie at 0.90, 1.17 and 1.35 times
        the 95th; this law says 0.91, 1.16 and 1.34. (A Gumbel law through the same two points says 0.89, 1.24 and 1.59: its tail
        is too heavy by a factor of 10 at 1.5 times ``null``.)
        """
        level = confidence * float(np.sqrt(frame_start_s(max(n_frames, 1)))) / self.null
        return float(ndtr(-(level - NULL_MEDIAN) / (1.0 - NULL_MEDIAN) * ndtri(0.95)))

    def save(self, path: Path | str) -> None:
        """Write to an ``.npz`` file (no pickles, no time stamps)."""
        with open(path, "wb") as file:
            np.savez(
                file, lip_map=self.lip_map.astype(np.float32), mel_map=self.mel_map.astype(np.float32), weights=self.weights,
                null=np.float64(self.null), fitted_on=np.array(self.fitted_on),
            )  # fmt: skip

    @staticmethod
    def load(path: Path | str) -> "Scorer":
        """Read what ``save`` wrote.

        Raises:
            SpaceError: no such file.
        """
        if not Path(path).is_file():
            raise SpaceError(f"{path}: no such scorer (fit one with `python -m pipelines.stages.sync --export`)")
        with np.load(path) as data:
            maps = data["lip_map"].astype(np.float64), data["mel_map"].astype(np.float64)
            return Scorer(*maps, data["weights"], float(data["null"]), str(data["fitted_on"]))


def lag_curve(left: NDArray[np.float64], right: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean correlation of the columns of ``left`` (T, k) at t with those of ``right`` (T, k) at t + lag: (31,).

    Lags that leave fewer than 20 frames of overlap get 0.
    """
    curve = np.zeros(len(LAGS))
    n = len(left)
    for i, lag in enumerate(LAGS):
        a, b = left[max(0, -lag) : n - max(0, lag)], right[max(0, lag) : n + min(0, lag)]
        if len(a) < SHORTEST_OVERLAP_FRAMES:
            continue
        # `np.add.reduce`: of so few numbers a sum is mostly the way to it, and these curves are most of what a fit takes.
        a, b = a - np.add.reduce(a) / len(a), b - np.add.reduce(b) / len(b)
        norm = np.sqrt(np.add.reduce(a * a) * np.add.reduce(b * b))
        curve[i] = np.add.reduce(weights * np.add.reduce(a * b) / np.maximum(norm, 1e-12))
    return curve


def untrained_curve(lips: Array, mel: Array) -> NDArray[np.float64]:
    """Lag curve of five lip signals against the energy at 1-2.5 kHz, all high-passed at 0.6 Hz: needs no training."""
    centres = mel_centres_hz()
    band = mel[:, (centres >= VOWEL_BAND_HZ[0]) & (centres <= VOWEL_BAND_HZ[1])].mean(axis=1, keepdims=True)
    where = {int(point): i for i, point in enumerate(LIP_POINTS)}
    y = lips[..., 1]
    upper, lower = (where[p] for p in OUTER_LIP_MIDDLES)
    corners = [where[p] for p in MOUTH_CORNERS]
    outer = y[:, lower] - y[:, upper]
    inner = np.mean([y[:, where[b]] - y[:, where[a]] for a, b in INNER_LIP_PAIRS], axis=0)
    area = outer * np.linalg.norm(lips[:, corners[1]] - lips[:, corners[0]], axis=-1)
    signals = np.stack([outer, inner, y[:, lower], y[:, len(MOUTH) :].mean(axis=1), area], axis=1)
    if len(lips) < SHORTEST_OVERLAP_FRAMES:
        return np.zeros(len(LAGS))
    high_pass = butter(2, HIGH_PASS_HZ, "highpass", fs=VIDEO_FPS, output="sos")
    left, right = (sosfiltfilt(high_pass, s, axis=0, padlen=min(len(lips) - 1, VIDEO_FPS)) for s in (signals, band))
    n = signals.shape[1]
    return lag_curve(left, np.repeat(right, n, axis=1), np.full(n, 1 / n))


@dataclass(frozen=True)
class Moments:
    """All that a CCA needs of ``n`` centred rows (n, p) and (n, q): their sums of products (p, p), (q, q) and (p, q)."""

    n: int = 0
    left: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    right: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    both: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))

    @staticmethod
    def of(left: NDArray[np.float64], right: NDArray[np.float64]) -> "Moments":
        """Those of centred rows (T, p) and (T, q)."""
        return Moments(len(left), left.T @ left, right.T @ right, left.T @ right)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.n + other.n, self.left + other.left, self.right + other.right, self.both + other.both)


def moments_of(lips: Array, mel: Array) -> Moments:
    """Those of one track's lips (T, 25, 2) and mel (T, 40) with their neighbours in time, each centred on its own mean."""
    return Moments.of(lip_context(lips), mel_context(mel))


def fit(pairs: Iterable[tuple[Array, Array]], fitted_on: str, null: float = DEFAULT_NULL) -> Scorer:
    """Fit the CCA to aligned pairs of lips (T, 25, 2) and mel (T, 40), each centred on its own mean."""
    return _fitted(reduce(add, (moments_of(*pair) for pair in pairs), Moments()), fitted_on, null)


def _fitted(moments: Moments, fitted_on: str, null: float = DEFAULT_NULL) -> Scorer:
    lip_map, mel_map, correlation = cca(moments, LIP_COMPONENTS, MEL_COMPONENTS)
    return Scorer(lip_map, mel_map, correlation / correlation.sum(), null, fitted_on)


def cca(
    moments: Moments, left_components: int, right_components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Maps (p, 6) and (q, 6) of centred rows (T, p) and (T, q), each reduced by PCA, and their correlations (6,)."""
    n = moments.n
    left_axes = _principal_axes(moments.left / n, left_components)
    right_axes = _principal_axes(moments.right / n, right_components)
    u, correlation, vt = np.linalg.svd(left_axes.T @ moments.both @ right_axes / n, full_matrices=False)  # both sides are white
    return left_axes @ u[:, :COMPONENTS], right_axes @ vt[:COMPONENTS].T, correlation[:COMPONENTS]


def _principal_axes(moment: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Whitening PCA axes (n, count) of data with this second moment (n, n): projections have unit variance."""
    variance, axes = np.linalg.eigh(moment)
    order = np.argsort(variance)[::-1][:count]
    scale = np.sqrt(np.maximum(variance[order], variance.max() * 1e-9))
    axes = axes[:, order] * np.sign(axes[np.abs(axes[:, order]).argmax(axis=0), order])  # eigh leaves the signs open
    return axes / scale


def folds_of(tracks: Sequence[Track], count: int) -> NDArray[np.int64]:
    """Fold number per track, (n,): speakers are kept together and dealt out in turn, the longest first."""
    length: dict[str, int] = {}
    for track in tracks:
        length[track.subject] = length.get(track.subject, 0) + len(track)
    order = sorted(length, key=lambda subject: (-length[subject], subject))
    fold = {subject: i % count for i, subject in enumerate(order)}
    return np.array([fold[track.subject] for track in tracks], np.int64)


def fit_aligned(
    tracks: Sequence[Track], folds: NDArray[np.int64], fitted_on: str, reference_frames: NDArray[np.int64]
) -> list[Scorer]:
    """One scorer per fold, each fitted on the other folds' tracks, whose offsets are found on the way (EM).

    Starts from ``untrained_curve``. A scorer cannot know absolute time (training clips that are all late teach it that late is
    right), so after each round the offsets are moved as a whole until they agree, in the median, with ``reference_frames`` (n,):
    another scorer's offsets, or zeros for a corpus that is known to be in sync. The untrained pairing is no such reference: it
    finds the default corpus, whose truth is 0, at -1.
    """
    offsets = np.array([int(LAGS[untrained_curve(t.lips, t.mel).argmax()]) for t in tracks])
    scorers: list[Scorer] = []
    for _ in range(ROUNDS):
        without = [Moments() for _ in range(int(folds.max()) + 1)]
        for track, offset, own in zip(tracks, offsets, folds, strict=True):
            moments = moments_of(*track.shifted(int(offset)))  # once per track: all folds but its own take it in
            without = [known if fold == own else known + moments for fold, known in enumerate(without)]
        scorers = [_fitted(moments, f"{fitted_on}, without fold {fold}") for fold, moments in enumerate(without)]
        curves = np.array([scorers[f].curve(t.lips, t.mel) for t, f in zip(tracks, folds, strict=True)])
        found = LAGS[curves.argmax(axis=1)]
        sure = curves.max(axis=1) - np.median(curves, axis=1)
        trusted = sure >= np.median(sure)
        drift = int(np.round(np.median((found - reference_frames)[trusted])))
        offsets = np.clip(found - drift, -MAX_LAG_FRAMES, MAX_LAG_FRAMES)
    return scorers


@dataclass(frozen=True)
class SyncScore:
    """What a lag curve says. Offset + = audio late; ``at_zero`` is the curve's maximum over lags -1 ... 1."""

    offset_frames: int
    confidence: float
    at_zero: float


def read_curve(curve: NDArray[np.float64]) -> SyncScore:
    """Offset, confidence and score in place of a lag curve (31,)."""
    peak = int(curve.argmax())
    at_zero = float(curve[MAX_LAG_FRAMES - 1 : MAX_LAG_FRAMES + 2].max())
    return SyncScore(int(LAGS[peak]), float(curve[peak] - np.median(curve)), at_zero)


def window_starts(n_frames: int, window_frames: int, hop_frames: int) -> list[int]:
    """First frames of the windows over ``n_frames``; a shorter segment is one window."""
    return list(range(0, n_frames - window_frames + 1, hop_frames)) or [0]


def window_curves(
    track: Track, scorer: Scorer, window_frames: int, hop_frames: int, least_speech: float
) -> list[tuple[int, NDArray[np.float64], float]]:
    """(first frame, lag curve, speech share) of the windows with enough speech; of all windows if none has."""
    every = []
    for begin in window_starts(len(track), window_frames, hop_frames):
        part = slice(begin, begin + window_frames)
        every.append((begin, scorer.curve(track.lips[part], track.mel[part]), float(track.speech[part].mean())))
    return [w for w in every if w[2] >= least_speech] or every


def score_clip(lips: Array, mel: Array, scorer: Scorer) -> SyncScore:
    """Offset, confidence and score in place of one clip: lips (T, 25, 2) from ``lip_points``, mel (T, 40) from ``mel_frames``.

    Raises:
        SpaceError: lips and mel differ in shape or length, or are shorter than 20 frames.
    """
    if lips.shape != (len(mel), len(LIP_POINTS), 2) or mel.shape[1:] != (MEL_BANDS,):
        raise SpaceError(f"sync: lips {lips.shape} and mel {mel.shape}, need (T, {len(LIP_POINTS)}, 2) and (T, {MEL_BANDS})")
    if len(lips) < SHORTEST_OVERLAP_FRAMES:
        raise SpaceError(f"sync: {len(lips)} frames, need {SHORTEST_OVERLAP_FRAMES} or more")
    return read_curve(scorer.curve(lips, mel))


def null_level(tracks: Sequence[Track], folds: NDArray[np.int64], scorers: Sequence[Scorer], per_track: int = 8) -> float:
    """95th percentile of confidence * sqrt(seconds) over lips paired with other speakers' sound, backwards (``Scorer.null``).

    Backwards, because in many corpora all speakers say the same sentences: forwards, a hundredth of the default corpus' pairs
    of 5 s exceed the 95th percentile twofold, backwards none; where no sentence is repeated both levels agree within 3 %.
    Lips are scored by the scorer that has not seen their speaker. The default if there are fewer than 20 such pairs.
    """
    values = []
    for i, track in enumerate(tracks):
        others = [t for t in (*tracks[i + 1 :], *tracks[:i]) if t.subject != track.subject][:per_track]
        for other in others:
            n = min(len(track), len(other))
            if n >= 2 * MAX_LAG_FRAMES + SHORTEST_OVERLAP_FRAMES:
                curve = scorers[folds[i]].curve(track.lips[:n], other.mel[:n][::-1])
                values.append(read_curve(curve).confidence * np.sqrt(frame_start_s(n)))
    return float(np.percentile(values, 95)) if len(values) >= 20 else DEFAULT_NULL
