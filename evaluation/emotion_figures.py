"""The figures of all runs of `emotion_response`: per emotion and medium, with intervals over people, and of mixtures."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.emotion_response import (
    LANDMARKS,
    MEDIA,
    RECORDED,
    VIDEO,
    Run,
    Vector,
    coordinates,
    cosine,
    flat,
    measures,
    mixture_name,
    nearest,
    rank_correlation,
    response,
    rises,
)
from evaluation.fer_figures import FerReport, fer_report
from evaluation.interval import Interval
from space_data.closures import Closures
from space_data.files import atomic_file
from space_data.schema import EMOTIONS

FULL = 1.0


@dataclass(frozen=True)
class EmotionFigures:
    """One emotion in one medium. What is not measured there is None or empty."""

    levels: Mapping[str, Interval]
    """response by intensity, as text"""
    cosine: float
    """at full intensity, as all that follows"""
    taken_for: Mapping[str, float]
    """by emotion the share of runs whose change is nearest to its direction of the corpus"""
    named: float
    """the share nearest to the direction of the emotion that was told; chance is 1 in as many as there are"""
    monotone: float | None
    """share of people in whom it goes up at every step of intensity"""
    spearman: float | None
    measures: Mapping[str, float]
    closure_f1: float | None
    """against the recording of that sound"""
    closure_f1_against_neutral: float | None
    closures_kept: Interval | None
    """closure F1 as a share of the same people's at intensity 0"""
    closed_share: float | None
    lip_gap_r: float | None


@dataclass(frozen=True)
class MixtureFigures:
    """A mixture of emotions in one medium: coordinates on each, and those of each alone at full intensity."""

    shown: Mapping[str, float]
    alone: Mapping[str, float]

    @property
    def in_between(self) -> bool:
        """Whether each of its emotions shows, and less than alone."""
        return all(0 < self.shown[name] < self.alone[name] for name in self.shown)


@dataclass(frozen=True)
class EmotionReport:
    """All of it, by emotion and medium."""

    people: int
    filmed_people: int
    same_as_neutral: float
    """share of people whose run at intensity 0 equals the neutral one to the bit"""
    neutral: Mapping[str, Mapping[str, float]]
    """by medium: closures of the run at intensity 0 against the recording"""
    emotions: Mapping[str, Mapping[str, EmotionFigures]]
    mixtures: Mapping[str, Mapping[str, MixtureFigures]]
    corpus_length: Mapping[str, float]
    """of each direction, root of the sum over the points' squared displacements, IOD"""
    fer: FerReport | None = None
    """the second judge; None where it is not here"""


def slope(values: Sequence[float], intensities: Sequence[float], subjects: Sequence[str]) -> Interval:
    """Least-squares slope of responses over intensity through zero, and its interval over people (all their clips together)."""
    people = sorted(set(subjects))
    sums = np.zeros((len(people), 2))
    for value, strength, subject in zip(values, intensities, subjects, strict=True):
        sums[people.index(subject)] += (strength * value, strength * strength)
    total = sums.sum(0)
    left = [float((total - own)[0] / (total - own)[1]) for own in sums] if len(people) > 1 else [0.0]
    return Interval.jackknifed(float(total[0] / total[1]), left)


def closures_kept(runs: Sequence[Run], neutral: Sequence[Run]) -> Interval | None:
    """Closure F1 of ``runs`` as a share of that of the same people's ``neutral`` ones, counts added up over people; None where
    they were not counted or neutral has no right closure."""
    of_neutral = {run.subject: run.closures for run in neutral if run.closures}
    pairs = [(run.closures, of_neutral[run.subject]) for run in runs if run.closures and run.subject in of_neutral]

    def kept(chosen: Sequence[tuple[Closures, Closures]]) -> float | None:
        own, base = (_summed([pair[side] for pair in chosen]) for side in (0, 1))
        return own.f1 / base.f1 if own and base and base.f1 else None

    value = kept(pairs)
    if value is None:
        return None
    left = [kept([*pairs[:i], *pairs[i + 1 :]]) for i in range(len(pairs))]
    return Interval.jackknifed(value, [value if other is None else other for other in left])


def emotion_figures(runs: Sequence[Run], neutral: Sequence[Run], directions: Vector) -> EmotionFigures | None:
    """Of the runs of one emotion in one medium, at any intensities, with those at 0; None without runs or without that direction.

    Recordings come at one intensity each and of other words than the neutral ones: their response is the slope, and their
    intensities are not ordered.
    """
    if not runs:
        return None
    direction = directions[EMOTIONS.index(runs[0].label)]
    if not flat(direction).any():
        return None
    by_level: dict[float, dict[str, float]] = defaultdict(dict)
    for run in runs:
        by_level[run.intensity][run.subject] = response(run.change, direction) or 0.0
    subjects = [run.subject for run in runs]
    if runs[0].medium == RECORDED:
        strengths = [run.intensity for run in runs]
        shown = [response(run.change, direction) or 0.0 for run in runs]
        levels = {_level(FULL): slope(shown, strengths, subjects)}
        top, curves = list(runs), {}
    else:
        levels = {_level(i): Interval.over_people(list(by_level[i].values()), list(by_level[i])) for i in sorted(by_level)}
        top = [run for run in runs if run.intensity == max(by_level)]
        steps = sorted(by_level) if len(by_level) > 1 else []
        curves = {s: [0.0, *(by_level[i][s] for i in steps)] for s in dict.fromkeys(subjects) if steps}
    own, against_neutral = _summed([run.closures for run in top]), _summed([run.closures_neutral for run in top])
    taken = [nearest(run.change, directions) for run in top]
    mean_change = np.mean([run.change / run.intensity for run in top], axis=0)
    correlations = [run.lip_gap_r for run in top if run.lip_gap_r is not None]
    return EmotionFigures(
        levels,
        float(np.mean([cosine(run.change, direction) or 0.0 for run in top])),
        {name: taken.count(name) / len(taken) for name in sorted(set(taken))},
        taken.count(runs[0].label) / len(taken),
        float(np.mean([rises(curve) for curve in curves.values()])) if curves else None,
        float(np.mean([rank_correlation(curve) for curve in curves.values()])) if curves else None,
        measures(mean_change),
        own.f1 if own else None,
        against_neutral.f1 if against_neutral else None,
        closures_kept(top, neutral),
        own.share if own else None,
        float(np.mean(correlations)) if correlations else None,
    )


