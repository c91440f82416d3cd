"""The headline: do the lips move as the recording's do, at the same time and as far?

Lips against the recording's lips, not against the sound: a judge that hears can be beaten by averaging (a ridge regression from
mel to lips scores .92 on a CCA where recorded lips score .58), a recording cannot.
"""

import math

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.entry import (
    Means,
    MeanStatistics,
    Measure,
    Metric,
    Pair,
    correlation_of,
    deviations_of,
    mean_of,
    moment_names,
    moments,
)
from space_data.closures import CLOSED_GAP_IOD, CLOSURE_TOLERANCE_FRAMES, Closures
from space_data.landmarks import lip_gap

LARGEST_LAG_FRAMES = 15
SHORTEST_OVERLAP_FRAMES = 20
STILL_RATIO = 0.05
"""Lips that move less than this share of the recording's are still: what is left is the detector's jitter."""
LEAST_R = 0.4
"""A lag is told only where lips agree so well at it. Of two recordings of other words the best of 31 lags stays below .31 in 95 %
of the pairs at 125 frames, below .42 at 75 (default corpus)."""
DETECTOR = "MediaPipe FaceMesh 0.10.21 (refined), 78 points, pose removed by a 3-D similarity on 32 upper-face points"


def _gaps(pair: Pair) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return lip_gap(pair.reference.normalised), lip_gap(pair.candidate.normalised)


def lip_moments(pair: Pair) -> dict[str, MeanStatistics]:
    """Joint moments of the two inner-lip openings, IOD, and of their changes from frame to frame; gaps are not bridged."""
    reference, candidate = _gaps(pair)
    return moments("lip_gap", reference, candidate) | moments("lip_velocity", np.diff(reference), np.diff(candidate))


def lip_lag(pair: Pair) -> dict[str, MeanStatistics]:
    """At which lag (frames, + = the candidate's lips are late) the lips' velocities agree best; nothing where they do not."""
    reference, candidate = (np.diff(gap) for gap in _gaps(pair))
    lag = best_lag(reference, candidate)
    return {"lip_lag": MeanStatistics() if lag is None else MeanStatistics(float(lag), 1)}


def best_lag(reference: NDArray[np.floating], candidate: NDArray[np.floating]) -> int | None:
    """Lag of ``candidate`` (n,) behind ``reference`` (n,) of the largest Pearson r within +-15 frames; None below ``LEAST_R``."""
    curve = {}
    for lag in range(-LARGEST_LAG_FRAMES, LARGEST_LAG_FRAMES + 1):
        x, y = reference[max(-lag, 0) : len(reference) - max(lag, 0)], candidate[max(lag, 0) : len(candidate) - max(-lag, 0)]
        r = correlation(x, y) if len(x) >= SHORTEST_OVERLAP_FRAMES else None
        if r is not None:
            curve[lag] = r
    best = max(curve, key=lambda lag: (curve[lag], -abs(lag)), default=None)
    return None if best is None or curve[best] < LEAST_R else best


def correlation(x: NDArray[np.floating], y: NDArray[np.floating]) -> float | None:
    """Pearson's r of the pairs (n,) of which both are finite; None when either does not vary."""
    sums = {key: value.mean() for key, value in moments("", x, y).items()}
    means = {key: value for key, value in sums.items() if value is not None}
    return correlation_of("", means) if means else None


def closures(pair: Pair) -> dict[str, MeanStatistics]:
    """Counts of closed frames among the frames of speech with a face in both, per frame of speech (`Closures`)."""
    reference, candidate = _gaps(pair)
    seen = np.isfinite(reference) & np.isfinite(candidate) & pair.speaking
    found = Closures.of(candidate, reference, seen)
    counts = (found.predicted, found.predicted_rightly, found.measured, found.measured_found)
    return {name: MeanStatistics(float(count), found.frames) for name, count in zip(CLOSURE_COUNTS, counts, strict=True)}


