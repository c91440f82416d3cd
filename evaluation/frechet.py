"""Fréchet distance between two sets of feature vectors, exact and without matrix square roots.

    d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

The libraries' routines break (``sqrtm`` lost an argument in SciPy 1.18), turn complex, or take minutes for 2048 dimensions.
Two exact forms of the last term avoid the square root of a non-symmetric matrix:

* few samples (fewer than dimensions): it is the nuclear norm of ``X1c X2c^T / sqrt((n1 - 1)(n2 - 1))``, X1c and X2c the centred
  samples: an n1 x n2 problem whatever the dimension, real and >= 0 even for singular covariances (0.15 s against 179 s at
  n = 500, d = 2048);
* otherwise ``sum sqrt(eig(S1^(1/2) S2 S1^(1/2)))``, both by ``eigh`` of symmetric matrices.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError

Features = NDArray[np.floating]


@dataclass(frozen=True)
class Moments:
    """What a Fréchet distance needs of a set of ``n`` vectors: parts of a set add up, and can be taken away again.

    About their own mean, since to subtract squares of the mean from squares loses the digits that matter (Chan et al. 1979).
    """

    n: int
    mean: NDArray[np.float64]
    """(d,)"""
    scatter: NDArray[np.float64]
    """(d, d), sum of the outer products of what is left without the mean"""

    @staticmethod
    def none(dimensions: int) -> "Moments":
        """Of no vectors."""
        return Moments(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))

    @staticmethod
    def of(samples: NDArray[np.float64]) -> "Moments":
        """Of samples (n, d)."""
        if not len(samples):
            return Moments.none(samples.shape[1])
        mean = samples.mean(axis=0)
        centred = samples - mean
        return Moments(len(samples), mean, centred.T @ centred)

    def __add__(self, other: "Moments") -> "Moments":
        n = self.n + other.n
        if not n:
            return self
        apart = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * (self.n * other.n / n)
        return Moments(n, self.mean + apart * (other.n / n), scatter)

    def without(self, part: "Moments") -> "Moments":
        """Of the vectors that are not in ``part``, which is fewer than all."""
        n = self.n - part.n
        mean = self.mean + (self.mean - part.mean) * (part.n / n)
        apart = mean - part.mean
        return Moments(n, mean, self.scatter - part.scatter - np.outer(apart, apart) * (n * part.n / self.n))

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(d, d), over n - 1."""
        return self.scatter / (self.n - 1)


def frechet_distance(first: Features, second: Features) -> float:
    """Squared Fréchet distance of Gaussians fitted to ``first`` (n1, d) and ``second`` (n2, d); covariances over n - 1.

    Raises:
        SpaceError: fewer than two samples, different dimensions, or non-finite values.
    """
    x, y = _checked("first", first), _checked("second", second)
    if x.shape[1] != y.shape[1]:
        raise SpaceError(f"Fréchet distance: {x.shape[1]} against {y.shape[1]} dimensions (another feature extractor?)")
    if min(len(x), len(y)) >= x.shape[1]:
        return frechet_of_moments(Moments.of(x), Moments.of(y))
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x, y = (x - mean_x) / np.sqrt(len(x) - 1), (y - mean_y) / np.sqrt(len(y) - 1)
    distance = float(((mean_x - mean_y) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2.0 * nuclear_trace(x, y))
    return max(0.0, distance)  # it is >= 0; rounding is not


def frechet_of_moments(first: Moments, second: Moments) -> float:
    """The same of moments: sets of more vectors than dimensions, of two or more each."""
    one, other = first.covariance, second.covariance
    apart = float(((first.mean - second.mean) ** 2).sum() + np.trace(one) + np.trace(other))
    return max(0.0, apart - 2.0 * eigh_trace(one, other))


def nuclear_trace(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """tr (X^T X Y^T Y)^(1/2) as the nuclear norm of X Y^T, for centred and scaled samples (n1, d), (n2, d)."""
    return float(np.linalg.svd(x @ y.T, compute_uv=False).sum())


def eigh_trace(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """tr (S1 S2)^(1/2) of two covariances (d, d) by two symmetric eigenproblems."""
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    return float(np.sqrt(np.clip(np.linalg.eigvalsh(root @ second @ root), 0.0, None)).sum())


def _checked(name: str, features: Features) -> NDArray[np.float64]:
    array = np.asarray(features, np.float64)
    if array.ndim != 2 or len(array) < 2:
        raise SpaceError(f"Fréchet distance: {name} set has shape {array.shape}, need (samples >= 2, dimensions)")
    if not np.isfinite(array).all():
        raise SpaceError(f"Fréchet distance: {name} set holds non-finite values")
    return array
