"""Score every system's videos against the recordings: statistics per clip, aggregates with intervals, metrics for DVC.

Two rounds of units. First each video is measured by itself, the recordings among them; then each is compared with its recording.
A system that is added later costs its own videos, and one that crashes the detector costs itself one clip.
"""

import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from evaluation import aggregate, face_descriptor, second_detector
from evaluation.distributions import SetMetric, face_set_metric, set_aggregate, set_metrics
from evaluation.frame_features import FrameFeatures, choose
from evaluation.judges import Judges
from evaluation.measured_video import MeasuredVideo, measure_video
from evaluation.metrics import HEADLINE, Metric, catalogue
from evaluation.metrics.landmarks import LD_MOUTH
from evaluation.score_clip import (
    CRASHED,
    DECODE_ERROR,
    NOT_AVAILABLE,
    REFERENCE,
    ClipToScore,
    PictureDistance,
    SyncNetScorer,
    SyncScorer,
    failed_clip,
    score_clip,
    traces,
)
from evaluation.second_detector import SecondLook
from evaluation.sync_score import LEAST_SPEECH_S, VIDEO, clip_scorer, fit_scorer
from evaluation.systems import SYSTEM_NAMES
from pipelines.benchmark.clips import synthesized_clips
from pipelines.job.clock import stage_clock
from pipelines.job.ledger import ledger_rows, write_ledger
from pipelines.job.run import Result, run_units
from pipelines.job.unit import Outcome, Rejected, Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from space_data.avsync import Scorer
from space_data.errors import SpaceError
from space_data.features import speech_track
from space_data.files import atomic_file, sha256_of
from space_data.media.container import MediaError
from space_data.media.sound import decode_audio
from space_data.params import Evaluate, Params
from space_data.schema import KEPT, Aggregate, ClipStatistic, FeatureClip, Score, SynthesizedClip, TraceFrame, arrow_schema
from space_data.store import Place
from space_data.tables import in_order, read_arrow, read_table, write_arrow, write_table
from space_data.timebase import frame_start_s
from space_data.weights import INCEPTION, declaration

STAGE = "evaluate"
MEASURING = "evaluate-videos"
"""The first round's name in the cache."""
PLOTTED = (*HEADLINE, LD_MOUTH)
"""Columns that get a CSV for ``dvc plots``."""
UNREADABLE = "unreadable"
"""A video that cannot be read, among the reasons of the ledger."""
FITTING = "evaluate-whisper"
"""The name in the cache of the scorer on Whisper's states."""
MOST_SPEECH_S = 3600.0
"""About so much of a larger set is encoded and fitted on."""
SCORER_FILE = "scorer.npz"
MEASURED_FILE, STATISTICS_FILE, TRACES_FILE = "measured.npz", "statistics.parquet", "traces.parquet"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoUnit:
    """What a worker needs to measure one video: of a recording the first ``n_frames`` count."""

    path: str
    n_frames: int | None


@dataclass(frozen=True)
class ScoreUnit:
    """What a worker needs to compare one video with its recording."""

    clip: ClipToScore
    reference: str
    """file of the measured recording"""
    candidate: str
    audio: str
    scorer: str
    syncnet: str
    """file of the weights; empty: none"""
    lpips: str = ""
    """folder of the weights; empty: none"""
    whisper: str = ""
    """file of the weights; empty: none"""
    whisper_scorer: str = ""
    """file of the scorer fitted on its states"""
    s3fd: bool = False
    """its boxes are there, for SyncNet's crops"""


@dataclass(frozen=True)
class FitUnit:
    """What a worker needs to fit lips to Whisper's states: clips of people who are not scored, with the files of their sound."""

    weights: str
    frames: Place
    sounds: tuple[tuple[str, str], ...]
    fitted_on: str


