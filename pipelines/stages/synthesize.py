"""Render the test clips with every system of the benchmark, all written the same way with the identical sound."""

import json
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.baselines.ridge import fit as fit_ridge
from evaluation.builtin import Resources, content_of, system_named
from evaluation.canonical import Expected
from evaluation.lists.clip_list import Resolved
from evaluation.ours import Models
from evaluation.systems import (
    MEAN_MOTION,
    MISMATCHED_AUDIO,
    STILL,
    SYSTEM_NAMES,
    Assignment,
    Rendering,
    exactly,
    first_frame,
    system_of,
    systems_in_use,
)
from evaluation.verdict import judge
from pipelines.benchmark.choice import clips_to_score
from pipelines.benchmark.rows import CANONICAL_SUFFIX, placed, verdict_of
from pipelines.job.clock import stage_clock
from pipelines.job.ledger import ledger_rows, write_ledger
from pipelines.job.run import Result, run_units
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from space_data.avsync import mel_frames
from space_data.errors import SpaceError
from space_data.files import file_stems
from space_data.media.encode import write_video
from space_data.media.sound import decode_audio
from space_data.params import Params, Synthesize
from space_data.schema import (
    FAILED,
    KEPT,
    AlignedClip,
    Clip,
    FeatureClip,
    FeatureFrame,
    SynthesizedClip,
    SynthesizedFrame,
    emotion_vector,
)
from space_data.speech import MEL_BANDS
from space_data.store import below
from space_data.tables import read_arrow, read_table, stream_clips, vectors, write_table
from space_data.timebase import fit_samples, frames_to_samples
from space_models.animate import PICTURE_CRF
from space_models.generators import RENDERERS

STAGE = "synthesize"
TRAIN = "train"
VIDEO = "video"
RIDGE_FILE = "ridge.npz"
RIDGE_CLIPS = 500
"""Training clips that the ridge regression is fitted on, at most: half an hour decides 440 numbers per coordinate."""
VIDEO_FILE, TRACK_FILE, TIMING_FILE = "video.mp4", "track.parquet", "timing.json"
VERDICT_FILE, CANONICAL_FILE = "verdict.json", "canonical.mkv"
MOTIONLESS = (STILL, MEAN_MOTION)


@dataclass(frozen=True)
class RenderUnit:
    """One system on one clip."""

    system: str
    clip: AlignedClip
    mismatched_audio: str | None
    """file in which something else is said; None: no clip of the set says anything else"""
    n_frames: int
    resources: Resources


def run(params: Params, layout: Layout) -> None:
    """The stage: aligned test clips and trained models -> ``data/synthesize``."""
    with stage_clock(layout, STAGE) as clock:
        listed = clips_to_score(params.synthesize.test_list, params.synthesize, layout)
        clips = [one.clip for one in listed.chosen]
        ridge = layout.cache.local() / STAGE / RIDGE_FILE
        fit_ridge(training_tracks(layout)).save(ridge)
        resources = Resources(Models(layout.models.local(), params), ridge)
        units = units_of(listed, statements_of(clips, layout), resources)
        outcomes = run_units(STAGE, units, render_one, params.synthesize, params, layout)
        shutil.rmtree(layout.synthesized, ignore_errors=True)
        stems = file_stems((clip.clip_id for clip in clips), ".mp4", CANONICAL_SUFFIX)
        results = zip(_sorted(units), outcomes, strict=True)
        rows = [place_result(unit, outcome, layout, stems, listed.label) for unit, outcome in results]
        tracks = [
            row
            for outcome in outcomes
            if outcome.folder is not None and (outcome.folder / TRACK_FILE).is_file()
            for row in read_table(outcome.folder / TRACK_FILE, SynthesizedFrame)
        ]
        write_table(layout.synthesized_clips, rows, SynthesizedClip)
        write_table(layout.synthesized_tracks, tracks, SynthesizedFrame)
        clock.clips = len(outcomes)
        clock.computed = sum(outcome.computed for outcome in outcomes)
        rates = render_rates(units, outcomes)
        clock.notes = {f"{r}_fps": f"{rates[system_of(r)]:.0f}" for r in RENDERERS if system_of(r) in rates}
        clock.notes["test_list"] = listed.label
        clock.counts = write_ledger(layout, STAGE, [unit.unit_id for unit in units], ledger_rows(STAGE, outcomes))


