"""Render the test clips with every system of the benchmark, all written the same way with the identical sound."""

import json
import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.baselines.ground_truth import GroundTruth
from evaluation.baselines.shuffled_audio import ShuffledAudio
from evaluation.baselines.still import Still
from evaluation.ours import Models, Ours
from evaluation.systems import (
    SYSTEM_NAMES,
    Assignment,
    Rendering,
    System,
    at_size,
    exactly,
    first_frame,
    system_of,
    systems_in_use,
)
from pipelines.job.clock import stage_clock
from pipelines.job.ledger import ledger_rows, write_ledger
from pipelines.job.run import Result, run_units
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from space_data.errors import SpaceError
from space_data.files import file_stems
from space_data.media.encode import write_video
from space_data.media.sound import decode_audio
from space_data.params import Params, Synthesize
from space_data.schema import FAILED, KEPT, AlignedClip, SynthesizedClip, SynthesizedFrame, emotion_vector
from space_data.store import below, located
from space_data.tables import read_table, write_table
from space_data.timebase import fit_samples, frames_to_samples
from space_models.generators import DEFAULT_RENDERER, RENDERERS, in_use

STAGE = "synthesize"
TEST = "test"
SHUFFLED_RENDERER = DEFAULT_RENDERER
"""What draws the system that hears the wrong words."""
VIDEO_FILE, TRACK_FILE, TIMING_FILE = "video.mp4", "track.parquet", "timing.json"


@dataclass(frozen=True)
class RenderUnit:
    """One system on one clip."""

    system: str
    clip: AlignedClip
    other_audio: str | None
    n_frames: int
    models: Models


def run(params: Params, layout: Layout) -> None:
    """The stage: aligned test clips and trained models -> ``data/synthesize``."""
    with stage_clock(layout, STAGE) as clock:
        clips = choose_clips(aligned_clips(layout), params.synthesize.max_clips)
        units = units_of(clips, Models(layout.models.local(), params), params.synthesize)
        outcomes = run_units(STAGE, units, render_one, params.synthesize, params, layout)
        shutil.rmtree(layout.synthesized, ignore_errors=True)
        stems = file_stems((clip.clip_id for clip in clips), ".mp4")
        rows = [place_result(unit, outcome, layout, stems) for unit, outcome in zip(_sorted(units), outcomes, strict=True)]
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
        clock.counts = write_ledger(layout, STAGE, [unit.unit_id for unit in units], ledger_rows(STAGE, outcomes))


def choose_clips(clips: Sequence[AlignedClip], max_clips: int) -> list[AlignedClip]:
    """At most ``max_clips`` test clips, identities in turn so that each has as many as possible.

    Raises:
        SpaceError: no clip belongs to a test identity.
    """
    by_subject: dict[str, list[AlignedClip]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: clip.clip_id):
        if clip.split == TEST:
            by_subject[clip.subject].append(clip)
    if not by_subject:
        raise SpaceError(f"{STAGE}: none of {len(clips)} aligned clips is of a test identity (too few subjects for data.splits?)")
    rounds = max(len(own) for own in by_subject.values())
    in_turn = [own[i] for i in range(rounds) for _, own in sorted(by_subject.items()) if i < len(own)]
    return sorted(in_turn[:max_clips], key=lambda clip: clip.clip_id)


def wrong_speaker(clip: AlignedClip, clips: Sequence[AlignedClip]) -> AlignedClip | None:
    """The clip whose speech ``shuffled_audio`` hears: the next one of another speaker, else the next one, else none."""
    index = next(i for i, other in enumerate(clips) if other.clip_id == clip.clip_id)
    following = [*clips[index + 1 :], *clips[:index]]
    strangers = [other for other in following if other.subject != clip.subject]
    return next(iter(strangers or following), None)


def units_of(clips: Sequence[AlignedClip], models: Models, settings: Synthesize) -> list[Unit]:
    """One unit per system and clip; its content is all files that it reads."""
    hashes = {clip.clip_id: (clip.video_sha256, clip.audio_sha256) for clip in clips}
    weights = {system_of(renderer): models.content(renderer) for renderer in in_use(models.params)}
    weights[ShuffledAudio.name] = weights[system_of(SHUFFLED_RENDERER)]
    units = []
    for clip in clips:
        other = wrong_speaker(clip, clips)
        n_frames = min(clip.n_frames, settings.max_frames)
        for system in systems_in_use(models.params):
            heard = other if system == ShuffledAudio.name else None
            content = content_hash(
                hashes[clip.clip_id], clip.emotion, clip.intensity, hashes[heard.clip_id] if heard else None,
                n_frames, weights.get(system),
            )  # fmt: skip
            value = RenderUnit(system, clip, heard.audio if heard else None, n_frames, models)
            inputs = [(clip.video, clip.video_sha256), (clip.audio, clip.audio_sha256)]
            inputs += [(heard.audio, heard.audio_sha256)] if heard else []
            units.append(Unit(f"{system}/{clip.clip_id}", content, value, tuple(inputs)))
    return units


