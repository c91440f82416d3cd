"""Where a synthetic person sits: light, background and camera. Drawn from a generator, nothing else."""

from dataclasses import dataclass

import cv2
import numpy as np

from space_data.synthetic.shade import Lights

CAMERA_DISTANCE_CM = 75.0
FOCAL_HEIGHTS = 2.15
"""Focal length in picture heights at zoom 1: an average face is then 75 px between its outer eye corners at 256."""
CAMERA_Y_CM = -1.2
BACKGROUNDS = ("wall", "lights", "room", "window")
_BACKGROUND_COLOURS = (
    (0.30, 0.33, 0.34), (0.36, 0.33, 0.28), (0.20, 0.26, 0.31), (0.24, 0.29, 0.24),
    (0.42, 0.41, 0.39), (0.13, 0.15, 0.18), (0.33, 0.27, 0.25),
)  # fmt: skip
_BACKGROUND_SIZE_PX = 256
"""Backgrounds are painted at this size and enlarged, so that a scene looks alike at every picture size."""


@dataclass(frozen=True)
class Scene:
    """Light, background and camera of one recording. Angles: azimuth + from the image right, elevation + from above."""

    key_azimuth_deg: float
    key_elevation_deg: float
    key_strength: float  # factor, about 1
    warmth: float  # -1 cool .. 1 warm
    fill_strength: float  # factor, about 1
    back_strength: float
    background: str
    background_colour: tuple[float, float, float]
    background_seed: int
    zoom: float  # face size, factor, about 1
    camera_x_cm: float
    camera_y_cm: float


@dataclass(frozen=True)
class Camera:
    """Pinhole looking along -z. Pixel = centre + focal * offset / depth; y down."""

    focal_px: float
    centre_px: float
    x_cm: float
    y_cm: float
    distance_cm: float


def draw_scene(rng: np.random.Generator) -> Scene:
    """A random scene within what the detector takes without loss."""
    colour = np.array(_BACKGROUND_COLOURS[int(rng.integers(len(_BACKGROUND_COLOURS)))]) * rng.uniform(0.75, 1.2)
    return Scene(
        key_azimuth_deg=float(rng.choice([-1.0, 1.0]) * rng.uniform(12, 50)),
        key_elevation_deg=float(rng.uniform(18, 45)),
        key_strength=float(rng.uniform(0.9, 1.1)),
        warmth=float(rng.uniform(-0.6, 1.0)),
        fill_strength=float(rng.uniform(0.7, 1.3)),
        back_strength=float(rng.uniform(0.2, 1.0)),
        background=str(rng.choice(BACKGROUNDS)),
        background_colour=(float(colour[0]), float(colour[1]), float(colour[2])),
        background_seed=int(rng.integers(2**31)),
        zoom=float(rng.uniform(0.92, 1.12)),
        camera_x_cm=float(rng.uniform(-0.6, 0.6)),
        camera_y_cm=float(CAMERA_Y_CM + rng.uniform(-0.5, 0.5)),
    )


def camera_of(scene: Scene, size_px: int) -> Camera:
    """The camera for square pictures of size_px."""
    return Camera(FOCAL_HEIGHTS * scene.zoom * size_px, size_px / 2, scene.camera_x_cm, scene.camera_y_cm, CAMERA_DISTANCE_CM)


def _direction(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    a, e = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])


def lights_of(scene: Scene) -> Lights:
    """Key from one side, a weak fill from the other, a back light for the edge, and ambient light of the background's tone."""
    tint = np.array([1 + 0.05 * scene.warmth, 1.0, 1 - 0.09 * scene.warmth])
    side = float(np.sign(scene.key_azimuth_deg))
    tone = np.array(scene.background_colour) / np.mean(scene.background_colour)
    return Lights(
        key=_direction(scene.key_azimuth_deg, scene.key_elevation_deg),
        key_colour=0.86 * scene.key_strength * tint,
        fill=_direction(-60 * side, 12),
        fill_colour=0.17 * scene.fill_strength * (0.5 + 0.5 * tone),
        back=_direction(-140 * side, 25),
        back_colour=0.55 * scene.back_strength * np.array([1.0, 0.98, 0.94]),
        ambient_colour=0.235 * np.array([0.97, 1.0, 1.05]) * (0.8 + 0.2 * tone),
    )


def _blur(picture: np.ndarray, sigma_px: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)


def paint_background(scene: Scene, size_px: int) -> np.ndarray:
    """Background (size, size, 3) float32 linear, out of focus."""
    rng = np.random.default_rng(scene.background_seed)
    n = _BACKGROUND_SIZE_PX
    y, x = np.mgrid[0:n, 0:n].astype(np.float32) / n
    base = np.array(scene.background_colour, np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    picture = base * (1 + 0.45 * slope[..., None])
    if scene.background == "wall":
        glow = np.exp(-(((x - rng.uniform(0.2, 0.8)) / 0.45) ** 2 + ((y - rng.uniform(0.1, 0.5)) / 0.45) ** 2))
        picture = picture * (0.75 + 0.6 * glow[..., None])
    elif scene.background == "lights":
        picture = picture * 0.55
        for _ in range(int(rng.integers(14, 26))):
            spot = np.zeros((n, n), np.float32)
            centre = tuple(int(v) for v in rng.uniform(0, n, 2))
            cv2.circle(spot, centre, int(rng.uniform(7, 20)), (1.0,), -1, cv2.LINE_AA)
            hue = base * 0.6 + rng.uniform(0.15, 0.55) * np.array([1.0, rng.uniform(0.6, 0.95), rng.uniform(0.35, 0.9)])
            picture = picture + 0.35 * _blur(spot, 1.6)[..., None] * hue.astype(np.float32)
    elif scene.background == "room":
        picture = picture * 0.8
        for _ in range(int(rng.integers(5, 9))):
            x0, y0 = rng.uniform(-0.1, 1.0, 2) * n
            w, h = rng.uniform(0.08, 0.35) * n, rng.uniform(0.15, 0.6) * n
            tint = base * rng.uniform(0.35, 1.5) * rng.uniform(0.8, 1.2, 3)
            cv2.rectangle(picture, (int(x0), int(y0)), (int(x0 + w), int(y0 + h)), tuple(float(v) for v in tint), -1)
        picture = _blur(picture, 7.0)
    else:
        x0 = rng.uniform(0.02, 0.45)
        bright = ((x > x0) & (x < x0 + 0.5) & (y < 0.72)).astype(np.float32)
        bars = (np.abs((x - x0) % 0.25 - 0.0) < 0.012) | (np.abs(y - 0.36) < 0.012)
        pane = _blur(bright * (1 - 0.7 * bars), 5.0)[..., None]
        picture = picture * 0.7 + pane * np.array([0.42, 0.47, 0.52], np.float32) * rng.uniform(0.7, 1.0)
    vignette = 1 - 0.35 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)[..., None]
    picture = np.clip(picture * vignette, 0, 1).astype(np.float32)
    return np.ascontiguousarray(cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_CUBIC).clip(0, 1))
