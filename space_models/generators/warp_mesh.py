"""The 2.5-D mesh of the `warp` generator: face triangles, rings of hair and background around them, and the operator that
spreads 68 landmark displacements over all vertices.

The design and the figures behind the constants: the feasibility study summarised in `docs/LOG.md` (design A1). Two choices
carry it. The operator follows mesh edges only, and the mesh has slits at the lips and lids, so the upper and the lower lip part
cleanly; a radial basis on plain distances glues them (lip gap slope 0.53 instead of 1.06). And hair moves rigidly with the
head wherever the person matte says there is a person, so bending is confined to a thin band outside it.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import Delaunay

from space_data.landmarks import BROWS, IBUG68, INNER_LIP_PAIRS, LID_PAIRS, MESH_TO_78, N_LANDMARKS

N_FACE = 468  # vertices of the face mesh without the irises

# Mesh indices. Rows run from the image's left to its right; the corners are shared by both rows of a slit.
LIP_UPPER = np.array([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308])
LIP_LOWER = np.array([78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308])
LID_UPPER = (np.array([33, 246, 161, 160, 159, 158, 157, 173, 133]), np.array([362, 398, 384, 385, 386, 387, 388, 466, 263]))
LID_LOWER = (np.array([33, 7, 163, 144, 145, 153, 154, 155, 133]), np.array([362, 382, 381, 380, 374, 373, 390, 249, 263]))
FACE_OVAL = np.array(
    [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152]
    + [148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]
)
CHIN = 152
OUTER_EYE_CORNERS_MESH = (33, 263)

UPPER_LIDS_OUTER_FIRST = ((37, 38), (44, 43))
BROWS_OUTER_FIRST = (BROWS[:5], BROWS[:4:-1])
LOWER_BROW_FOLLOWS = dict(  # mesh vertex of the brow's lower edge -> brow landmark it moves with
    zip([46, 53, 52, 65, 55, 276, 283, 282, 295, 285], [17, 18, 19, 20, 21, 26, 25, 24, 23, 22], strict=True)
)
FOLD_OVER_EYES = (np.array([225, 224, 223, 222, 221]), np.array([445, 444, 443, 442, 441]))
"""Mesh rows between upper lid and brow, left and right eye, outer end first."""
FOLD_WITH_BROW, FOLD_WITH_LID = 0.6, 0.3
"""Parts of their motion. A lid that shuts unfolds from under its crease; a smooth spread would drag the fold by half of the lid's
way, and the hairs of the brow with it: a frown in every blink. Held stiller, the lashes stretch."""
UNDER_EYES = (230, 450)  # held still: keeps a blink out of the cheek

RING_SCALES = (1.08, 1.2, 1.35, 1.55, 1.8, 2.1, 2.5)  # of the oval about its centre
BORDER_POINTS_PER_SIDE = 17
FRAME_MARGIN_PX = 4.0  # ring points nearer to the frame's edge are left out
DEEP_PERCENTILE = 92  # of the oval's depth: where hair and ears are taken to lie
DEEP_WITHIN = 0.35  # face heights from the oval to that depth
CONTROL_WEIGHT = 200.0  # of a landmark against smoothness
EDGE_SOFTENING_PX = 0.5
STILL_BEYOND_RADII = 1.9  # expression stops here (face radii from the oval's centre) ...
STILL_BELOW_CHIN = 0.55  # ... and here (face heights below the chin)
MATTE_FADE = (0.02, 0.25)  # face heights outside the person over which head motion fades
NECK_FADE = (-0.05, 0.75)  # face heights below the chin over which head motion fades
SIDE_HAIR = (1.2, 2.4)  # half face widths from the middle: hair beside the jaw ...
SIDE_HAIR_KEEPS = 0.4  # ... keeps this share of the motion
FRAME_FADE = 0.10  # of the picture's side
LID_WIDEST = 1.35  # times the photo's opening: beyond it the top of the iris smears


@dataclass(frozen=True)
class WarpMesh:
    """A photo's mesh. V vertices: 468 of the face, then rings, then the frame's border.

    `vertices` (V, 3) pixels of the photo; `landmarks` (78, 3); `face_triangles` with the strips that close mouth and eyes and
    `ring_triangles` (F, 3); `operator` (V, 68) turns landmark displacements into vertex displacements; `head_weight` (V,) is 1
    where a vertex moves with the head and 0 where it is background; `down` (2,) is the face's own downward direction.
    """

    vertices: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    face_triangles: NDArray[np.int32]
    ring_triangles: NDArray[np.int32]
    operator: NDArray[np.float64]
    head_weight: NDArray[np.float64]
    down: NDArray[np.float64]


def smoothstep(low: float, high: float, x: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((np.asarray(x, np.float64) - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


@lru_cache(maxsize=1)
def _skin_triangles() -> NDArray[np.int32]:
    """The 852 triangles of the mesh, open at mouth and eyes."""
    with (files("space_data") / "assets" / "face_cage.npz").open("rb") as file:
        return np.load(file)["triangles"].astype(np.int32)


def _strip(upper: NDArray[np.int64], lower: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Triangles between two rows that share their end points."""
    triangles = [(upper[0], upper[1], lower[1]), (upper[-1], upper[-2], lower[-2])]
    for i in range(1, len(upper) - 2):
        triangles += [(upper[i], upper[i + 1], lower[i]), (upper[i + 1], lower[i + 1], lower[i])]
    return triangles


