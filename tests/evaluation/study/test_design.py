"""Balance, as a property over sizes and seeds."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.study.design import Showing, design
from space_data.errors import SpaceError


def spread(counts: Counter, keys: range | list) -> int:
    """Largest minus smallest count over ``keys``."""
    found = [counts[key] for key in keys]
    return max(found) - min(found)


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 10), st.integers(1, 12), st.integers(1, 15), st.data())
def test_a_design_is_balanced(n_pairs: int, n_clips: int, n_raters: int, data: st.DataObject) -> None:
    trials = data.draw(st.integers(1, n_pairs * n_clips))
    catches = data.draw(st.integers(0, min(4, trials)))
    lists = design(n_pairs, n_clips, n_raters, trials, catches, 2 * n_clips, data.draw(st.integers(0, 10_000)))
    assert len(lists) == n_raters
    pairs, cells = range(n_pairs), [(p, c) for p in range(n_pairs) for c in range(n_clips)]
    shown: list[Showing] = []
    for own in lists:
        assert sum(one.is_catch for one in own) == catches and not own[0].is_catch
        asked = [one for one in own if not one.is_catch]
        assert len(asked) == trials
        assert max(Counter((one.pair, one.clip) for one in asked).values()) == 1, "nobody sees one twice"
        assert spread(Counter(one.pair for one in asked), pairs) <= 1
        assert spread(Counter(one.clip for one in asked), range(n_clips)) <= 2
        shown += asked
    assert spread(Counter((one.pair, one.clip) for one in shown), cells) <= 1
    assert spread(Counter(one.pair for one in shown), pairs) <= 1
    for counted in (lambda one: one.pair, lambda one: (one.pair, one.clip)):
        total, left = Counter(map(counted, shown)), Counter(counted(one) for one in shown if one.first_on_left)
        assert all(abs(2 * left[key] - total[key]) <= 1 for key in total), "left as often as right"


@pytest.mark.parametrize(("n_pairs", "n_clips", "trials"), [(10, 8, 10), (10, 8, 12), (3, 8, 12), (6, 40, 20)])
def test_within_a_rater_no_side_is_favoured(n_pairs: int, n_clips: int, trials: int) -> None:
    for own in design(n_pairs, n_clips, 25, trials, 0, 0, seed=3):
        assert abs(sum(one.first_on_left for one in own) - trials / 2) <= 2


def test_the_seed_decides_and_orders_differ_between_raters() -> None:
    assert design(3, 4, 5, 6, 2, 8, seed=1) == design(3, 4, 5, 6, 2, 8, seed=1)
    lists = design(3, 4, 5, 6, 2, 8, seed=1)
    assert lists != design(3, 4, 5, 6, 2, 8, seed=2)
    assert len({tuple(one.pair for one in own if not one.is_catch) for own in lists}) > 1


@pytest.mark.parametrize(
    ("sizes", "words"),
    [((3, 4, 5, 13, 0, 8), "need at most 12"), ((0, 4, 5, 1, 0, 8), "0 pairs"), ((3, 4, 5, 6, 1, 0), "no recording")],
)
def test_impossible_designs_are_refused(sizes: tuple[int, ...], words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        design(*sizes, seed=0)