def run(params: Params, layout: Layout) -> None:
    """The stage: ``synthesized`` -> ``statistics``, ``scores``, ``traces``, ``aggregates``, ``metrics.json`` and plots."""
    settings = params.evaluate
    with stage_clock(layout, STAGE) as clock:
        videos = synthesized_clips(layout)
        if not videos:
            raise SpaceError(f"{layout.synthesized_clips}: no clips to score (are there test identities? see data.splits)")
        scorer = fit_scorer(layout.feature_frames, layout.feature_clips, {video.subject for video in videos})
        with atomic_file(layout.evaluation_scorer) as part:
            scorer.save(part)
        chosen = choose(Path(settings.weights))
        judges = Judges.here(Path(settings.weights), settings.second_detector)
        judges, state_scorer = fitted_on_states(judges, {video.subject for video in videos}, params, layout)
        for line in judges.absences(Path(settings.weights)):
            logger.info("not measured: %s", line)
        looking = [*(one.name for one in chosen), *([face_descriptor.NAME] if judges.identity else [])]
        looking += [settings.second_detector] if judges.second else []
        network = declaration(INCEPTION).files if any(one.is_fid for one in chosen) else ()
        units = video_units(videos, [*looking, *(file.sha256 for file in network)])
        measured = run_units(MEASURING, units, measure_one, settings, params, layout)
        by_id = {outcome.unit_id: outcome for outcome in measured}
        units = score_units(videos, by_id, layout.evaluation_scorer, judges, state_scorer)
        outcomes = run_units(STAGE, units, score_one, settings, params, layout)
        rows = [*failed_rows(videos, by_id, judges.names()), *read_outcomes(outcomes, videos, judges.names())]
        write_table(layout.statistics, rows, ClipStatistic)
        metrics = catalogue(videos[0].size_px, settings, judges.names())
        scores = aggregate.scores_of(rows, metrics)
        write_table(layout.scores, scores, Score)
        write_arrow(layout.traces, read_traces(outcomes))
        systems = present_systems(videos)
        sets = metrics_of_sets(looking, chosen, settings)
        figures = aggregate.aggregates(scores, systems, metrics) + set_figures(systems, videos, by_id, sets)
        write_table(layout.aggregates, figures, Aggregate)
        write_for_dvc(figures, layout)
        both = [*measured, *outcomes]
        clock.clips, clock.computed = len(both), sum(outcome.computed for outcome in both)
        names = [outcome.unit_id for outcome in measured], [unit.unit_id for unit in units]
        ledger = [*ledger_rows(STAGE, measured), *ledger_rows(STAGE, outcomes)]
        clock.counts = write_ledger(layout, STAGE, [*names[0], *names[1]], ledger)


def fitted_on_states(judges: Judges, scored: set[str], params: Params, layout: Layout) -> tuple[Judges, Path | None]:
    """The file of the scorer on Whisper's states, kept from run to run; without the weights, or with too little filmed speech of
    people who are not ``scored``, the judges without it."""
    if judges.whisper is None:
        return judges, None
    filmed = {c.clip_id: c for c in read_table(layout.feature_clips, FeatureClip) if c.kind == VIDEO and c.subject not in scored}
    clips = [clip for clip in aligned_clips(layout) if clip.clip_id in filmed]
    seconds = frame_start_s(sum(clip.n_frames for clip in clips))
    clips = clips[:: max(1, round(seconds / MOST_SPEECH_S))]
    if seconds < LEAST_SPEECH_S:
        logger.warning("not measured: A/V score on Whisper's states: %.0f s to fit on, need %.0f s", seconds, LEAST_SPEECH_S)
        return replace(judges, whisper=None), None
    said = f"{len(clips)} clips of {len({clip.subject for clip in clips})} identities that are not scored"
    value = FitUnit(str(judges.whisper), layout.feature_frames, tuple((clip.clip_id, clip.audio) for clip in clips), said)
    # The log-mel scorer is of the same lips: when they change, it does.
    content = content_hash(sha256_of(layout.evaluation_scorer), [clip.audio_sha256 for clip in clips], judges.hashes())
    (outcome,) = run_units(FITTING, [Unit(FITTING, content, value)], fit_one, params.evaluate, params, layout)
    if outcome.folder is None:
        raise SpaceError(f"A/V score on Whisper's states: {last_line(outcome.detail) or outcome.reason}")
    return judges, outcome.folder / SCORER_FILE


