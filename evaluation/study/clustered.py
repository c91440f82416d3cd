"""Rates and their 95 % intervals when votes share raters and clips.

Votes of one rater are alike, and so are votes on one clip. The variance counts both: Cameron, Gelbach and Miller, "Robust
inference with multiway clustering" (Journal of Business & Economic Statistics 29, 2011), V = V_rater + V_clip - V_rater-and-clip,
each with the factor G / (G - 1), and never below either of the one-way variances (the difference can come out too small, even
negative). Quantiles are Student's with min(raters, clips) - 1 degrees of freedom. Rates are taken on the logit scale, so that
intervals stay within 0 and 1. Where all clusters say the same, no variance can be seen: the interval is then Clopper and
Pearson's, as if each rater, or clip if those are fewer, were one draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from space_data.errors import SpaceError

CONFIDENCE = 0.95
INDIFFERENT = 0.5


@dataclass(frozen=True)
class Clustering:
    """Which rater and which clip each of n votes belongs to, as whole numbers from 0."""

    raters: NDArray[np.int64]
    clips: NDArray[np.int64]

    @staticmethod
    def of(raters: Sequence[str], clips: Sequence[str]) -> "Clustering":
        """From names."""
        return Clustering(*(np.unique(list(names), return_inverse=True)[1] for names in (raters, clips)))

    @property
    def n_raters(self) -> int:
        """How many there are."""
        return len(np.unique(self.raters))

    @property
    def n_clips(self) -> int:
        """How many there are."""
        return len(np.unique(self.clips))

    @property
    def smallest(self) -> int:
        """Clusters on the coarser side; of a study of one clip, the raters alone."""
        return self.n_raters if self.n_clips == 1 else min(self.n_raters, self.n_clips)

    @property
    def quantile(self) -> float:
        """Student's, for a 95 % interval."""
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.smallest - 1))

    def variance(self, influence: NDArray[np.float64]) -> float:
        """Variance of a statistic whose votes have ``influence`` (n,): the statistic's error is about their sum.

        Raises:
            SpaceError: a single rater, of whom nothing can be said beyond this rater.
        """
        if self.n_raters < 2:
            raise SpaceError("study: votes of 1 rater, need 2 or more for an interval")
        by_rater = _one_way(influence, self.raters)
        if self.n_clips < 2:
            return by_rater
        by_clip = _one_way(influence, self.clips)
        by_both = _one_way(influence, self.raters * (int(self.clips.max()) + 1) + self.clips)
        return max(by_rater + by_clip - by_both, by_rater, by_clip)


def _one_way(influence: NDArray[np.float64], clusters: NDArray[np.int64]) -> float:
    sums = np.bincount(np.unique(clusters, return_inverse=True)[1], influence)
    return float((sums**2).sum() * len(sums) / (len(sums) - 1)) if len(sums) > 1 else 0.0


@dataclass(frozen=True)
class Rate:
    """How often the first of a pair is preferred, a tie as half; None: a single rater, so no interval."""

    rate: float
    low: float | None
    high: float | None
    p_value: float | None
    """two-sided, against one half"""
    wins: int
    ties: int
    losses: int
    n_raters: int
    n_clips: int

    @property
    def n_votes(self) -> int:
        """How many there are."""
        return self.wins + self.ties + self.losses


def rate_of(scores: NDArray[np.float64], clusters: Clustering) -> Rate:
    """Mean of ``scores`` (n,), each 1, 0.5 or 0, with its interval.

    Raises:
        SpaceError: there are none.
    """
    n = len(scores)
    if not n:
        raise SpaceError("study: no votes to take a rate of")
    mean = float(scores.mean())
    wins, ties, losses = (int((scores == value).sum()) for value in (1.0, 0.5, 0.0))
    low = high = p_value = None
    if clusters.n_raters > 1:
        low, high, p_value = _interval(mean, clusters.variance((scores - mean) / n), clusters)
    return Rate(mean, low, high, p_value, wins, ties, losses, clusters.n_raters, clusters.n_clips)


def _interval(mean: float, variance: float, clusters: Clustering) -> tuple[float, float, float]:
    """Low, high, p."""
    if variance < 1e-12 or not 0 < mean < 1:
        n = clusters.smallest
        wins, tail = mean * n, (1 - CONFIDENCE) / 2
        low = float(stats.beta.ppf(tail, wins, n - wins + 1)) if wins > 0 else 0.0
        high = float(stats.beta.ppf(1 - tail, wins + 1, n - wins)) if wins < n else 1.0
        p_value = 2 * INDIFFERENT**n if mean in (0.0, 1.0) else 1.0
        return low, high, min(1.0, p_value)
    logit, slope = float(np.log(mean / (1 - mean))), 1 / (mean * (1 - mean))
    error = slope * variance**0.5
    bounds = (1 / (1 + np.exp(-(logit + sign * clusters.quantile * error))) for sign in (-1, 1))
    low, high = map(float, bounds)
    return low, high, float(2 * stats.t.sf(abs(logit) / error, clusters.smallest - 1))
