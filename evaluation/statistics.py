"""Means, differences and their uncertainty over identities, with the coverage that belongs to every figure.

Clips of one speaker are not independent, so an identity counts once: every figure is the mean over identities of the mean over
each one's clips, and interval and test are of that same figure. Intervals are Student's t: with 6 identities a percentile
bootstrap covers 85 % where it says 95 %. All systems are scored on the same clips, so systems are compared by paired differences.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from space_data.errors import SpaceError

CONFIDENCE_PERCENT = 95.0
EXACT_SIGN_FLIPS = 12
"""Up to this many identities all sign patterns are listed; beyond, they are drawn."""
TIE = 1e-9
"""Losses that differ by less are equal: they were rounded on the way, on another processor otherwise."""


@dataclass(frozen=True)
class Summary:
    """A mean over identities with its interval and coverage.

    The mean is None when no clip could be scored, the interval when fewer than two identities could.
    """

    mean: float | None
    low: float | None
    high: float | None
    n_ok: int
    n_total: int
    n_identities: int


@dataclass(frozen=True)
class Comparison:
    """Paired difference candidate - baseline over the clips that both have."""

    difference: Summary
    win_share: float | None
    """share of clips on which the candidate is better (ties count half)"""
    effect_size: float | None
    """mean over standard deviation of the identities' differences (Cohen's d of paired values); None where they do not differ"""
    p_value: float | None
    """two-sided sign-flip test on the identities' mean differences"""


def summarise(values: Sequence[float | None], identities: Sequence[str]) -> Summary:
    """Mean over identities of the clips' values, with a 95 % t interval over identities.

    Args:
        values: one per clip, None where the clip could not be scored.
        identities: who speaks in each clip; the result does not depend on the order of the clips.

    Raises:
        SpaceError: not as many identities as values.
    """
    if len(values) != len(identities):
        raise SpaceError(f"summary: {len(values)} values for {len(identities)} clips")
    return summary_of_means(_identity_means(values, identities), sum(value is not None for value in values), len(values))


def summary_of_means(means: NDArray[np.float64], n_ok: int, n_total: int) -> Summary:
    """The same of the identities' means (n,), in the order of their names, which rest on ``n_ok`` of ``n_total`` clips."""
    if not len(means):
        return Summary(None, None, None, 0, n_total, 0)
    mean = float(means.mean())
    error = standard_error(means)
    low, high = (None, None) if error is None else t_interval(mean, error, len(means))
    return Summary(mean, low, high, n_ok, n_total, len(means))


def standard_error(values: NDArray[np.float64]) -> float | None:
    """Of the mean of independent values (n,); None of fewer than two."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def t_interval(value: float, error: float, n: int) -> tuple[float, float]:
    """95 % interval of a figure with a standard error that rests on ``n`` >= 2 independent values."""
    reach = float(student.ppf(0.5 + CONFIDENCE_PERCENT / 200, n - 1)) * error
    return value - reach, value + reach


def compare(
    candidate: Sequence[float | None],
    baseline: Sequence[float | None],
    identities: Sequence[str],
    draws: int,
    seed: int,
) -> Comparison:
    """Paired comparison of two systems' losses (less is better) on the same clips (same order in all three sequences).

    Args:
        draws, seed: of the sign patterns, from 13 identities on.
    """
    if not len(candidate) == len(baseline) == len(identities):
        raise SpaceError(f"comparison: {len(candidate)} against {len(baseline)} values for {len(identities)} clips")
    differences = [None if a is None or b is None else a - b for a, b in zip(candidate, baseline, strict=True)]
    known = np.array([d for d in differences if d is not None], np.float64)
    wins = None
    if len(known):
        wins = float(((known < -TIE) + 0.5 * (abs(known) <= TIE)).mean())
    means = _identity_means(differences, identities)
    spread = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    effect = float(means.mean() / spread) if spread > 0 else None
    return Comparison(summarise(differences, identities), wins, effect, _sign_flip_p(means, draws, seed))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's (1979) adjustment of a family of p values."""
    adjusted: dict[str, float] = {}
    running = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: (item[1], item[0]))):
        running = max(running, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = running
    return adjusted


def least_p(n_identities: int, draws: int) -> float:
    """About the smallest p of the sign-flip test: all signs as they are, or all turned round, of the patterns that are tried."""
    exact = 2.0 / 2**n_identities
    return exact if n_identities <= EXACT_SIGN_FLIPS else max(exact, 1.0 / (1 + draws))


def jackknife_interval(value: float, left_out: NDArray[np.float64]) -> tuple[float, float] | None:
    """95 % interval of a figure that is no mean, from its values (n,) without each group in turn; None of fewer than two groups.

    Tukey 1958: the pseudo-values' standard error, with Student's t for the number of groups.
    """
    n = len(left_out)
    if n < 2:
        return None
    error = math.sqrt((n - 1) / n * float(((left_out - left_out.mean()) ** 2).sum()))
    return t_interval(value, error, n)


def _identity_means(values: Sequence[float | None], identities: Sequence[str]) -> NDArray[np.float64]:
    """Mean of the known values of each identity that has any, in the order of the names.

    Values are added exactly: the same clips in another order give the same bits.
    """
    by_identity: dict[str, list[float]] = {}
    for value, identity in zip(values, identities, strict=True):
        if value is not None:
            by_identity.setdefault(identity, []).append(value)
    return np.array([math.fsum(by_identity[name]) / len(by_identity[name]) for name in sorted(by_identity)], np.float64)


def _sign_flip_p(means: NDArray[np.float64], draws: int, seed: int) -> float | None:
    """Share of sign patterns whose mean is at least as far from zero as that of the identities' differences (n,)."""
    if len(means) < 2:
        return None
    if len(means) <= EXACT_SIGN_FLIPS:
        signs = np.array(list(product((1.0, -1.0), repeat=len(means))))
        return float((abs(signs @ means) >= abs(means.sum()) * (1 - 1e-12)).mean())
    signs = np.random.default_rng(seed).choice((1.0, -1.0), (draws, len(means)))
    return float((1 + (abs(signs @ means) >= abs(means.sum()) * (1 - 1e-12)).sum()) / (1 + draws))
