"""face-api's 68 points as a second landmark detector: a small network that a package ships, four milliseconds a frame on a CPU.

The npm package ``@vladmandic/face-api`` (MIT; the network is Mühler's, of ``face-api.js``, taught 35,000 faces) carries
356 kB of 8-bit weights: `space weights fetch face-api-68`, or `import` of the folder that npm unpacks. It shares nothing with
MediaPipe's mesh, neither what it learnt from nor the face detector.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from space_data.errors import SpaceError
from space_data.landmarks import IBUG68, MESH_TO_78, N_LANDMARKS, PoseTrack, estimate_pose_68, posed, template_mesh

Rgb = NDArray[np.uint8]

WEIGHTS_FILE, LAYOUT_FILE = "face_landmark_68_model.bin", "face_landmark_68_model-weights_manifest.json"
FACE_PX, N_POINTS, BLOCKS = 112, 68, 4
MEAN_RGB = (122.782, 117.001, 104.298)
"""That the network takes off before it divides by 255."""
LOOKED_AT_PX, SMALLEST_SHARE = 400, 0.15
"""Longer side of the picture in which faces are looked for, and of it the smallest face."""
CASCADES = ("haarcascade_frontalface_default.xml", "haarcascade_frontalface_alt2.xml")
"""OpenCV's; the second is asked where the first finds none."""
DOWN, MARGIN = 0.05, 1.2
"""The first crop is the cascade's square, moved down by this share of its side; the second one that much larger than the first
points: on synthetic clips lips follow the exact ones at r .96 with two looks, .85 with one, .95 with three."""
POSE_ROUNDS = 20


