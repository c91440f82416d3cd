"""Distances between sets of features: answers known by hand, and intervals over identities."""

import numpy as np
import pytest

from evaluation.distributions import GROUPS, coverage, density, groups_of, kid, set_aggregate, set_metrics
from space_data.errors import SpaceError
from space_data.schema import Aggregate

CLIPS = {f"set/{person}/{i}": person for person in "abc" for i in range(3)}


def test_kid_by_hand():
    """One dimension, kernel (x y + 1)^3: within {0, 1} it is 1, within {2, 3} 343, across 1, 1, 27, 64."""
    x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    assert kid(x, y) == pytest.approx(1 + 343 - 2 * (1 + 1 + 27 + 64) / 4)


def test_kid_is_the_mean_of_its_definition(rng):
    x, y = rng.normal(size=(7, 3)), rng.normal(0.5, 1, (5, 3))

    def k(a, b):
        return (a @ b / 3 + 1) ** 3

    def within(z):
        return np.mean([k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j])

    assert kid(x, y) == pytest.approx(within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y]))


def test_kid_of_samples_of_one_law_is_near_zero_on_either_side(rng):
    found = [kid(rng.normal(size=(60, 4)), rng.normal(size=(60, 4))) for _ in range(40)]
    assert min(found) < 0 < max(found) and abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(40)


def test_density_and_coverage_by_hand():
    real = np.arange(10.0)[:, None] * 10  # radii: 5th nearest neighbour: 30 in the middle, up to 50 at the ends
    made = np.array([[0.0], [0.0], [1000.0]])
    inside = [abs(0 - 10 * i) <= r for i, r in enumerate([50, 40, 30, 30, 30, 30, 30, 30, 40, 50])]
    assert density(made, real) == pytest.approx(2 * sum(inside) / (5 * 3))
    assert coverage(made, real) == pytest.approx(sum(inside) / 10)
    assert coverage(real, real) == 1.0 and density(real, real) > 1.0
    assert coverage(real + 1e6, real) == density(real + 1e6, real) == 0.0


@pytest.mark.parametrize("metric", [kid, density, coverage])
def test_bad_sets_are_refused(metric):
    good = np.random.default_rng(0).normal(size=(10, 4))
    with pytest.raises(SpaceError, match=r"made set: shape \(1,\)"):
        metric(good[:1, 0], good)
    with pytest.raises(SpaceError, match="real set: shape"):
        metric(good, good[:1])
    with pytest.raises(SpaceError, match=r"made set: shape \(10, 3\)"):
        metric(good[:, :3], good)
    with pytest.raises(SpaceError, match="made set holds non-finite"):
        metric(np.where(np.arange(40).reshape(10, 4) == 3, np.nan, good), good)


def aggregated(made: dict[str, np.ndarray], real: dict[str, np.ndarray]) -> list[Aggregate]:
    return [set_aggregate("ours", metric, made, real, CLIPS, len(CLIPS)) for metric in set_metrics("dct", False, 5)]


def test_figures_are_over_common_clips_with_people_as_units(rng):
    real = {clip: rng.normal(size=(10, 4)) for clip in CLIPS}
    off = {clip: features + 1.0 for clip, features in real.items() if clip != "set/a/0"}
    frechet, own_kid, _, covered = aggregated(off, real)
    assert frechet.mean == pytest.approx(4.0, rel=1e-6), "compared with the recordings of the same clips only"
    assert (frechet.n_ok, frechet.n_total, frechet.n_identities) == (8, 9, 3), "people, not clips"
    assert frechet.low is not None and frechet.low < 4.0 < frechet.high
    assert own_kid.mean > 0 and 0 <= covered.mean < 1
    same = aggregated(real, real)
    assert same[0].mean == pytest.approx(0, abs=1e-9) and same[3].mean == 1.0
    nobody = aggregated({}, real)
    assert all(row.mean is None and row.n_ok == 0 for row in nobody)


def test_the_order_of_clips_does_not_matter(rng):
    real = {clip: rng.normal(size=(10, 4)) for clip in CLIPS}
    made = {clip: rng.normal(size=(10, 4)) for clip in CLIPS}
    turned = dict(reversed(made.items()))
    assert aggregated(made, real) == aggregated(turned, real)


def test_one_person_has_no_interval(rng):
    alone = {clip: rng.normal(size=(10, 4)) for clip, person in CLIPS.items() if person == "a"}
    assert all(row.low is None for row in aggregated(alone, alone))


def test_many_people_share_groups():
    people = [f"p{i:03d}" for i in range(50)]
    groups = groups_of(people * 2)
    assert set(groups) == set(range(GROUPS)) and groups[:50] == groups[50:]


def test_a_stand_in_is_never_called_fid():
    for metric in set_metrics("dct", False, 5):
        assert "standin" in metric.column.metric_id and "not " in metric.column.title
    assert [metric.column.name for metric in set_metrics("inception", True, 5)] == ["fid", "kid", "density", "coverage"]
