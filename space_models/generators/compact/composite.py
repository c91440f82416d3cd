"""The full-size picture: the photo itself moved as the canvas says, painted over only where the canvas says that it must be.

The network works on 128 px; what it hands over is a *displacement* (smooth, so that little is lost) and, at mouth and eyes,
paint. Stillness is exact: a displacement of zero leaves the photo's pixels as they are, however much the head's canvas has moved.
What the field would bend beside the head is shown from a background made once without the person.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from space_models.generators.compact.canvas import CENTRE, detail, straightened
from space_models.generators.warp_background import Background, hold_still

COARSE_STEP_PX = 4
"""The displacement is looked up at every so many pixels of the picture: half the step of its own grid at the eyes."""
SHOW_FROM, SHOW_TO = 0.15, 0.75
"""Shares of the photo below which only paint is shown and above which only the photo: half-painted skin looks soft."""
LEAST_PAINT = 1 / 255
SMOOTHING_CELLS = 1.0
"""S.d. of the displacement's smoothing away from mouth and eyes: where the portrait is itself turned, the shifts of brow, jaw and
head differ by up to .2 IOD, and what lies between them is torn, at the temple above all."""
TURNED_DEG = (5.0, 10.0)
"""Yaw of the portrait from which this begins, and from which it is whole: it costs one that looks ahead .15 dB."""
FULL_DETAIL = 2 / 3
"""From this `detail` on nothing is smoothed."""
_ONE_MAP = np.empty(0, np.float32)  # for `cv2.remap`: x and y are interleaved in the other


@dataclass(frozen=True)
class CanvasFrame:
    """One drawn frame on the canvas: `displacement` (2, F, F) IOD of the source's head's plane, `painted` (S, S, 3) and `shown`
    (S, S) in [0, 1], the poses (7,) of source and frame, in pixels of the full-size picture."""

    displacement: NDArray[np.float32]
    painted: NDArray[np.float32]
    shown: NDArray[np.float32]
    source_pose: NDArray[np.float32]
    pose: NDArray[np.float32]


def composite(photo: NDArray[np.uint8], frame: CanvasFrame, background: Background | None = None) -> NDArray[np.uint8]:
    """Draw `frame` with the photo (H, H, 3), before its `background` where there is one: (H, H, 3)."""
    side = photo.shape[0]
    steps = np.arange(0, side + COARSE_STEP_PX, COARSE_STEP_PX, dtype=np.float32)
    u = _canvas_of_pixels(steps, frame.pose)  # (n, n, 2)
    moved_px = _in_plane(frame.source_pose) @ frame.displacement.reshape(2, -1)
    flow = moved_px.reshape(2, *frame.displacement.shape[1:]).transpose(1, 2, 0).astype(np.float32)
    coarse = _look_up(without_tears(flow, abs(float(frame.source_pose[0]))), u)
    map_xy = _enlarge(coarse, side)
    line = np.arange(side, dtype=np.float32)
    map_xy[..., 0] += line[None, :]
    map_xy[..., 1] += line[:, None]
    moved = cv2.remap(photo, map_xy, _ONE_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    warped = np.asarray(moved, np.uint8)
    if background is not None:
        map_xy += 0.5  # pixels' edges at whole numbers
        hold_still(warped, background.plate, background.person, map_xy)
    share = np.clip((frame.shown - SHOW_FROM) / (SHOW_TO - SHOW_FROM), 0, 1)
    paint_share = 1 - share * share * (3 - 2 * share)
    covered = _look_up(np.ascontiguousarray(paint_share, np.float32), u) > LEAST_PAINT
    if not covered.any():
        return warped
    rows, columns = (_span(covered.any(axis), side) for axis in (1, 0))
    inside = _enlarge(u, side)[rows, columns]
    paint = _look_up(np.dstack([frame.painted, paint_share]).astype(np.float32), inside, cv2.INTER_CUBIC)
    alpha = np.clip(paint[..., 3:], 0, 1)
    area = warped[rows, columns].astype(np.float32)
    warped[rows, columns] = np.clip(area + alpha * (255 * paint[..., :3] - area) + 0.5, 0, 255).astype(np.uint8)
    return warped


def without_tears(flow: NDArray[np.float32], turned_deg: float) -> NDArray[np.float32]:
    """A displacement (F, F, 2) of a portrait that is turned by so much, smoothed away from mouth and eyes."""
    share = float(np.interp(turned_deg, TURNED_DEG, (0, 1)))
    smooth = cv2.GaussianBlur(flow, (0, 0), SMOOTHING_CELLS)
    return np.asarray(flow + share * _smoothed_share(len(flow)) * (smooth - flow), np.float32)


@cache
def _smoothed_share(side: int) -> NDArray[np.float32]:
    """0 at mouth and eyes, 1 away from them: (side, side, 1)."""
    spots = cv2.resize(detail()[0, 0].numpy(), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(np.maximum(1 - spots / FULL_DETAIL, 0), np.float32)[..., None]


def _in_plane(pose: NDArray[np.float32]) -> NDArray[np.float64]:
    roll, scale = np.deg2rad(float(pose[2])), float(pose[3])
    return scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])


def _canvas_of_pixels(steps: NDArray[np.float32], pose: NDArray[np.float32]) -> NDArray[np.float32]:
    """Canvas coordinates (n, n, 2) of the points of a square grid of pixel edges."""
    x, y = np.meshgrid(steps, steps)
    back = np.linalg.inv(_in_plane(pose))
    px = np.stack([x - pose[4], y - pose[5]], -1).astype(np.float64)
    centred = px @ back.T - np.array(CENTRE)
    return np.asarray(np.sign(centred) * straightened(np.abs(centred), np.minimum), np.float32)


def _look_up(maps: NDArray[np.float32], u: NDArray[np.float32], method: int = cv2.INTER_LINEAR) -> NDArray[np.float32]:
    """Values of canvas maps (S, S[, C]) at canvas coordinates (..., 2); the edge is repeated."""
    at = (u + 1) * (maps.shape[0] / 2) - 0.5
    return np.asarray(cv2.remap(maps, at[..., 0], at[..., 1], method, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _enlarge(coarse: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Values at every pixel's centre from those on the grid of `COARSE_STEP_PX`: (side, side, C)."""
    at = ((np.arange(side, dtype=np.float32) + 0.5) / COARSE_STEP_PX)[None, :].repeat(side, 0)
    return np.asarray(cv2.remap(coarse, at, np.ascontiguousarray(at.T), cv2.INTER_LINEAR), np.float32)


def _span(covered: NDArray[np.bool_], side: int) -> slice:
    """The pixels of one axis between the first and the last grid step that is covered."""
    steps = np.flatnonzero(covered)
    return slice(max(0, (int(steps[0]) - 1) * COARSE_STEP_PX), min(side, (int(steps[-1]) + 1) * COARSE_STEP_PX))
