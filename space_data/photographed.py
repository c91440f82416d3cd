"""Evidence that a face is a photographed person: one number per picture, from a small network on the aligned face.

Landmark models fit a full mesh on anime, paintings, statues and dogs without complaint, so "a face was found" says nothing about
what was filmed. ``photo_score`` looks at 64 pixels of the face: a network of five convolutions, evaluated in numpy (2 ms of a
core), fitted on pictures of public repositories by ``benchmarks.photo_fit``; the card beside its weights says on what.

The score is evidence, not proof. It is blind by construction to what looks like a photograph: a photograph-like rendering, a
neural head made from a photo, a wax figure. What it can be trusted with is measured in ``docs/photographed.md``.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import N_MESH

INPUT_PX = 64
FACE_MARGIN = 1.2
"""Side of the aligned square over the larger side of the mesh's box: the face and no more, so that background, hair and the frame
of the picture, which tell one data set from another better than a photo from a drawing, stay out."""
MESH_EYE_CORNERS = (33, 263)
LEAST_FACE_PX = 8.0

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Layer:
    """A convolution (out, in, k, k), k odd, with its bias (out,), then max(0, .); batch norm is folded in."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int


@dataclass(frozen=True)
class PhotoScorer:
    """The network: convolutions, the mean and the maximum over the picture, one linear unit, a logistic function."""

    layers: tuple[Layer, ...]
    unit: NDArray[np.float32]  # (2 * channels,)
    offset: float

    def __call__(self, rgb: Image, mesh: NDArray[np.floating]) -> float:
        """Score in [0, 1] of the face that ``mesh`` (478, 2 or 3; pixels of ``rgb``) lies on; NaN where the mesh has a NaN."""
        if not np.isfinite(mesh[:, :2]).all():
            return float("nan")
        return self.score(aligned_face(rgb, mesh))

    def score(self, face: Image) -> float:
        """Score of an aligned face (INPUT_PX, INPUT_PX, 3)."""
        maps = face.astype(np.float32).transpose(2, 0, 1) / 255.0 - 0.5
        for layer in self.layers:
            maps = _convolve(maps, layer)
        pooled = np.concatenate([maps.mean(axis=(1, 2)), maps.max(axis=(1, 2))])
        return float(1.0 / (1.0 + np.exp(-np.clip(pooled @ self.unit + self.offset, -30.0, 30.0))))


def photo_score(rgb: Image, mesh: NDArray[np.floating]) -> float:
    """How much a face looks like a photographed person, in [0, 1]; high = photographed.

    Args:
        rgb: picture (H, W, 3).
        mesh: MediaPipe's mesh (478, 2 or 3) in pixels of ``rgb``; a NaN in it (no face) gives NaN.

    Raises:
        SpaceError: a mesh of another shape, or one smaller than LEAST_FACE_PX.
    """
    return default_scorer()(rgb, mesh)


@lru_cache(maxsize=1)
def default_scorer() -> PhotoScorer:
    """The scorer that comes with the package (``assets/photo_scorer.npz``; its card is the .json beside it)."""
    with as_file(files("space_data") / "assets" / "photo_scorer.npz") as path:
        return load_scorer(path)


def load_scorer(path: Path) -> PhotoScorer:
    """Read what ``benchmarks.photo_fit`` wrote. Raises SpaceError when arrays are missing."""
    with np.load(path) as arrays:
        count = sum(name.startswith("weight_") for name in arrays.files)
        wanted = {"unit", "offset", "strides"} | {f"{part}_{i}" for i in range(max(count, 1)) for part in ("weight", "bias")}
        if missing := sorted(wanted - set(arrays.files)):
            raise SpaceError(f"{path}: not a photo scorer, lacks {missing} (fit one with python -m benchmarks.photo_fit)")
        layers = tuple(
            Layer(
                weight=arrays[f"weight_{i}"].astype(np.float32),
                bias=arrays[f"bias_{i}"].astype(np.float32),
                stride=int(arrays["strides"][i]),
            )
            for i in range(count)
        )
        return PhotoScorer(layers, arrays["unit"].astype(np.float32), float(arrays["offset"]))


