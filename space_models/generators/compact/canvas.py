"""The canvas on which `compact` sees and paints: a small picture fixed to the head, with most of its pixels at eyes and mouth.

A point ``p`` of the picture, in pixels, is brought into the head's frame *in the picture plane* (docs/landmarks.md for the axes):

    q = R2(-roll) (p - t_xy) / s            IOD; roll, scale s and translation t of ``PoseTrack``

Yaw and pitch stay in the picture. The canvas axis ``u`` in [-1, 1] (from edge to edge, pixel centres at ``(i + .5) 2 / S - 1``)
is bent, the same for both axes:

    q - CENTRE = SLOPE u + CURVE u^POWER

so that eyes and mouth get 63 of the 128 pixels per IOD, the cheeks 26, the edge 5, and the whole crop (+-2.45 IOD) is covered;
a plain picture of that size has 26 everywhere. Both directions are exact: forward by the polynomial, inverse by Newton's method,
which falls monotonically from a start above the root of a convex function. Pixel coordinates of pictures have whole numbers at
the edges of pixels, as those of the face mesh.
"""

from collections.abc import Callable
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Values = TypeVar("Values", Tensor, NDArray[np.floating])

SIZE_PX = 128
CENTRE = (0.0, 0.45)
SLOPE, CURVE, POWER = 0.9, 1.55, 7
REACH = SLOPE + CURVE
"""Half the side of the canvas, IOD."""
NEWTON_STEPS = 6
SUPERSAMPLING = 3
DETAIL = ((0.0, 0.88, 0.27, 0.20), (-0.35, 0.05, 0.16, 0.12), (0.35, 0.05, 0.16, 0.12))
"""Gaussians at mouth and eyes: centre x, y and s.d. x, y in the head's plane, IOD."""
_FARTHEST = 8.0  # IOD; a face that is farther from the picture's centre is none


def bent(u: Values) -> Values:
    """Canvas coordinates of one axis to IOD from the canvas' centre."""
    return SLOPE * u + CURVE * u**POWER


def straightened(distance: Values, smaller: Callable[[Values, Values], Values]) -> Values:
    """Inverse of ``bent`` for IOD >= 0; ``smaller`` is the elementwise minimum of such values."""
    u = smaller(distance / SLOPE, (distance / CURVE) ** (1 / POWER))  # above the root: either term alone would reach it
    for _ in range(NEWTON_STEPS):
        u = u - (bent(u) - distance) / (SLOPE + POWER * CURVE * u ** (POWER - 1))
    return u


def unfold(u: Tensor) -> Tensor:
    """Canvas coordinates (..., 2) to the head's plane, IOD (..., 2)."""
    return bent(u) + torch.tensor(CENTRE, device=u.device, dtype=u.dtype)


def fold(q: Tensor) -> Tensor:
    """Inverse of ``unfold``; differentiable (one last Newton step carries the gradient)."""
    centred = (q - torch.tensor(CENTRE, device=q.device, dtype=q.dtype)).clamp(-_FARTHEST, _FARTHEST)
    with torch.no_grad():
        u = straightened(centred.abs(), torch.minimum) * centred.sign()
    return u - (bent(u) - centred) / (SLOPE + POWER * CURVE * u ** (POWER - 1))


def cells(side: int, device: torch.device | str = "cpu") -> Tensor:
    """Canvas coordinates of the cell centres, (side, side, 2): x, y."""
    line = (torch.arange(side, device=device) + 0.5) * (2 / side) - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1)


def detail(device: torch.device | str = "cpu") -> Tensor:
    """1 at mouth and eyes, 0 away from them: (1, 1, S, S)."""
    q = unfold(cells(SIZE_PX, device))
    spots = [(-(((q[..., 0] - x) / sx) ** 2) / 2 - ((q[..., 1] - y) / sy) ** 2 / 2).exp() for x, y, sx, sy in DETAIL]
    return torch.stack(spots).amax(0)[None, None]


def in_plane(pose: Tensor) -> Tensor:
    """``s R2(roll)`` of poses (B, 7) as ``PoseTrack.as_array`` has them: (B, 2, 2)."""
    roll, scale = torch.deg2rad(pose[:, 2]), pose[:, 3]
    c, s = scale * roll.cos(), scale * roll.sin()
    return torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)


def to_pixels(q: Tensor, pose: Tensor) -> Tensor:
    """Head's plane (B, ..., 2), IOD, to pixels of the picture, for poses (B, 7)."""
    flat = q.flatten(1, -2) @ in_plane(pose).mT + pose[:, None, 4:6]
    return flat.view(q.shape)


def to_plane(pixels: Tensor, pose: Tensor) -> Tensor:
    """Pixels (B, ..., 2) to the head's plane, IOD: the inverse of ``to_pixels``."""
    flat = (pixels.flatten(1, -2) - pose[:, None, 4:6]) @ in_plane(pose) / pose[:, None, 3:4] ** 2
    return flat.view(pixels.shape)


def sample_canvas(rgb: NDArray[np.uint8], pose: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The canvas (128, 128, 3) of a picture (H, W, 3) whose head has the pose (7,), in pixels of the picture.

    Supersampled and averaged; beyond the picture its edge is repeated.
    """
    side = SIZE_PX * SUPERSAMPLING
    line = (np.arange(side) + 0.5) * (2 / side) - 1
    x, y = (bent(line) + CENTRE[0])[None, :], (bent(line) + CENTRE[1])[:, None]
    roll, scale = np.deg2rad(float(pose[2])), float(pose[3])
    map_x = (scale * (np.cos(roll) * x - np.sin(roll) * y) + float(pose[4]) - 0.5).astype(np.float32)
    map_y = (scale * (np.sin(roll) * x + np.cos(roll) * y) + float(pose[5]) - 0.5).astype(np.float32)
    fine = cv2.remap(rgb, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(fine, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def mirrored_pose(pose: NDArray[np.float32], width_px: NDArray[np.floating] | float) -> NDArray[np.float32]:
    """Poses (..., 7) of the mirrored pictures (x and ``width - x`` change places): their canvas is the canvas mirrored."""
    flipped = pose * np.array([-1, 1, -1, 1, -1, 1, 1], np.float32)
    flipped[..., 4] += width_px
    return flipped
