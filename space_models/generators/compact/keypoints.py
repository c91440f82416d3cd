"""The keypoints of `compact`, and a face as the networks know it: points of the head frame, expression, exact pose.

"Head's plane" q: x, y of ``Ry Rx n`` for a point n of the head frame, IOD; roll, scale and translation are out of it. Shapes in
the whole package: B batch, K keypoints, D latents, S = 128 side of the canvas, F = 64 side of the flow.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from space_models.generators.compact.canvas import to_pixels, to_plane

KEYPOINT_LANDMARKS: dict[str, tuple[int, ...]] = {
    "jaw_left": (0,),
    "jaw_right": (16,),
    "jaw_lower_left": (5,),
    "jaw_lower_right": (11,),
    "chin": (8,),
    "brow_left_outer": (17, 18, 19),
    "brow_left_inner": (20, 21),
    "brow_right_inner": (22, 23),
    "brow_right_outer": (24, 25, 26),
    "nose_tip": (30,),
    "lid_left_upper": (37, 38),
    "lid_right_upper": (43, 44),
    "iris_left": (68,),
    "iris_right": (73,),
    "mouth_left": (48,),
    "mouth_right": (54,),
    "lip_upper_outer": (50, 51, 52),
    "lip_lower_outer": (56, 57, 58),
    "lip_upper_inner": (61, 62, 63),
    "lip_lower_inner": (65, 66, 67),
}
"""The landmarks (of the 78) at whose mean each keypoint starts, and whose motion guides the encoder early in training."""

NAMES = tuple(KEYPOINT_LANDMARKS)
N_KEYPOINTS = len(NAMES)
RIGID = tuple(NAMES.index(name) for name in ("jaw_left", "jaw_right", "nose_tip"))
"""Keypoints that no expression moves: what moves them is pose, which has no place in the latents."""
LIPS = tuple(i for i, name in enumerate(NAMES) if name.startswith(("mouth", "lip", "chin")))

GATE_IOD = 0.015
"""A frame whose keypoints have all moved less than this against the source is shown as the source."""
CODE_GAIN, ANGLE_SCALE_DEG = 8.0, 15.0
"""Bring delta and angles to about 1."""
CODE_INPUTS = 6 * N_KEYPOINTS + 4
POSE_TERMS = 4


class Face(NamedTuple):
    """What is known of one picture's face: points of the head frame (B, K, 3), delta (B, K, 3), pose (B, 7)."""

    points: Tensor
    delta: Tensor
    pose: Tensor

    def in_head_plane(self) -> Tensor:
        """Keypoints ``Ry Rx n`` (B, K, 3): x, y of the head's plane and depth, IOD."""
        return self.points @ turn(self.pose).mT


def turn(pose: Tensor) -> Tensor:
    """``Ry(yaw) Rx(pitch)`` of poses (B, 7): (B, 3, 3)."""
    yaw, pitch = torch.deg2rad(pose[:, 0]), torch.deg2rad(pose[:, 1])
    cy, sy, cp, sp, zero = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin(), torch.zeros_like(yaw)
    rows = [(cy, sy * sp, sy * cp), (zero, cp, -sp), (-sy, cy * sp, cy * cp)]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def still_motion(q: Tensor, source: Tensor, driving: Tensor) -> Tensor:
    """``T_source^-1 T_driving``: where a point of the driving picture lies in the source's head's plane if it has not moved."""
    return to_plane(to_pixels(q, driving), source)


def moved(source: Face, driving: Face) -> Tensor:
    """0 where a frame's keypoints stand where the source's stand in the picture, 1 where any has moved beyond noise: (B,)."""
    ours, theirs = source.in_head_plane(), driving.in_head_plane()
    there = to_plane(to_pixels(theirs[..., :2], driving.pose), source.pose)
    depth = theirs[..., 2:] * (driving.pose[:, 3] / source.pose[:, 3])[:, None, None]
    change = (torch.cat([there, depth], -1) - ours).square().sum(-1).amax(1)
    return 1 - torch.exp(-change / GATE_IOD**2)


def pose_terms(pose: Tensor) -> Tensor:
    """Yaw, pitch and their squares of poses (B, 7): (B, 4)."""
    angles = pose[:, :2] / ANGLE_SCALE_DEG
    return torch.cat([angles, angles**2], 1)


def code_of(source: Face, driving: Face) -> Tensor:
    """Input of the FiLM code: both expressions and both directions, (B, 124)."""
    angles = torch.cat([source.pose[:, :2], driving.pose[:, :2]], 1) / ANGLE_SCALE_DEG
    return torch.cat([CODE_GAIN * driving.delta.flatten(1), CODE_GAIN * source.delta.flatten(1), angles], 1)
