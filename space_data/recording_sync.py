"""The audio-visual offset of a whole recording, from the evidence of all its segments together.

Offset is a property of the recording: a segment of 2-4 s is often uncertain alone where all of them together are not. Each
segment's windows are compared with the clip's own sound *around* them, so that lags of 1.5 s cost no overlap; their lag curves
are added with the weight of what they compared, and the sum is read once over all lags. Sound that is a second late shows as a
peak there, where a search over +-15 frames finds nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space_data.avsync import (
    MAX_LAG_FRAMES,
    SHORTEST_OVERLAP_FRAMES,
    Array,
    Scorer,
    Track,
    lip_context,
    mel_context,
    window_starts,
)  # fmt: skip
from space_data.timebase import frame_start_s

SEARCH_FACTOR = 1.1
"""What a peak beyond the +-15 frames that are usual must reach more: there are many more lags for chance to choose from."""

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """Sum of lag curves: ``weighted``, ``weight`` (2 reach + 1,) over lags of -reach ... +reach; ``covered`` frames of lips."""

    weighted: Curve
    weight: Curve
    covered: int

    @property
    def curve(self) -> Curve:
        """The weighted mean curve; 0 at lags that nothing was compared at."""
        return np.where(self.weight > 0, self.weighted / np.maximum(self.weight, 1e-12), 0.0)


@dataclass(frozen=True)
class RecordingOffset:
    """What a recording's curve says. Offset in frames, to a part of one, + = audio late."""

    offset_frames: float
    confidence: float
    """peak of the curve over its median"""
    threshold: float
    """what mismatched sound of this length exceeds in 5 % of cases"""
    lead: float
    """how far the peak stands above the best of the usual lags, -15 ... +15 frames; 0 if it is that"""


def reaching_curve(lips: Array, around: Array, scorer: Scorer) -> tuple[Curve, Curve]:
    """Lag curve of lips (T, 25, 2) against sound that reaches beyond them, and the number of frames compared at each lag.

    Args:
        around: (T + 2 reach, 40) mel bands from ``reach`` frames before the lips on; NaN rows where the clip has no sound.

    Returns:
        (2 reach + 1,) each, for lags of -reach ... +reach; lags with fewer than 20 frames of sound have a weight of 0.
    """
    reach = (len(around) - len(lips)) // 2
    lags = 2 * reach + 1
    known = np.isfinite(around[:, 0])
    curve, compared = np.zeros(lags), np.zeros(lags)
    if known.sum() < SHORTEST_OVERLAP_FRAMES:
        return curve, compared
    at = np.flatnonzero(known)
    held = around[np.clip(np.arange(len(around)), at[0], at[-1])]  # sound has no holes, only ends
    left, right = lip_context(lips) @ scorer.lip_map, mel_context(held) @ scorer.mel_map
    for lag in range(lags):
        inside = known[lag : lag + len(lips)]
        if inside.sum() < SHORTEST_OVERLAP_FRAMES:
            continue
        a, b = left[inside], right[lag : lag + len(lips)][inside]
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        norm = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
        curve[lag] = (scorer.weights * (a * b).sum(axis=0) / np.maximum(norm, 1e-12)).sum()
        compared[lag] = inside.sum()
    return curve, compared


def pool(tracks: Sequence[Track], scorer: Scorer, window_frames: int, hop_frames: int, least_speech: float) -> Pool:
    """The evidence of all segments of one recording, at least one; each must know the sound around it.

    As for a segment alone, windows with too little speech count only where a segment has no other.
    """
    pools = [_pool_of(track, scorer, window_frames, hop_frames, least_speech) for track in tracks]
    weighted, weight = (np.sum(parts, axis=0) for parts in zip(*((p.weighted, p.weight) for p in pools), strict=True))
    return Pool(weighted, weight, sum(p.covered for p in pools))


def _pool_of(track: Track, scorer: Scorer, window_frames: int, hop_frames: int, least_speech: float) -> Pool:
    reach = (len(track.around) - len(track)) // 2
    every = [range(b, min(b + window_frames, len(track))) for b in window_starts(len(track), window_frames, hop_frames)]
    used = [w for w in every if track.speech[w.start : w.stop].mean() >= least_speech] or every
    curves = [
        reaching_curve(track.lips[w.start : w.stop], track.around[w.start : w.stop + 2 * reach], scorer) for w in used
    ]
    covered = len({frame for w in used for frame in w})
    share = covered / sum(len(w) for w in used)  # windows overlap: what two of them compared counts once
    weight = share * np.sum([compared for _, compared in curves], axis=0)
    return Pool(share * np.sum([curve * compared for curve, compared in curves], axis=0), weight, covered)


def read_pool(pooled: Pool, scorer: Scorer) -> RecordingOffset:
    """Offset and confidence of a recording, the peak placed between frames by a parabola through its neighbours."""
    curve = pooled.curve
    peak = int(curve.argmax())
    shift = 0.0
    if 0 < peak < len(curve) - 1 and (pooled.weight[peak - 1 : peak + 2] > 0).all():
        before, top, after = curve[peak - 1 : peak + 2]
        bend = before - 2 * top + after
        shift = float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0
    middle = len(curve) // 2
    factor = SEARCH_FACTOR if abs(peak - middle) > MAX_LAG_FRAMES else 1.0
    usual = curve[max(0, middle - MAX_LAG_FRAMES) : middle + MAX_LAG_FRAMES + 1]
    return RecordingOffset(
        peak - middle + shift, float(curve[peak] - np.median(curve[pooled.weight > 0])) if pooled.weight.any() else 0.0,
        factor * scorer.null / float(np.sqrt(frame_start_s(max(pooled.covered, 1)))), float(curve[peak] - usual.max()),
    )  # fmt: skip
