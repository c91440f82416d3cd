"""A synthetic head to film: an identity in a scene, moved by controls, with the truth beside every frame.

    people = draw_identities(np.random.default_rng(7), 16)
    film = HeadRenderer(people[0], draw_scene(rng))
    rgb, truth = film.frame({"jaw": 0.6, "smile_left": 0.4}, yaw_deg=12, pitch_deg=0, roll_deg=-3)

Signs: yaw + turns the nose to the image left, pitch + down, roll + clockwise, as in `space_data.landmarks`.
Space: cm, y up, +z to the camera, +x to the image right; the head turns about HEAD_PIVOT_CM.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from space_data.errors import SpaceError
from space_data.landmarks import rotation_matrix
from space_data.synthetic import regions
from space_data.synthetic.anatomy import (
    EYE_RADIUS_CM,
    IRIS_ANGLE_RAD,
    LID_THICKNESS_CM,
    eye_centres,
    head_topology,
    surround,
)
from space_data.synthetic.cage import N_CAGE_VERTICES
from space_data.synthetic.identity import Identity, draw_identities, draw_identity, face_vertices
from space_data.synthetic.mesh import vertex_normals
from space_data.synthetic.model import HeadModel, head_model, light_axes, light_table
from space_data.synthetic.placing import N_ATTRIBUTES, TANGENT, TINT, UV, Motion, fill_rows, place
from space_data.synthetic.raster import rasterise
from space_data.synthetic.rig import CONTROL_RANGES, CONTROLS, control_array, deform, jaw_turn
from space_data.synthetic.scene import Camera, Scene, camera_of, draw_scene, lights_of, paint_background
from space_data.synthetic.shade import Surface, shade, tone_mapped

__all__ = [
    "CONTROLS",
    "CONTROL_RANGES",
    "FrameTruth",
    "HeadRenderer",
    "Identity",
    "Scene",
    "draw_identities",
    "draw_identity",
    "draw_scene",
    "landmark_track",
]

HEAD_PIVOT_CM = np.array([0.0, -5.0, -3.2])
TORSO_PIVOT_CM = np.array([0.0, -14.0, -4.5])
_TORSO_YAW, _TORSO_ROLL, _TORSO_SHIFT = 0.18, 0.15, 0.85
"""Shares of the head's motion that the shoulders take part in."""
_Y_UP = np.array([1.0, -1.0, -1.0])
"""Between image axes (y down, z away) and head axes (y up, z to the camera)."""
POSE_NAMES = ("yaw_deg", "pitch_deg", "roll_deg", "shift_x_cm", "shift_y_cm")

_SHADOW_MAP_PX = 288
_SHADOW_TEXELS_PER_CM = _SHADOW_MAP_PX / 44.0
_SHADOW_OFFSET_CM = 0.35
"""Receivers are looked up this far along their normal: no acne, and no visible detachment at face scale."""
_TONGUE_FORWARD_CM, _TONGUE_UP_CM = 1.0, 0.40
_LID_SHADE_CM, _LID_SHADE_FLOOR = 0.42, 0.45
"""The eyeball darkens to this floor under the upper lid, over this distance."""


@dataclass(frozen=True)
class FrameTruth:
    """Where things truly are. `mesh_px` (478, 3) float32: FaceMesh's 478 points (x, y in pixels, z in pixels about the head's
    pivot, smaller = nearer); `yaw_deg`, `pitch_deg`, `roll_deg` as commanded."""

    mesh_px: np.ndarray
    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def _rotations(yaw_deg: np.ndarray, pitch_deg: np.ndarray, roll_deg: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) in head axes for angles in the signs of `space_data.landmarks`."""
    return _Y_UP[:, None] * rotation_matrix(yaw_deg, pitch_deg, roll_deg) * _Y_UP[None]


def _posed(points: np.ndarray, rotations: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Points (T, N, 3) turned about the pivot and moved by shifts (T, 2) cm right and up."""
    posed = np.einsum("tij,tnj->tni", rotations, points - HEAD_PIVOT_CM) + HEAD_PIVOT_CM
    posed[..., :2] += shifts[:, None]
    return posed


def _projected(points: np.ndarray, camera: Camera, pivot_z: float = float(HEAD_PIVOT_CM[2])) -> np.ndarray:
    """Pixels (..., 3) of points in head axes; z scaled as x and y are at the pivot."""
    depth = camera.distance_cm - points[..., 2]
    x = camera.centre_px + camera.focal_px * (points[..., 0] - camera.x_cm) / depth
    y = camera.centre_px - camera.focal_px * (points[..., 1] - camera.y_cm) / depth
    z = -(points[..., 2] - pivot_z) * camera.focal_px / (camera.distance_cm - pivot_z)
    return np.stack([x, y, z], -1)


