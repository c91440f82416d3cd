"""How much of each emotion shows: test identities say neutral words with each, on landmarks and rendered (docs/emotion.md)."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaluation import fer
from evaluation.emotion_figures import emotion_report, metrics_tree, write_report
from evaluation.emotion_response import RECORDED, Run, corpus_directions
from evaluation.emotion_runs import SETTLED_S, Measured, Person, measure_person, strip_names
from evaluation.ours import Models
from pipelines.job.clock import stage_clock
from pipelines.job.ledger import ledger_rows, write_ledger
from pipelines.job.run import run_units
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from space_data.closures import Closures
from space_data.files import atomic_file, make_folder, sha256_of
from space_data.landmarks import IBUG68, PoseTrack, lip_gap
from space_data.media.container import MediaError
from space_data.media.images import read_image, write_image
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import EmotionStage, Params
from space_data.schema import EMOTIONS, KEPT, NEUTRAL_LABEL, AlignedClip, FeatureClip, FeatureFrame, emotion_known
from space_data.tables import from_arrow, read_arrow, stream_clips, vectors
from space_data.timebase import fit_samples, frames_in
from space_models.dataset import Features, TrackClip
from space_models.generators import DEFAULT_RENDERER
from space_models.motion import load_motion_models
from space_models.portrait import portrait_of_crop
from space_models.retarget import neutral_of
from space_models.speech_file import speech_features

logger = logging.getLogger(__name__)

STAGE = "emotion"
RECORDINGS = "emotion-recordings"
"""Name in the cache of what the second judge sees in the recordings."""
TEST = "test"
RUNS_FILE, EXPRESSION_FILE = "runs.json", "expression.json"
CALM_PART = 10
UNFILMED_S, FILMED_S, RECORDING_S = 5.0, 25.0, 0.6
"""About what a person costs, and a recording that is looked at."""

ARRAYS = ("mixture", "change", "expressions")
"""Of a run."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class EmotionUnit:
    """One person's neutral clip, the frame at rest that is the portrait, and what its recording does."""

    clip: AlignedClip
    portrait_frame: int
    recorded_gap: Array
    speaking: NDArray[np.bool_]
    directions: Array
    filmed: bool
    models: Models
    judge: Path | None
    """weights of the second judge; None where it is not here"""


@dataclass(frozen=True)
class RecordingUnit:
    """A labelled recording for the second judge."""

    video: str
    judge: Path


def run(params: Params, layout: Layout) -> None:
    """The stage: features, aligned test clips and trained models -> ``data/emotion``, ``reports/emotion/metrics.json``."""
    with stage_clock(layout, STAGE) as clock:
        most = params.training.held_out_clips
        clips = Features.read_filmed(layout.feature_frames, layout.feature_clips, [TEST], most).clips
        directions = directions_of(layout)
        judge = fer.find(Path(params.evaluate.weights))
        if judge is None:
            logger.info("not measured: %s", fer.ABSENT)
        units = [] if directions is None else units_of(clips, directions, params, layout, judge)
        if not units:
            logger.warning("%s: no labelled training clips, or no neutral one of a test identity: nothing is measured", STAGE)
        outcomes = run_units(STAGE, units, measure_one, params.emotion, params, layout) if units else []
        measured = [read_measured(outcome.folder) for outcome in outcomes if outcome.folder and outcome.status == KEPT]
        make_folder(layout.emotion_strips)
        for old in layout.emotion_strips.glob("*.jpg"):
            old.unlink()
        report = None
        if measured and directions is not None:
            seen = expressions_of(clips, judge, params, layout) if judge else {}
            runs = [run for one in measured for run in one.runs] + recorded_runs(clips, seen)
            same = [one.same_as_neutral for one in measured]
            report = emotion_report(runs, directions.astype(np.float64), same)
            strips = next((one.strips for one in measured if one.strips), {})
            for number, name in enumerate(strip_names(list(strips))):
                write_image(layout.emotion_strips / f"{number}-{name}.jpg", strips[name])
        write_report(layout.emotion_report, report)
        make_folder(layout.emotion_metrics.parent)
        with atomic_file(layout.emotion_metrics) as part:
            part.write_text(json.dumps(metrics_tree(report) if report else {"people": 0}, indent=1) + "\n")
        clock.clips, clock.computed = len(outcomes), sum(outcome.computed for outcome in outcomes)
        clock.counts = write_ledger(layout, STAGE, [unit.unit_id for unit in units], ledger_rows(STAGE, outcomes))


