"""The head's pose in LivePortrait's terms and in ours.

Its keypoints are ``scale * (kp R + exp) + t`` in [-1, 1] of its square, t_z dropped, ``R = (Rz Ry Rx)^T`` on rows: the same
order of turns as ours (`space_data.landmarks`), but its angles are what M makes of a picture, and its origin lies in the head.
`PoseMap` is fitted on the training set by the stage ``latents``.
"""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack

RIDGE = 1e-5
"""On the origin, IOD^2 per frame, towards the middle of the eyes: its depth is not seen where no head turns."""
LEAST_SPREAD_DEG = 0.5
"""Of one of our angles; with less its slope cannot be fitted, and is taken to be 1."""
COLUMNS = ("yaw_deg", "pitch_deg", "roll_deg", "scale_px", "x_px", "y_px")
"""Of a pose in its terms, lengths in pixels of the 512 crop: what `LivePortrait.extract` gives as ``own_pose``."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class PoseMap:
    """Our pose to its: ``own angle = slope * ours + intercept`` per axis; its origin at (x, y, z), IOD, of our head frame."""

    yaw_slope: float = 1.0
    yaw_intercept: float = 0.0
    pitch_slope: float = 1.0
    pitch_intercept: float = 0.0
    roll_slope: float = 1.0
    roll_intercept: float = 0.0
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0

    @staticmethod
    def of(numbers: tuple[float, ...]) -> "PoseMap":
        """From `LatentSpec.pose_map`; nothing fitted yet: angles as they are, the origin between the eyes."""
        return PoseMap(*numbers) if numbers else PoseMap()

    def numbers(self) -> tuple[float, ...]:
        """For `LatentSpec.pose_map`."""
        return astuple(self)

    def apply(self, pose: PoseTrack) -> NDArray[np.float64]:
        """Our pose, T rows in pixels, as its: (T, 6) in `COLUMNS`, the scale being ours (its own is proportional to it)."""
        angles = [
            self.yaw_slope * pose.yaw_deg + self.yaw_intercept,
            self.pitch_slope * pose.pitch_deg + self.pitch_intercept,
            self.roll_slope * pose.roll_deg + self.roll_intercept,
        ]
        centre = pose.scale[:, None] * (pose.rotation() @ np.array([self.x, self.y, self.z])) + pose.translation
        return np.column_stack([*angles, pose.scale, centre[:, :2]]).astype(np.float64)

    def moved(self, own: NDArray[np.floating], start: PoseTrack, pose: PoseTrack) -> NDArray[np.float64]:
        """Its pose (T, 6) of a portrait that shows ``own`` (6,) at our ``start`` (one row) and goes on with our ``pose``.

        Only changes are mapped: what M says of the portrait itself stays.
        """
        first, now = self.apply(start)[0], self.apply(pose)
        found = np.asarray(own, np.float64) + now - first
        found[:, 3] = own[3] * now[:, 3] / first[3]
        return found


def fit_pose_map(own: NDArray[np.floating], pose: PoseTrack) -> PoseMap:
    """Least squares over N frames of its poses (N, 6) in `COLUMNS` and ours.

    Raises:
        SpaceError: no frame, or not as many of the one as of the other.
    """
    if not len(own) or len(own) != len(pose):
        raise SpaceError(f"liveportrait: {len(own)} frames of its pose, {len(pose)} of ours, need the same number, at least one")
    own = np.asarray(own, np.float64)
    numbers: list[float] = []
    for column, ours in enumerate((pose.yaw_deg, pose.pitch_deg, pose.roll_deg)):
        spread = float(np.std(ours))
        centred = ours.astype(np.float64) - float(ours.mean())
        slope = float(centred @ own[:, column] / (centred @ centred)) if spread >= LEAST_SPREAD_DEG else 1.0
        numbers += [slope, float(own[:, column].mean() - slope * ours.mean())]
    turns = (pose.rotation()[:, :2] * pose.scale[:, None, None]).reshape(-1, 3)
    offset = (own[:, 4:6] - pose.translation[:, :2]).reshape(-1)
    penalty = RIDGE * float((pose.scale.astype(np.float64) ** 2).sum())
    origin = np.linalg.solve(turns.T @ turns + penalty * np.eye(3), turns.T @ offset)
    return PoseMap(*numbers, *origin.tolist())