def _gaze_rotations(gaze_x: np.ndarray, gaze_y: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) of an eyeball; + looks to the image right and up."""
    zero = np.zeros_like(gaze_x)
    return _rotations(-np.rad2deg(gaze_x), -np.rad2deg(gaze_y), zero)


def _iris_points(centres: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """Points (T, 10, 3) on both eyeballs: pupil, then the rim of the iris to the image right, top, left, bottom."""
    s, c = np.sin(IRIS_ANGLE_RAD), np.cos(IRIS_ANGLE_RAD)
    local = EYE_RADIUS_CM * np.array([(0, 0, 1), (s, 0, c), (0, s, c), (-s, 0, c), (0, -s, c)])
    turned = np.einsum("tij,nj->tni", gaze, local)
    return np.concatenate([turned + centres[0], turned + centres[1]], axis=1)


def _landmarks(net: np.ndarray, points: np.ndarray, controls: np.ndarray, rotations: np.ndarray, shifts: np.ndarray,
               camera: Camera) -> np.ndarray:  # fmt: skip
    """Projected landmarks (T, 478, 3) float32 of control vertices `points` (T, V, 3), deformed from the rest `net`."""
    gaze = _gaze_rotations(controls[:, CONTROLS.index("gaze_x_rad")], controls[:, CONTROLS.index("gaze_y_rad")])
    mesh = np.concatenate([points[:, :N_CAGE_VERTICES], _iris_points(eye_centres(net), gaze)], axis=1)
    return _projected(_posed(mesh, rotations, shifts), camera).astype(np.float32)


@dataclass(frozen=True)
class _Take:
    """A clip's motion: `controls` (T, C) in CONTROLS' order, `angles` (T, 3) degrees of yaw, pitch and roll, `shifts` (T, 2)
    cm right and up, and the `rotations` (T, 3, 3) of the angles."""

    controls: np.ndarray
    angles: np.ndarray
    shifts: np.ndarray
    rotations: np.ndarray

    @classmethod
    def of(cls, controls: Mapping[str, np.ndarray], pose: Mapping[str, np.ndarray]) -> "_Take":
        """From named arrays (T,); SpaceError for unknown names and different lengths."""
        unknown = sorted(set(pose) - set(POSE_NAMES))
        if unknown:
            raise SpaceError(f"pose of the head: {', '.join(unknown)} unknown, needed some of {', '.join(POSE_NAMES)}")
        lengths = {len(np.atleast_1d(a)) for a in (*controls.values(), *pose.values())}
        if len(lengths) != 1:
            raise SpaceError(f"landmark track: arrays of {sorted(lengths)} frames, needed one length")
        n_frames = lengths.pop()
        values = [np.broadcast_to(np.asarray(pose.get(name, 0.0), np.float64), n_frames) for name in POSE_NAMES]
        return cls(control_array(controls, n_frames), np.stack(values[:3], -1), np.stack(values[3:], -1), _rotations(*values[:3]))


def landmark_track(
    identity: Identity,
    controls: Mapping[str, np.ndarray],
    pose: Mapping[str, np.ndarray],
    scene: Scene,
    size_px: int = 256,
) -> np.ndarray:
    """Exact landmarks (T, 478, 3) float32 of a clip, as FrameTruth.mesh_px, without rendering.

    Args:
        controls: (T,) per name of CONTROLS; absent ones are 0.
        pose: (T,) per name of POSE_NAMES; absent ones are 0.
    """
    net = surround(face_vertices(identity.shape))
    take = _Take.of(controls, pose)
    return _landmarks(net, deform(net, take.controls), take.controls, take.rotations, take.shifts, camera_of(scene, size_px))


class HeadRenderer:
    """Films one person in one scene. Frames do not depend on each other.

    Args:
        size_px: width and height of the square pictures.
        samples: anti-aliasing samples per pixel and axis.
        shadow: whether the key light casts shadows.
    """

    def __init__(self, identity: Identity, scene: Scene, size_px: int = 256, samples: int = 2, shadow: bool = True) -> None:
        if size_px < 16 or samples < 1:
            raise SpaceError(f"head renderer: {size_px} px and {samples} samples, needed at least 16 px and 1 sample")
        self.size_px = size_px
        self._model: HeadModel = head_model(identity)
        self._samples = samples
        self._shadow = shadow
        self._camera = camera_of(scene, size_px)
        fine = camera_of(scene, size_px * samples)
        self._camera_table = np.array([fine.focal_px, fine.centre_px, fine.x_cm, fine.y_cm, fine.distance_cm], np.float32)
        self._lights = lights_of(scene)
        self._light = light_table(light_axes(self._lights.key), _SHADOW_TEXELS_PER_CM)
        self._background = paint_background(scene, size_px)
        self._empty = tone_mapped(self._background)
        self._casters = self._model.triangles[self._model.casts]
        self._hair_from = int((self._model.triangles < self._model.hair.start).all(1).sum())

    def frame(
        self,
        controls: Mapping[str, float],
        yaw_deg: float = 0.0,
        pitch_deg: float = 0.0,
        roll_deg: float = 0.0,
        shift_cm: tuple[float, float] = (0.0, 0.0),
    ) -> tuple[np.ndarray, FrameTruth]:
        """One picture (size, size, 3) uint8 RGB and its truth; shift_cm moves the head right and up."""
        pose = dict(zip(POSE_NAMES, (yaw_deg, pitch_deg, roll_deg, *shift_cm), strict=True))
        one = ({name: np.array([value], np.float64) for name, value in values.items()} for values in (controls, pose))
        return next(self.frames(*one))

    def frames(
        self, controls: Mapping[str, np.ndarray], pose: Mapping[str, np.ndarray]
    ) -> Iterator[tuple[np.ndarray, FrameTruth]]:
        """Pictures and truth of a clip, one after the other, as `frame`; arguments as in `landmark_track`.

        The head is deformed for the whole clip at once, which costs a tenth of doing so frame by frame.
        """
        take = _Take.of(controls, pose)
        nets = deform(self._model.net, take.controls)
        meshes = _landmarks(self._model.net, nets, take.controls, take.rotations, take.shifts, self._camera)
        gaze = _gaze_rotations(take.controls[:, CONTROLS.index("gaze_x_rad")], take.controls[:, CONTROLS.index("gaze_y_rad")])
        follow = _rotations(_TORSO_YAW * take.angles[:, 0], np.zeros(len(nets)), _TORSO_ROLL * take.angles[:, 2])
        for t, net in enumerate(nets):
            vertices, tint = self._at_rest_pose(net, take.controls[t], gaze[t])
            offset = np.array([*take.shifts[t], 0.0])
            head = Motion(take.rotations[t], HEAD_PIVOT_CM, offset)
            torso = Motion(follow[t], TORSO_PIVOT_CM, _TORSO_SHIFT * offset)
            yaw_deg, pitch_deg, roll_deg = (float(angle) for angle in take.angles[t])
            yield self._picture(vertices, tint, head, torso), FrameTruth(meshes[t], yaw_deg, pitch_deg, roll_deg)

    def _at_rest_pose(self, net: np.ndarray, controls: np.ndarray, gaze: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All vertices (V, 3) and tints (V, 3) under the controls (C,), eyes turned by gaze (3, 3), head upright."""
        model, topology = self._model, head_topology()
        vertices = model.vertices.copy()
        tint = model.tint.copy()
        skin = topology.fine.matrix @ topology.interpolate.solve(net)
        clearance = EYE_RADIUS_CM + LID_THICKNESS_CM
        for side in range(regions.N_SIDES):
            index, centre = model.lid_index[side], model.eye_centres[side]
            away = skin[index] - centre
            skin[index] = centre + away * np.maximum(1.0, clearance / np.linalg.norm(away, axis=1, keepdims=True))
            eye = model.eyes[side]
            ball = (model.vertices[eye] - centre) @ gaze.T + centre
            vertices[eye] = ball
            tint[eye] *= self._lid_shade(ball, net, side)[:, None]
        vertices[model.skin] = skin
        vertices[model.tongue] += np.array([0.0, _TONGUE_UP_CM, _TONGUE_FORWARD_CM]) * controls[CONTROLS.index("tongue")]
        vertices[model.jaw_bone] = jaw_turn(vertices[model.jaw_bone], float(controls[CONTROLS.index("jaw")]))
        return vertices, tint

    @staticmethod
    def _lid_shade(ball: np.ndarray, net: np.ndarray, side: int) -> np.ndarray:
        """How bright each vertex (V,) of an eyeball is below its upper lid."""
        outer, inner = regions.EYE_CORNERS[side]
        lid = net[[outer, *regions.LID_UPPER[side], inner]]
        lid = lid[np.argsort(lid[:, 0])]
        below = np.interp(ball[:, 0], lid[:, 0], lid[:, 1]) - ball[:, 1]
        t = np.clip(below / _LID_SHADE_CM, 0, 1)
        return _LID_SHADE_FLOOR + (1 - _LID_SHADE_FLOOR) * t * t * (3 - 2 * t)

    def _picture(self, vertices: np.ndarray, tint: np.ndarray, head: Motion, torso: Motion) -> np.ndarray:
        model, samples = self._model, self.size_px * self._samples
        posed, screen, from_light = place(vertices, model.head_weight, head, torso, self._camera_table, self._light)
        rows = np.zeros((len(posed), N_ATTRIBUTES), np.float32)
        fill_rows(rows, vertex_normals(posed, model.triangles), from_light, self._light, _SHADOW_OFFSET_CM)
        rows[:, UV : UV + 2] = model.uv
        rows[:, TINT : TINT + 3] = tint
        hair = posed[model.hair]
        rows[model.hair, TANGENT : TANGENT + 3] = hair[model.next_row] - hair
        seen = rasterise(screen, model.triangles, samples, samples, model.two_sided, model.cutout, self._hair_from)
        shadow_map = None
        if self._shadow:
            shadow_map = rasterise(from_light, self._casters, _SHADOW_MAP_PX, _SHADOW_MAP_PX).inv_depth
        surface = Surface(rows, model.triangles, model.material)
        return shade(
            seen, self._samples, surface, model.materials, model.atlas.colour, shadow_map, self._lights, self._background,
            self._empty,
        )