def render_one(unit: RenderUnit, settings: Synthesize, folder: Path) -> None:
    """Render one clip with one system: ``video.mp4``, the track it was made from, and how long it took."""
    assignment = assignment_of(unit, settings.seed)
    began_s = time.perf_counter()
    rendering = system_named(unit.system, unit.models).render(assignment)
    frames = exactly(at_size(rendering.frames, unit.clip.size_px), unit.n_frames)
    write_video(folder / VIDEO_FILE, frames, audio=assignment.speech, comment=rendering.comment)
    (folder / TIMING_FILE).write_text(json.dumps({"seconds": time.perf_counter() - began_s}))
    if rendering.normalised is not None and rendering.pose is not None:
        write_table(folder / TRACK_FILE, track_rows(unit.system, unit.clip.clip_id, rendering), SynthesizedFrame)


def assignment_of(unit: RenderUnit, seed: int) -> Assignment:
    """What the unit's system gets to see."""
    other = None if unit.other_audio is None else looped(decode_audio(unit.other_audio), unit.n_frames)
    return Assignment(
        clip_id=unit.clip.clip_id,
        portrait=first_frame(Path(unit.clip.video)),
        speech=fit_samples(decode_audio(unit.clip.audio), unit.n_frames),
        emotion=emotion_vector(unit.clip.emotion, unit.clip.intensity),
        n_frames=unit.n_frames,
        seed=seed,
        other_speech=other,
        recording=Path(unit.clip.video),
    )


def system_named(name: str, models: Models) -> System:
    """The system behind a name of ``SYSTEM_NAMES``."""
    match name:
        case GroundTruth.name:
            return GroundTruth()
        case Still.name:
            return Still()
        case ShuffledAudio.name:
            return ShuffledAudio(Ours(SHUFFLED_RENDERER, models))
    return Ours(next(renderer for renderer in RENDERERS if system_of(renderer) == name), models)


def looped(audio: NDArray[np.float32], n_frames: int) -> NDArray[np.float32]:
    """``audio`` (samples,) repeated or cut to ``n_frames`` video frames: a shorter clip's speech must not end in silence."""
    if not len(audio):
        raise SpaceError("shuffled_audio: the other clip has no sound")
    return np.resize(audio, frames_to_samples(n_frames))


def track_rows(system: str, clip_id: str, rendering: Rendering) -> list[SynthesizedFrame]:
    """The landmarks and pose that a system meant to show, as rows."""
    assert rendering.normalised is not None and rendering.pose is not None
    pairs = zip(rendering.normalised, rendering.pose.as_array(), strict=True)
    return [SynthesizedFrame(system, clip_id, i, points.ravel(), pose) for i, (points, pose) in enumerate(pairs)]


PATHS = ("driving_audio", "reference", "audio", "video")


def synthesized_clips(layout: Layout) -> list[SynthesizedClip]:
    """The rows of the table, with whole paths."""
    return [located(row, layout.data, *PATHS) for row in read_table(layout.synthesized_clips, SynthesizedClip)]


def place_result(unit: Unit, outcome: Result, layout: Layout, stems: dict[str, str]) -> SynthesizedClip:
    """Copy a kept video to its place (``stems``, by clip id); the row that describes it, or why there is none."""
    value: RenderUnit = unit.value
    clip = value.clip
    heard = {Still.name: "", ShuffledAudio.name: value.other_audio or ""}.get(value.system, clip.audio)
    driving, reference, audio = (below(path, layout.data) for path in (heard, clip.video, clip.audio))
    row = SynthesizedClip(
        system=value.system, clip_id=clip.clip_id, subject=clip.subject, emotion=clip.emotion, intensity=clip.intensity,
        driving_audio=driving, reference=reference, audio=audio, video="", n_frames=value.n_frames,
        size_px=clip.size_px, status=FAILED, detail=outcome.detail,
    )  # fmt: skip
    if outcome.folder is None or outcome.status != KEPT:
        return row
    path = layout.synthesized / value.system / f"{stems[clip.clip_id]}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(outcome.folder / VIDEO_FILE, path)
    return replace(row, video=below(path.as_posix(), layout.data), status=KEPT, detail="")


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
