"""The face cage: 468 vertices in MediaPipe's landmark order and 852 triangles, made by ourselves.

`python -m space_data.synthetic.cage` makes `space_data/assets/face_cage.npz` again: FaceMesh looks at our primitive head
from 15 sides, its 3-D answers are Procrustes-averaged, made symmetric and scaled. The triangles are read from the text of
mediapipe's list of mesh edges (852 consecutive closed triples; the Python set made of it loses the order).
Needs the mediapipe wheel and nothing else: no third-party geometry enters.

Frame: centimetres, y up, +z to the camera, +x to the right of the image; landmark 168 (between the eyes) at
(0, 3.27, 5.24), distance 234-454 (cheek to cheek before the ears) 15.33.
"""

import argparse
import importlib.util
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from space_data.errors import SpaceError

N_CAGE_VERTICES = 468
N_CAGE_TRIANGLES = 852
CAGE_ASSET = "face_cage.npz"

CHEEK_LEFT, CHEEK_RIGHT = 234, 454
FACE_WIDTH_CM = 15.33
BETWEEN_EYES = 168
BETWEEN_EYES_CM = (0.0, 3.27, 5.24)

_VIEW_YAWS_DEG = (-10.0, -5.0, 0.0, 5.0, 10.0)
_VIEW_PITCHES_DEG = (-6.0, 0.0, 6.0)
_PROCRUSTES_ROUNDS = 6
_MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Cage:
    """`vertices` (468, 3) float64 cm in landmark order; `triangles` (852, 3) int32, counter-clockwise seen from outside."""

    vertices: np.ndarray
    triangles: np.ndarray


@lru_cache(maxsize=1)
def load_cage() -> Cage:
    """The shipped cage."""
    with as_file(files("space_data") / "assets" / CAGE_ASSET) as path, np.load(path) as stored:
        return Cage(stored["vertices"], stored["triangles"])


def _nearest_mirror(vertices: np.ndarray) -> np.ndarray:
    cost = ((vertices[:, None] - (vertices * _MIRROR)[None]) ** 2).sum(-1)
    return linear_sum_assignment(cost + cost.T)[1]


def mirror_map(vertices: np.ndarray) -> np.ndarray:
    """Index (468,) of each vertex's mirror image in x = 0: the assignment of least squared distance.

    Raises SpaceError if the assignment is not its own inverse (the points are then not a face seen from the front).
    """
    partner = _nearest_mirror(vertices - np.array([vertices[:, 0].mean(), 0.0, 0.0]))
    if not np.array_equal(partner[partner], np.arange(len(partner))):
        lost = int((partner[partner] != np.arange(len(partner))).sum())
        raise SpaceError(f"face cage: {lost} vertices without a mirror partner, needed 0 (is the face turned?)")
    return partner