def face_down(mesh_px: NDArray[np.floating]) -> NDArray[np.float64]:
    """The downward direction (2,) of a face mesh (478, 3) in its picture."""
    left, right = np.asarray(mesh_px, np.float64)[list(OUTER_EYE_CORNERS_MESH), :2]
    across = (right - left) / np.linalg.norm(right - left)
    return np.array([-across[1], across[0]])


def build_mesh(mesh_px: NDArray[np.floating], matte: NDArray[np.floating], size_px: int) -> WarpMesh:
    """Mesh of one photo.

    Args:
        mesh_px: (478, 3) face mesh in pixels of the square photo.
        matte: (size_px, size_px), 1 where there is a person.
        size_px: side of the photo.
    """
    mesh = np.asarray(mesh_px, np.float64)
    landmarks = mesh[MESH_TO_78]
    down = face_down(mesh)
    oval = mesh[FACE_OVAL]
    face_height = float(np.ptp(oval[:, :2] @ down))

    rings = _ring_points(oval, face_height, size_px)
    steps = np.linspace(0, size_px, BORDER_POINTS_PER_SIDE)
    border = np.array([(x, y) for x in steps for y in steps if x in (0, size_px) or y in (0, size_px)])
    deep = np.percentile(oval[:, 2], DEEP_PERCENTILE)
    border = np.column_stack([border, np.full(len(border), deep)])
    vertices = np.concatenate([mesh[:N_FACE], rings, border])

    ring_triangles = _ring_triangles(vertices, oval)
    fillers = _strip(LIP_UPPER, LIP_LOWER) + [t for rows in zip(LID_UPPER, LID_LOWER, strict=True) for t in _strip(*rows)]
    skin = _skin_triangles()

    is_border = np.arange(len(vertices)) >= len(vertices) - len(border)
    still = _beyond_expression(vertices, oval, mesh[CHIN], face_height, down) | is_border
    still[:N_FACE] = False
    still[list(UNDER_EYES)] = True
    weight = _head_weight(vertices, matte, oval, mesh[CHIN], face_height, down, size_px)
    weight[:N_FACE] = 1.0
    weight[is_border] = 0.0
    return WarpMesh(
        vertices=vertices,
        landmarks=landmarks,
        face_triangles=np.concatenate([skin, np.array(fillers, np.int32)]),
        ring_triangles=ring_triangles,
        operator=_spread_operator(vertices, np.concatenate([skin, ring_triangles]), still),
        head_weight=weight,
        down=down,
    )


def _ring_points(oval: NDArray[np.float64], face_height: float, size_px: int) -> NDArray[np.float64]:
    """The oval scaled outwards, (R, 3); depth goes from the oval's to the deepest part's, never nearer than the oval's.

    A shallower depth makes the near ear and cheek stretch into horizontal streaks from 20 degrees of yaw on.
    """
    centre = oval[:, :2].mean(axis=0)
    deep = np.percentile(oval[:, 2], DEEP_PERCENTILE)
    rings = []
    for scale in RING_SCALES:
        xy = centre + scale * (oval[:, :2] - centre)
        share = np.clip(np.linalg.norm(xy - oval[:, :2], axis=1) / (DEEP_WITHIN * face_height), 0, 1)
        z = np.maximum(oval[:, 2], oval[:, 2] + share * (deep - oval[:, 2]))
        rings.append(np.column_stack([xy, z]))
    points = np.concatenate(rings)
    inside = (points[:, :2] > FRAME_MARGIN_PX).all(axis=1) & (points[:, :2] < size_px - FRAME_MARGIN_PX).all(axis=1)
    return points[inside]