class FaceApi:
    """The network, from its arrays by name (``dense0/conv1/pointwise_filter``).

    Raises:
        SpaceError: they are of another network.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        found = tuple(arrays["fc/weights"].shape) if "fc/weights" in arrays else None
        if found != (256, 2 * N_POINTS):
            raise SpaceError(f"face-api: fc/weights {found}, need (256, {2 * N_POINTS}) (weights of another network)")
        self._arrays = {name: torch.from_numpy(np.array(values, np.float32)) for name, values in arrays.items()}

    @torch.inference_mode()
    def __call__(self, faces: Tensor) -> Tensor:
        """Points (n, 68, 2) in shares of the side of RGB faces (n, 3, 112, 112), 0 to 255."""
        x = (faces - torch.tensor(MEAN_RGB)[:, None, None]) / 255
        for k in range(BLOCKS):
            one = functional.relu(self._conv(f"dense{k}/conv0", x, 2))
            two = self._conv(f"dense{k}/conv1", one)
            three = self._conv(f"dense{k}/conv2", functional.relu(one + two))
            four = self._conv(f"dense{k}/conv3", functional.relu(one + two + three))
            x = functional.relu(one + two + three + four)
        x = functional.avg_pool2d(x, 7, 2).flatten(1)
        return (x @ self._arrays["fc/weights"] + self._arrays["fc/bias"]).reshape(-1, N_POINTS, 2)

    def _conv(self, layer: str, x: Tensor, stride: int = 1) -> Tensor:
        """3 x 3, "same" as TensorFlow pads: an odd cell behind. The very first is whole, all others depthwise separable."""
        missing = [max(0, stride * (-(-side // stride) - 1) + 3 - side) for side in (x.shape[3], x.shape[2])]
        x = functional.pad(x, [side for pad in missing for side in (pad // 2, pad - pad // 2)])
        bias = self._arrays[f"{layer}/bias"]
        if f"{layer}/filters" in self._arrays:
            return functional.conv2d(x, self._arrays[f"{layer}/filters"].permute(3, 2, 0, 1), bias, stride)
        depth, point = (self._arrays[f"{layer}/{part}_filter"].permute(axes) for part, axes in SEPARABLE)
        return functional.conv2d(functional.conv2d(x, depth, stride=stride, groups=x.shape[1]), point, bias)


SEPARABLE = (("depthwise", (2, 3, 0, 1)), ("pointwise", (3, 2, 0, 1)))


class FaceApiBackend:
    """Finds the face of each frame by itself (a ``space_data.landmark_backend.LandmarkBackend``): nothing is smoothed or tracked.

    The depth of its points is not seen: it is the template face's, turned as the points say (scaled orthography).
    """

    batch_frames = 8

    def __init__(self, network: FaceApi) -> None:
        self._network = network
        folder = Path(cv2.__file__).parent / "data"
        self._cascades = [cv2.CascadeClassifier(str(folder / name)) for name in CASCADES]
        self._points: list[NDArray[np.float32]] = []

    def look(self, frames: Sequence[Rgb]) -> NDArray[np.float32]:
        """Boxes (B, 4) around the points of the next frames in pixels, NaN rows without a face."""
        points = np.full((len(frames), N_POINTS, 2), np.nan, np.float32)
        squares = [self._face(rgb) for rgb in frames]
        seen = [i for i, square in enumerate(squares) if square is not None]
        if seen:
            first = self._points_in([(frames[i], square) for i in seen if (square := squares[i]) is not None])
            points[seen] = self._points_in([(frames[i], _around(own)) for i, own in zip(seen, first, strict=True)])
        self._points.append(points)
        return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)

    def _face(self, rgb: Rgb) -> NDArray[np.float64] | None:
        """Middle and side (3,) of the square in which points are looked for first, the surest face's; None without one."""
        scale = LOOKED_AT_PX / max(rgb.shape[:2])
        grey = cv2.resize(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY), None, fx=scale, fy=scale,
                          interpolation=cv2.INTER_AREA)  # fmt: skip
        least = round(SMALLEST_SHARE * LOOKED_AT_PX)
        for cascade in self._cascades:
            found, _, sure = cascade.detectMultiScale3(
                grey, scaleFactor=1.1, minNeighbors=3, minSize=(least, least), outputRejectLevels=True
            )
            if len(found):
                x, y, side, _ = (float(value) / scale for value in found[int(np.argmax(sure))])
                return np.array([x + side / 2, y + side / 2 + DOWN * side, side])
        return None

    def _points_in(self, faces: Iterable[tuple[Rgb, NDArray[np.floating]]]) -> NDArray[np.float32]:
        """Points (n, 68, 2) in pixels of pictures in squares of them."""
        cut, corners, sides = [], [], []
        for rgb, (x, y, side) in faces:
            scale = FACE_PX / side
            matrix = np.array([[scale, 0, FACE_PX / 2 - 0.5 - x * scale], [0, scale, FACE_PX / 2 - 0.5 - y * scale]])
            cut.append(cv2.warpAffine(rgb, matrix, (FACE_PX, FACE_PX)))
            corners.append((x - side / 2, y - side / 2))
            sides.append(side)
        shares = self._network(torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).float()).numpy()
        return np.asarray(shares * np.array(sides)[:, None, None] + np.array(corners)[:, None], np.float32)

    def photo_score(self, index: int, rgb: Rgb) -> float:
        """Not known: the score looks at a face through the mesh."""
        return np.nan

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Landmarks (T, 78, 3) in pixels, irises NaN, and poses (T, 7) of all frames looked at; NaN rows without a face."""
        points = np.concatenate([np.zeros((0, N_POINTS, 2), np.float32), *self._points])
        landmarks = np.full((len(points), N_LANDMARKS, 3), np.nan, np.float32)
        landmarks[:, IBUG68], pose = with_depth(points)
        return landmarks, pose.as_array()

    def close(self) -> None:
        """Nothing to free: the network serves the next clip."""


def _around(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Middle and side (3,) of the square for a second look at points (68, 2)."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.array([*(low + high) / 2, MARGIN * (high - low).max()])


def with_depth(points: NDArray[np.floating]) -> tuple[NDArray[np.float32], PoseTrack]:
    """Points (T, 68, 2) with the depth of the template face, (T, 68, 3), in the pose that fits them, and that pose: found in
    turn, from a face that looks straight."""
    template = template_mesh()[MESH_TO_78[IBUG68]].astype(np.float32)
    span = np.ptp(points, axis=1)[:, 1] / np.ptp(template[:, 1]) if len(points) else np.zeros(0)
    deep = np.concatenate([points, span[:, None, None] * template[None, :, 2:]], axis=2).astype(np.float32)
    pose = estimate_pose_68(deep)
    for _ in range(POSE_ROUNDS):
        deep[..., 2] = posed(np.repeat(template[None], len(points), axis=0), pose)[..., 2]
        pose = estimate_pose_68(deep)
    return deep, pose


@lru_cache(maxsize=1)
def load(folder: Path) -> FaceApi:
    """The network, once per process, from the folder of both verified files.

    Raises:
        SpaceError: the bytes do not fit their list.
    """
    return FaceApi(read_arrays((folder / WEIGHTS_FILE).read_bytes(), json.loads((folder / LAYOUT_FILE).read_text())))


def read_arrays(data: bytes, layout: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.float32]]:
    """Arrays of TensorFlow.js: 8-bit ones by their own scale and least value, one after the other."""
    arrays: dict[str, NDArray[np.float32]] = {}
    start = 0
    for entry in (entry for group in layout for entry in group["weights"]):
        count, packed = int(np.prod(entry["shape"])), entry["quantization"]
        values = np.frombuffer(data, np.uint8, min(count, len(data) - start), start)
        if len(values) < count:
            raise SpaceError(f"face-api: {len(data)} bytes of weights end within {entry['name']} (another {WEIGHTS_FILE}?)")
        arrays[entry["name"]] = (values * np.float32(packed["scale"]) + np.float32(packed["min"])).reshape(entry["shape"])
        start += count
    return arrays