def statements_of(clips: Sequence[AlignedClip], layout: Layout) -> dict[str, str]:
    """What each clip says, as its corpus numbers it, by clip id; empty where the corpus does not tell."""
    rows = read_arrow(layout.clips, Clip, ["clip_id", "statement"], {clip.source_clip_id for clip in clips})
    by_source = dict(zip(rows["clip_id"].to_pylist(), rows["statement"].to_pylist(), strict=True))
    return {clip.clip_id: by_source[clip.source_clip_id] for clip in clips}


def training_tracks(layout: Layout) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Normalised landmarks (T, 78, 3) and frame-wise log-mel (T, 40) of filmed training clips."""
    rows = [row for row in read_table(layout.feature_clips, FeatureClip) if row.kind == VIDEO and row.split == TRAIN]
    chosen = {row.clip_id for row in rows[:: max(1, len(rows) // RIDGE_CLIPS)]}
    columns = ["clip_id", "frame", "normalised", "log_mel"]
    for clip_id, frames in stream_clips(layout.feature_frames, FeatureFrame, columns, chosen):
        if clip_id in chosen:
            mel = vectors(frames, "log_mel").reshape(-1, MEL_BANDS)
            yield vectors(frames, "normalised").reshape(len(frames), -1, 3), mel_frames(mel)


def mismatched_clip(clip: AlignedClip, clips: Sequence[AlignedClip], statements: Mapping[str, str]) -> AlignedClip | None:
    """The clip whose speech ``mismatched_audio`` hears: the next one in which another speaker, else anybody, says something else.

    Clips whose corpus does not say what they say are taken to differ. None if nobody says anything else.
    """
    index = next(i for i, other in enumerate(clips) if other.clip_id == clip.clip_id)
    own = statements[clip.clip_id]
    following = [*clips[index + 1 :], *clips[:index]]
    others = [other for other in following if not own or statements[other.clip_id] != own]
    strangers = [other for other in others if other.subject != clip.subject]
    return next(iter(strangers or others), None)


def units_of(
    listed: Resolved, statements: Mapping[str, str], resources: Resources
) -> list[Unit]:
    """One unit per system and clip; its content is all files that it reads."""
    names = systems_in_use(resources.models.params)
    made_of = {name: content_of(name, resources) for name in names}
    units = []
    clips = [one.clip for one in listed.chosen]
    for clip, n_frames in ((one.clip, one.n_frames) for one in listed.chosen):
        other = mismatched_clip(clip, clips, statements)
        for system in names:
            heard = other if system == MISMATCHED_AUDIO.name else None
            content = content_hash(
                clip.video_sha256, clip.audio_sha256, clip.emotion, clip.intensity, heard.audio_sha256 if heard else None,
                n_frames, made_of[system],
            )  # fmt: skip
            value = RenderUnit(system, clip, heard.audio if heard else None, n_frames, resources)
            inputs = [(clip.video, clip.video_sha256), (clip.audio, clip.audio_sha256)]
            inputs += [(heard.audio, heard.audio_sha256)] if heard else []
            units.append(Unit(f"{system}/{clip.clip_id}", content, value, tuple(inputs)))
    return units


def render_one(unit: RenderUnit, settings: Synthesize, folder: Path) -> None:
    """Render one clip with one system: ``video.mp4``, the verdict on it, the track it was made from, and how long it took."""
    assignment = assignment_of(unit, settings.seed)
    began_s = time.perf_counter()
    rendering = system_named(unit.system, unit.resources).render(assignment)
    frames = exactly(rendering.frames, unit.n_frames)
    write_video(folder / VIDEO_FILE, frames, crf=PICTURE_CRF, audio=assignment.speech, comment=rendering.comment)
    (folder / TIMING_FILE).write_text(json.dumps({"seconds": time.perf_counter() - began_s}))
    is_still = unit.system in {entry.name for entry in MOTIONLESS}
    expected = Expected(unit.n_frames, unit.clip.size_px, assignment.speech, may_freeze=is_still)
    judge(folder / VIDEO_FILE, expected, folder / CANONICAL_FILE).save(folder / VERDICT_FILE)
    if rendering.normalised is not None and rendering.pose is not None:
        write_table(folder / TRACK_FILE, track_rows(unit.system, unit.clip.clip_id, rendering), SynthesizedFrame)


def assignment_of(unit: RenderUnit, seed: int) -> Assignment:
    """What the unit's system gets to see; where nobody says anything else, the wrong words are the own ones backwards."""
    speech = fit_samples(decode_audio(unit.clip.audio), unit.n_frames)
    other = speech[::-1].copy() if unit.mismatched_audio is None else looped(decode_audio(unit.mismatched_audio), unit.n_frames)
    return Assignment(
        clip_id=unit.clip.clip_id,
        portrait=first_frame(Path(unit.clip.video)),
        speech=speech,
        emotion=emotion_vector(unit.clip.emotion, unit.clip.intensity),
        n_frames=unit.n_frames,
        seed=seed,
        mismatched_speech=other,
        recording=Path(unit.clip.video),
    )


