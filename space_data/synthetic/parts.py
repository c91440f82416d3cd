"""Everything of a head that is not its face or hair: eyeballs, teeth, tongue, ears, neck and shoulders.

Each builder returns a `Part` at rest in head coordinates (cm, y up, +z to the camera, +x to the image right).
"""

from dataclasses import dataclass

import numpy as np

from space_data.synthetic.anatomy import EYE_RADIUS_CM
from space_data.synthetic.mesh import grid_triangles


@dataclass(frozen=True)
class Part:
    """`vertices` (V, 3) cm; `triangles` (F, 3) int32; `tint` (V, 3) factor on the material's colour; `uv` (V, 2) texels of
    the atlas (zero where the material is not textured); `head_weight` (V,) share of the head's motion (the rest: the torso's)."""

    vertices: np.ndarray
    triangles: np.ndarray
    tint: np.ndarray
    uv: np.ndarray
    head_weight: np.ndarray


def _part(vertices: np.ndarray, triangles: np.ndarray, tint: np.ndarray | None = None, uv: np.ndarray | None = None,
          head_weight: np.ndarray | None = None) -> Part:  # fmt: skip
    n = len(vertices)
    return Part(
        np.asarray(vertices, np.float64),
        np.asarray(triangles, np.int32),
        np.ones((n, 3)) if tint is None else tint,
        np.zeros((n, 2)) if uv is None else uv,
        np.ones(n) if head_weight is None else head_weight,
    )


# ------------------------------------------------------------------------------------------------ eyes
EYE_RINGS_RAD = np.array([0.0, 0.08, 0.16, 0.25, 0.34, 0.43, 0.52, 0.65, 0.80, 1.0, 1.25, 1.5])
_EYE_COLUMNS = 28
EYE_TEXTURE_ANGLE_RAD = 1.6
"""Angle from the gaze axis at the rim of the eye's texture."""


def eyeball(uv_centre: tuple[float, float], uv_radius: float) -> Part:
    """Front of an eyeball about the origin, looking along +z; texels are polar about `uv_centre`."""
    around = np.linspace(0, 2 * np.pi, _EYE_COLUMNS, endpoint=False)
    ring, angle = np.meshgrid(EYE_RINGS_RAD, around, indexing="ij")
    unit = np.stack([np.sin(ring) * np.cos(angle), np.sin(ring) * np.sin(angle), np.cos(ring)], -1)
    vertices = EYE_RADIUS_CM * unit.reshape(-1, 3)
    radius = uv_radius * ring / EYE_TEXTURE_ANGLE_RAD
    uv = np.stack([uv_centre[0] + radius * np.cos(angle), uv_centre[1] - radius * np.sin(angle)], -1).reshape(-1, 2)
    triangles = grid_triangles(len(EYE_RINGS_RAD), _EYE_COLUMNS, closed=True)[:, ::-1]
    return _part(vertices, triangles, uv=uv)


# ------------------------------------------------------------------------------------------------ teeth and tongue
_TOOTH_WIDTHS_CM = np.array([0.90, 0.72, 0.80, 0.72, 0.70, 0.95])
"""From the middle to the side, upper row, at the cage's scale."""
_COLUMNS_PER_TOOTH = 5
_ARCH_HALF_WIDTH_CM, _ARCH_DEPTH_CM = 2.55, 2.7
_GUM = np.array([0.62, 0.30, 0.29])
_ENAMEL = np.array([0.92, 0.89, 0.80])


