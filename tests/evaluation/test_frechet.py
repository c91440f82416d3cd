"""The Fréchet distance against closed forms; no library decides what is right."""

import numpy as np
import pytest

from evaluation.frechet import Moments, eigh_trace, frechet_distance, frechet_of_moments, nuclear_trace
from space_data.errors import SpaceError


def with_moments(rng, n, mean, covariance):
    """Samples whose *sample* mean and covariance are exactly those given."""
    d = len(mean)
    raw = rng.normal(size=(n, d))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T).reshape(d, d))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_identical_sets_are_at_zero(rng):
    for shape in ((200, 6), (10, 40)):
        x = rng.normal(size=shape)
        assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_equal_covariances_leave_the_distance_of_the_means(rng):
    covariance = np.array([[2.0, 0.7], [0.7, 1.0]])
    x = with_moments(rng, 100, np.zeros(2), covariance)
    y = with_moments(rng, 80, np.array([3.0, 4.0]), covariance)
    assert frechet_distance(x, y) == pytest.approx(25.0, rel=1e-9)


def test_commuting_covariances(rng):
    """Diagonal covariances: sum over the axes of (s1 - s2)^2."""
    x = with_moments(rng, 50, np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    y = with_moments(rng, 60, np.zeros(3), np.diag([16.0, 4.0, 1.0]))
    assert frechet_distance(x, y) == pytest.approx((1 - 4) ** 2 + 0 + (3 - 1) ** 2, rel=1e-9)


def test_one_dimension(rng):
    x = with_moments(rng, 30, np.array([1.0]), np.array([[4.0]]))
    y = with_moments(rng, 30, np.array([6.0]), np.array([[25.0]]))
    assert frechet_distance(x, y) == pytest.approx(25 + 9, rel=1e-9)


def test_two_points_each_known_by_hand():
    """Two samples along an axis each: rank one, singular covariances; d^2 = (s1 - s2)^2, s = |a - b| / sqrt 2."""
    x = np.zeros((2, 50))
    y = np.zeros((2, 50))
    x[:, 0], y[:, 0] = (-1, 1), (-3, 3)
    assert frechet_distance(x, y) == pytest.approx((np.sqrt(2) - 3 * np.sqrt(2)) ** 2, rel=1e-9)
    y[:, 0], y[:, 1] = 0, (-3, 3)  # orthogonal: the cross term vanishes
    assert frechet_distance(x, y) == pytest.approx(2 + 18, rel=1e-9)


@pytest.mark.parametrize(("n1", "n2", "d"), [(20, 30, 60), (100, 90, 12), (15, 200, 40)])
def test_both_forms_agree_with_the_definition(rng, n1, n2, d):
    from scipy.linalg import eigvals

    x, y = rng.normal(size=(n1, d)), rng.normal(size=(n2, d)) @ rng.normal(size=(d, d)) / np.sqrt(d)
    x, y = (x - x.mean(0)) / np.sqrt(n1 - 1), (y - y.mean(0)) / np.sqrt(n2 - 1)
    by_definition = np.sqrt(np.clip(eigvals(x.T @ x @ y.T @ y).real, 0, None)).sum()
    assert nuclear_trace(x, y) == pytest.approx(by_definition, rel=1e-5)
    assert eigh_trace(x.T @ x, y.T @ y) == pytest.approx(by_definition, rel=1e-5)


def test_symmetric_and_blind_to_order(rng):
    x, y = rng.normal(size=(40, 8)), rng.normal(1, 2, size=(50, 8))
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)
    assert frechet_distance(x[::-1], rng.permutation(y)) == pytest.approx(frechet_distance(x, y), rel=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((1, 3)), np.zeros((5, 3)), "samples >= 2"),
        (np.zeros((5, 3)), np.zeros((5, 4)), "another feature extractor"),
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "non-finite"),
        (np.zeros(5), np.zeros((5, 3)), "shape"),
    ],
)
def test_malformed_sets_are_refused(x, y, message):
    with pytest.raises(SpaceError, match=message):
        frechet_distance(x, y)


def test_moments_add_up_and_can_be_taken_away(rng):
    """In parts of any size, far from zero, where sums of squares would have lost all digits that matter."""
    x = rng.normal(1e6, 1, (100, 5)) @ np.diag([1, 2, 3, 4, 1e-2])
    whole, parts = Moments.of(x), [Moments.of(x[begin:end]) for begin, end in ((0, 1), (1, 1), (1, 90), (90, 100))]
    added = sum(parts[1:], parts[0])
    left = whole.without(parts[2])
    for found, samples in ((whole, x), (added, x), (left, np.concatenate([x[:1], x[90:]]))):
        assert found.n == len(samples) and found.mean == pytest.approx(samples.mean(axis=0), rel=1e-13)
        assert found.covariance == pytest.approx(np.cov(samples.T), rel=1e-6)
    y = rng.normal(1e6, 2, (80, 5))
    assert frechet_of_moments(added, Moments.of(y)) == pytest.approx(frechet_distance(x, y), rel=1e-9)
