"""The landmark backend ``face_alignment`` (Bulat, Tzimiropoulos 2017): S3FD finds faces, 3D-FAN 68 points, a third net depths.

For comparison with the default mesh, and for machines with a GPU: on a CPU it takes seconds per frame. It has no irises (NaN) and
gives x and y in whole pixels. This is the only file that imports the library (1.5).

The library is only ever given verified local files (``space_data.weights``). Left alone it would download them, check nothing and
open one as a pickle; here all three are opened as tensors. What it cannot see is a NaN row, never an error.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data import weights
from space_data.errors import SpaceError
from space_data.landmarks import IBUG68, N_LANDMARKS, estimate_pose_68
from space_data.media.container import MediaError

Rgb = NDArray[np.uint8]

NETWORKS = (weights.S3FD, weights.FAN_3D, weights.FAN_DEPTH)
DETECTION_SIDE_PX = 480
"""Faces are looked for in pictures whose longer side is at most this: a face of 96 px in 1920 keeps 24, as for SyncNet."""
SAME_FACE_OVERLAP = 0.3
"""Intersection over union with the face before, from which on it is the same face."""
FOREHEAD_SHARE = 0.105
"""S3FD's box reaches further up than one around the face mesh, by this share of its height; otherwise the two agree (13 clips and
portraits, with MTCNN, which learnt the same WIDER FACE boxes). It is cut off, so that boxes mean the same for both backends."""
BATCH_FRAMES_GPU, BATCH_FRAMES_CPU = 16, 1
"""On a CPU batches are no faster and take memory."""


def weight_files(folder: Path) -> tuple[Path, Path, Path]:
    """The three verified files in ``folder``: detector, points, depth.

    Raises:
        SpaceError: some are missing (the message says which, and what to do), or are not the declared ones.
    """
    found = {name: weights.find(name, folder) for name in NETWORKS}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        files = ", ".join(weights.declaration(name).file for name in missing)
        raise SpaceError(
            f"landmark backend face_alignment: weights {', '.join(missing)} are not in {folder}: "
            f"run `space weights fetch {' '.join(missing)} --folder {folder}`, or put {files} there, "
            "or set measure.landmarks: mediapipe"
        )
    detector, points, depth = (path for path in found.values() if path is not None)
    return detector, points, depth


def _tensors(path: Path) -> dict[str, Any]:
    """What ``path`` holds, opened without running code; NumPy numbers beside the tensors are let through (old checkpoints)."""
    import pickle

    import torch

    kinds = [type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64)]
    numbers = [np.core.multiarray.scalar, np.dtype, *kinds]  # type: ignore[attr-defined]
    try:
        with torch.serialization.safe_globals(numbers):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise SpaceError(f"{path}: not a file of tensors ({str(error).splitlines()[0]})") from error


@lru_cache(maxsize=1)
def _library(folder: Path, device: str) -> Any:
    """The library's networks, once per process; they keep no state between pictures."""
    detector, points, depth = weight_files(folder)
    import face_alignment  # after the check: importing it takes seconds
    from face_alignment.models import FAN, ResNetDepth

    class FromFiles(face_alignment.FaceAlignment):
        """The library with its two downloads replaced."""

        def _load_native(self, network_name: str, network_size: int, device: str, dtype: Any) -> Any:
            net = FAN(network_size)
            net.load_state_dict(_tensors(points))
            return net.to(device, dtype=dtype).eval()

        def _load_native_depth(self, device: str, dtype: Any) -> Any:
            net = ResNetDepth()
            state = _tensors(depth)["state_dict"]
            net.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
            return net.to(device, dtype=dtype).eval()

    try:
        return FromFiles(
            face_alignment.LandmarksType.THREE_D, device=device, compile=False, face_detector="sfd",
            face_detector_kwargs={"path_to_detector": str(detector)},
        )  # fmt: skip
    except (RuntimeError, KeyError) as error:
        raise SpaceError(f"{folder}: weights do not fit face-alignment 1.5 ({' '.join(str(error).split())[:300]})") from error


