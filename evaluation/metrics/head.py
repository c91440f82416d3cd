"""Head, eyes and gaze: distance where the pose is given, else how much and how fast they move beside the recording's."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import periodogram

from evaluation.detected_face import DetectedFace
from evaluation.metrics.entry import Means, MeanStatistics, Measure, Metric, Pair, mean_of
from evaluation.metrics.lips import DETECTOR
from space_data.landmarks import eye_aspect_ratio, gaze
from space_data.speech import runs
from space_data.timebase import VIDEO_FPS, frame_start_s, frames_in

BLINK_DEPTH = 0.6
OPEN_EYE_PERCENTILE = 75.0
SHORTEST_BLINK_FRAMES = 2
LONGEST_BLINK_FRAMES = frames_in(0.5)
SECOND_FRAMES = frames_in(1.0)
RANGE_PERCENTILES = (5.0, 95.0)
FAST_HZ = 1.0
"""From here on a head shakes, nods and trembles; below, it turns from one thing to another."""
SHORTEST_SPECTRUM_FRAMES = frames_in(2.0)
"""Two periods of ``FAST_HZ``."""


def rotation_angle_deg(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle in degrees of the rotation from ``a`` to ``b``, matrices (..., 3, 3).

    From the chord ``|A - B| = 2 sqrt(2) sin(angle / 2)`` rather than from the trace, whose arc cosine turns rounding errors
    of 1e-16 into 1e-6 degrees for equal matrices.
    """
    chord = np.linalg.norm(a - b, axis=(-2, -1))
    return np.rad2deg(2 * np.arcsin(np.clip(chord / (2 * np.sqrt(2.0)), 0.0, 1.0)))


