"""The atlas of one person: face, hair and eye textures in one picture, plus the alpha that frays hair.

The face is mapped by direction from inside the head (azimuthal equidistant about the front, the back of the head
squeezed), so skull and throat have texels too and no seam shows from the front. Painting happens in that map, at the
places where the person's own landmarks lie.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from space_data.synthetic import regions
from space_data.synthetic.anatomy import IRIS_ANGLE_RAD, N_OVAL
from space_data.synthetic.hair import SkullSurface, hairline_rings
from space_data.synthetic.identity import Identity
from space_data.synthetic.parts import EYE_TEXTURE_ANGLE_RAD

FACE_PX = 1024
HAIR_WIDTH_PX, HAIR_HEIGHT_PX = 512, 512
EYE_PX = 256
ATLAS_SHAPE = (FACE_PX, FACE_PX + HAIR_WIDTH_PX)
EYE_UV_CENTRE = (FACE_PX + EYE_PX / 2, HAIR_HEIGHT_PX + EYE_PX / 2)
EYE_UV_RADIUS = EYE_PX / 2 - 2
_MAP_CENTRE_CM = np.array([0.0, -0.5, -3.4])
_FRONT_RAD, _FRONT_SHARE = np.deg2rad(100.0), 0.78
"""Directions within 100 deg of the front take this share of the map's radius."""
MOUTH_CORNERS = (regions.LIP_CORNERS_LEFT[0], regions.LIP_CORNERS_RIGHT[0])
_UNSEEN = 1e-4
"""Masks weaker than this change no byte of the atlas."""
_BLUR_REACH = 4.0
"""Sigmas after which OpenCV cuts its Gaussian kernels for float pictures."""
_SHIFT_BITS = 4
"""Sub-pixel bits of OpenCV's drawing."""


@dataclass(frozen=True)
class Atlas:
    """`colour` (h, w, 3) uint8 = 255 sqrt(linear); `alpha` (h, w) float32, 1 but for the frayed ends of hair."""

    colour: np.ndarray
    alpha: np.ndarray


def face_uv(points: np.ndarray) -> np.ndarray:
    """Texels (N, 2) of head points (N, 3)."""
    direction = points - _MAP_CENTRE_CM
    across = np.hypot(direction[:, 0], direction[:, 1])
    angle = np.arctan2(across, direction[:, 2])
    radius = np.where(
        angle < _FRONT_RAD,
        _FRONT_SHARE * angle / _FRONT_RAD,
        _FRONT_SHARE + (1 - _FRONT_SHARE) * (angle - _FRONT_RAD) / (np.pi - _FRONT_RAD),
    )
    scale = (FACE_PX / 2 - 2) * radius / np.maximum(across, 1e-9)
    return np.stack([FACE_PX / 2 + direction[:, 0] * scale, FACE_PX / 2 - direction[:, 1] * scale], -1)


def hair_uv(uv: np.ndarray) -> np.ndarray:
    """Texels (N, 2) of hair coordinates (u wraps by mirroring, v 0 root .. 1 tip)."""
    u = np.abs(((uv[:, 0] + 1) % 2) - 1)  # mirrored, so that the repeat has no seam
    return np.stack([FACE_PX + 1 + u * (HAIR_WIDTH_PX - 3), 1 + np.clip(uv[:, 1], 0, 1) * (HAIR_HEIGHT_PX - 3)], -1)


def _noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: tuple[float, float] | float) -> np.ndarray:
    """Smooth unit-variance noise with cells of cell_px (y, x)."""
    cell = (cell_px, cell_px) if isinstance(cell_px, int | float) else cell_px
    small = rng.standard_normal((max(2, int(shape[0] / cell[0])), max(2, int(shape[1] / cell[1])))).astype(np.float32)
    noise = cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return noise / float(noise.std())


