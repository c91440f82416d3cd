"""Head pose as PoseGen sees it: six columns, departures from where a person's head usually is, one key pose per 0.2 s."""

import numpy as np
from numpy.typing import NDArray

from space_data.landmarks import PoseTrack, posed, rotation_matrix
from space_models.retarget import HEAD_PIVOT

POSE_COLUMNS = ("yaw_deg", "pitch_deg", "roll_deg", "x_iod", "y_iod", "log_scale")
N_POSE, N_ANGLES = len(POSE_COLUMNS), 3
MIRRORED = np.array([True, False, True, True, False, False])
"""Columns that change their sign in a mirrored film."""
FRAMES_PER_KEY, KEY_FRAME = 5, 2
"""Key pose k is the mean of frames 5k .. 5k + 4 and stands at their middle, frame 5k + 2."""


def _pivot(pose: PoseTrack) -> NDArray[np.float64]:
    """Where the middle of the head lies, (T, 3) pixels: a head that turned about its eyes would swing like a mask."""
    return posed(np.broadcast_to(HEAD_PIVOT, (len(pose), 1, 3)), pose)[:, 0].astype(np.float64)


def pose_columns(pose: PoseTrack, usual: PoseTrack | None = None) -> NDArray[np.float64]:
    """A clip's poses as (T, 6) in ``POSE_COLUMNS``: angles as they are, travel and scale as departures from the mean of ``usual``
    (None: of the clip).

    Where a head lies in the picture, and how large, is the camera's doing; where it points is the person's.
    """
    usual = pose if usual is None else usual
    angles = np.stack([pose.yaw_deg, pose.pitch_deg, pose.roll_deg], 1).astype(np.float64)
    scale, usual_scale = pose.scale.astype(np.float64), float(usual.scale.mean(dtype=np.float64))
    travel = (_pivot(pose)[:, :2] - _pivot(usual)[:, :2].mean(0)) / usual_scale
    return np.concatenate([angles, travel, np.log(scale / usual_scale)[:, None]], 1)


def relative_pose(pose: PoseTrack) -> NDArray[np.float64]:
    """Poses of one clip as departures from their own mean, (T, 6) in ``POSE_COLUMNS``; lengths in units of the mean scale."""
    columns = pose_columns(pose)
    columns[:, :N_ANGLES] -= columns[:, :N_ANGLES].mean(0)
    return columns


def apply_pose(offsets: NDArray[np.floating], start: PoseTrack) -> PoseTrack:
    """Pose track of a portrait whose own pose is ``start`` (one frame), moved by ``offsets`` (T, 6)."""
    o = np.asarray(offsets, np.float64)
    own_scale = float(start.scale[0])
    scale = own_scale * np.exp(o[:, 5])
    pivot = np.tile(_pivot(start), (len(o), 1))
    pivot[:, :2] += o[:, 3:5] * own_scale
    angles = [float(own[0]) + o[:, i] for i, own in enumerate((start.yaw_deg, start.pitch_deg, start.roll_deg))]
    translation = pivot - scale[:, None] * (rotation_matrix(*angles) @ HEAD_PIVOT)
    return PoseTrack(*(np.asarray(a, np.float32) for a in (*angles, scale, translation)))


def to_keys(frames: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean over each whole group of ``FRAMES_PER_KEY`` frames, (T, C) -> (T // 5, C)."""
    n = len(frames) // FRAMES_PER_KEY
    return np.asarray(frames[: n * FRAMES_PER_KEY], np.float64).reshape(n, FRAMES_PER_KEY, -1).mean(1)


def key_frames(n_keys: int) -> NDArray[np.int64]:
    """Frames at which key poses stand, (n_keys,)."""
    return np.arange(n_keys) * FRAMES_PER_KEY + KEY_FRAME
