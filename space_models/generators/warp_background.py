"""What stands beside the head in the `warp` generator, so that it stays where it is when the head moves.

The mesh bends what lies between a moving head and the still rest of the photo: a curtain beside the ear swings. Where a pixel was
background and is background, the photo itself shows instead. Close to the person it still bends: what the head uncovers is not in
the photo, and bent texture looks better there than a filled-in smear (inpainting was tried: a soft halo that comes and goes).
"""

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from space_data.crop import CROP_SIZE_PX

PERSON_FROM = 0.01
"""Of the segmentation: hair and clothes that it half misses must not be torn from the person."""
GROWN_PX, SOFT_PX = 4.0, 3.0
"""How far around the person the mesh is left alone, and over how much it gives way; of a picture of 512 pixels a side. A wider
band (10 and 5) bends half as much background again; a narrower one leaves the finest hairs behind in the photo."""
MOVED_PX = (0.25, 2.0)
"""Displacements over which the photo comes in."""


def near_person(matte: NDArray[np.floating]) -> NDArray[np.float32]:
    """1 on and close to the person, 0 on the background, (H, W), from a segmentation (H, W)."""
    person = (np.asarray(matte) > PERSON_FROM).astype(np.uint8)
    factor = len(person) / CROP_SIZE_PX
    sides = 2 * (2 * round(GROWN_PX * factor) + 1,)
    grown = cv2.dilate(person, np.ones(sides, np.uint8)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grown, (0, 0), SOFT_PX * factor), np.float32)


@njit(cache=True, nogil=True, fastmath=True)
def hold_still(
    frame: NDArray[np.uint8], photo: NDArray[np.uint8], near: NDArray[np.float32], map_xy: NDArray[np.float32]
) -> None:
    """Show ``photo`` (H, W, 3) in ``frame``, in place, where background (``near_person``) has been moved over background.

    Args:
        map_xy: where in the photo each pixel comes from, (H, W, 2), in edge convention.
    """
    height, width = near.shape
    low, high, half = np.float32(MOVED_PX[0]), np.float32(MOVED_PX[1]), np.float32(0.5)
    for row in range(height):
        for column in range(width):
            here = near[row, column]
            if here >= 1:
                continue
            x, y = map_xy[row, column, 0], map_xy[row, column, 1]
            moved = max(abs(x - half - np.float32(column)), abs(y - half - np.float32(row)))
            if moved <= low:
                continue
            came_from = near[min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)]
            shown = min((moved - low) / (high - low), np.float32(1)) * (1 - max(here, came_from))
            for channel in range(3):
                drawn = np.float32(frame[row, column, channel])
                frame[row, column, channel] = np.uint8(drawn + shown * (np.float32(photo[row, column, channel]) - drawn) + half)
