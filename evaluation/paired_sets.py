"""Distances between two sets of feature vectors, whole and without each group of people in turn, gone through block by block.

A jackknife needs every figure once per group. All of them follow from one pass over the pairs of vectors: kernels are summed per
pair of groups, neighbours are kept per group, moments are added and taken away. What is held grows with the number of vectors by
some numbers each (radii), never by the vectors themselves, which may lie in mapped files, or by their pairs. What goes over pairs
takes at most `MOST_PAIRED` vectors of each set, so that it does not grow with the square of the clips.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import IO

import numpy as np
from numpy.typing import NDArray

from evaluation.frechet import Moments, frechet_distance, frechet_of_moments
from space_data.errors import SpaceError

Features = NDArray[np.floating]
Figures = list[float | None]
"""Of all, then without group 0, 1, ...; None where too few vectors are left."""
NEIGHBOURS = 5
"""Of density and coverage, as their authors use them."""
MOST_PAIRED = 10_000
"""Vectors of each set that are paired: as many as the authors of density and coverage take, ten times those of KID's subsets."""
KID_DEGREE = 3
BLOCK = 1024
"""Vectors at a time: 16 MB of float64 at 2048 dimensions, and 8 MB for the pairs of two blocks."""


@dataclass(frozen=True)
class PairedSets:
    """A made set (n, d) and a real one (m, d), and the group of each vector, (n,) and (m,): numbers from 0 on.

    Raises:
        SpaceError: other shapes, or values that are not finite.
    """

    made: Features
    real: Features
    made_groups: NDArray[np.intp]
    real_groups: NDArray[np.intp]

    def __post_init__(self) -> None:
        for name, one, groups in (("made", self.made, self.made_groups), ("real", self.real, self.real_groups)):
            if one.ndim != 2 or one.shape != (len(groups), self.real.shape[-1]):
                raise SpaceError(f"{name} set: shape {one.shape}, need ({len(groups)}, {self.real.shape[-1]})")
            if not all(np.isfinite(one[rows]).all() for rows in _blocks(one)):
                raise SpaceError(f"{name} set holds non-finite values")

    @property
    def n_groups(self) -> int:
        """In both sets together."""
        return 1 + int(max(self.made_groups.max(initial=-1), self.real_groups.max(initial=-1)))

    def folds(self, least: int, figure: Callable[[int, int, int], float]) -> Figures:
        """``figure(fold, n, m)`` of each fold with ``least`` vectors or more in both; fold 0 is all, g + 1 all but group g."""
        n, m = (_left(np.bincount(groups, minlength=self.n_groups)) for groups in (self.made_groups, self.real_groups))
        sizes = enumerate(zip(n.tolist(), m.tolist(), strict=True))
        return [figure(fold, *size) if min(size) >= least else None for fold, size in sizes]

    @cached_property
    def frechet(self) -> Figures:
        """Squared Fréchet distances (`evaluation.frechet`): of fewer samples than dimensions from samples, else from moments."""
        dimensions = self.real.shape[1]
        whole: list[Moments] = []

        def figure(fold: int, n: int, m: int) -> float:
            out = fold - 1
            if min(n, m) < dimensions:
                return frechet_distance(self.made[self.made_groups != out], self.real[self.real_groups != out])
            if not whole:
                whole.extend((_moments(self.made), _moments(self.real)))
            if not fold:
                return frechet_of_moments(*whole)
            # The group's are taken anew from its vectors: to keep 20 groups' would be 1.3 GB at 2048 dimensions.
            made, real = self.made_groups == out, self.real_groups == out
            return frechet_of_moments(whole[0].without(_moments(self.made, made)), whole[1].without(_moments(self.real, real)))

        return self.folds(2, figure)

    @cached_property
    def thinned(self) -> "PairedSets":
        """`MOST_PAIRED` vectors of each set that has more, evenly spread over it, so over its clips."""
        if max(len(self.made), len(self.real)) <= MOST_PAIRED:
            return self
        made, real = (np.linspace(0, n - 1, min(n, MOST_PAIRED)).astype(np.intp) for n in (len(self.made), len(self.real)))
        return PairedSets(self.made[made], self.real[real], self.made_groups[made], self.real_groups[real])

    @cached_property
    def kid(self) -> Figures:
        """Unbiased squared maximum mean discrepancies, kernel (x.y / d + 1)^3 (Binkowski et al. 2018); can be below zero.

        Over all pairs where the authors average 100 subsets of 1000: no noise of subsets.
        """
        made, real = (self.made, self.made_groups), (self.real, self.real_groups)
        xx, yy, xy = (self._kernel_sums(*both) for both in ((made, made), (real, real), (made, real)))
        own_x, own_y = (self._own_kernels(*one) for one in (made, real))

        def figure(fold: int, n: int, m: int) -> float:
            keep = np.arange(self.n_groups) != fold - 1
            both = np.ix_(keep, keep)
            within = (xx[both].sum() - own_x[keep].sum()) / (n * (n - 1)) + (yy[both].sum() - own_y[keep].sum()) / (m * (m - 1))
            return float(within - 2 * xy[both].sum() / (n * m))

        return self.folds(2, figure)

    @property
    def density(self) -> Figures:
        """How many real neighbourhoods (5 nearest) a made vector lies in, over 5 (Naeem et al. 2020); about 1 for one set."""
        inside = self._neighbours[0]
        return self.folds(NEIGHBOURS + 1, lambda fold, n, m: float(inside[fold] / (n * NEIGHBOURS)))

    @property
    def coverage(self) -> Figures:
        """Share of real neighbourhoods (5 nearest) with a made vector in them (Naeem et al. 2020)."""
        covered = self._neighbours[1]
        return self.folds(NEIGHBOURS + 1, lambda fold, n, m: float(covered[fold] / m))

    def _kernel_sums(
        self, first: tuple[Features, NDArray[np.intp]], second: tuple[Features, NDArray[np.intp]]
    ) -> NDArray[np.float64]:
        """Kernels summed over the pairs of each two groups, (groups, groups)."""
        sums = np.zeros((self.n_groups, self.n_groups))
        ones = np.eye(self.n_groups)
        for rows, x in _read(first[0]):
            for columns, y in _read(second[0]):
                sums += ones[:, first[1][rows]] @ _kernel(x @ y.T / x.shape[1]) @ ones[second[1][columns]]
        return sums

    def _own_kernels(self, features: Features, groups: NDArray[np.intp]) -> NDArray[np.float64]:
        """Kernels of vectors with themselves, summed per group (groups,)."""
        own = [_kernel((x * x).sum(axis=1) / x.shape[1]) for _, x in _read(features)]
        return np.asarray(np.bincount(groups, np.concatenate(own), self.n_groups), np.float64)

    @cached_property
    def _neighbours(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Per fold the pairs of a made vector and a real neighbourhood around it, and the neighbourhoods with any in them."""
        n_groups, radii = self.n_groups, self._radii()
        inside = np.zeros(n_groups + 1, np.int64)
        nearest = np.full((len(self.real), n_groups), np.inf)
        for rows, x in _read(self.made):
            groups = self.made_groups[rows]
            for columns, y in _read(self.real):
                distances = np.sqrt(_squared_distances(x, y))
                for group in np.unique(groups):
                    least = distances[groups == group].min(axis=0)
                    nearest[columns, group] = np.minimum(nearest[columns, group], least)
                for fold in range(n_groups + 1):
                    hits = np.count_nonzero(distances <= radii[None, columns, fold], axis=1)
                    inside[fold] += hits[groups != fold - 1].sum()
        kept = (nearest[:, np.arange(n_groups) != fold - 1].min(axis=1, initial=np.inf) for fold in range(n_groups + 1))
        covered = [np.count_nonzero(least <= radii[:, fold]) for fold, least in enumerate(kept)]
        return inside, np.array(covered)

    def _radii(self) -> NDArray[np.float64]:
        """Distance of each real vector's 5th neighbour in each fold, (m, folds); -1 where the vector itself is left out."""
        radii = np.empty((len(self.real), self.n_groups + 1))
        for rows, x in _read(self.real):
            best = np.full((len(x), self.n_groups, NEIGHBOURS + 1), np.inf)  # of each group the nearest, itself among them
            for columns, y in _read(self.real):
                squared, groups = _squared_distances(x, y), self.real_groups[columns]
                for group in np.unique(groups):
                    both = np.concatenate([best[:, group], squared[:, groups == group]], axis=1)
                    best[:, group] = np.partition(both, NEIGHBOURS, axis=1)[:, : NEIGHBOURS + 1]
            for fold in range(self.n_groups + 1):
                kept = best[:, np.arange(self.n_groups) != fold - 1].reshape(len(x), -1)
                if kept.shape[1]:  # else one group is all there is
                    radii[rows, fold] = np.sqrt(np.partition(kept, NEIGHBOURS, axis=1)[:, NEIGHBOURS])
        for group in range(self.n_groups):
            radii[self.real_groups == group, group + 1] = -1.0
        return radii


def mapped(file: IO[bytes], dimensions: int) -> Features:
    """The float32 vectors (n, d) that were written to ``file``, one below the other, as a map of it."""
    file.flush()
    return np.memmap(file, np.float32, "r", shape=(file.tell() // (4 * dimensions), dimensions))


def _left(per_group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of all groups together, and without each in turn."""
    return per_group.sum() - np.concatenate([[0], per_group])


def _blocks(features: Features) -> Iterator[slice]:
    return (slice(begin, min(begin + BLOCK, len(features))) for begin in range(0, len(features), BLOCK))


def _read(features: Features) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Blocks as copies in double precision: of two views of one array BLAS would compute other bits than of two arrays."""
    return ((rows, np.array(features[rows], np.float64)) for rows in _blocks(features))


def _kernel(products: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((products + 1.0) ** KID_DEGREE)


def _squared_distances(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum((x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2 * x @ y.T, 0.0)


def _moments(features: Features, chosen: NDArray[np.bool_] | None = None) -> Moments:
    """Of all vectors, or of the ``chosen`` ones (n,)."""
    found = Moments.none(features.shape[1])
    for rows, x in _read(features):
        found += Moments.of(x if chosen is None else x[chosen[rows]])
    return found
