"""`warp`: the training-free generator. A 2.5-D mesh warp of the photo, driven by 78 posed landmarks.

Per frame: head pose and expression are separated on stable points; the expression is spread over the mesh (`warp_mesh`), the
pose turns face and hair; the mesh is rasterised into a source map (`warp_raster`) through which the photo is sampled; mouth and
eyes are painted into their holes (`warp_layers`). With the photo's own landmarks the photo itself comes out.

It believably covers about +-15 degrees of yaw; pose beyond the limits is softly held back. What fails, most visible first:
eyeglasses bend with lids and brows; stretched near cheek past the limits; drawn teeth look painted on mouths opened very wide.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.facemesh import person_matte, track_faces
from space_data.landmarks import (
    N_LANDMARKS,
    STABLE_78,
    angles_deg,
    estimate_pose,
    lip_gap,
    posed,
    rotation_matrix,
    similarity,
)
from space_data.params import Warp
from space_models.generators.lip_correction import LOOKS, GapCorrection, gaps_read
from space_models.generators.warp_background import Background, background_of, hold_still
from space_models.generators.warp_layers import (
    EyeLayer,
    MouthLayer,
    build_eyes,
    build_mouth,
    gaze_shift,
    paint_eye,
    paint_mouth,
    skull_inverse,
)
from space_models.generators.warp_lips import lip_source, open_share, shut_rows, with_wanted_gap
from space_models.generators.warp_mesh import (
    CHIN,
    FACE_OVAL,
    LID_LOWER,
    LID_UPPER,
    LIP_LOWER,
    LIP_UPPER,
    WarpMesh,
    build_mesh,
    clamp_controls,
    clamp_rows,
)
from space_models.generators.warp_raster import FAR, rasterise, sharpen_moved, smooth_seams, soften_stretched
from space_models.portrait import Portrait
from space_models.posegen.pose import N_POSE, apply_pose
from space_models.retarget import relaxed

SEAM_JUMP_PX = 3.0
STRETCHED, SOFT_RADIUS_PX = (0.3, 0.6), 5.0
"""Photo pixels to a pixel of the frame, and a radius at 512 pixels: see `soften_stretched`."""
SHARPEN_SIGMA_PX = 1.0
SHARPEN_FULL_AT_PX = 0.5
TYPICAL_SHIFT_PX = 0.125  # half way to the worst phase of the doubled photo
TURNED_PHOTO_DEG = (20.0, 50.0)  # yaw of the photo over which the yaw limit shrinks ...
LEAST_YAW_SHARE = 0.2  # ... to this share
TRIAL_DEG, MOST_TURN_GAIN = 8.0, 1.5
SOFT_CLIP_KNEE = 0.75  # of a limit: angles below pass unchanged
_ONE_MAP = np.empty(0, np.float32)  # for `cv2.remap`: x and y are interleaved in the other


@dataclass(frozen=True)
class WarpState:
    """Everything that depends on the portrait only.

    `photo2x` is the photo at twice its size, every other pixel of which is the photo's; `background` what stays; `pivot` (3,),
    photo pixels, the middle of the head at ear depth, about which angles are held back to within `limits_deg` (yaw, pitch, roll);
    `sharpen` the unsharp amount that makes up for resampling this photo; `iod_px` its inter-ocular distance; `head_down` (3,) the
    head's own downward direction; `lips` what gap to draw for a gap that is wanted; `turn_gain` by how much more than wanted yaw
    and pitch are turned.
    """

    photo2x: NDArray[np.uint8]
    mesh: WarpMesh
    background: Background
    mouth: MouthLayer
    eyes: tuple[EyeLayer, EyeLayer]
    pivot: NDArray[np.float64]
    limits_deg: tuple[float, float, float]
    sharpen: float
    iod_px: float
    head_down: NDArray[np.float64]
    lips: GapCorrection
    turn_gain: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class _Pose:
    """Photo -> frame similarity."""

    scale: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    def apply(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.scale * points @ self.rotation.T + self.translation

    def remove(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return (points - self.translation) @ self.rotation / self.scale


class WarpGenerator:
    """Warps the photo as posed landmarks say; see `renderers.WarpRenderer`.

    Frames have `size_px` a side and the detail that the portrait's picture has at that size; landmarks and poses are in pixels of
    the 512 crop all the same.
    """

    def __init__(self, params: Warp, size_px: int = CROP_SIZE_PX) -> None:
        self._params, self.size_px = params, size_px

    def prepare(self, portrait: Portrait) -> WarpState:
        """Build mesh and layers of a portrait, and try its mouth out (0.5-1 s)."""
        at_size = portrait.at_size(self.size_px)
        matte = person_matte(at_size.rgb)
        mesh = build_mesh(at_size.mesh, matte, self.size_px)
        oval = mesh.vertices[FACE_OVAL]
        photo2x = upsample_aligned(at_size.rgb)
        state = WarpState(
            photo2x=photo2x,
            mesh=mesh,
            background=background_of(at_size.rgb, matte, at_size.mesh),
            mouth=build_mouth(mesh.vertices, at_size.rgb),
            eyes=build_eyes(mesh.vertices, mesh.landmarks),
            pivot=np.append(oval[:, :2].mean(axis=0), oval[:, 2].max()),
            limits_deg=(
                self._params.max_yaw_deg * hidden_side_factor(float(portrait.pose.yaw_deg[0])),
                self._params.max_pitch_deg,
                self._params.max_roll_deg,
            ),
            sharpen=lost_sharpness(at_size.rgb, photo2x, self._params.sharpen),
            iod_px=float(at_size.pose.scale[0]),
            head_down=portrait.pose.rotation()[0][:, 1],
            lips=GapCorrection.none(),
        )
        own_gap = float(lip_gap(portrait.normalised))
        trial = partial(gaps_read, lambda faces, pose: self.render(state, posed(faces, pose)), portrait)
        state = replace(state, lips=GapCorrection.measure(own_gap, trial))
        yaw_gain, pitch_gain = self._turn_gain(state, portrait)
        yaw_limit, pitch_limit, roll_limit = state.limits_deg
        # Of pitch the limit is of what is seen, as nothing tears there; of yaw of what is drawn, as the near cheek does.
        limits_deg = (yaw_limit, pitch_gain * pitch_limit, roll_limit)
        return replace(state, turn_gain=(yaw_gain, pitch_gain), limits_deg=limits_deg)

    def _turn_gain(self, state: WarpState, portrait: Portrait) -> tuple[float, float]:
        """What yaw and pitch must be multiplied by so that the landmark tracker reads in the frames what was wanted.

        The tracker's mesh of one photo is flatter than the head, so that it shows less parallax: read were .66 to .91 of the yaw
        and .6 to .8 of the pitch told.
        """
        turns = np.zeros((4, N_POSE))
        turns[:2, 0], turns[2:, 1] = (-TRIAL_DEG, TRIAL_DEG), (-TRIAL_DEG, TRIAL_DEG)
        faces = np.repeat(relaxed(portrait.normalised)[None], len(turns), 0)
        frames = (f for f in self.render(state, posed(faces, apply_pose(turns, portrait.pose))) for _ in range(LOOKS))
        read = estimate_pose(track_faces(frames)[LOOKS - 1 :: LOOKS])
        spans = float(read.yaw_deg[1] - read.yaw_deg[0]), float(read.pitch_deg[3] - read.pitch_deg[2])
        gains = [2 * TRIAL_DEG / max(span, 1.0) if np.isfinite(span) else 1.0 for span in spans]
        return float(np.clip(gains[0], 1.0, MOST_TURN_GAIN)), float(np.clip(gains[1], 1.0, MOST_TURN_GAIN))

    def render(self, state: WarpState, driving: NDArray[np.float32]) -> Iterator[NDArray[np.uint8]]:
        """Frames (size_px, size_px, 3) for posed landmarks (T, 78, 3) in pixels of the portrait's 512 crop.

        Raises:
            SpaceError: landmarks of another shape, or not finite.
        """
        if driving.ndim != 3 or driving.shape[1:] != (N_LANDMARKS, 3):
            raise SpaceError(f"warp: driving landmarks of shape {driving.shape}, need (frames, {N_LANDMARKS}, 3)")
        if not np.isfinite(driving).all():
            bad = int((~np.isfinite(driving).all(axis=(1, 2))).sum())
            raise SpaceError(f"warp: {bad} of {len(driving)} driving frames have no landmarks (interpolate lost faces first)")
        map_xy = np.empty((self.size_px, self.size_px, 2), np.float32)
        depth = np.empty((self.size_px, self.size_px), np.float32)
        driving = driving.astype(np.float64) * (self.size_px / CROP_SIZE_PX)
        poses = similarity(state.mesh.landmarks[STABLE_78], driving[:, STABLE_78])
        for target, scale, rotation, translation in zip(driving, *poses, strict=True):
            yield self._frame(state, target, _Pose(float(scale), rotation, translation), map_xy, depth)

    def _frame(
        self,
        state: WarpState,
        target: NDArray[np.float64],
        seen: _Pose,
        map_xy: NDArray[np.float32],
        depth: NDArray[np.float32],
    ) -> NDArray[np.uint8]:
        """One frame of landmarks (78, 3) in the pose that is `seen` in them; `map_xy` and `depth` are scratch buffers."""
        mesh = state.mesh
        unposed = with_wanted_gap(seen.remove(target), mesh.landmarks, state.lips, state.iod_px, mesh.down, state.head_down)
        pose = _limited(seen, state.pivot, state.limits_deg, (*state.turn_gain, 1.0))

        controls = clamp_controls(unposed, mesh.landmarks, mesh.down)
        shaped = mesh.vertices + mesh.operator @ (controls - mesh.landmarks)[:68]
        lips_open = open_share(unposed, mesh.landmarks, mesh.down)
        shut_rows(shaped, mesh.vertices, mesh.down, lips_open)
        clamp_rows(shaped, mesh.down)
        moved = shaped + mesh.head_weight[:, None] * (pose.apply(shaped) - shaped)

        _source_map(mesh, moved.astype(np.float32), lip_source(mesh.vertices, lips_open), map_xy, depth)
        frame = _sample(state.photo2x, map_xy)
        smooth_seams(frame, map_xy, SEAM_JUMP_PX)
        hold_still(frame, state.background.plate, state.background.person, map_xy)
        soften_stretched(frame, map_xy, STRETCHED, round(SOFT_RADIUS_PX * self.size_px / CROP_SIZE_PX))
        self._paint_layers(frame, state, unposed, moved, pose)
        if state.sharpen > 0:
            sharpen_moved(frame, _blurred(frame), map_xy, state.sharpen, SHARPEN_FULL_AT_PX)
        return frame

    def _paint_layers(
        self,
        frame: NDArray[np.uint8],
        state: WarpState,
        unposed: NDArray[np.float64],
        moved: NDArray[np.float64],
        pose: _Pose,
    ) -> None:
        """Mouth and eyes, in place."""
        mesh, mouth = state.mesh, state.mouth

        def to_photo(depth_px: float) -> NDArray[np.float64]:
            return skull_inverse(pose.scale, pose.rotation, pose.translation, depth_px)

        chin_drop_px = float((pose.remove(moved[CHIN]) - mesh.vertices[CHIN])[:2] @ mesh.down)
        lips = (moved[LIP_UPPER, :2], moved[LIP_LOWER, :2])
        paint_mouth(frame, state.photo2x, mouth, lips, to_photo(mouth.depth_px), chin_drop_px / mouth.width_px)
        gaze = gaze_shift(state.eyes, unposed)
        for eye in state.eyes:
            lids = (moved[LID_UPPER[eye.side], :2], moved[LID_LOWER[eye.side], :2])
            paint_eye(frame, state.photo2x, eye, lids, to_photo(eye.depth_px), gaze)


def _limited(
    pose: _Pose, pivot: NDArray[np.float64], limits_deg: tuple[float, float, float], gains: tuple[float, float, float]
) -> _Pose:
    """The pose with its angles times the gains and softly held within the limits, turned about the middle of the head."""
    turns = zip(angles_deg(pose.rotation), limits_deg, gains, strict=True)
    angles = [soft_clip(gain * float(angle), limit) for angle, limit, gain in turns]
    rotation = rotation_matrix(*(np.asarray(a) for a in angles))
    return _Pose(pose.scale, rotation, pose.apply(pivot) - pose.scale * rotation @ pivot)


def _source_map(
    mesh: WarpMesh,
    moved: NDArray[np.float32],
    source: NDArray[np.float32],
    map_xy: NDArray[np.float32],
    depth: NDArray[np.float32],
) -> None:
    """Fill `map_xy`: hair and background first, then the face over it whatever their depths.

    One common depth buffer instead gives a saw-tooth edge between cheek and hair.
    """
    centres = np.arange(map_xy.shape[0], dtype=np.float32) + np.float32(0.5)
    map_xy[..., 0], map_xy[..., 1] = centres[None, :], centres[:, None]
    for triangles in (mesh.ring_triangles, mesh.face_triangles):
        depth.fill(FAR)
        rasterise(moved, source, triangles, map_xy, depth)


def _sample(photo2x: NDArray[np.uint8], map_xy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The photo seen through a source map (H, W, 2): (H, W, 3)."""
    return np.asarray(cv2.remap(photo2x, 2 * map_xy - 1, _ONE_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def upsample_aligned(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Twice the size by Lanczos, with sample 2 i exactly pixel i: a map that rests gives the photo back bit for bit.

    Bilinear sampling of it keeps as much detail as bicubic sampling of the photo, in a quarter of the time.
    """
    height, width = rgb.shape[:2]
    halve = np.array([[0.5, 0, 0], [0, 0.5, 0]])
    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(rgb, halve, (2 * width, 2 * height), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _blurred(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(rgb, (5, 5), SHARPEN_SIGMA_PX), np.uint8)


def lost_sharpness(rgb: NDArray[np.uint8], photo2x: NDArray[np.uint8], most: float) -> float:
    """The unsharp amount, at most `most`, that gives a shifted photo the Laplacian energy of the photo at rest.

    Sharp photos lose by resampling; soft or enlarged ones do not, and would come out harsh with a fixed amount.
    """

    def energy(picture: NDArray[np.uint8]) -> float:
        return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std())

    centres = np.arange(rgb.shape[0], dtype=np.float32) + np.float32(0.5)
    map_xy = np.stack(np.meshgrid(centres, centres), axis=-1) + np.float32(TYPICAL_SHIFT_PX)
    shifted = _sample(photo2x, map_xy)
    before, target = energy(shifted), energy(rgb)
    sharpen_moved(shifted, _blurred(shifted), map_xy + 1, most, SHARPEN_FULL_AT_PX)
    gain = energy(shifted) - before
    return float(np.clip(most * (target - before) / gain, 0.0, most)) if gain > 0 else 0.0


def hidden_side_factor(photo_yaw_deg: float) -> float:
    """How much of the yaw limit is left for a head that the photo shows turned: its far side is not in the picture."""
    first, last = TURNED_PHOTO_DEG
    return float(np.clip((last - abs(photo_yaw_deg)) / (last - first), LEAST_YAW_SHARE, 1.0))


def soft_clip(value: float, limit: float) -> float:
    """`value` unchanged up to SOFT_CLIP_KNEE of `limit`, then smoothly approaching `limit`."""
    knee = SOFT_CLIP_KNEE * limit
    beyond = abs(value) - knee
    if beyond <= 0:
        return value
    return float(np.copysign(knee + (limit - knee) * np.tanh(beyond / (limit - knee)), value))