def teeth(edge_cm: tuple[float, float], upper: bool, scale: float = 1.0) -> Part:
    """A row of twelve teeth with gums; edge_cm = (y, z) of the biting edge of the middle teeth.

    Single teeth show by their bulge, their rounded edges and darker gaps between them.
    """
    widths = _TOOTH_WIDTHS_CM * scale * (1.0 if upper else 0.86)
    borders = np.concatenate([[0.0], np.cumsum(widths)])
    across = np.linspace(0, 1, _COLUMNS_PER_TOOTH)
    half_s, half_phase, half_tooth = [], [], []
    for k, width in enumerate(widths):
        half_s.append(borders[k] + across * width)
        half_phase.append(across)
        half_tooth.append(np.full(_COLUMNS_PER_TOOTH, k))
    s = np.concatenate([-np.concatenate(half_s)[::-1], np.concatenate(half_s)])
    phase = np.concatenate([np.concatenate(half_phase)[::-1], np.concatenate(half_phase)])
    tooth = np.concatenate([np.concatenate(half_tooth)[::-1], np.concatenate(half_tooth)])
    angle = s / 2.75
    arch_x, arch_z = _ARCH_HALF_WIDTH_CM * scale * np.sin(angle), _ARCH_DEPTH_CM * (np.cos(angle) - 1)
    outward = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], -1)
    bulge = np.sin(np.pi * phase)
    rows = np.array([0.0, 0.10, 0.35, 0.7, 1.0, 1.35, 1.7])  # 0 biting edge, 1 gum line, then gum; in crown heights
    crown = np.array([1.0, 0.92, 0.98, 0.85, 0.8, 0.8])[tooth] * (0.95 if upper else 0.8) * scale
    direction = 1.0 if upper else -1.0
    vertices, tint = [], []
    for row in rows:
        on_tooth = row < 1.2
        rounding = 0.10 * (1 - bulge) ** 2 if row < 0.05 else 0.0
        push = (0.16 * bulge**0.6 + 0.02) * np.sin(np.pi * min(0.25 + 0.6 * row, 0.9)) if on_tooth else 0.08 + 0.06 * bulge
        height = edge_cm[0] + direction * (row * crown + rounding)
        recede = 0.0 if upper else 0.7 * max(row - 0.7, 0.0)  # the roots stay clear of the chin
        point = np.stack([arch_x, height, edge_cm[1] + arch_z - recede], -1) + outward * np.asarray(push).reshape(-1, 1)
        gap = 0.84 + 0.16 * np.clip(bulge * 2.2, 0, 1)
        colour = np.where(on_tooth, _ENAMEL, _GUM)[None] * (gap[:, None] if on_tooth else 1.0)
        depth = np.clip(1.0 + 0.42 * arch_z, 0.25, 1.0)[:, None]  # the side teeth stand in the shade of the cheeks
        vertices.append(point)
        tint.append(colour * depth * (1 if row < 0.9 else 0.9))
    triangles = grid_triangles(len(rows), len(s))
    triangles = triangles[:, ::-1] if not upper else triangles
    return _part(np.concatenate(vertices), triangles[:, ::-1], tint=np.concatenate(tint))


def tongue(tip_cm: tuple[float, float]) -> Part:
    """A flat ellipsoid with its tip at tip_cm = (y, z), upper side only as far as it can be seen."""
    lon = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    lat = np.linspace(-np.pi / 2, np.pi / 2, 9)
    la, lo = np.meshgrid(lat, lon, indexing="ij")
    radii = np.array([1.55, 0.55, 2.3])
    unit = np.stack([np.cos(la) * np.sin(lo), np.sin(la), np.cos(la) * np.cos(lo)], -1).reshape(-1, 3)
    vertices = unit * radii + (0.0, tip_cm[0], tip_cm[1] - radii[2])
    vertices[:, 1] -= 0.10 * np.exp(-((unit[:, 0] / 0.25) ** 2)) * (unit[:, 1] > 0)  # the middle furrow
    shade = 0.55 + 0.45 * np.clip(unit[:, 2:3], 0, 1)
    triangles = grid_triangles(len(lat), len(lon), closed=True)
    return _part(vertices, triangles, tint=np.array([0.62, 0.27, 0.26]) * shade)


# ------------------------------------------------------------------------------------------------ ears
_EAR_COLUMNS = 36
_EAR_RADII = np.array([0.0, 0.16, 0.30, 0.42, 0.52, 0.62, 0.72, 0.82, 0.90, 0.96, 1.0])