CLOSURE_COUNTS = ("closed", "closed_rightly", "recording_closed", "recording_closed_found")
MEASURES = (
    Measure((*moment_names("lip_gap"), *moment_names("lip_velocity")), lip_moments),
    Measure(("lip_lag",), lip_lag),
    Measure(CLOSURE_COUNTS, closures),
)


def _moves(means: Means) -> bool | None:
    """Whether the candidate's lips move at all; None where the recording's do not."""
    recorded, made = deviations_of("lip_gap", means)
    return made >= STILL_RATIO * recorded if recorded > 0 else None


def _r_of(name: str, means: Means) -> float | None:
    moves = _moves(means)
    return (correlation_of(name, means) or 0.0) if moves else None if moves is None else 0.0


def log_amplitude(means: Means) -> float | None:
    """Natural logarithm of the candidate's s.d. over the recording's; a still mouth counts as ``STILL_RATIO``."""
    recorded, made = deviations_of("lip_gap", means)
    return math.log(max(made / recorded, STILL_RATIO)) if recorded > 0 else None


def closure_f1(means: Means) -> float | None:
    """Harmonic mean of precision and recall; None where the recording never closes."""
    closed, rightly, recorded, found = (means[name] for name in CLOSURE_COUNTS)
    if recorded == 0:
        return None
    precision, recall = rightly / closed if closed else 0.0, found / recorded
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


STILL_RULE = f"Lips that move less than {STILL_RATIO:.0%} of the recording's (s.d.) have r = 0: what they show is jitter."
LIP_VELOCITY_R = Metric(
    "lip_velocity_r/pearson/v1", "lip-velocity correlation", "", "higher",
    (*moment_names("lip_gap"), *moment_names("lip_velocity")), lambda means: _r_of("lip_velocity", means),
    "Pearson correlation between the frame-to-frame changes of the two videos' inner-lip openings, at lag 0.",
    f"Ours. {DETECTOR}.", STILL_RULE, 2,
)  # fmt: skip
LIP_GAP_R = Metric(
    "lip_gap_r/pearson/v2", "lip-gap correlation", "", "higher", moment_names("lip_gap"), lambda means: _r_of("lip_gap", means),
    "Pearson correlation between the inner-lip openings of the two videos over the clip.", f"Ours. {DETECTOR}.", STILL_RULE, 2,
)  # fmt: skip
LIP_LAG = Metric(
    "lip_lag_frames/velocity-15/v1", "lip lag", "frames", "recording", ("lip_lag",), mean_of("lip_lag"),
    f"Lag within +-{LARGEST_LAG_FRAMES} frames at which the lips' velocities correlate best; + = later than the recording's.",
    f"Ours. {DETECTOR}.", f"Not available where the best correlation stays below {LEAST_R:g}: then no lag can be told.", 1,
)  # fmt: skip
LIP_AMPLITUDE = Metric(
    "lip_amplitude_log/sd-gap/v1", "log lip amplitude", "", "recording", moment_names("lip_gap"), log_amplitude,
    "Natural logarithm of the standard deviation of the inner-lip opening over the recording's: 0 as far as life, -0.7 half, "
    "+0.7 twice. Sees the mumbling that correlations do not.",
    f"Ours. {DETECTOR}.", f"A still mouth counts as {STILL_RATIO:.0%}.", 2,
)  # fmt: skip
CLOSURE_F1 = Metric(
    f"closure_f1/gap{CLOSED_GAP_IOD:g}-within{CLOSURE_TOLERANCE_FRAMES}/v1", "closure F1", "", "higher",
    CLOSURE_COUNTS, closure_f1,
    f"Frames of speech with an inner-lip opening below {CLOSED_GAP_IOD:g} IOD in one video that have one in the other within "
    f"{CLOSURE_TOLERANCE_FRAMES} frames; F1 of precision and recall.",
    f"Ours. {DETECTOR}; voice activity by Silero.",
    "Chance is far from 0: read it beside mismatched audio, which closes as often at other times.", 2,
)  # fmt: skip
METRICS = (LIP_VELOCITY_R, LIP_LAG, LIP_AMPLITUDE, CLOSURE_F1, LIP_GAP_R)
