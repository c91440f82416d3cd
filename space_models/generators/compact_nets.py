"""The networks of the `compact` generator: keypoints -> backward flow -> repaired picture.

A relative of face-vid2vid (arXiv 2011.15126) and of the first-order motion model (arXiv 2003.00196), cut down to what two CPU
cores can train. Departures, all for the sake of little training (`docs/departures.md`):

* the flow acts on the picture and on 2-D features instead of on a 3-D feature volume; the keypoints stay 3-D, and depth enters
  through the flow network. The source can then be warped at any resolution, which keeps its identity and sharpness;
* each keypoint is a group of landmarks plus a small learnt offset, instead of being found without supervision;
* the candidate motions are *one affine head motion plus a local shift per keypoint*, so that an untrained network already
  moves the face about right.

Coordinates everywhere: x right, y down in [-1, 1] from edge to edge of the picture (`align_corners=False`), z away from the
camera in the same unit. Shape legend: B batch, K keypoints, S side of the working picture, F = S / 2 side of the flow.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from space_data.landmarks import IRIS_LEFT, IRIS_RIGHT, N_LANDMARKS

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
    "nose_bridge": (27, 28),
    "nose_tip": (30,),
    "eye_left_outer": (36,),
    "eye_left_inner": (39,),
    "eye_right_inner": (42,),
    "eye_right_outer": (45,),
    "lid_left_upper": (37, 38),
    "lid_left_lower": (40, 41),
    "lid_right_upper": (43, 44),
    "lid_right_lower": (46, 47),
    "iris_left": (int(IRIS_LEFT[0]),),
    "iris_right": (int(IRIS_RIGHT[0]),),
    "mouth_left": (48,),
    "mouth_right": (54,),
    "lip_upper_outer": (50, 51, 52),
    "lip_lower_outer": (56, 57, 58),
    "lip_upper_inner": (61, 62, 63),
    "lip_lower_inner": (65, 66, 67),
}
"""The landmarks (of the 78) whose mean each keypoint is anchored to."""

N_KEYPOINTS = len(KEYPOINT_LANDMARKS)
_NAMES = list(KEYPOINT_LANDMARKS)
RIGID_KEYPOINTS = [i for i, name in enumerate(_NAMES) if name.startswith(("jaw_left", "jaw_right", "nose", "eye_"))]
"""Keypoints that speech and expression hardly move: the head's affine motion is fitted on them."""
DETAIL_KEYPOINTS = [i for i, name in enumerate(_NAMES) if name.startswith(("lid", "iris", "mouth", "lip"))]
"""Keypoints around which errors count more in training."""

HEAT_SIGMA = 0.08  # of the keypoint heat maps, in units of half the picture
SHIFT_SIGMA = 0.10  # starting reach of a keypoint's local shift
AFFINE_LOGIT, STILL_LOGIT = -1.0, -5.0  # starting weights of the head's motion and of the unmoved background
MAX_RESIDUAL_FLOW = 0.2
MAX_OFFSET = 0.05  # of a keypoint from its anchor, half pictures: about a lip's thickness
OFFSET_CELLS = 2
MASK_BIAS = 2.0  # an untrained network shows the warped source


@dataclass(frozen=True)
class CompactConfig:
    """Size of the networks; stored in the weights' card."""

    size_px: int
    """side of the picture the networks see; a multiple of 16"""
    width: int
    """channels of the first layer of each network; the others are multiples of it"""


def anchor_matrix() -> np.ndarray:
    """(K, 78): keypoint anchors = matrix @ landmarks."""
    matrix = np.zeros((N_KEYPOINTS, N_LANDMARKS), np.float32)
    for row, indices in enumerate(KEYPOINT_LANDMARKS.values()):
        matrix[row, list(indices)] = 1 / len(indices)
    return matrix


def anchors_of(landmarks_px: NDArray[np.floating], side_px: int) -> NDArray[np.float32]:
    """Keypoint anchors (T, K, 3) in [-1, 1] of landmarks (T, 78, 3) in pixels of a square picture of `side_px`."""
    unit = np.asarray(landmarks_px, np.float64) * (2 / side_px) - np.array([1.0, 1.0, 0.0])
    return (anchor_matrix() @ unit).astype(np.float32)


def pixel_grid(side: int, device: torch.device | str = "cpu") -> Tensor:
    """Coordinates of the pixel centres of a square picture, (side, side, 2) in [-1, 1]."""
    line = (torch.arange(side, device=device) + 0.5) * (2 / side) - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1)


def heat_maps(points: Tensor, grid: Tensor, sigma: Tensor | float) -> Tensor:
    """Gaussians around points (B, K, 2+) on a grid (H, W, 2): (B, K, H, W), 1 at the centre; sigma scalar or (K, 1, 1)."""
    dx = grid[None, None, 0, None, :, 0] - points[:, :, None, None, 0]
    dy = grid[None, None, :, 0, None, 1] - points[:, :, None, None, 1]
    reach = 2 * sigma * sigma
    return torch.exp(-dx * dx / reach) * torch.exp(-dy * dy / reach)


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """Sample a picture (B, C, H, W) where the backward flow (B, h, w, 2), given in source coordinates, points."""
    return F.grid_sample(picture, flow, mode="bilinear", padding_mode="border", align_corners=False)


