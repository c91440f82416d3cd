"""Bradley-Terry with ties: answers known by hand, a parameter search that agrees, intervals that cover."""

import numpy as np
import pytest
from scipy.optimize import minimize

from evaluation.study.bradley_terry import Fit, fit
from evaluation.study.clustered import Clustering
from space_data.errors import SpaceError


def votes_of(counts: dict[tuple[str, str], tuple[int, int, int]]) -> tuple[list[str], list[str], np.ndarray]:
    """Wins of the first, of the second, ties -> votes."""
    rows = [(a, b, s) for (a, b), own in counts.items() for s, n in zip((1.0, 0.0, 0.5), own, strict=True) for _ in range(n)]
    return [row[0] for row in rows], [row[1] for row in rows], np.array([row[2] for row in rows])


def fitted(counts: dict[tuple[str, str], tuple[int, int, int]], n_raters: int = 4) -> Fit:
    firsts, seconds, scores = votes_of(counts)
    return fit(firsts, seconds, scores, Clustering(np.arange(len(scores)) % n_raters, np.arange(len(scores)) % 3))


def thetas(done: Fit) -> dict[str, float]:
    return {strength.system: strength.theta for strength in done.strengths}


def test_two_systems_known_by_hand() -> None:
    # With wins w, losses l and ties t the maximum is at pi_1 / pi_2 = w / l and nu = t / sqrt(w l).
    done = fitted({("a", "b"): (18, 8, 6)})
    found = thetas(done)
    assert found["a"] - found["b"] == pytest.approx(np.log(18 / 8)) and found["a"] + found["b"] == pytest.approx(0, abs=1e-9)
    assert done.tie == pytest.approx(6 / 12)
    assert done.rate("a", "b") == pytest.approx((18 + 3) / 32)
    assert [strength.system for strength in done.strengths] == ["a", "b"]


def test_three_systems_whose_counts_are_as_the_model_expects() -> None:
    # Strengths 4, 2, 1 without ties: 4/6, 2/3, 4/5.
    found = thetas(fitted({("a", "b"): (20, 10, 0), ("b", "c"): (20, 10, 0), ("a", "c"): (24, 6, 0)}))
    assert found["a"] - found["c"] == pytest.approx(np.log(4)) and found["b"] - found["c"] == pytest.approx(np.log(2))
    # Strengths 16, 4, 1, nu = 1: 16:4:8, 4:1:2, 16:1:4.
    done = fitted({("a", "b"): (16, 4, 8), ("c", "b"): (4, 16, 8), ("a", "c"): (16, 1, 4)})
    assert done.tie == pytest.approx(1.0)
    assert np.exp([s.theta - done.strengths[-1].theta for s in done.strengths]) == pytest.approx([16, 4, 1])


def test_a_general_optimiser_finds_the_same_maximum() -> None:
    counts = {("a", "b"): (7, 5, 3), ("b", "c"): (9, 2, 4), ("a", "c"): (6, 6, 1), ("d", "a"): (2, 8, 2)}
    firsts, seconds, scores = votes_of(counts)

    def loss(x: np.ndarray) -> float:
        theta, log_tie = dict(zip("abcd", [*x[:3], -x[:3].sum()], strict=True)), x[3]
        total = 0.0
        for a, b, score in zip(firsts, seconds, scores, strict=True):
            utility = np.array([theta[a], theta[b], log_tie + (theta[a] + theta[b]) / 2])
            total -= utility[{1.0: 0, 0.0: 1, 0.5: 2}[score]] - np.log(np.exp(utility).sum())
        return total

    best = minimize(loss, np.zeros(4)).x
    done = fitted(counts)
    assert [thetas(done)[name] for name in "abc"] == pytest.approx(best[:3], abs=1e-4)
    assert np.log(done.tie) == pytest.approx(best[3], abs=1e-4)


def test_who_never_loses_gets_a_finite_strength_without_an_interval() -> None:
    done = fitted({("a", "b"): (10, 0, 0), ("b", "c"): (6, 4, 0)})
    assert "never lost" in done.note and all(s.low is None and s.high is None for s in done.strengths)
    assert thetas(done)["a"] - thetas(done)["b"] == pytest.approx(np.log(10.5 / 0.5))
    assert "never lost" in fitted({("a", "b"): (0, 0, 5)}).note


def test_systems_that_nothing_connects_are_refused() -> None:
    with pytest.raises(SpaceError, match="do not connect"):
        fitted({("a", "b"): (3, 2, 0), ("c", "d"): (3, 2, 0)})
    with pytest.raises(SpaceError, match="no votes"):
        fit([], [], np.array([]), Clustering.of([], []))


def test_one_rater_has_no_intervals() -> None:
    assert fitted({("a", "b"): (5, 3, 2)}, n_raters=1).note == "one rater: no intervals"


def test_a_pair_may_be_written_either_way_round() -> None:
    there = fitted({("a", "b"): (7, 3, 2), ("b", "c"): (5, 4, 2)})
    back = fitted({("b", "a"): (3, 7, 2), ("c", "b"): (4, 5, 2)})
    assert thetas(there) == pytest.approx(thetas(back))


def test_intervals_cover() -> None:
    """24 raters, 10 clips, three systems; raters differ in how they like the first."""
    rng, runs, true = np.random.default_rng(3), 120, np.array([0.6, 0.0, -0.6])
    pairs = [(0, 1), (1, 2), (0, 2)]
    covered = 0
    raters, clips = np.repeat(np.arange(24), 9), np.arange(24 * 9) % 10
    for _ in range(runs):
        taste = rng.normal(0, 0.3, 24)[raters]
        which = np.array([pairs[k % 3] for k in range(24 * 9)])
        strengths = np.stack([true[0] + taste, np.full_like(taste, true[1]), np.full_like(taste, true[2])], 1)
        a, b = (strengths[np.arange(len(which)), which[:, side]] for side in (0, 1))
        weights = np.exp(np.stack([a, b, -0.7 + (a + b) / 2], 1))
        drawn = (rng.random(len(a))[:, None] > np.cumsum(weights / weights.sum(1, keepdims=True), 1)).sum(1)
        scores = np.array([1.0, 0.0, 0.5])[drawn]
        names = np.array(["x", "y", "z"])
        done = fit(list(names[which[:, 0]]), list(names[which[:, 1]]), scores, Clustering(raters, clips))
        for strength in done.strengths:
            assert strength.low is not None and strength.high is not None
            covered += strength.low <= true["xyz".index(strength.system)] <= strength.high
    assert covered / (3 * runs) >= 0.93