def directions_of(layout: Layout) -> Array | None:
    """The corpus' directions (9, 78, 3) from its training clips, read one row group at a time; None where none of them is
    labelled with an emotion."""
    train = read_arrow(layout.feature_clips, FeatureClip).filter(pc.field("split") == "train")
    known = ~np.isnan(vectors(train, "emotion")).any(axis=1)
    labelled = {clip.clip_id: clip for clip in from_arrow(train.filter(pa.array(known)), FeatureClip)}
    if not any(worn(clip.emotion).any() for clip in labelled.values()):
        return None
    frames = stream_clips(layout.feature_split("train"), FeatureFrame, ["clip_id", "normalised"], labelled)
    means = {clip_id: vectors(rows, "normalised").mean(0) for clip_id, rows in frames if clip_id in labelled}
    clips = [labelled[clip_id] for clip_id in sorted(means)]
    faces = np.stack([means[clip.clip_id].reshape(-1, 3) for clip in clips])
    mixtures = np.stack([clip.emotion for clip in clips])
    return corpus_directions(faces, [clip.subject for clip in clips], mixtures).astype(np.float32)


def worn(mixture: Array) -> Array:
    """A mixture (9,) without its neutral entry: zeros for a neutral clip."""
    return np.where(np.arange(len(EMOTIONS)) == NEUTRAL_LABEL, np.float32(0), mixture)


def neutral_clips(clips: Sequence[TrackClip]) -> dict[str, TrackClip]:
    """Of each test identity the first neutral clip in the order of their ids."""
    found: dict[str, TrackClip] = {}
    for clip in sorted(clips, key=lambda clip: clip.clip_id):
        if emotion_known(clip.emotion) and not worn(clip.emotion).any():
            found.setdefault(clip.subject, clip)
    return found


def emotional_clips(clips: Sequence[TrackClip]) -> list[TrackClip]:
    """The test identities' own clips with an emotion, of those who have a neutral one."""
    neutral = neutral_clips(clips)
    return [clip for clip in clips if clip.subject in neutral and emotion_known(clip.emotion) and worn(clip.emotion).any()]


def recorded_runs(clips: Sequence[TrackClip], seen: Mapping[str, Array]) -> list[Run]:
    """The test identities' own recordings with an emotion, each against the same person's neutral one; ``seen``: what the second
    judge sees (7,) by clip."""
    neutral = neutral_clips(clips)
    runs = []
    for clip in emotional_clips(clips):
        calm = neutral[clip.subject]
        both = [seen[one.clip_id] for one in (calm, clip) if one.clip_id in seen]
        change = clip.normalised.mean(0) - calm.normalised.mean(0)
        shown = np.stack(both) if len(both) == 2 else None
        runs.append(Run(clip.subject, RECORDED, worn(clip.emotion), change, expressions=shown))
    return runs


def expressions_of(clips: Sequence[TrackClip], judge: Path, params: Params, layout: Layout) -> dict[str, Array]:
    """What the second judge sees (7,) in the recordings that ``recorded_runs`` compares; where it finds no face there is none."""
    emotional = emotional_clips(clips)
    neutral = neutral_clips(clips)
    wanted = {clip.clip_id for clip in emotional} | {neutral[clip.subject].clip_id for clip in emotional}
    units = [
        Unit(
            about.clip_id, content_hash(about.video_sha256, sha256_of(judge)), RecordingUnit(about.video, judge),
            ((about.video, about.video_sha256),), cost_s=RECORDING_S,
        )
        for about in aligned_clips(layout) if about.clip_id in wanted
    ]  # fmt: skip
    outcomes = run_units(RECORDINGS, units, look_at_one, params.emotion, params, layout) if units else []
    for outcome in outcomes:
        if outcome.status != KEPT:
            logger.warning("%s: %s: %s %s", RECORDINGS, outcome.unit_id, outcome.reason, outcome.detail)
    found = {one.unit_id: json.loads((one.folder / EXPRESSION_FILE).read_text()) for one in outcomes if one.folder}
    return {clip_id: np.array(seen, np.float32) for clip_id, seen in found.items() if seen is not None}


def look_at_one(unit: RecordingUnit, settings: EmotionStage, folder: Path) -> None:
    """Show the second judge some frames of a recording: ``expression.json``."""
    frames = (frame.rgb for frame in islice(decode_video(Path(unit.video)), 0, None, settings.filmed_every_frames))
    seen = fer.load(unit.judge).look(frames)
    (folder / EXPRESSION_FILE).write_text(json.dumps(None if seen is None else seen.tolist()))


