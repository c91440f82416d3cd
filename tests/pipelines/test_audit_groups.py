"""Group comparisons on sets whose answer is known: no bias, a planted bias, and one person who makes a group look biased."""

import numpy as np
import pytest

from pipelines.audit.groups import compare_groups, leading_reason


def test_shares_and_hours_by_hand() -> None:
    group, person = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 2, 3])
    kept, seconds = np.array([1, 1, 0, 1, 1], bool), np.array([1.0, 2, 4, 8, 16])
    found = compare_groups(group, person, kept, seconds, 2)
    assert found.share.tolist() == [2 / 3, 1.0] and found.kept_s.tolist() == [3.0, 24.0]
    assert found.segments.tolist() == [3, 2] and found.clusters.tolist() == [2, 2]
    assert found.difference[0] == pytest.approx(2 / 3 - 1) and np.all(found.p == 1), "five segments prove nothing"
    assert found.high[1] == 1 and found.low[1] < 0.6, "two of two is not certainty"


def test_false_alarms_are_rare_although_people_differ(rng: np.random.Generator) -> None:
    """Each person has a kept share of their own, so segments are far from independent; groups are drawn at random."""
    alarms = 0
    for _ in range(200):
        person = np.repeat(np.arange(60), 30)
        group = rng.integers(0, 4, 60)[person]
        kept = rng.random(len(person)) < rng.beta(4, 2, 60)[person]
        alarms += bool((compare_groups(group, person, kept, np.ones(len(person)), 4).p < 0.05).any())
    assert alarms <= 20, f"{alarms} of 200 unbiased sets look biased"


def test_a_planted_bias_is_found_and_covered(rng: np.random.Generator) -> None:
    person = np.repeat(np.arange(200), 20)
    group = (np.arange(200) % 4)[person]
    kept = rng.random(len(person)) < np.array([0.8, 0.8, 0.6, 0.8])[group]
    found = compare_groups(group, person, kept, np.ones(len(person)), 4)
    assert found.p[2] < 1e-6 and found.difference[2] < 0
    assert found.low[2] < 0.6 < found.high[2] and found.high[2] - found.low[2] < 0.12


def test_one_person_is_not_a_group(rng: np.random.Generator) -> None:
    person = np.repeat(np.arange(10), 100)
    kept = np.where(person == 0, False, rng.random(1000) < 0.9)
    found = compare_groups(np.minimum(person, 1), person, kept, np.ones(1000), 2)
    assert found.p[0] == 1 and (found.low[0], found.high[0]) == (0, 1), "a hundred segments, but one person"


def test_the_leading_reason_is_the_surplus_not_the_most_frequent() -> None:
    group = np.repeat([0, 1], 10)
    everywhere, mostly_here = np.ones(20, bool), np.array([0] * 10 + [1] * 5 + [0] * 5, bool)
    nowhere = np.zeros(20, bool)
    lead = leading_reason(group, {"everywhere": everywhere, "here": mostly_here, "nowhere": nowhere}, 2)
    assert lead == [("everywhere", 1.0), ("here", 0.5)]
    assert leading_reason(group, {"nowhere": nowhere}, 2) == [("", 0.0), ("", 0.0)]
