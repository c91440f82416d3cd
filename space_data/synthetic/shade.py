"""Colour from visibility: light, materials, texture, shadow, and the averaging of samples into pixels.

The surfaces a pixel sees are grouped by material and each group is shaded once with its averaged attributes, so that
anti-aliasing costs little where a pixel lies inside one surface. All float32; colours linear, gamma 2 at the end.
"""

from dataclasses import astuple, dataclass

import numpy as np
from numba import njit

from space_data.synthetic.raster import Visibility

_F0, _F1, _F2, _FH = np.float32(0.0), np.float32(1.0), np.float32(2.0), np.float32(0.5)
_BYTE = np.float32(255.0)
_AMBIENT_FLOOR, _AMBIENT_SLOPE = np.float32(0.76), np.float32(0.24)
_KNEE = np.float32(0.70)
"""Linear value above which highlights are compressed."""
_INSIDE = np.float32(0.6)
"""Brightness of the inner side of hair."""


@dataclass(frozen=True)
class Material:
    """How a surface answers light. `wrap` lets diffuse light reach past the terminator, per channel (more red in skin);
    `colour` multiplies texture (if `textured`) and vertex tint; `strand` switches to hair's highlights along the fibre."""

    wrap_r: float
    wrap_g: float
    wrap_b: float
    specular: float
    exponent: float
    rim: float
    colour_r: float
    colour_g: float
    colour_b: float
    textured: bool = False
    shadowed: bool = True
    strand: bool = False


@dataclass(frozen=True)
class Lights:
    """Directions (to the light, unit, camera axes: x right, y up, z to the camera) and colours (3,) of key, fill and back
    light, and the colour of the ambient light. Only the key casts shadows."""

    key: np.ndarray
    key_colour: np.ndarray
    fill: np.ndarray
    fill_colour: np.ndarray
    back: np.ndarray
    back_colour: np.ndarray
    ambient_colour: np.ndarray

    def table(self) -> np.ndarray:
        """(8, 3) float32 rows in the order of the fields, then the direction half-way between the key light and the camera."""
        half = self.key + (0.0, 0.0, 1.0)
        fields = self.key, self.key_colour, self.fill, self.fill_colour, self.back, self.back_colour, self.ambient_colour
        return np.stack([*fields, half / np.linalg.norm(half)]).astype(np.float32)


@dataclass(frozen=True)
class Surface:
    """`rows` (V, N_ATTRIBUTES) float32 per vertex, columns as in `space_data.synthetic.placing`; per triangle `corners` (F, 3)
    int32 and `material` (F,) int32."""

    rows: np.ndarray
    corners: np.ndarray
    material: np.ndarray


