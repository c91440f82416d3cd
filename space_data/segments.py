"""Segments and what is left of them: where a kept segment is cropped, and which pictures and samples are its piece.

Stages that look at the same segment, from stored tracks (``features``) or from pixels (``align``), take both from here, so that
they agree on every frame and sample.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from space_data.crop import CropBox, crop_box
from space_data.errors import SpaceError
from space_data.landmarks import IBUG68, N_LANDMARKS, PoseTrack, posed, template_mesh
from space_data.schema import Decision
from space_data.tables import vectors
from space_data.timebase import (
    CLOCK_SLACK_S,
    fit_samples,
    frame_start_s,
    frames_in,
    frames_to_samples,
    frames_to_seconds,
    samples_to_seconds,
    seconds_to_samples,
)

FOREHEAD_MESH = np.array([10, 338, 297, 332, 284, 251, 109, 67, 103, 54, 21])
"""Upper edge of the face in the mesh, which the 78 landmarks lack."""
FOREHEAD_LIFT = 0.045
"""IOD by which faces end higher than the template's: measured on seven real clips, where crops are then within 2 % of the
size that the whole mesh gives (the template alone: up to 7 % too small)."""


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
class Piece:
    """The part of a segment for which there are pictures and sound, on the pictures' clock."""

    clip_id: str
    start_s: float
    n_frames: int


def face_outline(landmarks_px: NDArray[np.float32], pose: PoseTrack) -> NDArray[np.float32]:
    """Points that the crop rule sees a whole face by, (T, 68 + 11, 3) px: the outer landmarks, and a forehead from the pose.

    The irises lie within the eyes (and some trackers have none).
    """
    forehead = template_mesh()[FOREHEAD_MESH] - np.array([0.0, FOREHEAD_LIFT, 0.0])
    return np.concatenate([landmarks_px[:, IBUG68], posed(np.broadcast_to(forehead, (len(pose), *forehead.shape)), pose)], axis=1)


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
    """The frames of ``segment`` whose sound, after removing its offset, lies within ``audio_samples`` of source sound.

    A piece taken as a segment gives the same piece again.
    """
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
