"""Triangle-mesh algebra used by the head: Loop subdivision as a matrix, harmonic fields, vertex normals."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numba import njit
from scipy.sparse.linalg import splu


@dataclass(frozen=True)
class Subdivision:
    """One Loop step. `matrix` (V', V) sparse: old vertices keep their index; `triangles` (4 F, 3) int32, of which rows
    4 t .. 4 t + 3 come from triangle t."""

    matrix: sp.csr_matrix
    triangles: np.ndarray


def loop_subdivision(triangles: np.ndarray, n_vertices: int) -> Subdivision:
    """Loop's scheme (C. Loop, 1987) with the crease rule on open borders."""
    corners = np.asarray(triangles)
    edge_index: dict[tuple[int, int], int] = {}
    opposite: list[list[int]] = []
    for a, b, c in corners.tolist():
        for i, j, k in ((a, b, c), (b, c, a), (c, a, b)):
            e = edge_index.setdefault((min(i, j), max(i, j)), len(edge_index))
            if e == len(opposite):
                opposite.append([])
            opposite[e].append(k)
    neighbours: list[list[int]] = [[] for _ in range(n_vertices)]
    border: list[list[int]] = [[] for _ in range(n_vertices)]
    entries: list[tuple[int, int, float]] = []
    for (i, j), e in edge_index.items():
        neighbours[i].append(j)
        neighbours[j].append(i)
        new = n_vertices + e
        if len(opposite[e]) == 2:
            entries += [(new, i, 3 / 8), (new, j, 3 / 8), (new, opposite[e][0], 1 / 8), (new, opposite[e][1], 1 / 8)]
        else:
            border[i].append(j)
            border[j].append(i)
            entries += [(new, i, 1 / 2), (new, j, 1 / 2)]
    for i in range(n_vertices):
        if border[i]:
            entries += [(i, i, 3 / 4)] + [(i, j, 1 / 8) for j in border[i]]
        else:
            valence = len(neighbours[i])
            weight = 3 / 16 if valence == 3 else 3 / (8 * valence)
            entries += [(i, i, 1 - valence * weight)] + [(i, j, weight) for j in neighbours[i]]
    rows, columns, values = zip(*entries, strict=True)
    matrix = sp.csr_matrix((values, (rows, columns)), shape=(n_vertices + len(edge_index), n_vertices))
    fine = []
    for a, b, c in corners.tolist():
        ab, bc, ca = (n_vertices + edge_index[(min(i, j), max(i, j))] for i, j in ((a, b), (b, c), (c, a)))
        fine += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return Subdivision(matrix, np.array(fine, np.int32))


class HarmonicSolver:
    """Smooth interpolation of values given at some vertices over a mesh: discrete harmonic functions with 1 / length weights."""

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
        sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
        edges = np.unique(np.sort(sides, axis=1), axis=0)
        # vertices that coincide (the closed lips) would make infinite weights
        weight = 1 / np.maximum(np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1), 0.05)
        n = len(vertices)
        adjacency = sp.coo_matrix((weight, (edges[:, 0], edges[:, 1])), shape=(n, n))
        adjacency = (adjacency + adjacency.T).tocsr()
        self._laplacian = (sp.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency).tocsr()

    def field(self, values: Mapping[int, float]) -> np.ndarray:
        """The field (V,) that takes `values` at their vertices and is harmonic elsewhere."""
        return self.fields(tuple(values), np.array(list(values.values()))[:, None])[:, 0]

    def fields(self, fixed: tuple[int, ...], values: np.ndarray) -> np.ndarray:
        """Fields (V, K) with values (len(fixed), K) at the vertices `fixed`."""
        n = self._laplacian.shape[0]
        known = np.array(fixed)
        free = np.setdiff1d(np.arange(n), known)
        result = np.zeros((n, values.shape[1]))
        result[known] = values
        rows = self._laplacian[free]
        result[free] = splu(rows[:, free].tocsc()).solve(-(rows[:, known] @ values))
        return result


@njit(cache=True, nogil=True)
def _accumulate_normals(vertices, triangles, normals):
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            normals[i, 0] += nx
            normals[i, 1] += ny
            normals[i, 2] += nz
    for i in range(normals.shape[0]):
        length = np.sqrt(normals[i, 0] * normals[i, 0] + normals[i, 1] * normals[i, 1] + normals[i, 2] * normals[i, 2])
        scale = np.float32(1.0) / max(length, np.float32(1e-12))
        normals[i, 0] *= scale
        normals[i, 1] *= scale
        normals[i, 2] *= scale


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals (V, 3) float32 of vertices (V, 3) and triangles (F, 3) int32."""
    normals = np.zeros(vertices.shape, np.float32)
    _accumulate_normals(np.ascontiguousarray(vertices, np.float32), triangles, normals)
    return normals


def grid_triangles(n_rows: int, n_columns: int, closed: bool = False, first: int = 0) -> np.ndarray:
    """Triangles (F, 3) int32 of a grid of n_rows x n_columns vertices (row-major from `first`); `closed` joins the last
    column to the first. Outward is (along the row) x (down the rows)."""
    columns = n_columns if closed else n_columns - 1
    row, column = np.meshgrid(np.arange(n_rows - 1), np.arange(columns), indexing="ij")
    a = (row * n_columns + column).ravel()
    b = (row * n_columns + (column + 1) % n_columns).ravel()
    quads = np.stack([a, b, b + n_columns, a + n_columns], -1)
    return (first + np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])).astype(np.int32)
