"""Other views of rendered frames: another size, a mark that they are generated, and photo, landmarks and result side by side."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data import landmarks as lm
from space_models.generators import Driving, Frame
from space_models.portrait import Portrait

OPEN_LINES = (lm.JAW, lm.BROW_LEFT, lm.BROW_RIGHT, lm.NOSE[:4], lm.NOSE[4:])
CLOSED_LINES = (lm.EYE_LEFT, lm.EYE_RIGHT, lm.MOUTH_OUTER, lm.MOUTH_INNER, lm.IRIS_LEFT[1:], lm.IRIS_RIGHT[1:])
PAPER, INK, ACCENT = (250, 250, 250), (70, 90, 140), (194, 68, 124)
SUBPIXEL_BITS = 4
WATERMARK = "AI-generated"
WATERMARK_HEIGHT, WATERMARK_MARGIN, WATERMARK_OPACITY = 1 / 32, 1 / 48, 0.75
"""Of its letters and around them, in sides of the frame; and of the plate that they stand on."""


def resized(frames: Iterable[Frame], side_px: int) -> Iterator[Frame]:
    """The frames with ``side_px`` a side."""
    for frame in frames:
        if len(frame) == side_px:
            yield frame
        else:
            method = cv2.INTER_AREA if side_px < len(frame) else cv2.INTER_LANCZOS4
            yield np.asarray(cv2.resize(frame, (side_px, side_px), interpolation=method), np.uint8)


def watermarked(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The frames, all of one size, with ``WATERMARK`` in the lower right corner: light letters on a dark plate."""
    plate: Frame | None = None
    for frame in frames:
        if plate is None:
            plate = _watermark(min(frame.shape[:2]))
        rows, columns = plate.shape[:2]
        marked = frame.copy()
        corner = marked[-rows:, -columns:]
        cv2.addWeighted(plate, WATERMARK_OPACITY, corner, 1 - WATERMARK_OPACITY, 0, dst=corner)
        yield marked


def _watermark(side_px: int) -> Frame:
    """The plate for frames whose shorter side is so long."""
    letters_px, margin_px = max(6, round(side_px * WATERMARK_HEIGHT)), max(3, round(side_px * WATERMARK_MARGIN))
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_DUPLEX, letters_px)
    (width, height), below = cv2.getTextSize(WATERMARK, cv2.FONT_HERSHEY_DUPLEX, scale, 1)
    plate = np.zeros((height + below + margin_px, width + 2 * margin_px, 3), np.uint8)
    at = margin_px, height + margin_px // 2
    cv2.putText(plate, WATERMARK, at, cv2.FONT_HERSHEY_DUPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return plate


def side_by_side(portrait: Portrait, driving: Driving, frames: Iterable[Frame]) -> Iterator[Frame]:
    """Photo, landmarks and result, (S, 3 S, 3) for frames of side S."""
    photo: Frame | None = None
    for points, frame in zip(driving.posed, frames, strict=True):
        side = len(frame)
        if photo is None:
            photo = next(resized([portrait.rgb], side))
        yield np.hstack([photo, sketch(points * (side / len(portrait.rgb)), side), frame])


def sketch(points: NDArray[np.floating], side_px: int, onto: Frame | None = None) -> Frame:
    """Landmarks (78, 2+) in pixels as lines on paper, or over a picture; mouth and irises stand out."""
    canvas = np.full((side_px, side_px, 3), PAPER, np.uint8) if onto is None else onto.copy()
    fixed = np.rint(np.asarray(points)[:, :2] * 2**SUBPIXEL_BITS).astype(np.int32)
    width = max(1, round(side_px / 256))
    for lines, is_closed in ((OPEN_LINES, False), (CLOSED_LINES, True)):
        for line in lines:
            colour = ACCENT if line[0] >= lm.MOUTH[0] else INK
            cv2.polylines(canvas, [fixed[line]], is_closed, colour, width, cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas
