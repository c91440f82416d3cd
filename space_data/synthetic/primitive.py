"""The primitive head that bootstraps the cage: an ellipsoid with Gaussian bumps and painted features.

FaceMesh finds this head in every near-frontal view, and the landmarks it returns - its own idea of a human face - are
what the cage is averaged from (`space_data.synthetic.cage`). No third-party geometry is involved.
Units: cm, y up, +z to the camera, +x to the right of the image.
"""

import numpy as np

from space_data.synthetic.raster import interpolate, rasterise

_COLUMNS, _ROWS = 420, 300
_CENTRE = np.array([0.0, 0.0, -3.0])
_RADII = np.array([7.8, 11.2, 9.0])
# bumps: x, y, height along z, sigma_x, sigma_y (mirrored when x > 0)
_BUMPS = (
    (0.0, -1.0, 2.2, 0.75, 0.75),  # nose tip
    (0.0, 1.2, 1.1, 0.55, 1.9),  # bridge
    (1.05, -1.35, 0.9, 0.55, 0.5),  # wings
    (3.1, 2.6, -1.1, 1.5, 0.85),  # eye sockets
    (3.2, 2.55, 0.55, 0.9, 0.5),  # eyeballs under the lids
    (3.0, 4.0, 0.45, 2.0, 0.6),  # brow ridges
    (0.0, -3.85, 0.75, 1.6, 0.35),  # upper lip
    (0.0, -4.95, 0.8, 1.4, 0.40),  # lower lip
    (0.0, -4.4, -0.25, 1.8, 0.16),  # mouth line
    (0.0, -7.6, 1.3, 1.7, 1.2),  # chin
    (4.6, 0.0, 0.5, 1.7, 1.5),  # cheekbones
)
_SKIN = np.array([0.74, 0.54, 0.44])
_HAIR = np.array([0.10, 0.07, 0.06])
_CAMERA_CM = 75.0
_FOCAL = 2.15


def _band(values: np.ndarray, low: float, high: float, softness: float) -> np.ndarray:
    """1 inside [low, high], falling to 0 over `softness` on both sides."""
    rise = np.clip((values - low) / softness + 0.5, 0, 1)
    fall = np.clip((high - values) / softness + 0.5, 0, 1)
    return rise * fall


