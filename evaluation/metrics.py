"""What a metric is here: an identity that carries its protocol, mergeable statistics, and a pure final function.

Every metric has three parts, kept apart so that each can be tested alone and any sharding gives the same figure: validation
(`landmark_metrics.paired`, `image_metrics.check_pair`), statistics of a chunk that add up (`MeanStatistics`,
`MomentStatistics`), and a final function of the sum. `CATALOGUE` says in words what each column means, where the definition
comes from and where ours departs from it; the report prints it, so that no figure travels without its protocol.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Better = Literal["lower", "higher", "reference"]
"""``reference``: neither end is good, nearest to the real recording is."""


@dataclass(frozen=True)
class Metric:
    """A column of the benchmark. ``metric_id`` = name / protocol / version: another protocol is another column."""

    metric_id: str
    title: str
    unit: str
    better: Better
    definition: str
    source: str
    departures: str = ""
    digits: int = 3
    """decimals that the report prints"""


@dataclass(frozen=True)
class MeanStatistics:
    """Sum and number of values: the mean of a whole is the mean of any of its partitions' sums."""

    total: float = 0.0
    count: int = 0

    @staticmethod
    def of(values: NDArray[np.floating]) -> "MeanStatistics":
        """Statistics of finite ``values`` of any shape; non-finite ones (lost faces) are left out of sum and count."""
        finite = np.asarray(values, np.float64)
        finite = finite[np.isfinite(finite)]
        return MeanStatistics(math.fsum(finite.tolist()), finite.size)

    def __add__(self, other: "MeanStatistics") -> "MeanStatistics":
        return MeanStatistics(self.total + other.total, self.count + other.count)

    def mean(self) -> float | None:
        """The mean; None of nothing."""
        return self.total / self.count if self.count else None


@dataclass(frozen=True)
class MomentStatistics:
    """First and second moments of pairs (x, y), merged by the exact update of Chan, Golub and LeVeque (1983)."""

    count: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0

    @staticmethod
    def of(x: NDArray[np.floating], y: NDArray[np.floating]) -> "MomentStatistics":
        """Statistics of the pairs of ``x``, ``y`` (n,) of which both are finite."""
        good = np.isfinite(x) & np.isfinite(y)
        x, y = np.asarray(x, np.float64)[good], np.asarray(y, np.float64)[good]
        if not len(x):
            return MomentStatistics()
        dx, dy = x - x.mean(), y - y.mean()
        return MomentStatistics(len(x), float(x.mean()), float(y.mean()), float(dx @ dx), float(dy @ dy), float(dx @ dy))

    def __add__(self, other: "MomentStatistics") -> "MomentStatistics":
        count = self.count + other.count
        if not self.count or not other.count:
            return self if self.count else other
        dx, dy = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        share, cross = other.count / count, self.count * other.count / count
        return MomentStatistics(
            count, self.mean_x + dx * share, self.mean_y + dy * share,
            self.xx + other.xx + dx * dx * cross, self.yy + other.yy + dy * dy * cross, self.xy + other.xy + dx * dy * cross,
        )  # fmt: skip

    def correlation(self) -> float | None:
        """Pearson's r; None when either side does not vary."""
        return self.xy / math.sqrt(self.xx * self.yy) if self.xx > 0 and self.yy > 0 else None

    def deviation_ratio(self) -> float | None:
        """Standard deviation of y over that of x; None when x does not vary."""
        return math.sqrt(self.yy / self.xx) if self.xx > 0 else None


_MESH = "MediaPipe FaceMesh 0.10.21 (refined) on both videos, 78 points, pose removed by a 3-D similarity on 32 upper-face points"
_CCA = "space_data.avsync: canonical correlations between lip tracks and mel bands; fitted on speakers that are not scored"

