"""What stands beside the head in the `warp` generator, so that it stays where it is when the head moves.

The mesh bends what lies between a moving head and the still rest of the photo: a curtain beside the ear swings. Where a pixel was
background and is background, the photo itself shows instead. Close to the person it still bends: what the head uncovers is not in
the photo, and bent texture looks better there than a filled-in smear (inpainting was tried: a soft halo that comes and goes).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

PERSON_FROM = 0.05
"""Of the segmentation: hair and clothes that it half misses must not be torn from the person."""
GROWN_PX, SOFT_PX = 21, 5.0
"""How far around the person the mesh is left alone, and over how much it gives way."""
MOVED_PX = (0.25, 2.0)
"""Displacements over which the photo comes in."""


def near_person(matte: NDArray[np.floating]) -> NDArray[np.float32]:
    """1 on and close to the person, 0 on the background, (H, W), from a segmentation (H, W)."""
    person = (np.asarray(matte) > PERSON_FROM).astype(np.uint8)
    grown = cv2.dilate(person, np.ones((GROWN_PX, GROWN_PX), np.uint8)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grown, (0, 0), SOFT_PX), np.float32)


def hold_still(
    frame: NDArray[np.uint8], photo: NDArray[np.uint8], near: NDArray[np.float32], map_xy: NDArray[np.float32]
) -> None:
    """Show ``photo`` (H, W, 3) in ``frame``, in place, where background (``near_person``) has been moved over background.

    Args:
        map_xy: where in the photo each pixel comes from, (H, W, 2), in edge convention.
    """
    rows, columns = np.indices(frame.shape[:2], np.float32)
    moved = np.maximum(np.abs(map_xy[..., 0] - 0.5 - columns), np.abs(map_xy[..., 1] - 0.5 - rows))
    came_from = cv2.remap(near, map_xy[..., 0] - 0.5, map_xy[..., 1] - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    low, high = MOVED_PX
    shown = np.clip((moved - low) / (high - low), 0, 1) * (1 - np.maximum(near, came_from))
    where = shown > 1 / 255
    mixed = frame[where] + shown[where, None] * (photo[where].astype(np.float32) - frame[where])
    frame[where] = (mixed + 0.5).astype(np.uint8)
