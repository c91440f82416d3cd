"""One small picture per shot, picked while the frames stream by: neither the shot's end nor its length is known beforehand.

Candidates are kept at even steps from the shot's first frame; when there are too many, every second one goes and the step
doubles. So at most ``CAPACITY`` small pictures are in memory however long the shot is, the choice depends on nothing but the
frames, and the picked frame lies within 1/8 of the shot's length of the wished place.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError

Rgb = NDArray[np.uint8]

CAPACITY = 8
LOOK_SHARE = 0.4
"""Where in a shot the picture is taken: past a fade-in, before the end."""
LONGER_SIDE_PX = 256
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


@dataclass(frozen=True)
class Picked:
    """The picture of one shot: which frame it is, and the JPEG file."""

    frame: int
    jpeg: bytes


class ThumbnailPicker:
    """``feed`` every frame in turn, ``cut`` when a new shot is known to have begun, ``finish`` at the end."""

    def __init__(self) -> None:
        self._first, self._step = 0, 1
        self._candidates: list[tuple[int, Rgb]] = []
        self._latest: tuple[int, Rgb] | None = None
        self._picked: list[Picked] = []

    def feed(self, index: int, rgb: Rgb) -> None:
        """Look at frame ``index``, (H, W, 3)."""
        self._latest = index, rgb
        if (index - self._first) % self._step == 0:
            self._candidates.append((index, shrink(rgb)))
        if len(self._candidates) > CAPACITY:
            self._step *= 2
            self._candidates = [c for c in self._candidates if (c[0] - self._first) % self._step == 0]

    def cut(self, first: int) -> None:
        """A new shot began at frame ``first``, at or before the last one fed (cuts are found some frames late)."""
        assert self._latest is not None
        later = [c for c in self._candidates if c[0] >= first]
        self._candidates = [c for c in self._candidates if c[0] < first]
        self._pick(first)
        self._first, self._step = first, 1
        self._candidates = later or [(self._latest[0], shrink(self._latest[1]))]

    def finish(self) -> list[Picked]:
        """One picture per shot, in order; empty if there was no frame."""
        if self._latest is not None:
            self._pick(self._latest[0] + 1)
            self._latest = None
        return self._picked

    def _pick(self, end: int) -> None:
        """Choose among the candidates of the shot that ends before frame ``end``."""
        wished = self._first + LOOK_SHARE * (end - 1 - self._first)
        index, rgb = min(self._candidates, key=lambda c: (abs(c[0] - wished), c[0]))
        self._picked.append(Picked(index, jpeg(rgb)))
