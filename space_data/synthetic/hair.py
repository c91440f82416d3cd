"""Hair as streaked sheets over the skull, cut out strand by strand at their edges.

A sheet is a grid: columns side by side along the hairline, rows along the strands. The cap covers the skull from the
hairline to the crown at the back; a fringe falls over the forehead; a curtain hangs down at the sides and back. Locks are
modelled (the sheet waves in and out per group of columns), single strands are texture, and the alpha of that texture
frays both ends of the sheet.
Units: cm, head coordinates (y up, +z to the camera, +x to the image right).
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import LinearNDInterpolator

from space_data.synthetic.anatomy import N_OVAL, SKULL_CENTRE_CM, SKULL_RADII_CM, SKULL_RINGS, SKULL_START
from space_data.synthetic.cage import N_CAGE_VERTICES
from space_data.synthetic.identity import Identity
from space_data.synthetic.mesh import grid_triangles
from space_data.synthetic.parts import Part, neck_weight
from space_data.synthetic.regions import OVAL

_COLUMNS = 120
_CAP_ROWS = 18
# where the hair starts, as a function of the place on the oval (0 = middle of the forehead, 18 = chin): in skull rings,
# negative = inside the face. Passes before the temples, behind the ears, and along the nape.
_HAIRLINE_PLACES = (0.0, 1.5, 3.0, 4.3, 5.4, 6.4, 7.2, 8.0, 9.2, 10.5, 12.0, 14.0, 18.0)
_HAIRLINE_RINGS = (-0.10, -0.06, 0.06, 0.16, 0.10, 0.22, 0.85, 1.75, 2.35, 2.9, 3.4, 4.0, 4.3)
_CROWN = 6.9
"""Ring number where the cap's strands end (7 = the pole)."""


@dataclass(frozen=True)
class Style:
    """Shape of a hair style. Lengths in cm."""

    thickness: float  # of the cap at the crown
    lift: float  # at the hairline
    lock: float  # depth of the waves between locks
    locks: int  # number of them around the head
    fringe: float = 0.0  # length over the forehead
    curtain: float = 0.0  # length below the temples
    curl: float = 0.0  # amplitude of curls
    slant: float = 0.0  # how far the streaks lean to the side of the parting, columns
    bun: bool = False


STYLES = {
    "short": Style(thickness=1.1, lift=0.38, lock=0.16, locks=26),
    "side": Style(thickness=1.35, lift=0.55, lock=0.20, locks=22, slant=20.0),
    "fringe": Style(thickness=1.3, lift=0.45, lock=0.14, locks=24, fringe=4.0),
    "curly": Style(thickness=2.3, lift=0.8, lock=0.30, locks=20, curl=0.42),
    "bob": Style(thickness=1.35, lift=0.40, lock=0.16, locks=24, fringe=3.6, curtain=11.0),
    "long": Style(thickness=1.35, lift=0.38, lock=0.24, locks=22, curtain=18.0, slant=14.0),
    "bun": Style(thickness=0.75, lift=0.26, lock=0.07, locks=34, bun=True),
}


@dataclass(frozen=True)
class HairSheet:
    """A `part` whose uv are in units of the hair texture (0..1, 0..1), and `next_row` (V,) the vertex further along the
    strand of each vertex (itself in the last row): the direction of the fibre."""

    part: Part
    next_row: np.ndarray


def hairline_rings(places: np.ndarray) -> np.ndarray:
    """Where hair starts (skull rings) at places (N,) on the oval, 0..36."""
    folded = np.minimum(places, N_OVAL - places)
    return np.interp(folded, _HAIRLINE_PLACES, _HAIRLINE_RINGS)


