"""Z-buffer rasteriser in numba: triangles in pixel coordinates to a visibility buffer.

Only visibility is decided here: which triangle covers which sample, and where in it. Colour is computed afterwards from
that buffer (`space_data.synthetic.shade`), once per sample or pixel, so that hidden surfaces are never shaded.

Conventions: pixel centres at integer + 0.5, x to the right, y down; depth is stored as 1/distance (larger = nearer).
Triangles seen counter-clockwise on the screen face the camera; the others are culled unless two-sided.
Everything is float32 (a bare float literal would make numba compute in float64 and cost a third of the speed).
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

NO_TRIANGLE = -1
_ZERO = np.float32(0.0)
_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_MIN_AREA_PX2 = np.float32(1e-6)
_TILE_PX = 8


@dataclass(frozen=True)
class Visibility:
    """What every sample sees. `triangle` (H, W) int32, NO_TRIANGLE where empty; `weight_b`, `weight_c` (H, W) float32
    barycentric weights of the triangle's second and third corner (the first is the rest); `inv_depth` (H, W) float32."""

    triangle: np.ndarray
    weight_b: np.ndarray
    weight_c: np.ndarray
    inv_depth: np.ndarray


@dataclass(frozen=True)
class Cutout:
    """Alpha test: a triangle t with masked[t] leaves out the samples where alpha, looked up at its corners' uv, is below
    the threshold. uv (V, 2) float32 in texels of `alpha` (h, w) float32."""

    masked: np.ndarray
    uv: np.ndarray
    alpha: np.ndarray
    threshold: float = 0.5


@njit(cache=True, nogil=True, error_model="numpy")
def _farthest(inv_depth, farthest):
    """Fill `farthest` with the smallest 1 / distance in each tile of inv_depth."""
    farthest[:] = np.float32(np.inf)
    for y in range(inv_depth.shape[0]):
        for x in range(inv_depth.shape[1]):
            farthest[y // _TILE_PX, x // _TILE_PX] = min(farthest[y // _TILE_PX, x // _TILE_PX], inv_depth[y, x])


@njit(cache=True, nogil=True, error_model="numpy")
def _rasterise(
    points, triangles, two_sided, masked, uv, alpha, threshold, late, farthest, triangle, weight_b, weight_c, inv_depth
):
    height, width = triangle.shape
    alpha_height, alpha_width = alpha.shape
    for t in range(triangles.shape[0]):
        if t == late:
            _farthest(inv_depth, farthest)
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = points[a, 0], points[a, 1], points[a, 2]
        bx, by, bz = points[b, 0], points[b, 1], points[b, 2]
        cx, cy, cz = points[c, 0], points[c, 1], points[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area > _ZERO and not two_sided[t]:  # y points down: counter-clockwise has negative area
            continue
        if abs(area) < _MIN_AREA_PX2:
            continue
        # the samples whose centres lie in the triangle's box; small triangles often have none
        x0, x1 = max(int(min(ax, bx, cx) + _HALF), 0), min(int(max(ax, bx, cx) + _HALF), width)
        y0, y1 = max(int(min(ay, by, cy) + _HALF), 0), min(int(max(ay, by, cy) + _HALF), height)
        if x0 >= x1 or y0 >= y1:
            continue
        if t >= late:
            nearest = max(az, bz, cz)
            hidden = True
            for tile_y in range(y0 // _TILE_PX, (y1 - 1) // _TILE_PX + 1):
                for tile_x in range(x0 // _TILE_PX, (x1 - 1) // _TILE_PX + 1):
                    hidden = hidden and farthest[tile_y, tile_x] >= nearest
            if hidden:
                continue
        scale = _ONE / area
        # weights are affine in x and y: start values and steps
        b_dx, b_dy = (cy - ay) * scale, (ax - cx) * scale
        c_dx, c_dy = (ay - by) * scale, (bx - ax) * scale
        cut = masked[t]
        for y in range(y0, y1):
            dy = np.float32(y) + _HALF - ay
            dx = np.float32(x0) + _HALF - ax
            wb = dx * b_dx + dy * b_dy
            wc = dx * c_dx + dy * c_dy
            entered = False
            for x in range(x0, x1):
                wa = _ONE - wb - wc
                if wa >= _ZERO and wb >= _ZERO and wc >= _ZERO:
                    entered = True
                    z = wa * az + wb * bz + wc * cz
                    if z > inv_depth[y, x]:
                        seen = True
                        if cut:
                            u = int(wa * uv[a, 0] + wb * uv[b, 0] + wc * uv[c, 0])
                            v = int(wa * uv[a, 1] + wb * uv[b, 1] + wc * uv[c, 1])
                            u = min(max(u, 0), alpha_width - 1)
                            v = min(max(v, 0), alpha_height - 1)
                            seen = alpha[v, u] >= threshold
                        if seen:
                            inv_depth[y, x] = z
                            triangle[y, x] = t
                            weight_b[y, x] = wb
                            weight_c[y, x] = wc
                elif entered:
                    break
                wb += b_dx
                wc += c_dx


_NO_UV = np.zeros((1, 2), np.float32)
_OPAQUE = np.ones((1, 1), np.float32)


def rasterise(
    points: np.ndarray,
    triangles: np.ndarray,
    height_px: int,
    width_px: int,
    two_sided: np.ndarray | None = None,
    cutout: Cutout | None = None,
    late: int | None = None,
) -> Visibility:
    """Visibility of triangles (F, 3) int32 with corners points (V, 3) float32 = (x px, y px, 1 / distance).

    Args:
        two_sided: (F,) bool, triangles drawn from behind too.
        late: triangles from this number on are first held against what the ones before have covered, tile by tile. The picture
            is the same; it pays where most of them are hidden, as the back of the hair is by the head.
    """
    shape = (height_px, width_px)
    weight_b, weight_c, inv_depth = (np.zeros(shape, np.float32) for _ in range(3))
    visibility = Visibility(np.full(shape, NO_TRIANGLE, np.int32), weight_b, weight_c, inv_depth)
    no_triangle = np.zeros(len(triangles), np.bool_)
    two_sided = no_triangle if two_sided is None else two_sided
    cutout = Cutout(no_triangle, _NO_UV, _OPAQUE) if cutout is None else cutout
    farthest = np.zeros((-(-height_px // _TILE_PX), -(-width_px // _TILE_PX)), np.float32)
    _rasterise(
        points, triangles, two_sided, cutout.masked, cutout.uv, cutout.alpha, np.float32(cutout.threshold),
        len(triangles) if late is None else late, farthest,
        visibility.triangle, visibility.weight_b, visibility.weight_c, visibility.inv_depth,
    )  # fmt: skip
    return visibility


def interpolate(visibility: Visibility, triangles: np.ndarray, attribute: np.ndarray) -> np.ndarray:
    """Per-sample values (H, W, C) of a per-vertex attribute (V, C); zero where no triangle is seen."""
    covered = visibility.triangle >= 0
    corners = triangles[visibility.triangle[covered]]
    b = visibility.weight_b[covered][:, None]
    c = visibility.weight_c[covered][:, None]
    values = (1 - b - c) * attribute[corners[:, 0]] + b * attribute[corners[:, 1]] + c * attribute[corners[:, 2]]
    picture = np.zeros((*covered.shape, attribute.shape[1]), values.dtype)
    picture[covered] = values
    return picture
