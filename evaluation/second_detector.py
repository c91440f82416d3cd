"""A second landmark detector as judge: what MediaPipe sees, our models learnt from, so another opinion has columns of its own.

Chosen by ``evaluate.second_detector``. ``face_api``: 68 points of a small network (`evaluation.face_api`), for a CPU.
``face_alignment``: 3D-FAN's 68 points (`space_data.face_alignment_backend`), and S3FD's boxes for SyncNet's crops; seconds
per frame without a GPU.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.detected_face import DetectedFace
from space_data import face_alignment_backend, weights
from space_data.errors import SpaceError
from space_data.face_alignment_backend import FOREHEAD_SHARE
from space_data.landmark_backend import LandmarkBackend, landmark_backend
from space_data.landmarks import IRISES, PoseTrack, normalise

FACE_ALIGNMENT: Final = "face_alignment"
FACE_API: Final = "face_api"
NETWORKS = {FACE_API: (weights.FACE_API,), FACE_ALIGNMENT: face_alignment_backend.NETWORKS}
"""Published weights of each."""
ABSENT = (
    f"landmarks and lips by a second detector: set evaluate.second_detector: {FACE_API} (`space weights fetch "
    f"{' '.join(NETWORKS[FACE_API])}`), or {FACE_ALIGNMENT}, with S3FD's boxes for SyncNet (`space weights fetch "
    f"{' '.join(NETWORKS[FACE_ALIGNMENT])}`; seconds per frame without a GPU)"
)


def find(folder: Path, wanted: str) -> Path | None:
    """The ``folder`` of the weights where the settings want a detector.

    Raises:
        SpaceError: one is wanted, and weights are missing or not the declared ones.
    """
    if wanted not in NETWORKS:
        return None
    missing = [name for name in NETWORKS[wanted] if weights.find(name, folder) is None]
    if missing:
        raise SpaceError(f"evaluate.second_detector: {weights.absence(missing[0], folder)}, or set it to none")
    return folder


@dataclass
class SecondLook:
    """Follows the face of one video, so many frames at a time as the detector wants."""

    backend: LandmarkBackend
    gives_boxes: bool = True
    """whether its boxes are S3FD's, which SyncNet's crops are cut by"""
    _waiting: list[NDArray[np.uint8]] = field(default_factory=list)
    _boxes: list[NDArray[np.float32]] = field(default_factory=list)

    @staticmethod
    def at(folder: Path, detector: str) -> "SecondLook":
        """By the ``detector`` with the weights in ``folder``."""
        if detector == FACE_ALIGNMENT:
            return SecondLook(landmark_backend(FACE_ALIGNMENT, folder))
        from evaluation import face_api  # which imports PyTorch

        network = weights.find(weights.FACE_API, folder)
        assert network is not None
        return SecondLook(face_api.FaceApiBackend(face_api.load(network)), gives_boxes=False)

    def take(self, rgb: NDArray[np.uint8]) -> None:
        """The next frame."""
        self._waiting.append(rgb)
        if len(self._waiting) >= self.backend.batch_frames:
            self._look()

    def finish(self) -> tuple[DetectedFace, NDArray[np.float32] | None]:
        """The face of all frames (irises, which no detector here sees, are zeros) and S3FD's boxes (T, 4) px, if it has any."""
        if self._waiting:
            self._look()
        points, pose = self.backend.finish()
        self.backend.close()
        track = PoseTrack.from_array(pose)
        normalised = normalise(points, track)
        normalised[np.ix_(np.isfinite(track.scale), IRISES)] = 0
        if not self.gives_boxes:
            return DetectedFace(normalised, track), None
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *self._boxes])
        boxes[:, 1] = (boxes[:, 1] - FOREHEAD_SHARE * boxes[:, 3]) / (1 - FOREHEAD_SHARE)  # the backend cut the forehead off
        return DetectedFace(normalised, track), boxes

    def _look(self) -> None:
        self._boxes.append(self.backend.look(self._waiting))
        self._waiting = []
