"""The linear start: ridge regression of changes of latents on changes of landmarks, a penalty of its own per latent.

No intercept: a face that equals the portrait's gets the portrait's latents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PENALTIES = np.geomspace(1e-4, 1e4, 17)
"""In units of the inputs' mean square, times the number of samples. The last leaves next to nothing: what landmarks do not
explain stays the portrait's."""
FOLDS = 4
LEAST_SCALE = 1e-6

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """What regression needs of a group of samples: sums of x x' (F, F), x y' (F, D) and y^2 (D,), and their number."""

    xx: Array
    xy: Array
    yy: Array
    n: int

    @staticmethod
    def of(x: NDArray[np.floating], y: NDArray[np.floating]) -> "Sums":
        """Sums over samples x (N, F), y (N, D)."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        return Sums(x.T @ x, x.T @ y, (y * y).sum(0), len(x))

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.xx + other.xx, self.xy + other.xy, self.yy + other.yy, self.n + other.n)

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(self.xx - other.xx, self.xy - other.xy, self.yy - other.yy, self.n - other.n)


@dataclass(frozen=True)
class Ridge:
    """``weight`` (F, D), and per latent the penalty chosen (D,) and the share of variance explained in cross-validation (D,)."""

    weight: NDArray[np.float32]
    penalty: Array
    explained: Array


def fit_ridge(groups: Sequence[Sums]) -> Ridge:
    """Fit on all groups; the penalty of each latent is the best one for groups (people) that were left out.

    With one group alone nothing can be left out: the middle penalty is taken, and nothing is said of what it explains.
    """
    total = sum(groups[1:], start=groups[0])
    scale = np.sqrt(np.maximum(np.diag(total.xx) / total.n, LEAST_SCALE**2))
    folds = [sum(own[1:], start=own[0]) for i in range(FOLDS) if (own := groups[i::FOLDS])]
    if len(folds) < 2:
        chosen, explained = np.full(len(total.yy), len(PENALTIES) // 2), np.full(len(total.yy), np.nan)
    else:
        errors = np.zeros((len(PENALTIES), len(total.yy)))
        for left_out in folds:
            for i, weight in enumerate(_paths(total - left_out, scale)):
                errors[i] += left_out.yy - 2 * (weight * left_out.xy).sum(0) + (weight * (left_out.xx @ weight)).sum(0)
        chosen = errors.argmin(0)
        explained = 1 - errors.min(0) / np.maximum(total.yy, 1e-12)
    paths = _paths(total, scale)
    weight = np.stack([paths[i][:, d] for d, i in enumerate(chosen)], 1)
    return Ridge(weight.astype(np.float32), PENALTIES[chosen], explained)


def _paths(sums: Sums, scale: Array) -> list[Array]:
    """Weights (F, D) for each penalty, inputs in units of ``scale`` (F,); one decomposition serves all."""
    values, vectors = np.linalg.eigh(sums.xx / np.outer(scale, scale))
    projected = vectors.T @ (sums.xy / scale[:, None])
    return [vectors @ (projected / (np.maximum(values, 0) + p * sums.n)[:, None]) / scale[:, None] for p in PENALTIES]
