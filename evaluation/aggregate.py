"""From statistics per clip to the figures of a table: pure functions of the rows, whatever order they come in."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evaluation.metrics import HEADLINE, Metric, values_of
from evaluation.score_clip import NOT_AVAILABLE, OK, REFERENCE
from evaluation.statistics import Comparison, Summary, compare, holm, summarise
from space_data.errors import SpaceError
from space_data.schema import Aggregate, ClipStatistic, Score

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

    def known(self) -> set[str]:
        """Clips with a value."""
        return {clip_id for clip_id, score in self.clips.items() if score.value is not None}

    def summary(self, clip_ids: Iterable[str]) -> Summary:
        """Of the values on some clips."""
        own = [self.clips[clip_id] for clip_id in sorted(clip_ids)]
        return summarise([score.value for score in own], [score.subject for score in own])


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


def aggregates(scores: Iterable[Score], systems: Sequence[str], metrics: Sequence[Metric]) -> list[Aggregate]:
    """Mean, interval and coverage of every system and metric.

    Raises:
        SpaceError: failures that are gaps, not rows.
    """
    columns = columns_of(scores, metrics)
    rows = []
    for metric in metrics:
        own = {system: columns[system, metric.metric_id] for system in systems if (system, metric.metric_id) in columns}
        known = [column.known() for column in own.values() if column.known()]
        common = set.intersection(*known) if known else set()
        for system, column in own.items():
            summary, on_common = column.summary(column.clips), column.summary(common)
            recorded = [(s.recording, s.subject) for s in column.clips.values() if s.value is not None]
            near = metric.better == "recording"
            distance = [(column.loss(clip_id), score.subject) for clip_id, score in sorted(column.clips.items())] if near else []
            rows.append(
                Aggregate(
                    system, metric.metric_id, summary.mean, summary.low, summary.high, _mean(recorded) if near else None,
                    _mean(distance), on_common.mean, summary.n_ok, summary.n_total, summary.n_identities, len(common),
                )
            )  # fmt: skip
    return sorted(rows, key=lambda row: (systems.index(row.system), [m.metric_id for m in metrics].index(row.metric)))


def _mean(values: Sequence[tuple[float | None, str]]) -> float | None:
    return summarise([value for value, _ in values], [subject for _, subject in values]).mean


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
