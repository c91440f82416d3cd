"""Small pictures for people who look at decisions; ``measure`` keeps some per clip, so that no video is opened to show one."""

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError

Rgb = NDArray[np.uint8]

LONGER_SIDE_PX = 200
JPEG_QUALITY = 85


def shrink(rgb: Rgb, longer_side_px: int = LONGER_SIDE_PX) -> Rgb:
    """``rgb`` (H, W, 3) in its own aspect, at most ``longer_side_px`` long; always a copy.

    Bilinear to twice the size, then averaged: a tenth of the cost of averaging a large frame, and no visible aliasing.
    """
    height, width = rgb.shape[:2]
    scale = longer_side_px / max(height, width)
    if scale >= 1:
        return rgb.copy()
    if scale < 0.5:
        rgb = np.asarray(cv2.resize(rgb, _size(width, height, 2 * scale), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.resize(rgb, _size(width, height, scale), interpolation=cv2.INTER_AREA), np.uint8)


def _size(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))


def jpeg(rgb: Rgb) -> bytes:
    """``rgb`` (h, w, 3) as a JPEG file."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise SpaceError(f"thumbnail of a {rgb.shape[1]}x{rgb.shape[0]} picture: JPEG encoding failed")
    return data.tobytes()


def thumbnail(rgb: Rgb) -> bytes:
    """``rgb`` (H, W, 3) as a small JPEG file."""
    return jpeg(shrink(rgb))
