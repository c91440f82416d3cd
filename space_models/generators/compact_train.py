"""Trains the `compact` generator: two frames of a clip, the one must be drawn from the other.

Recipe (ours; the paper uses a pretrained face-vid2vid): L1 over a pyramid and of gradients, counted more at eyes and mouth; the
same on the bare warp, so that the flow rather than the painter carries the face; keypoints held near their landmark anchors,
which takes the place of the equivariance and spread losses of unsupervised keypoints. No adversary and no VGG: nothing to
download, and 2 cores must do.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from space_data import progress
from space_data.errors import SpaceError
from space_data.params import GeneratorStage
from space_models.generators.compact_nets import (
    DETAIL_KEYPOINTS,
    KEYPOINT_LANDMARKS,
    CompactConfig,
    CompactNet,
    Drawn,
    anchor_matrix,
    heat_maps,
    pixel_grid,
    resize,
)

logger = logging.getLogger(__name__)

PYRAMID_LEVELS = 3
DETAIL_SIGMA = 0.10  # reach of the extra weight around eyes and mouth, in half pictures
DETAIL_WEIGHT = 4.0
GRADIENT_WEIGHT = 0.5
WARPED_WEIGHT = 0.4
ANCHOR_WEIGHT = 10.0
ANCHOR_SLACK = 0.02  # half pictures: nearer than that the anchor pulls only gently
ZOOM_RANGE = (0.8, 1.25)
MAX_SHIFT = 0.12
GAIN_RANGE = (0.75, 1.25)  # of the whole picture
TINT = 0.08  # standard deviation of the gain per colour
EMA_DECAY = 0.998
WARM_UP_SHARE = 0.05
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Footage:
    """One clip to train on: `pictures` uint8 (T, S, S, 3), `anchors` (T, K, 3) in [-1, 1] coordinates of the picture."""

    clip_id: str
    pictures: NDArray[np.uint8]
    anchors: NDArray[np.float32]


def anchors_of(landmarks_px: NDArray[np.floating], side_px: int) -> NDArray[np.float32]:
    """Keypoint anchors (T, K, 3) in [-1, 1] of landmarks (T, 78, 3) in pixels of a square picture of `side_px`."""
    unit = np.asarray(landmarks_px, np.float64) * (2 / side_px) - np.array([1.0, 1.0, 0.0])
    return (anchor_matrix() @ unit).astype(np.float32)


def mirror_order() -> list[int]:
    """Which keypoint takes a keypoint's place when the picture is mirrored."""
    names = list(KEYPOINT_LANDMARKS)
    swap = {"left": "right", "right": "left"}
    return [names.index("_".join(swap.get(part, part) for part in name.split("_"))) for name in names]


@dataclass(frozen=True)
class Pairs:
    """A batch: pictures (B, 3, S, S) in [0, 1] and their anchors (B, K, 3)."""

    source: Tensor
    driving: Tensor
    source_anchors: Tensor
    driving_anchors: Tensor


