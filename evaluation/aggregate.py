"""From statistics per clip to the figures of a table: pure functions of the rows, whatever order they come in."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.metrics import HEADLINE, Metric, values_of
from evaluation.score_clip import NOT_AVAILABLE, OK, REFERENCE
from evaluation.statistics import Comparison, compare, holm, summarise, summary_of_means
from space_data.errors import SpaceError
from space_data.schema import Aggregate, ClipStatistic, IdentityMean, Score

SIGNIFICANT = 0.05


def scores_of(statistics: Iterable[ClipStatistic], metrics: Sequence[Metric]) -> list[Score]:
    """Each metric of each system on each clip; of the recording itself only what others are compared with.

    Raises:
        SpaceError: a statistic of one system on one clip twice, or one that is missing without a row.
    """
    found: dict[tuple[str, str], dict[str, ClipStatistic]] = defaultdict(dict)
    for row in statistics:
        own = found[row.system, row.clip_id]
        if row.statistic in own:
            raise SpaceError(f"statistics: {row.statistic} of {row.system} on {row.clip_id} occurs twice")
        own[row.statistic] = row
    values = {}
    for (system, clip_id), own in found.items():
        absent = {name for metric in metrics for name in metric.statistics} - own.keys()
        if absent:
            raise SpaceError(f"statistics: {system} on {clip_id} has no row for {', '.join(sorted(absent))}")
        means = {name: row.total / row.weight for name, row in own.items() if row.weight}
        values[system, clip_id] = values_of(means, tuple(metrics))
    return [
        _score(found[system, clip_id], metric, values[system, clip_id][metric.metric_id], _recorded(metric, clip_id, values))
        for system, clip_id in sorted(found)
        if system != REFERENCE
        for metric in metrics
    ]


def _recorded(metric: Metric, clip_id: str, values: Mapping[tuple[str, str], Mapping[str, float | None]]) -> float | None:
    own = values.get((REFERENCE, clip_id)) if metric.better == "recording" else None
    return own[metric.metric_id] if own else None


def _score(rows: Mapping[str, ClipStatistic], metric: Metric, value: float | None, recorded: float | None) -> Score:
    own = [rows[name] for name in metric.statistics]
    first = own[0]
    failed = next((row for row in own if row.status != OK), None)
    status, detail = (OK, "") if value is not None else (failed.status, failed.detail) if failed else (NOT_AVAILABLE, "undefined")
    return Score(first.system, first.clip_id, first.subject, metric.metric_id, value, recorded, status, detail)


@dataclass(frozen=True)
class Column:
    """One metric of one system: its scores by clip."""

    metric: Metric
    clips: Mapping[str, Score]

    def loss(self, clip_id: str) -> float | None:
        """The clip's value such that less is better: a distance from the recording's where near to it is wanted."""
        score = self.clips.get(clip_id)
        if score is None or score.value is None:
            return None
        match self.metric.better:
            case "lower":
                return score.value
            case "higher":
                return -score.value
        return None if score.recording is None else abs(score.value - score.recording)


def columns_of(scores: Iterable[Score], metrics: Sequence[Metric]) -> dict[tuple[str, str], Column]:
    """Columns by (system, metric id).

    Raises:
        SpaceError: the same system, clip and metric twice, or a system without a row for a clip that another system has.
    """
    found: dict[tuple[str, str], dict[str, Score]] = defaultdict(dict)
    for score in scores:
        clips = found[score.system, score.metric]
        if score.clip_id in clips:
            raise SpaceError(f"scores: {score.metric} of {score.system} on {score.clip_id} occurs twice")
        clips[score.clip_id] = score
    wanted = {clip_id for clips in found.values() for clip_id in clips}
    for (system, metric_id), clips in found.items():
        missing = sorted(wanted - clips.keys())
        if missing:
            raise SpaceError(f"scores: {metric_id} of {system} has no row for {len(missing)} clips, e.g. {missing[0]}")
    by_id = {metric.metric_id: metric for metric in metrics}
    return {key: Column(by_id[key[1]], clips) for key, clips in found.items() if key[1] in by_id}


def identity_means(scores: Iterable[Score], metrics: Sequence[Metric]) -> list[IdentityMean]:
    """Of every system and metric, a row per identity. Whoever has all scores of an identity can make its rows, and no other's.

    Raises:
        SpaceError: failures that are gaps, not rows.
    """
    columns = columns_of(scores, metrics)
    rows = []
    for metric in metrics:
        own = {system: column for (system, metric_id), column in columns.items() if metric_id == metric.metric_id}
        clips = defaultdict(list)
        for clip_id, score in sorted(next(iter(own.values())).clips.items()) if own else ():
            clips[score.subject].append(clip_id)
        for subject, clip_ids in clips.items():
            known = [{clip_id for clip_id in clip_ids if column.clips[clip_id].value is not None} for column in own.values()]
            common = set.intersection(*filter(None, known)) if any(known) else set()
            rows += [_identity_mean(system, column, subject, clip_ids, common) for system, column in own.items()]
    return rows


def _identity_mean(system: str, column: Column, subject: str, clip_ids: Sequence[str], common: set[str]) -> IdentityMean:
    def mean(values: Sequence[float | None]) -> float | None:
        return summarise(values, [subject] * len(values)).mean

    own, near = [column.clips[clip_id] for clip_id in clip_ids], column.metric.better == "recording"
    known = [score for score in own if score.value is not None]
    return IdentityMean(
        system, column.metric.metric_id, subject, len(own), len(known), mean([score.value for score in known]),
        mean([score.recording for score in known]) if near else None,
        mean([column.loss(clip_id) for clip_id in clip_ids]) if near else None,
        len(common), mean([column.clips[clip_id].value for clip_id in sorted(common)]),
    )  # fmt: skip


def aggregates(means: Iterable[IdentityMean], systems: Sequence[str], metrics: Sequence[Metric]) -> list[Aggregate]:
    """Mean, interval and coverage of every system and metric, from a row per identity, in any order.

    Raises:
        SpaceError: a row twice, or a system without a row for an identity that another has.
    """
    found: dict[tuple[str, str], dict[str, IdentityMean]] = defaultdict(dict)
    for row in means:
        if row.subject in found[row.system, row.metric]:
            raise SpaceError(f"means: {row.metric} of {row.system} on {row.subject} occurs twice")
        found[row.system, row.metric][row.subject] = row
    rows = []
    for system in systems:
        for metric in metrics:
            own = found.get((system, metric.metric_id))
            if own is not None:
                others = {other: found[other, metric.metric_id] for other in systems if (other, metric.metric_id) in found}
                rows.append(_aggregate(system, metric.metric_id, own, others))
    return rows


def _aggregate(
    system: str, metric_id: str, own: Mapping[str, IdentityMean], others: Mapping[str, Mapping[str, IdentityMean]]
) -> Aggregate:
    """One system in one metric, from its rows and those of all systems, itself among them."""
    subjects = sorted({subject for rows in others.values() for subject in rows})
    for name, rows in others.items():
        if missing := [subject for subject in subjects if subject not in rows]:
            raise SpaceError(f"means: {metric_id} of {name} has no row for {len(missing)} identities, e.g. {missing[0]}")
    mine = [own[subject] for subject in subjects]
    n_ok, n_total = sum(row.n_ok for row in mine), sum(row.n_total for row in mine)
    # Clips count as common of the systems that have any of the identity; those have to be all that have any at all.
    scored = {name for name, rows in others.items() if any(row.n_ok for row in rows.values())}
    whole = [row for row in mine if {name for name, rows in others.items() if rows[row.subject].n_ok} == scored]

    def mean(values: Iterable[float | None]) -> float | None:
        known = np.array([value for value in values if value is not None], np.float64)
        return float(known.mean()) if len(known) else None

    summary = summary_of_means(np.array([row.mean for row in mine if row.mean is not None], np.float64), n_ok, n_total)
    return Aggregate(
        system, metric_id, summary.mean, summary.low, summary.high, mean(row.recording for row in mine),
        mean(row.distance for row in mine), mean(row.common_mean for row in whole), summary.n_ok, summary.n_total,
        summary.n_identities, sum(row.n_common for row in whole),
    )  # fmt: skip


@dataclass(frozen=True)
class Contrast:
    """One system against another in one metric; differences are of losses: below zero the first is better."""

    first: str
    second: str
    metric: Metric
    comparison: Comparison
    p_holm: float | None
    """adjusted over all contrasts that were made together"""

    @property
    def winner(self) -> str | None:
        """The one that is better for sure."""
        mean = self.comparison.difference.mean
        if mean is None or mean == 0 or self.p_holm is None or self.p_holm >= SIGNIFICANT:
            return None
        return self.first if mean < 0 else self.second


def contrasts(
    scores: Iterable[Score], pairs: Sequence[tuple[str, str]], metrics: Sequence[Metric], draws: int, seed: int
) -> list[Contrast]:
    """Paired comparisons over common clips, one family for Holm's adjustment; systems without a column are left out."""
    columns = columns_of(scores, metrics)
    found: list[tuple[str, str, Metric, Comparison]] = []
    for metric in metrics:
        for first, second in pairs:
            one, other = columns.get((first, metric.metric_id)), columns.get((second, metric.metric_id))
            if one is None or other is None:
                continue
            clip_ids = sorted(one.clips)
            ours, theirs = ([column.loss(clip_id) for clip_id in clip_ids] for column in (one, other))
            subjects = [one.clips[clip_id].subject for clip_id in clip_ids]
            found.append((first, second, metric, compare(ours, theirs, subjects, draws, seed)))
    named = {f"{a} {b} {m.metric_id}": c.p_value for a, b, m, c in found if c.p_value is not None}
    adjusted = holm(named)
    return [Contrast(a, b, m, c, adjusted.get(f"{a} {b} {m.metric_id}")) for a, b, m, c in found]


