"""Stage ``align``: kept segments -> square 25 fps video and 16 kHz mono sound of exactly 640 samples per frame.

    python -m pipelines.stages align        # decisions, frames, raw video -> data/align

One fixed crop per segment, laid by the crop rule around everything the face covers (``space_data.crop``); pictures chosen by
presentation time; sound moved by the measured audio-visual offset that the decision carries; both cut to what they share. A
source file is decoded once, however many segments it yields, and one picture is in memory at a time.
"""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.job.packs import BLOBS
from pipelines.job.run import run_stage
from pipelines.job.shards import blob_folder
from pipelines.job.stage import Context, Files, Made, Stage
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.ingest import inputs_of
from space_data.clip_media import pictures, sound
from space_data.crop import CropBox, crop_box
from space_data.errors import SpaceError
from space_data.files import file_stem, sha256_of
from space_data.landmarks import N_LANDMARKS, PoseTrack, posed, template_mesh
from space_data.media.container import RgbImage
from space_data.media.encode import VideoWriter, write_wav
from space_data.media.video import Frame
from space_data.params import AlignStage, Params
from space_data.schema import KEPT, REJECTED, AlignedClip, Clip, Decision, FrameRow, LedgerRow
from space_data.tables import read_table, stream_clips, vectors
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

NAME = "align"
ALIGN_PER_S = 0.6
"""Seconds that a second of video takes."""
FOREHEAD_MESH = np.array([10, 338, 297, 332, 284, 251, 109, 67, 103, 54, 21])
"""Upper edge of the face in the mesh, which the 78 landmarks lack."""
FOREHEAD_LIFT = 0.045
"""IOD by which faces end higher than the template's: measured on seven real clips, where crops are then within 2 % of the
size that the whole mesh gives (the template alone: up to 7 % too small)."""
PIECES_FILE = "pieces.json"
SUFFIXES = (".mp4", ".wav")
STEM_HASH_CHARACTERS = 12
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
    media: str
    """folder of the files of this shard"""


@dataclass(frozen=True)
class Piece:
    """The part of a segment for which there are pictures and sound, on the pictures' clock."""

    clip_id: str
    start_s: float
    n_frames: int
    stem: str = ""
    """of its files, below the shard's folder: the id and a hash of the content"""
    video_sha256: str = ""
    audio_sha256: str = ""


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
    """Unit function: write video and sound of every segment of ``source`` as blobs, and ``pieces.json``."""
    audio = sound(source.clip).samples
    pieces = [common_piece(segment, len(audio)) for segment in source.segments]
    playhead = Playhead(pictures(source.clip))
    for index, (segment, piece) in enumerate(zip(source.segments, pieces, strict=True)):
        if piece.n_frames < settings.min_frames:
            continue
        spoken = piece_sound(audio, piece, segment.offset_frames)
        video, wav = folder / "video.mp4", folder / "sound.wav"
        write_wav(wav, spoken)
        with VideoWriter(video, settings.size_px, settings.size_px, crf=settings.crf, audio=spoken) as writer:
            for frame in range(piece.n_frames):
                rgb = playhead.at(piece.start_s + frame_centre_s(frame))
                writer.write(segment.crop.apply(rgb, settings.size_px))
        hashes = sha256_of(video), sha256_of(wav)
        stem = file_stem(segment.clip_id, content_hash(hashes)[:STEM_HASH_CHARACTERS], *SUFFIXES)
        pieces[index] = dataclasses.replace(piece, stem=stem, video_sha256=hashes[0], audio_sha256=hashes[1])
        for made, suffix in zip((video, wav), SUFFIXES, strict=True):
            target = folder / BLOBS / f"{stem}{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            made.rename(target)
    (folder / PIECES_FILE).write_text(json.dumps([dataclasses.asdict(piece) for piece in pieces]))


def items(context: Context, part: int) -> Iterator[Unit]:
    """One unit per clip of the shard with kept segments."""
    kept: dict[str, list[Decision]] = defaultdict(list)
    for decision in read_table(context.shard("filter", "decisions", part), Decision):
        if decision.status == KEPT:
            kept[decision.source_clip_id].append(decision)
    clips = {clip.clip_id: clip for clip in read_table(context.shard("ingest", "clips", part), Clip)}
    frames = context.shard("measure", "frames", part)
    media = blob_folder(context, NAME, part).uri
    for clip_id, rows in stream_clips(frames, FrameRow, FRAME_COLUMNS):
        if clip_id in kept:
            clip, segments = clips[clip_id], segments_of(rows, kept.pop(clip_id))
            what = [dataclasses.asdict(segment) for segment in segments]
            of_file = (clip.part_start_s, clip.part_end_s, clip.part_crop_px.tolist())
            content = content_hash(clip.sha256, of_file, clip.audio_track, what)
            yield Unit(
                clip_id, content, Source(clip, segments, media), inputs_of(clip),
                cost_s=ALIGN_PER_S * clip.duration_s, members=tuple(segment.clip_id for segment in segments),
            )  # fmt: skip
    if kept:
        raise SpaceError(f"{frames}: no frames of kept clip {min(kept)} (stale? `dvc repro`)")


def segments_of(rows: pa.Table, decisions: list[Decision]) -> tuple[Segment, ...]:
    """The kept segments of one clip in order of time, from its frame rows."""
    return tuple(
        Segment(d.clip_id, d.start_s, frames_in(d.end_s - d.start_s), d.offset_frames, segment_crop(rows, d))
        for d in sorted(decisions, key=lambda d: d.start_s)
    )


def finish(unit: Unit, files: Files, context: Context) -> Made:
    """Rows of the aligned segments of one clip, and one row of the ledger for each segment."""
    source: Source = unit.value
    clip, settings = source.clip, context.params.align
    rows, ledger = [], []
    pieces = [Piece(**piece) for piece in json.loads(files(PIECES_FILE) or b"[]")]
    for segment, piece in zip(source.segments, pieces, strict=True):
        if not piece.stem:
            detail = f"{piece.n_frames} frames hold both sound and picture"
            found, needed = float(piece.n_frames), float(settings.min_frames)
            ledger.append(LedgerRow(segment.clip_id, NAME, REJECTED, "too_short", found, needed, detail))
            continue
        ledger.append(LedgerRow(segment.clip_id, NAME, KEPT, "", None, None, ""))
        video, audio = (f"{source.media}/{piece.stem}{suffix}" for suffix in SUFFIXES)
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
                video=video,
                audio=audio,
                n_frames=piece.n_frames,
                size_px=settings.size_px,
                start_s=piece.start_s,
                crop_x0_px=float(segment.crop.x0),
                crop_y0_px=float(segment.crop.y0),
                crop_side_px=float(segment.crop.side),
                applied_offset_frames=segment.offset_frames,
                video_sha256=piece.video_sha256,
                audio_sha256=piece.audio_sha256,
            )
        )
    return Made({"clips": rows}, ledger)


STAGE = Stage(
    NAME, align_source, {}, items, ("filter", "ingest", "measure"), lambda params: params.align, continues="filter",
    derived={"clips": AlignedClip}, finish=finish,
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Align every kept segment of the decisions."""
    run_stage(STAGE, params, layout)
