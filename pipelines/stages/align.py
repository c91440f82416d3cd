"""Stage ``align``: kept segments -> square 25 fps video and 16 kHz mono sound of exactly 640 samples per frame.

    python -m pipelines.stages.align        # decisions, frames, raw video -> data/aligned

One fixed crop per segment, laid by the crop rule around everything the face covers (``space_data.crop``); pictures chosen by
presentation time; sound moved by the measured audio-visual offset that the decision carries; both cut to what they share. A
source file is decoded once, however many segments it yields, and one picture is in memory at a time.
"""

import dataclasses
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.job.engine import (
    Layout,
    Outcome,
    Unit,
    content_hash,
    ledger_rows,
    run_units,
    stage_clock,
    stage_main,
    write_ledger,
)
from space_data.clip_media import pictures, sound
from space_data.crop import CropBox, crop_box
from space_data.errors import SpaceError
from space_data.files import check_length, file_stems, make_folder
from space_data.landmarks import N_LANDMARKS, PoseTrack, posed, template_mesh
from space_data.media.container import RgbImage
from space_data.media.encode import VideoWriter, write_wav
from space_data.media.video import Frame
from space_data.params import AlignStage, Params
from space_data.schema import KEPT, REJECTED, AlignedClip, Clip, Decision, FrameRow, LedgerRow
from space_data.tables import read_table, stream_clips, vectors, write_table
from space_data.timebase import (
    CLOCK_SLACK_S,
    fit_samples,
    frame_centre_s,
    frame_start_s,
    frames_in,
    frames_to_samples,
    frames_to_seconds,
    samples_to_seconds,
    seconds_to_samples,
)

STAGE = "align"
FOREHEAD_MESH = np.array([10, 338, 297, 332, 284, 251, 109, 67, 103, 54, 21])
"""Upper edge of the face in the mesh, which the 78 landmarks lack."""
FOREHEAD_LIFT = 0.045
"""IOD by which faces end higher than the template's: measured on seven real clips, where crops are then within 2 % of the
size that the whole mesh gives (the template alone: up to 7 % too small)."""
PIECES_FILE = "pieces.json"
SUFFIXES = (".mp4", ".wav")
FRAME_COLUMNS = ["clip_id", "frame", "width_px", "height_px", "found", "landmarks_px", "pose"]


@dataclass(frozen=True)
class Segment:
    """What to cut out of a source file."""

    clip_id: str
    start_s: float
    n_frames: int
    offset_frames: float
    """+ = audio late"""
    crop: CropBox


@dataclass(frozen=True)
class Source:
    """A source file and its segments in order of time: the unit of work."""

    clip: Clip
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Piece:
    """The part of a segment for which there are pictures and sound, on the pictures' clock."""

    clip_id: str
    start_s: float
    n_frames: int


