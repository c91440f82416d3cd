"""All figures of a study: of the raters who count under the rule stated in its manifest, and of all of them beside."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evaluation.statistics import holm
from evaluation.study.answers import Judgement
from evaluation.study.bradley_terry import Fit, fit
from evaluation.study.clustered import Clustering, Rate, rate_of
from evaluation.study.manifest import Study
from evaluation.study.raters import RaterQuality, qualities
from space_data.errors import SpaceError

FORMAT = 1


@dataclass(frozen=True)
class PairRate:
    """Preference for ``first`` over ``second`` under one question."""

    question: str
    first: str
    second: str
    rate: Rate
    p_holm: float | None
    """``rate.p_value`` adjusted (Holm) over the question's pairs"""
    everybody: float
    """the rate with the raters who do not count"""


@dataclass(frozen=True)
class QuestionStrengths:
    """Strengths under one question; None: they cannot be had, and why."""

    question: str
    fit: Fit | None
    why_not: str


@dataclass(frozen=True)
class Results:
    """What `report` shows."""

    study_id: str
    rates: tuple[PairRate, ...]
    strengths: tuple[QuestionStrengths, ...]
    raters: tuple[RaterQuality, ...]
    judgements: tuple[Judgement, ...]

    @property
    def counting(self) -> frozenset[str]:
        """Raters whose votes make the figures."""
        return frozenset(quality.rater for quality in self.raters if not quality.left_out)

    def in_words(self) -> list[str]:
        """A few lines for the terminal."""
        lines = [f"{len(self.counting)} of {len(self.raters)} raters count, {len(self.judgements)} answers in all"]
        for one in self.rates:
            lines.append(f"{one.question}: {one.first} over {one.second} {rate_in_words(one.rate)}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """For ``results.json``."""
        return {
            "format": FORMAT,
            "study": self.study_id,
            "rates": [asdict(one) for one in self.rates],
            "strengths": [asdict(one) for one in self.strengths],
            "raters": [asdict(one) for one in self.raters],
        }


def results_of(study: Study, judgements: Sequence[Judgement]) -> Results:
    """Everything.

    Raises:
        SpaceError: nobody whose votes count has judged a pair.
    """
    raters = qualities(study, judgements)
    out = {quality.rater for quality in raters if quality.left_out}
    pairs = [one for one in judgements if one.catch is None]
    counting = [one for one in pairs if one.rater not in out]
    if not counting:
        raise SpaceError(f"study: {len(raters)} raters, none of whom counts ({_reasons(raters)})")
    rates: list[PairRate] = []
    strengths: list[QuestionStrengths] = []
    for question in study.questions:
        own = [one for one in counting if one.question == question.id]
        rates += _rates(study, question.id, own, [one for one in pairs if one.question == question.id])
        strengths.append(_strengths(question.id, own))
    return Results(study.study_id, tuple(rates), tuple(strengths), tuple(raters), tuple(judgements))


def _rates(study: Study, question: str, own: Sequence[Judgement], everybody: Sequence[Judgement]) -> list[PairRate]:
    found: dict[tuple[str, str], Rate] = {}
    for pair in study.pairs:
        votes = [one for one in own if (one.first, one.second) == pair]
        if votes:
            found[pair] = rate_of(_scores(votes), _clusters(votes))
    adjusted = holm({" ".join(pair): rate.p_value for pair, rate in found.items() if rate.p_value is not None})
    return [
        PairRate(
            question, *pair, rate, adjusted.get(" ".join(pair)),
            float(_scores([one for one in everybody if (one.first, one.second) == pair]).mean()),
        )
        for pair, rate in found.items()
    ]  # fmt: skip


def _strengths(question: str, own: Sequence[Judgement]) -> QuestionStrengths:
    try:
        done = fit([one.first for one in own], [one.second for one in own], _scores(own), _clusters(own))
    except SpaceError as error:
        return QuestionStrengths(question, None, str(error))
    return QuestionStrengths(question, done, "")


def _scores(votes: Sequence[Judgement]) -> np.ndarray:
    return np.array([vote.score for vote in votes], np.float64)


def _clusters(votes: Sequence[Judgement]) -> Clustering:
    return Clustering.of([vote.rater for vote in votes], [vote.clip for vote in votes])


def _reasons(raters: Sequence[RaterQuality]) -> str:
    return "; ".join(f"{quality.rater[:8]}: {quality.left_out}" for quality in raters) or "nobody has answered yet"


def rate_in_words(rate: Rate) -> str:
    """``63 % [51, 74]``."""
    interval = f" [{100 * rate.low:.0f}, {100 * rate.high:.0f}]" if rate.low is not None and rate.high is not None else ""
    return f"{100 * rate.rate:.0f} %{interval}"
