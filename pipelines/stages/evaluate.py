"""Score every system's videos against the recordings: rows per clip, aggregates with intervals, metrics for DVC."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation import aggregate, metrics
from evaluation.frame_features import FrameFeatures, choose
from evaluation.metrics import Metric
from evaluation.score_clip import NOT_AVAILABLE, REFERENCE, ClipToScore, clip_metrics, score_clip
from evaluation.sync_score import clip_scorer, fit_scorer
from evaluation.systems import SYSTEM_NAMES
from pipelines.benchmark.clips import synthesized_clips
from pipelines.job.clock import stage_clock
from pipelines.job.ledger import ledger_rows, write_ledger
from pipelines.job.run import Result, run_units
from pipelines.job.unit import Outcome, Unit, content_hash
from pipelines.layout import Layout
from space_data.avsync import Scorer
from space_data.errors import SpaceError
from space_data.files import atomic_file, sha256_of
from space_data.media.sound import decode_audio
from space_data.params import Evaluate, Params
from space_data.schema import KEPT, Aggregate, Score, SynthesizedClip, TraceFrame
from space_data.tables import read_table, write_table

STAGE = "evaluate"
PLOTTED = (metrics.LMD_MOUTH, metrics.LIP_CORRELATION, metrics.AV_AT_ZERO, metrics.POSE)
"""Columns that get a CSV for ``dvc plots``."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluateUnit:
    """What a worker needs for one clip."""

    clip: ClipToScore
    audio: str
    scorer: str


def run(params: Params, layout: Layout) -> None:
    """The stage: ``synthesized`` -> ``scores``, ``traces``, ``aggregates``, ``metrics.json`` and plots."""
    with stage_clock(layout, STAGE) as clock:
        videos = synthesized_clips(layout)
        if not videos:
            raise SpaceError(f"{layout.synthesized_clips}: no clips to score (are there test identities? see data.splits)")
        scored = {video.subject for video in videos}
        scorer = fit_scorer(layout.feature_frames, layout.feature_clips, scored)
        with atomic_file(layout.evaluation_scorer) as part:
            scorer.save(part)
        chosen = choose(Path(params.evaluate.weights))
        units = units_of(videos, layout.evaluation_scorer, chosen.name)
        outcomes = run_units(STAGE, units, evaluate_one, params.evaluate, params, layout)
        scores, traces, features = collect(outcomes, videos, params.evaluate)
        write_table(layout.scores, scores, Score)
        write_table(layout.traces, traces, TraceFrame)
        rows = aggregate_all(scores, features, chosen, videos[0].size_px, params.evaluate)
        write_table(layout.aggregates, rows, Aggregate)
        write_for_dvc(rows, layout)
        clock.clips = len(outcomes)
        clock.computed = sum(outcome.computed for outcome in outcomes)
        clock.counts = write_ledger(layout, STAGE, [unit.unit_id for unit in units], ledger_rows(STAGE, outcomes))


def units_of(videos: list[SynthesizedClip], scorer: Path, frame_features: str) -> list[Unit]:
    """One unit per clip, with all systems' videos of it; with weights for other frame features it is another unit.

    Raises:
        SpaceError: the systems of a clip disagree on its length or size.
    """
    by_clip: dict[str, list[SynthesizedClip]] = {}
    for video in videos:
        by_clip.setdefault(video.clip_id, []).append(video)
    units = []
    for clip_id, rows in sorted(by_clip.items()):
        first = rows[0]
        facts = {(row.reference, row.audio, row.n_frames, row.size_px, row.subject) for row in rows}
        if len(facts) > 1:
            raise SpaceError(f"clip {clip_id}: its systems disagree on recording, length or size: {sorted(facts)}")
        paths = {row.system: Path(row.video) if row.status == KEPT else None for row in rows}
        absent = {row.system: f"not synthesized: {last_line(row.detail)}" for row in rows if row.status != KEPT}
        clip = ClipToScore(clip_id, first.subject, Path(first.reference), first.n_frames, first.size_px, paths, absent)
        files = [Path(first.reference), Path(first.audio), scorer, *(path for path in paths.values() if path)]
        content = content_hash(first.n_frames, frame_features, sorted(paths), absent, [sha256_of(path) for path in files])
        units.append(Unit(clip_id, content, EvaluateUnit(clip, first.audio, str(scorer))))
    return units


