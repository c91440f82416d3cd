"""What the second judge of emotions says (`evaluation.fer`), of our videos and of recordings, and whether it may be listened to.

It is asked which emotion gains most, in log probability, against the same person when neutral: what it makes of a face at rest
(drawn ones look surprised to it) is no expression. That reading was chosen on the training people, and is tested on others
(docs/emotion.md); the most probable class, which the package gives, stands beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.emotion_response import ADDED_VIDEO, RECORDED, VIDEO, Run, Values, Vector, rises
from evaluation.fer import LABELS
from evaluation.interval import Interval

SEEN = (VIDEO, ADDED_VIDEO, RECORDED)
"""The media with pictures."""
EMOTIONAL = LABELS[:-1]
FLOOR = 1e-6
"""A probability below counts as this one."""


@dataclass(frozen=True)
class FerFigures:
    """One emotion in one medium."""

    gains: dict[str, Interval]
    """by intensity, as text: how much the log probability of that emotion rises against neutral, nats; of recordings those of all
    intensities, under 1"""
    probability: float
    """of that emotion at full intensity, mean; all that follows is at full intensity, too, or of the recordings"""
    probability_neutral: float
    named: float
    """share of runs in which that emotion gains most of all six"""
    taken_for: dict[str, float]
    """share of runs by which gains most"""
    monotone: float | None
    """share of people in whom the gain rises at every step"""


@dataclass(frozen=True)
class FerReport:
    """All of it, and the admission test: does it name the emotions of people's own recordings?"""

    recordings: int
    """that have an emotion it knows, and a neutral one of the same person"""
    named: Interval | None
    """share of them in which the emotion on the label gains most; None without recordings"""
    most_probable: Interval | None
    """share in which that emotion is the most probable class of all seven"""
    chance: float
    """what the best answer would name that is always the same"""
    unseen: int
    """videos in which it found no face"""
    emotions: dict[str, dict[str, FerFigures]]
    """by emotion and medium"""

    @property
    def admitted(self) -> bool:
        """Whether it names recordings for sure more often than chance."""
        return self.named is not None and self.named.low is not None and self.named.low > self.chance

    def metrics_tree(self) -> dict[str, Any]:
        """For ``dvc metrics show``: numbers alone."""
        tree: dict[str, Any] = {"admitted": int(self.admitted), "recordings": self.recordings, "chance": round(self.chance, 4)}
        if self.named:
            tree["recordings_named"] = round(self.named.mean, 4)
        for name, by_medium in self.emotions.items():
            tree[name] = {
                medium: {"gain": round(list(own.gains.values())[-1].mean, 4), "named": round(own.named, 4)}
                for medium, own in by_medium.items()
            }
        return tree

    @staticmethod
    def from_json(data: dict[str, Any]) -> "FerReport":
        """From what ``dataclasses.asdict`` makes of it."""
        emotions = {
            name: {
                medium: FerFigures(**own | {"gains": {level: Interval(**one) for level, one in own["gains"].items()}})
                for medium, own in by_medium.items()
            }
            for name, by_medium in data["emotions"].items()
        }
        shares = {key: Interval(**data[key]) if data[key] else None for key in ("named", "most_probable")}
        return FerReport(**data | shares | {"emotions": emotions})


def gains(expressions: Values) -> Vector:
    """How much the log probabilities of the six emotions rise from the first to the second of (2, 7): (6,) nats."""
    return np.asarray(np.diff(np.log(np.maximum(expressions, FLOOR)), axis=0)[0, : len(EMOTIONAL)], np.float64)


@dataclass(frozen=True)
class _Seen:
    """A run as the judge sees it."""

    subject: str
    label: str
    medium: str
    intensity: float
    expressions: Values

    @property
    def gain(self) -> float:
        """Of the emotion told."""
        return float(gains(self.expressions)[EMOTIONAL.index(self.label)])

    @property
    def gains_most(self) -> str:
        return EMOTIONAL[int(np.argmax(gains(self.expressions)))]

    @property
    def most_probable(self) -> str:
        return LABELS[int(np.argmax(self.expressions[1]))]


def fer_report(runs: Sequence[Run]) -> FerReport | None:
    """All figures; None where the judge has seen nothing. Runs of mixtures, of *calm* and *contempt* are left out."""
    known = [run for run in runs if run.medium in SEEN and run.label in EMOTIONAL]
    seen = [_Seen(r.subject, r.label, r.medium, r.intensity, r.expressions) for r in known if r.expressions is not None]
    if not seen:
        return None
    recorded = [run for run in seen if run.medium == RECORDED]

    def share(right: Callable[[_Seen], bool]) -> Interval | None:
        return _over_people(recorded, lambda run: float(right(run))) if recorded else None

    constant = [share(lambda run, answer=answer: run.label == answer) for answer in EMOTIONAL]  # type: ignore[misc]
    emotions: dict[str, dict[str, FerFigures]] = {}
    for name in EMOTIONAL:
        for medium in SEEN:
            own = [run for run in seen if run.label == name and run.medium == medium]
            if own:
                emotions.setdefault(name, {})[medium] = _figures(own)
    return FerReport(
        len(recorded), share(lambda run: run.gains_most == run.label), share(lambda run: run.most_probable == run.label),
        max((one.mean for one in constant if one), default=0.0), len(known) - len(seen), emotions,
    )  # fmt: skip


def _over_people(runs: Sequence[_Seen], value: Callable[[_Seen], float]) -> Interval:
    return Interval.over_people([value(run) for run in runs], [run.subject for run in runs])


def _figures(runs: Sequence[_Seen]) -> FerFigures:
    """Of the runs of one emotion in one medium."""
    label = EMOTIONAL.index(runs[0].label)
    if runs[0].medium == RECORDED:
        by_level = {1.0: list(runs)}
    else:
        by_level = {level: [run for run in runs if run.intensity == level] for level in sorted({run.intensity for run in runs})}
    top = by_level[max(by_level)]
    curves = [[0.0, *(run.gain for own in by_level.values() for run in own if run.subject == who.subject)] for who in top]
    taken = [run.gains_most for run in top]
    before, after = np.mean([run.expressions[:, label] for run in top], axis=0)
    return FerFigures(
        {f"{level:g}": _over_people(own, lambda run: run.gain) for level, own in by_level.items()}, float(after), float(before),
        taken.count(runs[0].label) / len(taken), {name: taken.count(name) / len(taken) for name in sorted(set(taken))},
        float(np.mean([rises(curve) for curve in curves])) if len(by_level) > 1 else None,
    )  # fmt: skip