def mean_rotation(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chordal mean (3, 3) of rotations (n, 3, 3)."""
    u, _, vt = np.linalg.svd(rotations.mean(axis=0))
    return np.asarray(u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt)


def head(pair: Pair) -> dict[str, MeanStatistics]:
    """Geodesic distance of the two heads; of the candidate's head squared angle to its mean, and angle from frame to frame."""
    theirs, ours = pair.reference.pose.rotation(), pair.candidate.pose.rotation()
    found = pair.candidate.found()
    if not found.any():
        return {name: MeanStatistics() for name in ("pose", "head_square", "head_step")}
    return {
        "pose": MeanStatistics.of(rotation_angle_deg(theirs, ours)),
        "head_square": MeanStatistics.of(rotation_angle_deg(ours[found], mean_rotation(ours[found])[None]) ** 2),
        "head_step": MeanStatistics.of(rotation_angle_deg(ours[1:], ours[:-1])),
    }


def yaw_products(pair: Pair) -> dict[str, MeanStatistics]:
    """Squares of the candidate's yaw about its mean, and its products with itself a second later."""
    yaw = np.asarray(pair.candidate.pose.yaw_deg, np.float64)
    yaw = yaw - np.nanmean(yaw) if np.isfinite(yaw).any() else yaw
    later = yaw[SECOND_FRAMES:] * yaw[:-SECOND_FRAMES] if len(yaw) > SECOND_FRAMES else np.zeros(0)
    return {"yaw_square": MeanStatistics.of(yaw * yaw), "yaw_second": MeanStatistics.of(later)}


def swing(pair: Pair) -> dict[str, MeanStatistics]:
    """Range of the candidate's yaw, and the power of its yaw, pitch and roll in all and from ``FAST_HZ`` on, degrees².

    The spectrum is of the longest run of frames with a face: Hann window, straight line taken off, one value for each clip.
    """
    pose = pair.candidate.pose
    angles = np.stack([pose.yaw_deg, pose.pitch_deg, pose.roll_deg]).astype(np.float64)
    found = pair.candidate.found() & np.isfinite(angles).all(axis=0)
    statistics = {name: MeanStatistics() for name in ("yaw_range", "head_power", "head_power_fast")}
    if found.any():
        low, high = np.percentile(angles[0, found], RANGE_PERCENTILES)
        statistics["yaw_range"] = MeanStatistics(float(high - low), 1)
    begin, end = max(runs(found), key=lambda run: run[1] - run[0], default=(0, 0))
    if end - begin >= SHORTEST_SPECTRUM_FRAMES:
        hertz, power = periodogram(angles[:, begin:end], VIDEO_FPS, "hann", detrend="linear")
        statistics["head_power"] = MeanStatistics(float(power.sum()), 1)
        statistics["head_power_fast"] = MeanStatistics(float(power[:, hertz >= FAST_HZ].sum()), 1)
    return statistics


def blinks_of(track: DetectedFace) -> list[tuple[int, int]]:
    """Blinks as half-open ranges of frames: the mean eye aspect ratio of both eyes below 0.6 x the clip's 75th percentile for 2
    frames to 0.5 s. Ranges that touch an end of the clip are left out: nobody knows how long they are."""
    found = track.found()
    openness = eye_aspect_ratio(track.normalised).mean(-1)
    if not found.any():
        return []
    closed = np.where(found, openness, np.inf) < BLINK_DEPTH * np.percentile(openness[found], OPEN_EYE_PERCENTILE)
    inside = [(begin, end) for begin, end in runs(closed) if begin > 0 and end < len(closed)]
    return [(begin, end) for begin, end in inside if SHORTEST_BLINK_FRAMES <= end - begin <= LONGEST_BLINK_FRAMES]


def eyes(pair: Pair) -> dict[str, MeanStatistics]:
    """Blinks per frame with a face, seconds per blink, and the square of the gaze's departure from its mean (eye widths)."""
    blinks = blinks_of(pair.candidate)
    looks = np.asarray(gaze(pair.candidate.normalised)[:, 0], np.float64)
    looks = looks - np.nanmean(looks) if np.isfinite(looks).any() else looks
    return {
        "blinks": MeanStatistics(float(len(blinks)), int(pair.candidate.found().sum())),
        "blink_s": MeanStatistics(math.fsum(frame_start_s(end - begin) for begin, end in blinks), len(blinks)),
        "gaze_square": MeanStatistics.of(looks * looks),
    }


MEASURES = (
    Measure(("pose", "head_square", "head_step"), head),
    Measure(("yaw_square", "yaw_second"), yaw_products),
    Measure(("yaw_range", "head_power", "head_power_fast"), swing),
    Measure(("blinks", "blink_s", "gaze_square"), eyes),
)


def root_of(name: str) -> Callable[[Means], float | None]:
    """The final function of a root mean square."""
    return lambda means: math.sqrt(means[name])


def autocorrelation(means: Means) -> float | None:
    """Of yaw over a second; None for a head that does not turn."""
    square = means["yaw_square"]
    return float(np.clip(means["yaw_second"] / square, -1.0, 1.0)) if square > 1e-6 else None


def fast_share(means: Means) -> float | None:
    """Of the power of the head's angles; None for a head that does not turn."""
    power = means["head_power"]
    return means["head_power_fast"] / power if power > 1e-6 else None


POSE = Metric(
    "pose_deg/geodesic/v1", "pose distance", "degrees", "lower", ("pose",), mean_of("pose"),
    "Mean angle of the rotation between the two heads, frame by frame.", f"Geodesic distance on SO(3). {DETECTOR}.",
    "A system that invents its own motion cannot be near.", 1, needs_pose=True,
)  # fmt: skip
HEAD_MOTION = Metric(
    "head_motion_deg/rms-geodesic/v1", "head motion", "degrees", "recording", ("head_square",), root_of("head_square"),
    "Root mean square angle between the head in each frame and the clip's mean head rotation.", f"Ours. {DETECTOR}.", "", 1,
)  # fmt: skip
HEAD_SPEED = Metric(
    "head_speed_deg_s/geodesic/v1", "head speed", "degrees/s", "recording", ("head_step",),
    lambda means: VIDEO_FPS * means["head_step"], "Mean angle between the heads of neighbouring frames, per second.",
    f"Ours. {DETECTOR}.", "The detector's jitter is in it: read it beside the re-encoded recording's.", 1,
)  # fmt: skip
YAW_AUTOCORRELATION = Metric(
    "yaw_autocorrelation/1s/v1", "yaw autocorrelation, 1 s", "", "recording", ("yaw_square", "yaw_second"), autocorrelation,
    "Mean product of the yaw's departures from the clip's mean a second apart, over their mean square.",
    f"Ours. {DETECTOR}.", "Biased downwards on short clips, for recordings and systems alike.", 2,
)  # fmt: skip
YAW_RANGE = Metric(
    "yaw_range_deg/p5-p95/v1", "yaw range", "degrees", "recording", ("yaw_range",), mean_of("yaw_range"),
    "From the 5th to the 95th percentile of the yaw over the clip.", f"Ours. {DETECTOR}.", "Grows with the length of a clip.", 1,
)  # fmt: skip
HEAD_SPECTRUM = Metric(
    "head_fast_share/periodogram-1hz/v1", "head motion above 1 Hz", "", "recording",
    ("head_power", "head_power_fast"), fast_share,
    "Share of the power of yaw, pitch and roll from 1 Hz on, in the longest stretch of the clip with a face.",
    f"Periodogram (scipy), Hann window, linear trend removed. {DETECTOR}.",
    "Not available under 2 s. The detector's jitter is in it: read it beside the re-encoded recording's.", 2,
)  # fmt: skip
BLINK_RATE = Metric(
    "blinks_per_min/ear-0.6p75/v3", "blinks per minute", "1/min", "recording", ("blinks",),
    lambda means: 60 * VIDEO_FPS * means["blinks"],
    "Runs of 2 frames to 0.5 s in which the eye aspect ratio is under 0.6 x the clip's own 75th percentile.",
    "Eye aspect ratio: Soukupova & Cech 2016; threshold per clip because the open level differs by person.",
    "Runs at the ends of a clip are left out, and so is the time without a face.", 0,
)  # fmt: skip
BLINK_DURATION = Metric(
    "blink_s/ear-0.6p75/v1", "blink duration", "s", "recording", ("blink_s",), mean_of("blink_s"), "Mean length of those runs.",
    BLINK_RATE.source, "Not available for a clip without blinks.", 2,
)  # fmt: skip
GAZE_MOTION = Metric(
    "gaze_motion/x-rms/v1", "gaze motion", "eye widths", "recording", ("gaze_square",), root_of("gaze_square"),
    "Root mean square departure of the irises' horizontal place between the eye corners from its mean over the clip.",
    f"Ours. {DETECTOR}.", "", 3,
)  # fmt: skip
METRICS = (
    POSE, HEAD_MOTION, HEAD_SPEED, YAW_RANGE, YAW_AUTOCORRELATION, HEAD_SPECTRUM, BLINK_RATE, BLINK_DURATION, GAZE_MOTION,
)  # fmt: skip
