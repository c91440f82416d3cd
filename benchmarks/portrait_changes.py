"""What ``portrait_checks`` does to real pictures: turned, cut close around the face, the mouth covered.

Covers take a crop (512, 512, 3) and its mesh (478, 3) in pixels and give a new picture of the same size. ``eyes_px`` is the
distance between the outer corners of the eyes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.media.container import RgbImage
from space_models.portrait import Portrait

Mesh = NDArray[np.float32]
Colour = tuple[int, int, int]

LARGEST_PX = 1000  # of a picture that is turned
CLOSE_UP_MARGIN = 0.08  # of the face's height
NOSE_TIP, CHEEKS = 4, (50, 280)
MASK_LEFT, MASK_RIGHT = (197, 117, 93), (323, 346)  # nose bridge, cheek bone, ear; and back on the other side
MASK_RIM = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)  # from ear to ear by the chin
RIM_GAP = 0.06  # by which the rim stands off the face, of its distance from the nose
MANY_COLOURS: Colour = (200, 150, 160)
EDGE_PX = 8  # beyond which the soft edge of a cover does not reach
GRAIN = 3.0  # standard deviation of the noise on all covers, as of a camera


def shrunk(rgb: RgbImage) -> RgbImage:
    """The picture, its longer side LARGEST_PX or less."""
    scale = LARGEST_PX / max(rgb.shape)
    return rgb if scale >= 1 else np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def rotated(rgb: RgbImage, angle_deg: int) -> RgbImage:
    """The picture turned clockwise, all of it kept, the new corners mid grey; quarter turns move pixels only."""
    if angle_deg % 90 == 0:
        return np.ascontiguousarray(np.rot90(rgb, -(angle_deg // 90)))
    height, width = rgb.shape[:2]
    matrix = np.array(cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle_deg, 1), np.float64)
    c, s = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = int(height * s + width * c), int(height * c + width * s)
    matrix[:, 2] += ((size[0] - width) / 2, (size[1] - height) / 2)
    return np.asarray(cv2.warpAffine(rgb, matrix, size, borderValue=(127, 127, 127)), np.uint8)


def close_up(rgb: RgbImage, portrait: Portrait) -> RgbImage:
    """The picture cut close around the face, as far as it is there."""
    mesh = portrait.box.inverse(portrait.mesh)[:, :2]
    margin = CLOSE_UP_MARGIN * np.ptp(mesh[:, 1])
    (x0, y0), (x1, y1) = (mesh.min(axis=0) - margin).clip(0).astype(int), (mesh.max(axis=0) + margin).astype(int)
    return np.ascontiguousarray(rgb[y0:y1, x0:x1])


def covers(rgb: RgbImage, mesh: Mesh, masks: Mapping[str, Colour], rng: np.random.Generator) -> Iterator[tuple[str, RgbImage]]:
    """Every kind of cover, painted on one face: masks of the colours given, one of many colours, a hand and two microphones."""
    for name, colour in masks.items():
        yield f"mask {name}", mask(rgb, mesh, colour, rng)
    yield "mask of many colours", mask(rgb, mesh, MANY_COLOURS, rng, patches=True)
    yield "hand", hand(rgb, mesh, rng)
    yield "microphone, dark", microphone(rgb, mesh, 40, rng)
    yield "microphone, light", microphone(rgb, mesh, 120, rng)


def mask(rgb: RgbImage, mesh: Mesh, colour: Colour, rng: np.random.Generator, patches: bool = False) -> RgbImage:
    """A mask from nose bridge to chin and ear to ear, shaded as the face under it; pleated, or of random patches of colour."""
    rim = mesh[list(MASK_RIM), :2]
    rim = rim + RIM_GAP * (rim - mesh[NOSE_TIP, :2])
    outline = np.concatenate([mesh[list(MASK_LEFT), :2], rim, mesh[list(MASK_RIGHT), :2]])
    cover = cv2.fillPoly(np.zeros(rgb.shape[:2], np.float32), [outline.round().astype(np.int32)], (1.0,))
    shade = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 15)
    paint = np.array(colour, np.float32) * np.clip(shade / max(float(shade[cover > 0].mean()), 1.0), 0.5, 1.5)[..., None]
    if patches:
        squares = rng.integers(0, 2, (24, 24, 3)).astype(np.float32)
        paint = paint * (0.5 + 0.7 * cv2.resize(squares, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST))
    else:
        pleats = np.sin(2 * np.pi * np.arange(len(rgb)) / (0.22 * _eyes_px(mesh)))
        paint = paint * (1 + 0.06 * pleats)[:, None, None]
    return _painted(rgb, cover, paint, rng)


def hand(rgb: RgbImage, mesh: Mesh, rng: np.random.Generator) -> RgbImage:
    """Four fingers across the mouth, of the colour of the cheeks, darker at their edges."""
    eyes_px, mouth = _eyes_px(mesh), _mouth(mesh)
    cheeks = [rgb[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3) for x, y in mesh[list(CHEEKS), :2].astype(int)]
    skin = np.median(np.concatenate(cheeks), axis=0) * rng.uniform(0.85, 1.1)
    tilt_deg = rng.uniform(-25, 25)
    for finger in range(4):
        x, y = mouth + (0, (finger - 1.5) * 0.24 * eyes_px) + rng.normal(0, 0.03 * eyes_px, 2)
        size = (int(0.62 * eyes_px), int(0.14 * eyes_px))
        cover = cv2.ellipse(np.zeros(rgb.shape[:2], np.float32), (round(x), round(y)), size, tilt_deg, 0, 360, (1.0,), -1)
        depth = cv2.distanceTransform((cover > 0).astype(np.uint8), cv2.DIST_L2, 5)
        rgb = _painted(rgb, cover, skin * (0.62 + 0.38 * np.clip(depth / (0.09 * eyes_px), 0, 1))[..., None], rng)
    return rgb


def microphone(rgb: RgbImage, mesh: Mesh, grey: int, rng: np.random.Generator) -> RgbImage:
    """A ball over the lips with a highlight and a rough surface, and its handle, leading down."""
    eyes_px = _eyes_px(mesh)
    ball = _mouth(mesh) + (rng.uniform(-0.15, 0.15) * eyes_px, 0.12 * eyes_px)
    end = ball + (rng.uniform(-1, 1) * eyes_px, 2 * eyes_px)
    middle, cover = (round(ball[0]), round(ball[1])), np.zeros(rgb.shape[:2], np.float32)
    cv2.circle(cover, middle, int(0.38 * eyes_px), (1.0,), -1)
    cv2.line(cover, middle, (round(end[0]), round(end[1])), (1.0,), int(0.25 * eyes_px))
    rows, columns = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    from_light = np.hypot(columns - ball[0] + 0.12 * eyes_px, rows - ball[1] + 0.12 * eyes_px) / (0.15 * eyes_px)
    rough = cv2.GaussianBlur(rng.normal(0, 25, rgb.shape[:2]).astype(np.float32), (0, 0), 1)
    paint = grey * (1 + 1.2 * np.exp(-(from_light**2))) + rough
    return _painted(rgb, cover, np.repeat(paint[..., None], 3, axis=2), rng)


def _painted(rgb: RgbImage, cover: NDArray[Any], paint: NDArray[Any], rng: np.random.Generator) -> RgbImage:
    """``paint`` (H, W, 3) with grain where ``cover`` (H, W) is 1, with a soft edge."""
    x, y, width, height = cv2.boundingRect((cover > 0).astype(np.uint8))
    area = (slice(max(y - EDGE_PX, 0), y + height + EDGE_PX), slice(max(x - EDGE_PX, 0), x + width + EDGE_PX))
    alpha = cv2.GaussianBlur(cover[area], (0, 0), 1.2)[..., None]
    grainy = paint[area] + GRAIN * rng.standard_normal(rgb[area].shape, np.float32)
    out = rgb.copy()
    out[area] = np.clip(rgb[area] * (1 - alpha) + grainy * alpha, 0, 255)
    return out


def _eyes_px(mesh: Mesh) -> float:
    return float(np.linalg.norm(mesh[33, :2] - mesh[263, :2]))


def _mouth(mesh: Mesh) -> NDArray[np.float32]:
    return np.asarray(mesh[[13, 14], :2].mean(axis=0), np.float32)