LMD_MOUTH = Metric(
    "lmd_mouth_norm/mediapipe78-xy/v1", "mouth distance", "IOD", "lower",
    "Mean Euclidean distance (x, y) between the 20 lip points of the two videos in normalised space, frame by frame.",
    f"After M-LMD (Chen et al. 2018). {_MESH}.",
    "Pose-free and in inter-ocular distances, not pixels; frames paired by index, never stretched; lost frames are not bridged.",
    4,
)  # fmt: skip
LMD_FACE = Metric(
    "lmd_face_norm/mediapipe78-xy/v1", "face distance", "IOD", "lower",
    "The same over all 68 iBUG points.", f"After F-LMD. {_MESH}.", LMD_MOUTH.departures, 4,
)  # fmt: skip
LVD_MOUTH = Metric(
    "lvd_mouth_norm/mediapipe78-xy/v1", "mouth velocity distance", "IOD/frame", "lower",
    "Mean Euclidean distance between the two videos' frame-to-frame displacements of the 20 lip points, 25 frames per second.",
    f"After LVD (MakeItTalk; EAT). {_MESH}.", "Only neighbouring frames count, gaps are not bridged.", 4,
)  # fmt: skip
LVD_FACE = Metric(
    "lvd_face_norm/mediapipe78-xy/v1", "face velocity distance", "IOD/frame", "lower",
    "The same over all 68 iBUG points.", f"After LVD. {_MESH}.", LVD_MOUTH.departures, 4,
)  # fmt: skip
LIP_CORRELATION = Metric(
    "lip_gap_corr/pearson/v1", "lip-gap correlation", "", "higher",
    "Pearson correlation between the inner-lip openings of the two videos over the clip.", f"Ours. {_MESH}.",
    "Undefined (a row with status not_available) when the mouth never moves.", 2,
)  # fmt: skip
LIP_AMPLITUDE = Metric(
    "lip_amplitude_ratio/sd-gap/v1", "lip amplitude ratio", "", "reference",
    "Standard deviation of the inner-lip opening over that of the real recording: sees the mumbling that correlations do not.",
    f"Ours. {_MESH}.", "", 2,
)  # fmt: skip
POSE = Metric(
    "pose_deg/geodesic/v1", "pose distance", "degrees", "lower",
    "Mean angle of the rotation between the two heads, frame by frame.", f"Geodesic distance on SO(3). {_MESH}.",
    "A system that invents its own motion cannot be near: read it beside the head-motion column.", 1,
)  # fmt: skip
HEAD_MOTION = Metric(
    "head_motion_deg/rms-geodesic/v1", "head motion", "degrees", "reference",
    "Root mean square angle between the head in each frame and the clip's mean head rotation.", f"Ours. {_MESH}.", "", 1,
)  # fmt: skip
BLINKS = Metric(
    "blinks_per_min/ear-0.6p75/v1", "blinks per minute", "1/min", "reference",
    "Runs of 2 frames to 0.5 s in which the eye aspect ratio is under 0.6 x the clip's own 75th percentile.",
    "Eye aspect ratio: Soukupova & Cech 2016; threshold per clip because the open level differs by person.", "", 0,
)  # fmt: skip
AV_OFFSET = Metric(
    "av_offset_frames/cca-landmarks/v1", "|A/V offset|", "frames", "lower",
    "Size of the lag at which lips and sound agree best, within +-15 frames.", _CCA,
    "The sign convention is + = audio late, the opposite of SyncNet's; the column shows the size.", 1,
)  # fmt: skip
AV_CONFIDENCE = Metric(
    "av_confidence/cca-landmarks/v1", "A/V confidence", "", "higher",
    "Peak minus median of the lag curve (the form of SyncNet's LSE-C).", _CCA,
    "Not comparable with LSE-C: no SyncNet weights are involved.", 3,
)  # fmt: skip
AV_AT_ZERO = Metric(
    "av_at_zero/cca-landmarks/v1", "A/V score at lag 0", "", "higher",
    "Best score at the lags -1, 0 and +1, where a correct video has its peak.", _CCA,
    "Blind to lip amplitude: read it beside the amplitude ratio.", 3,
)  # fmt: skip

LANDMARK_METRICS = (
    LMD_MOUTH, LMD_FACE, LVD_MOUTH, LVD_FACE, LIP_CORRELATION, LIP_AMPLITUDE, POSE, HEAD_MOTION, BLINKS,
)  # fmt: skip
SYNC_METRICS = (AV_AT_ZERO, AV_CONFIDENCE, AV_OFFSET)


def psnr_metric(size_px: int) -> Metric:
    """The PSNR column for aligned crops of ``size_px``."""
    return Metric(
        f"psnr_db/aligned{size_px}-cap100/v1", "PSNR", "dB", "higher",
        f"10 log10(255^2 / mean squared error) of {size_px}x{size_px} RGB crops, the error pooled over the whole clip.",
        "The usual definition; capped at 100 dB so that identical clips have a finite figure.",
        "Pooled, not a mean of per-frame decibels: one identical frame would make that infinite.", 1,
    )  # fmt: skip


def ssim_metric(size_px: int, every_frames: int) -> Metric:
    """The SSIM column for aligned crops of ``size_px``, measured on every ``every_frames``-th frame."""
    return Metric(
        f"ssim/aligned{size_px}-gauss11-every{every_frames}/v1", "SSIM", "", "higher",
        "Mean structural similarity of RGB crops: 11x11 Gaussian window with s.d. 1.5, K = 0.01 and 0.03, population "
        f"covariances, mean over channels and over one frame in {every_frames}.",
        "Wang et al. 2004 with scikit-image's settings for it (gaussian_weights, sigma 1.5, use_sample_covariance False).",
        "Frames are sampled.", 3,
    )  # fmt: skip


def frechet_metric(feature_name: str, is_fid: bool, frame_step: int) -> Metric:
    """The Fréchet column: ``fid/...`` for the official Inception weights only, ``frechet_standin/...`` for anything else."""
    if is_fid:
        return Metric(
            f"fid/{feature_name}/every{frame_step}/v1", "FID", "", "lower",
            "Fréchet distance between Inception features (pool 3, 2048-d) of generated and real crops.",
            "Heusel et al. 2017; the TensorFlow network of 2015-12-05 ported to PyTorch, TF1 resize, our own Fréchet routine.",
            "Frames of one clip are not independent: the fewer clips, the larger the bias. Compare within this table only.", 1,
        )  # fmt: skip
    return Metric(
        f"frechet_standin/{feature_name}/every{frame_step}/v1", "Fréchet stand-in (not FID)", "", "lower",
        "Fréchet distance between hand-made frame features (block-DCT energies and colour moments) of generated and real crops.",
        "Ours: stands in while the official Inception weights are absent. Never comparable with a published FID.", "", 2,
    )  # fmt: skip
