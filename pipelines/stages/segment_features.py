"""The unit of stage ``features`` for filmed clips: features of a source clip's segments, from its stored tracks and its sound.

The tracks are those of ``measure``, so no picture is decoded. Only where they come from a tracker without irises the mesh looks
at the segment's pictures, since models and ``animate`` know faces by the mesh alone.
"""

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from space_data.clip_media import Playhead, pictures, sound
from space_data.errors import SpaceError
from space_data.facemesh import track_faces
from space_data.features import FaceTrack, feature_rows, speech_track, track_of_meshes
from space_data.media.encode import as_16_bit
from space_data.params import FeatureRules
from space_data.schema import Clip, Decision, FeatureFrame, FrameRow, SegmentCrop
from space_data.segments import Piece, Segment, common_piece, piece_sound, segment_crop
from space_data.store import Place
from space_data.tables import read_arrow, stream_clips, vectors, write_table
from space_data.timebase import frame_centre_s, frames_in
from space_data.tracks import TRACK_COLUMNS, SourceTrack, track_in_crop

FRAMES_FILE = "frames.arrow"
FATES_FILE = "segments.json"
CROP_COLUMNS = ["clip_id", "frame", "pts_s", "width_px", "height_px", "found", "landmarks_px", "pose"]


@dataclass(frozen=True)
class Source:
    """A source clip and its kept segments in order of time: the unit of work."""

    clip: Clip
    segments: tuple[Segment, ...]
    frames: str
    """the shard of ``FrameRow`` that holds the clip"""
    size_px: int
    """side of the crops that poses are in pixels of"""


@dataclass(frozen=True)
class Fate:
    """What became of a segment: its piece, or the reason why it has none."""

    piece: Piece
    reason: str = ""
    detail: str = ""
    value: float | None = None
    threshold: float | None = None


def features_of_segments(source: Source, settings: FeatureRules, folder: Path) -> None:
    """Write ``frames.arrow`` of all segments of ``source``, and ``segments.json``: a ``Fate`` for each.

    Raises:
        MediaError: the sound does not decode.
        SpaceError: the clip has no rows in its shard.
    """
    rows = read_arrow(source.frames, FrameRow, TRACK_COLUMNS, [source.clip.clip_id])
    if not len(rows):
        raise SpaceError(f"{source.frames}: no frames of kept clip {source.clip.clip_id} (stale? `dvc repro`)")
    audio, track = sound(source.clip).samples, SourceTrack.of(rows)
    frames: list[FeatureFrame] = []
    fates = []
    for segment in source.segments:
        piece = common_piece(segment, len(audio))
        fate = _fate(piece, track, settings)
        fates.append(fate)
        if not fate.reason:
            face = _face(source, segment, piece, track)
            spoken = as_16_bit(piece_sound(audio, piece, segment.offset_frames))  # as the aligned file holds it
            frames += feature_rows(segment.clip_id, face, speech_track(spoken, piece.n_frames))
    write_table(folder / FRAMES_FILE, frames, FeatureFrame)
    (folder / FATES_FILE).write_text(json.dumps([dataclasses.asdict(fate) for fate in fates]))


def read_fates(content: bytes) -> list[Fate]:
    """What ``features_of_segments`` wrote into ``segments.json``, one per segment in the order of the source's."""
    facts = json.loads(content)
    return [Fate(**(fact | {"piece": Piece(**fact["piece"])})) for fact in facts]


def _fate(piece: Piece, track: SourceTrack, settings: FeatureRules) -> Fate:
    n_frames = piece.n_frames
    if n_frames < settings.min_frames:
        detail = f"{n_frames} frames hold both sound and picture"
        return Fate(piece, "too_short", detail, float(n_frames), float(settings.min_frames))
    lost = int((~track.at_25_hz(piece.start_s, n_frames).found).sum())
    if lost / n_frames > settings.max_lost_share:
        reason = "no_face" if lost == n_frames else "face_lost"
        return Fate(piece, reason, f"{lost} of {n_frames} frames without a face", lost / n_frames, settings.max_lost_share)
    return Fate(piece)


def _face(source: Source, segment: Segment, piece: Piece, track: SourceTrack) -> FaceTrack:
    if track.has_irises:
        return track_in_crop(track, segment.crop, source.size_px, piece.start_s, piece.n_frames)
    playhead = Playhead(pictures(source.clip))
    times_s = (piece.start_s + frame_centre_s(frame) for frame in range(piece.n_frames))
    return track_of_meshes(track_faces(segment.crop.apply(playhead.at(time_s), source.size_px) for time_s in times_s))


def crop_row(source: Source, segment: Segment, piece: Piece) -> SegmentCrop:
    """The line that ``align`` renders a segment by."""
    box = segment.crop
    return SegmentCrop(
        clip_id=segment.clip_id, source_clip_id=source.clip.clip_id, start_s=piece.start_s, n_frames=piece.n_frames,
        offset_frames=segment.offset_frames, crop_x0_px=box.x0, crop_y0_px=box.y0, crop_side_px=box.side,
        size_px=source.size_px,
    )  # fmt: skip


def sources_of(
    decisions: Iterable[Decision], clips: Mapping[str, Clip], frames: Place, size_px: int
) -> Iterator[tuple[Source, str]]:
    """Every clip with kept segments, and a hash of its tracks; reads a shard of ``FrameRow`` rows a row group at a time.

    Args:
        decisions: of the kept segments.
        clips: by id.
        frames: shard of ``FrameRow`` rows.
        size_px: side of the crops.

    Raises:
        SpaceError: a kept segment's clip is in neither table.
    """
    kept: dict[str, list[Decision]] = defaultdict(list)
    for decision in decisions:
        if decision.source_clip_id not in clips:
            raise SpaceError(f"decisions: clip {decision.source_clip_id} is not among the clips (stale? `dvc repro`)")
        kept[decision.source_clip_id].append(decision)
    for clip_id, rows in stream_clips(frames, FrameRow, CROP_COLUMNS):
        if clip_id in kept:
            own = sorted(kept.pop(clip_id), key=lambda decision: decision.start_s)
            segments = tuple(segment_of(decision, rows) for decision in own)
            yield Source(clips[clip_id], segments, frames.uri, size_px), tracks_hash(rows)
    if kept:
        raise SpaceError(f"{frames}: no frames of kept clip {min(kept)} (stale? `dvc repro`)")


def segment_of(decision: Decision, rows: pa.Table) -> Segment:
    """The segment of a decision, cropped by the frame rows of its clip."""
    n_frames = frames_in(decision.end_s - decision.start_s)
    return Segment(decision.clip_id, decision.start_s, n_frames, decision.offset_frames, segment_crop(rows, decision))


def tracks_hash(rows: pa.Table) -> str:
    """SHA-256 of what ``features`` takes from the frame rows of a clip."""
    digest = hashlib.sha256()
    parts: list[NDArray[np.generic]] = [vectors(rows, "landmarks_px"), vectors(rows, "pose")]
    for part in (*parts, *(np.asarray(rows.column(name)) for name in ("pts_s", "found"))):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
