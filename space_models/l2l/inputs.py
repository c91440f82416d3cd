"""What L2L sees of a face: changes against the portrait's, linear ones and a few that a linear map of points cannot make."""

import numpy as np
from numpy.typing import NDArray

from space_data.landmarks import N_LANDMARKS, PoseTrack, eye_aspect_ratio, lip_gap, posed
from space_data.speech import MEL_BANDS
from space_data.timebase import FEATURES_PER_FRAME

Array = NDArray[np.float32]

POINTS = N_LANDMARKS * 3
OPEN_GAP_IOD = 0.05
"""From here on the lips show teeth and dark: openings beyond it are an input of their own."""
CLOSING_SHARE = 0.7
"""Of the portrait's eye opening, below which an eye is closing."""
GEOMETRY = POINTS + 6
"""Width of `geometry`."""
SOUND = FEATURES_PER_FRAME * MEL_BANDS
"""Width of the speech features of a frame: mean-normalised log-mel."""


def geometry(landmarks: Array, portrait: Array) -> Array:
    """Changes against a portrait, zero where a face is the portrait's: (T, 240).

    Args:
        landmarks: (T, 78, 3) in IOD, normalised, or posed over the portrait's scale (`in_crop`).
        portrait: (78, 3) likewise.

    Returns:
        The points' displacements, the openings of both eyes, how far they are beyond closing, the lip gap, and how far that is
        beyond showing teeth. The openings are there because ridge on points alone found 5 of 14 blinks.
    """
    opening, own_opening = eye_aspect_ratio(landmarks), eye_aspect_ratio(portrait)
    gap, own_gap = lip_gap(landmarks), lip_gap(portrait)
    closing = np.maximum(CLOSING_SHARE * own_opening - opening, 0)
    wide = np.maximum(gap - OPEN_GAP_IOD, 0) - np.maximum(own_gap - OPEN_GAP_IOD, 0)
    moved = (landmarks - portrait).reshape(len(landmarks), -1)
    parts = [moved, opening - own_opening, closing, (gap - own_gap)[:, None], wide[:, None]]
    return np.concatenate(parts, 1).astype(np.float32)


def in_crop(normalised: Array, pose: PoseTrack, portrait_scale: float) -> Array:
    """Landmarks (T, 78, 3) with the head's pose left in, in units of the portrait's IOD: the ablation without normalisation."""
    return (posed(normalised, pose) / portrait_scale).astype(np.float32)