def _ring_triangles(vertices: NDArray[np.float64], oval: NDArray[np.float64]) -> NDArray[np.int32]:
    """Delaunay triangles between oval, rings and border; those inside the face are left out."""
    indices = np.concatenate([FACE_OVAL, np.arange(N_FACE, len(vertices))])
    triangles = Delaunay(vertices[indices, :2]).simplices
    outline = oval[:, :2].astype(np.float32)
    middles = vertices[indices, :2][triangles].mean(axis=1)
    outside = np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), False) < 0 for x, y in middles])
    return indices[triangles[outside]].astype(np.int32)


def _beyond_expression(
    vertices: NDArray[np.float64],
    oval: NDArray[np.float64],
    chin: NDArray[np.float64],
    face_height: float,
    down: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Vertices (V,) that the face's expression must not move: far out, or well below the chin."""
    centre = oval[:, :2].mean(axis=0)
    offsets = vertices[:, :2] - centre
    oval_angles = np.arctan2(*(oval[:, :2] - centre).T[::-1])
    order = np.argsort(oval_angles)
    radius = np.interp(
        np.arctan2(offsets[:, 1], offsets[:, 0]),
        oval_angles[order],
        np.linalg.norm(oval[:, :2] - centre, axis=1)[order],
        period=2 * np.pi,
    )
    far = np.linalg.norm(offsets, axis=1) > STILL_BEYOND_RADII * radius
    below = (vertices[:, :2] - chin[:2]) @ down > STILL_BELOW_CHIN * face_height
    return far | below


def _head_weight(
    vertices: NDArray[np.float64],
    matte: NDArray[np.floating],
    oval: NDArray[np.float64],
    chin: NDArray[np.float64],
    face_height: float,
    down: NDArray[np.float64],
    size_px: int,
) -> NDArray[np.float64]:
    """How much each vertex (V,) moves with the head: hair fully, background not at all, neck and long hair partly."""
    xy = vertices[:, :2]
    person = (np.asarray(matte) > 0.5).astype(np.uint8)
    cv2.fillConvexPoly(person, cv2.convexHull(oval[:, :2].astype(np.int32)), (1.0,))
    parts = cv2.connectedComponents(person)[1]
    row, column = np.clip(oval[:, 1::-1].mean(axis=0).astype(int), 0, size_px - 1)
    outside_px = cv2.distanceTransform((parts != parts[row, column]).astype(np.uint8), cv2.DIST_L2, 5)
    pixel = np.clip(xy.astype(int), 0, size_px - 1)
    weight = 1 - smoothstep(*MATTE_FADE, outside_px[pixel[:, 1], pixel[:, 0]] / face_height)

    below_chin = (xy - chin[:2]) @ down / face_height
    weight *= 1 - smoothstep(*NECK_FADE, below_chin)
    across = np.array([down[1], -down[0]])
    centre = oval[:, :2].mean(axis=0)
    half_width = np.ptp(oval[:, :2] @ across) / 2
    beside = smoothstep(*SIDE_HAIR, np.abs((xy - centre) @ across) / half_width) * smoothstep(-0.5, 0.0, below_chin)
    weight *= 1 - (1 - SIDE_HAIR_KEEPS) * beside
    to_edge = np.minimum(xy, size_px - xy).min(axis=1) / size_px
    return weight * smoothstep(0.0, FRAME_FADE, to_edge)


def below_chin(mesh_px: NDArray[np.floating], size_px: int, over: tuple[float, float]) -> NDArray[np.float64]:
    """0 on the head to 1 below the chin of a face mesh (478, 3), (size_px, size_px), over that many face heights below it."""
    mesh, down = np.asarray(mesh_px, np.float64), face_down(mesh_px)
    face_height = float(np.ptp(mesh[FACE_OVAL, :2] @ down))
    rows, columns = np.indices((size_px, size_px)) + 0.5
    chin = mesh[CHIN, :2]
    return smoothstep(*over, ((columns - chin[0]) * down[0] + (rows - chin[1]) * down[1]) / face_height)


def _spread_operator(
    vertices: NDArray[np.float64], triangles: NDArray[np.int32], still: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(V, 68): vertex displacements from landmark displacements; biharmonic, along mesh edges only.

    Minimises |L x|^2 + CONTROL_WEIGHT |x_c - d_c|^2 with L the row-normalised graph Laplacian, weights 1 / edge length. Harmonic
    (|x|_L^2) instead is spiky at the landmarks: gap 0.95, width 0.69, eye opening 0.41 of the command.
    """
    n = len(vertices)
    edges = np.unique(np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    weight = 1 / (np.linalg.norm(vertices[edges[:, 0], :2] - vertices[edges[:, 1], :2], axis=1) + EDGE_SOFTENING_PX)
    adjacency = sparse.coo_matrix((weight, (edges[:, 0], edges[:, 1])), shape=(n, n))
    adjacency = (adjacency + adjacency.T).tocsr()
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    laplacian = sparse.identity(n) - sparse.diags(1 / np.maximum(degree, 1e-9)) @ adjacency

    constraints = [(int(vertex), int(point)) for point, vertex in zip(IBUG68, MESH_TO_78[IBUG68], strict=True)]
    constraints += list(LOWER_BROW_FOLLOWS.items())
    held = np.zeros(n)
    right = np.zeros((n, len(IBUG68)))
    for vertex, point in constraints:
        held[vertex] += CONTROL_WEIGHT
        right[vertex, point] += CONTROL_WEIGHT
    for fold, brow, (outer_lid, inner_lid) in zip(FOLD_OVER_EYES, BROWS_OUTER_FIRST, UPPER_LIDS_OUTER_FIRST, strict=True):
        inwards = np.linspace(0, 1, len(fold))
        held[fold] += CONTROL_WEIGHT
        right[fold, brow] += CONTROL_WEIGHT * FOLD_WITH_BROW
        right[fold, outer_lid] += CONTROL_WEIGHT * FOLD_WITH_LID * (1 - inwards)
        right[fold, inner_lid] += CONTROL_WEIGHT * FOLD_WITH_LID * inwards
    held[still] += CONTROL_WEIGHT
    system = (laplacian.T @ laplacian + sparse.diags(held)).tocsc()
    return np.asarray(splu(system).solve(right))


def clamp_controls(points: NDArray[np.float64], photo: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Landmarks (78, 3) in the photo's frame without crossed lips or lids; crossed ones tear the mesh.

    Crossing lips meet in the middle; a crossing upper lid stops at the lower one; lids open at most LID_WIDEST times the photo.
    """
    points = points.copy()
    assert points.shape == (N_LANDMARKS, 3)
    for upper, lower in INNER_LIP_PAIRS:
        crossed = float((points[lower, :2] - points[upper, :2]) @ down)
        if crossed < 0:
            points[upper, :2] += 0.5 * crossed * down
            points[lower, :2] -= 0.5 * crossed * down
    for upper, lower in LID_PAIRS:
        opening = float((points[lower, :2] - points[upper, :2]) @ down)
        widest = LID_WIDEST * max(float((photo[lower, :2] - photo[upper, :2]) @ down), 0.0)
        points[upper, :2] += (opening - min(max(opening, 0.0), widest)) * down
    return points


def clamp_rows(vertices: NDArray[np.float64], down: NDArray[np.float64]) -> None:
    """The same order on whole rows of lip and lid vertices (V, 3), in place: the operator can overshoot between landmarks."""
    crossed = np.minimum((vertices[LIP_LOWER, :2] - vertices[LIP_UPPER, :2]) @ down, 0.0)[1:-1, None] * down
    vertices[LIP_UPPER[1:-1], :2] += 0.5 * crossed
    vertices[LIP_LOWER[1:-1], :2] -= 0.5 * crossed
    for upper, lower in zip(LID_UPPER, LID_LOWER, strict=True):
        crossed = np.minimum((vertices[lower, :2] - vertices[upper, :2]) @ down, 0.0)[1:-1, None] * down
        vertices[upper[1:-1], :2] += crossed
