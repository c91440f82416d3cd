"""From the tracks of a source clip to those of its 25 fps crop, without pixels: the mesh pass of ``measure`` is the only one.

A crop is an offset and a scale, so landmarks and pose move into it exactly: normalised landmarks and angles stay as they are, the
pose's scale and translation change with the picture. Depth is scaled like width, as the tracker itself does.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from space_data.crop import CropBox
from space_data.features import FaceTrack, track_without_gaps
from space_data.landmarks import IRISES, N_LANDMARKS, PoseTrack, normalise
from space_data.tables import vectors
from space_data.timebase import nearest_frames

TRACK_COLUMNS = ["clip_id", "pts_s", "found", "landmarks_px", "pose"]
"""Of ``FrameRow``."""


@dataclass(frozen=True)
class SourceTrack:
    """A face as ``measure`` followed it through the n frames of a source clip."""

    pts_s: NDArray[np.float64]
    """(n,) presentation times from the clip's start, increasing"""
    landmarks_px: NDArray[np.float32]
    """(n, 78, 3), pixels of the source picture"""
    pose: PoseTrack
    """the same"""
    found: NDArray[np.bool_]
    """(n,): a face was found; landmarks and pose of the others are NaN"""

    @staticmethod
    def of(rows: pa.Table) -> "SourceTrack":
        """From ``FrameRow`` rows of one clip in order of time."""
        return SourceTrack(
            np.asarray(rows.column("pts_s"), np.float64),
            vectors(rows, "landmarks_px").reshape(-1, N_LANDMARKS, 3),
            PoseTrack.from_array(vectors(rows, "pose")),
            np.asarray(rows.column("found"), bool),
        )

    @property
    def has_irises(self) -> bool:
        """Whether the tracker that made it knows where the eyes look."""
        return bool(np.isfinite(self.landmarks_px[self.found][:, IRISES]).all())

    def at_25_hz(self, start_s: float, n_frames: int) -> "SourceTrack":
        """The frames on screen in the middle of ``n_frames`` frames at 25 Hz from ``start_s``, which an aligned video shows."""
        shown = nearest_frames(self.pts_s, start_s, n_frames)
        return SourceTrack(self.pts_s[shown], self.landmarks_px[shown], self.pose[shown], self.found[shown])


def track_in_crop(track: SourceTrack, crop: CropBox, size_px: int, start_s: float, n_frames: int) -> FaceTrack:
    """The face in ``n_frames`` frames at 25 Hz from ``start_s`` of a ``crop`` resized to ``size_px``; gaps are filled and marked.

    Raises:
        SpaceError: no face in any of these frames.
    """
    shown = track.at_25_hz(start_s, n_frames)
    return track_without_gaps(normalise(shown.landmarks_px, shown.pose), pose_in_crop(shown.pose, crop, size_px), shown.found)


def pose_in_crop(pose: PoseTrack, crop: CropBox, size_px: int) -> PoseTrack:
    """``pose`` in pixels of the resized crop: ``posed(x, pose_in_crop(p)) == crop.transform(posed(x, p))``."""
    translation = crop.transform(pose.translation, size_px)
    scale = pose.scale.astype(np.float64) * (size_px / crop.side)
    return PoseTrack(pose.yaw_deg, pose.pitch_deg, pose.roll_deg, scale.astype(np.float32), translation)
