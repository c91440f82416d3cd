"""Who finds the landmarks: one interface, chosen by ``params.measure.landmarks``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]


class LandmarkBackend(Protocol):
    """Follows the face of one clip through its frames; make a new one per clip so that no state passes on."""

    batch_frames: int
    """how many frames it wants at a time"""

    def look(self, frames: Sequence[Rgb]) -> NDArray[np.float32]:
        """Face boxes (B, 4) in pixels of the next frames, NaN rows without a face."""

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Landmarks (T, 78, 3) in pixels and poses (T, 7) of all frames looked at, NaN rows without a face."""

    def close(self) -> None:
        """Free what is native."""


def landmark_backend(name: Literal["mediapipe", "face_alignment"], weights: Path) -> LandmarkBackend:
    """A new backend of that name; ``weights`` is the folder of published weights, which only face_alignment needs.

    Raises:
        SpaceError: weights are missing, or are not the published ones.
    """
    if name == "face_alignment":
        from space_data.face_alignment_backend import FaceAlignmentBackend

        return FaceAlignmentBackend(weights)
    from space_data.mesh_backend import MeshBackend

    return MeshBackend()
