"""The default landmark backend: MediaPipe's mesh, reduced to the 78 landmarks and a pose per frame while the frames stream by."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from space_data.facemesh import FaceMeshTracker
from space_data.landmarks import N_MESH, estimate_pose, mesh_to_landmarks
from space_data.measures import face_box
from space_data.photographed import LEAST_FACE_PX, photo_score

Rgb = NDArray[np.uint8]

POSE_BATCH_FRAMES = 256
"""Meshes are kept only until their pose is fitted, this many at a time: 1.4 MB instead of 5.7 kB per frame."""
NO_MESH = np.full((N_MESH, 3), np.nan, np.float32)


class MeshBackend:
    """Follows the face of one clip (``landmark_backend.LandmarkBackend``)."""

    batch_frames = 1

    def __init__(self) -> None:
        self._tracker = FaceMeshTracker()
        self._last: list[NDArray[np.float32] | None] = []
        self._waiting: list[NDArray[np.float32]] = []
        self._landmarks: list[NDArray[np.float32]] = []
        self._poses: list[NDArray[np.float32]] = []

    def look(self, frames: Sequence[Rgb]) -> NDArray[np.float32]:
        """Face boxes (B, 4) in pixels of the next frames, NaN rows without a face."""
        boxes = np.full((len(frames), 4), np.nan, np.float32)
        self._last = [self._tracker(rgb) for rgb in frames]
        for i, mesh in enumerate(self._last):
            self._waiting.append(NO_MESH if mesh is None else mesh)
            if mesh is not None:
                boxes[i] = face_box(mesh)
            if len(self._waiting) == POSE_BATCH_FRAMES:
                self._fit()
        return boxes

    def photo_score(self, index: int, rgb: Rgb) -> float:
        """Evidence that the face in frame ``index`` of those last looked at is a photographed person's; NaN if there is none."""
        mesh = self._last[index]
        if mesh is None or np.ptp(mesh[:, :2], axis=0).max() < LEAST_FACE_PX:
            return np.nan
        return photo_score(rgb, mesh)

    def _fit(self) -> None:
        meshes = np.stack(self._waiting)
        self._landmarks.append(mesh_to_landmarks(meshes))
        self._poses.append(estimate_pose(meshes).as_array())
        self._waiting.clear()

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Landmarks (T, 78, 3) in pixels and poses (T, 7) of all frames looked at, NaN rows without a face."""
        if self._waiting:
            self._fit()
        if not self._landmarks:
            return np.zeros((0, 78, 3), np.float32), np.zeros((0, 7), np.float32)
        return np.concatenate(self._landmarks), np.concatenate(self._poses)

    def close(self) -> None:
        """Free the tracker for the next clip."""
        self._tracker.close()
