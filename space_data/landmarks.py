"""The 78 landmarks, their named groups, head pose, and the normalised space. See ``docs/landmarks.md`` for the drawing.

Points 0-67 are iBUG's 68 in their usual order, 68-72 and 73-77 the iris (centre, then four on its rim) of the eye on the left
and on the right *of the image*. They come from MediaPipe's 478-point mesh by the index list below (the common public list with
the jaw and the brow ends that agree best with dlib; jaw and brows differ from dlib's definition by a constant 5-8 % IOD).

Normalised space: the face's own frame. x to the image right, y down, z away from the camera; origin midway between the outer
eye corners of the template; unit = the template's distance between them (inter-ocular distance, IOD). ``posed = s R n + t``.
Angles in degrees: yaw + turns the nose to the image left, pitch + downwards, roll + clockwise;
``R = Rz(roll) Ry(yaw) Rx(pitch)``.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

N_LANDMARKS = 78
N_MESH = 478

MESH_TO_78: NDArray[np.int64] = np.array(
    [127, 234, 132, 58, 172, 150, 149, 148, 152, 377, 378, 379, 397, 288, 361, 454, 356]  # jaw
    + [70, 63, 105, 66, 107, 336, 296, 334, 293, 300]  # brows
    + [168, 197, 5, 4, 75, 97, 2, 326, 305]  # nose
    + [33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380]  # eyes
    + [61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181]  # outer lip
    + [78, 82, 13, 312, 308, 317, 14, 87]  # inner lip
    + list(range(468, 478))  # irises
)

JAW = np.arange(0, 17)
BROW_LEFT, BROW_RIGHT = np.arange(17, 22), np.arange(22, 27)
BROWS = np.arange(17, 27)
NOSE = np.arange(27, 36)
EYE_LEFT, EYE_RIGHT = np.arange(36, 42), np.arange(42, 48)
EYES = np.arange(36, 48)
MOUTH_OUTER = np.arange(48, 60)
MOUTH_INNER = np.arange(60, 68)
MOUTH = np.arange(48, 68)
IRIS_LEFT, IRIS_RIGHT = np.arange(68, 73), np.arange(73, 78)
IRISES = np.arange(68, 78)
IBUG68 = np.arange(68)
FACE = IBUG68
"""What face-level distances are measured on: all but the irises."""

OUTER_EYE_CORNERS = (36, 45)
INNER_EYE_CORNERS = (39, 42)
MOUTH_CORNERS = (48, 54)
INNER_LIP_PAIRS = ((61, 67), (62, 66), (63, 65))
"""(upper, lower)"""
UPPER_INNER_LIP, LOWER_INNER_LIP = np.transpose(INNER_LIP_PAIRS)
LID_PAIRS = ((37, 41), (38, 40), (43, 47), (44, 46))
"""(upper, lower)"""
OUTER_LIP_MIDDLES = (51, 57)
STABLE_78 = np.array([0, 1, 2, 14, 15, 16, 27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45])
"""Points of the 78 that speech and expression move least: for alignment when no mesh is at hand."""
STABLE_68 = np.array([21, 22, 27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45])
"""The same for points that another detector than the mesh gives: inner ends of the brows, nose, corners of the eyes. No jaw:
where others put its ends made a face 12 % too large on the one picture that could be compared."""
STABLE_MESH = np.array(
    [33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 8, 9, 151, 10, 127, 356, 54, 284, 67, 297, 21, 251, 162, 389]
    + [193, 417, 122, 351, 188, 412, 174, 399]
)
"""Upper-face set of the pose fit: 1.2 % IOD of scatter left on held-out rigid points, against 9 % before removal."""

_MESH_OUTER_EYE_CORNERS = (33, 263)


@dataclass(frozen=True)
class PoseTrack:
    """Similarity per frame, ``posed = scale * R @ normalised + translation``.

    Angles in degrees, shape (T,); ``scale`` in pixels per IOD, (T,); ``translation`` in pixels, (T, 3).
    Rows without a face are NaN.
    """

    yaw_deg: Points
    pitch_deg: Points
    roll_deg: Points
    scale: Points
    translation: Points

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, index: slice | NDArray[np.int64] | NDArray[np.bool_]) -> "PoseTrack":
        return PoseTrack(
            self.yaw_deg[index], self.pitch_deg[index], self.roll_deg[index], self.scale[index], self.translation[index]
        )

    def rotation(self) -> NDArray[np.float64]:
        """Rotation matrices, (T, 3, 3)."""
        return rotation_matrix(self.yaw_deg, self.pitch_deg, self.roll_deg)

    def as_array(self) -> NDArray[np.float32]:
        """(T, 7): yaw, pitch, roll, scale, tx, ty, tz; the order of the columns in the tables."""
        angles = np.stack([self.yaw_deg, self.pitch_deg, self.roll_deg, self.scale], axis=1)
        return np.concatenate([angles, self.translation], axis=1).astype(np.float32)

    @staticmethod
    def from_array(array: NDArray[np.floating]) -> "PoseTrack":
        """Inverse of ``as_array``, (T, 7)."""
        a = np.asarray(array, np.float32)
        return PoseTrack(a[:, 0], a[:, 1], a[:, 2], a[:, 3], a[:, 4:7])


def rotation_matrix(
    yaw_deg: NDArray[np.floating], pitch_deg: NDArray[np.floating], roll_deg: NDArray[np.floating]
) -> NDArray[np.float64]:
    """``Rz(roll) Ry(yaw) Rx(pitch)`` for angles in degrees of any equal shape (...): (..., 3, 3)."""
    y, p, r = (np.deg2rad(np.asarray(a, np.float64)) for a in (yaw_deg, pitch_deg, roll_deg))
    one, zero = np.ones_like(y), np.zeros_like(y)

    def matrix(*rows: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.stack([np.stack(row, -1) for row in rows], -2)

    about_x = matrix([one, zero, zero], [zero, np.cos(p), -np.sin(p)], [zero, np.sin(p), np.cos(p)])
    about_y = matrix([np.cos(y), zero, np.sin(y)], [zero, one, zero], [-np.sin(y), zero, np.cos(y)])
    about_z = matrix([np.cos(r), -np.sin(r), zero], [np.sin(r), np.cos(r), zero], [zero, zero, one])
    return about_z @ about_y @ about_x


def angles_deg(rotation: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Yaw, pitch, roll in degrees of rotation matrices (..., 3, 3); the inverse of ``rotation_matrix`` for |yaw| < 90."""
    yaw = -np.arcsin(np.clip(rotation[..., 2, 0], -1.0, 1.0))
    pitch = np.arctan2(rotation[..., 2, 1], rotation[..., 2, 2])
    roll = np.arctan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return np.rad2deg(yaw), np.rad2deg(pitch), np.rad2deg(roll)


