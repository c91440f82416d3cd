"""Moving one person's motion onto another person's portrait, in the normalised space.

Motion is transferred *relative* to the driver's neutral face: absolute landmarks follow speech equally well but impose the
driver's chin and jaw, and the portrait becomes somebody else. Two corrections make it work on real portraits: a photo with an
open smile has that opening subtracted (else the mouth never closes), and blinks transfer as a ratio of the opening (tracked
lids never reach zero in a real blink, 0.29 of open, so added displacements leave the eyes half open).
"""

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import (
    BROWS,
    EYE_LEFT,
    EYE_RIGHT,
    EYES,
    IRISES,
    LID_PAIRS,
    MOUTH,
    N_LANDMARKS,
    NOSE,
    eye_aspect_ratio,
    gaze,
    lip_gap,
    lip_width,
    similarity,
)

SHAPE_POINTS = np.concatenate([BROWS, NOSE, EYES, MOUTH])  # on which the size of two faces is compared
NEUTRAL_GAP_PERCENTILE = 30.0
NEUTRAL_EYE_PERCENTILE = 40.0

# Closing a smile: how far each point goes, in units of the photo's surplus gap (down +), by landmark.
CLOSING = {
    **dict.fromkeys((65, 66, 67), -0.7),  # lower inner lip up
    **dict.fromkeys((61, 62, 63), 0.3),  # upper inner lip down
    **{55: -0.55, 56: -0.65, 57: -0.65, 58: -0.65, 59: -0.55},  # lower outer lip
    **{49: 0.1, 50: 0.15, 51: 0.25, 52: 0.15, 53: 0.1},  # upper outer lip
    **{5: -0.1, 6: -0.25, 7: -0.4, 8: -0.45, 9: -0.4, 10: -0.25, 11: -0.1},  # chin
}
_CLOSING = np.zeros((N_LANDMARKS, 3), np.float32)
_CLOSING[list(CLOSING), 1] = list(CLOSING.values())
REST_GAP_IOD, REST_WIDTH_IOD = 0.01, 0.58
"""Mouth of a resting face, to which a portrait's open mouth is brought before it speaks."""
CORNERS_IN = 0.6  # of the surplus half width of the mouth
CORNER_POINTS_LEFT = {48: 1.0, 60: 1.0, 49: 0.5, 59: 0.5, 61: 0.3, 67: 0.3}
CORNER_POINTS_RIGHT = {54: 1.0, 64: 1.0, 53: 0.5, 55: 0.5, 63: 0.3, 65: 0.3}

BLINK_LINEAR_ABOVE = 0.85  # of the neutral opening
BLINK_SHUT_BELOW = 0.30  # opening at which tracked lids are shut in truth
WIDEST_EYES = 1.35  # of the photo's opening

TRANSLATION_SHARE = 0.35  # of the driver's head travel: a portrait has nothing to show where the head leaves
HEAD_PIVOT = np.array([0.0, 0.35, 0.75])
"""Middle of the head at ear depth, normalised coordinates: the point a turning head turns about."""


def neutral_of(track: NDArray[np.floating]) -> NDArray[np.float32]:
    """The driver's resting face (78, 3) from a normalised track (T, 78, 3): median of frames with closed lips and open eyes."""
    seen = np.asarray(track)[np.isfinite(track).all(axis=(1, 2))]
    if len(seen) == 0:
        raise SpaceError(f"driver: no face in any of {len(track)} frames, need at least one")
    gaps, eyes = lip_gap(seen), eye_aspect_ratio(seen).mean(axis=1)
    resting = (gaps <= np.percentile(gaps, NEUTRAL_GAP_PERCENTILE)) & (eyes >= np.percentile(eyes, NEUTRAL_EYE_PERCENTILE))
    return np.median(seen[resting] if resting.any() else seen, axis=0).astype(np.float32)


