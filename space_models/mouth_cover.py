"""Whether something lies over the mouth of a portrait: a mask, a hand, a microphone. Two colours tell, without a model.

The mesh fits a mouth wherever one should be, so it cannot say. But lips are redder than the skin around them and close in a dark
line, and the lower face has the colour of the upper one. What that finds and what it misses is in `docs/portraits.md`.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.landmarks import INNER_LIP_PAIRS, mesh_to_landmarks

UPPER_FACE = (50, 280, 101, 330, 6, 197, 151, 9, 108, 337)
"""Mesh points on bare skin of the upper cheeks, nose bridge and forehead ..."""
LOWER_FACE = (152, 175, 199, 214, 434, 207, 427, 164, 165, 391, 201, 421)
"""... and of chin, lower cheeks and upper lip."""
OUTER_LIP, INNER_LIP = slice(48, 60), slice(60, 68)  # of the 78 landmarks
LEAST_CHROMA = 5.0  # of the upper face: a black-and-white picture has none, and nothing is said of it
LEAST_REDNESS = 0.8  # of the lips against the ring of skin around them, CIELAB a*
LEAST_LINE = 15.0  # darkness of the line between the lips against what is above and below it, CIELAB L*
LARGEST_CHANGE = 22.0  # of colour from upper to lower face, CIELAB (a*, b*)


def covered_mouth(rgb: NDArray[np.uint8], mesh: NDArray[np.float32]) -> str | None:
    """The evidence that the mouth is covered, in words, or None; of a crop (512, 512, 3) and its mesh (478, 3) in pixels.

    Blind to what has the colour of lips, to covers of the sides only and on black-and-white pictures.
    """
    half = cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    lab, mesh = np.asarray(cv2.cvtColor(half.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32), mesh / 2
    eyes_px = float(np.linalg.norm(mesh[33, :2] - mesh[263, :2]))
    upper, lower = (_colours(lab, mesh[list(group), :2], 0.05 * eyes_px)[:, 1:] for group in (UPPER_FACE, LOWER_FACE))
    skin = np.median(upper, axis=0)
    if np.linalg.norm(skin) < LEAST_CHROMA:
        return None
    change = float(np.median(np.linalg.norm(lower - skin, axis=1)))
    if change > LARGEST_CHANGE:
        return f"the lower face is {change:.0f} off the upper face's colour in CIELAB, bare faces stay below {LARGEST_CHANGE:.0f}"
    lips = mesh_to_landmarks(mesh[None])[0, :, :2]
    redness, line = _redness(lab, lips, eyes_px), _line(lab[..., 0], lips, eyes_px)
    if redness < LEAST_REDNESS and line < LEAST_LINE:
        return (
            f"no lips are seen where they should be ({redness:.1f} redder than the skin around, {line:.0f} darker between them)"
        )
    return None


def _colours(lab: NDArray[np.float32], points: NDArray[np.float32], radius_px: float) -> NDArray[np.float32]:
    """Median colour (n, 3) around each point (n, 2)."""
    r = max(int(radius_px), 1)
    inside = points.round().astype(int).clip(0, np.array(lab.shape[1::-1]) - 1)
    return np.array([np.median(lab[max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1], axis=(0, 1)) for x, y in inside])


def _redness(lab: NDArray[np.float32], lips: NDArray[np.float32], eyes_px: float) -> float:
    """How much redder the lips are than a ring around the mouth, CIELAB a*."""
    mouth = np.zeros(lab.shape[:2], np.uint8)
    cv2.fillPoly(mouth, [lips[OUTER_LIP].round().astype(np.int32)], (1,))
    near, far = (np.asarray(cv2.dilate(mouth, np.ones((int(share * eyes_px) | 1,) * 2, np.uint8))) for share in (0.06, 0.20))
    cv2.fillPoly(mouth, [lips[INNER_LIP].round().astype(np.int32)], (0,))
    if not mouth.any():
        return 0.0
    return float(np.median(lab[mouth > 0, 1]) - np.median(lab[far > near, 1]))


def _line(lightness: NDArray[np.float32], lips: NDArray[np.float32], eyes_px: float) -> float:
    """How dark it gets between the lips against the skin above and below, CIELAB L*."""
    reach = int(0.3 * eyes_px)
    depths = []
    for above, below in INNER_LIP_PAIRS:
        x, y = ((lips[above] + lips[below]) / 2).astype(int).clip(1, np.array(lightness.shape[::-1]) - 2)
        top = max(y - reach, 0)
        column = lightness[top : y + reach + 1, x - 1 : x + 2].mean(axis=1)
        gap = int(abs(lips[above, 1] - lips[below, 1]) / 2 + 0.05 * eyes_px)
        depths.append(np.median(column) - column[max(y - gap - top, 0) : y + gap + 1 - top].min())
    return float(np.median(depths))
