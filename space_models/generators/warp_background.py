"""What stands beside the head in the generators `warp` and `compact`, so that it stays where it is when the head moves.

Both bend what lies between a moving head and the still rest of the photo: a bar beside the ear would swing. So the person
alone moves, in front of a background that was made once, without the person (`warp_plate`).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from space_data.crop import CROP_SIZE_PX
from space_models.generators.warp_mesh import below_chin
from space_models.generators.warp_plate import without_person

PERSON = (0.02, 0.5)
"""Of the segmentation, from background to person. It is coarse: from lower values on more hair moves, and more wall with it."""
ERASED_PX = 4.0
"""How far around the person the photo may show hairs that the segmentation misses; of a picture of 512 pixels a side. Less leaves
them behind, from 7 on one sees what was filled in."""
CLOTHES_PX, CLOTHES_SOFT_PX = 2.0, 1.0
"""The same below the chin, where everything moves little: what the segmentation half misses is left to the mesh."""
BELOW_CHIN = (-0.3, -0.15)  # face heights over which that sets in: where a collar or a shoulder may begin
MOVED_PX = (0.1, 1.0)
"""Displacements over which the background comes in: what rests is the photo."""


@dataclass(frozen=True)
class Background:
    """`plate` (S, S, 3), the photo without the person; `person` (S, S), how much of a pixel of the photo moves with the head."""

    plate: NDArray[np.uint8]
    person: NDArray[np.float32]


def background_of(photo: NDArray[np.uint8], matte: NDArray[np.floating], mesh_px: NDArray[np.floating]) -> Background:
    """Of a photo (S, S, 3) with a segmentation (S, S) and a face mesh (478, 3), pixels; a photo that is all person is left as it
    is moved."""
    factor = len(photo) / CROP_SIZE_PX
    low, high = PERSON
    person = np.clip((np.asarray(matte, np.float32) - low) / (high - low), 0, 1)
    near = cv2.GaussianBlur(_grown(matte > low / 2, CLOTHES_PX * factor).astype(np.float32), (0, 0), CLOTHES_SOFT_PX * factor)
    person = np.maximum(person, near * below_chin(mesh_px, len(photo), BELOW_CHIN)).astype(np.float32)
    plate = without_person(photo, _grown(person > 0.02, ERASED_PX * factor))
    if plate is None:
        return Background(photo, np.ones_like(person))
    return Background(plate, person)


def _grown(mask: NDArray[np.bool_], by_px: float) -> NDArray[np.bool_]:
    sides = 2 * (2 * round(by_px) + 1,)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones(sides, np.uint8)) > 0)


@njit(cache=True, nogil=True, fastmath=True)
def hold_still(
    frame: NDArray[np.uint8], plate: NDArray[np.uint8], person: NDArray[np.float32], map_xy: NDArray[np.float32]
) -> None:
    """Show ``plate`` (H, W, 3) in ``frame``, in place, where something else than the ``person`` (H, W) has been moved to.

    Args:
        map_xy: where in the photo each pixel comes from, (H, W, 2), in edge convention; where the background shows it is made
            to say that nothing moved.
    """
    height, width = person.shape
    low, high, half, one = np.float32(MOVED_PX[0]), np.float32(MOVED_PX[1]), np.float32(0.5), np.float32(1)
    for row in range(height):
        for column in range(width):
            x, y = map_xy[row, column, 0] - half, map_xy[row, column, 1] - half
            off_x, off_y = x - np.float32(column), y - np.float32(row)
            moved = max(abs(off_x), abs(off_y))
            if moved <= low:
                continue
            x, y = min(max(x, np.float32(0)), np.float32(width - 1)), min(max(y, np.float32(0)), np.float32(height - 1))
            left, top = min(int(x), width - 2), min(int(y), height - 2)
            u, v = x - np.float32(left), y - np.float32(top)
            upper = person[top, left] + u * (person[top, left + 1] - person[top, left])
            lower = person[top + 1, left] + u * (person[top + 1, left + 1] - person[top + 1, left])
            shown = min((moved - low) / (high - low), one) * (one - upper - v * (lower - upper))
            if shown <= 0:
                continue
            for channel in range(3):
                drawn = np.float32(frame[row, column, channel])
                frame[row, column, channel] = np.uint8(drawn + shown * (np.float32(plate[row, column, channel]) - drawn) + half)
            map_xy[row, column, 0] -= shown * off_x
            map_xy[row, column, 1] -= shown * off_y