def material_table(materials: tuple[Material, ...]) -> np.ndarray:
    """(M, 12) float32 for the kernel, columns in the order of Material's fields."""
    return np.array([astuple(m) for m in materials], np.float32)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _lit(shadow_map, x, y, depth):
    """Share of light 0..1 at a place of the shadow map: 3 x 3 neighbours, bilinear."""
    size = shadow_map.shape[0]
    fx, fy = x - _FH, y - _FH
    ix, iy = int(np.floor(fx)), int(np.floor(fy))
    if ix < 1 or iy < 1 or ix >= size - 3 or iy >= size - 3:
        return _F1
    wx, wy = fx - np.float32(ix), fy - np.float32(iy)
    total = _F0
    for j in range(-1, 3):
        weight_y = (_F1 - wy) if j == -1 else (wy if j == 2 else _F1)
        for i in range(-1, 3):
            weight_x = (_F1 - wx) if i == -1 else (wx if i == 2 else _F1)
            if shadow_map[iy + j, ix + i] <= depth:
                total += weight_x * weight_y
    return total / np.float32(9.0)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _power(base, exponent):
    """base ** exponent for whole exponents > 0, in float32."""
    result = _F1
    left = int(exponent)
    while left > 0:
        if left & 1:
            result *= base
        base *= base
        left >>= 1
    return result


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _shade_group(a, material, atlas, shadow_map, use_shadow, lights, out):
    """Linear colour `out` (3,) of averaged attributes a (14,): normal 3, uv 2, tint 3, shadow 3, tangent 3."""
    nx, ny, nz = a[0], a[1], a[2]
    scale = _F1 / np.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-12))
    nx, ny, nz = nx * scale, ny * scale, nz * scale
    r, g, b = a[5] * material[6], a[6] * material[7], a[7] * material[8]
    inside = nz < _F0 and material[11] > _FH
    if inside:  # hair sheets are seen from both sides; inside, other hair that is not modelled takes most of the light
        nx, ny, nz = -nx, -ny, -nz
        r, g, b = _INSIDE * r, _INSIDE * g, _INSIDE * b
    if material[9] > _FH:
        u, v = a[3] - _FH, a[4] - _FH
        iu, iv = int(np.floor(u)), int(np.floor(v))
        iu = min(max(iu, 0), atlas.shape[1] - 2)
        iv = min(max(iv, 0), atlas.shape[0] - 2)
        wu, wv = u - np.float32(iu), v - np.float32(iv)
        w00, w01, w10, w11 = (_F1 - wu) * (_F1 - wv), wu * (_F1 - wv), (_F1 - wu) * wv, wu * wv
        tr = w00 * atlas[iv, iu, 0] + w01 * atlas[iv, iu + 1, 0] + w10 * atlas[iv + 1, iu, 0] + w11 * atlas[iv + 1, iu + 1, 0]
        tg = w00 * atlas[iv, iu, 1] + w01 * atlas[iv, iu + 1, 1] + w10 * atlas[iv + 1, iu, 1] + w11 * atlas[iv + 1, iu + 1, 1]
        tb = w00 * atlas[iv, iu, 2] + w01 * atlas[iv, iu + 1, 2] + w10 * atlas[iv + 1, iu, 2] + w11 * atlas[iv + 1, iu + 1, 2]
        unit = _F1 / (_BYTE * _BYTE)  # the atlas holds square roots
        r, g, b = r * tr * tr * unit, g * tg * tg * unit, b * tb * tb * unit
    lit = _lit(shadow_map, a[8], a[9], a[10]) if (use_shadow and material[10] > _FH) else _F1

    kx, ky, kz = lights[0, 0], lights[0, 1], lights[0, 2]
    key = nx * kx + ny * ky + nz * kz
    fill = max(_F0, (nx * lights[2, 0] + ny * lights[2, 1] + nz * lights[2, 2] + _FH) * np.float32(1 / 1.5))
    back = max(_F0, nx * lights[4, 0] + ny * lights[4, 1] + nz * lights[4, 2])
    facing = max(nz, _F0)
    edge = (_F1 - facing) * (_F1 - facing)
    back = back * edge
    ambient = _AMBIENT_FLOOR + _AMBIENT_SLOPE * ny
    hx, hy, hz = lights[7, 0], lights[7, 1], lights[7, 2]
    spec = _F0
    if material[11] > _FH:
        tx, ty, tz = a[11], a[12], a[13]
        ts = _F1 / np.sqrt(tx * tx + ty * ty + tz * tz + np.float32(1e-12))
        along = (tx * hx + ty * hy + tz * hz) * ts + np.float32(0.08)
        sine = np.sqrt(max(_F0, _F1 - along * along))
        spec = material[3] * _power(sine, material[4]) * max(_F0, np.float32(0.3) + np.float32(0.7) * key)
    elif key > -np.float32(0.2):
        toward = nx * hx + ny * hy + nz * hz
        if toward > np.float32(0.5):  # below, no exponent in use leaves anything to see
            spec = material[3] * _power(toward, material[4])
    spec = _F0 if inside else spec * lit
    rim = material[5] * edge * (_F1 - facing)
    for k in range(3):
        wrap = material[k]
        diffuse = max(_F0, (key + wrap) / (_F1 + wrap))
        # shadows on skin keep a warm edge: the channel with the larger wrap is let through first
        through = lit + (_F1 - lit) * lit * wrap
        light = lights[1, k] * diffuse * through + lights[3, k] * fill + lights[6, k] * ambient
        albedo = r if k == 0 else (g if k == 1 else b)
        gloss = spec * lights[1, k]
        if material[11] > _FH:  # light that passed through the fibre takes its colour
            gloss = gloss * (np.float32(0.25) + np.float32(2.2) * albedo)
        out[k] = albedo * (light + rim * lights[6, k]) + gloss + back * lights[5, k] * (np.float32(0.06) + albedo)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _tone(value):
    """Linear light to a byte: gamma 2, with a soft shoulder (0.7 -> 0.7, infinity -> 1)."""
    if value > _KNEE:
        over = value - _KNEE
        room = _F1 - _KNEE
        value = _KNEE + room * over / (over + room)
    return np.uint8(_BYTE * np.sqrt(max(value, _F0)) + _FH)


