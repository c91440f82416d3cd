"""`liveportrait` as a `KeypointGenerator`: latents are the expression offsets of its keypoints, the pose is put in exactly.

Fast where there is a GPU: frames in batches, channels last, half precision and compiled networks by ``params.yaml``; the
portrait's volume is made once.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack, rotation_matrix
from space_data.params import LivePortraitSettings
from space_models.generators import CropRule, Extracted, LatentSpec
from space_models.generators.liveportrait.config import LivePortraitConfig
from space_models.generators.liveportrait.head import PoseMap, fit_pose_map
from space_models.generators.liveportrait.motion import Motion, degrees
from space_models.generators.liveportrait.weights import Networks, load_networks, weights_sha256
from space_models.portrait import Portrait

NAME = "liveportrait"
CROP = CropRule(side=2.3, shift_y=-0.125)
"""The published rule's figures (crop of the source picture), on the box of our points instead of 106 of InsightFace, and upright:
portraits and aligned clips are."""
LIP_KEYPOINTS, EYE_KEYPOINTS = (6, 12, 14, 17, 19, 20), (11, 13, 15, 16, 18)
"""Of 21, as the reference implementation's own editing of lips and eyes uses them."""
DETAIL_WEIGHT = 3.0
FEATHER = 0.06
"""Width of the soft edge, as a share of its square, where drawn frames meet the portrait."""
DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}

Array = NDArray[np.float32]
Frame = NDArray[np.uint8]
Square = tuple[float, float, float]
"""Left, top, side in pixels of the 512 crop."""


@dataclass(frozen=True)
class LivePortraitState:
    """A portrait: appearance ``volume`` (1, 32, 16, 64, 64), canonical points ``kp`` (K, 3), its own latents ``z`` (K * 3,) and
    pose (6,) (`head.COLUMNS`), our ``start`` (one row), the ``square`` that its networks see, and the whole crop ``photo``
    (1, 3, S, S) with the share (1, 1, S, S) of it that frames cover."""

    volume: Tensor
    kp: Array
    z: Array
    own_pose: Array
    start: PoseTrack
    square: Square
    photo: Tensor
    covered: Tensor