class SkullSurface:
    """The skull as a smooth surface over (place on the oval 0..36, ring -1..7), from a head's control vertices."""

    def __init__(self, head: np.ndarray) -> None:
        rings = [head[SKULL_START + k * N_OVAL : SKULL_START + (k + 1) * N_OVAL] for k in range(len(SKULL_RINGS))]
        border = head[list(OVAL)]
        inside = border + (head[151] - border) * 0.16  # one ring inside the face, towards its upper middle
        self._face_depth = LinearNDInterpolator(head[:N_CAGE_VERTICES, :2], head[:N_CAGE_VERTICES, 2], fill_value=-np.inf)
        pole = np.repeat(head[SKULL_START + len(SKULL_RINGS) * N_OVAL][None], N_OVAL, 0)
        self._table = np.stack([inside, border, *rings, pole])  # ring -1, 0, 1..6, 7

    def face_depth(self, points: np.ndarray) -> np.ndarray:
        """z (...) of the face behind or before points (..., 3); -inf beside it."""
        return self._face_depth(points[..., 0], points[..., 1])

    def at(self, place: np.ndarray, ring: np.ndarray) -> np.ndarray:
        """Points (..., 3): Catmull-Rom along the oval, linear along the rings."""
        place = np.asarray(place) % N_OVAL
        k = np.floor(place).astype(int)
        t = (place - k)[..., None]
        row = np.clip(np.asarray(ring) + 1, 0, len(self._table) - 1.0001)
        i = np.floor(row).astype(int)
        w = (row - i)[..., None]

        def along(r: np.ndarray) -> np.ndarray:
            p0, p1, p2, p3 = (self._table[r, (k + d) % N_OVAL] for d in (-1, 0, 1, 2))
            return 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)

        return along(i) * (1 - w) + along(i + 1) * w


def _outward(points: np.ndarray) -> np.ndarray:
    normal = (points - SKULL_CENTRE_CM) / SKULL_RADII_CM**2
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def _waves(rng: np.random.Generator, columns: np.ndarray, n_waves: int, shift: np.ndarray | float = 0.0) -> np.ndarray:
    """A ripple -1..1 over columns 0..1 (periodic) with irregular wave lengths; `shift` drags its phase."""
    total = np.zeros(np.broadcast(columns, shift).shape)
    for factor, weight in ((1.0, 0.55), (1.6, 0.3), (2.7, 0.25), (0.5, 0.35)):
        n = max(1, round(n_waves * factor))
        total = total + weight * np.sin(2 * np.pi * (n * columns + rng.random()) + n * 0.35 * shift)
    return total / 1.1


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def _sheet(points: np.ndarray, u: np.ndarray, v: np.ndarray, tint: np.ndarray, closed: bool) -> HairSheet:
    """A sheet of points (R, C, 3) with texture coordinates and tint (R, C)."""
    n_rows, n_columns = points.shape[:2]
    triangles = grid_triangles(n_rows, n_columns, closed)
    index = np.arange(n_rows * n_columns).reshape(n_rows, n_columns)
    following = np.concatenate([index[1:], index[-1:]])
    following[-1] = index[-2]  # the last row looks back; the sign of a fibre's direction does not matter
    vertices = points.reshape(-1, 3)
    uv = np.stack([u.ravel(), v.ravel()], -1)
    part = Part(vertices, triangles, np.repeat(tint.reshape(-1, 1), 3, 1), uv, neck_weight(vertices[:, 1]))
    return HairSheet(part, following.ravel())


