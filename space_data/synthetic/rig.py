"""The controls that move a head: named numbers to vertices, for one frame or a whole clip at once.

Displacements are harmonic fields over the cage (a smooth spread of what is said at named landmarks), added up, after which
the lids close along the eyeball and the jaw turns. Recipe and constants: our study of synthetic heads (values measured
there against what FaceMesh reports), adapted to the bootstrapped cage whose lips touch at rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from space_data.errors import SpaceError
from space_data.synthetic import regions
from space_data.synthetic.anatomy import (
    EYE_RADIUS_CM,
    LID_THICKNESS_CM,
    N_OVAL,
    POLE,
    SKULL_START,
    eye_centres,
    head_topology,
    surround,
)
from space_data.synthetic.cage import load_cage
from space_data.synthetic.mesh import HarmonicSolver

CONTROL_RANGES: dict[str, tuple[float, float]] = {
    "jaw": (0, 1),  # opens; 1 = 17 deg, a lip gap of about 0.21 inter-ocular distances
    "lip_up": (0, 1),  # upper lip raised
    "lip_down": (0, 1),  # lower lip lowered
    "press": (0, 1),  # lips pressed together and in
    "fv": (0, 1),  # lower lip under the upper teeth
    "wide": (-1, 1),  # mouth stretched (+) or narrowed (-)
    "pucker": (0, 1),  # lips rounded and forward
    "funnel": (0, 1),  # lips forward and open
    "tongue": (0, 1),  # tongue forward to the teeth
    "smile_left": (0, 1),  # corner of the mouth on the image left up and out
    "smile_right": (0, 1),
    "frown": (0, 1),  # both corners down
    "stretch": (0, 1),  # both corners sideways and a little down (fear)
    "cheek": (0, 1),  # cheeks raised
    "sneer": (0, 1),  # wings of the nose raised
    "squint": (0, 1),  # lower lids up, upper lids a little down
    "wide_eye": (0, 1),  # upper lids up
    "brow_in": (-1, 1),  # inner ends of the brows up (+) or down (-)
    "brow_out": (-1, 1),
    "knit": (0, 1),  # brows together
    "blink_left": (0, 1),  # eye on the image left: 1 = closed
    "blink_right": (0, 1),
    "gaze_x_rad": (-0.6, 0.6),  # + looks to the image right
    "gaze_y_rad": (-0.45, 0.45),  # + looks up
}
CONTROLS = tuple(CONTROL_RANGES)
"""Names of the per-frame controls. All are 0 at rest; values outside CONTROL_RANGES are clipped to them."""

JAW_TURN_RAD = np.deg2rad(17.0)
JAW_AXIS_Y_CM, JAW_AXIS_Z_CM = 0.2, -2.2
JAW_GLIDE_CM = (0.0, -0.2, 0.7)
"""The jaw's joint slides forward while it opens; without it the chin would sink into the throat."""
_ROLL = (1.0, 0.66, 0.33, 0.0)
_LIP_GIVE_WAY = (0.15, 0.4, 0.7, 1.0)
"""How far each row of the lips, outermost first, takes part when the lips would pass through each other."""
_LOWER_LID_RISE = 0.12
_SQUINT_LOWER, _SQUINT_UPPER = 0.34, 0.14
_WIDE_EYE_LIFT = 0.32
_LID_FOLLOWS_GAZE = 0.85
"""Share of a vertical gaze that the upper lid follows."""
_LID_CLEARANCE_CM = EYE_RADIUS_CM + LID_THICKNESS_CM
_FIRST_STILL_RING = 2
"""Skull ring from which on the jaw moves nothing."""
_EYE_NEIGHBOURHOOD_CM = 2.6


@dataclass(frozen=True)
class Rig:
    """What the controls do to any head. `displacement` (C, V, 3) cm per unit of each linear control, in CONTROLS' order;
    `jaw` (V,) share of the jaw's turn; `lid_spread` (2, V, 14) how each lid vertex (7 upper, 7 lower) drags its surroundings."""

    displacement: np.ndarray
    jaw: np.ndarray
    lid_spread: np.ndarray


def _lip_values(upper: float, lower: float, corners: float) -> dict[int, float]:
    values: dict[int, float] = {}
    for rings, amount in ((regions.LIP_RINGS_UPPER, upper), (regions.LIP_RINGS_LOWER, lower)):
        for ring in rings:
            values |= {i: amount * w for i, w in zip(ring, regions.LIP_PROFILE, strict=True)}
    return values | dict.fromkeys((*regions.LIP_CORNERS_LEFT, *regions.LIP_CORNERS_RIGHT), corners)


def _zeros(*groups: tuple[int, ...]) -> dict[int, float]:
    return {i: 0.0 for group in groups for i in group}


