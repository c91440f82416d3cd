"""The whole picture: animated crops go back into the photo that they were cut from, at the photo's own resolution.

What is pasted is the *change*: pixel by pixel the difference between the frame and the crop at rest, where the renderer has as
many pixels as the photo (`warp` up to 1024 a side, beyond which the photo is reduced when it is loaded). What does not move is
hence the photo, bit for bit, inside the box as outside: there is no seam to hide. A renderer with fewer pixels would leave the
photo's fine lines standing still over a moving face; its frames replace the box instead, enlarged, and blend in at its edge.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from space_data.crop import CROP_SIZE_PX
from space_data.params import Params
from space_models.generators import Frame, Renderer, RendererEntry
from space_models.portrait import SOURCE_MAX_PX, Portrait

EDGE_FADE = 0.03
"""Of the box's side, over which the change fades in from those of its edges that lie within the picture."""
LARGEST_SIDE_PX, MOST_MACROBLOCKS = 4096, 36_864
"""Of the video: H.264's level 5.1 (ITU-T H.264, table A-1), which phones and browsers decode; 16x16 pixels to a macroblock."""


def renderer_for(
    entry: RendererEntry, portrait: Portrait, models: Path, params: Params, side_px: int = SOURCE_MAX_PX
) -> Renderer[Any]:
    """The renderer with 512 to `side_px` pixels a side, if it can: no more than the photo has where the crop was cut."""
    if entry.load_at is None:
        return entry.load(models, params)
    return entry.load_at(models, params, max(min(portrait.box.side, side_px), CROP_SIZE_PX))


@dataclass(frozen=True)
class _Place:
    """Where the crop lies: `rows` and `columns` of the picture, the same in the box, and there the crop at rest `base` (h, w, 3)
    and how much of a change is shown, `weight` (h, 3 w) in 256ths."""

    rows: slice
    columns: slice
    box_rows: slice
    box_columns: slice
    base: NDArray[np.uint8]
    weight: NDArray[np.int16]


def pasted(frames: Iterable[Frame], portrait: Portrait) -> Iterator[Frame]:
    """Whole pictures, head up, of even sides, for the crop's `frames` (size, size, 3), lazily; each is an array of its own.

    As large as `portrait.picture` without an odd last row or column, or reduced to what H.264's level 5.1 allows.
    """
    picture, side = portrait.picture, portrait.box.side
    width, height = video_size(picture.shape[1], picture.shape[0])
    is_reduced = max(picture.shape[0] - height, picture.shape[1] - width) > 1
    place: _Place | None = None
    for frame in frames:
        place = place or _place(portrait, len(frame))
        fitted = _resized(frame, side)[place.box_rows, place.box_columns]
        whole = picture.copy()
        part = np.ascontiguousarray(whole[place.rows, place.columns])
        _add_change(part, np.ascontiguousarray(fitted), place.base, place.weight)
        whole[place.rows, place.columns] = part
        if is_reduced:
            yield np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        else:
            yield whole[:height, :width]


def video_size(width: int, height: int) -> tuple[int, int]:
    """Width and height, even, of the video of a picture of these; smaller, in the same proportion, where H.264 needs it."""
    area = MOST_MACROBLOCKS * 16**2
    factor = min(1.0, LARGEST_SIDE_PX / max(width, height), (area / (width * height)) ** 0.5)
    while True:
        w, h = (max(2, int(side * factor) // 2 * 2) for side in (width, height))
        if -(-w // 16) * -(-h // 16) <= MOST_MACROBLOCKS:
            return w, h
        factor *= 0.999  # macroblocks that are only partly picture


def _place(portrait: Portrait, size_px: int) -> _Place:
    """Where and how frames of `size_px` a side are pasted."""
    box, (height, width) = portrait.box, portrait.picture.shape[:2]
    rows, columns = slice(max(box.y0, 0), min(box.y0 + box.side, height)), slice(max(box.x0, 0), min(box.x0 + box.side, width))
    box_rows, box_columns = slice(rows.start - box.y0, rows.stop - box.y0), slice(columns.start - box.x0, columns.stop - box.x0)
    photo = portrait.picture[rows, columns]
    rest = _resized(portrait.at_size(size_px).rgb, box.side)[box_rows, box_columns] if size_px >= box.side else photo
    weight = np.outer(_fade_in(box.y0, box.side, height)[box_rows], _fade_in(box.x0, box.side, width)[box_columns])
    in_256ths = np.repeat(np.round(256 * weight).astype(np.int16), 3, axis=1)
    return _Place(rows, columns, box_rows, box_columns, np.ascontiguousarray(rest), in_256ths)


def _fade_in(start: int, side: int, extent: int) -> NDArray[np.float64]:
    """Weight (side,) along one axis of the box: 0 to 1 from an edge inside the picture, 1 at the picture's own edges."""
    inside = np.arange(side) + 0.5
    first = inside if start > 0 else np.full(side, np.inf)
    last = inside[::-1] if start + side < extent else np.full(side, np.inf)
    return np.clip(np.minimum(first, last) / (EDGE_FADE * side), 0.0, 1.0)


def _resized(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    if len(rgb) == side:
        return rgb
    method = cv2.INTER_AREA if len(rgb) > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (side, side), interpolation=method), np.uint8)


@njit(cache=True, nogil=True)
def _add_change(
    part: NDArray[np.uint8], frame: NDArray[np.uint8], base: NDArray[np.uint8], weight: NDArray[np.int16]
) -> None:
    """Add to `part` (h, w, 3), in place, `weight` (h, 3 w) 256ths of what `frame` differs from `base`; all contiguous."""
    shown, drawn, rest = part.reshape(weight.shape), frame.reshape(weight.shape), base.reshape(weight.shape)
    black, white = np.int32(0), np.int32(255)
    for row in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            change = (np.int32(drawn[row, i]) - np.int32(rest[row, i])) * np.int32(weight[row, i])
            shown[row, i] = np.uint8(min(max(np.int32(shown[row, i]) + ((change + 128) >> 8), black), white))
