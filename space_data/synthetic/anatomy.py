"""The head around the face: skull, lid rims and mouth cavity added to the 468 cage vertices, and where the eyeballs sit.

Everything follows from the 468 face vertices, so an identity only has to say where those are.
Units: cm, y up, +z to the camera, +x to the right of the image.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse.linalg import SuperLU, splu

from space_data.synthetic import regions
from space_data.synthetic.cage import N_CAGE_VERTICES, load_cage, oriented
from space_data.synthetic.mesh import Subdivision, loop_subdivision

SKULL_CENTRE_CM = np.array([0.0, 2.6, -3.4])
SKULL_RADII_CM = np.array([7.75, 9.6, 9.3])
SKULL_POLE = np.array([0.0, 0.05, -1.0])
"""Back of the head, in units of the radii from the centre."""
SKULL_RINGS = (0.10, 0.24, 0.40, 0.58, 0.76, 0.90)
"""How far each skull ring is on the way from the border of the face to the pole."""
_ROUNDING_TOP, _ROUNDING_CHIN = 0.6, 0.34
"""Share of that way after which the skull is the ellipsoid; shorter under the chin, so that the throat rises."""

EYE_RADIUS_CM = 1.50
"""Larger than life (1.2): the detector's prior, from which the cage comes, opens the lids 3.1 cm wide."""
LID_THICKNESS_CM = 0.05
IRIS_ANGLE_RAD = 0.43
_RIM_DEPTH = 0.93
_CAVITY_DEPTHS_CM = (0.55, 2.2, 3.0)

N_OVAL = len(regions.OVAL)
N_LIP = len(regions.INNER_LIP)
N_RIM = len(regions.EYE_RING_LEFT)
SKULL_START = N_CAGE_VERTICES
POLE = SKULL_START + len(SKULL_RINGS) * N_OVAL
RIM_START = POLE + 1
CAVITY_START = RIM_START + regions.N_SIDES * N_RIM
N_HEAD_VERTICES = CAVITY_START + 2 * N_LIP + 1

SKIN, LID_RIM, CAVITY = 0, 1, 2
"""Parts of the head mesh."""


@dataclass(frozen=True)
class HeadTopology:
    """Connectivity shared by all heads. `triangles` (F, 3) of the N_HEAD_VERTICES control vertices, `part` (F,) of each;
    `fine` their Loop subdivision with `fine_part` (4 F,); `interpolate` solves for the control net whose smooth surface
    passes through given control vertices."""

    triangles: np.ndarray
    part: np.ndarray
    fine: Subdivision
    fine_part: np.ndarray
    interpolate: SuperLU