def fit_one(unit: FitUnit, settings: Evaluate, folder: Path) -> None:
    """Unit function: ``scorer.npz``."""
    from evaluation.whisper_clip import fit_whisper  # which imports PyTorch

    fit_whisper(Path(unit.weights), unit.frames, dict(unit.sounds), unit.fitted_on).save(folder / SCORER_FILE)


def present_systems(videos: Iterable[SynthesizedClip]) -> list[str]:
    """Systems that were rendered or added, those of the registry first, in its order."""
    present = {video.system for video in videos}
    return [*(name for name in SYSTEM_NAMES if name in present), *sorted(present - set(SYSTEM_NAMES))]


def video_id(system: str, clip_id: str) -> str:
    """Name of a measured video."""
    return f"measure/{system}/{clip_id}"


def video_units(videos: Sequence[SynthesizedClip], frame_features: Sequence[str]) -> list[Unit]:
    """One unit per video and one per recording; with other frame features (names, hashes of weights) it is another unit.

    Raises:
        SpaceError: the systems of a clip disagree on its recording, sound, length or size.
    """
    facts: dict[str, set[tuple]] = {}
    for video in videos:
        own = (video.reference, video.audio, video.n_frames, video.size_px, video.subject)
        facts.setdefault(video.clip_id, set()).add(own)
    for clip_id, found in facts.items():
        if len(found) > 1:
            raise SpaceError(f"clip {clip_id}: its systems disagree on recording, length or size: {sorted(found)}")
    wanted = {(REFERENCE, video.clip_id): VideoUnit(video.reference, video.n_frames) for video in videos}
    wanted |= {(video.system, video.clip_id): VideoUnit(video.video, None) for video in videos if video.status == KEPT}
    units = []
    for (system, clip_id), value in sorted(wanted.items()):
        sha256 = sha256_of(value.path)
        content = content_hash(sha256, value.n_frames, list(frame_features))
        units.append(Unit(video_id(system, clip_id), content, value, ((value.path, sha256),)))
    return units


def measure_one(unit: VideoUnit, settings: Evaluate, folder: Path) -> None:
    """Unit function: ``measured.npz`` of one video."""
    try:
        folder_of_second = second_detector.find(Path(settings.weights), settings.second_detector)
        second = SecondLook.at(folder_of_second, settings.second_detector) if folder_of_second else None
        chosen, descriptor = choose(Path(settings.weights)), face_descriptor.load()
        measured = measure_video(Path(unit.path), unit.n_frames, chosen, settings, descriptor, second)
    except MediaError as error:
        raise Rejected(UNREADABLE, str(error)) from error
    measured.save(folder / MEASURED_FILE)