def draw_pairs(clips: Sequence[Footage], batch: int, rng: np.random.Generator) -> Pairs:
    """Two frames each of `batch` random clips, moved, mirrored and tinted alike."""
    chosen = [clips[i] for i in rng.integers(len(clips), size=batch)]
    frames = [rng.integers(len(clip.pictures), size=2) for clip in chosen]
    pictures = torch.from_numpy(np.stack([clip.pictures[t] for clip, t in zip(chosen, frames, strict=True)]))
    anchors = torch.from_numpy(np.stack([clip.anchors[t] for clip, t in zip(chosen, frames, strict=True)]))
    flat = pictures.flatten(0, 1).permute(0, 3, 1, 2).float() / 255  # (2 B, 3, S, S): source, driving, source, ...

    def each(values: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(np.repeat(values.astype(np.float32), 2, axis=0))

    zoom = each(np.exp(rng.uniform(*np.log(ZOOM_RANGE), batch)))
    shift = each(rng.uniform(-MAX_SHIFT, MAX_SHIFT, (batch, 2)))
    mirrored = each(rng.integers(2, size=batch)) > 0.5
    gain = each(rng.uniform(*GAIN_RANGE, (batch, 1)) * np.exp(rng.normal(0, TINT, (batch, 3))))

    sign = torch.where(mirrored, -1.0, 1.0)
    scale = torch.stack([zoom * sign, zoom], -1)  # picture p shows what was at (p - shift) / scale
    grid = (pixel_grid(flat.shape[-1]) - shift[:, None, None]) / scale[:, None, None]
    moved = F.grid_sample(flat, grid, padding_mode="reflection", align_corners=False)
    moved = (moved * gain[:, :, None, None]).clamp(0, 1)

    points = anchors.flatten(0, 1)
    points = torch.where(mirrored[:, None, None], points[:, mirror_order()], points)
    depth = points[..., 2:] * zoom[:, None, None]
    points = torch.cat([points[..., :2] * scale[:, None] + shift[:, None], depth], -1)
    return Pairs(moved[0::2], moved[1::2], points[0::2], points[1::2])


def losses(net: CompactNet, pairs: Pairs) -> tuple[Tensor, dict[str, float], Drawn]:
    """Total loss, its parts for the log, and the drawing of one batch."""
    batch = len(pairs.source)
    found = net.detector(torch.cat([pairs.source, pairs.driving]))
    drawn = net(pairs.source, found[:batch], found[batch:])
    side = pairs.driving.shape[-1]
    detail = heat_maps(pairs.driving_anchors[:, DETAIL_KEYPOINTS], pixel_grid(side // 2), DETAIL_SIGMA).amax(1, keepdim=True)
    weight = 1 + DETAIL_WEIGHT * resize(detail, side)
    anchors = torch.cat([pairs.source_anchors, pairs.driving_anchors])
    parts = {
        "picture": picture_loss(drawn.picture, pairs.driving, weight),
        "warped": WARPED_WEIGHT * picture_loss(drawn.warped, pairs.driving, weight),
        "anchor": ANCHOR_WEIGHT * anchor_loss(found, anchors),
    }
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}, drawn


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


def anchor_loss(found: Tensor, anchors: Tensor) -> Tensor:
    """Smooth L1 of keypoints to their anchors, (B, K, 3) each; eyes and mouth, where pixels count, three times."""
    weight = torch.ones(found.shape[1], 1, device=found.device)
    weight[DETAIL_KEYPOINTS] = 3.0
    return (F.smooth_l1_loss(found, anchors, beta=ANCHOR_SLACK, reduction="none") * weight).mean()


def learning_rate_share(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to 1 % of the peak."""
    warm = max(1, round(WARM_UP_SHARE * steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


def train(
    clips: Sequence[Footage],
    settings: GeneratorStage,
    on_step: Callable[[int, dict[str, float], CompactNet], None] | None = None,
    every: int = 500,
) -> CompactNet:
    """Train on `clips`; the averaged weights are returned, in evaluation mode.

    The same clips and settings give the same weights on one machine and one thread. `on_step` sees step, losses and the
    averaged network every `every` steps and after the last.

    Raises:
        SpaceError: no clip of two frames or more, or the loss is no longer finite.
    """
    usable = [clip for clip in clips if len(clip.pictures) >= 2]
    if not usable:
        raise SpaceError(f"generator: {len(clips)} clips, none of two frames or more (are there aligned clips in split train?)")
    torch.manual_seed(settings.seed)
    net = CompactNet(CompactConfig(settings.size_px, settings.width)).train()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(EMA_DECAY), use_buffers=True
    )
    optimiser = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_share(step, settings.steps))
    for step in progress.track(range(1, settings.steps + 1), "generator"):
        pairs = draw_pairs(usable, settings.batch, np.random.default_rng([settings.seed, step]))
        total, parts, _ = losses(net, pairs)
        if not math.isfinite(float(total)):
            raise SpaceError(f"generator: loss {parts} at step {step}, finite needed (learning_rate too high?)")
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), MAX_GRADIENT_NORM)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(net)
        if on_step is not None and (step % every == 0 or step == settings.steps):
            on_step(step, parts, averaged.module)
    return averaged.module.eval()
