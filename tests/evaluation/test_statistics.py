"""Intervals, comparisons and coverage."""

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics import compare, holm, jackknife_interval, least_p, summarise, t_interval
from space_data.errors import SpaceError

PEOPLE = ["a", "a", "b", "b", "c", "c"]


def test_equal_values_have_no_uncertainty():
    summary = summarise([2.0] * 6, PEOPLE)
    assert (summary.mean, summary.low, summary.high) == (2.0, 2.0, 2.0)
    assert (summary.n_ok, summary.n_total, summary.n_identities) == (6, 6, 3)


def test_failures_lower_the_coverage_not_the_mean():
    summary = summarise([1.0, None, 3.0, None, None, None], PEOPLE)
    assert summary.mean == 2.0
    assert (summary.n_ok, summary.n_total, summary.n_identities) == (2, 6, 2)


def test_nothing_measured_is_none_not_zero():
    summary = summarise([None, None], ["a", "b"])
    assert summary.mean is None and summary.low is None and summary.n_ok == 0 and summary.n_total == 2


def test_the_order_of_the_clips_does_not_matter(rng):
    values = rng.normal(size=60).tolist()
    people = [f"p{i % 7}" for i in range(60)]
    order = rng.permutation(60)
    assert summarise(values, people) == summarise([values[i] for i in order], [people[i] for i in order])


def test_clips_of_one_person_do_not_narrow_the_interval():
    """Ten copies of each person's clip are no more evidence than one."""
    once = summarise([0.0, 1.0, 2.0, 3.0], ["a", "b", "c", "d"])
    tenfold = summarise([0.0, 1.0, 2.0, 3.0] * 10, ["a", "b", "c", "d"] * 10)
    assert (once.low, once.high) == (tenfold.low, tenfold.high)


@pytest.mark.parametrize("n_people", [6, 12, 40])
@pytest.mark.parametrize("skewed", [False, True])
def test_interval_covers_the_truth_as_often_as_it_says(n_people: int, skewed: bool, rng):
    """People differ by twice as much as their clips do, and have different numbers of clips."""
    trials, hits = 1000, 0
    people = [f"p{i}" for i in range(n_people) for _ in range(1 + i % 4)]
    index = np.array([int(name[1:]) for name in people])
    for _ in range(trials):
        own = rng.gamma(4.0, 1.0, n_people) if skewed else rng.normal(4.0, 2.0, n_people)
        summary = summarise((own[index] + rng.normal(0, 1, len(index))).tolist(), people)
        hits += summary.low <= 4.0 <= summary.high
    assert (0.91 if skewed else 0.93) <= hits / trials <= 0.975


def test_an_identity_counts_once_however_many_clips_it_has():
    summary = summarise([0.0, 0.0, 0.0, 1.0], ["a", "a", "a", "b"])
    assert summary.mean == 0.5
    assert (summary.low, summary.high) == pytest.approx((0.5 - 12.7062 * 0.5, 0.5 + 12.7062 * 0.5), abs=1e-4)


def test_one_identity_has_no_interval():
    summary = summarise([1.0, 2.0, 3.0], ["a"] * 3)
    assert (summary.mean, summary.low, summary.high, summary.n_identities) == (2.0, None, None, 1)


def test_paired_comparison_sees_what_unpaired_means_hide(rng):
    hard = rng.normal(0, 10, 40)
    people = [f"p{i}" for i in range(40)]
    result = compare((hard - 0.5).tolist(), hard.tolist(), people, draws=500, seed=0)
    assert result.difference.mean == pytest.approx(-0.5)
    assert result.difference.high < 0
    assert result.win_share == 1.0
    assert result.p_value < 0.01


def test_sign_flip_test_by_hand():
    """Three identities, all better: of 8 sign patterns 2 are as extreme."""
    result = compare([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], ["a", "b", "c"], 100, 0)
    assert result.p_value == pytest.approx(2 / 8)
    assert result.effect_size == pytest.approx(-2.0)  # differences -1, -2, -3


@pytest.mark.parametrize("n", [2, 3, 7, 12, 13, 30])
def test_the_least_p_is_what_the_test_gives_where_all_identities_agree(n: int):
    found = compare([0.0] * n, [1.0 + i for i in range(n)], [f"p{i:02d}" for i in range(n)], draws=99, seed=0)
    assert found.p_value == pytest.approx(least_p(n, 99), abs=0.011 if n == 13 else 1e-12)  # among 99 drawn one may be it


@pytest.mark.parametrize("n", [2, 3, 6, 12])
def test_sign_flips_and_interval_are_scipys(n: int, rng):
    values = rng.normal(0.4, 1.0, n)
    people = [f"p{i:02d}" for i in range(n)]
    found = compare(values.tolist(), [0.0] * n, people, draws=10, seed=0)
    exact = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found.p_value == pytest.approx(exact.pvalue, abs=1e-12)
    ends = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx((ends.low, ends.high), rel=1e-9)


def test_comparison_uses_common_clips_only():
    result = compare([1.0, None, 5.0], [2.0, 9.0, None], ["a", "b", "c"], 100, 0)
    assert result.difference.mean == -1.0
    assert result.difference.n_ok == 1
    assert result.p_value is None


def test_equal_but_for_rounding_is_half_a_win():
    """2 P R / (P + R) of the same lips, summed in another order: a third and its next number."""
    third = 1 / 3
    result = compare([0.0, third, 1.0, third], [1.0, np.nextafter(third, 1), 0.0, np.nextafter(third, 0)], list("abcd"), 100, 0)
    assert result.win_share == 0.5


def test_holm_by_hand():
    assert holm({"x": 0.01, "y": 0.04, "z": 0.03}) == pytest.approx({"x": 0.03, "z": 0.06, "y": 0.06})
    assert holm({}) == {}


def test_jackknife_of_a_mean_is_its_standard_error(rng):
    values = rng.normal(size=25)
    left_out = (values.sum() - values) / 24
    low, high = jackknife_interval(float(values.mean()), left_out)
    assert (low, high) == pytest.approx(t_interval(float(values.mean()), values.std(ddof=1) / 5, 25))
    assert jackknife_interval(1.0, np.array([1.0])) is None


def test_lengths_must_agree():
    with pytest.raises(SpaceError, match="2 values for 1 clips"):
        summarise([1.0, 2.0], ["a"])
    with pytest.raises(SpaceError, match="comparison"):
        compare([1.0], [1.0, 2.0], ["a"], 10, 0)