def looped(audio: NDArray[np.float32], n_frames: int) -> NDArray[np.float32]:
    """``audio`` (samples,) repeated or cut to ``n_frames`` video frames: a shorter clip's speech must not end in silence."""
    if not len(audio):
        raise SpaceError("mismatched_audio: the other clip has no sound")
    return np.resize(audio, frames_to_samples(n_frames))


def track_rows(system: str, clip_id: str, rendering: Rendering) -> list[SynthesizedFrame]:
    """The landmarks and pose that a system meant to show, as rows."""
    assert rendering.normalised is not None and rendering.pose is not None
    pairs = zip(rendering.normalised, rendering.pose.as_array(), strict=True)
    return [SynthesizedFrame(system, clip_id, i, points.ravel(), pose) for i, (points, pose) in enumerate(pairs)]


def place_result(unit: Unit, outcome: Result, layout: Layout, stems: dict[str, str], label: str) -> SynthesizedClip:
    """Copy a video that can be scored to its place (``stems``, by clip id); the row that describes it, or why there is none."""
    value: RenderUnit = unit.value
    clip = value.clip
    heard = {STILL.name: "", MISMATCHED_AUDIO.name: value.mismatched_audio or clip.audio}.get(value.system, clip.audio)
    driving, reference, audio = (below(path, layout.data) for path in (heard, clip.video, clip.audio))
    row = SynthesizedClip(
        system=value.system, clip_id=clip.clip_id, subject=clip.subject, emotion=clip.emotion, intensity=clip.intensity,
        driving_audio=driving, reference=reference, audio=audio, video="", n_frames=value.n_frames,
        size_px=clip.size_px, status=FAILED, detail="", test_list=label,
    )  # fmt: skip
    folder = outcome.folder or Path()
    verdict = verdict_of(outcome, folder / VERDICT_FILE if outcome.folder else None)
    return placed(row, verdict, folder / VIDEO_FILE, layout.synthesized / value.system / stems[clip.clip_id], layout.data)


def render_rates(units: Sequence[Unit], outcomes: Sequence[Result]) -> dict[str, float]:
    """Frames per second of each system, coding included, as measured when its clips were rendered."""
    frames: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    for unit, outcome in zip(_sorted(units), outcomes, strict=True):
        if outcome.folder is not None and outcome.status == KEPT:
            frames[unit.value.system] += unit.value.n_frames
            seconds[unit.value.system] += json.loads((outcome.folder / TIMING_FILE).read_text())["seconds"]
    return {name: frames[name] / seconds[name] for name in SYSTEM_NAMES if frames[name]}


def _sorted(units: Sequence[Unit]) -> list[Unit]:
    return sorted(units, key=lambda unit: unit.unit_id)