def evaluate_one(unit: EvaluateUnit, settings: Evaluate, folder: Path) -> None:
    """Score one clip: ``scores.parquet``, ``traces.parquet`` and ``features.npz`` in ``folder``."""
    sync = clip_scorer(Scorer.load(unit.scorer), decode_audio(unit.audio), unit.clip.n_frames)
    result = score_clip(unit.clip, sync, choose(Path(settings.weights)), settings)
    write_table(folder / "scores.parquet", result.rows, Score)
    write_table(folder / "traces.parquet", result.traces, TraceFrame)
    np.savez(folder / "features.npz", **result.features)  # type: ignore[arg-type]


def collect(
    outcomes: list[Result], videos: list[SynthesizedClip], settings: Evaluate
) -> tuple[list[Score], list[TraceFrame], dict[str, dict[str, np.ndarray]]]:
    """Rows, traces and frame features of all clips; a clip that failed as a whole becomes rows that say so."""
    scores: list[Score] = []
    traces: list[TraceFrame] = []
    features: dict[str, dict[str, np.ndarray]] = {}
    for outcome in outcomes:
        if outcome.folder is None or outcome.status != KEPT:
            logger.warning("clip %s: not scored (%s)", outcome.unit_id, last_line(outcome.detail) or outcome.reason)
            scores += failed_clip([v for v in videos if v.clip_id == outcome.unit_id], outcome, settings)
            continue
        scores += read_table(outcome.folder / "scores.parquet", Score)
        traces += read_table(outcome.folder / "traces.parquet", TraceFrame)
        with np.load(outcome.folder / "features.npz") as arrays:
            features[outcome.unit_id] = dict(arrays)
    return scores, traces, features


def failed_clip(videos: list[SynthesizedClip], outcome: Outcome, settings: Evaluate) -> list[Score]:
    """A row per system and metric for a clip that could not be scored at all."""
    detail = last_line(outcome.detail) or outcome.reason
    return [
        Score(video.system, video.clip_id, video.subject, metric.metric_id, None, 0, NOT_AVAILABLE, detail)
        for video in videos
        for metric in clip_metrics(video.size_px, settings)
    ]


def last_line(text: str) -> str:
    """Where a traceback says what happened; empty of nothing."""
    return text.strip().splitlines()[-1] if text.strip() else ""


def aggregate_all(
    scores: list[Score],
    features: dict[str, dict[str, np.ndarray]],
    chosen: FrameFeatures,
    size_px: int,
    settings: Evaluate,
) -> list[Aggregate]:
    """All columns of all systems, the Fréchet distance among them."""
    systems = [name for name in SYSTEM_NAMES if any(score.system == name for score in scores)]
    columns: tuple[Metric, ...] = clip_metrics(size_px, settings)
    rows = aggregate.aggregates(scores, systems, columns, settings.bootstrap_draws, settings.seed)
    frechet = metrics.frechet_metric(chosen.name, chosen.is_fid, settings.frechet_every_frames)
    n_total = len({score.clip_id for score in scores})
    return rows + [aggregate.frechet_aggregate(system, frechet, features, REFERENCE, n_total) for system in systems]


def plot_name(metric: Metric) -> str:
    """Name of a plotted column's CSV, without its protocol."""
    return metric.metric_id.split("/")[0]


def write_for_dvc(rows: list[Aggregate], layout: Layout) -> None:
    """``metrics.json`` for ``dvc metrics show`` and one CSV per plotted column."""
    with atomic_file(layout.benchmark / "metrics.json") as part:
        part.write_text(json.dumps(aggregate.metrics_tree(rows), indent=1) + "\n")
    for metric in PLOTTED:
        with atomic_file(layout.benchmark / "plots" / f"{plot_name(metric)}.csv") as part:
            part.write_text(aggregate.plot_csv(rows, metric))

