"""What the detector found in one video, and the checks of two of them against each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack, estimate_pose, mesh_to_landmarks, normalise

LENGTH_SLACK_FRAMES = 1
"""Encoders drop or repeat a last frame; anything beyond is another video."""


class LengthMismatch(SpaceError):
    """Two videos that should show the same seconds differ by more than a frame."""


class NoFace(SpaceError):
    """The face is missing in too many frames of a video to measure it."""


@dataclass(frozen=True)
class DetectedFace:
    """Faces of one video at 25 fps: ``normalised`` (T, 78, 3) in IOD and ``pose``; NaN where no face was found."""

    normalised: NDArray[np.float32]
    pose: PoseTrack

    def __len__(self) -> int:
        return len(self.normalised)

    @staticmethod
    def from_mesh(mesh: NDArray[np.float32]) -> "DetectedFace":
        """From the detector's meshes (T, 478, 3) in pixels."""
        pose = estimate_pose(mesh)
        return DetectedFace(normalise(mesh_to_landmarks(mesh), pose), pose)

    def found(self) -> NDArray[np.bool_]:
        """Frames with a face, (T,)."""
        return np.isfinite(self.normalised).all(axis=(1, 2))

    def first(self, n_frames: int) -> "DetectedFace":
        """The first ``n_frames`` frames."""
        return DetectedFace(self.normalised[:n_frames], self.pose[:n_frames])


def paired(reference: DetectedFace, candidate: DetectedFace, min_found_share: float) -> tuple[DetectedFace, DetectedFace]:
    """Check two tracks against each other and trim them to the same length.

    Raises:
        LengthMismatch: they differ by more than one frame; time is never stretched to fit.
        NoFace: the reference or the candidate has a face in less than ``min_found_share`` of its frames.
    """
    check_lengths(len(reference), len(candidate))
    n_frames = min(len(reference), len(candidate))
    for name, track in (("reference", reference), ("candidate", candidate)):
        share = float(track.found().mean()) if len(track) else 0.0
        if share < min_found_share:
            raise NoFace(f"{name}: a face in {share:.0%} of {len(track)} frames, {min_found_share:.0%} needed")
    return reference.first(n_frames), candidate.first(n_frames)


def check_lengths(reference_frames: int, candidate_frames: int) -> None:
    """Raise LengthMismatch when two frame counts differ by more than one."""
    if abs(reference_frames - candidate_frames) > LENGTH_SLACK_FRAMES:
        raise LengthMismatch(
            f"candidate: {candidate_frames} frames against {reference_frames} of the reference, "
            f"{LENGTH_SLACK_FRAMES} of difference allowed (another frame rate?)"
        )
