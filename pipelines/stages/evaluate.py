"""Score every system's videos against the recordings: statistics per clip, aggregates with intervals, metrics for DVC.

Rounds of units. Each video is measured by itself, the recordings among them; then each is compared with its recording. A system
that is added later costs its own videos, and one that crashes the detector costs itself one clip. Then workers merge the rows, an
identity at a time, and compare sets of frames, a system at a time: the driver gets means over identities and figures of sets.
"""

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from evaluation import aggregate, face_descriptor, second_detector
from evaluation.frame_features import choose
from evaluation.judges import Judges
from evaluation.measured_video import MeasuredVideo, measure_video
from evaluation.metrics import HEADLINE, Judge, Metric, catalogue
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
    score_clip,
    traces,
)
from evaluation.second_detector import SecondLook
from evaluation.sync_score import LEAST_SPEECH_S, VIDEO, clip_scorer, fit_scorer
from evaluation.systems import SYSTEM_NAMES
from pipelines.benchmark.clips import synthesized_clips
from pipelines.job.clock import stage_clock
from pipelines.job.ledger import ledger_rows
from pipelines.job.run import Result, merge_units, run_units
from pipelines.job.stage import Stage
from pipelines.job.unit import Outcome, Rejected, Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from pipelines.stages.evaluate_merge import STATISTICS, SUFFIX, TABLES, TRACES, Identity, Scored, merge_identity
from pipelines.stages.evaluate_sets import FIGURES_FILE, SetUnit, compare_sets
from space_data.avsync import Scorer
from space_data.errors import SpaceError
from space_data.features import speech_track
from space_data.files import atomic_file, sha256_of
from space_data.media.container import MediaError
from space_data.media.sound import decode_audio
from space_data.params import Evaluate, Params
from space_data.schema import (
    KEPT,
    Aggregate,
    ClipStatistic,
    FeatureClip,
    IdentityMean,
    LedgerRow,
    SynthesizedClip,
    TraceFrame,
)  # fmt: skip
from space_data.store import Place
from space_data.tables import from_arrow, read_arrow, read_table, write_table
from space_data.timebase import frame_start_s
from space_data.weights import INCEPTION, declaration

STAGE = "evaluate"
MEASURING, SCORING, COMPARING = "evaluate-videos", "evaluate-clips", "evaluate-sets"
"""The other rounds' names in the cache."""
MERGING = Stage(STAGE, merge_identity, TABLES, lambda context, part: (), settings=lambda params: params.evaluate, own_ledger=True)
PLOTTED = (*HEADLINE, LD_MOUTH)
"""Columns that get a CSV for ``dvc plots``."""
UNREADABLE = "unreadable"
"""A video that cannot be read, among the reasons of the ledger."""
FITTING = "evaluate-whisper"
"""The name in the cache of the scorer on Whisper's states."""
MOST_SPEECH_S = 3600.0
"""About so much of a larger set is encoded and fitted on."""
SCORER_FILE = "scorer.npz"
IDENTITY_S, SET_S = 0.02, 0.1
"""About so many seconds it takes to merge one system on one clip, and to compare a clip's frames with all others."""
MEASURED_FILE = "measured.npz"

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
        features = [*(one.name for one in chosen), *([face_descriptor.NAME] if judges.identity else [])]
        looking = [*features, *([settings.second_detector] if judges.second else [])]
        network = declaration(INCEPTION).files if any(one.is_fid for one in chosen) else ()
        units = video_units(videos, [*looking, *(file.sha256 for file in network)])
        measured = run_units(MEASURING, units, measure_one, settings, params, layout)
        by_id = {outcome.unit_id: outcome for outcome in measured}
        units = score_units(videos, by_id, layout.evaluation_scorer, judges, state_scorer)
        outcomes = run_units(SCORING, units, score_one, settings, params, layout)
        merged = merge_units(MERGING, identity_units(videos, by_id, outcomes, judges.names()), params, layout)
        both = [*measured, *outcomes]
        if sum(merged.counts.values()) != len(both):
            raise SpaceError(f"{STAGE}: {len(both)} videos and scores went in, the ledger has {sum(merged.counts.values())}")
        remove_single_files(layout)
        write_figures(videos, by_id, judges.names(), features, params, layout)
        clock.clips, clock.computed = len(both), sum(outcome.computed for outcome in both)
        clock.counts = Counter(merged.counts)


def write_figures(
    videos: Sequence[SynthesizedClip],
    measured: Mapping[str, Result],
    judges: Collection[Judge],
    features: Sequence[str],
    params: Params,
    layout: Layout,
) -> None:
    """Compare sets of frames; of them, and of the means over identities, make ``aggregates``, metrics and plots."""
    systems, settings = present_systems(videos), params.evaluate
    compared = run_units(COMPARING, set_units(systems, videos, measured, features), compare_sets, settings, params, layout)
    metrics = catalogue(videos[0].size_px, settings, judges)
    figures = aggregate.aggregates(read_table(layout.identity_means, IdentityMean), systems, metrics)
    figures += set_figures(compared, systems, features)
    write_table(layout.aggregates, figures, Aggregate)
    write_for_dvc(figures, layout)


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
        hashes = [made_of(own), made_of(truth), sha256_of(video.audio), *shared]
        units.append(Unit(f"score/{system}/{video.clip_id}", content_hash(system == REFERENCE, video.n_frames, *hashes), value))
    return units


