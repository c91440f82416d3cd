"""How much our motion differs from seed to seed, beside a person's from recording to recording, on the test clips' tracks."""

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.aggregate import aggregates, identity_means, scores_of
from evaluation.diversity import METRICS, NAMES, Take, between, spread
from evaluation.metrics import MeanStatistics
from evaluation.ours import Models, Ours
from evaluation.score_clip import CRASHED, NOT_AVAILABLE, OK, REFERENCE
from evaluation.systems import Assignment, first_frame
from pipelines.benchmark.choice import clips_to_score
from pipelines.job.clock import stage_clock
from pipelines.job.ledger import ledger_rows, write_ledger
from pipelines.job.run import run_units
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from space_data.landmarks import PoseTrack
from space_data.media.sound import decode_audio
from space_data.params import DiversityStage, Params
from space_data.schema import Aggregate, AlignedClip, ClipStatistic, FeatureClip, FeatureFrame, emotion_vector
from space_data.tables import read_table, stream_clips, vectors, write_table
from space_data.timebase import fit_samples
from space_models.generators import DEFAULT_RENDERER

logger = logging.getLogger(__name__)

STAGE = "diversity"
SYSTEM = "ours"
"""All our systems: the motion is the same whoever draws it."""
VIDEO = "video"
STATISTICS_FILE = "statistics.parquet"


@dataclass(frozen=True)
class DiversityUnit:
    """One test clip, of which ``n_frames`` count, and the first of the seeds."""

    clip: AlignedClip
    n_frames: int
    first_seed: int
    models: Models


def run(params: Params, layout: Layout) -> None:
    """The stage: aligned test clips, features and trained models -> ``data/diversity``."""
    with stage_clock(layout, STAGE) as clock:
        listed = clips_to_score(params.synthesize.test_list, params.synthesize, layout)
        models = Models(layout.models.local(), params)
        weights = models.content(DEFAULT_RENDERER)
        units = []
        for clip, n_frames in ((one.clip, one.n_frames) for one in listed.chosen):
            value = DiversityUnit(clip, n_frames, params.synthesize.seed, models)
            about = clip.video_sha256, clip.audio_sha256, clip.emotion, clip.intensity, n_frames, params.synthesize.seed, weights
            inputs = ((clip.video, clip.video_sha256), (clip.audio, clip.audio_sha256))
            units.append(Unit(clip.clip_id, content_hash(*about), value, inputs))
        outcomes = run_units(STAGE, units, measure_one, params.diversity, params, layout)
        lengths = {one.clip.clip_id: one.n_frames for one in listed.chosen}
        subjects = {one.clip.clip_id: one.clip.subject for one in listed.chosen}
        rows = recorded_rows(lengths, subjects, recorded_takes(set(subjects.values()), layout))
        for outcome in outcomes:
            if outcome.folder is not None:
                rows += read_table(outcome.folder / STATISTICS_FILE, ClipStatistic)
            else:
                detail = outcome.detail.strip().splitlines()[-1:] or [outcome.reason]
                failed = dict.fromkeys(NAMES, MeanStatistics())
                rows += rows_of(SYSTEM, outcome.unit_id, subjects[outcome.unit_id], failed, CRASHED, detail[0])
        write_table(layout.diversity_statistics, rows, ClipStatistic)
        write_table(layout.diversity, aggregates(identity_means(scores_of(rows, METRICS), METRICS), [SYSTEM], METRICS), Aggregate)
        clock.clips, clock.computed = len(outcomes), sum(outcome.computed for outcome in outcomes)
        clock.counts = write_ledger(layout, STAGE, [unit.unit_id for unit in units], ledger_rows(STAGE, outcomes))


def measure_one(unit: DiversityUnit, settings: DiversityStage, folder: Path) -> None:
    """Unit function: ``statistics.parquet`` of one clip. Frames are made when they are asked for; nobody does."""
    clip, system = unit.clip, Ours(DEFAULT_RENDERER, unit.models)
    portrait, speech = first_frame(Path(clip.video)), fit_samples(decode_audio(clip.audio), unit.n_frames)
    emotion, takes = emotion_vector(clip.emotion, clip.intensity), []
    for seed in range(unit.first_seed, unit.first_seed + settings.seeds):
        made = system.render(Assignment(clip.clip_id, portrait, speech, emotion, unit.n_frames, seed, speech, Path(clip.video)))
        assert made.normalised is not None and made.pose is not None
        takes.append(Take.of(made.normalised, made.pose))
    write_table(folder / STATISTICS_FILE, rows_of(SYSTEM, clip.clip_id, clip.subject, between(takes)), ClipStatistic)


def rows_of(
    system: str, clip_id: str, subject: str, sums: Mapping[str, MeanStatistics], status: str = OK, detail: str = ""
) -> list[ClipStatistic]:
    """Statistics as rows; what there is none of says so."""
    none = (NOT_AVAILABLE, "no second recording of this person") if status == OK else (status, detail)
    return [
        ClipStatistic(system, clip_id, subject, name, one.total, one.count, *((OK, "") if one.count else none))
        for name, one in sums.items()
    ]


def recorded_takes(subjects: Collection[str], layout: Layout) -> dict[str, dict[str, Take]]:
    """By person, then by clip: all that was filmed of them."""
    clips = {c.clip_id: c for c in read_table(layout.feature_clips, FeatureClip) if c.kind == VIDEO and c.subject in subjects}
    found: dict[str, dict[str, Take]] = defaultdict(dict)
    columns = ["clip_id", "frame", "normalised", "pose"]
    for clip_id, rows in stream_clips(layout.feature_frames, FeatureFrame, columns, set(clips)):
        if clip_id in clips:
            normalised = vectors(rows, "normalised").reshape(len(rows), -1, 3)
            found[clips[clip_id].subject][clip_id] = Take.of(normalised, PoseTrack.from_array(vectors(rows, "pose")))
    return found


def recorded_rows(
    lengths: Mapping[str, int], subjects: Mapping[str, str], takes: Mapping[str, Mapping[str, Take]]
) -> list[ClipStatistic]:
    """Each test clip's recording, its first ``lengths`` frames, against all others of the same person."""
    rows = []
    for clip_id, n_frames in lengths.items():
        theirs = takes.get(subjects[clip_id], {})
        own = theirs[clip_id].first(n_frames) if clip_id in theirs else None
        pairs: Sequence[tuple[Take, Take]] = [(own, other) for name, other in theirs.items() if own and name != clip_id]
        rows += rows_of(REFERENCE, clip_id, subjects[clip_id], spread(pairs))
    return rows