def close_smile(face: NDArray[np.floating], neutral_gap: float, neutral_width: float) -> NDArray[np.float32]:
    """The portrait's face (78, 3) with its mouth brought to a neutral gap and part of the way to a neutral width (IOD)."""
    relaxed = np.array(face, np.float64)
    surplus = float(lip_gap(relaxed)) - neutral_gap
    if surplus <= 0:
        return relaxed.astype(np.float32)
    for point, share in CLOSING.items():
        relaxed[point, 1] += share * surplus
    inwards = CORNERS_IN * max(float(lip_width(face)) - neutral_width, 0.0) / 2
    for points, sign in ((CORNER_POINTS_LEFT, 1.0), (CORNER_POINTS_RIGHT, -1.0)):
        for point, share in points.items():
            relaxed[point, 0] += sign * share * inwards
    return relaxed.astype(np.float32)


def with_lip_gap(faces: NDArray[np.floating], gap: NDArray[np.floating]) -> NDArray[np.float32]:
    """Normalised landmarks (T, 78, 3) with lips and chin moved to a lip gap (T,), IOD."""
    surplus = (lip_gap(faces) - gap).astype(np.float32)
    return (faces + surplus[:, None, None] * _CLOSING).astype(np.float32)


def relaxed(face: NDArray[np.floating]) -> NDArray[np.float32]:
    """A portrait's normalised face (78, 3) with an open mouth brought to rest."""
    return close_smile(face, REST_GAP_IOD, REST_WIDTH_IOD)


def retarget(
    driver: NDArray[np.floating], driver_neutral: NDArray[np.floating], photo: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Normalised landmarks (T, 78, 3) of the face `photo` (78, 3) making the motion of `driver` (T, 78, 3; any person).

    Args:
        driver: normalised, as all of them.
        driver_neutral: the driver's resting face (78, 3), e.g. from `neutral_of`.
        photo: of the portrait.

    Raises:
        SpaceError: shapes other than these.
    """
    driver = np.asarray(driver, np.float64)
    neutral = np.asarray(driver_neutral, np.float64)
    if driver.ndim != 3 or driver.shape[1:] != (N_LANDMARKS, 3) or neutral.shape != (N_LANDMARKS, 3):
        raise SpaceError(
            f"retarget: driver {driver.shape} and neutral {neutral.shape}, need (frames, {N_LANDMARKS}, 3) and ({N_LANDMARKS}, 3)"
        )
    photo = np.asarray(photo, np.float64)
    scale, rotation, _ = similarity(neutral[SHAPE_POINTS], photo[None, SHAPE_POINTS])
    size, turn = float(scale[0]), rotation[0]
    displacement = size * (driver - neutral) @ turn.T
    start = close_smile(photo, size * float(lip_gap(neutral)), size * float(lip_width(neutral))).astype(np.float64)
    moved = start + displacement
    for upper, lower in LID_PAIRS:
        ratio = (driver[:, lower, 1] - driver[:, upper, 1]) / max(neutral[lower, 1] - neutral[upper, 1], 1e-6)
        moved[:, upper] = moved[:, lower] + (photo[upper] - photo[lower]) * _lid_ratio(ratio)[:, None]
    moved[:, IRISES] = photo[IRISES] + _iris_shift(driver, neutral, photo)[:, None]
    return moved.astype(np.float32)


def _lid_ratio(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Opening of the portrait's eye from the driver's, both relative to neutral: linear when open, stretched to a full blink."""
    stretched = (ratio - BLINK_SHUT_BELOW) / (BLINK_LINEAR_ABOVE - BLINK_SHUT_BELOW) * BLINK_LINEAR_ABOVE
    return np.clip(np.where(ratio > BLINK_LINEAR_ABOVE, ratio, stretched), 0.0, WIDEST_EYES)


def _iris_shift(driver: NDArray[np.float64], neutral: NDArray[np.float64], photo: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift (T, 3) of the portrait's irises: the driver's gaze change in eye widths, mean of both eyes, times the portrait's."""
    change = np.asarray(gaze(driver), np.float64) - np.asarray(gaze(neutral), np.float64)
    widths = [np.linalg.norm(photo[eye[3], :2] - photo[eye[0], :2]) for eye in (EYE_LEFT, EYE_RIGHT)]
    return np.column_stack([change * np.mean(widths), np.zeros(len(change))])
