"""What a metric is: named statistics that add up, a pure function of their means, and an identity that carries the protocol.

Rows (system, clip, statistic, total, weight) are all that scoring a clip leaves; every figure follows from them, whatever their
order (WeatherBench-X keeps statistics and metrics apart in the same way). A `Measure` computes a few
statistics that belong together, a `Metric` names those it needs. To add one: write both in a file of this package and put them
into its ``MEASURES`` and ``METRICS``.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from evaluation.detected_face import DetectedFace
from space_data.avsync import SyncScore

if TYPE_CHECKING:
    from space_models.syncnet import SyncNetResult  # which imports PyTorch

ROUNDING = 1e-12
"""Share of a mean square below which a variance is nothing but rounding."""
Better = Literal["lower", "higher", "recording"]
"""``recording``: neither end is good, nearest to the recording's own value is."""
Judge = Literal["syncnet", "identity", "lpips", "whisper", "second"]
"""What a machine may lack, weights or a package: then there are no rows of it and no columns, never a stand-in."""
Need = Literal["faces", "pictures"] | Judge
"""What a measure cannot do without: a face in both videos, pictures of equal size, or one of the judges."""
JUDGES: frozenset[Judge] = frozenset(get_args(Judge))
Means = Mapping[str, float]
"""Means of the statistics that could be measured, by name."""


@dataclass(frozen=True)
class MeanStatistics:
    """Sum and number of values: the mean of a whole is the mean of any of its partitions' sums."""

    total: float = 0.0
    count: int = 0

    @staticmethod
    def of(values: NDArray[np.floating]) -> "MeanStatistics":
        """Statistics of finite ``values`` of any shape; non-finite ones (lost faces) are left out of sum and count."""
        finite = np.asarray(values, np.float64)
        finite = finite[np.isfinite(finite)]
        return MeanStatistics(math.fsum(finite.tolist()), finite.size)

    def __add__(self, other: "MeanStatistics") -> "MeanStatistics":
        return MeanStatistics(self.total + other.total, self.count + other.count)

    def mean(self) -> float | None:
        """The mean; None of nothing."""
        return self.total / self.count if self.count else None


@dataclass(frozen=True)
class Pair:
    """A recording and a system's video of the same T frames, both measured."""

    reference: DetectedFace
    candidate: DetectedFace
    speaking: NDArray[np.bool_]
    """(T,): voice activity of the sound that both have"""
    sync: SyncScore | None = None
    """of the candidate's lips with that sound; None where the clip is too short"""
    syncnet: "SyncNetResult | None" = None
    whisper: SyncScore | None = None
    """as ``sync``, on Whisper's states of that sound"""
    second: tuple[DetectedFace, DetectedFace] | None = None
    """both as the second detector sees them"""
    descriptors: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    """of both faces (frames, 128) in some frames, NaN without a face; None where the network is not installed"""
    pixels: Mapping[str, MeanStatistics] = field(default_factory=dict)
    """what was summed over pictures, by name"""


@dataclass(frozen=True)
class Measure:
    """Statistics of one pair that are computed together."""

    names: tuple[str, ...]
    of: Callable[[Pair], Mapping[str, MeanStatistics]]
    need: Need = "faces"


@dataclass(frozen=True)
class Metric:
    """A column of the benchmark. ``metric_id`` = name / protocol / version: another protocol is another column."""

    metric_id: str
    title: str
    unit: str
    better: Better
    statistics: tuple[str, ...]
    value: Callable[[Means], float | None]
    """of the means of ``statistics`` over a clip, all of them known; None where it is undefined"""
    definition: str
    source: str
    departures: str = ""
    digits: int = 3
    """decimals that the report prints"""
    needs_pose: bool = False
    """compares heads: says something of systems that are given the recording's head motion only"""

    @property
    def name(self) -> str:
        """Without protocol and version."""
        return self.metric_id.split("/")[0]


def mean_of(name: str) -> Callable[[Means], float | None]:
    """The final function of a metric that is the mean of one statistic."""
    return lambda means: means[name]


def moment_names(name: str) -> tuple[str, ...]:
    """Statistics from which `correlation_of` and `deviations_of` follow: x and y are reference and candidate."""
    return tuple(f"{name}_{part}" for part in ("x", "y", "xx", "yy", "xy"))


def moments(name: str, x: NDArray[np.floating], y: NDArray[np.floating]) -> dict[str, MeanStatistics]:
    """First and second moments of the pairs of ``x``, ``y`` (n,) of which both are finite."""
    good = np.isfinite(x) & np.isfinite(y)
    x, y = np.asarray(x, np.float64)[good], np.asarray(y, np.float64)[good]
    values = (x, y, x * x, y * y, x * y)
    return {key: MeanStatistics.of(value) for key, value in zip(moment_names(name), values, strict=True)}


def deviations_of(name: str, means: Means) -> tuple[float, float]:
    """Standard deviations of x and y; what rounding leaves of a constant is 0."""
    x, y, xx, yy, _ = (means[key] for key in moment_names(name))
    return _deviation(xx, x), _deviation(yy, y)


def correlation_of(name: str, means: Means) -> float | None:
    """Pearson's r; None when either side does not vary."""
    x, y, _, _, xy = (means[key] for key in moment_names(name))
    sd_x, sd_y = deviations_of(name, means)
    return float(np.clip((xy - x * y) / (sd_x * sd_y), -1.0, 1.0)) if sd_x > 0 and sd_y > 0 else None


def _deviation(mean_square: float, mean: float) -> float:
    variance = mean_square - mean * mean
    return math.sqrt(variance) if variance > ROUNDING * mean_square else 0.0