def resize(maps: Tensor, side: int) -> Tensor:
    """Bilinear resize of maps (B, C, H, W) to a square."""
    if maps.shape[-1] == side:
        return maps
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False, antialias=side < maps.shape[-1])


def resize_flow(flow: Tensor, side: int) -> Tensor:
    """Bilinear resize of a flow (B, h, w, 2).

    The displacement from the identity is what is resized: absolute coordinates would be clamped at the edges.
    """
    moved = (flow - pixel_grid(flow.shape[1], flow.device)).permute(0, 3, 1, 2)
    return resize(moved, side).permute(0, 2, 3, 1) + pixel_grid(side, flow.device)


def head_affine(driving: Tensor, source: Tensor) -> Tensor:
    """Least-squares affine map of driving to source positions (B, K, 2) over the rigid keypoints: (B, 3, 2), [x y 1] @ A."""
    points = driving[:, RIGID_KEYPOINTS]
    design = torch.cat([points, torch.ones_like(points[..., :1])], -1)
    normal = design.mT @ design + 1e-4 * torch.eye(3, device=points.device)
    return torch.linalg.solve(normal, design.mT @ source[:, RIGID_KEYPOINTS])


def _conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class _Residual(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(width, width), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class KeypointRefiner(nn.Module):
    """Picture (B, 3, S, S) in [0, 1] and landmark anchors (B, K, 3) -> latent keypoints (B, K, 3).

    The face mesh says where the anchors are, better than a small network would; what is learnt is a bounded offset per
    keypoint, by which the picture tells the generator more than landmarks do. It starts at zero.
    """

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        w = config.width
        self.body = nn.Sequential(_conv(3, w, 2), _conv(w, 2 * w, 2), _conv(2 * w, 4 * w, 2), _conv(4 * w, 4 * w, 2))
        self.offset = nn.Linear(4 * w * OFFSET_CELLS**2, N_KEYPOINTS * 3)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, picture: Tensor, anchors: Tensor) -> Tensor:
        seen = F.adaptive_avg_pool2d(self.body(picture * 2 - 1), OFFSET_CELLS)
        offset = self.offset(seen.flatten(1)).unflatten(1, (N_KEYPOINTS, 3))
        return anchors + MAX_OFFSET * torch.tanh(offset)


class MotionField(nn.Module):
    """Source and driving keypoints -> backward flow (B, F, F, 2): per pixel a mixture of K + 2 candidate motions.

    Candidates (first-order motion model, eq. 4, without Jacobians): the head's affine motion shifted to agree with each
    keypoint, that motion itself, and no motion. Their weights start as Gaussians around the driving keypoints; a small hourglass
    that sees the source so warped corrects them and adds a bounded residual.
    """

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        w = config.width
        self.log_sigma = nn.Parameter(torch.full((N_KEYPOINTS, 1, 1), float(np.log(SHIFT_SIGMA))))
        self.bias = nn.Parameter(torch.tensor([0.0] * N_KEYPOINTS + [AFFINE_LOGIT, STILL_LOGIT]))
        self.enter = _conv(N_KEYPOINTS + 6, 2 * w, 2)
        self.down = nn.ModuleList([_conv(2 * w, 3 * w, 2), _conv(3 * w, 4 * w, 2), _conv(4 * w, 4 * w, 2)])
        self.rise = nn.ModuleList([_conv(4 * w, 4 * w), _conv(4 * w, 3 * w), _conv(3 * w, 2 * w)])
        self.correct = nn.Conv2d(2 * w, N_KEYPOINTS + 2 + 2, 3, 1, 1)
        nn.init.zeros_(self.correct.weight)
        nn.init.zeros_(self.correct.bias)  # type: ignore[arg-type]

    def forward(self, source: Tensor, source_kp: Tensor, driving_kp: Tensor) -> Tensor:
        """Flow for a source picture (B, 3, F, F) and keypoints (B, K, 3) each."""
        side = source.shape[-1]
        grid = pixel_grid(side, source.device)
        affine = head_affine(driving_kp[..., :2], source_kp[..., :2])
        head = grid @ affine[:, None, :2] + affine[:, None, None, 2]  # (B, F, F, 2)
        shifts = source_kp[..., :2] - (driving_kp[..., :2] @ affine[:, :2] + affine[:, None, 2])  # (B, K, 2)

        distance = heat_maps(driving_kp, grid, self.log_sigma.exp()).clamp_min(1e-12).log()
        prior = torch.cat([distance, torch.zeros_like(distance[:, :2])], 1) + self.bias[:, None, None]
        first = _mix(prior, head, shifts, grid)

        heat = heat_maps(driving_kp, grid, HEAT_SIGMA)
        depth_change = ((source_kp - driving_kp)[..., 2, None, None] * heat).sum(1, keepdim=True)
        seen = torch.cat([heat, depth_change, (first - grid).permute(0, 3, 1, 2), warp(source, first)], 1)
        x = self.enter(seen)
        skips = []
        for layer in self.down:
            skips.append(x)
            x = layer(x)
        for layer, skip in zip(self.rise, reversed(skips), strict=True):
            x = layer(_up(x)) + skip
        correction = resize(self.correct(x), side)
        residual = MAX_RESIDUAL_FLOW * torch.tanh(correction[:, -2:]).permute(0, 2, 3, 1)
        return _mix(prior + correction[:, :-2], head, shifts, grid) + residual