def _box(mask: np.ndarray, least: float, margin_px: int = 0) -> tuple[slice, slice]:
    """The part of a mask (h, w) whose values exceed `least`, with a margin; painting only there saves most of the time."""
    box = []
    for axis in (1, 0):
        used = np.flatnonzero((mask > least).any(axis))
        first, last = (int(used[0]), int(used[-1])) if len(used) else (0, -1)
        box.append(slice(max(first - margin_px, 0), last + 1 + margin_px))
    return box[0], box[1]


def _blur(mask: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur of a mask (h, w), worked out only where something is near."""
    box = _box(mask, 0.0, int(np.ceil(_BLUR_REACH * sigma_px)) + 1)
    soft = np.zeros_like(mask)
    soft[box] = cv2.GaussianBlur(mask[box], (0, 0), sigma_px)
    return soft


class _Canvas:
    """The face map being painted: linear float32, with masks drawn at landmarks."""

    def __init__(self, base: np.ndarray, uv: np.ndarray) -> None:
        self.colour = base
        self.uv = uv
        self.scale = float(np.linalg.norm(uv[33] - uv[263]) / 9.8)  # texels per cm near the eyes

    def multiply(self, mask: np.ndarray, tint: tuple[float, float, float] | np.ndarray) -> None:
        """colour *= 1 where mask is 0, tint where it is 1."""
        box = _box(mask, _UNSEEN)
        self.colour[box] *= 1 + mask[box][..., None] * (np.asarray(tint, np.float32) - 1)

    def blend(self, mask: np.ndarray, colour: np.ndarray | tuple[float, float, float]) -> None:
        box = _box(mask, _UNSEEN)
        self.colour[box] += mask[box][..., None] * (np.asarray(colour, np.float32) - self.colour[box])

    def spot(self, centre: np.ndarray, sigma_cm: float, aspect: float = 1.0) -> np.ndarray:
        """Gaussian mask about a texel; `aspect` > 1 is wide."""
        x = (np.arange(FACE_PX, dtype=np.float32) + 0.5 - centre[0]) / (sigma_cm * self.scale * aspect)
        y = (np.arange(FACE_PX, dtype=np.float32) + 0.5 - centre[1]) / (sigma_cm * self.scale)
        return np.exp(-0.5 * y**2)[:, None] * np.exp(-0.5 * x**2)[None]

    def polygon(self, points: np.ndarray, blur_cm: float) -> np.ndarray:
        mask = np.zeros((FACE_PX, FACE_PX), np.uint8)
        cv2.fillPoly(mask, [_fixed(points)], (255,), cv2.LINE_AA, _SHIFT_BITS)
        return self._soft(mask, blur_cm)

    def line(self, points: np.ndarray, width_cm: float, blur_cm: float) -> np.ndarray:
        mask = np.zeros((FACE_PX, FACE_PX), np.uint8)
        thickness = max(1, round(width_cm * self.scale))
        cv2.polylines(mask, [_fixed(points)], False, (255,), thickness, cv2.LINE_AA, _SHIFT_BITS)
        return self._soft(mask, blur_cm)

    def strokes(self, segments: np.ndarray, width_px: int = 1) -> np.ndarray:
        """Mask of many open polylines (K, M, 2)."""
        mask = np.zeros((FACE_PX, FACE_PX), np.uint8)
        cv2.polylines(mask, list(_fixed(segments)), False, (255,), width_px, cv2.LINE_AA, _SHIFT_BITS)
        return mask.astype(np.float32) / 255

    def _soft(self, mask: np.ndarray, blur_cm: float) -> np.ndarray:
        soft = mask.astype(np.float32) / 255
        return _blur(soft, blur_cm * self.scale) if blur_cm > 0 else soft


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(points * (1 << _SHIFT_BITS)).astype(np.int32)


def _smooth(points: np.ndarray, per_segment: int = 6) -> np.ndarray:
    """Catmull-Rom through points (N, 2)."""
    p = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, per_segment, endpoint=False)[:, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True)
    ]
    return np.concatenate([*pieces, points[-1:]])


def _paint_skin(canvas: _Canvas, identity: Identity, rng: np.random.Generator) -> None:
    uv, shape = canvas.uv, (FACE_PX, FACE_PX)
    tone = 0.035 * _noise(rng, shape, 60) + 0.020 * _noise(rng, shape, 16) + 0.015 * _noise(rng, shape, 5)
    canvas.colour *= 1 + tone[..., None] * np.array([0.8, 1.0, 1.1], np.float32)
    light = float(np.mean(identity.skin)) / 0.6
    red = (1.0, 1 - 0.26 * min(1.0, light + 0.25), 1 - 0.24 * min(1.0, light + 0.25))
    patchy = np.clip(1 + 0.25 * _noise(rng, shape, 22), 0, 2)
    for i in (50, 280):
        canvas.multiply(identity.redness * 0.75 * patchy * canvas.spot(uv[i], 1.5, 1.1), red)
    canvas.multiply(identity.redness * 0.7 * patchy * canvas.spot(uv[regions.NOSE_TIP], 0.9), red)
    canvas.multiply(identity.redness * 0.4 * canvas.spot(uv[199], 1.2), red)
    for side in range(regions.N_SIDES):
        ring = uv[list(regions.EYE_RING[side])]
        canvas.multiply(0.55 * canvas.polygon(ring + (0, -0.35 * canvas.scale), 0.42), (0.86, 0.78, 0.78))
        inner = uv[regions.EYE_CORNERS[side][1]]
        canvas.multiply(0.35 * canvas.spot(inner + (0, -0.3 * canvas.scale), 0.55), (0.72, 0.62, 0.60))
        bag = uv[list(regions.EYE_BAG[side])]
        canvas.multiply((0.16 + 0.34 * identity.age) * canvas.line(_smooth(bag), 0.30, 0.16), (0.80, 0.70, 0.72))
        lid, fold = uv[list(regions.LID_UPPER[side])], uv[list(regions.LID_FOLD[side])]
        crease = _smooth(lid * 0.42 + fold * 0.58)
        canvas.multiply(0.75 * canvas.line(crease, 0.07, 0.045), (0.62, 0.50, 0.46))
    _paint_folds(canvas, identity, rng)
    if identity.freckles > 0:
        n = int(260 * identity.freckles)
        places = np.concatenate([uv[i] + rng.normal(0, 1.5 * canvas.scale, (n // 3, 2)) for i in (50, 280, 5)])
        dots = np.zeros(shape, np.uint8)
        for place, radius in zip(places, rng.uniform(0.03, 0.08, len(places)) * canvas.scale, strict=True):
            cv2.circle(dots, tuple(_fixed(place)), int(radius * (1 << _SHIFT_BITS)), (255,), -1, cv2.LINE_AA, _SHIFT_BITS)
        canvas.multiply(0.34 * _blur(dots.astype(np.float32) / 255, 1.0), (0.78, 0.55, 0.40))


def _paint_folds(canvas: _Canvas, identity: Identity, rng: np.random.Generator) -> None:
    uv, age = canvas.uv, identity.age
    for chain in ((129, 203, 206, 216), (358, 423, 426, 436)):
        fold = canvas.line(_smooth(uv[list(chain)]), 0.10, 0.10)
        canvas.multiply((0.12 + 0.45 * age) * fold, (0.66, 0.54, 0.52))
    hollow = canvas.line(_smooth(uv[[182, 18, 406]] + (0, -0.1 * canvas.scale)), 0.35, 0.25)
    canvas.multiply((0.25 + 0.25 * age) * hollow, (0.72, 0.62, 0.60))
    if age > 0.45:
        for row, lift in ((9, 0.0), (151, 0.1), (151, 0.75)):
            half = np.array([2.6, 0.0]) * canvas.scale
            start, end = (uv[row] - (0.0, lift * canvas.scale) + sign * half for sign in (-1, 1))
            x = np.linspace(0, 1, 14)[:, None]
            wrinkle = start + (end - start) * x + np.stack([np.zeros(14), rng.normal(0, 0.05, 14) * canvas.scale], -1)
            canvas.multiply(0.55 * (age - 0.3) * canvas.line(_smooth(wrinkle), 0.05, 0.06), (0.68, 0.56, 0.53))
        for side in range(regions.N_SIDES):
            corner = uv[regions.EYE_CORNERS[side][0]]
            out = -1 if side == 0 else 1
            for rise in (-0.5, -0.1, 0.35):
                ray = np.stack([corner + (out * d * canvas.scale, (rise * d * 0.8) * canvas.scale) for d in (0.35, 0.8, 1.2)])
                canvas.multiply(0.6 * (age - 0.3) * canvas.line(_smooth(ray), 0.04, 0.05), (0.66, 0.54, 0.52))


def _paint_lips(canvas: _Canvas, identity: Identity, rng: np.random.Generator) -> None:
    uv = canvas.uv
    skin = np.array(identity.skin)
    natural = skin * (0.86, 0.56, 0.58) + (0.02, 0.0, 0.0)
    painted = np.array([0.45, 0.06, 0.08]) * (0.55 + 0.45 * skin[0])
    colour = natural * (1 - 0.75 * identity.lip_tint) + painted * 0.75 * identity.lip_tint
    above, below = uv[[61, *regions.LIP_RINGS_UPPER[0], 291]], uv[[291, *regions.LIP_RINGS_LOWER[0][::-1], 61]]
    outline = np.concatenate([_smooth(above), _smooth(below)])
    mask = canvas.polygon(outline, 0.055)
    creases = 1 + 0.05 * _noise(rng, (FACE_PX, FACE_PX), (40, 3))
    canvas.blend((0.88 + 0.1 * identity.lip_tint) * mask, colour)
    canvas.colour *= 1 + mask[..., None] * (creases[..., None] - 1)
    upper = canvas.polygon(np.concatenate([above, uv[list(regions.LIP_RINGS_UPPER[3])][::-1]]), 0.05)
    canvas.multiply(0.35 * upper, (0.72, 0.62, 0.64))
    highlight = canvas.line(_smooth(uv[list(regions.LIP_RINGS_LOWER[1][2:7])]), 0.22, 0.12)
    canvas.multiply(0.5 * highlight, (1.16, 1.14, 1.13))
    for ring in (regions.LIP_RINGS_UPPER[3], regions.LIP_RINGS_LOWER[3]):
        canvas.multiply(0.75 * canvas.line(_smooth(uv[[78, *ring, 308]]), 0.07, 0.04), (0.30, 0.16, 0.17))
    for corner in MOUTH_CORNERS:
        canvas.multiply(0.75 * canvas.spot(uv[corner], 0.16), (0.42, 0.30, 0.30))


def _paint_eye_lines(canvas: _Canvas, identity: Identity) -> None:
    uv = canvas.uv
    dark = (0.10, 0.07, 0.06) if identity.lip_tint < 0.3 else (0.04, 0.03, 0.03)
    for side in range(regions.N_SIDES):
        outer, inner = regions.EYE_CORNERS[side]
        upper = _smooth(uv[[outer, *regions.LID_UPPER[side], inner]])
        lower = _smooth(uv[[outer, *regions.LID_LOWER[side], inner]])
        heavy = np.linspace(1.0, 0.35, len(upper))
        for width, share in ((0.16, 1.0), (0.11, 0.72)):
            n = int(len(upper) * share)
            canvas.multiply(0.85 * float(heavy[n // 2] + 0.2) * canvas.line(upper[:n], width, 0.02), dark)
        canvas.multiply(0.85 * canvas.line(upper, 0.07, 0.02), dark)
        canvas.multiply(0.45 * canvas.line(lower, 0.07, 0.03), (0.36, 0.24, 0.22))
        canvas.blend(0.5 * canvas.spot(uv[inner], 0.12), np.array(identity.skin) * (0.9, 0.55, 0.55))


def _paint_brows(canvas: _Canvas, identity: Identity, rng: np.random.Generator) -> None:
    uv = canvas.uv
    colour = np.array(identity.hair) * 0.75 + 0.008
    if identity.hair_style == "bald":
        colour = np.minimum(colour, (0.08, 0.05, 0.035))
    for side in range(regions.N_SIDES):
        top, bottom = _smooth(uv[list(regions.BROW_UPPER[side])]), _smooth(uv[list(regions.BROW_LOWER[side])])
        middle = 0.5 * (top + bottom)
        half = 0.5 * identity.brow_thickness * (top - bottom)
        n = 360
        along = rng.beta(1.25, 1.1, n) * (len(middle) - 1)  # temple .. nose
        k = np.minimum(along.astype(int), len(middle) - 2)
        w = (along - k)[:, None]
        centre, thick = middle[k] * (1 - w) + middle[k + 1] * w, half[k] * (1 - w) + half[k + 1] * w
        share = along / (len(middle) - 1)
        taper = np.clip(0.34 + 1.2 * share, 0, 1) * np.clip((1.06 - share) / 0.14, 0.4, 1)
        height = rng.uniform(-0.62, 0.55, n) * taper
        outward = middle[k] - middle[k + 1]
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        upward = thick / (np.linalg.norm(thick, axis=1, keepdims=True) + 1e-9)
        root = centre + thick * height[:, None]
        length = canvas.scale * rng.uniform(0.28, 0.55, (n, 1)) * (0.55 + 0.45 * taper[:, None])
        steep = np.clip(1.1 * share - 0.25, -0.25, 0.85)[:, None] - 0.55 * height[:, None]
        tip = root + length * (outward + steep * upward) / np.sqrt(1 + steep**2)
        bend = 0.5 * (root + tip) + 0.08 * length * upward
        mask = canvas.strokes(np.stack([root, bend, tip], 1))
        soft = _blur(mask, 2.2)
        canvas.blend(np.clip(0.45 * soft * 1.5, 0, 0.55), colour * 1.2)
        canvas.blend(0.62 * mask, colour)


def _hair_strokes(canvas: _Canvas, places: np.ndarray, rng: np.random.Generator, length_cm: tuple[float, float]) -> np.ndarray:
    """Mask of short hairs at places (N, 2), combed down and away from the middle."""
    n = len(places)
    away = np.stack([(places[:, 0] - FACE_PX / 2) / (FACE_PX * 0.28), np.ones(n)], -1) + rng.normal(0, 0.35, (n, 2))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    return canvas.strokes(np.stack([places, places + away * canvas.scale * rng.uniform(*length_cm, (n, 1))], 1))


def _scatter(mask: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """At most n places (M, 2), as dense as the mask is high."""
    places = rng.uniform(0, FACE_PX, (n, 2))
    keep = rng.random(n) < mask[places[:, 1].astype(int), places[:, 0].astype(int)]
    return places[keep]


def _paint_beard(canvas: _Canvas, identity: Identity, rng: np.random.Generator) -> None:
    """Shadow and hairs over jaw, chin and upper lip; the lips and the hollow below the lower lip stay free."""
    uv = canvas.uv
    cheek_line = uv[[127, 234, 93, 147, 187, 205, 206, 165, 164, 391, 426, 425, 411, 376, 323, 454, 356]]
    jaw_line = uv[[361, 435, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 215, 132]]
    throat = jaw_line + (jaw_line - uv[regions.NOSE_TIP]) * 0.16
    area = canvas.polygon(np.concatenate([cheek_line[2:-2], throat]), 0.32)
    area = np.maximum(area, canvas.polygon(uv[[98, 97, 2, 326, 327, 410, 291, 0, 61, 186]], 0.14))
    # a bare margin round the red, widest at the corners: lip corners lost in hair are lost to any detector
    outline = _smooth(uv[[*regions.OUTER_LIP, regions.OUTER_LIP[0]]])
    lips = np.maximum(canvas.polygon(outline, 0.10), canvas.line(outline, 0.46, 0.10))
    area = area * (1 - np.clip(1.3 * lips, 0, 1))
    for i in MOUTH_CORNERS:
        area = area * (1 - np.clip(1.4 * canvas.spot(uv[i], 0.40), 0, 1))
    for i in (83, 313):
        area = area * (1 - 0.55 * canvas.spot(uv[i], 0.35))
    ragged = np.clip(area * (1 + 0.22 * _noise(rng, (FACE_PX, FACE_PX), 14)), 0, 1)
    colour = np.array(identity.hair) * 0.8 + 0.006
    stubble = identity.beard < 0.9
    canvas.blend((0.16 + 0.16 * identity.beard if stubble else 0.60) * ragged, colour * (1.6 if stubble else 0.9) + 0.01)
    n = int(26000 * (0.5 + identity.beard))
    length = (0.04, 0.10) if stubble else (0.16, 0.42)
    hairs = _hair_strokes(canvas, _scatter(ragged, n, rng), rng, length)
    canvas.blend((0.40 if stubble else 0.62) * hairs, colour)
    if not stubble:
        glints = _hair_strokes(canvas, _scatter(ragged, n // 4, rng), rng, length)
        canvas.blend(0.25 * glints, colour * 2.6 + 0.03)


def _paint_scalp(canvas: _Canvas, identity: Identity, head: np.ndarray, rng: np.random.Generator) -> None:
    """Hair on the skull itself: all of a buzz cut, and the dark ground under any other hair."""
    skull = SkullSurface(head)
    place = np.linspace(0, N_OVAL, 240, endpoint=False)
    edge = face_uv(skull.at(place, hairline_rings(place) + 0.05))
    inside = canvas.polygon(edge, 0.22)
    scalp = np.clip(1 - inside, 0, 1)
    ragged = np.clip(scalp * (1 + 0.15 * _noise(rng, (FACE_PX, FACE_PX), 9)), 0, 1)
    colour = np.array(identity.hair) * 0.8 + 0.006
    if identity.hair_style == "buzz":
        hairs = _hair_strokes(canvas, _scatter(ragged, 90000, rng), rng, (0.04, 0.12))
        canvas.blend(0.62 * ragged, colour * 1.15)
        canvas.blend(0.45 * hairs, colour * 0.6)
    elif identity.hair_style != "bald":
        canvas.blend(0.85 * ragged, colour * 0.7)


def _hair_texture(identity: Identity, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Streaks (h, w, 3) linear and their alpha (h, w): u across the strands, v along them."""
    shape = (HAIR_HEIGHT_PX, HAIR_WIDTH_PX)
    curly = identity.hair_style == "curly"
    stretch = 10.0 if curly else 170.0
    layers = ((0.5, 1.0, 2.0), (0.45, 1.4, 6.0), (0.45, 2.0, 22.0))
    streaks = sum(weight * _noise(rng, shape, (stretch * length, width)) for weight, length, width in layers)
    grey_strands = np.clip(_noise(rng, shape, (stretch * 2, 1.5)) - 1.5, 0, 1) * (0.5 if identity.age > 0.55 else 0.0)
    level = np.clip(1 + 0.30 * streaks, 0.30, 2.1)
    warm = 1 + 0.05 * _noise(rng, shape, (stretch * 2, 30.0))[..., None] * np.array([1.0, 0.2, -0.6], np.float32)
    colour = np.array(identity.hair, np.float32) * level[..., None] * warm
    colour += grey_strands[..., None] * np.array([0.30, 0.29, 0.28], np.float32)
    v = np.linspace(0, 1, HAIR_HEIGHT_PX, dtype=np.float32)[:, None]
    fibre = 0.6 * _noise(rng, shape, (260.0, 2.5)) + 0.6 * _noise(rng, shape, (260.0, 9.0))
    root = 0.5 + (v - (0.030 + 0.018 * fibre)) / 0.02
    tip = 0.5 + ((0.955 - 0.045 * np.abs(fibre) - 0.015 * fibre) - v) / 0.02
    alpha = np.clip(np.minimum(root, tip), 0, 1)
    if curly:
        holes = _noise(rng, shape, 7)
        alpha = np.where(v < 0.12, np.clip(alpha * (1.2 + 0.9 * holes), 0, 1), alpha)
    return colour, alpha


def _eye_texture(identity: Identity, rng: np.random.Generator) -> np.ndarray:
    """(EYE_PX, EYE_PX, 3) linear, polar about the gaze axis."""
    axis = (np.arange(EYE_PX) + 0.5 - EYE_PX / 2) / EYE_UV_RADIUS * EYE_TEXTURE_ANGLE_RAD
    x, y = np.meshgrid(axis, -axis)
    angle, turn = np.hypot(x, y), np.arctan2(y, x)
    sclera = np.array([0.74, 0.70, 0.68]) - np.array([0.10, 0.20, 0.20]) * np.clip(angle - 0.7, 0, 1)[..., None]
    fibres = np.zeros_like(angle)
    for n in (11, 17, 29, 43, 61):
        fibres += np.cos(n * turn + rng.uniform(0, 2 * np.pi) + 2.0 * angle) / 5**0.5
    share = np.clip(angle / IRIS_ANGLE_RAD, 0, 1)
    iris_colour = np.array(identity.iris)
    collarette = np.exp(-(((share - 0.52) / 0.12) ** 2))
    iris = iris_colour * (1 + 0.28 * fibres[..., None] + 0.35 * (1 - share[..., None]))
    iris = iris * (1 - 0.25 * collarette[..., None]) + collarette[..., None] * np.array([0.07, 0.04, 0.01])
    iris *= np.clip(1.25 - 0.85 * share[..., None] ** 6, 0.3, 1.3)
    # the lower half of an iris glows with the light that came in from above
    iris *= 1 + 0.35 * np.clip(-y / IRIS_ANGLE_RAD, -1, 1)[..., None]

    def step(edge: float, softness: float) -> np.ndarray:
        return np.clip((angle - edge) / softness + 0.5, 0, 1)[..., None]

    limbus = iris_colour * 0.25
    colour = iris * (1 - step(IRIS_ANGLE_RAD * 0.93, 0.05)) + limbus * step(IRIS_ANGLE_RAD * 0.93, 0.05)
    colour = colour * step(0.165, 0.03) + 0.004 * (1 - step(0.165, 0.03))
    return colour * (1 - step(IRIS_ANGLE_RAD, 0.06)) + sclera * step(IRIS_ANGLE_RAD, 0.06)


def paint_atlas(identity: Identity, head: np.ndarray) -> Atlas:
    """The atlas of a person with head control vertices (V, 3) at rest (about 0.5 s)."""
    rng = np.random.default_rng([identity.texture_seed, 0])
    base = np.empty((FACE_PX, FACE_PX, 3), np.float32)
    base[:] = identity.skin
    canvas = _Canvas(base, face_uv(head))
    _paint_skin(canvas, identity, rng)
    if identity.beard > 0:
        _paint_beard(canvas, identity, rng)
    _paint_lips(canvas, identity, rng)
    _paint_eye_lines(canvas, identity)
    _paint_brows(canvas, identity, rng)
    if identity.hair_style != "bald":
        _paint_scalp(canvas, identity, head, rng)
    for i in regions.NOSTRIL:
        canvas.multiply(0.9 * canvas.spot(canvas.uv[i], 0.15, 1.5), (0.16, 0.09, 0.08))
    hair, hair_alpha = _hair_texture(identity, rng)
    linear = np.full((*ATLAS_SHAPE, 3), 1.0, np.float32)
    alpha = np.ones(ATLAS_SHAPE, np.float32)
    linear[:FACE_PX, :FACE_PX] = canvas.colour
    linear[:HAIR_HEIGHT_PX, FACE_PX:] = hair
    alpha[:HAIR_HEIGHT_PX, FACE_PX:] = hair_alpha
    linear[HAIR_HEIGHT_PX : HAIR_HEIGHT_PX + EYE_PX, FACE_PX : FACE_PX + EYE_PX] = _eye_texture(identity, rng)
    return Atlas((255 * np.sqrt(np.clip(linear, 0, 1)) + 0.5).astype(np.uint8), alpha)
