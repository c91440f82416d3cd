"""What is measured on a clip, as functions of pictures, tracks and sound. Nothing here decides; thresholds live in ``filter``.

Which measures, and why these, is the outcome of a study on 57 real clips: the re-blur ratio replaces the variance of the
Laplacian (which follows face size), the full-range detector counts faces (FaceMesh never finds a second one), and detection
itself is no quality signal (the mesh is drawn on profiles and paintings too).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from space_data.landmarks import STABLE_78, PoseTrack
from space_data.speech import runs, seconds_of
from space_data.timebase import SAMPLES_PER_FEATURE

Rgb = NDArray[np.uint8]

SMALL_SIDE_PX = 96
"""Longer side of the picture in which cuts and stillness are looked for."""
DIFFERENCE_SIDE_PX = 64
CUT_NEIGHBOURS = 2
LEAST_CUT_CHANGE = 15.0
SHORTEST_SHOT_FRAMES = 15
"""PySceneDetect's defaults: frames compared on each side, grey levels that a cut changes at least, the shortest scene."""
COARSE_SCALES = 2
COARSE_LEAST_PX = 16
"""A smaller picture holds too few pixels for the variance of its Laplacian to mean anything."""
FULL_SCALE = 0.999
NOISE_NEEDS_S = 0.3
NOISE_PERCENTILE, NOISE_WINDOW_FEATURES = 10.0, 3
SPEECH_NEEDS_S = 0.1
PEAK_LEVEL_PERCENTILE = 99.0
MAD_TO_SD = 1.4826
BORDER_LEVELS = 3
"""A bar's pixels differ by no more than so many of 255 levels, all frames together; a plain wall's do."""


def small_picture(rgb: Rgb) -> Rgb:
    """``rgb`` (H, W, 3) reduced to a longer side of 96 px, or itself if smaller.

    Bilinear, not area-averaging: 0.1 ms against 4-8 ms for a large frame. It reads 4 pixels per result, which is enough to
    tell shots apart and equal frames from others, and a copy of a frame still gives exactly the same small picture.
    """
    height, width = rgb.shape[:2]
    scale = SMALL_SIDE_PX / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def tiny_grey(small: Rgb) -> NDArray[np.float32]:
    """Grey picture (64, 64) for frame differences."""
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)  # before shrinking: a third of the work
    side = (DIFFERENCE_SIDE_PX, DIFFERENCE_SIDE_PX)
    return cv2.resize(grey, side, interpolation=cv2.INTER_AREA).astype(np.float32)


class CutFinder:
    """Hard cuts: ``feed`` each small picture in turn, then read ``cuts``.

    The method of PySceneDetect's adaptive detector, whose cuts it finds (tested) in a sixth of the time: a frame is the first
    of a new shot if it changes hue, saturation and value so many times more than the two frames on each side do in the mean;
    a pan does not.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._last: Rgb | None = None
        self._changes: list[float] = []
        """of the latest frames, at most two on each side of the one that is judged"""
        self._fed = self._last_cut = 0
        self.cuts: list[int] = []
        """Indices of the first frames of new shots, increasing."""

    def feed(self, small: Rgb, begins_shot: bool = False) -> bool:
        """Look at the next frame, (h, w, 3) RGB; whether a cut is known since (it lies two frames back).

        A frame that ``begins_shot`` by what its file says is not compared with those before it, and may have another shape.
        """
        if begins_shot and self._fed:
            self._last, self._changes, self._last_cut = None, [], self._fed
            self.cuts.append(self._fed)
        hsv = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2HSV), np.uint8)
        change = 0.0 if self._last is None else cv2.norm(hsv, self._last, cv2.NORM_L1) / hsv.size
        self._last = hsv
        self._changes = [*self._changes[-2 * CUT_NEIGHBOURS :], change]
        self._fed += 1
        if len(self._changes) <= 2 * CUT_NEIGHBOURS:
            return False
        judged, index = self._changes[CUT_NEIGHBOURS], self._fed - 1 - CUT_NEIGHBOURS
        around = (sum(self._changes) - judged) / (2 * CUT_NEIGHBOURS)
        stands_out = judged >= LEAST_CUT_CHANGE and judged >= self._threshold * around
        cut = stands_out and index - self._last_cut >= SHORTEST_SHOT_FRAMES
        if cut:
            self.cuts.append(index)
            self._last_cut = index
        return cut


def face_box(mesh: NDArray[np.floating]) -> NDArray[np.float32]:
    """x0, y0, x1, y1 in pixels around a mesh (N, 2 or 3); may lie partly outside the picture."""
    xy = np.ascontiguousarray(mesh[:, :2].T)  # along rows: a tenth of the time
    return np.concatenate([xy.min(1), xy.max(1)]).astype(np.float32)


def grey_difference(grey: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Mean absolute difference of two grey pictures of one shape."""
    return cv2.norm(grey, other, cv2.NORM_L1) / grey.size