def choose_face(faces: NDArray[np.floating], before: NDArray[np.floating] | None) -> NDArray[np.float32] | None:
    """The face to follow among boxes (n, >=4): the one that overlaps ``before`` most, or else the largest. None of none."""
    if not len(faces):
        return None
    boxes = np.asarray(faces, np.float32)[:, :4]
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    if before is not None:
        sides = np.minimum(boxes[:, 2:], before[2:]) - np.maximum(boxes[:, :2], before[:2])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        overlap = shared / (areas + np.prod(before[2:] - before[:2]) - shared)
        if overlap.max() >= SAME_FACE_OVERLAP:
            return boxes[overlap.argmax()]
    return boxes[areas.argmax()]


class FaceAlignmentBackend:
    """Follows the face of one clip (a ``LandmarkBackend``); make a new one per clip, the networks are kept.

    Args:
        folder: where the published weights lie.

    Raises:
        SpaceError: weights are missing or not the declared ones.
    """

    def __init__(self, folder: Path) -> None:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.batch_frames = BATCH_FRAMES_CPU if device == "cpu" else BATCH_FRAMES_GPU
        self._library = _library(folder, device)
        self._before: NDArray[np.float32] | None = None
        self._landmarks: list[NDArray[np.float32]] = []

    def look(self, frames: Sequence[Rgb]) -> NDArray[np.float32]:
        """Face boxes (B, 4) in pixels of the next frames, NaN rows without a face.

        Raises:
            MediaError: the frames differ in size.
        """
        import torch

        if len({frame.shape for frame in frames}) > 1:
            raise MediaError(
                f"picture changes its size: {sorted({frame.shape[:2] for frame in frames})} within {len(frames)} frames"
            )
        batch = torch.from_numpy(np.stack(frames).transpose(0, 3, 1, 2).copy())
        boxes = np.full((len(frames), 4), np.nan, np.float32)
        for i, faces in enumerate(self._detect(frames)):
            face = choose_face(faces, self._before)
            if face is not None:
                boxes[i] = self._before = face
        landmarks = np.full((len(frames), N_LANDMARKS, 3), np.nan, np.float32)
        seen = np.flatnonzero(np.isfinite(boxes[:, 0]))
        if len(seen):  # the library warns about every picture without a face
            points = self._library.get_landmarks_from_batch(batch[seen], detected_faces=[[box] for box in boxes[seen]])
            landmarks[seen[:, None], IBUG68] = np.stack(points) * np.array([1, 1, -1])  # its z points to the camera
        self._landmarks.append(landmarks)
        boxes[:, 1] += FOREHEAD_SHARE * (boxes[:, 3] - boxes[:, 1])
        return boxes

    def _detect(self, frames: Sequence[Rgb]) -> list[NDArray[np.float32]]:
        """S3FD's boxes (n, 5) of each frame, in pixels of the frame."""
        import torch

        height, width = frames[0].shape[:2]
        scale = min(1.0, DETECTION_SIDE_PX / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.stack([frame if scale == 1 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
        found = self._library.face_detector.detect_from_batch(torch.from_numpy(small.transpose(0, 3, 1, 2).copy()))
        back = np.array([width / size[0], height / size[1]] * 2 + [1], np.float32)
        return [np.asarray(faces, np.float32).reshape(-1, 5) * back for faces in found]

    def photo_score(self, index: int, rgb: Rgb) -> float:
        """Not known: the score looks at a face through the mesh, which this backend does not have."""
        return np.nan

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Landmarks (T, 78, 3) in pixels, irises NaN, and poses (T, 7) of all frames looked at; NaN rows without a face."""
        if not self._landmarks:
            return np.zeros((0, N_LANDMARKS, 3), np.float32), np.zeros((0, 7), np.float32)
        landmarks = np.concatenate(self._landmarks)
        return landmarks, estimate_pose_68(landmarks).as_array()

    def close(self) -> None:
        """Nothing to free: the networks serve the next clip."""
