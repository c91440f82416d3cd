"""One pass over one video: faces, face boxes, frame features, sharpness. Nothing here knows of other videos.

A recording is measured once, however many systems are compared with it, and a system added later costs its own videos only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.detected_face import DetectedFace
from evaluation.face_descriptor import FaceDescriptor
from evaluation.frame_features import FrameFeatures
from evaluation.metrics.entry import MeanStatistics
from evaluation.metrics.pictures import face_edges
from evaluation.second_detector import SecondLook
from space_data.facemesh import FaceMeshTracker
from space_data.landmarks import N_MESH, PoseTrack
from space_data.media.container import MediaError
from space_data.media.video import decode_video
from space_data.params import Evaluate

RgbImage = NDArray[np.uint8]
FEATURE_BATCH = 16
FEATURES = "features/"
"""Before the names of their extractors, in the file."""


@dataclass(frozen=True)
class MeasuredVideo:
    """What one video shows, T frames at 25 fps."""

    face: DetectedFace
    boxes: NDArray[np.float32]
    """(T, 4) px around the face mesh: x0, y0, x1, y1; NaN without a face"""
    features: Mapping[str, NDArray[np.float32]]
    """by the extractor's name (frames, d) of some frames, for distances between sets; of faces NaN where none was found"""
    edges: MeanStatistics
    """of the face's sharpness (`pictures.face_edges`), over some frames"""
    second: DetectedFace | None = None
    """as the second detector sees it, where there is one"""
    second_boxes: NDArray[np.float32] | None = None
    """(T, 4) px, S3FD's; None where the second detector is another"""

    def save(self, path: Path) -> None:
        """Write a .npz."""
        other = {}
        if self.second is not None:
            other = {"second_normalised": self.second.normalised, "second_pose": self.second.pose.as_array()}
        if self.second_boxes is not None:
            other["second_boxes"] = self.second_boxes
        np.savez(
            path, normalised=self.face.normalised, pose=self.face.pose.as_array(), boxes=self.boxes,
            edges=np.array([self.edges.total, self.edges.count]), **other,  # type: ignore[arg-type]
            **{FEATURES + name: values for name, values in self.features.items()},  # type: ignore[arg-type]
        )  # fmt: skip

    @staticmethod
    def load(path: Path) -> "MeasuredVideo":
        """What `save` wrote."""
        with np.load(path) as arrays:
            face = DetectedFace(arrays["normalised"], PoseTrack.from_array(arrays["pose"]))
            total, count = arrays["edges"]
            features = {name.removeprefix(FEATURES): arrays[name] for name in arrays.files if name.startswith(FEATURES)}
            edges = MeanStatistics(float(total), int(count))
            if "second_pose" not in arrays.files:
                return MeasuredVideo(face, arrays["boxes"], features, edges)
            second = DetectedFace(arrays["second_normalised"], PoseTrack.from_array(arrays["second_pose"]))
            boxes = arrays["second_boxes"] if "second_boxes" in arrays.files else None
            return MeasuredVideo(face, arrays["boxes"], features, edges, second, boxes)


def read_features(path: Path, name: str) -> NDArray[np.float32]:
    """Features (frames, d) of one extractor, of what `MeasuredVideo.save` wrote, and nothing else of it."""
    with np.load(path) as arrays:
        return np.asarray(arrays[FEATURES + name], np.float32)


def frames_of(path: Path, n_frames: int | None) -> Iterator[RgbImage]:
    """The first ``n_frames`` pictures (all: None) of a video."""
    return islice((frame.rgb for frame in decode_video(path)), n_frames)


def measure_video(
    path: Path,
    n_frames: int | None,
    features: Sequence[FrameFeatures],
    settings: Evaluate,
    descriptor: FaceDescriptor | None = None,
    second: SecondLook | None = None,
) -> MeasuredVideo:
    """Measure the first ``n_frames`` frames (all: None). Memory holds one batch of pictures.

    Raises:
        MediaError: the file cannot be read, or has no frames.
    """
    meshes: list[NDArray[np.float32]] = []
    vectors: dict[str, list[NDArray[np.float32]]] = {one.name: [] for one in features}
    waiting: list[RgbImage] = []
    faces: list[NDArray[np.float32]] = []
    edges = MeanStatistics()
    lost = np.full((N_MESH, 3), np.nan, np.float32)
    with FaceMeshTracker() as tracker:
        for index, rgb in enumerate(frames_of(path, n_frames)):
            mesh = tracker(rgb)
            meshes.append(lost if mesh is None else mesh)
            if second is not None:
                second.take(rgb)
            if index % settings.frechet_every_frames == 0:
                waiting.append(rgb)
                if descriptor is not None:
                    faces.append(descriptor(rgb, mesh))
            if len(waiting) == FEATURE_BATCH:
                _look_at(waiting, features, vectors)
            if mesh is not None and index % settings.ssim_every_frames == 0:
                one = DetectedFace.from_mesh(mesh[None])
                edges += face_edges(rgb, one.pose.translation[0, :2], float(one.pose.scale[0]))
    if not meshes:
        raise MediaError(f"{path}: no frames")
    if waiting:
        _look_at(waiting, features, vectors)
    mesh_track = np.stack(meshes)
    boxes = np.concatenate([mesh_track[..., :2].min(axis=1), mesh_track[..., :2].max(axis=1)], axis=1)
    found = {name: np.concatenate(parts) for name, parts in vectors.items()}
    if descriptor is not None:
        found[descriptor.name] = np.stack(faces)
    again = second.finish() if second is not None else (None, None)
    return MeasuredVideo(DetectedFace.from_mesh(mesh_track), boxes, found, edges, *again)


def _look_at(waiting: list[RgbImage], features: Sequence[FrameFeatures], vectors: dict[str, list[NDArray[np.float32]]]) -> None:
    """Features of the pictures that wait, of which none does afterwards."""
    batch = np.stack(waiting)
    for one in features:
        vectors[one.name].append(one(batch))
    waiting.clear()