_EYES = (*regions.EYE_RING[0], *regions.EYE_RING[1])


def _mouth_fields(solver: HarmonicSolver) -> dict[str, np.ndarray]:
    """Fields (V,) of upper lip, lower lip, whole mouth, and the two corners."""
    calm = _zeros(regions.OVAL, _EYES, regions.NOSE)
    upper = solver.field(calm | _zeros(regions.NOSE_BASE) | _lip_values(1.0, 0.0, 0.0) | {152: 0.0})
    chin = {18: 0.62, 200: 0.34, 199: 0.15, 175: 0.04}
    lower = solver.field(calm | _zeros(regions.NOSE_BASE) | _lip_values(0.0, 1.0, 0.0) | chin)
    whole = {i: 1.0 for ring in (*regions.LIP_RINGS_UPPER, *regions.LIP_RINGS_LOWER) for i in ring}
    whole |= dict.fromkeys((*regions.LIP_CORNERS_LEFT, *regions.LIP_CORNERS_RIGHT), 1.0)
    mouth = solver.field(calm | _zeros(regions.NOSE_BASE) | whole | {199: 0.1, 175: 0.0})
    # pressed lips roll in: their outer edges approach the line between them, which stays
    roll = calm | _zeros(regions.NOSE_BASE, regions.CHIN, regions.LIP_CORNERS_LEFT, regions.LIP_CORNERS_RIGHT)
    for share, above, below in zip(_ROLL, regions.LIP_RINGS_UPPER, regions.LIP_RINGS_LOWER, strict=True):
        roll |= {i: -share * w for i, w in zip(above, regions.LIP_PROFILE, strict=True)}
        roll |= {i: share * w for i, w in zip(below, regions.LIP_PROFILE, strict=True)}
    fields = {"upper": upper, "lower": lower, "mouth": mouth, "roll": solver.field(roll)}
    fall = np.array([0.68, 0.36, 0.15, 0.04, 0.0, 0.0, 0.0, 0.0, 0.0])
    for name, corners, order in (("corner_left", regions.LIP_CORNERS_LEFT, 1), ("corner_right", regions.LIP_CORNERS_RIGHT, -1)):
        values = calm | _zeros(regions.NOSE_BASE, regions.CHIN)
        for ring in (*regions.LIP_RINGS_UPPER, *regions.LIP_RINGS_LOWER):
            values |= dict(zip(ring, fall[::order], strict=True))
        other = regions.LIP_CORNERS_RIGHT if order == 1 else regions.LIP_CORNERS_LEFT
        fields[name] = solver.field(values | dict.fromkeys(corners, 1.0) | _zeros(other))
    return fields


def _upper_fields(solver: HarmonicSolver) -> dict[str, np.ndarray]:
    """Fields (V,) of brows, cheeks and nose wings, both sides together."""
    mouth = _lip_values(0.0, 0.0, 0.0)
    calm = _zeros(regions.FOREHEAD_TOP, regions.NOSE, _EYES, regions.OVAL) | mouth
    ramp = {"brow_in": (0.0, 0.12, 0.5, 0.9, 1.0), "brow_out": (0.75, 1.0, 0.8, 0.3, 0.0)}
    fields = {}
    for name, amounts in ramp.items():
        values = dict(calm)
        for rows in (regions.BROW_UPPER, regions.BROW_LOWER):
            for row in rows:
                values |= dict(zip(row, amounts, strict=True))
        fields[name] = solver.field(values | {168: 0.0, 6: 0.0})
    cheeks = dict.fromkeys((*regions.CHEEK[0], *regions.CHEEK[1]), 1.0)
    fields["cheek"] = solver.field(calm | cheeks | _zeros((152, 18)))
    wings = dict.fromkeys((*regions.SNEER[0], *regions.SNEER[1]), 1.0)
    wings_calm = _zeros(regions.FOREHEAD_TOP, _EYES, regions.OVAL, (1, 2, 4, 5, 195, 197, 168)) | _lip_values(0.35, 0.0, 0.0)
    fields["sneer"] = solver.field(wings_calm | wings)
    return fields


