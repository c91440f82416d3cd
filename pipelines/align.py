"""Stage ``align``: kept segments as square 25 fps video and 16 kHz mono sound of exactly the same length.

One fixed crop per segment (a crop that follows the face would take the head's motion out of the video and add jitter); frames
chosen by presentation time; sound moved by the measured offset where ``filter`` was sure of it. One streaming decode.
"""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.job import (
    Layout,
    Outcome,
    Rejected,
    Unit,
    content_hash,
    ledger_rows,
    run_units,
    stage_clock,
    stage_main,
    write_ledger,
)  # fmt: skip
from space_data.crop import CropBox, crop_box
from space_data.landmarks import PoseTrack, posed, template_mesh
from space_data.media import Frame, decode_audio, decode_video, write_video, write_wav
from space_data.params import AlignStage, Params
from space_data.schema import KEPT, AlignedClip, Clip, Decision, FrameRow
from space_data.tables import by_clip, read_arrow, read_table, vectors, write_table
from space_data.timebase import (
    fit_samples,
    frame_centre_s,
    frame_start_s,
    frames_in,
    samples_to_seconds,
    seconds_to_samples,
)  # fmt: skip

STAGE = "align"
VIDEO_FILE, AUDIO_FILE, TABLE_FILE = "video.mp4", "audio.wav", "aligned.parquet"


@dataclass(frozen=True)
class AlignUnit:
    """What a worker needs for one segment."""

    clip: Clip
    decision: Decision
    box: CropBox


def segment_box(pose: NDArray[np.float32], width_px: int, height_px: int) -> CropBox:
    """The crop of a segment from its poses (T, 7): the square around the template's face where those poses put it.

    The tables keep 78 landmarks, without the forehead; the posed template has one.
    """
    track = PoseTrack.from_array(pose)
    face = np.broadcast_to(template_mesh(), (len(track), *template_mesh().shape))
    return crop_box(posed(face, track), width_px, height_px)


def resampled(frames: Iterator[Frame], start_s: float, n_frames: int) -> Iterator[NDArray[np.uint8]]:
    """The picture on screen in the middle of each of ``n_frames`` 25 fps frames from ``start_s`` on, streaming.

    Equals ``timebase.nearest_frames`` without knowing all time stamps beforehand.
    """
    current = upcoming = next(frames, None)
    if current is None:
        return
    for index in range(n_frames):
        centre_s = start_s + frame_centre_s(index)
        while upcoming is not None and upcoming.pts_s <= centre_s:
            current, upcoming = upcoming, next(frames, None)
        yield current.rgb


def common_span(decision: Decision, audio_s: float) -> tuple[float, int]:
    """Start (seconds of the video's clock) and number of frames for which both picture and, after correction, sound exist."""
    late_s = frame_start_s(1) * decision.offset_frames
    start_s = decision.start_s
    if start_s + late_s < 0:  # sound comes early: its beginning is missing
        start_s += math.ceil(-(start_s + late_s) / frame_start_s(1)) * frame_start_s(1)
    return start_s, frames_in(min(decision.end_s - start_s, audio_s - (start_s + late_s)))


def align_one(unit: AlignUnit, settings: AlignStage, folder: Path) -> None:
    """Write ``video.mp4``, ``audio.wav`` and the segment's row.

    Raises:
        Rejected: ``too_short``, when hardly any time holds both sound and picture.
    """
    clip, decision = unit.clip, unit.decision
    audio = decode_audio(clip.path)
    start_s, n_frames = common_span(decision, samples_to_seconds(len(audio)))
    if n_frames < settings.min_frames:
        raise Rejected("too_short", f"{n_frames} frames hold both sound and picture", float(n_frames), float(settings.min_frames))
    first = seconds_to_samples(start_s + frame_start_s(1) * decision.offset_frames)
    sound = fit_samples(audio[first:], n_frames)
    pictures = resampled(decode_video(clip.path), start_s, n_frames)
    write_video(folder / VIDEO_FILE, (unit.box.apply(rgb, settings.size_px) for rgb in pictures), crf=settings.crf, audio=sound)
    write_wav(folder / AUDIO_FILE, sound)
    row = AlignedClip(
        clip_id=decision.clip_id, source_clip_id=clip.clip_id, dataset=clip.dataset, subject=clip.subject, emotion=clip.emotion,
        intensity=clip.intensity, language=clip.language, split=clip.split, video=VIDEO_FILE, audio=AUDIO_FILE,
        n_frames=n_frames, size_px=settings.size_px, start_s=start_s, crop_x0_px=unit.box.x0, crop_y0_px=unit.box.y0,
        crop_side_px=unit.box.side, applied_offset_frames=decision.offset_frames,
    )  # fmt: skip
    write_table(folder / TABLE_FILE, [row], AlignedClip)


def units_of(layout: Layout) -> list[Unit]:
    """One unit per kept segment."""
    clips = {clip.clip_id: clip for clip in read_table(layout.clips, Clip)}
    kept: dict[str, list[Decision]] = {}
    for decision in read_table(layout.decisions, Decision):
        if decision.status == KEPT:
            kept.setdefault(decision.source_clip_id, []).append(decision)
    units = []
    for clip_id, rows in by_clip(read_arrow(layout.frames, FrameRow, ["clip_id", "pose"])):
        poses, clip = vectors(rows, "pose"), clips[clip_id]
        for decision in kept.get(clip_id, []):
            box = segment_box(poses[decision.first_frame : decision.end_frame], clip.width_px, clip.height_px)
            content = content_hash(clip.sha256, vars(clip), vars(decision), vars(box))
            units.append(Unit(decision.clip_id, content, AlignUnit(clip, decision, box)))
    return units


def place(outcome: Outcome, folder: Path) -> AlignedClip:
    """Copy a unit's files to where the stage leaves them; its row with their paths."""
    assert outcome.folder is not None
    (row,) = read_table(outcome.folder / TABLE_FILE, AlignedClip)
    stem = folder / outcome.unit_id.replace("#", "-s")
    stem.parent.mkdir(parents=True, exist_ok=True)
    video, audio = stem.with_name(f"{stem.name}.mp4"), stem.with_name(f"{stem.name}.wav")
    shutil.copyfile(outcome.folder / VIDEO_FILE, video)
    shutil.copyfile(outcome.folder / AUDIO_FILE, audio)
    return AlignedClip(**{**vars(row), "video": str(video), "audio": str(audio)})


def run(params: Params, layout: Layout) -> None:
    """Write ``aligned/`` and the stage's ledger."""
    with stage_clock(layout, STAGE) as clock:
        units = units_of(layout)
        outcomes = run_units(STAGE, units, align_one, params.align, layout, params.job)
        shutil.rmtree(layout.aligned, ignore_errors=True)
        rows = [place(outcome, layout.aligned) for outcome in outcomes if outcome.status == KEPT]
        write_table(layout.aligned_clips, rows, AlignedClip)
        clock.counts = write_ledger(layout, STAGE, [unit.unit_id for unit in units], ledger_rows(STAGE, outcomes))
        clock.clips, clock.computed = len(outcomes), sum(outcome.computed for outcome in outcomes)


if __name__ == "__main__":
    stage_main(run)
