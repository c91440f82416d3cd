"""`compact`: the small keypoint-driven generator of our own, with weights trained by our recipe (`compact_train`).

Flow and painted parts are computed at the working size (128 px); the photo itself is warped at full size, so what moves stays
as sharp as the photo, and only what has to be invented (open mouth, lids, uncovered background) is soft.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack, normalise, posed
from space_models.checkpoints import load_card, load_weights
from space_models.generators import CropRule, Extracted, LatentSpec
from space_models.generators.compact_nets import (
    DETAIL_KEYPOINTS,
    N_KEYPOINTS,
    CompactConfig,
    CompactNet,
    Drawn,
    anchors_of,
    resize,
    resize_flow,
    warp,
)
from space_models.portrait import Portrait

MODEL = "compact"
CHUNK_FRAMES = 8  # fixed, so that a result does not depend on how a clip is cut
DETAIL_WEIGHT = 3.0  # of eyes and mouth in errors of the latents
HALF_CROP_PX = CROP_SIZE_PX / 2
CENTRE = np.array([1.0, 1.0, 0.0], np.float32)


@dataclass(frozen=True)
class CompactState:
    """What depends on the portrait only: `photo` (1, 3, 512, 512) and `small` (1, 3, S, S) in [0, 1], appearance maps,
    the portrait's own `keypoints` (K, 3), and these in the head's frame, `z` (K * 3,)."""

    photo: Tensor
    small: Tensor
    features: list[Tensor]
    keypoints: NDArray[np.float32]
    z: NDArray[np.float32]


class CompactGenerator:
    """The `KeypointGenerator` that warps and repaints the photo as its keypoints say.

    Keypoints are (K, 3): x right, y down in [-1, 1] from edge to edge of the crop, z away from the camera in the same unit. Its
    latents are the same points in the head's own frame (IOD).
    """

    size_px = CROP_SIZE_PX
    crop: CropRule | None = None
    device = "cpu"

    def __init__(self, net: CompactNet, weights_sha256: str = "", spec: LatentSpec | None = None) -> None:
        self._net = net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        weight = np.ones((N_KEYPOINTS, 3))
        weight[DETAIL_KEYPOINTS] = DETAIL_WEIGHT
        self.spec = spec or LatentSpec.declared(MODEL, weights_sha256, weight.ravel())

    def extract(
        self, frames: Iterable[NDArray[np.uint8]], landmarks_px: NDArray[np.float32], pose: PoseTrack
    ) -> Extracted:
        """See `KeypointGenerator`."""
        keypoints = self.keypoints_of(frames, landmarks_px)
        z = normalise((keypoints + CENTRE) * HALF_CROP_PX, pose).reshape(len(keypoints), -1)
        return Extracted(z, np.zeros((len(z), 0), np.float32))

    def fit_pose(self, own_pose: NDArray[np.float32], pose: PoseTrack) -> tuple[float, ...]:
        """None: the given pose is used."""
        return ()

    def compose(self, state: CompactState, z: NDArray[np.float32], pose: PoseTrack) -> NDArray[np.float32]:
        """See `KeypointGenerator`."""
        return (posed(z.reshape(-1, N_KEYPOINTS, 3), pose) / HALF_CROP_PX - CENTRE).astype(np.float32)

    def keypoints_of(self, frames: Iterable[NDArray[np.uint8]], landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """Keypoints (T, K, 3) of cropped RGB frames (square, of any size, lazily read), landmarks (T, 78, 3) in the 512 crop.

        Raises:
            SpaceError: not as many frames as landmarks.
        """
        size_px = self._net.config.size_px
        found: list[NDArray[np.float32]] = []
        pending = iter(frames)
        while chunk := list(islice(pending, CHUNK_FRAMES)):
            first = len(found) * CHUNK_FRAMES
            anchors = anchors_of(landmarks_px[first : first + len(chunk)], CROP_SIZE_PX)
            if len(anchors) != len(chunk):
                raise SpaceError(f"compact: more frames than the {len(landmarks_px)} landmarks (of another clip?)")
            with torch.inference_mode():
                pictures = _tensor(np.stack([_shrink(frame, size_px) for frame in chunk]))
                found.append(self._net.refiner(pictures, torch.from_numpy(anchors)).numpy())
        keypoints = np.concatenate(found) if found else np.zeros((0, N_KEYPOINTS, 3), np.float32)
        if len(keypoints) != len(landmarks_px):
            raise SpaceError(f"compact: {len(keypoints)} frames, landmarks for {len(landmarks_px)}, need the same number")
        return keypoints

    def prepare(self, portrait: Portrait) -> CompactState:
        """Appearance, keypoints and latents of a portrait."""
        rgb = portrait.rgb
        photo = cv2.resize(rgb, (self.size_px, self.size_px), interpolation=cv2.INTER_CUBIC)
        small = _tensor(_shrink(rgb, self._net.config.size_px)[None])
        with torch.inference_mode():
            features = self._net.painter.features(small)
        keypoints = self.keypoints_of([rgb], portrait.landmarks[None])
        z = normalise((keypoints + CENTRE) * HALF_CROP_PX, portrait.pose)
        return CompactState(_tensor(np.asarray(photo, np.uint8)[None]), small, features, keypoints[0], z.ravel())

    def render(self, state: CompactState, keypoints: NDArray[np.float32]) -> Iterator[NDArray[np.uint8]]:
        """Frames (512, 512, 3) for keypoints (T, K, 3).

        Raises:
            SpaceError: keypoints of another shape, or not finite.
        """
        if keypoints.ndim != 3 or keypoints.shape[1:] != (N_KEYPOINTS, 3):
            raise SpaceError(f"compact: driving keypoints of shape {keypoints.shape}, need (frames, {N_KEYPOINTS}, 3)")
        if not np.isfinite(keypoints).all():
            raise SpaceError("compact: driving keypoints are not all finite (were the landmarks interpolated?)")
        source_kp = torch.from_numpy(state.keypoints)[None]
        for row in np.array(keypoints, np.float32):  # a copy: tables are read-only
            with torch.inference_mode():
                drawn = self._net.draw(state.small, source_kp, torch.from_numpy(row)[None], state.features)
                frame = self._at_full_size(state.photo, drawn)
            yield frame

    def _at_full_size(self, photo: Tensor, drawn: Drawn) -> NDArray[np.uint8]:
        """Blend the full-size warp with the enlarged painted parts."""
        warped = warp(photo, resize_flow(drawn.flow, self.size_px))
        shown = resize(drawn.shown, self.size_px)
        picture = shown * warped + (1 - shown) * resize(drawn.painted, self.size_px)
        return (picture[0].clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def _shrink(rgb: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    method = cv2.INTER_AREA if rgb.shape[0] > size_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (size_px, size_px), interpolation=method), np.uint8)


def _tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """Pictures (T, H, W, 3) as (T, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def load_compact(folder: Path, spec: LatentSpec | None = None) -> CompactGenerator:
    """The generator whose weights and card lie in `folder`, with the `spec` that was measured with it, if one was.

    Raises:
        SpaceError: nothing there, another model, or weights that are not those the card describes.
    """
    card = load_card(folder, MODEL)
    net = CompactNet(CompactConfig(**card.config))
    load_weights(folder, card, net)
    return CompactGenerator(net, card.weights_sha256, spec)
