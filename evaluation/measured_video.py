"""One pass over one video: faces, face boxes, frame features, sharpness. Nothing here knows of other videos.

A recording is measured once, however many systems are compared with it, and a system added later costs its own videos only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.detected_face import DetectedFace
from evaluation.frame_features import FrameFeatures
from evaluation.metrics.entry import MeanStatistics
from evaluation.metrics.pictures import face_edges
from space_data.facemesh import FaceMeshTracker
from space_data.landmarks import N_MESH, PoseTrack
from space_data.media.container import MediaError
from space_data.media.video import decode_video
from space_data.params import Evaluate

RgbImage = NDArray[np.uint8]
FEATURE_BATCH = 16


@dataclass(frozen=True)
class MeasuredVideo:
    """What one video shows, T frames at 25 fps."""

    face: DetectedFace
    boxes: NDArray[np.float32]
    """(T, 4) px around the face mesh: x0, y0, x1, y1; NaN without a face"""
    features: NDArray[np.float32]
    """(frames, d) of some frames, for distances between sets"""
    edges: MeanStatistics
    """of the face's sharpness (`pictures.face_edges`), over some frames"""

    def save(self, path: Path) -> None:
        """Write a .npz."""
        np.savez(
            path, normalised=self.face.normalised, pose=self.face.pose.as_array(), boxes=self.boxes, features=self.features,
            edges=np.array([self.edges.total, self.edges.count]),
        )  # fmt: skip

    @staticmethod
    def load(path: Path) -> "MeasuredVideo":
        """What `save` wrote."""
        with np.load(path) as arrays:
            face = DetectedFace(arrays["normalised"], PoseTrack.from_array(arrays["pose"]))
            total, count = arrays["edges"]
            return MeasuredVideo(face, arrays["boxes"], arrays["features"], MeanStatistics(float(total), int(count)))


def frames_of(path: Path, n_frames: int | None) -> Iterator[RgbImage]:
    """The first ``n_frames`` pictures (all: None) of a video."""
    return islice((frame.rgb for frame in decode_video(path)), n_frames)


def measure_video(path: Path, n_frames: int | None, features: FrameFeatures, settings: Evaluate) -> MeasuredVideo:
    """Measure the first ``n_frames`` frames (all: None). Memory holds one batch of pictures.

    Raises:
        MediaError: the file cannot be read, or has no frames.
    """
    meshes: list[NDArray[np.float32]] = []
    vectors: list[NDArray[np.float32]] = []
    waiting: list[RgbImage] = []
    edges = MeanStatistics()
    lost = np.full((N_MESH, 3), np.nan, np.float32)
    with FaceMeshTracker() as tracker:
        for index, rgb in enumerate(frames_of(path, n_frames)):
            mesh = tracker(rgb)
            meshes.append(lost if mesh is None else mesh)
            if index % settings.frechet_every_frames == 0:
                waiting.append(rgb)
            if len(waiting) == FEATURE_BATCH:
                vectors.append(_features_of(waiting, features))
            if mesh is not None and index % settings.ssim_every_frames == 0:
                one = DetectedFace.from_mesh(mesh[None])
                edges += face_edges(rgb, one.pose.translation[0, :2], float(one.pose.scale[0]))
    if not meshes:
        raise MediaError(f"{path}: no frames")
    if waiting:
        vectors.append(_features_of(waiting, features))
    mesh_track = np.stack(meshes)
    boxes = np.concatenate([mesh_track[..., :2].min(axis=1), mesh_track[..., :2].max(axis=1)], axis=1)
    return MeasuredVideo(DetectedFace.from_mesh(mesh_track), boxes, np.concatenate(vectors), edges)


def _features_of(waiting: list[RgbImage], features: FrameFeatures) -> NDArray[np.float32]:
    batch = np.stack(waiting)
    waiting.clear()
    return features(batch)
