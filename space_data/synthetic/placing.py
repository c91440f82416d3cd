"""Vertices to the places where they are drawn: posed, projected, and seen from the key light. One pass each, in numba.

Attributes of a vertex lie side by side in one row (56 bytes, one cache line): the shading of a pixel reads three rows.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

NORMAL, UV, TINT, SHADOW, TANGENT = 0, 3, 5, 8, 11
N_ATTRIBUTES = 14
"""First columns of the attribute rows: normal 3, uv 2, tint 3, place in the shadow map 3, direction of the fibre 3."""


@dataclass(frozen=True)
class Motion:
    """Turns `rotation` (3, 3) about `pivot` (3,) and moves by `offset` (3,); cm."""

    rotation: np.ndarray
    pivot: np.ndarray
    offset: np.ndarray

    def table(self) -> np.ndarray:
        """(3, 4) float32: posed = table[:, :3] @ point + table[:, 3]."""
        shift = self.pivot + self.offset - self.rotation @ self.pivot
        return np.concatenate([self.rotation, shift[:, None]], axis=1).astype(np.float32)


@njit(cache=True, nogil=True)
def _place(vertices, weight, head, torso, camera, light, posed, screen, from_light):
    one = np.float32(1.0)
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        w = weight[i]
        for k in range(3):
            value = head[k, 0] * x + head[k, 1] * y + head[k, 2] * z + head[k, 3]
            if w < one:
                other = torso[k, 0] * x + torso[k, 1] * y + torso[k, 2] * z + torso[k, 3]
                value = other + w * (value - other)
            posed[i, k] = value
        inverse = one / (camera[4] - posed[i, 2])
        screen[i, 0] = camera[1] + camera[0] * (posed[i, 0] - camera[2]) * inverse
        screen[i, 1] = camera[1] - camera[0] * (posed[i, 1] - camera[3]) * inverse
        screen[i, 2] = inverse
        for k in range(3):
            from_light[i, k] = light[k, 0] * posed[i, 0] + light[k, 1] * posed[i, 1] + light[k, 2] * posed[i, 2] + light[k, 3]


@njit(cache=True, nogil=True)
def _fill_rows(normals, from_light, light, offset, rows):
    for i in range(normals.shape[0]):
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        for k in range(3):
            rows[i, k] = normals[i, k]
            rows[i, 8 + k] = from_light[i, k] + offset * (light[k, 0] * nx + light[k, 1] * ny + light[k, 2] * nz)


def place(
    vertices: np.ndarray, weight: np.ndarray, head: Motion, torso: Motion, camera: np.ndarray, light: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posed vertices, their places on the screen (x px, y px, 1 / distance) and in the light's map; each (V, 3) float32.

    Args:
        vertices: (V, 3) float32 cm; `weight` (V,) float32 share of the head's motion against the torso's.
        camera: (5,) float32 focal px, centre px, x, y and distance in cm.
        light: (3, 4) float32 affine map to the light's texels and depth.
    """
    posed, screen, from_light = (np.empty_like(vertices) for _ in range(3))
    _place(vertices, weight, head.table(), torso.table(), camera, light, posed, screen, from_light)
    return posed, screen, from_light


def fill_rows(rows: np.ndarray, normals: np.ndarray, from_light: np.ndarray, light: np.ndarray, offset_cm: float) -> None:
    """Write normals and shadow look-ups (moved offset_cm along the normal) into attribute rows (V, N_ATTRIBUTES)."""
    _fill_rows(normals, from_light, light, np.float32(offset_cm), rows)
