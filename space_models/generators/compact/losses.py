"""What `compact` is trained by: L1 of pictures on the canvas, and guidance by landmarks. No adversary and no VGG.

The canvas weighs the face by its own bending; fixed masks for mouth and eyes (`detail`) do the rest. Each term and what happened
without it: docs/compact.md. Pictures are (B, 3, S, S) in [0, 1], weights (B or 1, 1, S, S).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from space_data.params import CompactLoss
from space_models.generators.compact.keypoints import LIPS, RIGID, Face
from space_models.generators.compact.networks import Drawn

PYRAMID_LEVELS = 3
GRADIENT_WEIGHT = 0.5
WARP_FLOOR = 0.03
"""Share of the bare warp's loss that stays where paint covers it, so that the flow does not wander off."""
DEPTH_SHARE = 0.3
"""The mesh guesses depth: its differences count less."""


def picture_loss(drawn: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 over a pyramid, plus L1 of the gradients at full size."""
    difference = drawn - target
    total = GRADIENT_WEIGHT * (
        (difference.diff(dim=-1).abs() * weight[..., 1:]).mean() + (difference.diff(dim=-2).abs() * weight[..., 1:, :]).mean()
    )
    for level in range(PYRAMID_LEVELS):
        if level:
            difference, weight = F.avg_pool2d(difference, 2), F.avg_pool2d(weight, 2)
        total = total + (difference.abs() * weight).mean()
    return total


def landmark_errors(own: Face, driving: Face, own_groups: Tensor, driving_groups: Tensor, spread: Tensor) -> Tensor:
    """How differently expressions and landmark groups (B, K, 3) change between two frames, in s.d. `spread` (K, 3): (B, K, 3)."""
    error = ((driving.delta - own.delta) - (driving_groups - own_groups)).abs() / spread
    return error * error.new_tensor([1.0, 1.0, DEPTH_SHARE])


def absolute_loss(faces: tuple[Face, Face], groups: tuple[Tensor, Tensor], spread: Tensor) -> Tensor:
    """Keypoints of the head frame against landmark groups (B, K, 3), in standard deviations: a number."""
    return torch.stack([((f.points - g).abs() / spread).mean() for f, g in zip(faces, groups, strict=True)]).mean()


def drawing_losses(drawn: Drawn, target: Tensor, spots: Tensor, weights: CompactLoss) -> dict[str, Tensor]:
    """The terms that look at pictures."""
    shown = drawn.shown.detach()
    everywhere = 1 + weights.detail * spots
    warp_weight = everywhere * (1 - spots + spots * (shown + WARP_FLOOR))
    return {
        "picture": picture_loss(drawn.picture, target, everywhere),
        "warped": weights.warped * picture_loss(drawn.warped, target, warp_weight),
        "painted": weights.painted * ((drawn.painted - target).abs() * (0.2 + weights.detail * spots)).mean(),
        "hidden": weights.hidden * ((1 - drawn.shown) * (1 - spots)).mean(),
    }


def latent_losses(own: Face, driving: Face, errors: Tensor, weights: CompactLoss) -> dict[str, Tensor]:
    """The terms that look at keypoints; `errors` (B, K, 3) of ``landmark_errors``."""
    rigid = driving.delta[:, RIGID] - own.delta[:, RIGID]
    return {
        "landmarks": weights.landmarks * errors.mean(),
        "lips": weights.lips * errors[:, LIPS].mean(),
        "rigid": weights.rigid * rigid.abs().sum((1, 2)).mean(),
        "delta": weights.delta * torch.stack([own.delta, driving.delta]).square().sum((2, 3)).mean(),
    }