def _mix(logits: Tensor, head: Tensor, shifts: Tensor, grid: Tensor) -> Tensor:
    """Mix the candidates by softmax of logits (B, K + 2, F, F): (B, F, F, 2)."""
    share = logits.softmax(1)
    still = share[:, -1, :, :, None]
    local = torch.einsum("bkhw,bkc->bhwc", share[:, :-2], shifts)
    return (1 - still) * head + still * grid + local


class Painter(nn.Module):
    """Warped source features + driving keypoints -> what the warp cannot show (mouth, lids, uncovered places) and where."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        w = config.width
        self.encode = nn.ModuleList(
            [
                _conv(3, w, 2),
                nn.Sequential(_conv(w, 3 * w, 2), _Residual(3 * w)),
                nn.Sequential(_conv(3 * w, 4 * w, 2), _Residual(4 * w)),
            ]
        )
        self.low = nn.Sequential(_conv(4 * w + N_KEYPOINTS, 4 * w), _Residual(4 * w), _Residual(4 * w))
        self.middle = nn.Sequential(_conv(7 * w + N_KEYPOINTS, 4 * w, kernel=1), _conv(4 * w, 3 * w), _Residual(3 * w))
        self.narrow = _conv(3 * w, 2 * w, kernel=1)
        self.high = _conv(3 * w + 12, 2 * w)
        self.paint = nn.Conv2d(2 * w, 4 * 4, 3, 1, 1)

    def features(self, source: Tensor) -> list[Tensor]:
        """Appearance of a source (B, 3, S, S): maps at S/2, S/4 and S/8. Needed once per portrait."""
        x = source * 2 - 1
        maps = []
        for layer in self.encode:
            x = layer(x)
            maps.append(x)
        return maps

    def forward(self, features: list[Tensor], warped: Tensor, flow: Tensor, driving_kp: Tensor) -> tuple[Tensor, Tensor]:
        """Painted colours (B, 3, S, S) and the share of the warped source to show, (B, 1, S, S), both in [0, 1]."""
        high, middle, low = (warp(f, resize_flow(flow, f.shape[-1])) for f in features)
        heat = heat_maps(driving_kp, pixel_grid(middle.shape[-1], flow.device), HEAT_SIGMA)
        x = self.low(torch.cat([low, F.avg_pool2d(heat, 2)], 1))
        x = self.middle(torch.cat([_up(x), middle, heat], 1))
        x = self.high(torch.cat([_up(self.narrow(x)), high, F.pixel_unshuffle(warped * 2 - 1, 2)], 1))
        painted = F.pixel_shuffle(self.paint(x), 2)
        return torch.sigmoid(painted[:, :3]), torch.sigmoid(painted[:, 3:] + MASK_BIAS)


@dataclass(frozen=True)
class Drawn:
    """What one pass of the network gives; pictures (B, 3, S, S), ``shown`` (B, 1, S, S), flow (B, F, F, 2)."""

    picture: Tensor
    warped: Tensor
    painted: Tensor
    shown: Tensor
    flow: Tensor


class CompactNet(nn.Module):
    """Keypoint refiner, motion field and painter together."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.refiner = KeypointRefiner(config)
        self.motion = MotionField(config)
        self.painter = Painter(config)

    def draw(self, source: Tensor, source_kp: Tensor, driving_kp: Tensor, features: list[Tensor] | None = None) -> Drawn:
        """Draw the source (B, 3, S, S) in [0, 1] with the driving keypoints (B, K, 3); features from ``painter.features``."""
        side = source.shape[-1]
        flow = self.motion(resize(source, side // 2), source_kp, driving_kp)
        warped = warp(source, resize_flow(flow, side))
        if features is None:
            features = self.painter.features(source)
        painted, shown = self.painter(features, warped, flow, driving_kp)
        return Drawn(shown * warped + (1 - shown) * painted, warped, painted, shown, flow)

    def forward(
        self, source: Tensor, driving: Tensor, source_anchors: Tensor, driving_anchors: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """For training: keypoints of source and driving pictures (2 B, K, 3); the one drawn as the other; the bare warp."""
        batch = len(source)
        found = self.refiner(torch.cat([source, driving]), torch.cat([source_anchors, driving_anchors]))
        drawn = self.draw(source, found[:batch], found[batch:])
        return found, drawn.picture, drawn.warped