def score_units(
    videos: Sequence[SynthesizedClip],
    measured: Mapping[str, Result],
    scorer: Path,
    judges: Judges,
    state_scorer: Path | None = None,
) -> list[Unit]:
    """One unit per video that could be measured and whose recording could, and one per recording."""
    shared = [sha256_of(scorer), *judges.hashes(), *([sha256_of(state_scorer)] if state_scorer else [])]
    recordings = {video.clip_id: video for video in videos}
    jobs = [(REFERENCE, video, video.reference) for video in recordings.values()]
    jobs += [(video.system, video, video.video) for video in videos if video.status == KEPT]
    units = []
    for system, video, path in jobs:
        own, truth = (measured[video_id(name, video.clip_id)] for name in (system, REFERENCE))
        if own.folder is None or truth.folder is None:
            continue
        clip = ClipToScore(system, video.clip_id, video.subject, Path(video.reference), Path(path), video.n_frames)
        both = (str(one / MEASURED_FILE) for one in (truth.folder, own.folder))
        syncnet, lpips, whisper, states = (str(one or "") for one in (judges.syncnet, judges.lpips, judges.whisper, state_scorer))
        s3fd = judges.second is not None and judges.detector == second_detector.FACE_ALIGNMENT
        scorers = str(scorer), syncnet, lpips, whisper, states
        value = ScoreUnit(clip, next(both), next(both), video.audio, *scorers, s3fd)
        hashes = [own.content, truth.content, sha256_of(video.audio), *shared]
        units.append(Unit(f"score/{system}/{video.clip_id}", content_hash(system == REFERENCE, video.n_frames, *hashes), value))
    return units


def score_one(unit: ScoreUnit, settings: Evaluate, folder: Path) -> None:
    """Unit function: ``statistics.parquet`` and ``traces.parquet`` of one video."""
    sound, n_frames = decode_audio(unit.audio), unit.clip.n_frames
    reference, candidate = (MeasuredVideo.load(Path(path)) for path in (unit.reference, unit.candidate))
    sync = clip_scorer(Scorer.load(unit.scorer), sound, n_frames)
    speaking = speech_track(sound, n_frames).speaking
    judges = _syncnet(unit, sound, settings), settings, _perceptual(unit), _whisper(unit, sound)
    rows = score_clip(unit.clip, reference, candidate, speaking, sync, *judges)
    write_table(folder / STATISTICS_FILE, rows, ClipStatistic)
    write_table(folder / TRACES_FILE, traces(unit.clip.system, unit.clip.clip_id, candidate.face), TraceFrame)


def _syncnet(unit: ScoreUnit, sound: np.ndarray, settings: Evaluate) -> SyncNetScorer | None:
    if not unit.syncnet:
        return None
    from evaluation.syncnet_clip import syncnet_scorer  # which imports PyTorch

    return syncnet_scorer(Path(unit.syncnet), sound, unit.clip.n_frames, settings.syncnet_protocol, unit.s3fd)


def _whisper(unit: ScoreUnit, sound: np.ndarray) -> SyncScorer | None:
    if not unit.whisper:
        return None
    from evaluation.whisper_clip import whisper_scorer  # which imports PyTorch
    from evaluation.whisper_sync import StateScorer

    return whisper_scorer(Path(unit.whisper), StateScorer.load(Path(unit.whisper_scorer)), sound, unit.clip.n_frames)


def _perceptual(unit: ScoreUnit) -> PictureDistance | None:
    if not unit.lpips:
        return None
    from evaluation.perceptual import load, picture_distance  # which import PyTorch

    return partial(picture_distance, load(Path(unit.lpips)))


def failed_rows(
    videos: Sequence[SynthesizedClip], measured: Mapping[str, Result], judges: Collection[str]
) -> list[ClipStatistic]:
    """Rows of the videos that were never made or cannot be read, or whose recording cannot."""
    rows = []
    for video in videos:
        own, truth = (measured.get(video_id(name, video.clip_id)) for name in (video.system, REFERENCE))
        if own is None:
            status, detail = video.reason or NOT_AVAILABLE, last_line(video.detail) or "no video"
        elif own.folder is None:
            status, detail = _fate(own)
        elif truth is None or truth.folder is None:
            status, detail = NOT_AVAILABLE, f"the recording: {_fate(truth)[1] if truth else 'not measured'}"
        else:
            continue
        logger.warning("%s on %s: not scored (%s: %s)", video.system, video.clip_id, status, detail)
        rows += failed_clip(video.system, video.clip_id, video.subject, status, detail, judges)
    return rows


def _fate(outcome: Outcome) -> tuple[str, str]:
    """Status and detail of a unit that came to nothing."""
    return (DECODE_ERROR if outcome.reason == UNREADABLE else CRASHED), last_line(outcome.detail) or outcome.reason


