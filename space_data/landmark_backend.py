"""Who finds the landmarks: one interface, chosen by ``params.measure.landmarks``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from space_data.files import sha256_of

Rgb = NDArray[np.uint8]
BackendName = Literal["mediapipe", "face_alignment"]


class LandmarkBackend(Protocol):
    """Follows the face of one clip through its frames; make a new one per clip so that no state passes on."""

    batch_frames: int
    """how many frames it wants at a time"""

    def look(self, frames: Sequence[Rgb]) -> NDArray[np.float32]:
        """Face boxes (B, 4) in pixels of the next frames, NaN rows without a face."""

    def photo_score(self, index: int, rgb: Rgb) -> float:
        """Evidence that the face in frame ``index`` of those last looked at is a photographed person's; NaN if there is none."""

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Landmarks (T, 78, 3) in pixels and poses (T, 7) of all frames looked at, NaN rows without a face."""

    def close(self) -> None:
        """Free what is native."""


def weights_sha256(name: BackendName, weights: Path) -> str:
    """SHA-256 of each file of published weights that backend ``name`` needs from the folder ``weights``; empty: it needs none.

    Raises:
        SpaceError: some are missing, or are not the published ones.
    """
    if name == "face_alignment":
        from space_data.face_alignment_backend import weight_files

        return " ".join(map(sha256_of, weight_files(weights)))
    return ""


def landmark_backend(name: BackendName, weights: Path) -> LandmarkBackend:
    """A new backend of that name; ``weights`` is the folder of published weights, which only face_alignment needs.

    Raises:
        SpaceError: weights are missing, or are not the published ones.
    """
    if name == "face_alignment":
        from space_data.face_alignment_backend import FaceAlignmentBackend

        return FaceAlignmentBackend(weights)
    from space_data.mesh_backend import MeshBackend

    return MeshBackend()