def ear(side: float, root_cm: np.ndarray, height_cm: float = 6.3, flare_rad: float = 0.30) -> Part:
    """An outer ear; side -1 image left, +1 right; root_cm: where its front border meets the head at mid height.

    Drawn in a plane (u backwards, v up) as relief over a polar grid: helix, scapha, antihelix, concha, tragus and lobe.
    """
    around = np.linspace(0, 2 * np.pi, _EAR_COLUMNS, endpoint=False)
    rho, phi = np.meshgrid(_EAR_RADII, around, indexing="ij")
    # outline: broad above, narrow at the lobe; u = cos, v = sin
    half_height = 0.5 * height_cm
    v_unit, u_unit = np.sin(phi), np.cos(phi)
    breadth = 0.31 * height_cm * (1.0 + 0.24 * v_unit - 0.10 * v_unit**2)
    u = rho * breadth * u_unit + 0.10 * height_cm * v_unit * rho
    v = rho * half_height * v_unit
    lobe = np.clip((-v / half_height - 0.55) / 0.3, 0, 1)
    front = np.clip(-u_unit * 1.6 - 0.2, 0, 1) * (1 - np.clip((np.abs(v_unit) - 0.75) / 0.2, 0, 1))

    def ridge(at: float, sigma: float) -> np.ndarray:
        return np.exp(-(((rho - at) / sigma) ** 2))

    relief = 0.42 * ridge(0.93, 0.09) * (1 - 0.8 * lobe) * (1 - 0.75 * front)
    relief += 0.30 * ridge(0.60, 0.12) * np.clip(u_unit + 0.35, 0, 1) * (1 - lobe)
    relief -= 0.18 * ridge(0.77, 0.08) * np.clip(u_unit + 0.5, 0, 1) * (1 - lobe)
    concha = np.exp(-(((u / height_cm + 0.02) / 0.13) ** 2 + ((v / height_cm + 0.06) / 0.17) ** 2))
    relief -= 0.75 * concha
    relief += 0.45 * np.exp(-(((u / height_cm + 0.22) / 0.06) ** 2 + ((v / height_cm + 0.09) / 0.09) ** 2))
    relief += 0.12 * lobe * (1 - rho)
    shade = 1 - 0.45 * concha - 0.16 * ridge(0.77, 0.08) * (1 - lobe) * (1 - front)
    rim = [np.stack([u, v, relief], -1)]
    back = [np.stack([u[-1] * 0.96, v[-1] * 0.96, np.full(_EAR_COLUMNS, -0.35)], -1)]
    back.append(np.stack([u[-1] * 0.55, v[-1] * 0.7, np.full(_EAR_COLUMNS, -2.4)], -1))
    plane = np.concatenate([rim[0].reshape(-1, 3), *back])
    shade = np.concatenate([shade.ravel(), np.full(_EAR_COLUMNS, 0.85), np.full(_EAR_COLUMNS, 0.5)])
    # plane to head: u backwards and outwards by the flare, relief along the outward normal, leaning back a little
    backward = np.array([side * np.sin(flare_rad), 0.0, -np.cos(flare_rad)])
    outward = np.array([side * np.cos(flare_rad), 0.0, np.sin(flare_rad)])
    up = np.array([0.0, np.cos(0.16), -np.sin(0.16)])
    front_edge = -0.31 * height_cm
    vertices = root_cm + (plane[:, :1] - front_edge) * backward + plane[:, 1:2] * up + plane[:, 2:] * outward
    triangles = grid_triangles(len(_EAR_RADII) + 2, _EAR_COLUMNS, closed=True)
    redness = np.array([1.0, 0.93, 0.91])
    return _part(vertices, triangles if side < 0 else triangles[:, ::-1], tint=shade[:, None] * redness)


# ------------------------------------------------------------------------------------------------ neck and shoulders
_NECK_COLUMNS = 48
NECK_TOP_CM, SHOULDER_CM = -5.0, -15.2
"""y of the neck's (hidden) top and of its foot."""


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def neck_weight(y_cm: np.ndarray) -> np.ndarray:
    """Share of the head's motion at height y: 1 at the jaw, 0 at the shoulders."""
    return _smoothstep((y_cm - (SHOULDER_CM + 0.5)) / 8.0)