def _cap(skull: SkullSurface, style: Style, identity: Identity, rng: np.random.Generator, depth: float) -> HairSheet:
    """The sheet on the skull; `depth` 1 for the outer layer, smaller for layers below it."""
    n_columns, n_rows = (_COLUMNS, _CAP_ROWS) if depth == 1.0 else (_COLUMNS // 2, _CAP_ROWS // 2)
    column = np.arange(n_columns + 1) / n_columns
    place = column * N_OVAL
    t = np.linspace(0, 1, n_rows)[:, None] ** 1.25  # more rows near the hairline
    start = hairline_rings(place)[None] + 0.10 * _waves(rng, column, 17)[None]
    start = start + (1 - depth) * 0.12
    ring = start + (_CROWN - start) * t
    # strands lean towards the side away from the parting, most above the forehead
    front = np.clip(1 - np.minimum(place, N_OVAL - place) / 8.0, 0, 1)[None]
    lean = style.slant / _COLUMNS * N_OVAL * np.sign(identity.hair_part) * front * t * (1 - t)
    base = skull.at(place[None] + lean, ring)
    volume = style.thickness * identity.hair_volume
    top = _smoothstep((base[..., 1] - 1.0) / 7.0)
    rise = style.lift * _smoothstep(t / 0.10) + (volume - style.lift) * _smoothstep(t / 0.42) * (0.45 + 0.55 * top)
    waves = _waves(rng, column[None], style.locks, shift=4.0 * t)
    rise = rise * depth + style.lock * waves * _smoothstep(t / 0.16) * _smoothstep((1 - t) / 0.25)
    if style.slant:
        parting = identity.hair_part * 4.0
        distance = np.abs((place + N_OVAL / 2) % N_OVAL - N_OVAL / 2 - parting)[None]
        rise = rise - 0.45 * np.exp(-((distance / 0.45) ** 2)) * _smoothstep((0.75 - t) / 0.3)
        rise = rise + 0.5 * np.exp(-(((distance - 2.2) / 2.0) ** 2)) * _smoothstep((0.7 - t) / 0.3) * top
    points = base + _outward(base) * np.maximum(rise, 0.04)[..., None]
    if style.curl:
        bumps = _waves(rng, column[None] + 0.02 * np.sin(19 * t), 30, shift=38 * t) + _waves(rng, column[None], 13, shift=-61 * t)
        points = points + _outward(base) * (style.curl * bumps * _smoothstep(t / 0.08))[..., None]
    u = np.broadcast_to(column[None] * 3.0 + 0.15 * style.slant / 20 * t, ring.shape)
    v = np.broadcast_to(t * 0.98, ring.shape)
    grooves = 0.84 + 0.16 * np.clip(waves + 0.4, -1, 1)
    tint = np.broadcast_to((0.62 + 0.38 * depth) * grooves * (0.80 + 0.20 * _smoothstep(t / 0.2)), ring.shape)
    return _sheet(points, u, v, tint, closed=False)


def _fringe(skull: SkullSurface, style: Style, identity: Identity, rng: np.random.Generator) -> HairSheet:
    """Hair from above the forehead down over it, ending in points above the brows."""
    n_columns, n_rows = 56, 14
    column = np.linspace(1, -1, n_columns)  # from the image right, so that the outside of the sheet faces outwards
    t = np.linspace(0, 1, n_rows)[:, None]
    spread = 4.6 * column
    root = skull.at(spread * 0.75, np.full(n_columns, 1.9))
    hairline = skull.at(spread, np.full(n_columns, -0.1))
    length = style.fringe * (1 + 0.10 * _waves(rng, column / 2, 9)) * (1 - 0.18 * np.abs(column))
    part = identity.hair_part * 0.12 * style.fringe * (column + identity.hair_part) ** 2
    aside = 0.06 * spread + 0.45 * np.sign(identity.hair_part)
    end = hairline + np.stack([aside, -length + part, 0.55 - 0.5 * np.abs(column) ** 3], -1)
    volume = 0.62 * style.thickness * identity.hair_volume
    middle = hairline + _outward(hairline) * (0.5 + 0.6 * volume) + (0, 0.5, 0)
    start = root + _outward(root) * volume
    curve = (1 - t)[..., None] ** 2 * start + 2 * (t * (1 - t))[..., None] * middle + t[..., None] ** 2 * end
    waves = _waves(rng, (column[None] + 1) / 2, 12, shift=2 * t)
    # the curve would cut through cap and forehead: keep it above the cap down to the hairline, and in front of the face below
    cap_top = style.lift + style.lock + 0.22
    forehead = skull.at(spread[None] * (0.75 + 0.25 * t), np.clip(1.9 - 2.0 * t / 0.5, -0.1, 1.9))
    push = np.maximum(0.0, cap_top + 0.5 * volume * (1 - t) - ((curve - forehead) * _outward(forehead)).sum(-1)) * (t < 0.55)
    points = curve + _outward(forehead) * push[..., None]
    points[..., 2] = np.maximum(points[..., 2], skull.face_depth(points) + cap_top - 0.5 * np.clip((t - 0.55) / 0.45, 0, 1))
    points[..., 2] += 0.10 * waves * t
    u = np.broadcast_to((column[None] + 1) * 0.55, points.shape[:2])
    v = np.broadcast_to(0.12 + 0.88 * t, points.shape[:2])
    tint = np.broadcast_to((0.9 + 0.1 * waves) * (1 - 0.12 * t), points.shape[:2])
    return _sheet(points, u, v, tint, closed=False)


def _curtain(skull: SkullSurface, style: Style, identity: Identity, rng: np.random.Generator) -> HairSheet:
    """Hair that falls from the crown over ears and nape and hangs down, open at the face."""
    n_columns, n_rows = 88, 20
    column = np.linspace(1, 0, n_columns)  # from the image left round the back: the outside of the sheet faces outwards
    t = np.linspace(0, 1, n_rows)[:, None]
    first, last = 4.6, N_OVAL - 4.6
    place = first + (last - first) * column
    root = skull.at(place, 1.7 + 3.4 * np.sin(np.pi * column) ** 0.8)
    volume = 0.8 * style.thickness * identity.hair_volume
    # from the side of the head to hanging: x and z widen a little, then fall straight
    around = (column - 0.5) * 2  # -1 image right temple .. 1 image left temple
    waves = _waves(rng, column[None], round(style.locks * 0.6), shift=1.5 * t)
    side = np.sign(root[:, 0])
    temple = np.abs(around) ** 2.5
    width = np.maximum(np.abs(root[:, 0]), 1.5 * np.abs(np.sin(np.pi * column))) + volume
    bulge = 0.9 * np.sin(np.pi * np.clip(t * 1.05, 0, 1)) + 0.35 * t
    hang = _smoothstep(t / 0.30)
    x = side * (width + bulge * (0.55 + 0.45 * temple) - 0.9 * temple * t)
    x = root[None, :, 0] * (1 - hang) + x * hang
    z = root[None, :, 2] + (-0.5 * volume * (1 - temple)) * hang + 1.2 * temple * _smoothstep((t - 0.25) / 0.6)
    z = z - 0.9 * np.sin(np.pi * t) * (1 - temple) * 0.4
    length = (style.curtain + 6.0) * (1 - 0.05 * _waves(rng, column, 21)) * (1 - 0.10 * temple)
    y = root[None, :, 1] + volume * 0.4 * (1 - hang) - (length - 0.5 * (root[:, 1].max() - root[:, 1])) * t
    points = np.stack([x, y, z], -1)
    outward = np.stack([points[..., 0], np.zeros_like(x), points[..., 2] + 4.5], -1)
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True) + 1e-9
    sway = style.lock * 1.3 * waves * _smoothstep(t / 0.2) + 0.22 * np.sin(2 * np.pi * (1.6 * t + column * 3)) * t
    points = points + outward * (sway + volume * 0.45 * _smoothstep(t / 0.12))[..., None]
    u = np.broadcast_to(column[None] * 2.4, x.shape)
    v = np.broadcast_to(0.10 + 0.90 * t, x.shape)
    tint = (0.86 + 0.14 * np.clip(waves + 0.3, -1, 1)) * (1.0 - 0.10 * t)
    return _sheet(points, u, v, np.broadcast_to(tint, x.shape), closed=False)