@njit(cache=True, nogil=True, error_model="numpy")
def tone_mapped(linear):
    """Picture (H, W, 3) uint8 of linear light (H, W, 3) float32."""
    picture = np.empty(linear.shape, np.uint8)
    for y in range(linear.shape[0]):
        for x in range(linear.shape[1]):
            for k in range(3):
                picture[y, x, k] = _tone(linear[y, x, k])
    return picture


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _interpolate(rows, corners, t, wb, wc, out):
    """Attributes `out` (14,) of a place in triangle t."""
    wa = _F1 - wb - wc
    va, vb, vc = corners[t, 0], corners[t, 1], corners[t, 2]
    for k in range(14):
        out[k] = wa * rows[va, k] + wb * rows[vb, k] + wc * rows[vc, k]


@njit(cache=True, nogil=True, error_model="numpy")
def _shade(triangle, weight_b, weight_c, samples, rows, corners, material_of, materials, atlas, shadow_map, use_shadow,
           lights, background, picture):  # fmt: skip
    height, width = picture.shape[0], picture.shape[1]
    n = samples * samples
    last = samples - 1
    kinds = np.empty(n, np.int32)
    a, b = np.zeros(14, np.float32), np.zeros(14, np.float32)
    colour = np.zeros(3, np.float32)
    total = np.zeros(3, np.float32)
    for y in range(height):
        for x in range(width):
            covered = s = 0
            for row in range(y * samples, (y + 1) * samples):  # no division by `samples`: it took a third of the time
                for column in range(x * samples, (x + 1) * samples):
                    t = triangle[row, column]
                    kinds[s] = material_of[t] if t >= 0 else -1
                    covered += t >= 0
                    s += 1
            if covered == 0:  # the background has been put there before
                continue
            bare = np.float32(n - covered)
            for k in range(3):
                total[k] = bare * background[y, x, k]
            for s in range(n):
                kind = kinds[s]
                if kind < 0:
                    continue
                # A surface's colour is taken at its first sample, and at the opposite corner where it fills the pixel;
                # its coverage counts every sample. 30 % faster than averaging all four, and no difference to be seen.
                count = 0
                for q in range(s, n):
                    if kinds[q] == kind:
                        kinds[q] = -1
                        count += 1
                row, column = y * samples + s // samples, x * samples + s % samples
                t, wb, wc = triangle[row, column], weight_b[row, column], weight_c[row, column]
                if count == n and n > 1:
                    row, column = row + last, column + last
                    other = triangle[row, column]
                    if other == t:  # weights are affine on the screen: their mean is that of the pixel's centre
                        _interpolate(rows, corners, t, _FH * (wb + weight_b[row, column]), _FH * (wc + weight_c[row, column]), a)
                    else:
                        _interpolate(rows, corners, t, wb, wc, a)
                        _interpolate(rows, corners, other, weight_b[row, column], weight_c[row, column], b)
                        for k in range(14):
                            a[k] = _FH * (a[k] + b[k])
                else:
                    _interpolate(rows, corners, t, wb, wc, a)
                _shade_group(a, materials[kind], atlas, shadow_map, use_shadow, lights, colour)
                for k in range(3):
                    total[k] += np.float32(count) * colour[k]
            for k in range(3):
                picture[y, x, k] = _tone(total[k] / np.float32(n))


def shade(
    seen: Visibility,
    samples: int,
    surface: Surface,
    materials: np.ndarray,
    atlas: np.ndarray,
    shadow_map: np.ndarray | None,
    lights: Lights,
    background: np.ndarray,
    empty: np.ndarray,
) -> np.ndarray:
    """Picture (H, W, 3) uint8 from visibility at H * samples x W * samples.

    Args:
        materials: from `material_table`.
        atlas: (h, w, 3) uint8, square roots of linear colour times 255.
        shadow_map: (S, S) float32 depths from the key light (larger = nearer to it), or None for no shadows.
        background: (H, W, 3) float32 linear; `empty` the picture of it alone, from `tone_mapped`.
    """
    picture = empty.copy()
    no_map = np.zeros((4, 4), np.float32)
    _shade(
        seen.triangle, seen.weight_b, seen.weight_c, samples, surface.rows, surface.corners, surface.material, materials, atlas,
        no_map if shadow_map is None else shadow_map, shadow_map is not None, lights.table(), background, picture,
    )  # fmt: skip
    return picture