def _align(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`points` (N, 3) moved onto `reference` by the best similarity (Umeyama 1991), without reflection."""
    a, b = points - points.mean(0), reference - reference.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ sign @ vt
    scale = np.trace(np.diag(s) @ sign) / (a**2).sum()
    return scale * a @ rotation.T + reference.mean(0)


def procrustes_mean(shapes: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Mean (N, 3) of shapes (K, N, 3) up to similarity, in the frame and size of the shape `frame` (N, 3)."""
    mean = frame
    for _ in range(_PROCRUSTES_ROUNDS):
        mean = _align(np.mean([_align(shape, mean) for shape in shapes], axis=0), frame)
    return mean


def symmetric(vertices: np.ndarray) -> np.ndarray:
    """The nearest shape that is its own mirror image in x = 0; `vertices` (N, 3) may be tilted a little."""
    result = vertices
    for _ in range(_PROCRUSTES_ROUNDS):
        # a tilt pairs some points wrongly at first: pair, turn the plane of symmetry into x = 0, pair again
        centred = result - result.mean(0)
        partner = _nearest_mirror(centred)
        result = _align(centred, 0.5 * (centred + (centred * _MIRROR)[partner]))
    partner = mirror_map(result)
    return 0.5 * (result + (result * _MIRROR)[partner])


def cage_from_meshes(meshes_px: np.ndarray) -> np.ndarray:
    """Vertices (468, 3) cm from FaceMesh answers (K, >=468, 3) px for views of one head; the middle one must be frontal."""
    shapes = np.asarray(meshes_px, np.float64)[:, :N_CAGE_VERTICES] * np.array([1.0, -1.0, -1.0])
    mean = symmetric(procrustes_mean(shapes, shapes[len(shapes) // 2]))
    mean *= FACE_WIDTH_CM / np.linalg.norm(mean[CHEEK_LEFT] - mean[CHEEK_RIGHT])
    return mean + (np.array(BETWEEN_EYES_CM) - mean[BETWEEN_EYES])


def tessellation() -> np.ndarray:
    """Triangles (852, 3) from the text of mediapipe's face_mesh_connections.py.

    Raises SpaceError if the file is missing or no longer a list of closed triples.
    """
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise SpaceError("face cage: the package mediapipe is not installed, needed for its list of mesh edges")
    text = (Path(spec.origin).parent / "python" / "solutions" / "face_mesh_connections.py").read_text()
    block = text[text.index("FACEMESH_TESSELATION") :].split("])")[0]
    edges = np.array([[int(a), int(b)] for a, b in re.findall(r"\((\d+),\s*(\d+)\)", block)])
    if len(edges) != 3 * N_CAGE_TRIANGLES:
        raise SpaceError(f"FACEMESH_TESSELATION: {len(edges)} edges, needed {3 * N_CAGE_TRIANGLES} (another mediapipe version?)")
    triples = edges.reshape(-1, 3, 2)
    if not np.array_equal(triples[:, :, 1], np.roll(triples[:, :, 0], -1, axis=1)):
        raise SpaceError("FACEMESH_TESSELATION: its triples are not closed triangles (another mediapipe version?)")
    return triples[:, :, 0]


def oriented(triangles: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """`triangles` wound alike across shared edges, and so that most normals of the open surface point to +z.

    The winding is that of (b - a) x (c - a) pointing outwards, with y up.
    """
    neighbours: dict[frozenset[int], list[int]] = {}
    for t, triangle in enumerate(triangles):
        for k in range(3):
            neighbours.setdefault(frozenset((int(triangle[k]), int(triangle[(k + 1) % 3]))), []).append(t)
    result = np.array(triangles)
    seen = np.zeros(len(triangles), bool)
    for start in range(len(triangles)):
        stack = [] if seen[start] else [start]
        seen[start] = True
        while stack:
            t = stack.pop()
            directed = {(int(result[t, k]), int(result[t, (k + 1) % 3])) for k in range(3)}
            for a, b in directed:
                for other in neighbours[frozenset((a, b))]:
                    if seen[other]:
                        continue
                    other_edges = {(int(result[other, k]), int(result[other, (k + 1) % 3])) for k in range(3)}
                    if (a, b) in other_edges:  # the same direction twice: one of the two is the wrong way round
                        result[other] = result[other, ::-1]
                    seen[other] = True
                    stack.append(other)
    corner = vertices[result]
    normals = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    return (result if normals[:, 2].sum() > 0 else result[:, ::-1]).astype(np.int32)


def make_cage() -> Cage:
    """The cage from scratch (about 10 s). Raises SpaceError where FaceMesh does not find the primitive head."""
    from space_data.facemesh import mesh_of_image  # loads mediapipe: only for making the asset
    from space_data.synthetic.primitive import primitive_view

    meshes = []
    for yaw_deg in _VIEW_YAWS_DEG:
        for pitch_deg in _VIEW_PITCHES_DEG:
            mesh = mesh_of_image(primitive_view(yaw_deg, pitch_deg))
            if mesh is None:
                raise SpaceError(f"primitive head at yaw {yaw_deg}, pitch {pitch_deg}: no face found, needed one in every view")
            meshes.append(mesh)
    vertices = cage_from_meshes(np.stack(meshes))
    return Cage(vertices, oriented(tessellation(), vertices))


def main(argv: list[str] | None = None) -> None:
    """Write the asset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).parents[1] / "assets" / CAGE_ASSET
    parser.add_argument("--out", type=Path, default=default)
    out = parser.parse_args(argv).out
    cage = make_cage()
    temporary = out.with_suffix(".partial.npz")
    np.savez_compressed(temporary, vertices=np.round(cage.vertices, 6), triangles=cage.triangles)
    temporary.replace(out)


if __name__ == "__main__":
    main()
