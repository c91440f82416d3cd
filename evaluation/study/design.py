"""Who sees which pair of systems on which clip, and on which side: balanced by construction, in an order drawn from a seed.

The *cells* are pairs x clips. They are laid out in one cyclic sequence in which any stretch has the pairs equally often and the
clips nearly so; the raters take consecutive stretches of it. For N raters of M trials:

- every cell is seen equally often, give or take one, and so is every pair;
- within a rater, pairs occur equally often, give or take one, clips give or take two, and no cell twice (while M <= cells);
- for each pair either system stands on the left in half its trials, give or take one; for each cell likewise; and within a rater
  the system named first in its pair stands on the left in about half of all trials.

The order within a rater, and where the catch trials stand, are drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError

CATCH_FROM = 1
"""The first trial is never a catch: a rater's first answer is spent on learning the page."""


@dataclass(frozen=True)
class Showing:
    """One trial as designed: a pair (or a catch, then ``pair`` is its number among the catches) of a clip."""

    pair: int
    clip: int
    first_on_left: bool
    is_catch: bool = False


def design(
    n_pairs: int, n_clips: int, n_raters: int, trials: int, catches: int, n_catches: int, seed: int
) -> list[list[Showing]]:
    """The raters' lists.

    Args:
        n_pairs, n_clips: how many there are.
        n_raters: lists to make.
        trials: per rater, catches not counted.
        catches: catch trials per rater.
        n_catches: different catches (kinds x clips) to take them from, in turn.
        seed: of every draw.

    Raises:
        SpaceError: nothing to show, or a rater would see a cell twice.
    """
    cells = n_pairs * n_clips
    if min(n_pairs, n_clips, n_raters, trials) < 1:
        raise SpaceError(f"study: {n_pairs} pairs, {n_clips} clips, {n_raters} raters, {trials} trials, need one of each or more")
    if trials > cells:
        raise SpaceError(
            f"study: {trials} trials per rater, need at most {cells} ({n_pairs} pairs x {n_clips} clips; nobody sees one twice)"
        )
    if catches and not n_catches:
        raise SpaceError(f"study: {catches} catch trials per rater and no recording to make one from")
    rng = np.random.default_rng(seed)
    pairs, clips = rng.permutation(n_pairs), rng.permutation(n_clips)
    lists = []
    for rater in range(n_raters):
        stretch = range(rater * trials, (rater + 1) * trials)
        shown = [_showing(i, pairs, clips) for i in stretch]
        own = [shown[i] for i in rng.permutation(trials)]
        numbers = [(rater * catches + k) % n_catches for k in range(catches)]
        lists.append(_with_catches(own, numbers, rng))
    return [lists[i] for i in rng.permutation(n_raters)]


def _showing(i: int, pairs: NDArray[np.int64], clips: NDArray[np.int64]) -> Showing:
    """Trial ``i`` of the endless sequence that repeats all cells.

    Pairs and clips each go round; where that would meet cells again (after their least common multiple) the clips move on by
    one. Sides alternate from one trial of a pair to its next, from one round of all cells to the next, and between neighbours.
    """
    n_pairs, n_clips = len(pairs), len(clips)
    cycle, place = divmod(i, n_pairs * n_clips)
    pair = place % n_pairs
    clip = (place + place // lcm(n_pairs, n_clips)) % n_clips
    side = (place // n_pairs + cycle + pair) % 2
    return Showing(int(pairs[pair]), int(clips[clip]), bool(side))


def _with_catches(own: list[Showing], numbers: Sequence[int], rng: np.random.Generator) -> list[Showing]:
    """``own`` with one catch trial in each of as many parts of about equal length."""
    edges = np.linspace(CATCH_FROM, len(own) + 1, len(numbers) + 1)
    shown = list(own)
    for k in reversed(range(len(numbers))):  # from behind, so that places before stay what they are
        place = int(rng.integers(int(edges[k]), max(int(edges[k]) + 1, int(edges[k + 1]))))
        shown.insert(place, Showing(numbers[k], 0, bool(rng.integers(2)), is_catch=True))
    return shown
