"""How much two takes of one clip differ: of ours with two seeds, of a person in two recordings. Shown apart; it ranks nobody.

Measured on tracks, what all our renderers draw: no detector's jitter is in them, and a seed costs no picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.entry import MeanStatistics, Metric
from evaluation.metrics.head import mean_rotation, root_of, rotation_angle_deg
from space_data.landmarks import PoseTrack, eye_aspect_ratio, gaze

NAMES = ("head_spread_square", "lid_spread_square", "gaze_spread_square")


@dataclass(frozen=True)
class Take:
    """How head, lids and eyes move in T frames, each about its own mean: where a camera stands is no diversity."""

    rotation: NDArray[np.float64]
    """(T, 3, 3) from the mean head"""
    eye_opening: NDArray[np.float64]
    """(T,) mean eye aspect ratio of both eyes"""
    gaze: NDArray[np.float64]
    """(T,) horizontal, eye widths"""

    @staticmethod
    def of(normalised: NDArray[np.float32], pose: PoseTrack) -> "Take":
        """From landmarks (T, 78, 3) and the head's pose, T >= 1; a face in every frame."""
        rotation = pose.rotation().astype(np.float64)
        opening, looks = eye_aspect_ratio(normalised).mean(-1).astype(np.float64), gaze(normalised)[:, 0].astype(np.float64)
        return Take(mean_rotation(rotation).T @ rotation, opening - opening.mean(), looks - looks.mean())

    def first(self, n_frames: int) -> "Take":
        """The first ``n_frames`` frames, about the mean of all."""
        return Take(self.rotation[:n_frames], self.eye_opening[:n_frames], self.gaze[:n_frames])


def spread(pairs: Sequence[tuple[Take, Take]]) -> dict[str, MeanStatistics]:
    """Squares of the differences of two takes, frame by frame, over all ``pairs``; of unequal lengths the common beginning."""
    sums = [MeanStatistics()] * len(NAMES)
    for one, other in pairs:
        n = min(len(one.gaze), len(other.gaze))
        differences = (
            rotation_angle_deg(one.rotation[:n], other.rotation[:n]), one.eye_opening[:n] - other.eye_opening[:n],
            one.gaze[:n] - other.gaze[:n],
        )  # fmt: skip
        sums = [known + MeanStatistics.of(values * values) for known, values in zip(sums, differences, strict=True)]
    return dict(zip(NAMES, sums, strict=True))


def between(takes: Sequence[Take]) -> dict[str, MeanStatistics]:
    """`spread` over all pairs of ``takes``."""
    return spread(list(combinations(takes, 2)))


_SOURCE = "Ours. Tracks: what our models give all renderers; of recordings those of MediaPipe FaceMesh, not smoothed."
_DEPARTURES = "Each take about its own mean. A take without motion differs from another by as much as that one moves."


def _metric(name: str, title: str, unit: str, statistic: str, what: str, digits: int) -> Metric:
    definition = f"Root mean square difference of {what} between two takes, frame by frame, over all pairs of takes."
    return Metric(
        f"{name}/rms-pairs-tracks/v1", title, unit, "recording", (statistic,), root_of(statistic), definition, _SOURCE,
        _DEPARTURES, digits,
    )  # fmt: skip


METRICS = (
    _metric("head_diversity_deg", "head", "degrees", NAMES[0], "the head's rotation", 2),
    _metric("lid_diversity", "lids", "eye aspect ratio", NAMES[1], "the eyes' opening", 3),
    _metric("gaze_diversity", "gaze", "eye widths", NAMES[2], "the irises' horizontal place between the eye corners", 3),
)
