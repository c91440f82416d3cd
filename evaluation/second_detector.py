"""A second landmark detector as judge: what MediaPipe sees, our models learnt from, so another opinion has columns of its own.

face-alignment's 68 points (`space_data.face_alignment_backend`), and S3FD's boxes for SyncNet's crops. Seconds per frame without
a GPU: only where ``evaluate.second_detector`` asks for it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.detected_face import DetectedFace
from space_data import weights
from space_data.errors import SpaceError
from space_data.face_alignment_backend import FOREHEAD_SHARE, NETWORKS
from space_data.landmark_backend import LandmarkBackend, landmark_backend
from space_data.landmarks import IRISES, PoseTrack, normalise

NAME: Final = "face_alignment"
ABSENT = (
    "face-alignment's 68 points as a second judge, S3FD's boxes for SyncNet: set evaluate.second_detector: face_alignment "
    f"(`space weights fetch {' '.join(NETWORKS)}`; seconds per frame without a GPU)"
)


def find(folder: Path, wanted: str) -> Path | None:
    """The ``folder`` of the weights where the settings want the detector.

    Raises:
        SpaceError: it is wanted, and weights are missing or not the declared ones.
    """
    if wanted != NAME:
        return None
    missing = [name for name in NETWORKS if weights.find(name, folder) is None]
    if missing:
        raise SpaceError(f"evaluate.second_detector: {weights.absence(missing[0], folder)}, or set it to none")
    return folder


@dataclass
class SecondLook:
    """Follows the face of one video, so many frames at a time as the detector wants."""

    backend: LandmarkBackend
    _waiting: list[NDArray[np.uint8]] = field(default_factory=list)
    _boxes: list[NDArray[np.float32]] = field(default_factory=list)

    @staticmethod
    def at(folder: Path) -> "SecondLook":
        """With the weights in ``folder``."""
        return SecondLook(landmark_backend(NAME, folder))

    def take(self, rgb: NDArray[np.uint8]) -> None:
        """The next frame."""
        self._waiting.append(rgb)
        if len(self._waiting) >= self.backend.batch_frames:
            self._look()

    def finish(self) -> tuple[DetectedFace, NDArray[np.float32]]:
        """The face of all frames (its irises, which the detector does not see, are zeros) and S3FD's boxes (T, 4) px."""
        if self._waiting:
            self._look()
        points, pose = self.backend.finish()
        self.backend.close()
        track = PoseTrack.from_array(pose)
        normalised = normalise(points, track)
        normalised[np.ix_(np.isfinite(track.scale), IRISES)] = 0
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *self._boxes])
        boxes[:, 1] = (boxes[:, 1] - FOREHEAD_SHARE * boxes[:, 3]) / (1 - FOREHEAD_SHARE)  # the backend cut the forehead off
        return DetectedFace(normalised, track), boxes

    def _look(self) -> None:
        self._boxes.append(self.backend.look(self._waiting))
        self._waiting = []
