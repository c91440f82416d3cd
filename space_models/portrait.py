"""A portrait: one picture with one face, cropped, measured and ready to be animated."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.crop import CROP_SIZE_PX, CropBox, crop_box
from space_data.errors import SpaceError
from space_data.facemesh import face_finder, mesh_of_image
from space_data.landmarks import PoseTrack, estimate_pose, mesh_to_landmarks, normalise
from space_models.generators import pose_at
from space_models.mouth_cover import covered_mouth
from space_models.video_portrait import read_portrait_picture

logger = logging.getLogger(__name__)

SOURCE_MAX_PX = 1024
SECOND_FACE_SHARE = 0.4  # of the main face's width: smaller ones are passers-by
MARGIN_SHARE, MID_GREY = 0.5, 127  # of the longer side, around a picture whose face may fill it
FRAMED_MAX_PX = 2048  # of that picture
SMALL_IN_PX = 3000  # a longer side from which on a face of 160 pixels may be too small a part of the picture to be found
LOOK_SIDES = 2.4  # face boxes around a detected face that the mesh is fitted in: it wants the whole head
SHARP_FACE_PX = 160  # mesh width below which a 512-pixel crop is visibly upsampled
LEAST_FACE_PX = 40  # ... and below which the mesh is guesswork
FRONTAL_YAW_DEG, LARGEST_YAW_DEG = 25.0, 45.0  # up to which it works well, and at all: then the far eye is not in the picture
FRONTAL_PITCH_DEG = 25.0
LARGEST_ROLL_DEG = 30.0
LEVEL_PX, LEVEL_SIDES = 256, (2.0, 3.5)  # of the squares in which the detector is shown a levelled face; in mesh heights
STANDING_ROLL_DEG = 20.0  # a head that leans less may stand with its mouth covered, which looks upside down to the detector
UPRIGHT_SCORE, UPRIGHT_LEAD = 0.75, 0.08  # of the half turn, that it takes to turn such a head over
VISIBLE_SHARE, LEAST_VISIBLE_SHARE = 0.98, 0.93  # of the mesh inside the picture


@dataclass(frozen=True)
class Portrait:
    """A face ready for the generators.

    `rgb` uint8 (512, 512, 3), the crop; `picture` (H, W, 3) the whole picture, head up, reduced where its crop would have more
    than 1024 pixels a side; `mesh` (478, 3), `landmarks` (78, 3) and `pose` (one row) in pixels of `rgb`; `normalised` (78, 3)
    the landmarks without pose; `box` the square in `picture`; `warnings` what a user should know, one line each.
    """

    rgb: NDArray[np.uint8]
    picture: NDArray[np.uint8]
    mesh: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    pose: PoseTrack
    normalised: NDArray[np.float32]
    box: CropBox
    warnings: tuple[str, ...]

    def at_size(self, size_px: int) -> "Portrait":
        """The same with a crop of `size_px` a side, cut from the picture, and all pixels in its pixels."""
        factor = size_px / self.rgb.shape[0]
        return replace(
            self,
            rgb=self.box.apply(self.picture, size_px, padding="soft"),
            mesh=self.mesh * np.float32(factor),
            landmarks=self.landmarks * np.float32(factor),
            pose=pose_at(self.pose, factor),
        )


def load_portrait(picture: Path | str | NDArray[np.uint8], name: str = "portrait") -> Portrait:
    """Find the face in a picture, crop it by the rule of `space_data.crop` and measure it.

    The picture is a path, of a video also (`video_portrait`), or RGB uint8 (H, W, 3). Of several faces the largest is taken; a
    head that lies on its side or upside down is turned upright by quarter turns. Problems that still give a result are logged as
    warnings and kept in the portrait (`docs/portraits.md`).

    Raises:
        SpaceError: unreadable file, not an RGB picture, no human face, or one that is tiny, tilted, cut off or in profile.
    """
    if isinstance(picture, (str, Path)):
        name = str(picture)
        rgb = read_portrait_picture(Path(picture))
    else:
        rgb = picture
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise SpaceError(f"{name}: array of shape {rgb.shape} and type {rgb.dtype}, need uint8 RGB (height, width, 3)")
    rgb, turns, faces, mesh = _upright(name, np.ascontiguousarray(rgb))
    height, width = rgb.shape[:2]
    box = crop_box(mesh[None], width, height)
    face_px = float(np.ptp(mesh[:, 0]))
    if box.side > SOURCE_MAX_PX:
        factor = SOURCE_MAX_PX / box.side
        width, height = round(width * factor), round(height * factor)
        rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        mesh = mesh * np.float32(factor)
        box = CropBox(round(box.x0 * factor), round(box.y0 * factor), SOURCE_MAX_PX)
    crop = box.apply(rgb, CROP_SIZE_PX, padding="soft")
    in_crop = mesh_of_image(crop)  # more exact: the face always has the same size here
    if in_crop is None:
        in_crop = box.transform(mesh)
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
    warnings = _warnings(turns, faces, face_px, visible, box)
    if cover := covered_mouth(crop, in_crop):
        warnings.append(f"mouth covered (mask, hand, microphone)? {cover}")
    return _measured(name, box, rgb, in_crop, warnings)


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
    pose = estimate_pose(in_crop[None])
    warnings = warnings + _pose_warnings(pose)
    for warning in warnings:
        logger.warning("%s: %s", name, warning)
    landmarks = mesh_to_landmarks(in_crop[None])
    return Portrait(
        rgb=box.apply(rgb, CROP_SIZE_PX, padding="soft"),
        picture=rgb,
        mesh=in_crop,
        landmarks=landmarks[0],
        pose=pose,
        normalised=normalise(landmarks, pose)[0],
        box=box,
        warnings=tuple(warnings),
    )


def _upright(name: str, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int, NDArray[np.float32], NDArray[np.float32]]:
    """The picture with its head up, the quarter turns to the left that took, the faces (n, 5) in it and the largest one's mesh.

    Raises:
        SpaceError: no human face, or one that no quarter turn brings upright.
    """
    turns, view, found = 0, rgb, _face(rgb)
    if found is None:  # a face that lies on its side is found three times in ten only
        looks = {turns: _face(np.ascontiguousarray(np.rot90(rgb, turns))) for turns in (1, 2, 3)}
        turns, found = max(looks.items(), key=lambda look: -1.0 if look[1] is None else float(look[1][0][0, 4]))
    for _ in range(3):  # the angle of a face that lies is rough, of one that stands exact
        view = np.ascontiguousarray(np.rot90(rgb, turns))
        found = found or _face(view)
        if found is None:
            height, width = rgb.shape[:2]
            size = f"{width}x{height} px"
            hint = "; cut it closer around the head if the face is small in it" if max(width, height) > SMALL_IN_PX else ""
            raise SpaceError(f"{name}: no human face found in the {size} picture (need one face seen from the front{hint})")
        roll_deg = _roll_deg(view, found[1])
        if abs(roll_deg) < LARGEST_ROLL_DEG:
            return view, turns % 4, *found
        angle_deg = (roll_deg + 90 * turns + 180) % 360 - 180
        turns, found = round(angle_deg / 90), None
    side, back = ("right", "left") if angle_deg > 0 else ("left", "right")
    raise SpaceError(
        f"{name}: head tilted {abs(angle_deg):.0f} degrees to the {side}, need less than {LARGEST_ROLL_DEG:.0f} "
        f"(turn the picture by {abs(angle_deg):.0f} degrees to the {back})"
    )


def _face(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """The faces in a picture (n, 5), largest first, and the largest one's mesh (478, 3), or None."""
    faces = _faces(rgb)
    mesh = _mesh_of_face(rgb, faces[0, :4]) if len(faces) else None
    return None if mesh is None else (faces, mesh)


