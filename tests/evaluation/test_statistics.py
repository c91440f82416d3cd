"""Intervals, comparisons and coverage."""

import numpy as np
import pytest

from evaluation.statistics import compare, holm, jackknife_interval, summarise
from space_data.errors import SpaceError

PEOPLE = ["a", "a", "b", "b", "c", "c"]


def test_equal_values_have_no_uncertainty():
    summary = summarise([2.0] * 6, PEOPLE, 100, 0)
    assert (summary.mean, summary.low, summary.high) == (2.0, 2.0, 2.0)
    assert (summary.n_ok, summary.n_total, summary.n_identities) == (6, 6, 3)


def test_failures_lower_the_coverage_not_the_mean():
    summary = summarise([1.0, None, 3.0, None, None, None], PEOPLE, 100, 0)
    assert summary.mean == 2.0
    assert (summary.n_ok, summary.n_total, summary.n_identities) == (2, 6, 2)


def test_nothing_measured_is_none_not_zero():
    summary = summarise([None, None], ["a", "b"], 100, 0)
    assert summary.mean is None and summary.low is None and summary.n_ok == 0 and summary.n_total == 2


def test_the_order_of_the_clips_does_not_matter(rng):
    values = rng.normal(size=60).tolist()
    people = [f"p{i % 7}" for i in range(60)]
    order = rng.permutation(60)
    assert summarise(values, people, 500, 3) == summarise([values[i] for i in order], [people[i] for i in order], 500, 3)


def test_clips_of_one_person_do_not_narrow_the_interval():
    """Ten copies of each person's clip are no more evidence than one."""
    once = summarise([0.0, 1.0, 2.0, 3.0], ["a", "b", "c", "d"], 2000, 1)
    tenfold = summarise([0.0, 1.0, 2.0, 3.0] * 10, ["a", "b", "c", "d"] * 10, 2000, 1)
    assert (once.low, once.high) == (tenfold.low, tenfold.high)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    people = [f"p{i}" for i in range(40)]
    hits = 0
    for seed in range(200):
        summary = summarise(np.random.default_rng(seed).normal(5, 1, 40).tolist(), people, 300, seed)
        hits += summary.low <= 5 <= summary.high
    assert 0.88 <= hits / 200 <= 0.99


def test_paired_comparison_sees_what_unpaired_means_hide(rng):
    hard = rng.normal(0, 10, 40)
    people = [f"p{i}" for i in range(40)]
    result = compare((hard - 0.5).tolist(), hard.tolist(), people, lower_is_better=True, draws=500, seed=0)
    assert result.difference.mean == pytest.approx(-0.5)
    assert result.difference.high < 0
    assert result.win_share == 1.0
    assert result.p_value < 0.01


def test_sign_flip_test_by_hand():
    """Three identities, all better: of 8 sign patterns 2 are as extreme."""
    result = compare([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], ["a", "b", "c"], True, 100, 0)
    assert result.p_value == pytest.approx(2 / 8)


def test_comparison_uses_common_clips_only():
    result = compare([1.0, None, 5.0], [2.0, 9.0, None], ["a", "b", "c"], True, 100, 0)
    assert result.difference.mean == -1.0
    assert result.difference.n_ok == 1
    assert result.p_value is None


def test_holm_by_hand():
    assert holm({"x": 0.01, "y": 0.04, "z": 0.03}) == pytest.approx({"x": 0.03, "z": 0.06, "y": 0.06})
    assert holm({}) == {}


def test_jackknife_of_a_mean_is_its_standard_error(rng):
    values = rng.normal(size=25)
    left_out = (values.sum() - values) / 24
    low, high = jackknife_interval(float(values.mean()), left_out)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std(ddof=1) / 5)


def test_lengths_must_agree():
    with pytest.raises(SpaceError, match="2 values for 1 clips"):
        summarise([1.0, 2.0], ["a"], 10, 0)
    with pytest.raises(SpaceError, match="comparison"):
        compare([1.0], [1.0, 2.0], ["a"], True, 10, 0)
