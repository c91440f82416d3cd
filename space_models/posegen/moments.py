"""What one person's takes say about head motion, as sums: clips of any number go through once, and sums of parts may be added.

Two kinds. *Differences* of key poses at each lag, and of key poses of different takes, give the autocovariance without a mean
being taken off: a clip's own mean would bend every track back to it, and a model fitted to that swings like a pendulum.
*Products* of a key pose, the two before it and the sound give every regression and every Gaussian likelihood.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space_models.posegen.pose import N_POSE

Sums = NDArray[np.float64]


def row_width(n_rises: int) -> int:
    """Of a row of products: the next pose, the last two, the sound, and a 1."""
    return 3 * N_POSE + n_rises + 1


@dataclass
class PersonMoments:
    """Sums over the takes of one person; M = ``row_width``, L = the largest lag."""

    products: Sums
    """(M, M) over all steps, of rows (next pose, pose, pose before, rises, 1)"""
    differences: Sums
    """(L + 1, 6) squared differences of poses by lag; row 0 is 0"""
    pairs: NDArray[np.int64]
    """(L + 1,) how many"""
    mean_squares: Sums
    """(6,) sum over takes of the mean square"""
    means: Sums
    """(6,) sum over takes of the mean"""
    squared_means: Sums
    """(6,) sum over takes of the mean's square"""
    takes: int = 0

    @staticmethod
    def empty(n_rises: int, lags: int) -> "PersonMoments":
        """Sums over nothing, for so many numbers of sound and lags up to ``lags`` keys."""
        width = row_width(n_rises)
        nothing = np.zeros(N_POSE)
        return PersonMoments(
            np.zeros((width, width)), np.zeros((lags + 1, N_POSE)), np.zeros(lags + 1, np.int64), nothing, nothing, nothing
        )

    @property
    def steps(self) -> float:
        """Number of steps to a next pose."""
        return float(self.products[-1, -1])

    def add(self, keys: NDArray[np.floating], rises: NDArray[np.floating], found: NDArray[np.bool_]) -> None:
        """Take in a clip: key poses (K, 6), the sound before each, (K, ``n_rises``), and whether each pose was ``found`` (K,).

        Poses that were not, which are interpolated, count nowhere. Fewer than three keys in a row say nothing.
        """
        steps = found[2:] & found[1:-1] & found[:-2]
        if not steps.any():
            return
        rows = np.concatenate([keys[2:], keys[1:-1], keys[:-2], rises[2:], np.ones((len(keys) - 2, 1))], 1)[steps]
        self.products += rows.T @ rows
        for lag in range(1, min(len(self.pairs), len(keys))):
            both = found[lag:] & found[:-lag]
            self.differences[lag] += ((keys[lag:] - keys[:-lag])[both] ** 2).sum(0)
            self.pairs[lag] += both.sum()
        mean = keys[found].mean(0)
        self.mean_squares = self.mean_squares + (keys[found] ** 2).mean(0)
        self.means = self.means + mean
        self.squared_means = self.squared_means + mean**2
        self.takes += 1

    def mean_pose(self) -> NDArray[np.float64]:
        """Of all steps, (6,)."""
        return self.products[-1, N_POSE : 2 * N_POSE] / max(self.steps, 1.0)


def variogram(people: list[PersonMoments]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Half the mean squared difference of key poses by lag, (L + 1, 6), and the number of pairs behind it, (L + 1,)."""
    pairs = np.sum([person.pairs for person in people], 0)
    differences = np.sum([person.differences for person in people], 0)
    return differences / (2 * np.maximum(pairs, 1))[:, None], pairs


def between_takes(people: list[PersonMoments]) -> NDArray[np.float64] | None:
    """Half the mean squared difference of poses of different takes of a person, (6,): their variance about the person's mean.

    None if nobody has two takes.
    """
    several = [person for person in people if person.takes > 1]
    if not several:
        return None
    apart = [
        person.mean_squares / person.takes - (person.means**2 - person.squared_means) / (person.takes * (person.takes - 1))
        for person in several
    ]
    return np.asarray(np.average(apart, axis=0, weights=[person.takes for person in several]))