class LivePortrait:
    """See the module's docstring, and `KeypointGenerator`."""

    size_px = CROP_SIZE_PX
    crop: CropRule | None = CROP

    def __init__(
        self,
        networks: Networks,
        config: LivePortraitConfig,
        settings: LivePortraitSettings,
        device: str,
        spec: LatentSpec | None = None,
        sha256: str = "",
    ) -> None:
        self.device = device
        self._config, self._settings = config, settings
        for module in networks.modules().values():
            module.to(device)
        # The tensor cores' own order; on a processor the decoder takes a fifth longer so (one core of an EPYC, fp32).
        self._layout = torch.channels_last if torch.device(device).type == "cuda" else torch.contiguous_format
        networks.decoder.to(memory_format=self._layout)  # type: ignore[call-overload]
        networks.motion.to(memory_format=self._layout)  # type: ignore[call-overload]
        self._networks = networks
        self._draw = torch.compile(self._drawn) if settings.compile else self._drawn
        weight = np.ones((config.keypoints, 3))
        weight[[k for k in (*LIP_KEYPOINTS, *EYE_KEYPOINTS) if k < config.keypoints]] = DETAIL_WEIGHT
        self.spec = spec or LatentSpec.declared(NAME, sha256, weight.ravel())
        self._map = PoseMap.of(self.spec.pose_map)

    def prepare(self, portrait: Portrait) -> LivePortraitState:
        """See `KeypointGenerator`."""
        square = CROP.square(portrait.landmarks[None])
        photo = self._tensor(portrait.rgb[None])
        seen = self._cut(photo, square, self._config.image_px)
        with torch.inference_mode(), self._autocast():
            volume = self._networks.appearance(seen).float()
            motion = self._networks.motion(seen)
        z, own_pose = _latents(motion), _own_pose(motion, square)
        kp = motion.kp.float().cpu().numpy().reshape(-1, 3)
        photo = F.interpolate(photo, (self.size_px, self.size_px), mode="bicubic", antialias=True).clamp(0, 1)
        return LivePortraitState(volume, kp, z[0], own_pose[0], portrait.pose, square, photo, self._covered(square))

    def extract(self, frames: Iterable[Frame], landmarks_px: Array, pose: PoseTrack) -> Extracted:
        """See `KeypointGenerator`; one square per clip, as the reference implementation cuts driving video."""
        square = CROP.square(landmarks_px)
        z, own_pose, n_frames, pending = [], [], 0, iter(frames)
        while chunk := list(islice(pending, self._settings.batch)):
            n_frames += len(chunk)
            with torch.inference_mode(), self._autocast():
                seen = self._cut(self._tensor(np.stack(chunk)), square, self._config.image_px)
                motion = self._networks.motion(seen)
            z.append(_latents(motion))
            own_pose.append(_own_pose(motion, square))
        if n_frames != len(landmarks_px):
            raise SpaceError(f"{NAME}: {n_frames} frames, landmarks for {len(landmarks_px)}, need the same number")
        return Extracted(np.concatenate(z), np.concatenate(own_pose))

    def fit_pose(self, own_pose: Array, pose: PoseTrack) -> tuple[float, ...]:
        """See `KeypointGenerator` and `head.PoseMap`."""
        return fit_pose_map(own_pose, pose).numbers()

    def compose(self, state: LivePortraitState, z: Array, pose: PoseTrack) -> Array:
        """``scale * (kp R + exp) + t``, t_z dropped: keypoints (T, K, 3) in [-1, 1] of the portrait's square."""
        return keypoints(state.kp, z, self._map.moved(state.own_pose, state.start, pose), state.square)

    def render(self, state: LivePortraitState, keypoints: Array) -> Iterator[Frame]:
        """See `KeypointGenerator`.

        Raises:
            SpaceError: keypoints of another shape, or not finite.
        """
        if keypoints.ndim != 3 or keypoints.shape[1:] != (self._config.keypoints, 3):
            raise SpaceError(f"{NAME}: keypoints of shape {keypoints.shape}, need (frames, {self._config.keypoints}, 3)")
        if not np.isfinite(keypoints).all():
            raise SpaceError(f"{NAME}: keypoints are not all finite (were the landmarks interpolated?)")
        source = self._source(state)
        for first in range(0, len(keypoints), self._settings.batch):
            rows = np.array(keypoints[first : first + self._settings.batch], np.float32)
            driving = torch.from_numpy(rows).to(self.device)
            n, lacking = len(rows), (self._settings.batch - len(rows) if self._settings.compile else 0)
            if lacking:  # a compiled network is compiled anew for another size
                driving = torch.cat([driving, driving[-1:].expand(lacking, -1, -1)])
            with torch.inference_mode(), self._autocast():
                drawn = self._draw(state.volume, source, driving)[:n].float()
                framed = self._pasted(state, drawn)
            yield from (framed * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def _source(self, state: LivePortraitState) -> Tensor:
        """The portrait's own keypoints (1, K, 3)."""
        own = keypoints(state.kp, state.z[None], state.own_pose[None].astype(np.float64), state.square)
        return torch.from_numpy(own).to(self.device)

    def _drawn(self, volume: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        """Frames (B, 3, 512, 512) of keypoints (B, K, 3)."""
        source = source.expand(len(driving), -1, -1)
        if self._settings.stitching:
            driving = self._networks.retargeting.stitched(source, driving)
        warped = self._networks.warping(volume.expand(len(driving), -1, -1, -1, -1), source, driving.float())
        frames: Tensor = self._networks.decoder(warped.out.contiguous(memory_format=self._layout))
        return frames

    def _pasted(self, state: LivePortraitState, drawn: Tensor) -> Tensor:
        """Frames of the square (B, 3, P, P) put into the portrait's crop, (B, 3, 512, 512)."""
        left, top, side = state.square
        grid = _grid(self.size_px, (-left / side, -top / side, CROP_SIZE_PX / side), self.device)
        placed = F.grid_sample(drawn, grid.expand(len(drawn), -1, -1, -1), padding_mode="border", align_corners=False)
        return (state.photo + state.covered * (placed - state.photo)).clamp(0, 1)

    def _covered(self, square: Square) -> Tensor:
        """How much of each pixel of the crop the square's frame gives: 1 inside, softly 0 at its border, (1, 1, 512, 512)."""
        left, top, side = square
        grid = _grid(self.size_px, (-left / side, -top / side, CROP_SIZE_PX / side), self.device)
        to_border = 1 - grid.abs().amax(-1)
        return (to_border / (2 * FEATHER)).clamp(0, 1)[:, None]

    def _cut(self, pictures: Tensor, square: Square, size_px: int) -> Tensor:
        """The square of pictures of the 512 crop (B, 3, S, S), whatever their size, as (B, 3, size_px, size_px)."""
        left, top, side = (value / CROP_SIZE_PX for value in square)
        shrinks = side * pictures.shape[-1] / size_px
        if shrinks > 1:  # else every second pixel would be left out, and others taken twice
            whole = max(size_px, int(round(pictures.shape[-1] / shrinks)))
            pictures = F.interpolate(pictures, (whole, whole), mode="bilinear", antialias=True)
        grid = _grid(size_px, (left, top, side), self.device)
        return F.grid_sample(pictures, grid.expand(len(pictures), -1, -1, -1), padding_mode="border", align_corners=False)

    def _tensor(self, pictures: Frame) -> Tensor:
        """Pictures (B, S, S, 3) as (B, 3, S, S) in 0..1 on the device.

        Raises:
            SpaceError: they are not square.
        """
        if pictures.shape[1] != pictures.shape[2]:
            size = f"{pictures.shape[2]}x{pictures.shape[1]}"
            raise SpaceError(f"{NAME}: picture of {size} px, need a square crop (space_data.crop)")
        return torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float() / 255

    def _autocast(self) -> AbstractContextManager[None]:
        dtype = DTYPES[self._settings.precision]
        return torch.autocast(torch.device(self.device).type, dtype=dtype, enabled=dtype is not None)


def keypoints(kp: Array, z: Array, pose: NDArray[np.float64], square: Square) -> Array:
    """Canonical points (K, 3) with expression (T, K * 3) in its poses (T, 6): (T, K, 3) in [-1, 1] of the square."""
    left, top, side = square
    rotation = rotation_matrix(pose[:, 0], pose[:, 1], pose[:, 2])
    turned = kp.astype(np.float64) @ np.swapaxes(rotation, 1, 2) + np.asarray(z, np.float64).reshape(len(pose), -1, 3)
    middle = np.stack([pose[:, 4] - left, pose[:, 5] - top], 1) * (2 / side) - 1
    scale = pose[:, 3] * (2 / side)
    moved = scale[:, None, None] * turned
    moved[..., :2] += middle[:, None]
    return moved.astype(np.float32)


def _latents(motion: Motion) -> Array:
    return motion.exp.float().cpu().numpy()


def _own_pose(motion: Motion, square: Square) -> Array:
    """Its pose (B, 6) in `head.COLUMNS`, lengths in pixels of the 512 crop."""
    left, top, side = square
    angles = [degrees(bins) for bins in (motion.yaw, motion.pitch, motion.roll)]
    half = side / 2
    lengths = [motion.scale[:, 0] * half, left + (motion.t[:, 0] + 1) * half, top + (motion.t[:, 1] + 1) * half]
    return torch.stack([*angles, *lengths], 1).float().cpu().numpy()


def _grid(size_px: int, square: Square, device: str) -> Tensor:
    """Where the pixels of a picture of ``size_px`` lie in another one, given its square there as shares of that one's side."""
    line = (torch.arange(size_px, device=device) + 0.5) / size_px
    left, top, side = square
    x, y = (2 * (start + side * line) - 1 for start in (left, top))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]


def load_liveportrait(folder: Path, settings: LivePortraitSettings, device: str, spec: LatentSpec | None) -> LivePortrait:
    """The generator whose weights lie in ``folder``, with the ``spec`` that was measured with it, if one was.

    Raises:
        SpaceError: weights are missing, damaged or of other networks.
    """
    networks, config = load_networks(folder)
    return LivePortrait(networks, config, settings, device, spec, weights_sha256(folder))