@lru_cache(maxsize=1)
def template_mesh() -> NDArray[np.float64]:
    """The 468-vertex template in normalised axes and units, (468, 3): the cage that ``space_data.synthetic.cage`` bootstraps."""
    with (files("space_data") / "assets" / "face_cage.npz").open("rb") as file:
        cage = np.load(file)["vertices"].astype(np.float64)
    mesh = cage * np.array([1.0, -1.0, -1.0])  # centimetres, y up, z to the camera -> image axes
    left, right = mesh[_MESH_OUTER_EYE_CORNERS[0]], mesh[_MESH_OUTER_EYE_CORNERS[1]]
    return (mesh - (left + right) / 2) / np.linalg.norm(right - left)


def similarity(
    source: NDArray[np.floating], target: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares similarity ``target ~ s R source + t`` per frame (Umeyama, IEEE TPAMI 1991).

    Args:
        source: (N, 3), or (T, N, 3).
        target: (T, N, 3).

    Returns:
        scale (T,), rotation (T, 3, 3), translation (T, 3); NaN for frames with a NaN in them.
    """
    target = np.asarray(target, np.float64)
    source = np.broadcast_to(np.asarray(source, np.float64), target.shape)
    good = np.isfinite(target).all(axis=(1, 2)) & np.isfinite(source).all(axis=(1, 2))
    n = len(target)
    scale, rotation, translation = np.full(n, np.nan), np.full((n, 3, 3), np.nan), np.full((n, 3), np.nan)
    if not good.any():
        return scale, rotation, translation
    src, dst = source[good], target[good]
    src_mean, dst_mean = src.mean(1, keepdims=True), dst.mean(1, keepdims=True)
    covariance = np.swapaxes(dst - dst_mean, 1, 2) @ (src - src_mean) / src.shape[1]
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.ones((len(src), 3))
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation[good] = (u * sign[:, None, :]) @ vt
    scale[good] = (singular * sign).sum(1) / ((src - src_mean) ** 2).sum(2).mean(1)
    translation[good] = dst_mean[:, 0] - scale[good, None] * (rotation[good] @ src_mean[:, 0, :, None])[..., 0]
    return scale, rotation, translation


def _pose(template: NDArray[np.float64], points: NDArray[np.floating]) -> PoseTrack:
    scale, rotation, translation = similarity(template, points)
    yaw, pitch, roll = angles_deg(rotation)
    return PoseTrack(*(a.astype(np.float32) for a in (yaw, pitch, roll, scale, translation)))


def estimate_pose(mesh: NDArray[np.floating]) -> PoseTrack:
    """Head pose of meshes (T, >=468, 3) in pixels, fitted on the stable upper-face set against the template."""
    return _pose(template_mesh()[STABLE_MESH], np.asarray(mesh)[:, STABLE_MESH])


def estimate_pose_78(points: NDArray[np.floating]) -> PoseTrack:
    """Head pose of 78-point landmarks (T, 78, 3) in pixels, for tracks whose mesh is not kept (less exact than the mesh)."""
    return _pose(template_mesh()[MESH_TO_78[STABLE_78]], np.asarray(points)[:, STABLE_78])


def estimate_pose_68(points: NDArray[np.floating]) -> PoseTrack:
    """Head pose of iBUG points (T, >=68, 3) in pixels from a detector of its own kind (z away from the camera).

    Against ``estimate_pose`` on the same mesh, five real clips: yaw 0.3 deg off and 0.2 deg of scatter, pitch 1.9 and 0.6, roll
    0.4 and 0.3, scale 4 % smaller.
    """
    return _pose(template_mesh()[MESH_TO_78[STABLE_68]], np.asarray(points)[:, STABLE_68])


def mesh_to_landmarks(mesh: NDArray[np.floating]) -> Points:
    """Pick the 78 landmarks of meshes (T, 478, 3): (T, 78, 3)."""
    return np.asarray(mesh, np.float32)[:, MESH_TO_78]


def normalise(points: NDArray[np.floating], pose: PoseTrack) -> Points:
    """Remove ``pose`` from ``points`` (T, N, 3) in pixels; result in normalised axes and IOD."""
    centred = np.asarray(points, np.float64) - pose.translation[:, None].astype(np.float64)
    return ((centred @ pose.rotation()) / pose.scale[:, None, None].astype(np.float64)).astype(np.float32)


def posed(normalised: NDArray[np.floating], pose: PoseTrack) -> Points:
    """Apply ``pose`` to normalised points (T, N, 3); result in pixels. The exact inverse of ``normalise``."""
    turned = np.asarray(normalised, np.float64) @ np.swapaxes(pose.rotation(), 1, 2)
    result = turned * pose.scale[:, None, None].astype(np.float64) + pose.translation[:, None].astype(np.float64)
    return result.astype(np.float32)


def lip_gap(points: NDArray[np.floating]) -> Points:
    """Opening between the inner lips of normalised landmarks (..., 78, 3): mean of three pairs, IOD, signed (lower - upper)."""
    return (points[..., LOWER_INNER_LIP, 1] - points[..., UPPER_INNER_LIP, 1]).mean(-1).astype(np.float32)


def lip_width(points: NDArray[np.floating]) -> Points:
    """Distance between the mouth corners of normalised landmarks (..., 78, 3), IOD."""
    left, right = MOUTH_CORNERS
    return np.linalg.norm(points[..., right, :2] - points[..., left, :2], axis=-1).astype(np.float32)


def lip_height_outer(points: NDArray[np.floating]) -> Points:
    """Height of the outer lip outline in its middle, normalised landmarks (..., 78, 3), IOD."""
    upper, lower = OUTER_LIP_MIDDLES
    return (points[..., lower, 1] - points[..., upper, 1]).astype(np.float32)


def eye_aspect_ratio(points: NDArray[np.floating]) -> Points:
    """Height over width of the eyes (Soukupova & Cech 2016), landmarks (..., 78, 2+) in any units: (..., 2), image left first."""

    def one(eye: NDArray[np.int64]) -> NDArray[np.floating]:
        p = points[..., eye, :2]
        tall = np.linalg.norm(p[..., 1, :] - p[..., 5, :], axis=-1) + np.linalg.norm(p[..., 2, :] - p[..., 4, :], axis=-1)
        return tall / (2 * np.linalg.norm(p[..., 3, :] - p[..., 0, :], axis=-1))

    return np.stack([one(EYE_LEFT), one(EYE_RIGHT)], -1).astype(np.float32)


def gaze(points: NDArray[np.floating]) -> Points:
    """Iris centre relative to the middle of the eye corners, in eye widths, mean of both eyes: (..., 2) x right, y down.

    Landmarks (..., 78, 2+), normalised so that head roll does not leak in. About 0.3 per radian horizontally; the vertical
    component is compressed about 3.5 times by the detector and weak.
    """
    sides = []
    for eye, iris in ((EYE_LEFT, IRIS_LEFT), (EYE_RIGHT, IRIS_RIGHT)):
        first, last = points[..., eye[0], :2], points[..., eye[3], :2]
        width = np.linalg.norm(last - first, axis=-1, keepdims=True)
        sides.append((points[..., iris[0], :2] - (first + last) / 2) / width)
    return np.mean(sides, axis=0).astype(np.float32)