class Playhead:
    """Which decoded frame is on screen at a time that never decreases; holds two frames."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self._shown = next(frames, None)
        self._coming = next(frames, None)

    def at(self, time_s: float) -> RgbImage:
        """The last frame that began by ``time_s`` (the first one before any began), as ``timebase.nearest_frames`` chooses."""
        while self._coming is not None and self._coming.pts_s <= time_s + CLOCK_SLACK_S:
            self._shown, self._coming = self._coming, next(self._frames, None)
        if self._shown is None:
            raise SpaceError("video without frames")
        return self._shown.rgb


def face_outline(landmarks_px: NDArray[np.float32], pose: PoseTrack) -> NDArray[np.float32]:
    """Points that the crop rule sees a whole face by, (T, 78 + 11, 3) px: the landmarks, and a forehead from the head pose."""
    forehead = template_mesh()[FOREHEAD_MESH] - np.array([0.0, FOREHEAD_LIFT, 0.0])
    return np.concatenate([landmarks_px, posed(np.broadcast_to(forehead, (len(pose), *forehead.shape)), pose)], axis=1)


def segment_crop(rows: pa.Table, decision: Decision) -> CropBox:
    """The crop of one segment from the frame rows of its source clip."""
    frame = np.asarray(rows.column("frame"))
    inside = (frame >= decision.first_frame) & (frame < decision.end_frame) & np.asarray(rows.column("found"))
    if not inside.any():
        raise SpaceError(f"clip {decision.clip_id}: kept, but no frame of it has a face")
    landmarks = vectors(rows, "landmarks_px")[inside].reshape(-1, N_LANDMARKS, 3)
    outline = face_outline(landmarks, PoseTrack.from_array(vectors(rows, "pose")[inside]))
    width_px, height_px = (int(rows.column(name)[int(np.flatnonzero(inside)[0])].as_py()) for name in ("width_px", "height_px"))
    return crop_box(outline, width_px, height_px)


def common_piece(segment: Segment, audio_samples: int) -> Piece:
    """The frames of ``segment`` whose sound, after removing its offset, lies within ``audio_samples`` of source sound."""
    sound_start_s = segment.start_s + frames_to_seconds(segment.offset_frames)
    missing_s = max(0.0, -sound_start_s)
    skipped = frames_in(missing_s) + (1 if missing_s - frame_start_s(frames_in(missing_s)) > CLOCK_SLACK_S else 0)
    left_s = samples_to_seconds(audio_samples) - (sound_start_s + frame_start_s(skipped))
    n_frames = max(0, min(segment.n_frames - skipped, frames_in(left_s)))
    return Piece(segment.clip_id, segment.start_s + frame_start_s(skipped), n_frames)


def piece_sound(audio: NDArray[np.float32], piece: Piece, offset_frames: float) -> NDArray[np.float32]:
    """The sound of ``piece`` with its offset removed, exactly 640 samples per frame."""
    begin = max(0, seconds_to_samples(piece.start_s + frames_to_seconds(offset_frames)))
    return fit_samples(audio[begin : begin + frames_to_samples(piece.n_frames)], piece.n_frames)


def align_source(source: Source, settings: AlignStage, folder: Path) -> None:
    """Unit function: write ``<index>.mp4`` and ``<index>.wav`` per segment of ``source``, and what became of them."""
    audio = sound(source.clip).samples
    pieces = [common_piece(segment, len(audio)) for segment in source.segments]
    playhead = Playhead(pictures(source.clip))
    for index, (segment, piece) in enumerate(zip(source.segments, pieces, strict=True)):
        if piece.n_frames < settings.min_frames:
            continue
        spoken = piece_sound(audio, piece, segment.offset_frames)
        write_wav(folder / f"{index}.wav", spoken)
        with VideoWriter(folder / f"{index}.mp4", settings.size_px, settings.size_px, crf=settings.crf, audio=spoken) as writer:
            for frame in range(piece.n_frames):
                rgb = playhead.at(piece.start_s + frame_centre_s(frame))
                writer.write(segment.crop.apply(rgb, settings.size_px))
    (folder / PIECES_FILE).write_text(json.dumps([dataclasses.asdict(piece) for piece in pieces]))


def plan(layout: Layout, decisions: list[Decision], clips: dict[str, Clip]) -> list[Unit]:
    """One unit per source file with kept segments; reads the frame table one shard at a time."""
    kept: dict[str, list[Decision]] = defaultdict(list)
    for decision in decisions:
        if decision.source_clip_id not in clips:
            raise SpaceError(f"{layout.decisions}: clip {decision.source_clip_id} is not in {layout.clips} (stale? `dvc repro`)")
        kept[decision.source_clip_id].append(decision)
    units = []
    for clip_id, rows in stream_clips(layout.frames, FrameRow, FRAME_COLUMNS):
        if clip_id in kept:
            clip = clips[clip_id]
            segments = tuple(
                Segment(
                    decision.clip_id, decision.start_s, frames_in(decision.end_s - decision.start_s), decision.offset_frames,
                    segment_crop(rows, decision),
                )
                for decision in sorted(kept.pop(clip_id), key=lambda d: d.start_s)
            )  # fmt: skip
            what = [dataclasses.asdict(segment) for segment in segments]
            part = (clip.part_start_s, clip.part_end_s, clip.part_crop_px.tolist())
            units.append(Unit(clip_id, content_hash(clip.sha256, part, clip.audio_track, what), Source(clip, segments)))
    if kept:
        raise SpaceError(f"{layout.frames}: no frames of kept clip {min(kept)} (stale? `dvc repro`)")
    return units


def publish(
    outcome: Outcome, source: Source, clip: Clip, settings: AlignStage, layout: Layout, stems: dict[str, str]
) -> tuple[list[AlignedClip], list[LedgerRow]]:
    """Put a finished unit's files into place and make its rows: aligned clips, and one ledger row per segment.

    ``stems`` says where the files of each segment go (``file_stems``).
    """
    if outcome.folder is None:
        failed = ledger_rows(STAGE, [outcome])[0]
        return [], [dataclasses.replace(failed, clip_id=segment.clip_id) for segment in source.segments]
    rows, ledger = [], []
    pieces = [Piece(**piece) for piece in json.loads((outcome.folder / PIECES_FILE).read_text())]
    for index, (segment, piece) in enumerate(zip(source.segments, pieces, strict=True)):
        if piece.n_frames < settings.min_frames:
            detail = f"{piece.n_frames} frames hold both sound and picture"
            found, needed = float(piece.n_frames), float(settings.min_frames)
            ledger.append(LedgerRow(segment.clip_id, STAGE, REJECTED, "too_short", found, needed, detail))
            continue
        video, audio = (layout.aligned / f"{stems[segment.clip_id]}{suffix}" for suffix in SUFFIXES)
        place(outcome.folder / f"{index}.mp4", video)
        place(outcome.folder / f"{index}.wav", audio)
        ledger.append(LedgerRow(segment.clip_id, STAGE, KEPT, "", None, None, ""))
        rows.append(
            AlignedClip(
                clip_id=segment.clip_id,
                source_clip_id=clip.clip_id,
                dataset=clip.dataset,
                subject=clip.subject,
                emotion=clip.emotion,
                intensity=clip.intensity,
                language=clip.language,
                split=clip.split,
                video=str(video),
                audio=str(audio),
                n_frames=piece.n_frames,
                size_px=settings.size_px,
                start_s=piece.start_s,
                crop_x0_px=float(segment.crop.x0),
                crop_y0_px=float(segment.crop.y0),
                crop_side_px=float(segment.crop.side),
                applied_offset_frames=segment.offset_frames,
            )  # fmt: skip
        )
    return rows, ledger


def place(kept: Path, target: Path) -> None:
    """Put a kept result at its place among the outputs: a hard link (nobody writes into either), a copy across file systems.

    Raises:
        SpaceError: the place is taken: two clip ids give one file name; or its path is too long.
    """
    check_length(target)
    make_folder(target.parent)
    if target.exists():  # never write into it: it is a link to a kept result
        raise SpaceError(f"{target}: two clips want this file (rename the one whose name ends in -s and a number)")
    try:
        os.link(kept, target)
    except OSError:
        shutil.copy2(kept, target)


def run(params: Params, layout: Layout) -> None:
    """Align every kept segment of the decisions."""
    with stage_clock(layout, STAGE) as clock:
        decisions = [d for d in read_table(layout.decisions, Decision) if d.status == KEPT]
        clips = {clip.clip_id: clip for clip in read_table(layout.clips, Clip)}
        units = {unit.unit_id: unit for unit in plan(layout, decisions, clips)}
        outcomes = run_units(STAGE, units.values(), align_source, params.align, layout, params.job)
        shutil.rmtree(layout.aligned, ignore_errors=True)
        stems = file_stems((d.clip_id for d in decisions), *SUFFIXES)
        rows: list[AlignedClip] = []
        ledger: list[LedgerRow] = []
        for outcome in outcomes:
            unit_id = outcome.unit_id
            published, fates = publish(outcome, units[unit_id].value, clips[unit_id], params.align, layout, stems)
            rows += published
            ledger += fates
        write_table(layout.aligned_clips, rows, AlignedClip)
        clock.counts = write_ledger(layout, STAGE, (d.clip_id for d in decisions), ledger)
        clock.clips, clock.computed = len(outcomes), sum(outcome.computed for outcome in outcomes)


if __name__ == "__main__":
    stage_main(run)
