"""Who paid attention: catch trials, time, sides, agreement with the others; and whose votes count under the study's rule."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evaluation.study.answers import FIRST_WINS, TIE, Judgement
from evaluation.study.manifest import Study


@dataclass(frozen=True)
class RaterQuality:
    """One rater. Shares are None where there is nothing to take them of."""

    rater: str
    list_number: int
    answered: int
    asked: int
    catches_right: int
    catches_answered: int
    """answers to catch trials whose right answer is known"""
    median_seconds: float
    left_share: float | None
    """of the answers that prefer one side, those for the left one"""
    left_p: float | None
    """two-sided binomial test of that share against one half"""
    agreement: float | None
    """of the answers that prefer a system, those for the one that the other raters prefer in that pair and question"""
    left_out: str
    """why the votes do not count; empty: they do"""


def is_known(judgement: Judgement, study: Study) -> bool:
    """Whether this is a catch trial, asked something that has one right answer."""
    asked = next(question for question in study.questions if question.id == judgement.question)
    return judgement.catch is not None and judgement.catch in asked.catches


def qualities(study: Study, judgements: Sequence[Judgement]) -> list[RaterQuality]:
    """One per rater who answered anything, by name."""
    by_rater: dict[str, list[Judgement]] = defaultdict(list)
    sums: dict[tuple[str, str, str], float] = defaultdict(float)
    own_sums: dict[tuple[str, str, str, str], float] = defaultdict(float)
    for one in judgements:
        by_rater[one.rater].append(one)
        if one.catch is None:
            sums[one.first, one.second, one.question] += one.score - TIE
            own_sums[one.rater, one.first, one.second, one.question] += one.score - TIE
    found = []
    for rater, own in sorted(by_rater.items()):
        decided = [one for one in own if one.catch is None and one.score != TIE]
        agrees = []
        for one in decided:
            key = (one.first, one.second, one.question)
            others = sums[key] - own_sums[rater, *key]
            if others:
                agrees.append((others > 0) == (one.score == FIRST_WINS))
        lefts = sum(one.answer == "a" for one in decided)
        known = [one for one in own if is_known(one, study)]
        right, asked = sum(one.score == FIRST_WINS for one in known), _asked(study, own[0].list_number)
        found.append(
            RaterQuality(
                rater=rater, list_number=own[0].list_number, answered=len(own), asked=asked, catches_right=right,
                catches_answered=len(known), median_seconds=float(np.median([one.seconds for one in own])),
                left_share=lefts / len(decided) if decided else None,
                left_p=float(stats.binomtest(lefts, len(decided)).pvalue) if decided else None,
                agreement=float(np.mean(agrees)) if agrees else None,
                left_out=_reason(study, own[0].list_number, len(own), asked, right, len(known)),
            )
        )  # fmt: skip
    return found


def _asked(study: Study, number: int) -> int:
    return len(study.lists[number].trials) * len(study.lists[number].questions)


def _reason(study: Study, number: int, answered: int, asked: int, right: int, known: int) -> str:
    rule = study.rule
    if answered < rule.least_answered_share * asked:
        return f"{answered} of {asked} answers, need {rule.least_answered_share:.0%}"
    if any(trial.catch for trial in study.lists[number].trials) and right < rule.least_catch_share * max(1, known):
        return f"{right} of {known} catch answers right, need {rule.least_catch_share:.0%}"
    return ""
