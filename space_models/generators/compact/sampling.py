"""Which pairs of frames `compact` learns from: extremes more often than their share, turned heads, mirrored, tinted.

A blink is 3 % of the frames and closed lips are few: drawn evenly, a network learns open eyes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from space_data.landmarks import eye_aspect_ratio, lip_gap
from space_data.params import CompactSampling
from space_models.generators.compact.canvas import SIZE_PX, cells, mirrored_pose
from space_models.generators.compact.keypoints import KEYPOINT_LANDMARKS, NAMES

OUTER_LIPS = (0.2, 0.8)
"""Quantiles of the clip's lip gap beyond which lips count as closed or open wide."""
BLINK_SHARE, BLINK_REFERENCE = 0.6, 0.7
"""Eyes count as shut below this share of this quantile of the clip's eye opening."""
YAW_CANDIDATES = 4

Batch = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Footage:
    """One clip: `canvases` uint8 (T, S, S, 3), `poses` (T, 7) in pixels of a picture `side_px` wide, `groups` and weights.

    `groups` (T, K, 3) are the means of ``KEYPOINT_LANDMARKS`` in the head frame, IOD; `chance` (T,) sums to 1.
    """

    clip_id: str
    subject: str
    canvases: NDArray[np.uint8]
    poses: NDArray[np.float32]
    side_px: int
    groups: NDArray[np.float32]
    chance: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.canvases)


def group_means(normalised: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where the keypoints start, (T, K, 3), of normalised landmarks (T, 78, 3)."""
    return np.stack([normalised[:, list(points)].mean(1) for points in KEYPOINT_LANDMARKS.values()], 1)


def frame_chances(normalised: NDArray[np.float32], settings: CompactSampling) -> NDArray[np.float64]:
    """How likely each frame (T,) of a clip is drawn: closed and wide lips and shut eyes more often."""
    gap, eyes = lip_gap(normalised), eye_aspect_ratio(normalised).mean(-1)
    low, high = np.quantile(gap, OUTER_LIPS)
    shut = eyes < BLINK_SHARE * np.quantile(eyes, BLINK_REFERENCE)
    weight = 1 + settings.lips * ((gap <= low) | (gap >= high)) + settings.blinks * shut
    return np.asarray(weight / weight.sum(), np.float64)


def mirror_order() -> list[int]:
    """Which keypoint takes a keypoint's place when the picture is mirrored."""
    swap = {"left": "right", "right": "left"}
    return [NAMES.index("_".join(swap.get(part, part) for part in name.split("_"))) for name in NAMES]


def draw_pairs(clips: Sequence[Footage], batch: int, rng: np.random.Generator, settings: CompactSampling, shake: bool) -> Batch:
    """Two frames each of `batch` random clips.

    Args:
        shake: mirror and tint the pairs, and let the encoder see views with a tint and a small shift of their own; a shift as
            large as the signal (a pixel) costs the gaze. Without it the views equal the pictures.

    Returns:
        `source`, `driving` and the encoder's `source_view`, `driving_view` (B, 3, S, S) in [0, 1]; `source_pose`, `driving_pose`
        (B, 7); `source_groups`, `driving_groups` (B, K, 3).
    """
    chosen = [clips[i] for i in rng.integers(len(clips), size=batch)]
    frames = np.stack([_two_frames(clip, rng, settings) for clip in chosen])
    canvases = torch.from_numpy(np.stack([clip.canvases[pair] for clip, pair in zip(chosen, frames, strict=True)]))
    pictures = canvases.flatten(0, 1).permute(0, 3, 1, 2).float() / 255  # (2 B, 3, S, S): source, driving, source, ...
    poses = np.concatenate([clip.poses[pair] for clip, pair in zip(chosen, frames, strict=True)])
    groups = np.concatenate([clip.groups[pair] for clip, pair in zip(chosen, frames, strict=True)])
    views = pictures
    if shake:
        mirrored = np.repeat(rng.integers(2, size=batch) > 0, 2)
        widths = np.repeat([clip.side_px for clip in chosen], 2)
        pictures[torch.from_numpy(mirrored)] = pictures[torch.from_numpy(mirrored)].flip(-1)
        poses = np.where(mirrored[:, None], mirrored_pose(poses, widths), poses)
        turned = groups[:, mirror_order()] * np.array([-1, 1, 1], np.float32)
        groups = np.where(mirrored[:, None, None], turned, groups)
        tint = np.repeat(rng.uniform(*settings.gain, (batch, 1)) * np.exp(rng.normal(0, settings.tint, (batch, 3))), 2, axis=0)
        pictures = (pictures * _maps(tint)).clamp(0, 1)
        views = (_shaken(pictures, rng, settings) * _maps(np.exp(rng.normal(0, settings.view_tint, (2 * batch, 3))))).clamp(0, 1)
    named = {"": pictures.numpy(), "_view": views.numpy(), "_pose": poses, "_groups": groups}
    pairs: Batch = {}
    for suffix, values in named.items():
        pairs[f"source{suffix}"], pairs[f"driving{suffix}"] = (values[i::2].astype(np.float32) for i in range(2))
    return pairs


def _two_frames(clip: Footage, rng: np.random.Generator, settings: CompactSampling) -> NDArray[np.int64]:
    """Source and driving frame: driving ones and half of the sources by `chance`, other sources evenly; some turned away."""
    count = len(clip.canvases)
    driving = rng.choice(count, p=clip.chance)
    candidates = rng.integers(count, size=YAW_CANDIDATES)
    kind = rng.random()
    if kind < settings.turned:
        source = candidates[np.abs(clip.poses[candidates, 0] - clip.poses[driving, 0]).argmax()]
    elif kind < settings.turned + (1 - settings.turned) / 2:
        source = rng.choice(count, p=clip.chance)
    else:
        source = candidates[0]
    return np.array([source, driving])


def _maps(tint: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(tint.astype(np.float32))[:, :, None, None]


def _shaken(pictures: Tensor, rng: np.random.Generator, settings: CompactSampling) -> Tensor:
    """Turned, zoomed and shifted a little, each by itself."""
    count = len(pictures)
    angle = torch.from_numpy(rng.normal(0, settings.view_turn_deg * math.pi / 180, count).astype(np.float32))
    zoom = torch.from_numpy(np.exp(rng.normal(0, settings.view_zoom, count)).astype(np.float32))
    shift = torch.from_numpy(rng.normal(0, settings.view_shift * 2 / SIZE_PX, (count, 2)).astype(np.float32))
    c, s = zoom * angle.cos(), zoom * angle.sin()
    turn = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)
    grid = (cells(SIZE_PX).flatten(0, 1) @ turn.mT + shift[:, None]).unflatten(1, (SIZE_PX, SIZE_PX))
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
