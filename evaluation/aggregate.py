"""From rows per clip to the figures of a table: pure functions of the rows, whatever order they come in."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.frechet import frechet_distance, leave_one_clip_out
from evaluation.metrics import Metric
from evaluation.statistics import Comparison, compare, holm, jackknife_interval, summarise
from space_data.errors import SpaceError
from space_data.schema import Aggregate, Score


def aggregates(
    scores: Iterable[Score], systems: Sequence[str], columns: Sequence[Metric], draws: int, seed: int
) -> list[Aggregate]:
    """Mean, interval and coverage of every system and per-clip metric.

    Raises:
        SpaceError: a system lacks a row for a clip that another system has: failures must be rows, not gaps.
    """
    values = by_column(scores)
    rows = []
    for system in systems:
        for metric in columns:
            clips = values.get((system, metric.metric_id), {})
            _check_complete(system, metric.metric_id, clips, values)
            known = [clips[clip_id].value for clip_id in sorted(clips)]
            summary = summarise(known, [clips[clip_id].subject for clip_id in sorted(clips)], draws, seed)
            rows.append(
                Aggregate(
                    system, metric.metric_id, summary.mean, summary.low, summary.high,
                    summary.n_ok, summary.n_total, summary.n_identities,
                )
            )  # fmt: skip
    return rows


def by_column(scores: Iterable[Score]) -> dict[tuple[str, str], dict[str, Score]]:
    """Scores by (system, metric id), then by clip.

    Raises:
        SpaceError: the same system, clip and metric twice.
    """
    found: dict[tuple[str, str], dict[str, Score]] = {}
    for score in scores:
        clips = found.setdefault((score.system, score.metric), {})
        if score.clip_id in clips:
            raise SpaceError(f"scores: {score.metric} of {score.system} on {score.clip_id} occurs twice")
        clips[score.clip_id] = score
    return found


def frechet_aggregate(
    system: str, metric: Metric, features: Mapping[str, Mapping[str, NDArray[np.floating]]], reference: str, n_total: int
) -> Aggregate:
    """The Fréchet distance of a system over the clips it has, with a jackknife interval over clips.

    Args:
        features: by clip, then by system (`reference` among them): (frames, d).
        n_total: number of test clips, for the coverage.
    """
    clips = [clip for clip in sorted(features) if system in features[clip]]
    made = [features[clip][system] for clip in clips]
    real = [features[clip][reference] for clip in clips]
    if sum(map(len, made)) < 2:
        return Aggregate(system, metric.metric_id, None, None, None, 0, n_total, 0)
    value = frechet_distance(np.concatenate(made), np.concatenate(real))
    low = high = None
    if len(clips) > 2:
        low, high = jackknife_interval(value, leave_one_clip_out(made, real))
        low = max(low, 0.0)
    return Aggregate(system, metric.metric_id, value, low, high, len(clips), n_total, len(clips))


def comparisons(
    scores: Iterable[Score], candidate: str, baselines: Sequence[str], columns: Sequence[Metric], draws: int, seed: int
) -> list[tuple[str, Metric, Comparison, float | None]]:
    """Paired comparisons of one system with each baseline: (baseline, metric, comparison, Holm-adjusted p over all of them)."""
    values = by_column(scores)
    found: list[tuple[str, Metric, Comparison]] = []
    for baseline in baselines:
        for metric in columns:
            ours, theirs = values.get((candidate, metric.metric_id), {}), values.get((baseline, metric.metric_id), {})
            common = sorted(ours.keys() & theirs.keys())
            result = compare(
                [ours[c].value for c in common], [theirs[c].value for c in common], [ours[c].subject for c in common],
                metric.better == "lower", draws, seed,
            )  # fmt: skip
            found.append((baseline, metric, result))
    adjusted = holm({f"{b} {m.metric_id}": c.p_value for b, m, c in found if c.p_value is not None})
    return [(b, m, c, adjusted.get(f"{b} {m.metric_id}")) for b, m, c in found]


def metrics_tree(rows: Iterable[Aggregate]) -> dict[str, dict[str, float]]:
    """The tree for ``dvc metrics show``: by system, the means by metric id, and the least coverage of any of them."""
    tree: dict[str, dict[str, float]] = {}
    for row in rows:
        branch = tree.setdefault(row.system, {"coverage": 1.0})
        branch["coverage"] = min(branch["coverage"], row.n_ok / row.n_total if row.n_total else 0.0)
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


def _check_complete(
    system: str, metric_id: str, clips: Mapping[str, Score], values: Mapping[tuple[str, str], Mapping[str, Score]]
) -> None:
    wanted = {clip_id for found in values.values() for clip_id in found}
    missing = sorted(wanted - clips.keys())
    if missing:
        raise SpaceError(f"scores: {metric_id} of {system} has no row for {len(missing)} clips, e.g. {missing[0]}")
