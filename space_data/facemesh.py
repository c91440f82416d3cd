"""MediaPipe's face models behind three functions: the only file that imports ``mediapipe``.

FaceMesh (0.10.21, refined: 478 points) follows one face at 4-6 ms of a core per frame at any picture size and practically
never gives up, not even on a profile, a painting or a dog: callers judge yaw, size and sharpness, not "detection". Its own
detector is the short-range one and misses second faces; ``FaceFinder`` is the full-range detector for counting them.
"""

import os
from collections.abc import Iterable
from contextlib import nullcontext
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from space_data.landmarks import N_MESH
from space_data.native_noise import quiet_stderr

os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

DETECTION_CONFIDENCE = 0.5
SETTLING_LOOKS = 4
"""Times that the picture with a clip's first face is looked at again: landmarks found within the detector's box are 1 % of the
inter-ocular distance off at the mouth; within a box that follows the landmarks themselves they converge (to 0.2 % in four)."""

_WIRE_LANDMARK = np.dtype([("head", "u1", 3), ("x", "<f4"), ("tag_y", "u1"), ("y", "<f4"), ("tag_z", "u1"), ("z", "<f4")])
"""A NormalizedLandmark with x, y, z and nothing else, as protobuf writes it."""


def _points(landmarks: Any) -> NDArray[np.float32]:
    """Coordinates (478, 3) of a landmark list, through its wire format: ten times faster than field by field (0.3 ms a frame)."""
    wire = landmarks.SerializeToString()
    if len(wire) == N_MESH * _WIRE_LANDMARK.itemsize:
        table = np.frombuffer(wire, _WIRE_LANDMARK)
        return np.stack([table["x"], table["y"], table["z"]], axis=1)
    return np.array([(p.x, p.y, p.z) for p in landmarks.landmark], np.float32)


class FaceMeshTracker:
    """Follow the largest face through the frames of *one* clip; make a new one per clip so that no state passes on."""

    def __init__(self) -> None:
        with quiet_stderr():
            from mediapipe.python.solutions.face_mesh import FaceMesh

            self._mesh = FaceMesh(
                static_image_mode=False,
                max_num_faces=1,
                refine_landmarks=True,
                min_detection_confidence=DETECTION_CONFIDENCE,
                min_tracking_confidence=DETECTION_CONFIDENCE,
            )
            self._mesh.process(np.zeros((64, 64, 3), np.uint8))
        self._settled = False

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Mesh (478, 3) of ``rgb`` in pixels (x, y and z, which MediaPipe gives in units of the width), or None."""
        # On its first face the graph tells standard error about pictures that are not square.
        with nullcontext() if self._settled else quiet_stderr():
            found = self._mesh.process(rgb).multi_face_landmarks
            if found and not self._settled:
                for _ in range(SETTLING_LOOKS):
                    found = self._mesh.process(rgb).multi_face_landmarks
        self._settled = self._settled or bool(found)
        if not found:
            return None
        height, width = rgb.shape[:2]
        points = _points(found[0])
        return points * np.array([width, height, width], np.float32)

    def close(self) -> None:
        """Free the native graph."""
        self._mesh.close()

    def __enter__(self) -> "FaceMeshTracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def track_faces(frames: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Meshes of one clip's RGB frames: (T, 478, 3) pixels, NaN rows where the face was lost."""
    lost = np.full((N_MESH, 3), np.nan, np.float32)
    with FaceMeshTracker() as tracker:
        meshes = [mesh if (mesh := tracker(rgb)) is not None else lost for rgb in frames]
    return np.stack(meshes) if meshes else np.zeros((0, N_MESH, 3), np.float32)


def mesh_of_image(rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Mesh (478, 3) in pixels of the most prominent face of one picture, or None without a face."""
    with FaceMeshTracker() as tracker:
        return tracker(rgb)


def person_matte(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where there is a person: (height, width) in [0, 1], from MediaPipe's bundled selfie segmentation (general model)."""
    with quiet_stderr():
        from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

        with SelfieSegmentation(model_selection=0) as segmenter:
            return np.asarray(segmenter.process(rgb).segmentation_mask, np.float32)


class FaceFinder:
    """Full-range face detector for single pictures: how many faces, where, how large."""

    def __init__(self, confidence: float = DETECTION_CONFIDENCE) -> None:
        with quiet_stderr():
            from mediapipe.python.solutions.face_detection import FaceDetection

            self._detector: Any = FaceDetection(min_detection_confidence=confidence, model_selection=1)
            self._detector.process(np.zeros((64, 64, 3), np.uint8))

    def boxes(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Faces in ``rgb`` as (n, 5): x0, y0, x1, y1 in pixels and the score, largest first."""
        found = self._detector.process(rgb).detections or []
        height, width = rgb.shape[:2]
        rows = []
        for detection in found:
            box = detection.location_data.relative_bounding_box
            x0, y0 = box.xmin * width, box.ymin * height
            rows.append((x0, y0, x0 + box.width * width, y0 + box.height * height, detection.score[0]))
        rows.sort(key=lambda r: (r[2] - r[0]) * (r[3] - r[1]), reverse=True)
        return np.array(rows, np.float32).reshape(-1, 5)

    def close(self) -> None:
        """Free the native graph."""
        self._detector.close()

    def __enter__(self) -> "FaceFinder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