def _strip(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Triangles of the closed band between two rings of equally many vertices."""
    a, b = inner, np.roll(inner, -1)
    c, d = outer, np.roll(outer, -1)
    return np.concatenate([np.stack([a, b, d], -1), np.stack([a, d, c], -1)])


@lru_cache(maxsize=1)
def head_topology() -> HeadTopology:
    """The topology, made once per process (about 0.1 s)."""
    cage = load_cage()
    rings = [np.array(regions.OVAL)] + [SKULL_START + k * N_OVAL + np.arange(N_OVAL) for k in range(len(SKULL_RINGS))]
    skull = [_strip(a, b) for a, b in zip(rings[:-1], rings[1:], strict=True)]
    cap = np.stack([rings[-1], np.roll(rings[-1], -1), np.full(N_OVAL, POLE)], -1)
    rims = [_strip(np.array(ring), RIM_START + k * N_RIM + np.arange(N_RIM)) for k, ring in enumerate(regions.EYE_RING)]
    lip, front, back = np.array(regions.INNER_LIP), CAVITY_START + np.arange(N_LIP), CAVITY_START + N_LIP + np.arange(N_LIP)
    throat = np.stack([back, np.roll(back, -1), np.full(N_LIP, CAVITY_START + 2 * N_LIP)], -1)
    pieces = [(cage.triangles, SKIN), *((s, SKIN) for s in (*skull, cap)), *((r, LID_RIM) for r in rims)]
    pieces += [(t, CAVITY) for t in (_strip(lip, front), _strip(front, back), throat)]
    part = np.concatenate([np.full(len(t), p) for t, p in pieces])
    triangles = oriented(np.concatenate([t for t, _ in pieces]), surround(cage.vertices))
    # BFS keeps the winding of the first triangle; the cage decides which side is outside
    if not _same_winding(triangles[0], cage.triangles[0]):
        triangles = triangles[:, ::-1].copy()
    fine = loop_subdivision(triangles, N_HEAD_VERTICES)
    interpolate = splu(fine.matrix[:N_HEAD_VERTICES].tocsc())
    return HeadTopology(triangles, part, fine, np.repeat(part, 4), interpolate)


def _same_winding(a: np.ndarray, b: np.ndarray) -> bool:
    return any(np.array_equal(np.roll(a, k), b) for k in range(3))


def _skull(face: np.ndarray) -> np.ndarray:
    """Skull rings and pole (6 * 36 + 1, 3): great arcs from the border of the face to the pole of an ellipsoid."""
    border = (face[list(regions.OVAL)] - SKULL_CENTRE_CM) / SKULL_RADII_CM
    radius = np.linalg.norm(border, axis=1, keepdims=True)
    direction = border / radius
    pole = SKULL_POLE / np.linalg.norm(SKULL_POLE)
    angle = np.arccos(np.clip(direction @ pole, -1, 1))[:, None]
    below = np.clip(-direction[:, 1:2] * 1.4, 0, 1)
    rounding = _ROUNDING_TOP + (_ROUNDING_CHIN - _ROUNDING_TOP) * below
    rings = []
    for t in SKULL_RINGS:
        arc = (np.sin((1 - t) * angle) * direction + np.sin(t * angle) * pole) / np.sin(angle)
        s = np.clip(t / rounding, 0, 1)
        s = s * s * (3 - 2 * s)
        rings.append(SKULL_CENTRE_CM + SKULL_RADII_CM * arc * (radius + (1 - radius) * s))
    return np.concatenate([*rings, (SKULL_CENTRE_CM + SKULL_RADII_CM * pole)[None]])


def eye_centres(face: np.ndarray) -> np.ndarray:
    """Centres (2, 3) of the eyeballs behind the lids of face vertices (..., >= 468, 3)."""
    centres = []
    for side in range(regions.N_SIDES):
        upper, lower = face[list(regions.LID_UPPER[side])], face[list(regions.LID_LOWER[side])]
        corners = face[list(regions.EYE_CORNERS[side])]
        half_opening = 0.5 * np.linalg.norm(upper[3] - lower[3])
        middle = 0.25 * (upper[3] + lower[3]) + 0.25 * corners.sum(0)
        lid_z = 0.5 * (upper[3, 2] + lower[3, 2])
        depth = np.sqrt((EYE_RADIUS_CM + LID_THICKNESS_CM) ** 2 - half_opening**2)
        centres.append([middle[0], middle[1], lid_z - depth])
    return np.array(centres)


def surround(face: np.ndarray) -> np.ndarray:
    """All control vertices (N_HEAD_VERTICES, 3) of the head with face vertices (468, 3)."""
    rims = []
    for ring, centre in zip(regions.EYE_RING, eye_centres(face), strict=True):
        away = face[list(ring)] - centre
        rims.append(centre + away * (_RIM_DEPTH * EYE_RADIUS_CM / np.linalg.norm(away, axis=1, keepdims=True)))
    lip = face[list(regions.INNER_LIP)]
    middle = lip.mean(0)
    upper = np.isin(regions.INNER_LIP, regions.LIP_RINGS_UPPER[3])[:, None]
    lower = np.isin(regions.INNER_LIP, regions.LIP_RINGS_LOWER[3])[:, None]
    spread = np.array([0.0, 1.0, 0.0]) * (upper * 1.0 - lower * 1.0)
    # behind the lips the cavity is wider than their gap: it has to hold the teeth
    front = (lip - middle) * (0.97, 1, 0.8) + middle - (0, 0, _CAVITY_DEPTHS_CM[0]) + 0.12 * spread
    back = (lip - middle) * (0.75, 1, 0.3) + middle - (0, 0, _CAVITY_DEPTHS_CM[1]) + 1.2 * spread
    throat = (middle - (0, 0, _CAVITY_DEPTHS_CM[2]))[None]
    return np.concatenate([face, _skull(face), *rims, front, back, throat])
