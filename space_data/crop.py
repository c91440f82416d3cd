"""The crop rule: one fixed square around a face, shared by training video (`align`) and by portraits (`animate`).

A model sees faces only through this rule, so both sides must use it: the face takes the same share of the picture and sits at
the same height whether it comes from a clip or from a photo.

The rule (section 1 of the renderer study asks for >= 10 % of room above the hair):

* face height (forehead to chin of the mesh) = 0.42 of the side, face centre at 0.48 of the height: the hair then ends
  about 0.12 of the side below the upper edge;
* a moving head keeps a margin of 8 % of the side around everything it covers;
* rather than inventing pixels the square shrinks until the face takes 0.60 of it, then moves inside the frame as far as the
  face allows; only what is missing after that is padded.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError

CROP_SIZE_PX = 512
FACE_SHARE = 0.42  # face height / side of the crop
MAX_FACE_SHARE = 0.60  # up to here the square shrinks to stay inside the frame
FACE_CENTRE_Y = 0.48  # height of the face centre in the crop
MOTION_MARGIN = 0.08  # share of the side kept free on each side of everything the face covers
COVERED_PERCENTILES = (1.0, 99.0)  # of the face boxes of a track: one wild frame must not change the crop

Padding = Literal["edge", "soft"]


@dataclass(frozen=True)
class CropBox:
    """A square of the source picture: upper left corner (may lie outside the picture) and side, in source pixels."""

    x0: int
    y0: int
    side: int

    def apply(self, rgb: NDArray[np.uint8], size_px: int = CROP_SIZE_PX, padding: Padding = "edge") -> NDArray[np.uint8]:
        """Cut the square out of a picture (H, W, 3) and resize it to (size_px, size_px, 3).

        Missing pixels repeat the edge (`edge`) or mirror it, more and more blurred with distance (`soft`, for pictures people
        look at: mirrored objects stop being recognisable).
        """
        height, width = rgb.shape[:2]
        inside = rgb[max(self.y0, 0) : max(self.y0 + self.side, 0), max(self.x0, 0) : max(self.x0 + self.side, 0)]
        if inside.size == 0:
            raise SpaceError(f"crop {self}: lies outside the {width}x{height} px picture (are the points of another picture?)")
        missing = (
            max(-self.y0, 0),
            max(self.y0 + self.side - height, 0),
            max(-self.x0, 0),
            max(self.x0 + self.side - width, 0),
        )
        shrinks = self.side > size_px
        if any(missing):
            border = cv2.BORDER_REPLICATE if padding == "edge" else cv2.BORDER_REFLECT_101
            square = np.asarray(cv2.copyMakeBorder(inside, *missing, border), np.uint8)
            if padding == "soft":
                square = _blur_padding(square, missing)
        else:
            square = inside
        if self.side == size_px:
            return np.ascontiguousarray(square)
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(square, (size_px, size_px), interpolation=method), np.uint8)

    def transform(self, points_px: NDArray[np.floating], size_px: int = CROP_SIZE_PX) -> NDArray[np.float32]:
        """Source pixels (..., 2 or 3) to pixels of the crop resized to `size_px`; depth is scaled with the picture."""
        moved = np.array(points_px, np.float64)
        moved[..., 0] -= self.x0
        moved[..., 1] -= self.y0
        return (moved * (size_px / self.side)).astype(np.float32)

    def inverse(self, points_px: NDArray[np.floating], size_px: int = CROP_SIZE_PX) -> NDArray[np.float32]:
        """Pixels of the resized crop back to source pixels: the exact inverse of `transform`."""
        moved = np.array(points_px, np.float64) * (self.side / size_px)
        moved[..., 0] += self.x0
        moved[..., 1] += self.y0
        return moved.astype(np.float32)


def crop_box(points_px: NDArray[np.floating], frame_w: int, frame_h: int) -> CropBox:
    """The square for a whole segment, from its face meshes (T, N, 2 or 3) in pixels; frames without a face are NaN.

    One box per segment: a crop that follows the face would take the head motion out of the video and add jitter.
    Raises SpaceError when no frame has a face.
    """
    points = np.asarray(points_px, np.float64)
    if points.ndim != 3 or points.shape[-1] < 2:
        raise SpaceError(f"crop: points of shape {points.shape}, (frames, points, 2 or 3) needed")
    seen = points[np.isfinite(points[..., :2]).all(axis=(1, 2)), :, :2]
    if len(seen) == 0:
        raise SpaceError(f"crop: no face in any of {len(points)} frames, at least one needed")
    lows, highs = seen.min(axis=1), seen.max(axis=1)  # (T, 2) each
    face_px = float(np.median(highs[:, 1] - lows[:, 1]))
    first = np.percentile(lows, COVERED_PERCENTILES[0], axis=0)
    last = np.percentile(highs, COVERED_PERCENTILES[1], axis=0)
    covered_px = float((last - first).max())

    wanted = max(face_px / FACE_SHARE, covered_px / (1 - 2 * MOTION_MARGIN))
    smallest = max(face_px / MAX_FACE_SHARE, covered_px / (1 - 2 * MOTION_MARGIN))
    side = max(min(wanted, min(frame_w, frame_h)), smallest)
    side_px = max(int(round(side)), 2)

    centre = (np.median(lows, axis=0) + np.median(highs, axis=0)) / 2
    x0 = centre[0] - side_px / 2
    y0 = centre[1] - side_px * FACE_CENTRE_Y
    margin = side_px * MOTION_MARGIN
    corner = [
        _slide(start, side_px, extent, first[axis] - margin, last[axis] + margin)
        for axis, (start, extent) in enumerate(((x0, frame_w), (y0, frame_h)))
    ]
    return CropBox(x0=corner[0], y0=corner[1], side=side_px)


def _slide(start: float, side: int, extent: int, first: float, last: float) -> int:
    """Move an interval to cover [first, last], then inside the frame as far as it goes on covering that."""
    lowest, highest = last - side, first  # starts at which [first, last] is covered
    if lowest > highest:
        lowest = highest = (lowest + highest) / 2
    start = min(max(start, lowest), highest)
    inside = min(max(start, 0.0), max(extent - side, 0.0)) if side <= extent else (extent - side) / 2
    return int(round(min(max(inside, lowest), highest)))


def _blur_padding(square: NDArray[np.uint8], missing: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Blur the mirrored border of a square, from nothing at the true edge to full at a tenth of the side outside it."""
    side = square.shape[0]
    top, bottom, left, right = missing
    position = np.arange(side)
    outside_y = np.maximum(np.maximum(top - position, position - (side - 1 - bottom)), 0)
    outside_x = np.maximum(np.maximum(left - position, position - (side - 1 - right)), 0)
    distance = np.maximum(outside_y[:, None], outside_x[None, :])
    share = np.clip(distance / (0.1 * side), 0.0, 1.0)[..., None]
    sigma = side / 32
    blurred = cv2.GaussianBlur(square, (0, 0), sigma)
    light = cv2.GaussianBlur(square, (0, 0), sigma / 4)
    mixed = np.where(
        share < 0.5,
        square * (1 - 2 * share) + light * (2 * share),
        light * (2 - 2 * share) + blurred * (2 * share - 1),
    )
    return np.asarray(np.clip(np.rint(mixed), 0, 255), np.uint8)
