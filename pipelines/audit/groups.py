"""Does the filter change the set? Kept shares by group, with intervals that know that the clips of one person are alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from pipelines.deciding.rules import Mask, Values

LEVEL = 0.95


@dataclass(frozen=True)
class Groups:
    """Per group (array entry): how much was kept, a 95 % interval, and whether it differs from the rest by more than chance."""

    segments: NDArray[np.int64]
    clusters: NDArray[np.int64]
    kept: NDArray[np.int64]
    kept_s: Values
    share: Values
    low: Values
    high: Values
    difference: Values
    """kept share against that of all other segments"""
    p: Values
    """of a difference as large by chance, times the number of groups compared (Bonferroni); 1 where it cannot be told"""


def compare_groups(group: NDArray[np.int64], cluster: NDArray[np.int64], kept: Mask, seconds: Values, n_groups: int) -> Groups:
    """Kept shares of ``n_groups`` groups.

    Segments of one cluster (a person, or a recording) stand or fall together, so the standard error is that of a ratio of cluster
    totals (Cochran, Sampling Techniques, 1977, §6.3) with Student's t for few clusters, and never below that of independent
    segments (Agresti and Coull 1998), which also keeps it above 0 when all or none are kept.

    Args:
        group: (segments,) index of the segment's group.
        cluster: (segments,) index of what it is alike with.
        kept: which segments are kept.
        seconds: their lengths.
        n_groups: number of groups.
    """
    stride = int(cluster.max(initial=0)) + 1
    pairs, pair_of = np.unique(group * stride + cluster, return_inverse=True)
    n, k = np.bincount(pair_of).astype(np.float64), _sums(pair_of, kept, len(pairs))
    of = pairs // stride
    size, held = _sums(of, n, n_groups), _sums(of, k, n_groups)
    clusters = np.bincount(of, minlength=n_groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        share, rest = held / size, (held.sum() - held) / (size.sum() - size)
        own_se = _standard_error(held, size, clusters, _sums(of, (k - share[of] * n) ** 2, n_groups))
        # The rest of the set is large and hardly differs from the whole: one spread about the common share serves all groups.
        common = held.sum() / max(size.sum(), 1)
        squares = _sums(of, (k - common * n) ** 2, n_groups)
        others = (held.sum() - held, size.sum() - size, clusters.sum() - clusters, squares.sum() - squares)
        rest_se = _standard_error(*others)
        degrees = np.maximum(clusters - 1, 1)
        reach = stdtrit(degrees, (1 + LEVEL) / 2) * own_se
        score = (share - rest) / np.hypot(own_se, rest_se)
        p = np.minimum(2 * stdtr(degrees, -np.abs(score)) * n_groups, 1.0)
    told = (clusters >= 2) & np.isfinite(p)
    return Groups(
        segments=size.astype(np.int64), clusters=clusters, kept=held.astype(np.int64),
        kept_s=_sums(group, seconds * kept, n_groups), share=share,
        low=np.where(clusters >= 2, np.maximum(share - reach, 0), 0.0),
        high=np.where(clusters >= 2, np.minimum(share + reach, 1), 1.0),
        difference=share - rest, p=np.where(told, p, 1.0),
    )  # fmt: skip


def _sums(group: NDArray[np.int64], values: Values | Mask, n_groups: int) -> Values:
    """Sum of ``values`` by group."""
    return np.bincount(group, weights=values, minlength=n_groups).astype(np.float64)


def _standard_error(kept: Values, size: Values, clusters: NDArray[np.int64], squares: Values) -> Values:
    """Of a share: of a ratio of cluster totals, at least that of independent draws."""
    of_clusters = np.sqrt(squares * clusters / np.maximum(clusters - 1, 1)) / size
    centre = (kept + 2) / (size + 4)
    return np.maximum(of_clusters, np.sqrt(centre * (1 - centre) / (size + 4)))


def leading_reason(group: NDArray[np.int64], reasons: dict[str, Mask], n_groups: int) -> list[tuple[str, float]]:
    """Per group the reason that drops the largest surplus against the whole set, and the share of the group it drops."""
    size = np.maximum(np.bincount(group, minlength=n_groups), 1)
    names = [name for name, mask in reasons.items() if mask.any()]
    if not names:
        return [("", 0.0)] * n_groups
    shares = np.stack([np.bincount(group[reasons[name]], minlength=n_groups) / size for name in names])
    overall = np.array([reasons[name].mean() for name in names])
    lead = np.argmax(shares - overall[:, None], axis=0)
    return [(names[i], float(shares[i, g])) if shares[i, g] > 0 else ("", 0.0) for g, i in enumerate(lead)]