def _bun(identity: Identity) -> HairSheet:
    """A knot on the back of the crown."""
    lat, lon = np.meshgrid(np.linspace(-np.pi / 2, np.pi / 2, 12), np.linspace(0, 2 * np.pi, 25), indexing="ij")
    radius = 2.7 * identity.hair_volume**0.5 * (1 + 0.06 * np.sin(5 * lon + 3 * lat))
    ball = np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], -1) * radius[..., None]
    points = ball * (1, 0.85, 0.9) + SKULL_CENTRE_CM + np.array([0.0, 9.6, -3.6])
    tint = 0.85 + 0.15 * np.sin(5 * lon + 3 * lat)
    return _sheet(points, lon / (2 * np.pi), 0.3 + 0.3 * (lat / np.pi + 0.5), tint, closed=False)


def hair_sheets(head: np.ndarray, identity: Identity) -> tuple[HairSheet, ...]:
    """The sheets of a person's hair over the control vertices (V, 3) of their head at rest; none for bald and buzz cut."""
    style = STYLES.get(identity.hair_style)
    if style is None:
        return ()
    rng = np.random.default_rng([identity.texture_seed, 1])
    skull = SkullSurface(head)
    sheets = [_cap(skull, style, identity, rng, depth=0.72), _cap(skull, style, identity, rng, depth=1.0)]
    if style.curtain:
        sheets.append(_curtain(skull, style, identity, rng))
    if style.fringe:
        sheets.append(_fringe(skull, style, identity, rng))
    if style.bun:
        sheets.append(_bun(identity))
    return tuple(sheets)