def score_one(unit: ScoreUnit, settings: Evaluate, folder: Path) -> None:
    """Unit function: ``statistics.arrow`` and ``traces.arrow`` of one video."""
    sound, n_frames = decode_audio(unit.audio), unit.clip.n_frames
    reference, candidate = (MeasuredVideo.load(Path(path)) for path in (unit.reference, unit.candidate))
    sync = clip_scorer(Scorer.load(unit.scorer), sound, n_frames)
    speaking = speech_track(sound, n_frames).speaking
    judges = _syncnet(unit, sound, settings), settings, _perceptual(unit), _whisper(unit, sound)
    rows = score_clip(unit.clip, reference, candidate, speaking, sync, *judges)
    write_table(folder / f"{STATISTICS}{SUFFIX}", rows, ClipStatistic)
    write_table(folder / f"{TRACES}{SUFFIX}", traces(unit.clip.system, unit.clip.clip_id, candidate.face), TraceFrame)


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


def made_of(result: Result) -> list[str]:
    """What a result follows from: for the content of units that read it."""
    return [result.content, result.config, result.version]


def not_scored(videos: Sequence[SynthesizedClip], measured: Mapping[str, Result]) -> list[Scored]:
    """The videos that were never made or cannot be read, or whose recording cannot."""
    found = []
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
        found.append(Scored(video.system, video.clip_id, video.subject, "", status, detail))
    return found


def _fate(outcome: Outcome) -> tuple[str, str]:
    """Status and detail of a unit that came to nothing."""
    return (DECODE_ERROR if outcome.reason == UNREADABLE else CRASHED), last_line(outcome.detail) or outcome.reason


def scored(outcome: Result, subjects: Mapping[str, str]) -> Scored:
    """What became of a video in the second round."""
    system, clip_id = outcome.unit_id.removeprefix("score/").split("/", 1)
    if outcome.folder is not None:
        return Scored(system, clip_id, subjects[clip_id], str(outcome.folder))
    return Scored(system, clip_id, subjects[clip_id], "", *_fate(outcome))


def identity_units(
    videos: Sequence[SynthesizedClip], measured: Mapping[str, Result], outcomes: Sequence[Result], judges: Collection[Judge]
) -> list[Unit]:
    """One unit per identity, of all that became of its clips; failures are told."""
    subjects = {video.clip_id: video.subject for video in videos}
    of: dict[str, list[Scored]] = defaultdict(list)
    ledger: dict[str, list[LedgerRow]] = defaultdict(list)
    for one in [*not_scored(videos, measured), *(scored(outcome, subjects) for outcome in outcomes)]:
        of[one.subject].append(one)
        if not one.folder:
            logger.warning("%s on %s: not scored (%s: %s)", one.system, one.clip_id, one.status, one.detail)
    for result in [*measured.values(), *outcomes]:
        ledger[subjects[result.unit_id.split("/", 2)[2]]] += ledger_rows(STAGE, [result])
    results, size_px, units = {outcome.unit_id: outcome for outcome in outcomes}, videos[0].size_px, []
    for subject, own in sorted(of.items()):
        made = [made_of(results[f"score/{one.system}/{one.clip_id}"]) if one.folder else vars(one) for one in own]
        rows = tuple(sorted(ledger[subject], key=lambda row: row.clip_id))
        content = content_hash(made, [vars(row) for row in rows], sorted(judges), size_px)
        value = Identity(tuple(own), rows, tuple(sorted(judges)), size_px)
        units.append(Unit(subject, content, value, cost_s=IDENTITY_S * len(own)))
    return units


def remove_single_files(layout: Layout) -> None:
    """Of releases that wrote each of these tables as one file, which lies on beside its shards: DVC keeps the folder."""
    for name in TABLES:
        (layout.stage(STAGE) / f"{name}.parquet").delete()


def last_line(text: str) -> str:
    """Where a traceback says what happened; empty of nothing."""
    return text.strip().splitlines()[-1] if text.strip() else ""


def set_units(
    systems: Sequence[str], videos: Sequence[SynthesizedClip], measured: Mapping[str, Result], features: Sequence[str]
) -> list[Unit]:
    """One unit per system and kind of features, over the clips whose video and recording could be measured."""
    subjects, units = {video.clip_id: video.subject for video in videos}, []
    for system in systems:
        clips, made = [], []
        for clip_id, subject in sorted(subjects.items()):
            own, truth = (measured.get(video_id(name, clip_id)) for name in (system, REFERENCE))
            if own and truth and own.folder and truth.folder:
                clips.append((clip_id, subject, str(own.folder / MEASURED_FILE), str(truth.folder / MEASURED_FILE)))
                made.append((clip_id, subject, made_of(own), made_of(truth)))
        content = content_hash(made, len(subjects))
        for name in features:
            value = SetUnit(system, name, tuple(clips), len(subjects))
            units.append(Unit(f"{name}/{system}", content, value, cost_s=SET_S * len(clips)))
    return units


def set_figures(compared: Sequence[Result], systems: Sequence[str], features: Sequence[str]) -> list[Aggregate]:
    """What the units of sets found, in the order of the systems.

    Raises:
        SpaceError: one failed.
    """
    found = {result.unit_id: result for result in compared}
    rows = []
    for result in (found[f"{name}/{system}"] for system in systems for name in features):
        if result.folder is None:
            raise SpaceError(f"sets of frames, {result.unit_id}: {last_line(result.detail) or result.reason}")
        rows += from_arrow(read_arrow(result.folder / FIGURES_FILE, Aggregate), Aggregate)
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
