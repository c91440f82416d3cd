"""Head motion, blinks and gaze of a synthetic speaker at 25 fps, from a generator that is passed in.

Figures after our study of synthetic heads: smoothed noise of sd 8 / 3 / 3 degrees (yaw / pitch / roll), of which the rhythm of
the speech makes a part (``rhythm``: nods at stressed syllables, a contour and a direction per phrase), blinks of seven frames at
exponential gaps, gaze in fixations that mostly stay on the camera.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from space_data.synthetic.rhythm import Rhythm, nodding, turning
from space_data.timebase import VIDEO_FPS, frame_start_s

Track = NDArray[np.float64]

POSE_SD_DEG = (7.4, 2.8, 3.0)
"""Slow drift: yaw, pitch, roll; with what the rhythm adds, 8 / 3.2 / 3.2 in all."""
POSE_LIMIT_DEG = (28.0, 12.0, 12.0)
POSE_SMOOTHING_S = 0.7
NOD_SD_DEG = (1.2, 0.5, 1.2)
"""Faster, only while speaking; the nods of pitch follow the stresses."""
NOD_SMOOTHING_S = 0.16
SHIFT_SD_CM = (0.35, 0.2)
BLINK_PROFILE = (0.35, 0.85, 1.0, 0.95, 0.7, 0.35, 0.1)
"""Closure per frame."""
BLINK_MEAN_GAP_S = 3.0
BLINK_SHORTEST_GAP_S = 0.5
FIXATION_S = (0.4, 1.8)
AT_CAMERA_SHARE = 0.55
GAZE_SD_RAD = (0.18, 0.09)
GAZE_LIMIT_RAD = (0.45, 0.25)
VESTIBULAR_GAIN = 0.6
"""Share of the head's yaw that the eyes turn back."""
SACCADE_SMOOTHING_S = 0.02


@dataclass(frozen=True)
class Motion:
    """How the head moves, (T,) each: angles in degrees, shift (T, 2) in cm, lids 0 open..1 closed, gaze in radians.

    ``blinks``: first frame and frame after the last of every blink.
    """

    yaw_deg: Track
    pitch_deg: Track
    roll_deg: Track
    shift_cm: Track
    blink: Track
    gaze_x_rad: Track
    gaze_y_rad: Track
    blinks: tuple[tuple[int, int], ...]

    def controls(self) -> dict[str, Track]:
        """The controls of the head that this motion sets."""
        return {
            "blink_left": self.blink,
            "blink_right": self.blink,
            "gaze_x_rad": self.gaze_x_rad,
            "gaze_y_rad": self.gaze_y_rad,
        }


def _smooth_noise(rng: np.random.Generator, n_frames: int, sigma_s: float, columns: int) -> Track:
    """Gaussian noise (T, columns) of unit variance and the given smoothness; a short clip sees a piece of a long process."""
    sigma = sigma_s * VIDEO_FPS
    margin = int(np.ceil(4 * sigma))
    noise = gaussian_filter1d(rng.standard_normal((n_frames + 2 * margin, columns)), sigma, axis=0)[margin : margin + n_frames]
    return noise * np.sqrt(2 * np.sqrt(np.pi) * sigma)  # a Gaussian filter divides the variance of white noise by this, squared


def _blinks(rng: np.random.Generator, n_frames: int) -> tuple[Track, tuple[tuple[int, int], ...]]:
    closed = np.zeros(n_frames)
    intervals = []
    length = len(BLINK_PROFILE)
    start = int(rng.exponential(BLINK_MEAN_GAP_S) * VIDEO_FPS)
    while start + length <= n_frames:
        closed[start : start + length] = BLINK_PROFILE
        intervals.append((start, start + length))
        gap_s = BLINK_SHORTEST_GAP_S + rng.exponential(BLINK_MEAN_GAP_S - BLINK_SHORTEST_GAP_S)
        start += length + int(gap_s * VIDEO_FPS)
    return closed, tuple(intervals)


def _fixations(rng: np.random.Generator, n_frames: int) -> Track:
    """Where the eyes point, net of the head, (T, 2) radians: steps between fixations, one frame wide."""
    target = np.zeros((n_frames, 2))
    begin = 0
    while begin < n_frames:
        end = begin + max(1, int(rng.uniform(*FIXATION_S) * VIDEO_FPS))
        away = rng.standard_normal(2) * GAZE_SD_RAD
        target[begin:end] = 0.0 if rng.random() < AT_CAMERA_SHARE else away
        begin = end
    return gaussian_filter1d(target, SACCADE_SMOOTHING_S * VIDEO_FPS, axis=0, mode="nearest")


def draw_motion(rng: np.random.Generator, speaking: Track, rhythm: Rhythm, blinking: bool = True) -> Motion:
    """Motion for a clip.

    Args:
        rng: the only source of randomness.
        speaking: (T,) 0..1, how much speech there is in each frame.
        rhythm: of that speech, in the clip's time.
    """
    n_frames = len(speaking)
    drift = _smooth_noise(rng, n_frames, POSE_SMOOTHING_S, 3) * POSE_SD_DEG
    gate = gaussian_filter1d(speaking, NOD_SMOOTHING_S * VIDEO_FPS, mode="nearest")[:, None]
    angles = drift + gate * _smooth_noise(rng, n_frames, NOD_SMOOTHING_S, 3) * NOD_SD_DEG
    angles[:, 0] += turning(rng, rhythm, n_frames)
    angles[:, 1] += nodding(rng, rhythm, n_frames)
    limit = np.array(POSE_LIMIT_DEG)
    angles = limit * np.tanh(angles / limit)  # soft stop: a hard clip would freeze the head there
    shift = _smooth_noise(rng, n_frames, POSE_SMOOTHING_S, 2) * SHIFT_SD_CM
    blink, intervals = _blinks(rng, n_frames) if blinking else (np.zeros(n_frames), ())
    gaze = _fixations(rng, n_frames)
    # the head's yaw is + to the image left, the gaze's x + to the image right: turning the eyes back means the same sign
    gaze[:, 0] += VESTIBULAR_GAIN * np.deg2rad(angles[:, 0])
    gaze = np.clip(gaze, -np.array(GAZE_LIMIT_RAD), GAZE_LIMIT_RAD)
    yaw, pitch, roll = angles.T
    return Motion(yaw, pitch, roll, shift, blink, gaze[:, 0], gaze[:, 1], intervals)


def blink_times_s(blinks: tuple[tuple[int, int], ...]) -> list[tuple[float, float]]:
    """Blinks as (begin, end) in seconds."""
    return [(frame_start_s(begin), frame_start_s(end)) for begin, end in blinks]
