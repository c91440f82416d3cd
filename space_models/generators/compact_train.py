"""Trains the `compact` generator: two frames of a clip, the one must be drawn from the other.

Recipe (ours; the paper uses a pretrained face-vid2vid): L1 over a pyramid and of gradients, counted more at eyes and mouth; the
same on the bare warp, so that the flow rather than the painter carries the face; keypoints held near their landmark anchors,
which takes the place of the equivariance and spread losses of unsupervised keypoints. No adversary and no VGG: nothing to
download, and 2 cores must do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from space_data.errors import SpaceError
from space_data.params import CompactStage
from space_models.generators.compact_nets import (
    DETAIL_KEYPOINTS,
    KEYPOINT_LANDMARKS,
    heat_maps,
    pixel_grid,
    resize,
)

PYRAMID_LEVELS = 3
DETAIL_SIGMA = 0.10  # reach of the extra weight around eyes and mouth, in half pictures
DETAIL_WEIGHT = 4.0
GRADIENT_WEIGHT = 0.5
WARPED_WEIGHT = 0.4
ANCHOR_WEIGHT = 2.0
ZOOM_RANGE = (0.8, 1.25)
MAX_SHIFT = 0.12
GAIN_RANGE = (0.75, 1.25)  # of the whole picture
TINT = 0.08  # standard deviation of the gain per colour
VALIDATION_PAIRS = 32


@dataclass(frozen=True)
class Footage:
    """One clip to train on: `pictures` uint8 (T, S, S, 3), `anchors` (T, K, 3) in [-1, 1] coordinates of the picture."""

    clip_id: str
    pictures: NDArray[np.uint8]
    anchors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.pictures)


def mirror_order() -> list[int]:
    """Which keypoint takes a keypoint's place when the picture is mirrored."""
    names = list(KEYPOINT_LANDMARKS)
    swap = {"left": "right", "right": "left"}
    return [names.index("_".join(swap.get(part, part) for part in name.split("_"))) for name in names]


def draw_pairs(clips: Sequence[Footage], batch: int, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Two frames each of `batch` random clips, moved, mirrored and tinted alike.

    Returns:
        `source` and `driving`, pictures (B, 3, S, S) in [0, 1], with `source_anchors` and `driving_anchors` (B, K, 3).
    """
    chosen = [clips[i] for i in rng.integers(len(clips), size=batch)]
    frames = [rng.integers(len(clip.pictures), size=2) for clip in chosen]
    pictures = torch.from_numpy(np.stack([clip.pictures[t] for clip, t in zip(chosen, frames, strict=True)]))
    anchors = torch.from_numpy(np.stack([clip.anchors[t] for clip, t in zip(chosen, frames, strict=True)]))
    flat = pictures.flatten(0, 1).permute(0, 3, 1, 2).float() / 255  # (2 B, 3, S, S): source, driving, source, ...

    def each(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.repeat(values.astype(np.float32), 2, axis=0))

    zoom = each(np.exp(rng.uniform(math.log(ZOOM_RANGE[0]), math.log(ZOOM_RANGE[1]), batch)))
    shift = each(rng.uniform(-MAX_SHIFT, MAX_SHIFT, (batch, 2)))
    mirrored = each(rng.integers(2, size=batch)) > 0.5
    gain = each(rng.uniform(*GAIN_RANGE, (batch, 1)) * np.exp(rng.normal(0, TINT, (batch, 3))))

    scale = torch.stack([torch.where(mirrored, -zoom, zoom), zoom], -1)  # the point p of a picture lands at scale p + shift
    grid = (pixel_grid(flat.shape[-1]) - shift[:, None, None]) / scale[:, None, None]
    moved = F.grid_sample(flat, grid, padding_mode="reflection", align_corners=False)
    moved = (moved * gain[:, :, None, None]).clamp(0, 1)

    points = anchors.flatten(0, 1)
    points = torch.where(mirrored[:, None, None], points[:, mirror_order()], points)
    points = torch.cat([points[..., :2] * scale[:, None] + shift[:, None], points[..., 2:] * zoom[:, None, None]], -1)
    return {
        "source": moved[0::2].numpy(),
        "driving": moved[1::2].numpy(),
        "source_anchors": points[0::2].numpy(),
        "driving_anchors": points[1::2].numpy(),
    }


def picture_loss(drawn: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 over a pyramid, plus L1 of the gradients at full size; pictures (B, 3, S, S), weight (B, 1, S, S)."""
    difference = drawn - wanted
    total = GRADIENT_WEIGHT * (
        (difference.diff(dim=-1).abs() * weight[..., 1:]).mean() + (difference.diff(dim=-2).abs() * weight[..., 1:, :]).mean()
    )
    for level in range(PYRAMID_LEVELS):
        if level:
            difference, weight = F.avg_pool2d(difference, 2), F.avg_pool2d(weight, 2)
        total = total + (difference.abs() * weight).mean()
    return total


class CompactTask:
    """What the training loop (`space_models.trainer.Task`) learns: pairs of frames of the training clips."""

    criterion = "val_l1"

    def __init__(self, clips: Sequence[Footage], held_out: Sequence[Footage], settings: CompactStage) -> None:
        self._clips = [clip for clip in clips if len(clip.pictures) >= 2]
        watched = [clip for clip in held_out if len(clip.pictures) >= 2]
        self.held_out = [draw_pairs(watched, VALIDATION_PAIRS, np.random.default_rng(0))] if watched else []
        if not self._clips:
            raise SpaceError(
                f"generator: {len(clips)} clips, none of two frames or more (are there aligned clips in split train?)"
            )
        self._batch = settings.batch

    def batch(self, rng: np.random.Generator, draw: int) -> dict[str, NDArray[np.float32]]:
        """See `draw_pairs`."""
        return draw_pairs(self._clips, self._batch, rng)

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Picture, warped picture and anchors."""
        found, picture, warped = model(**batch)
        driving, side = batch["driving"], batch["driving"].shape[-1]
        points = batch["driving_anchors"][:, DETAIL_KEYPOINTS]
        detail = heat_maps(points, pixel_grid(side // 2, driving.device), DETAIL_SIGMA).amax(1, keepdim=True)
        weight = 1 + DETAIL_WEIGHT * resize(detail, side)
        parts = {
            "picture": picture_loss(picture, driving, weight),
            "warped": WARPED_WEIGHT * picture_loss(warped, driving, weight),
            "anchor": ANCHOR_WEIGHT * (found - torch.cat([batch["source_anchors"], batch["driving_anchors"]])).abs().mean(),
        }
        return torch.stack(list(parts.values())).sum(), parts

    def validate(self, model: nn.Module, unit: dict[str, NDArray[np.float32]]) -> dict[str, float]:
        """On fixed pairs of held-out clips: L1 of the drawing and of the still source."""
        device = next(model.parameters()).device
        tensors = {name: torch.from_numpy(array).to(device) for name, array in unit.items()}
        _, picture, _ = model(**tensors)
        return {
            "val_l1": float((picture - tensors["driving"]).abs().mean()),
            "val_still_l1": float((tensors["source"] - tensors["driving"]).abs().mean()),
        }