def units_of(
    clips: Sequence[TrackClip], directions: Array, params: Params, layout: Layout, judge: Path | None = None
) -> list[Unit]:
    """One unit per test identity with a neutral clip that is long enough and was aligned; the first ones are filmed, too."""
    settings, models = params.emotion, Models(layout.models.local(), params)
    aligned = {clip.clip_id: clip for clip in aligned_clips(layout)}
    longest = frames_in(settings.speech_s)
    usable = [
        clip for _, clip in sorted(neutral_clips(clips).items())
        if clip.clip_id in aligned and len(clip) > frames_in(SETTLED_S)
    ][: settings.people]  # fmt: skip
    weights, looking = models.content(DEFAULT_RENDERER) if usable else "", sha256_of(judge) if judge else ""
    units = []
    for number, clip in enumerate(usable):
        about, filmed = aligned[clip.clip_id], number < settings.filmed_people
        n_frames = min(longest, len(clip), about.n_frames)
        value = EmotionUnit(
            about, portrait_frame(clip), lip_gap(clip.normalised[:n_frames]), clip.speaking[:n_frames], directions, filmed,
            models, judge,
        )  # fmt: skip
        content = content_hash(
            about.video_sha256, about.audio_sha256, value.portrait_frame, value.recorded_gap.tolist(), value.speaking.tolist(),
            directions.tolist(), filmed, weights, looking,
        )  # fmt: skip
        inputs = ((about.video, about.video_sha256), (about.audio, about.audio_sha256))
        units.append(Unit(about.clip_id, content, value, inputs, cost_s=FILMED_S if filmed else UNFILMED_S))
    return units


def portrait_frame(clip: TrackClip) -> int:
    """The frame that a person would choose: of the tenth nearest to the resting face the one that looks straightest."""
    away = abs(clip.normalised[:, IBUG68, :2] - neutral_of(clip.normalised)[IBUG68, :2]).mean((1, 2))
    calm = np.argsort(away, kind="stable")[: max(1, len(clip) // CALM_PART)]
    pose = PoseTrack.from_array(clip.pose[calm])
    return int(calm[np.argmin(np.hypot(pose.yaw_deg, pose.pitch_deg))])


def measure_one(unit: EmotionUnit, settings: EmotionStage, folder: Path) -> None:
    """Drive and measure one person: ``runs.json`` and, of the filmed, pictures of the strips."""
    about, params = unit.clip, unit.models.params
    frame = next(islice(decode_video(Path(about.video)), unit.portrait_frame, None), None)
    if frame is None:
        raise MediaError(f"{about.video}: no frame {unit.portrait_frame}")
    speech = speech_features(fit_samples(decode_audio(Path(about.audio)), len(unit.speaking)))
    portrait = portrait_of_crop(frame.rgb, about.clip_id)
    person = Person(about.subject, portrait, speech, unit.recorded_gap, unit.speaking)
    models = load_motion_models(unit.models.folder, params)
    judge = fer.load(unit.judge) if unit.judge else None
    write_measured(folder, measure_person(person, unit.directions, unit.filmed, params, models, unit.models.folder, judge))


def write_measured(folder: Path, measured: Measured) -> None:
    """Runs as JSON, strips as pictures."""
    rows = [
        asdict(run) | {name: None if (array := getattr(run, name)) is None else array.tolist() for name in ARRAYS}
        for run in measured.runs
    ]
    (folder / RUNS_FILE).write_text(json.dumps({"same_as_neutral": measured.same_as_neutral, "runs": rows}))
    for name, picture in measured.strips.items():
        write_image(folder / f"{name}.png", picture)


def read_measured(folder: Path) -> Measured:
    """What ``write_measured`` wrote."""
    data = json.loads((folder / RUNS_FILE).read_text())
    runs = []
    for row in data["runs"]:
        counts = {name: Closures(**row[name]) if row[name] else None for name in ("closures", "closures_neutral")}
        arrays = {name: None if row[name] is None else np.array(row[name], np.float64) for name in ARRAYS}
        runs.append(Run(**row | counts | arrays))
    strips = {path.stem: read_image(path) for path in sorted(folder.glob("*.png"))}
    return Measured(runs, data["same_as_neutral"], strips)
