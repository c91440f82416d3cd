"""Metrics on measured faces: how far lips, face and head of a generated video are from the real recording's.

A `DetectedFace` is what the detector found in one video. All functions take the reference first and the candidate second, both
already paired by `paired`, and return statistics that add up over chunks (`metrics.MeanStatistics`, `MomentStatistics`).
Distances are taken on x and y of normalised landmarks: the mesh's depth is a guess that viewers never see.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import MeanStatistics, MomentStatistics
from space_data.errors import SpaceError
from space_data.landmarks import (
    PoseTrack,
    estimate_pose,
    eye_aspect_ratio,
    lip_gap,
    mesh_to_landmarks,
    normalise,
)
from space_data.speech import runs
from space_data.timebase import frame_start_s, frames_in

LENGTH_SLACK_FRAMES = 1
"""Encoders drop or repeat a last frame; anything beyond is another video."""
BLINK_DEPTH = 0.6
OPEN_EYE_PERCENTILE = 75.0
SHORTEST_BLINK_FRAMES = 2
LONGEST_BLINK_FRAMES = frames_in(0.5)


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


def landmark_distance(reference: DetectedFace, candidate: DetectedFace, points: NDArray[np.int64]) -> MeanStatistics:
    """Distance of ``points`` (indices into the 78) in normalised x and y, IOD."""
    difference = candidate.normalised[:, points, :2] - reference.normalised[:, points, :2]
    return MeanStatistics.of(np.linalg.norm(difference, axis=-1))


def velocity_distance(reference: DetectedFace, candidate: DetectedFace, points: NDArray[np.int64]) -> MeanStatistics:
    """Distance of the frame-to-frame displacements of ``points``, IOD per frame; gaps are not bridged."""
    reference_step = np.diff(reference.normalised[:, points, :2], axis=0)
    candidate_step = np.diff(candidate.normalised[:, points, :2], axis=0)
    return MeanStatistics.of(np.linalg.norm(candidate_step - reference_step, axis=-1))


def lip_gap_moments(reference: DetectedFace, candidate: DetectedFace) -> MomentStatistics:
    """Joint moments of the two inner-lip openings (IOD): correlation and amplitude ratio follow from them."""
    return MomentStatistics.of(lip_gap(reference.normalised), lip_gap(candidate.normalised))


def rotation_angle_deg(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle in degrees of the rotation from ``a`` to ``b``, matrices (..., 3, 3).

    From the chord ``|A - B| = 2 sqrt(2) sin(angle / 2)`` rather than from the trace, whose arc cosine turns rounding errors
    of 1e-16 into 1e-6 degrees for equal matrices.
    """
    chord = np.linalg.norm(a - b, axis=(-2, -1))
    return np.rad2deg(2 * np.arcsin(np.clip(chord / (2 * np.sqrt(2.0)), 0.0, 1.0)))


def pose_distance(reference: DetectedFace, candidate: DetectedFace) -> MeanStatistics:
    """Geodesic distance between the head rotations, degrees."""
    return MeanStatistics.of(rotation_angle_deg(reference.pose.rotation(), candidate.pose.rotation()))


def head_motion_deg(track: DetectedFace) -> float | None:
    """Root mean square angle to the clip's mean rotation (chordal mean), degrees; None without a face."""
    rotations = track.pose.rotation()[track.found()]
    if not len(rotations):
        return None
    u, _, vt = np.linalg.svd(rotations.mean(axis=0))
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    angles = rotation_angle_deg(rotations, (u @ sign @ vt)[None])
    return float(np.sqrt((angles**2).mean()))


def blinks_per_min(track: DetectedFace) -> float | None:
    """Blinks per minute from the mean eye aspect ratio of both eyes; None without a face."""
    found = track.found()
    if not found.any():
        return None
    openness = eye_aspect_ratio(track.normalised).mean(-1)
    threshold = BLINK_DEPTH * np.percentile(openness[found], OPEN_EYE_PERCENTILE)
    closed = np.where(found, openness, np.inf) < threshold
    count = sum(SHORTEST_BLINK_FRAMES <= end - begin <= LONGEST_BLINK_FRAMES for begin, end in runs(closed))
    return count * 60.0 / frame_start_s(len(track))
