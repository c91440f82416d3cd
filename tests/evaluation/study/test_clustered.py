"""Rates: answers known by hand, and intervals that cover."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from evaluation.study.clustered import Clustering, rate_of
from space_data.errors import SpaceError


def clusters(raters: str, clips: str) -> Clustering:
    """One letter per vote."""
    return Clustering.of(list(raters), list(clips))


def test_a_rate_known_by_hand() -> None:
    # Raters r: 1 1, s: 1 .5, t: 0 0; each on clips a and b. Mean 7/12.
    votes = np.array([1, 1, 1, 0.5, 0, 0])
    found = rate_of(votes, clusters("rrsstt", "ababab"))
    assert (found.rate, found.wins, found.ties, found.losses) == (pytest.approx(7 / 12), 3, 1, 2)
    assert (found.n_raters, found.n_clips, found.n_votes) == (3, 2, 6)
    # Deviations x 12: 5 5 | 5 -1 | -7 -7. Sums by rater 10, 4, -14; by clip 3, -3; by both the six themselves.
    by_rater = (100 + 16 + 196) * 3 / 2
    by_clip = (9 + 9) * 2 / 1
    by_both = (25 + 25 + 25 + 1 + 49 + 49) * 6 / 5
    variance = max(by_rater + by_clip - by_both, by_rater, by_clip) / (12 * 6) ** 2
    logit, error = np.log(7 / 5), variance**0.5 / (7 / 12 * 5 / 12)
    reach = stats.t.ppf(0.975, 1) * error
    assert found.low == pytest.approx(expit(logit - reach)) and found.high == pytest.approx(expit(logit + reach))
    assert found.p_value == pytest.approx(2 * stats.t.sf(logit / error, 1))


def test_raters_who_all_agree_are_as_many_draws() -> None:
    found = rate_of(np.ones(12), clusters("rrsstt" * 2, "abcd" * 3))
    assert (found.rate, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 3)) and found.p_value == pytest.approx(2 / 8)
    tied = rate_of(np.full(6, 0.5), clusters("rrsstt", "ababab"))
    assert tied.rate == 0.5 and tied.p_value == 1.0 and tied.low is not None and tied.low < 0.2


def test_turning_the_pair_round_turns_the_interval_round(rng: np.random.Generator) -> None:
    votes = rng.choice([0, 0.5, 1], 60, p=[0.2, 0.2, 0.6])
    both = clusters("abcdefghij" * 6, "mnopqr" * 10)
    there, back = rate_of(votes, both), rate_of(1 - votes, both)
    assert back.low == pytest.approx(1 - there.high) and back.p_value == pytest.approx(there.p_value)


def test_one_rater_has_no_interval_and_one_clip_clusters_by_rater() -> None:
    alone = rate_of(np.array([1, 0, 1]), clusters("rrr", "abc"))
    assert (alone.low, alone.high, alone.p_value) == (None, None, None)
    one_clip = rate_of(np.array([1, 0, 1, 1]), clusters("rstu", "aaaa"))
    assert one_clip.low is not None and 0 < one_clip.low < 0.75
    with pytest.raises(SpaceError, match="no votes"):
        rate_of(np.array([]), clusters("", ""))


@pytest.mark.parametrize(
    ("n_raters", "n_clips", "sd_rater", "sd_clip", "mean"),
    [(20, 8, 0.5, 0.5, 0.0), (12, 12, 1.0, 0.5, 0.5), (30, 20, 0.7, 0.7, 0.5), (20, 8, 0.5, 0.5, 2.5), (40, 8, 0.3, 1.0, 0.0)],
)
def test_intervals_cover(n_raters: int, n_clips: int, sd_rater: float, sd_clip: float, mean: float) -> None:
    """Votes whose odds have a part of the rater and one of the clip; 4 per rater, a fifth of them ties."""
    rng, runs, per_rater, tie = np.random.default_rng(7), 250, 4, 0.2
    wins = expit(mean + rng.normal(0, (sd_rater**2 + sd_clip**2) ** 0.5, 200_000)).mean()
    true_rate = (1 - tie) * wins + tie / 2
    raters = np.repeat(np.arange(n_raters), per_rater)
    clips = np.arange(n_raters * per_rater) % n_clips
    covered = 0
    for _ in range(runs):
        odds = mean + rng.normal(0, sd_rater, n_raters)[raters] + rng.normal(0, sd_clip, n_clips)[clips]
        votes = np.where(rng.random(len(odds)) < tie, 0.5, rng.random(len(odds)) < expit(odds))
        found = rate_of(votes, Clustering(raters, clips))
        assert found.low is not None and found.high is not None
        covered += found.low <= true_rate <= found.high
    assert covered / runs >= 0.93