def _displacements(solver: HarmonicSolver, rest: np.ndarray) -> np.ndarray:
    f = _mouth_fields(solver) | _upper_fields(solver)
    side = np.sign(rest[:, 0])
    lips = f["upper"] + f["lower"]
    corners = f["corner_left"] + f["corner_right"]
    nothing = np.zeros(len(rest))

    def field(x: np.ndarray = nothing, y: np.ndarray = nothing, z: np.ndarray = nothing) -> np.ndarray:
        return np.stack([x, y, z], -1)

    def smile(corner: np.ndarray, sign: float) -> np.ndarray:
        return field(0.52 * sign * corner, 0.85 * corner, -0.42 * corner)

    mouth_x = f["mouth"] * rest[:, 0]
    moves = {
        "lip_up": field(y=0.62 * f["upper"], z=0.10 * f["upper"]),
        "lip_down": field(y=-0.62 * f["lower"]),
        "press": field(y=0.30 * f["roll"], z=-0.28 * lips),
        "fv": field(y=0.42 * f["lower"], z=-0.45 * f["lower"]),
        "wide": field(x=0.16 * mouth_x, z=-0.10 * f["mouth"] * np.abs(rest[:, 0]) / 2.5),
        "pucker": field(x=-0.34 * mouth_x, z=0.75 * f["mouth"]),
        "funnel": field(y=0.42 * f["upper"] - 0.50 * f["lower"], z=0.55 * f["mouth"]),
        "smile_left": smile(f["corner_left"], -1.0),
        "smile_right": smile(f["corner_right"], 1.0),
        "frown": field(y=-0.70 * corners, z=-0.15 * corners),
        "stretch": field(x=0.55 * side * corners, y=-0.22 * corners, z=-0.35 * corners),
        "cheek": field(y=0.42 * f["cheek"], z=0.28 * f["cheek"]),
        "sneer": field(y=0.38 * f["sneer"], z=0.10 * f["sneer"]),
        "brow_in": field(y=0.75 * f["brow_in"]),
        "brow_out": field(y=0.75 * f["brow_out"]),
        "knit": field(x=-0.28 * side * f["brow_in"], y=-0.10 * f["brow_in"], z=0.10 * f["brow_in"]),
    }
    return np.stack([moves.get(name, field()) for name in CONTROLS])


def _jaw_weights(solver: HarmonicSolver) -> np.ndarray:
    values = _zeros(regions.FOREHEAD_TOP, regions.NOSE, regions.NOSE_BASE, _EYES)
    values |= _zeros(tuple(i for ring in regions.LIP_RINGS_UPPER for i in ring), (*regions.CHEEK[0], *regions.CHEEK[1]))
    values |= _zeros(tuple(i for i in regions.OVAL if load_cage().vertices[i, 1] > 0))
    values |= _zeros(tuple(range(SKULL_START + _FIRST_STILL_RING * N_OVAL, POLE + 1)))  # the skull stays, the throat gives way
    for i, weight in regions.JAW_OVAL_WEIGHTS.items():
        values |= {i: weight, regions.mirrored((i,))[0]: weight}
    values |= dict.fromkeys(regions.CHIN, 1.0)
    # the lower lip: full in the middle, less towards the corners, which take part in 0.42 of the turn
    profile = np.array([0.62, 0.82, 0.95, 1.0, 1.0, 1.0, 0.95, 0.82, 0.62])
    for ring in regions.LIP_RINGS_LOWER:
        values |= dict(zip(ring, profile, strict=True))
    values |= dict.fromkeys((*regions.LIP_CORNERS_LEFT, *regions.LIP_CORNERS_RIGHT), 0.42)
    for i in (185, 184, 183, 191):  # the upper lip next to the corners gives way a little
        values |= {i: 0.16, regions.mirrored((i,))[0]: 0.16}
    return solver.field(values)


@lru_cache(maxsize=1)
def load_rig() -> Rig:
    """The rig, made once per process (about 0.2 s)."""
    topology = head_topology()
    rest = surround(load_cage().vertices)
    solver = HarmonicSolver(rest, topology.triangles)
    spreads = []
    for side in range(regions.N_SIDES):
        lids = (*regions.LID_UPPER[side], *regions.LID_LOWER[side])
        still = (*regions.BROW_LOWER[side], *regions.EYE_CORNERS[side], *regions.OVAL, *regions.NOSE, *regions.CHEEK[side])
        values = np.zeros((len(lids) + len(still), len(lids)))
        values[: len(lids)] = np.eye(len(lids))
        spreads.append(solver.fields((*lids, *still), values))
    return Rig(_displacements(solver, rest), _jaw_weights(solver), np.stack(spreads))


def control_array(controls: Mapping[str, np.ndarray | float], n_frames: int) -> np.ndarray:
    """Controls (T, C) in CONTROLS' order, absent ones 0, clipped to their ranges. Raises SpaceError for unknown names."""
    unknown = sorted(set(controls) - set(CONTROLS))
    if unknown:
        raise SpaceError(f"controls of the head: {', '.join(unknown)} unknown, needed some of {', '.join(CONTROLS)}")
    array = np.zeros((n_frames, len(CONTROLS)))
    for name, value in controls.items():
        array[:, CONTROLS.index(name)] = np.clip(value, *CONTROL_RANGES[name])
    return array