def _paint(points: np.ndarray) -> np.ndarray:
    """Vertex colours (V, 3) of brows, eyes, lips, nostrils and hair for head points (V, 3)."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    front = z > 0
    colour = np.repeat(_SKIN[None], len(points), 0)

    def blend(mask: np.ndarray, tint: np.ndarray | tuple[float, ...]) -> None:
        amount = (mask * front)[:, None]
        colour[:] = colour * (1 - amount) + np.asarray(tint) * amount

    lip_x = np.clip(x / 2.55, 0, 1)
    upper = -3.55 - 0.75 * lip_x**1.6 - 0.12 * np.exp(-((x / 0.25) ** 2))
    lower = -5.35 + 0.95 * lip_x**2
    blend(_band(y - upper, -9, 0, 0.15) * _band(y - lower, 0, 9, 0.15) * (x < 2.55), (0.62, 0.29, 0.28))
    blend(np.exp(-(((y + 4.40 + 0.03 * x) / 0.09) ** 2)) * (x < 2.5), (0.16, 0.05, 0.05))
    blend(np.exp(-(((x - 0.62) / 0.30) ** 2) - ((y + 1.78) / 0.18) ** 2), (0.10, 0.04, 0.03))
    eye_u = (x - 3.15) / 1.45
    lid_top = 2.60 + 0.52 * np.sqrt(np.clip(1 - eye_u**2, 0, 1))
    lid_low = 2.60 - 0.42 * np.sqrt(np.clip(1 - eye_u**2, 0, 1))
    inside = _band(y - lid_top, -9, 0, 0.05) * _band(y - lid_low, 0, 9, 0.05) * (np.abs(eye_u) < 1)
    blend(inside, (0.86, 0.84, 0.82))
    radius = np.hypot(x - 3.15, y - 2.66)
    blend(inside * _band(radius, -1, 0.56, 0.06), (0.22, 0.13, 0.08))
    blend(inside * _band(radius, -1, 0.24, 0.05), (0.02, 0.02, 0.02))
    blend(np.exp(-(((y - lid_top - 0.03) / 0.085) ** 2)) * (np.abs(eye_u) < 1.05), (0.06, 0.04, 0.03))
    blend(0.6 * np.exp(-(((y - lid_low) / 0.06) ** 2)) * (np.abs(eye_u) < 1.0), (0.25, 0.13, 0.10))
    brow = 4.15 + 0.40 * np.sin(np.clip((x - 1.2) / 4.0, 0, 1) * 2.4)
    blend(_band(y - brow, -0.28, 0.28, 0.2) * _band(x, 1.2, 5.1, 0.4), (0.14, 0.09, 0.07))
    hair = (y > 7.6 - 0.012 * x**2.6) | (z < -3.5)
    colour[hair & (y > -4.5)] = _HAIR
    return colour


def _surface() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (V, 3), triangles (F, 3) and colours (V, 3) of head and neck."""
    longitude = np.linspace(-np.pi, np.pi, _COLUMNS)
    latitude = np.linspace(-0.5 * np.pi, 0.5 * np.pi, _ROWS)
    lon, lat = np.meshgrid(longitude, latitude)
    unit = np.stack([np.sin(lon) * np.cos(lat), np.sin(lat), np.cos(lon) * np.cos(lat)], -1).reshape(-1, 3)
    points = _CENTRE + _RADII * unit
    points[:, 0] *= 1 - 0.24 * np.clip(-points[:, 1] / 10.5, 0, 1) ** 1.5  # narrower towards the chin
    front = np.clip(unit[:, 2], 0, 1) ** 0.5
    lift = np.zeros(len(points))
    for bump_x, bump_y, height, sigma_x, sigma_y in _BUMPS:
        for sign in (1.0,) if bump_x == 0 else (1.0, -1.0):
            across, up = (points[:, 0] - sign * bump_x) / sigma_x, (points[:, 1] - bump_y) / sigma_y
            lift += height * np.exp(-(across**2 + up**2) / 2)
    points[:, 2] += lift * front
    colours = _paint(points)
    neck_y = np.repeat(np.linspace(-22, -5, _ROWS), _COLUMNS)
    neck = np.stack([5.2 * np.sin(lon).ravel(), neck_y, -4.0 + 5.0 * np.cos(lon).ravel()], -1)
    row, column = np.meshgrid(np.arange(_ROWS - 1), np.arange(_COLUMNS - 1), indexing="ij")
    first = (row * _COLUMNS + column).ravel()
    quads = np.stack([first, first + 1, first + _COLUMNS + 1, first + _COLUMNS], -1)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return (
        np.concatenate([points, neck]),
        np.concatenate([triangles, triangles + len(points)]).astype(np.int32),
        np.concatenate([colours, np.repeat(_SKIN[None], len(neck), 0) * 0.8]),
    )


def primitive_view(yaw_deg: float, pitch_deg: float, size_px: int = 384) -> np.ndarray:
    """Picture (size, size, 3) uint8 RGB of the primitive head turned by yaw (nose to the image left) and pitch (down)."""
    points, triangles, colours = _surface()
    yaw, pitch = np.deg2rad(yaw_deg), np.deg2rad(pitch_deg)
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    posed = points @ (turn @ nod).T
    corner = posed[triangles]
    face_normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normals = np.zeros_like(posed)
    for k in range(3):
        np.add.at(normals, triangles[:, k], face_normal)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    samples = 2 * size_px
    distance = _CAMERA_CM - posed[:, 2]
    focal_px = _FOCAL * samples
    across, up = focal_px * posed[:, 0] / distance, focal_px * posed[:, 1] / distance
    screen = np.stack([samples / 2 + across, samples / 2 - up, 1 / distance], -1)
    everywhere = np.ones(len(triangles), np.bool_)
    seen = rasterise(screen.astype(np.float32), triangles, samples, samples, two_sided=everywhere)
    key = np.array([0.35, 0.45, 0.82])
    light = 0.42 + 0.60 * np.clip(normals @ key, 0, 1)
    picture = interpolate(seen, triangles, colours * light[:, None])
    picture[seen.triangle < 0] = (0.45, 0.52, 0.55)
    picture = picture.reshape(size_px, 2, size_px, 2, 3).mean((1, 3))
    return (255 * np.sqrt(np.clip(picture, 0, 1))).astype(np.uint8)
