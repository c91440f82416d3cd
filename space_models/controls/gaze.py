"""Where the eyes look, in degrees in the picture against where they look in the photo: yaw + to the image left, pitch + down.

Turning the head does not turn the gaze: the edits (`controls.edits`) take the head's turn off, as eyes do.
"""

import numpy as np
from numpy.typing import NDArray

from space_data import landmarks as lm
from space_data.errors import SpaceError
from space_data.timebase import VIDEO_FPS
from space_models.portrait import Portrait

Array = NDArray[np.float32]

CAMERA, GENERATED, PHOTO = "camera", "generated", "photo"
EYE_WIDTHS_PER_RADIAN = 0.3
"""By which the iris moves between the corners of the eye, horizontally as the tracker sees it (`landmarks.gaze`)."""
FIXATION_S = (0.5, 2.2)
"""Shortest and longest time that the eyes rest on one spot."""
GLANCE_DEG = (13.0, 6.0)
"""Spread of glances away from the camera, yaw and pitch."""
MOST_DEG = 40.0
AVERTED_FROM_DEG = 8.0
"""A photo's gaze nearer to the camera than this looks at it: so well the tracker knows."""


def gaze_track(n_frames: int, rng: np.random.Generator, at_camera_share: float) -> Array:
    """Gaze per frame in degrees, (n_frames, 2): fixations, most of them where the photo looks (0, 0)."""
    gaze = np.zeros((n_frames, 2), np.float32)
    begin = 0
    while begin < n_frames:
        end = begin + max(1, int(rng.uniform(*FIXATION_S) * VIDEO_FPS))
        glance = rng.normal(0.0, GLANCE_DEG)
        if begin > 0 and rng.random() >= at_camera_share:
            gaze[begin:end] = np.clip(glance, -MOST_DEG, MOST_DEG)
        begin = end
    return gaze


def to_camera_deg(portrait: Portrait) -> Array:
    """How the photo's eyes must turn to look into the camera, (2,): by yaw only, as the tracker hardly sees the other."""
    in_head_deg = -np.rad2deg(float(lm.gaze(portrait.normalised)[0]) / EYE_WIDTHS_PER_RADIAN)
    off_deg = in_head_deg + float(portrait.pose.yaw_deg[0])
    averted = abs(off_deg) > AVERTED_FROM_DEG
    return np.array([np.clip(-off_deg, -MOST_DEG, MOST_DEG) if averted else 0.0, 0.0], np.float32)


def parse_gaze(text: str) -> str | tuple[float, float]:
    """``generated``, ``camera``, ``photo`` (where the photo looks), or yaw and pitch in degrees, against the camera.

    Raises:
        SpaceError: none of these, or further than eyes turn.
    """
    word = text.strip().lower()
    if word in (CAMERA, GENERATED, PHOTO):
        return word
    try:
        yaw, pitch = (float(part) for part in text.split(","))
    except ValueError:
        raise SpaceError(f"gaze {text!r}: need YAW,PITCH in degrees, 'camera', 'photo' or 'generated'") from None
    if not max(abs(yaw), abs(pitch)) <= MOST_DEG:
        raise SpaceError(f"gaze {text}: need {-MOST_DEG:g} to {MOST_DEG:g} degrees")
    return yaw, pitch