def _slerp_about(centre: np.ndarray, start: np.ndarray, end: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Points (T, N, 3) on the way from start to end round a centre; amount (T, 1) 0..1, or negative for the other way."""
    a, b = start - centre, end - centre
    ra, rb = np.linalg.norm(a, axis=-1, keepdims=True), np.linalg.norm(b, axis=-1, keepdims=True)
    ua, ub = a / ra, b / rb
    angle = np.arccos(np.clip((ua * ub).sum(-1, keepdims=True), -1, 1 - 1e-9))
    t = amount[..., None]
    direction = (np.sin((1 - t) * angle) * ua + np.sin(t * angle) * ub) / np.sin(angle)
    return centre + direction * (ra + (rb - ra) * np.clip(t, 0, 1))


def _move_lids(points: np.ndarray, centre: np.ndarray, side: int, closing: np.ndarray, c: dict[str, np.ndarray]) -> None:
    """Close, squint, widen and gaze-follow the lids of one eye in place. points (T, V, 3); closing (T,) the blink."""
    upper, lower = list(regions.LID_UPPER[side]), list(regions.LID_LOWER[side])
    raised = _LOWER_LID_RISE * closing + _SQUINT_LOWER * c["squint"] * (1 - closing)
    new_lower = _slerp_about(centre, points[:, lower], points[:, upper], raised[:, None])
    gaze = -_LID_FOLLOWS_GAZE * c["gaze_y_rad"] - _WIDE_EYE_LIFT * c["wide_eye"] + _SQUINT_UPPER * c["squint"]
    lowered = closing + np.clip(gaze, -0.45, 0.45) * (1 - closing)
    new_upper = _slerp_about(centre, points[:, upper], new_lower, lowered[:, None])
    moved = np.concatenate([new_upper - points[:, upper], new_lower - points[:, lower]], axis=1)
    points += np.einsum("vk,tkd->tvd", load_rig().lid_spread[side], moved, optimize=True)


def deform(rest: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Control vertices (T, V, 3) of a head at rest (V, 3) under controls (T, C) from `control_array`."""
    rig = load_rig()
    c = {name: controls[:, k] for k, name in enumerate(CONTROLS)}
    n_frames, n_vertices = len(controls), len(rest)
    points = rest + (controls @ rig.displacement.reshape(len(CONTROLS), -1)).reshape(n_frames, n_vertices, 3)
    centres = eye_centres(rest)
    for side, blink in enumerate(("blink_left", "blink_right")):
        _move_lids(points, centres[side], side, c[blink], c)
        near = np.flatnonzero(np.linalg.norm(rest - centres[side], axis=1) < _EYE_NEIGHBOURHOOD_CM)
        near = near[near < len(load_cage().vertices)]
        away = points[:, near] - centres[side]
        distance = np.linalg.norm(away, axis=-1, keepdims=True)
        points[:, near] = centres[side] + away * np.maximum(1.0, _LID_CLEARANCE_CM / distance)
    angle = JAW_TURN_RAD * c["jaw"][:, None] * rig.jaw
    y, z = points[..., 1] - JAW_AXIS_Y_CM, points[..., 2] - JAW_AXIS_Z_CM
    glide = c["jaw"][:, None] * rig.jaw
    points[..., 1] = JAW_AXIS_Y_CM + y * np.cos(angle) - z * np.sin(angle) + JAW_GLIDE_CM[1] * glide
    points[..., 2] = JAW_AXIS_Z_CM + z * np.cos(angle) + y * np.sin(angle) + JAW_GLIDE_CM[2] * glide
    _part_lips(points)
    return points


def _part_lips(points: np.ndarray) -> None:
    """Where the lower lip (T, V, 3) has passed the upper one, let both meet half-way, in place."""
    upper, lower = list(regions.LIP_RINGS_UPPER[-1]), list(regions.LIP_RINGS_LOWER[-1])
    overlap = np.maximum(points[:, lower, 1] - points[:, upper, 1], 0.0)
    for give_way, above, below in zip(_LIP_GIVE_WAY, regions.LIP_RINGS_UPPER, regions.LIP_RINGS_LOWER, strict=True):
        points[:, list(above), 1] += 0.5 * give_way * overlap
        points[:, list(below), 1] -= 0.5 * give_way * overlap


def jaw_turn(points: np.ndarray, jaw: float) -> np.ndarray:
    """Points (N, 3) fixed to the jaw bone (lower teeth), turned with it."""
    angle = JAW_TURN_RAD * jaw
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    axis = np.array([0.0, JAW_AXIS_Y_CM, JAW_AXIS_Z_CM])
    return axis + (points - axis) @ turn.T + jaw * np.array(JAW_GLIDE_CM)