def mixture_figures(mixed: Sequence[Run], runs: Sequence[Run], directions: Vector) -> MixtureFigures:
    """Of the runs of one mixture in one medium; ``runs``: those of single emotions in the same medium."""
    parts = np.flatnonzero(mixed[0].mixture)
    names = [EMOTIONS[i] for i in parts]
    shown = np.mean([coordinates(run.change, directions[parts]) for run in mixed], axis=0)
    alone = {}
    for k, name in enumerate(names):
        own = [run for run in runs if run.label == name and run.intensity == FULL]
        alone[name] = float(np.mean([coordinates(run.change, directions[parts])[k] for run in own])) if own else float("nan")
    return MixtureFigures(dict(zip(names, map(float, shown), strict=True)), alone)


def emotion_report(runs: Sequence[Run], directions: Vector, same_as_neutral: Sequence[bool]) -> EmotionReport:
    """All figures of all runs."""
    neutral: dict[str, dict[str, float]] = {}
    emotions: dict[str, dict[str, EmotionFigures]] = defaultdict(dict)
    mixtures: dict[str, dict[str, MixtureFigures]] = defaultdict(dict)
    for medium in MEDIA:
        own = [run for run in runs if run.medium == medium]
        at_0 = [run for run in own if not run.mixture.any()]
        calm = _summed([run.closures for run in at_0])
        if calm is not None:
            neutral[medium] = {"closure_f1": calm.f1, "closed_share": calm.share, "closed_share_recorded": calm.measured_share}
        for name in EMOTIONS:
            figures = emotion_figures([run for run in own if run.label == name], at_0, directions)
            if figures is not None:
                emotions[name][medium] = figures
        mixed = [run for run in own if run.mixture.any() and not run.label]
        for text in dict.fromkeys(mixture_name(run.mixture) for run in mixed):
            same = [run for run in mixed if mixture_name(run.mixture) == text]
            mixtures[text][medium] = mixture_figures(same, own, directions)
    people, filmed = ({run.subject for run in runs if run.medium == medium} for medium in (LANDMARKS, VIDEO))
    lengths = {name: float(np.linalg.norm(flat(u))) for name, u in zip(EMOTIONS, directions, strict=True) if flat(u).any()}
    unchanged = float(np.mean(same_as_neutral))
    return EmotionReport(len(people), len(filmed), unchanged, neutral, dict(emotions), dict(mixtures), lengths, fer_report(runs))


def metrics_tree(report: EmotionReport) -> dict[str, Any]:
    """For ``dvc metrics show``: numbers alone, at full intensity."""
    tree: dict[str, Any] = {
        "people": report.people, "filmed_people": report.filmed_people, "intensity_0_equals_neutral": report.same_as_neutral,
        "neutral": {medium: dict(own) for medium, own in report.neutral.items()},
    }  # fmt: skip
    for name, by_medium in report.emotions.items():
        tree[name] = {}
        for medium, own in by_medium.items():
            top = list(own.levels.values())[-1]
            facts = {"response": top.mean, "response_low": top.low, "response_high": top.high} | {
                key: getattr(own, key)
                for key in ("cosine", "named", "monotone", "spearman", "closure_f1", "closure_f1_against_neutral", "lip_gap_r")
            }
            if own.closures_kept:
                facts["closure_f1_of_neutral"] = own.closures_kept.mean
            tree[name][medium] = {key: round(value, 4) for key, value in facts.items() if value is not None}
    if report.fer:
        tree["fer"] = report.fer.metrics_tree()
    return tree


def write_report(path: Path, report: EmotionReport | None) -> None:
    """Write the figures as JSON; None, where nobody could be measured, as null."""
    with atomic_file(path) as part:
        part.write_text(json.dumps(asdict(report) if report else None, indent=1) + "\n")


def read_report(path: Path) -> EmotionReport | None:
    """What `write_report` wrote."""
    data = json.loads(path.read_text())
    if data is None:
        return None
    emotions = {
        name: {
            medium: EmotionFigures(
                **own
                | {
                    "levels": {level: Interval(**one) for level, one in own["levels"].items()},
                    "closures_kept": Interval(**own["closures_kept"]) if own["closures_kept"] else None,
                }
            )
            for medium, own in by_medium.items()
        }
        for name, by_medium in data.pop("emotions").items()
    }
    mixtures = {
        text: {medium: MixtureFigures(**own) for medium, own in by_medium.items()}
        for text, by_medium in data.pop("mixtures").items()
    }
    fer = data.pop("fer")
    return EmotionReport(**data, emotions=emotions, mixtures=mixtures, fer=FerReport.from_json(fer) if fer else None)


def _level(intensity: float) -> str:
    return f"{intensity:g}"


def _summed(counts: Sequence[Closures | None]) -> Closures | None:
    known = [one for one in counts if one is not None]
    return sum(known[1:], start=known[0]) if known else None