def is_outside(box: NDArray[np.float32], width_px: int, height_px: int) -> bool:
    """Whether any part of ``box`` lies outside the picture."""
    return bool(box[0] < 0 or box[1] < 0 or box[2] > width_px or box[3] > height_px)


def face_grey(rgb: Rgb, box: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Grey pixels of the part of ``box`` inside the picture, at native resolution; None if hardly anything is inside."""
    height, width = rgb.shape[:2]
    x0, y0 = np.clip(box[:2], 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil(box[2:]), 0, (width, height)).astype(int)
    if x1 - x0 < 8 or y1 - y0 < 8:
        return None
    return cv2.cvtColor(rgb[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY).astype(np.float32)


def reblur_ratio(grey: NDArray[np.float32]) -> float:
    """Variance of the Laplacian after a Gaussian blur (1 px) over that before, (h, w) -> 0 (sharp) ... 1 (blurred).

    A sharp picture loses most of its finest detail to the extra blur, a blurred one has none to lose. Independent of face size
    (Spearman -0.01). Noise looks sharp to it, a codec's too: see ``coarse_reblur_ratio``.
    """
    _, before = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))
    if before[0, 0] == 0:
        return 1.0
    _, after = cv2.meanStdDev(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1), cv2.CV_32F))
    return float((after[0, 0] / before[0, 0]) ** 2)


def coarse_reblur_ratio(grey: NDArray[np.float32]) -> float:
    """The larger of the re-blur ratios of ``grey`` (h, w) at half and at quarter resolution; NaN below 2 x 16 px.

    At native resolution H.264 leaves noise of its own on a blurred face, which then passes for sharp (median ratio after a
    Gaussian of 3 px and encoding: 0.13, the sharp original: 0.15). Averaging 2 x 2 pixels removes that noise but not the blur
    (0.33 against 0.12); from 6 px on 4 x 4 pixels tell better. Upscaling by 2 leaves half resolution sharp: only the native
    ratio can see it.
    """
    ratios = []
    for _ in range(COARSE_SCALES):
        grey = np.asarray(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32)
        if min(grey.shape) < COARSE_LEAST_PX:
            break
        ratios.append(reblur_ratio(grey))
    return max(ratios, default=float("nan"))


def luma(grey: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation of a grey picture, 0 ... 255."""
    mean, sd = cv2.meanStdDev(grey)
    return float(mean[0, 0]), float(sd[0, 0])


def second_face_share(boxes: NDArray[np.float32]) -> float:
    """Width of the second largest face over that of the largest, boxes (n, 5); 0 with fewer than two."""
    if len(boxes) < 2:
        return 0.0
    widths = np.sort(boxes[:, 2] - boxes[:, 0])
    return float(widths[-2] / widths[-1])


@dataclass(frozen=True)
class AngleRange:
    """Head angles over a track, degrees: percentiles of the absolute value (of yaw: of ``turn_deg``), and 95th minus 5th
    percentile of the value."""

    yaw_p95_deg: float
    yaw_median_deg: float
    pitch_p95_deg: float
    roll_p95_deg: float
    yaw_range_deg: float
    pitch_range_deg: float
    roll_range_deg: float


def angle_range(pose: PoseTrack, turn_deg: NDArray[np.float64]) -> AngleRange | None:
    """Ranges over the frames that have a face; None if none has.

    Args:
        turn_deg: (T,) how far the head is turned to either side (``space_data.turn``): the pose's own yaw reads too small where
            the far eye is hidden.
    """
    angles = np.stack([pose.yaw_deg, pose.pitch_deg, pose.roll_deg])
    seen = np.isfinite(angles[0])
    angles, turned = angles[:, seen], turn_deg[seen]
    if not angles.shape[1]:
        return None
    p95 = np.percentile(np.abs(angles[1:]), 95, axis=1)
    low, high = np.percentile(angles, [5, 95], axis=1)
    return AngleRange(
        float(np.percentile(turned, 95)), float(np.median(turned)), float(p95[0]), float(p95[1]), *(float(r) for r in high - low)
    )


def landmark_jitter(normalised: NDArray[np.float32]) -> float | None:
    """How much the rigid points tremble from frame to frame, normalised landmarks (T, 78, 3) -> IOD; None below 8 frames.

    The third difference of a smooth motion is nearly nothing; that of independent noise of s.d. 1 has variance 20. The median
    over time and points keeps real jerks out.
    """
    points = normalised[:, STABLE_78, :2]
    third = np.diff(points[np.isfinite(points).all(axis=(1, 2))], n=3, axis=0)
    if len(third) < 5:
        return None
    return float(np.median(np.abs(third)) * MAD_TO_SD / np.sqrt(20.0))


class BorderFinder:
    """Bars of one colour at the picture's edges (letterbox, padding): rows and columns that never change, in time or along."""

    def __init__(self) -> None:
        self._low: Rgb | None = None
        self._high: Rgb | None = None
        self._fed = 0

    def feed(self, small: Rgb) -> None:
        """Look at a small picture (h, w, 3); all must have one shape."""
        self._low = small.copy() if self._low is None else np.minimum(self._low, small)
        self._high = small.copy() if self._high is None else np.maximum(self._high, small)
        self._fed += 1

    def share(self) -> float | None:
        """Share of the picture's area that is bars; None from fewer than two pictures, which cannot show what never changes."""
        if self._low is None or self._high is None or self._fed < 2:
            return None
        kept = 1.0
        for axis in (1, 0):
            spread = self._high.max(axis=axis).astype(int) - self._low.min(axis=axis)
            flat = (spread <= BORDER_LEVELS).all(axis=-1)
            size = len(flat)
            if flat.all():
                return 1.0
            first, last = int(np.argmin(flat)), int(np.argmin(flat[::-1]))
            kept *= 1 - (first + last) / size
        return 1 - kept


def longest_true_s(mask: NDArray[np.bool_], length_s: NDArray[np.float64]) -> float:
    """Seconds of the longest run of ``mask`` (n,), whose elements last ``length_s`` (n,)."""
    return max((float(length_s[a:b].sum()) for a, b in runs(mask)), default=0.0)


def irregular_share(pts_s: NDArray[np.float64]) -> tuple[float, float]:
    """Frame rate (1 / median interval, Hz) of time stamps (n,), and the share of intervals over a quarter off the median."""
    if len(pts_s) < 2:
        return 0.0, 0.0
    intervals = np.diff(pts_s)
    median = float(np.median(intervals))
    return 1.0 / median, float((np.abs(intervals - median) > median / 4).mean())


@dataclass(frozen=True)
class SoundMeasures:
    """What is heard in a segment. Levels in dB of full scale; None where there is nothing to measure on."""

    speech_share: float
    speech_s: float
    silence_s: float
    speech_level_db: float | None
    speech_over_noise_db: float | None
    peak_level_db: float


SILENCE_DB = -100.0


def speech_over_noise_db(speech: NDArray[np.bool_], loudness_db: NDArray[np.float32]) -> float:
    """Level of the speech over what lies between, dB, from voice activity and loudness per 10 ms, (features,), some of it speech.

    What lies between is the 10th percentile of the level of *all* the sound, over 30 ms: among babble or music a voice detector
    hears speech nearly everywhere and leaves no pause to measure noise in, but between two syllables the level still falls to
    that of the noise. Where there are pauses their median counts too, if it is higher (noise that comes and goes).
    """
    power = 10.0 ** (loudness_db.astype(np.float64) / 10.0)
    level = 10.0 * np.log10(uniform_filter1d(power, NOISE_WINDOW_FEATURES, mode="nearest"))
    noise = float(np.percentile(level, NOISE_PERCENTILE))
    if seconds_of(~speech) >= NOISE_NEEDS_S:
        noise = max(noise, float(np.median(loudness_db[~speech])))
    return float(np.median(level[speech])) - noise


def sound_measures(speech: NDArray[np.bool_], loudness_db: NDArray[np.float32]) -> SoundMeasures:
    """Speech ratio and levels from the voice activity and loudness per 10 ms, both (features,)."""
    if not len(speech):
        return SoundMeasures(0.0, 0.0, 0.0, None, None, SILENCE_DB)
    speech_s = seconds_of(speech)
    speech_level = float(np.median(loudness_db[speech])) if speech_s >= SPEECH_NEEDS_S else None
    over_noise = speech_over_noise_db(speech, loudness_db) if speech_level is not None else None
    peak = float(np.percentile(loudness_db, PEAK_LEVEL_PERCENTILE))
    silence_s = max((seconds_of(~speech[a:b]) for a, b in runs(~speech)), default=0.0)
    return SoundMeasures(float(speech.mean()), speech_s, silence_s, speech_level, over_noise, peak)


def clipped_shares(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of samples at full scale per 10 ms, (samples,) at 16 kHz -> (samples // 160,)."""
    shares = np.zeros(len(audio) // SAMPLES_PER_FEATURE, np.float32)
    whole = audio[: len(shares) * SAMPLES_PER_FEATURE]
    at_limit = np.flatnonzero((whole >= FULL_SCALE) | (whole <= -FULL_SCALE))
    np.add.at(shares, at_limit // SAMPLES_PER_FEATURE, np.float32(1 / SAMPLES_PER_FEATURE))
    return shares


def lip_motion(lip_height: NDArray[np.float32], speech: NDArray[np.bool_]) -> float | None:
    """Standard deviation of the outer lip height (frames,), IOD, over frames with a face in which there is speech.

    None with fewer than 5 such frames.
    """
    used = np.isfinite(lip_height) & speech
    return float(lip_height[used].std()) if used.sum() >= 5 else None


def shot_numbers(cuts: list[int], n_frames: int) -> NDArray[np.int64]:
    """Shot number of each frame, (n_frames,), from the first frames of new shots."""
    return np.searchsorted(np.array(cuts, np.int64), np.arange(n_frames), side="right")