def read_outcomes(outcomes: Sequence[Result], videos: Sequence[SynthesizedClip], judges: Collection[str]) -> list[ClipStatistic]:
    """Statistics of the second round; a crash becomes rows that say so."""
    subjects = {video.clip_id: video.subject for video in videos}
    rows = []
    for outcome in outcomes:
        if outcome.folder is not None:
            rows += read_table(outcome.folder / STATISTICS_FILE, ClipStatistic)
            continue
        system, clip_id = outcome.unit_id.removeprefix("score/").split("/", 1)
        status, detail = _fate(outcome)
        logger.warning("%s on %s: not scored (%s)", system, clip_id, detail)
        rows += failed_clip(system, clip_id, subjects[clip_id], status, detail, judges)
    return rows


def read_traces(outcomes: Iterable[Result]) -> pa.Table:
    """Traces of all videos that were scored, a row per frame: columns, for as objects they would take ten times the memory."""
    found = (outcome.folder for outcome in outcomes if outcome.folder is not None)
    tables = [arrow_schema(TraceFrame).empty_table(), *(read_arrow(folder / TRACES_FILE, TraceFrame) for folder in found)]
    return in_order(pa.concat_tables(tables), "system", "clip_id", "frame")


def last_line(text: str) -> str:
    """Where a traceback says what happened; empty of nothing."""
    return text.strip().splitlines()[-1] if text.strip() else ""


def metrics_of_sets(looking: Sequence[str], chosen: Sequence[FrameFeatures], settings: Evaluate) -> list[tuple[str, SetMetric]]:
    """Distances between sets, with the name of the features that they are taken on."""
    every = settings.frechet_every_frames
    found = [(one.name, metric) for one in chosen for metric in set_metrics(one.name, one.is_fid, every)]
    return [*found, *((name, face_set_metric(every)) for name in looking if name == face_descriptor.NAME)]


def set_figures(
    systems: Sequence[str],
    videos: Sequence[SynthesizedClip],
    measured: Mapping[str, Result],
    metrics: Sequence[tuple[str, SetMetric]],
) -> list[Aggregate]:
    """Distances between each system's frames and the recordings', over the clips of both that could be measured."""
    subjects = {video.clip_id: video.subject for video in videos}

    def of(system: str) -> dict[str, Mapping[str, np.ndarray]]:
        found = {clip_id: measured.get(video_id(system, clip_id)) for clip_id in subjects}
        known = {clip_id: one.folder / MEASURED_FILE for clip_id, one in found.items() if one and one.folder}
        return {clip_id: MeasuredVideo.load(file).features for clip_id, file in known.items()}

    def called(name: str, own: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Of frames that have such features; clips without any are left out."""
        good = {clip_id: features[name][np.isfinite(features[name]).all(axis=1)] for clip_id, features in own.items()}
        return {clip_id: values for clip_id, values in good.items() if len(values)}

    real, rows = of(REFERENCE), []
    for system in systems:
        made = of(system)
        for name, metric in metrics:
            rows.append(set_aggregate(system, metric, called(name, made), called(name, real), subjects, len(subjects)))
    return rows


def plot_name(metric: Metric) -> str:
    """Name of a plotted column's CSV, without its protocol."""
    return metric.name


def write_for_dvc(rows: list[Aggregate], layout: Layout) -> None:
    """``metrics.json`` for ``dvc metrics show`` and one CSV per plotted column."""
    with atomic_file(layout.benchmark / "metrics.json") as part:
        part.write_text(json.dumps(aggregate.metrics_tree(rows), indent=1) + "\n")
    for metric in PLOTTED:
        with atomic_file(layout.benchmark / "plots" / f"{plot_name(metric)}.csv") as part:
            part.write_text(aggregate.plot_csv(rows, metric))
