"""Means, differences and their uncertainty over clips, clustered by identity, with the coverage that belongs to every figure.

Clips of one speaker are not independent, so what is resampled is speakers, with all their clips. All systems are scored on the
same clips, so systems are compared by paired differences. With few identities the intervals are coarse; that is the truth
about the data, and the number of identities is printed beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError

CONFIDENCE_PERCENT = 95.0
EXACT_SIGN_FLIPS = 12
"""Up to this many identities all sign patterns are listed; beyond, they are drawn."""


@dataclass(frozen=True)
class Summary:
    """A mean over clips with its interval and coverage; value and interval are None when no clip could be scored."""

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
    p_value: float | None
    """two-sided sign-flip test on the identities' mean differences"""


def summarise(values: Sequence[float | None], identities: Sequence[str], draws: int, seed: int) -> Summary:
    """Mean of the clips' values with a percentile bootstrap interval over identities.

    Args:
        values: one per clip, None where the clip could not be scored.
        identities: who speaks in each clip.
        draws: bootstrap resamples.
        seed: of the resampling; the result does not depend on the order of the clips.
    """
    if len(values) != len(identities):
        raise SpaceError(f"summary: {len(values)} values for {len(identities)} clips")
    sums, counts = _per_identity(values, identities)
    n_ok = int(counts.sum())
    if not n_ok:
        return Summary(None, None, None, 0, len(values), 0)
    means = _bootstrap_means(sums, counts, draws, seed)
    tail = (100.0 - CONFIDENCE_PERCENT) / 2
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return Summary(float(sums.sum() / n_ok), float(low), float(high), n_ok, len(values), len(sums))


def compare(
    candidate: Sequence[float | None],
    baseline: Sequence[float | None],
    identities: Sequence[str],
    lower_is_better: bool,
    draws: int,
    seed: int,
) -> Comparison:
    """Paired comparison of two systems' values on the same clips (same order in all three sequences)."""
    if not len(candidate) == len(baseline) == len(identities):
        raise SpaceError(f"comparison: {len(candidate)} against {len(baseline)} values for {len(identities)} clips")
    differences = [None if a is None or b is None else a - b for a, b in zip(candidate, baseline, strict=True)]
    known = np.array([d for d in differences if d is not None], np.float64)
    wins = None
    if len(known):
        better = known < 0 if lower_is_better else known > 0
        wins = float((better + 0.5 * (known == 0)).mean())
    sums, counts = _per_identity(differences, identities)
    return Comparison(summarise(differences, identities, draws, seed), wins, _sign_flip_p(sums, counts, draws, seed))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's (1979) adjustment of a family of p values."""
    adjusted: dict[str, float] = {}
    running = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: (item[1], item[0]))):
        running = max(running, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = running
    return adjusted


def jackknife_interval(value: float, left_out: NDArray[np.float64]) -> tuple[float, float]:
    """Normal 95 % interval of ``value`` from its leave-one-clip-out values (n,), for figures that are no means."""
    n = len(left_out)
    error = float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())) if n > 1 else 0.0
    return value - 1.96 * error, value + 1.96 * error


def _per_identity(values: Sequence[float | None], identities: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum and number of the known values of each identity that has any, in the order of the names.

    Values are sorted before they are added: the same clips in another order give the same bits.
    """
    by_identity: dict[str, list[float]] = {}
    for value, identity in zip(values, identities, strict=True):
        if value is not None:
            by_identity.setdefault(identity, []).append(value)
    names = sorted(by_identity)
    return (
        np.array([sum(sorted(by_identity[name])) for name in names], np.float64),
        np.array([len(by_identity[name]) for name in names], np.int64),
    )


def _bootstrap_means(sums: NDArray[np.float64], counts: NDArray[np.int64], draws: int, seed: int) -> NDArray[np.float64]:
    picks = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    return sums[picks].sum(axis=1) / counts[picks].sum(axis=1)


def _sign_flip_p(sums: NDArray[np.float64], counts: NDArray[np.int64], draws: int, seed: int) -> float | None:
    """Share of sign patterns whose mean of identity means is at least as far from zero as the one observed."""
    if len(sums) < 2:
        return None
    means = sums / counts
    if len(means) <= EXACT_SIGN_FLIPS:
        signs = np.array(list(product((1.0, -1.0), repeat=len(means))))
        return float((abs(signs @ means) >= abs(means.sum()) * (1 - 1e-12)).mean())
    signs = np.random.default_rng(seed).choice((1.0, -1.0), (draws, len(means)))
    return float((1 + (abs(signs @ means) >= abs(means.sum()) * (1 - 1e-12)).sum()) / (1 + draws))
