"""MediaPipe's face models behind three functions: the only file that imports ``mediapipe``.

FaceMesh (0.10.21, refined: 478 points) follows one face at 4-6 ms of a core per frame at any picture size and practically
never gives up, not even on a profile, a painting or a dog: callers judge yaw, size and sharpness, not "detection". Its own
detector is the short-range one and misses second faces; ``FaceFinder`` is the full-range detector for counting them.
"""

import os
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from functools import cache
from importlib import import_module
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from space_data.landmarks import N_MESH
from space_data.native_noise import quiet_stderr

os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

UNUSED_BY_US = ("matplotlib", "matplotlib.pyplot", "mediapipe.tasks", "mediapipe.tasks.python")
"""What MediaPipe imports for drawing helpers and for its newer interface: half of its second and a half, with sound devices."""
DETECTION_CONFIDENCE = 0.5
SETTLING_LOOKS = 4
"""Times that the picture with a clip's first face is looked at again: landmarks found within the detector's box are 1 % of the
inter-ocular distance off at the mouth; within a box that follows the landmarks themselves they converge (to 0.2 % in four)."""

_WIRE_LANDMARK = np.dtype([("head", "u1", 3), ("x", "<f4"), ("tag_y", "u1"), ("y", "<f4"), ("tag_z", "u1"), ("z", "<f4")])
"""A NormalizedLandmark with x, y, z and nothing else, as protobuf writes it."""


@cache
def _solution(name: str) -> Any:
    """A module of ``mediapipe.python.solutions``; what else MediaPipe would import meets empty modules meanwhile."""
    absent = [module for module in UNUSED_BY_US if module not in sys.modules]
    sys.modules.update({module: ModuleType(module) for module in absent})
    try:
        return import_module(f"mediapipe.python.solutions.{name}")
    finally:
        for module in absent:
            del sys.modules[module]


def _points(wire: bytes) -> NDArray[np.float32]:
    """Coordinates (478, 3) of a serialised landmark list: read as a table, ten times faster than field by field."""
    if len(wire) == N_MESH * _WIRE_LANDMARK.itemsize:
        table = np.frombuffer(wire, _WIRE_LANDMARK)
        points = np.empty((N_MESH, 3), np.float32)
        points[:, 0], points[:, 1], points[:, 2] = table["x"], table["y"], table["z"]
        return points
    from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmarkList

    return np.array([(p.x, p.y, p.z) for p in NormalizedLandmarkList.FromString(wire).landmark], np.float32)


class _Graph:
    """One FaceMesh graph, driven directly: ``FaceMesh.process`` builds a new result class per frame, a tenth of its whole time.

    Building a graph costs as much as ten frames, starting it anew as half a frame. A restarted graph gives the same numbers as
    a new one (tested), so a process keeps its graphs and no state passes from clip to clip.
    """

    idle: list["_Graph"] = []
    STREAM, RESULT = "image", "multi_face_landmarks"
    STEP_US = 33_333

    def __init__(self) -> None:
        with quiet_stderr():
            mesh = _solution("face_mesh")
            from mediapipe.python import _framework_bindings

            self._serialised = _framework_bindings._packet_getter._get_serialized_proto_list
            self._mesh: Any = mesh.FaceMesh(
                static_image_mode=False,
                max_num_faces=1,
                refine_landmarks=True,
                min_detection_confidence=DETECTION_CONFIDENCE,
                min_tracking_confidence=DETECTION_CONFIDENCE,
            )
            self._mesh.process(np.zeros((64, 64, 3), np.uint8))

    @staticmethod
    def fresh() -> "_Graph":
        """A graph that has seen nothing."""
        graph = _Graph.idle.pop() if _Graph.idle else _Graph()
        with quiet_stderr():
            graph._mesh.reset()
            graph._mesh._graph.wait_until_idle()  # its threads speak when they start
        return graph

    def look(self, rgb: NDArray[np.uint8]) -> bytes | None:
        """The serialised landmark list of the face in ``rgb``, or None."""
        mesh = self._mesh
        mesh._graph_outputs.clear()
        mesh._simulated_timestamp += self.STEP_US
        packet = mesh._make_packet(mesh._input_stream_type_info[self.STREAM], rgb).at(mesh._simulated_timestamp)
        mesh._graph.add_packet_to_input_stream(stream=self.STREAM, packet=packet)
        mesh._graph.wait_until_idle()
        found = mesh._graph_outputs.get(self.RESULT)
        if found is None or found.is_empty():
            return None
        faces = self._serialised(found)
        return faces[0] if faces else None


class FaceMeshTracker:
    """Follow the largest face through the frames of *one* clip; make a new one per clip so that no state passes on."""

    def __init__(self) -> None:
        self._graph: _Graph | None = _Graph.fresh()
        self._settled = False

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Mesh (478, 3) of ``rgb`` in pixels (x, y and z, which MediaPipe gives in units of the width), or None."""
        assert self._graph is not None, "closed"
        # On its first face the graph tells standard error about pictures that are not square.
        with nullcontext() if self._settled else quiet_stderr():
            found = self._graph.look(rgb)
            if found is not None and not self._settled:
                for _ in range(SETTLING_LOOKS):
                    found = self._graph.look(rgb)
        self._settled = self._settled or found is not None
        if found is None:
            return None
        height, width = rgb.shape[:2]
        return _points(found) * np.array([width, height, width], np.float32)

    def close(self) -> None:
        """Give the native graph back for the next clip."""
        if self._graph is not None:
            _Graph.idle.append(self._graph)
            self._graph = None

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
    with quiet_stderr(), _solution("selfie_segmentation").SelfieSegmentation(model_selection=0) as segmenter:
        return np.asarray(segmenter.process(rgb).segmentation_mask, np.float32)


@cache
def face_finder() -> "FaceFinder":
    """The process's face finder: it looks at single pictures and keeps no state, so one serves all clips."""
    return FaceFinder()


class FaceFinder:
    """Full-range face detector for single pictures: how many faces, where, how large."""

    def __init__(self, confidence: float = DETECTION_CONFIDENCE) -> None:
        with quiet_stderr():
            finder = _solution("face_detection")
            self._detector: Any = finder.FaceDetection(min_detection_confidence=confidence, model_selection=1)
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
