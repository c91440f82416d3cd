"""Strengths of systems from pairwise votes with ties: Davidson's extension of the Bradley-Terry model.

R. R. Davidson, "On extending the Bradley-Terry model to accommodate ties in paired comparison experiments" (Journal of the
American Statistical Association 65, 1970): with strengths exp(theta), i is preferred to j in proportion to exp(theta_i), j to i
in proportion to exp(theta_j), and neither in proportion to nu exp((theta_i + theta_j) / 2). That is a multinomial logit, concave
in theta and log nu, solved by Newton's method. Theta sums to 0. Intervals are the sandwich estimator's with the two-way
clustering of `clustered`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from evaluation.study.clustered import Clustering
from space_data.errors import SpaceError

STEPS, CONVERGED = 100, 1e-10
HALF_A_WIN = 0.5


@dataclass(frozen=True)
class Strength:
    """One system: log strength, and its interval where there is one."""

    system: str
    theta: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Fit:
    """Strengths of all systems, the strongest first. ``note`` says why there are no intervals, if there are none."""

    strengths: tuple[Strength, ...]
    tie: float
    """nu: 0 where nobody ever answered "no difference\""""
    note: str

    def rate(self, first: str, second: str) -> float:
        """Expected preference for ``first``, ties as half."""
        theta = {strength.system: strength.theta for strength in self.strengths}
        a, b = np.exp(theta[first] - theta[second]), 1.0
        tie = self.tie * (a * b) ** 0.5
        return float((a + tie / 2) / (a + b + tie))


def fit(firsts: Sequence[str], seconds: Sequence[str], scores: NDArray[np.float64], clusters: Clustering) -> Fit:
    """Maximum likelihood from votes: ``scores`` (n,) are 1 where ``firsts`` is preferred, 0 where ``seconds`` is, 0.5 for a tie.

    Where some systems never lose to others (or never win), strengths grow without bound; half a win each way is then added to
    every pair that was compared, there are no intervals, and the note says so.

    Raises:
        SpaceError: no votes, or systems that no chain of votes connects.
    """
    systems = sorted({*firsts, *seconds})
    if not systems:
        raise SpaceError("study: no votes to fit strengths to")
    place = {name: i for i, name in enumerate(systems)}
    i, j = (np.array([place[name] for name in names], np.int64) for names in (firsts, seconds))
    size = len(systems)
    wins, ties = np.zeros((size, size)), np.zeros((size, size))
    np.add.at(wins, (i[scores == 1], j[scores == 1]), 1)
    np.add.at(wins, (j[scores == 0], i[scores == 0]), 1)
    np.add.at(ties, (np.minimum(i, j)[scores == 0.5], np.maximum(i, j)[scores == 0.5]), 1)
    compared = wins + wins.T + ties + ties.T > 0
    if connected_components(csr_matrix(compared), directed=False)[0] > 1:
        raise SpaceError(f"study: votes do not connect all of {', '.join(systems)} (compare every system with some other)")
    note = ""
    links = wins + ties + ties.T > 0
    if connected_components(csr_matrix(links), directed=True, connection="strong")[0] > 1 or not wins.any():
        wins = wins + HALF_A_WIN * compared
        note = "some systems never lost to others: half a win each way was added to every pair, and there are no intervals"
    model = _Model(size, with_ties=bool(ties.any()))
    solution = model.solve(wins, ties)
    theta = model.basis @ solution[: size - 1]
    tie = float(np.exp(solution[-1])) if model.with_ties else 0.0
    lows: list[float | None] = [None] * size
    highs: list[float | None] = [None] * size
    if clusters.n_raters < 2:
        note = note or "one rater: no intervals"
    if not note:
        influence = model.influence(solution, i, j, scores, wins, ties)
        for k in range(size):
            reach = clusters.quantile * clusters.variance(influence @ _padded(model.basis[k], model.size)) ** 0.5
            lows[k], highs[k] = float(theta[k] - reach), float(theta[k] + reach)
    order = sorted(range(size), key=lambda k: (-theta[k], systems[k]))
    return Fit(tuple(Strength(systems[k], float(theta[k]), lows[k], highs[k]) for k in order), tie, note)


class _Model:
    """The likelihood. Parameters (size,): coordinates of theta in a basis of the vectors that sum to 0, then log nu."""

    def __init__(self, systems: int, with_ties: bool) -> None:
        self.with_ties, self.size = with_ties, systems - 1 + with_ties
        # The last left singular vectors of the constant column span what is orthogonal to it.
        self.basis = np.linalg.svd(np.ones((systems, 1)))[0][:, 1:]

    def features(self, i: int, j: int) -> NDArray[np.float64]:
        """Rows: i preferred, j preferred, tie; (3, size), or (2, size) without ties."""
        first, second = (_padded(self.basis[k], self.size) for k in (i, j))
        if not self.with_ties:
            return np.stack([first, second])
        tie = (first + second) / 2
        tie[-1] = 1.0
        return np.stack([first, second, tie])

    def moments(self, at: NDArray[np.float64], i: int, j: int) -> tuple[NDArray[np.float64], ...]:
        """Features, probabilities, and information of one vote of a pair."""
        features = self.features(i, j)
        utility = features @ at
        chances = np.exp(utility - utility.max())
        chances /= chances.sum()
        centred = features - chances @ features
        return centred, chances, (centred.T * chances) @ centred

    def solve(self, wins: NDArray[np.float64], ties: NDArray[np.float64]) -> NDArray[np.float64]:
        """Newton's method with halved steps: the likelihood is concave."""
        at = np.zeros(self.size)
        value, slope, information = self._derivatives(at, wins, ties)
        for _ in range(STEPS):
            step = np.linalg.solve(information, slope)
            if np.abs(step).max() < CONVERGED:
                return at
            while True:
                new = self._derivatives(at + step, wins, ties)
                if new[0] >= value or np.abs(step).max() < CONVERGED:
                    break
                step = step / 2
            at, (value, slope, information) = at + step, new
        raise SpaceError(f"study: strengths did not settle in {STEPS} steps")

    def _derivatives(
        self, at: NDArray[np.float64], wins: NDArray[np.float64], ties: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Log likelihood, gradient (size,), information (size, size)."""
        value, slope, information = 0.0, np.zeros(self.size), np.zeros((self.size, self.size))
        for i, j in zip(*np.triu_indices(len(wins), 1), strict=True):
            counts = np.array([wins[i, j], wins[j, i], ties[i, j]])[: 2 + self.with_ties]
            if counts.any():
                centred, chances, per_vote = self.moments(at, i, j)
                value += float(counts[counts > 0] @ np.log(chances[counts > 0]))
                slope += counts @ centred
                information += counts.sum() * per_vote
        return value, slope, information

    def influence(
        self, at: NDArray[np.float64], i: NDArray[np.int64], j: NDArray[np.int64], scores: NDArray[np.float64],
        wins: NDArray[np.float64], ties: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """What each vote adds to the parameters' error, (n, size): inverse information times the vote's score."""
        inverse = np.linalg.inv(self._derivatives(at, wins, ties)[2])
        outcome = np.select([scores == 1, scores == 0], [0, 1], 2)
        rows = np.empty((len(i), self.size))
        for a, b in np.unique(np.stack([i, j], axis=1), axis=0):
            own = (i == a) & (j == b)
            rows[own] = self.moments(at, a, b)[0][outcome[own]]
        return rows @ inverse


def _padded(row: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return np.pad(row, (0, size - len(row)))
