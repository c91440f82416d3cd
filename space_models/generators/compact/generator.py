"""`compact` as a generator to plug in: latents from pixels, exact pose, the photo moved at full size.

Keypoints are in pixels of the portrait's 512 crop, depth in the same unit: the ``N_KEYPOINTS`` of the face, then the head's own
frame as four points (its origin and the ends of its axes, one IOD long), from which `render` reads the exact pose.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.facemesh import person_matte
from space_data.landmarks import PoseTrack, angles_deg, posed
from space_models.checkpoints import from_config, load_card, load_weights
from space_models.generators import Array, Extracted, Frame, LatentSpec, pose_at
from space_models.generators.compact.canvas import sample_canvas
from space_models.generators.compact.composite import CanvasFrame, composite
from space_models.generators.compact.keypoints import N_KEYPOINTS, NAMES, Face
from space_models.generators.compact.networks import MODEL, CompactConfig, CompactNet, Source
from space_models.generators.warp_background import Background, background_of

if TYPE_CHECKING:
    from space_models.portrait import Portrait

N_POINTS = N_KEYPOINTS + 4
"""K: keypoints of the face and the head's frame."""
BATCH_FRAMES = 8
EFFECT_LIDS = 4.0
"""How much more lids and irises count in `LatentSpec.weight`, as squares: they move less than lips, and eyes are looked at."""
_FRAME = np.concatenate([np.zeros((1, 3)), np.eye(3)]).astype(np.float32)


@dataclass(frozen=True)
class CompactState:
    """What depends on the portrait only: the photo (512, 512, 3), its latents `z` (D,), what the networks need, its pose (7,);
    the background behind the head, where the portrait's mesh is known."""

    photo: NDArray[np.uint8]
    z: Array
    source: Source
    offset: Tensor
    pose: Array
    background: Background | None = None


class CompactGenerator:
    """A `KeypointGenerator`; also for cropped pictures whose pose is known already (`prepare_picture`)."""

    size_px = CROP_SIZE_PX
    crop = None

    def __init__(self, net: CompactNet, spec: LatentSpec, device: str = "cpu") -> None:
        self.spec, self.device = spec, device
        self._net = net.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def prepare(self, portrait: "Portrait") -> CompactState:
        """Features, own latents and keypoints of a portrait, and its background without the person."""
        background = background_of(portrait.rgb, person_matte(portrait.rgb), portrait.mesh)
        return replace(self.prepare_picture(portrait.rgb, portrait.pose), background=background)

    def prepare_picture(self, rgb: Frame, pose: PoseTrack) -> CompactState:
        """As `prepare`, for a crop (512, 512, 3) whose pose (one row, its pixels) is known.

        Raises:
            SpaceError: a picture of another size.
        """
        if rgb.shape != (self.size_px, self.size_px, 3):
            raise SpaceError(f"compact: picture of shape {rgb.shape}, need ({self.size_px}, {self.size_px}, 3) (space_data.crop)")
        row = pose.as_array()[0]
        with torch.inference_mode():
            canvas = self._canvases([sample_canvas(rgb, row)])
            z, offset = self._net.encoder(canvas)
            pose_row = self._tensor(row[None])
            source = self._net.source(canvas, self._net.face(z, offset, pose_row))
            own = z - self._net.pose_part(pose_row)
        return CompactState(rgb, own[0].cpu().numpy(), source, offset, row)

    def extract(self, frames: Iterable[Frame], landmarks_px: Array, pose: PoseTrack) -> Extracted:
        """Latents (T, D) of cropped frames (square, any size, lazily read); the pose is taken as given, in pixels of the 512.

        Raises:
            SpaceError: not as many frames as poses.
        """
        found: list[Array] = []
        count, pending = 0, iter(frames)
        while chunk := list(islice(pending, BATCH_FRAMES)):
            rows = pose_at(pose[count : count + len(chunk)], chunk[0].shape[0] / self.size_px).as_array()
            if len(rows) != len(chunk):
                raise SpaceError(f"compact: more frames than the {len(pose)} poses (of another clip?)")
            with torch.inference_mode():
                canvas = self._canvases([sample_canvas(frame, row) for frame, row in zip(chunk, rows, strict=True)])
                z = self._net.encoder(canvas)[0] - self._net.pose_part(self._tensor(rows))
                found.append(z.cpu().numpy())
            count += len(chunk)
        if count != len(pose) or count != len(landmarks_px):
            given = f"{count} frames, {len(pose)} poses, landmarks for {len(landmarks_px)}"
            raise SpaceError(f"compact: {given}, need the same number of each")
        latents = np.concatenate(found) if found else np.zeros((0, self.spec.size), np.float32)
        return Extracted(latents, np.zeros((count, 0), np.float32))

    def fit_pose(self, own_pose: Array, pose: PoseTrack) -> tuple[float, ...]:
        """Nothing: the pose is used as it is."""
        return ()

    def compose(self, state: CompactState, z: Array, pose: PoseTrack) -> Array:
        """Keypoints (T, K, 3) of latents (T, D) in the head's pose.

        Raises:
            SpaceError: latents of another size, or another number of poses.
        """
        if z.ndim != 2 or z.shape[1] != self.spec.size or len(z) != len(pose):
            raise SpaceError(f"compact: latents of shape {z.shape} for {len(pose)} poses, need ({len(pose)}, {self.spec.size})")
        with torch.inference_mode():
            rows = self._tensor(pose.as_array())
            points = self._net.face(self._tensor(z) + self._net.pose_part(rows), state.offset, rows).points.cpu().numpy()
        return posed(np.concatenate([points, np.broadcast_to(_FRAME, (len(z), 4, 3))], 1), pose)

    def render(self, state: CompactState, keypoints: Array) -> Iterator[Frame]:
        """Frames (512, 512, 3) for keypoints (T, K, 3).

        Raises:
            SpaceError: keypoints of another shape, or not finite.
        """
        if keypoints.ndim != 3 or keypoints.shape[1:] != (N_POINTS, 3):
            raise SpaceError(f"compact: keypoints of shape {keypoints.shape}, need (frames, {N_POINTS}, 3)")
        if not np.isfinite(keypoints).all():
            raise SpaceError("compact: keypoints are not all finite (were the landmarks interpolated?)")
        for first in range(0, len(keypoints), BATCH_FRAMES):
            points, poses = in_head_frame(keypoints[first : first + BATCH_FRAMES])
            with torch.inference_mode():
                face = self._face(state, self._tensor(points), self._tensor(poses))
                drawn = self._net.draw(state.source.expand(len(points)), face)
                displacement = drawn.displacement.float().cpu().numpy()
                painted = drawn.painted.float().permute(0, 2, 3, 1).cpu().numpy()
                shown = drawn.shown[:, 0].float().cpu().numpy()
            for i, row in enumerate(poses):
                frame = CanvasFrame(displacement[i], painted[i], shown[i], state.pose, row)
                yield composite(state.photo, frame, state.background)

    def _face(self, state: CompactState, points: Tensor, pose: Tensor) -> Face:
        return Face(points, points - self._net.canonical - state.offset, pose)

    def _canvases(self, canvases: list[NDArray[np.uint8]]) -> Tensor:
        """(T, 3, S, S) in [0, 1] on the device."""
        return torch.from_numpy(np.stack(canvases)).to(self.device).permute(0, 3, 1, 2).float() / 255

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(np.array(array, np.float32)).to(self.device)