def _roll_deg(rgb: NDArray[np.uint8], mesh: NDArray[np.float32]) -> float:
    """How far the head of a mesh leans in the picture plane, degrees in [-90, 270), + = to the picture's right.

    The mesh tells the angle within 10 degrees, but fits an upside-down face as if it were upright. The detector knows better:
    it is shown the face levelled by that angle, and its half turn.
    """
    roll_deg = float(estimate_pose(mesh[None]).roll_deg[0])
    low, high = mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)
    x, y = ((low + high) / 2).tolist()
    scores = []
    for sides in LEVEL_SIDES:
        scale = LEVEL_PX / (sides * float((high - low).max()))
        to_level = np.array(cv2.getRotationMatrix2D((x, y), roll_deg, scale), np.float64)
        to_level[:, 2] += (LEVEL_PX / 2 - x, LEVEL_PX / 2 - y)
        level = cv2.warpAffine(rgb, to_level, (LEVEL_PX, LEVEL_PX), borderValue=(MID_GREY,) * 3)
        views = (np.array(level, np.uint8), np.array(level[::-1, ::-1], np.uint8))
        scores.append([face_finder().boxes(view)[:, 4].max(initial=0) for view in views])
    as_it_is, half_turned = np.mean(scores, axis=0)
    if abs(roll_deg) < STANDING_ROLL_DEG and half_turned < max(UPRIGHT_SCORE, as_it_is + UPRIGHT_LEAD):
        return roll_deg
    return roll_deg + (180 if half_turned > as_it_is else 0)


def _faces(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Detected faces (n, 5) as `FaceFinder.boxes` gives them; the mesh cannot say, it fits a dog as well.

    The detector misses a face that fills the picture, so without one it looks again at the picture with a margin around it.
    """
    faces = face_finder().boxes(rgb)
    if len(faces):
        return faces
    # A face that fills the picture is found in a smaller one as well; MediaPipe crashes on one of 40,000 pixels a side.
    factor = min(1.0, FRAMED_MAX_PX / max(rgb.shape[:2]))
    if factor < 1:
        width, height = (max(1, round(side * factor)) for side in rgb.shape[1::-1])
        rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    margin = int(MARGIN_SHARE * max(rgb.shape[:2]))
    framed = np.pad(rgb, ((margin, margin), (margin, margin), (0, 0)), constant_values=MID_GREY)
    faces = face_finder().boxes(framed)
    faces[:, :4] = (faces[:, :4] - margin) / factor
    return faces


def _mesh_of_face(rgb: NDArray[np.uint8], face: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Mesh (478, 3) in pixels of `rgb` of the face in one detector box; on a close-up of it, so that no other face is taken."""
    x0, y0, x1, y1 = (float(v) for v in face)
    side = max(2, int(round(LOOK_SIDES * max(x1 - x0, y1 - y0))))
    look = CropBox(int(round((x0 + x1 - side) / 2)), int(round((y0 + y1 - side) / 2)), side)
    mesh = mesh_of_image(look.apply(rgb, CROP_SIZE_PX))
    return mesh_of_image(rgb) if mesh is None else look.inverse(mesh, CROP_SIZE_PX)


def _warnings(turns: int, faces: NDArray[np.float32], face_px: float, visible: float, box: CropBox) -> list[str]:
    """What the user should know about the picture."""
    warnings = []
    if turns:
        warnings.append(
            f"picture turned by {('90 degrees to the left', '180 degrees', '90 degrees to the right')[turns - 1]}, head up"
        )
    if len(faces) > 1:
        widths = faces[:, 2] - faces[:, 0]
        others = int((widths[1:] >= SECOND_FACE_SHARE * widths[0]).sum())
        if others:
            warnings.append(f"{others + 1} faces found, the largest is animated")
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
