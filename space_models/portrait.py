"""A portrait: one picture with one face, cropped, measured and ready to be animated."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.crop import CROP_SIZE_PX, CropBox, crop_box
from space_data.errors import SpaceError
from space_data.facemesh import FaceFinder, mesh_of_image
from space_data.landmarks import PoseTrack, estimate_pose, mesh_to_landmarks, normalise
from space_data.media.images import read_image

logger = logging.getLogger(__name__)

SOURCE_MAX_PX = 1024
SECOND_FACE_SHARE = 0.4  # of the main face's width: smaller ones are passers-by
MARGIN_SHARE, MID_GREY = 0.5, 127  # of the longer side, around a picture whose face may fill it
LOOK_SIDES = 2.4  # face boxes around a detected face that the mesh is fitted in: it wants the whole head
SHARP_FACE_PX = 160  # mesh width below which a 512-pixel crop is visibly upsampled
LEAST_FACE_PX = 40  # ... and below which the mesh is guesswork
FRONTAL_YAW_DEG, LARGEST_YAW_DEG = 25.0, 45.0  # up to which it works well, and at all: then the far eye is not in the picture
FRONTAL_PITCH_DEG = 25.0
VISIBLE_SHARE, LEAST_VISIBLE_SHARE = 0.98, 0.93  # of the mesh inside the picture


@dataclass(frozen=True)
class Portrait:
    """A face ready for the generators.

    `rgb` uint8 (512, 512, 3), the crop; `source_rgb` the same square with up to 1024 pixels a side, as far as the picture has
    them; `mesh` (478, 3), `landmarks` (78, 3) and `pose` (one row) in pixels of `rgb`; `normalised` (78, 3) the landmarks without
    pose; `box` the square in the picture; `warnings` what a user should know, one line each.
    """

    rgb: NDArray[np.uint8]
    source_rgb: NDArray[np.uint8]
    mesh: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    pose: PoseTrack
    normalised: NDArray[np.float32]
    box: CropBox
    warnings: tuple[str, ...]


def load_portrait(picture: Path | str | NDArray[np.uint8], name: str = "portrait") -> Portrait:
    """Find the face in a picture (a path, or RGB uint8 (H, W, 3)), crop it by the rule of `space_data.crop` and measure it.

    Of several faces the largest is taken. Problems that still give a result are logged as warnings and kept in the portrait.

    Raises:
        SpaceError: unreadable file, not an RGB picture, no human face, or one that is tiny, cut off or seen from the side.
    """
    if isinstance(picture, (str, Path)):
        name = str(picture)
        rgb = read_image(picture)
    else:
        rgb = picture
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise SpaceError(f"{name}: array of shape {rgb.shape} and type {rgb.dtype}, need uint8 RGB (height, width, 3)")
    height, width = rgb.shape[:2]
    faces = _faces(rgb)
    mesh = _mesh_of_face(rgb, faces[0, :4]) if len(faces) else None
    if mesh is None:
        raise SpaceError(f"{name}: no human face found in the {width}x{height} px picture (need one face seen from the front)")

    box = crop_box(mesh[None], width, height)
    crop = box.apply(rgb, CROP_SIZE_PX, padding="soft")
    in_crop = mesh_of_image(crop)  # more exact: the face always has the same size here
    if in_crop is None:
        in_crop = box.transform(mesh)
    face_px = float(np.ptp(mesh[:, 0]))
    if face_px < LEAST_FACE_PX:
        raise SpaceError(f"{name}: face {face_px:.0f} px wide, need {LEAST_FACE_PX} px (is there a larger copy of the picture?)")
    visible = float(((mesh[:, :2] >= 0) & (mesh[:, :2] < (width, height))).all(axis=1).mean())
    if visible < LEAST_VISIBLE_SHARE:
        raise SpaceError(
            f"{name}: face cut by the edge of the picture, {100 * visible:.0f} % of it visible, need "
            f"{100 * LEAST_VISIBLE_SHARE:.0f} % (use an uncropped picture)"
        )
    yaw_deg = float(estimate_pose(in_crop[None]).yaw_deg[0])
    if abs(yaw_deg) > LARGEST_YAW_DEG:
        raise SpaceError(
            f"{name}: head turned {abs(yaw_deg):.0f} degrees to the side, need {LARGEST_YAW_DEG:.0f} or less (use a picture from "
            "the front: a profile does not show the other half of the face)"
        )
    return _measured(name, box, rgb, in_crop, _warnings(faces, face_px, visible, box))


def portrait_of_crop(rgb: NDArray[np.uint8], name: str = "portrait") -> Portrait:
    """A portrait from a picture that the crop rule made already (a frame of an aligned clip, square): not cropped again, so that
    generated frames lie on the clip's own pixels.

    Raises:
        SpaceError: no square picture, or no face in it.
    """
    if rgb.shape[0] != rgb.shape[1]:
        raise SpaceError(f"{name}: {rgb.shape[1]}x{rgb.shape[0]} px, need a square crop (use load_portrait for other pictures)")
    box = CropBox(0, 0, rgb.shape[0])
    mesh = mesh_of_image(box.apply(rgb, CROP_SIZE_PX))
    if mesh is None:
        raise SpaceError(f"{name}: no face found in the crop (is it of another clip?)")
    return _measured(name, box, rgb, mesh, [])


def _measured(name: str, box: CropBox, rgb: NDArray[np.uint8], in_crop: NDArray[np.float32], warnings: list[str]) -> Portrait:
    """The portrait of the face with mesh `in_crop` (478, 3), in the square `box` of `rgb`; warnings are logged."""
    source_px = int(min(max(box.side, CROP_SIZE_PX), SOURCE_MAX_PX))
    pose = estimate_pose(in_crop[None])
    warnings = warnings + _pose_warnings(pose)
    for warning in warnings:
        logger.warning("%s: %s", name, warning)
    landmarks = mesh_to_landmarks(in_crop[None])
    return Portrait(
        rgb=box.apply(rgb, CROP_SIZE_PX, padding="soft"),
        source_rgb=box.apply(rgb, source_px, padding="soft"),
        mesh=in_crop,
        landmarks=landmarks[0],
        pose=pose,
        normalised=normalise(landmarks, pose)[0],
        box=box,
        warnings=tuple(warnings),
    )


def _faces(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Detected faces (n, 5) as `FaceFinder.boxes` gives them; the mesh cannot say, it fits a dog as well.

    The detector misses a face that fills the picture, so without one it looks again at the picture with a margin around it.
    """
    with FaceFinder() as finder:
        faces = finder.boxes(rgb)
        if len(faces):
            return faces
        margin = int(MARGIN_SHARE * max(rgb.shape[:2]))
        framed = np.pad(rgb, ((margin, margin), (margin, margin), (0, 0)), constant_values=MID_GREY)
        faces = finder.boxes(framed)
        faces[:, :4] -= margin
        return faces