def aligned_face(rgb: Image, mesh: NDArray[np.floating], size_px: int = INPUT_PX, margin: float = FACE_MARGIN) -> Image:
    """The face upright in a square (size_px, size_px, 3): eyes level, box of the mesh in the middle, `margin` times its side.

    Large faces are shrunk by averaging before they are turned, so that skin texture does not alias into noise.
    Raises SpaceError for a mesh of another shape than (478, 2 or 3), or smaller than LEAST_FACE_PX.
    """
    if mesh.ndim != 2 or mesh.shape[0] != N_MESH or mesh.shape[1] < 2:
        raise SpaceError(f"photo score: mesh of shape {mesh.shape}, ({N_MESH}, 2 or 3) in pixels needed")
    points = np.asarray(mesh[:, :2], np.float64)
    left, right = points[MESH_EYE_CORNERS[0]], points[MESH_EYE_CORNERS[1]]
    roll = np.arctan2(right[1] - left[1], right[0] - left[0])
    upright = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    turned = points @ upright.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    side = float((high - low).max()) * margin
    if side < LEAST_FACE_PX:
        raise SpaceError(f"photo score: a face of {side:.1f} px, at least {LEAST_FACE_PX} needed (is the mesh in pixels?)")
    centre = upright.T @ ((low + high) / 2)

    half = int(np.ceil(side * 0.75))  # the turned square fits inside for any roll
    x0, y0 = int(round(centre[0])) - half, int(round(centre[1])) - half
    part = _cut(rgb, x0, y0, 2 * half)
    shrink = min(1.0, size_px * 1.5 / side)
    if shrink < 1.0:
        reduced = max(int(round(2 * half * shrink)), 2)
        part = np.asarray(cv2.resize(part, (reduced, reduced), interpolation=cv2.INTER_AREA), np.uint8)
        shrink = reduced / (2 * half)
    zoom = size_px / (side * shrink)
    turn = zoom * upright
    # Pixel centres sit at half integers of the continuous picture, before and after each change of size.
    middle = (centre - (x0, y0) + 0.5) * shrink - 0.5
    shift = (size_px - 1) / 2 - turn @ middle
    matrix = np.concatenate([turn, shift[:, None]], axis=1)
    warped = cv2.warpAffine(part, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def _cut(rgb: Image, x0: int, y0: int, side: int) -> Image:
    """A square of the picture; what lies outside repeats the edge."""
    height, width = rgb.shape[:2]
    xs = (min(max(x0, 0), width - 1), min(max(x0 + side, 1), width))
    ys = (min(max(y0, 0), height - 1), min(max(y0 + side, 1), height))
    inside = rgb[ys[0] : ys[1], xs[0] : xs[1]]
    border = (max(ys[0] - y0, 0), max(y0 + side - ys[1], 0), max(xs[0] - x0, 0), max(x0 + side - xs[1], 0))
    if not any(border):
        return np.ascontiguousarray(inside)
    return np.asarray(cv2.copyMakeBorder(inside, *border, cv2.BORDER_REPLICATE)[:side, :side], np.uint8)


def _convolve(maps: NDArray[np.float32], layer: Layer) -> NDArray[np.float32]:
    """Maps (in, H, W) to (out, ceil(H / stride), ceil(W / stride)), zeros outside."""
    size, stride = layer.weight.shape[-1], layer.stride
    around = size // 2
    height, width = (-(-extent // stride) for extent in maps.shape[1:])
    padded = np.pad(maps, ((0, 0), (around, around), (around, around)))
    shifted = [
        padded[:, y : y + stride * height : stride, x : x + stride * width : stride][:, :height, :width].reshape(len(maps), -1)
        for y in range(size)
        for x in range(size)
    ]
    made = layer.weight.transpose(0, 2, 3, 1).reshape(len(layer.weight), -1) @ np.concatenate(shifted)
    made += layer.bias[:, None]
    return np.maximum(made, 0.0, out=made).reshape(len(made), height, width)
