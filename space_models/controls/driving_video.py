"""A filmed person whose head motion, blinks or gaze a portrait takes over, on the 25 Hz clock."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.features import FaceTrack, track_of_meshes
from space_data.landmarks import LID_PAIRS
from space_data.timebase import frame_start_s, frames_in, nearest_frames
from space_models.posegen.pose import N_ANGLES, pose_columns
from space_models.retarget import BLINK_LINEAR_ABOVE, BLINK_SHUT_BELOW, TRANSLATION_SHARE, neutral_of
from space_models.video_face import follow_face

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]

LEAST_FOUND_SHARE = 0.5


@dataclass(frozen=True)
class DrivingVideo:
    """A face over N frames at 25 Hz; longer speech sees it run back and forth, which has no jump."""

    face: FaceTrack

    def _looped(self, values: Array, n_frames: int) -> Array:
        there = len(values)
        swing = np.concatenate([np.arange(there), np.arange(there - 2, 0, -1)]) if there > 1 else np.zeros(1, np.int64)
        return values[swing[np.arange(n_frames) % len(swing)]].astype(np.float32)

    def pose(self, n_frames: int) -> Array:
        """Head motion (n_frames, 6) against the person's usual pose; of travel and scale a share, as a portrait has nothing to
        show where its head leaves."""
        columns = pose_columns(self.face.pose)
        columns -= np.median(columns, axis=0)
        columns[:, N_ANGLES:] *= TRANSLATION_SHARE
        return self._looped(columns.astype(np.float32), n_frames)

    def lids(self, n_frames: int) -> Array:
        """Lid closure (n_frames,) in 0 ... 1 against the person's own open eyes."""
        points, open_eyes = self.face.normalised, self._neutral
        ratios = [
            (points[:, lower, 1] - points[:, upper, 1]) / max(float(open_eyes[lower, 1] - open_eyes[upper, 1]), 1e-6)
            for upper, lower in LID_PAIRS
        ]
        closure = (BLINK_LINEAR_ABOVE - np.mean(ratios, axis=0)) / (BLINK_LINEAR_ABOVE - BLINK_SHUT_BELOW)
        return self._looped(np.clip(closure, 0.0, 1.0), n_frames)

    @cached_property
    def _neutral(self) -> Array:
        return neutral_of(self.face.normalised)


def read_driving_video(path: Path) -> DrivingVideo:
    """Decode and follow the face.

    Raises:
        SpaceError: not a video, no face in it, or in less than half of its frames.
    """
    meshes, times_s = follow_face(path)
    at_25_hz = nearest_frames(times_s, 0.0, frames_in(times_s[-1]) + 1)
    found = float(np.isfinite(meshes[at_25_hz]).all(axis=(1, 2)).mean())
    if found < LEAST_FOUND_SHARE:
        raise SpaceError(f"{path}: a face in {found:.0%} of its frames, need {LEAST_FOUND_SHARE:.0%} to drive a portrait")
    logger.info("%s: %.1f s that drive; for longer speech they run back and forth", path, frame_start_s(len(at_25_hz)))
    return DrivingVideo(track_of_meshes(meshes[at_25_hz]))