def neck(width: float) -> Part:
    """Neck from inside the skull to below the collar; `width` factor on its girth. Hints of throat and tendons."""
    around = np.linspace(0, 2 * np.pi, _NECK_COLUMNS, endpoint=False)
    y = np.linspace(NECK_TOP_CM, SHOULDER_CM - 3.0, 16)
    yy, phi = np.meshgrid(y, around, indexing="ij")
    t = (NECK_TOP_CM - yy) / (NECK_TOP_CM - SHOULDER_CM)
    flare = 1.0 + 0.25 * np.clip(t - 0.80, 0, 2) ** 1.5
    rx = 5.1 * width * flare * (1 - 0.05 * np.sin(np.pi * np.clip(t, 0, 1)))
    rz = 4.9 * width * flare
    centre_z = -3.6 - 0.9 * t
    front = np.clip(np.cos(phi), 0, 1)
    tendon = 0.22 * np.exp(-(((np.abs(np.sin(phi)) - (0.72 - 0.38 * t)) / 0.14) ** 2)) * front * np.clip(t * 2, 0, 1)
    throat = 0.25 * np.exp(-((np.sin(phi) / 0.18) ** 2) - ((t - 0.52) / 0.16) ** 2) * front
    grow = 1 + (tendon + throat) / 5.0
    vertices = np.stack([rx * grow * np.sin(phi), yy, centre_z + rz * grow * np.cos(phi)], -1).reshape(-1, 3)
    # columns run against the down direction's right hand: see grid_triangles
    triangles = grid_triangles(len(y), _NECK_COLUMNS, closed=True)[:, ::-1]
    return _part(vertices, triangles, head_weight=neck_weight(vertices[:, 1]))


def shoulders(collar: float, width: float) -> Part:
    """Clothed shoulders: rings from the neckline down; collar 0 (round neck) to 1 (high collar); `width` as the neck's."""
    around = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    top = SHOULDER_CM + 0.2 + 2.2 * collar
    # (ring) half width, half depth, height, for round-neck clothes; the collar raises the first rings
    profile = np.array([
        (5.75 * width, 5.6 * width, top - 0.6), (6.05 * width, 5.95 * width, top), (6.45 * width, 6.3 * width, top - 0.25),
        (7.3, 6.7, SHOULDER_CM - 0.35),
        (9.5, 6.9, SHOULDER_CM - 1.2), (13.0, 7.4, SHOULDER_CM - 2.3), (17.0, 7.8, SHOULDER_CM - 3.8),
        (20.0, 8.0, SHOULDER_CM - 6.5), (21.0, 8.6, SHOULDER_CM - 11.0), (21.0, 9.5, SHOULDER_CM - 20.0),
    ])  # fmt: skip
    fine = np.linspace(0, len(profile) - 1, 4 * len(profile))
    k = np.clip(fine.astype(int), 0, len(profile) - 2)
    w = _smoothstep(fine - k)[:, None]
    ring = profile[k] * (1 - w) + profile[k + 1] * w
    sin, cos = np.sin(around), np.cos(around)
    dip = np.clip(1 - (ring[:, 0] - 5.6) / 6.0, 0, 1) ** 2  # the neckline is lower in front
    x = ring[:, :1] * sin
    y = ring[:, 2:] - 1.5 * (1 - 0.75 * collar) * dip[:, None] * np.clip(cos, 0, 1) ** 1.5
    z = -4.9 + ring[:, 1:2] * np.sign(cos) * np.abs(cos) ** 0.9
    vertices = np.stack([x, y, np.broadcast_to(z, x.shape)], -1).reshape(-1, 3)
    hem = 1 - 0.25 * ((fine > 1.2) & (fine < 1.6))[:, None] * np.ones_like(x)
    triangles = grid_triangles(len(ring), len(around), closed=True)[:, ::-1]
    tint = np.repeat(hem.reshape(-1, 1), 3, 1)
    return _part(vertices, triangles, tint=tint, head_weight=0.35 * neck_weight(vertices[:, 1]))