def in_head_frame(keypoints: Array) -> tuple[Array, Array]:
    """Points (T, N_KEYPOINTS, 3) in the head's frame, IOD, and poses (T, 7) of keypoints (T, K, 3)."""
    origin = keypoints[:, N_KEYPOINTS].astype(np.float64)
    axes = np.swapaxes(keypoints[:, N_KEYPOINTS + 1 :] - origin[:, None], 1, 2)  # columns: s R e_x, s R e_y, s R e_z
    scale = np.cbrt(np.linalg.det(axes))
    yaw, pitch, roll = angles_deg(axes / scale[:, None, None])
    poses = np.concatenate([np.stack([yaw, pitch, roll, scale], 1), origin], 1)
    points = (keypoints[:, :N_KEYPOINTS] - origin[:, None]) @ axes / scale[:, None, None] ** 2
    return points.astype(np.float32), poses.astype(np.float32)


def latent_weight(net: CompactNet) -> NDArray[np.float64]:
    """Squared movement of the keypoints, IOD, for one unit of each latent, (D,); lids and irises count more."""
    effect = net.basis.detach().cpu().double().unflatten(1, (N_KEYPOINTS, 3)).square().sum(2).numpy()
    counted = np.array([EFFECT_LIDS if name.startswith(("lid", "iris")) else 1.0 for name in NAMES])
    return np.asarray(effect @ counted)


def load_compact(folder: Path, spec: LatentSpec | None = None, device: str = "cpu") -> CompactGenerator:
    """The generator whose weights and card lie in `folder`; `spec` with measured statistics, if there are any.

    Raises:
        SpaceError: nothing there, another model, or weights that are not those the card describes.
    """
    card = load_card(folder, MODEL)
    net = CompactNet(from_config(folder, card, CompactConfig))
    load_weights(folder, card, net)
    return CompactGenerator(net, spec or LatentSpec.declared(MODEL, card.weights_sha256, latent_weight(net)), device)
