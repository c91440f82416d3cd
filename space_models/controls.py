"""The controls of `animate`: emotion mixtures, blinks, gaze. All of them edit normalised landmarks (T, 78, 3).

SPACE edits landmarks between its stages (paper, section 3; project page: pose, blinks, gaze). Rates follow the one product that
descends from it: about 15 blinks a minute, glances away every few seconds.
"""

import numpy as np
from numpy.typing import NDArray

from space_data import landmarks as lm
from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, UNKNOWN, emotion_vector
from space_data.timebase import VIDEO_FPS

Points = NDArray[np.float32]

BLINK_CLOSURE = (0.35, 0.85, 1.0, 0.95, 0.7, 0.35, 0.1)
"""Share by which the lids are closed in the frames of a blink: down fast, up slowly."""
LOWER_LID_SHARE = 0.12
"""Part of the way that the lower lid comes up."""
SHORTEST_BLINK_GAP_S = 0.6
FIXATION_S = (0.5, 2.2)
"""Shortest and longest time that the eyes rest on one spot."""
GLANCE = (0.07, 0.03)
"""Spread of glances away from the camera, horizontal and vertical, eye widths."""


def parse_emotion(text: str) -> NDArray[np.float32]:
    """Mixture vector (9,) of a text like ``happy:0.8`` or ``happy:0.6+surprised:0.3``; a label alone means intensity 1.

    ``unknown``, by itself, is all NaN: the null condition, as which a model learnt its unlabelled clips.

    Raises:
        SpaceError: unknown label, an intensity that is no number in [0, 1], or a label given twice.
    """
    if text.strip().lower() == UNKNOWN:
        return emotion_vector(UNKNOWN, 0.0)
    vector = np.zeros(len(EMOTIONS), np.float32)
    seen: set[str] = set()
    for part in text.split("+"):
        label, colon, number = part.strip().lower().partition(":")
        if label not in EMOTIONS:
            raise SpaceError(f"emotion {label!r}: not a label, need one of {', '.join(EMOTIONS)} (or {UNKNOWN}, by itself)")
        if label in seen:
            raise SpaceError(f"emotion {text!r}: {label} stands twice")
        try:
            intensity = float(number) if colon else 1.0
        except ValueError:
            raise SpaceError(f"emotion {part.strip()!r}: intensity {number!r} is not a number (need label:0..1)") from None
        if not 0.0 <= intensity <= 1.0:
            raise SpaceError(f"emotion {label}: intensity {intensity:g}, need 0 to 1")
        seen.add(label)
        vector[EMOTIONS.index(label)] = intensity
    return vector


def blink_track(n_frames: int, rng: np.random.Generator, blinks_per_min: float) -> NDArray[np.float32]:
    """Lid closure per frame in [0, 1], (n_frames,): blinks at exponential intervals, none in the first half second."""
    closure = np.zeros(n_frames, np.float32)
    if blinks_per_min <= 0:
        return closure
    mean_gap = max(60.0 / blinks_per_min - SHORTEST_BLINK_GAP_S, 0.1)
    time_s = 0.5
    while True:
        time_s += SHORTEST_BLINK_GAP_S + rng.exponential(mean_gap)
        first = int(time_s * VIDEO_FPS)
        if first >= n_frames:
            return closure
        shape = np.array(BLINK_CLOSURE, np.float32)[: n_frames - first]
        closure[first : first + len(shape)] = np.maximum(closure[first : first + len(shape)], shape)


def gaze_track(n_frames: int, rng: np.random.Generator, at_camera_share: float) -> NDArray[np.float32]:
    """Gaze shift per frame in eye widths, (n_frames, 2) x right, y down: fixations, most of them on the camera (0, 0)."""
    gaze = np.zeros((n_frames, 2), np.float32)
    begin = 0
    while begin < n_frames:
        end = begin + max(1, int(rng.uniform(*FIXATION_S) * VIDEO_FPS))
        glance = rng.normal(0.0, GLANCE)
        if begin > 0 and rng.random() >= at_camera_share:
            gaze[begin:end] = glance
        begin = end
    return gaze


def with_blinks(points: Points, closure: NDArray[np.float32]) -> Points:
    """Close the lids of ``points`` (T, 78, 3) by ``closure`` (T,) of their opening."""
    edited = points.copy()
    for upper, lower in lm.LID_PAIRS:
        opening = points[:, lower] - points[:, upper]
        edited[:, upper] = points[:, upper] + opening * ((1 - LOWER_LID_SHARE) * closure)[:, None]
        edited[:, lower] = points[:, lower] - opening * (LOWER_LID_SHARE * closure)[:, None]
    return edited


def with_gaze(points: Points, gaze: NDArray[np.float32]) -> Points:
    """Move the irises of ``points`` (T, 78, 3) by ``gaze`` (T, 2) eye widths."""
    edited = points.copy()
    for eye, iris in ((lm.EYE_LEFT, lm.IRIS_LEFT), (lm.EYE_RIGHT, lm.IRIS_RIGHT)):
        width = np.linalg.norm(points[:, eye[3], :2] - points[:, eye[0], :2], axis=-1)
        edited[:, iris, :2] += (gaze * width[:, None])[:, None]
    return edited