def _mesh_of_face(rgb: NDArray[np.uint8], face: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Mesh (478, 3) in pixels of `rgb` of the face in one detector box; on a close-up of it, so that no other face is taken."""
    x0, y0, x1, y1 = (float(v) for v in face)
    side = max(2, int(round(LOOK_SIDES * max(x1 - x0, y1 - y0))))
    look = CropBox(int(round((x0 + x1 - side) / 2)), int(round((y0 + y1 - side) / 2)), side)
    mesh = mesh_of_image(look.apply(rgb, CROP_SIZE_PX))
    return mesh_of_image(rgb) if mesh is None else look.inverse(mesh, CROP_SIZE_PX)


def _warnings(faces: NDArray[np.float32], face_px: float, visible: float, box: CropBox) -> list[str]:
    """What the user should know about the picture."""
    warnings = []
    if len(faces) > 1:
        widths = faces[:, 2] - faces[:, 0]
        others = int((widths[1:] >= SECOND_FACE_SHARE * widths[0]).sum())
        if others:
            warnings.append(f"{others + 1} faces found, the largest ({widths[0]:.0f} px wide) is animated")
    if face_px < SHARP_FACE_PX:
        scale = CROP_SIZE_PX / box.side
        warnings.append(f"face {face_px:.0f} px wide, {SHARP_FACE_PX} or more gives a sharp video (enlarged x{scale:.1f})")
    if visible < VISIBLE_SHARE:
        warnings.append(f"face cut by the edge of the picture, {100 * visible:.0f} % of it visible")
    return warnings


def _pose_warnings(pose: PoseTrack) -> list[str]:
    """What the user should know about the head's direction."""
    yaw, pitch = float(pose.yaw_deg[0]), float(pose.pitch_deg[0])
    if abs(yaw) > FRONTAL_YAW_DEG:
        return [f"head turned {abs(yaw):.0f} degrees to the side, up to {FRONTAL_YAW_DEG:.0f} work well"]
    if abs(pitch) > FRONTAL_PITCH_DEG:
        return [f"head tilted {abs(pitch):.0f} degrees {'down' if pitch > 0 else 'up'}, up to {FRONTAL_PITCH_DEG:.0f} work well"]
    return []