def best_of(metric: Metric, contestants: Sequence[str], made: Sequence[Contrast]) -> set[str]:
    """The contestants that no contestant beats for sure; empty if they cannot be told apart, and for a lone one."""
    beaten = {
        ({contrast.first, contrast.second} - {contrast.winner}).pop()
        for contrast in made
        if contrast.metric is metric and contrast.winner and {contrast.first, contrast.second} <= set(contestants)
    }
    return set(contestants) - beaten if beaten else set()


def metrics_tree(rows: Iterable[Aggregate]) -> dict[str, dict[str, float]]:
    """The tree for ``dvc metrics show``: by system, the means by metric id, and the share of clips that have the first of the
    headline (others are undefined on sound clips: a clip without a blink has none to time)."""
    tree: dict[str, dict[str, float]] = {}
    for row in rows:
        branch = tree.setdefault(row.system, {})
        if row.metric == HEADLINE[0].metric_id:
            branch["coverage"] = row.n_ok / row.n_total if row.n_total else 0.0
        if row.mean is not None:
            branch[row.metric] = row.mean
    return {system: dict(sorted(branch.items())) for system, branch in tree.items()}


def plot_csv(rows: Iterable[Aggregate], metric: Metric) -> str:
    """One metric of all systems as CSV for ``dvc plots``: system, mean, low, high, clips scored and asked for."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["system", metric.metric_id, "low", "high", "n_ok", "n_total"])
    for row in rows:
        if row.metric == metric.metric_id:
            writer.writerow([row.system, *("" if v is None else v for v in (row.mean, row.low, row.high)), row.n_ok, row.n_total])
    return text.getvalue()
