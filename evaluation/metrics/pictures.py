"""Metrics on pixels of aligned crops: PSNR and SSIM, each with exactly one definition (there are four SSIMs in this field), and
how sharp the face is."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.entry import Means, MeanStatistics, Measure, Metric, Need, Pair, mean_of
from space_data.errors import SpaceError

RgbImage = NDArray[np.uint8]

PEAK = 255.0
PSNR_CAP_DB = 100.0
WINDOW_PX = 11
WINDOW_SD_PX = 1.5
K1, K2 = 0.01, 0.03
"""Constants of Wang et al. 2004."""
SQUARED_ERROR, SIMILARITY, EDGES, PERCEPTUAL = "squared_error", "ssim", "face_edges", "lpips"
FACE_SIDE_PX = 96
"""At which the sharpness of a face is measured, whatever its size in the picture."""
FACE_SIDE_IOD = 2.6


class SizeMismatch(SpaceError):
    """Two pictures of different size: metrics never resize."""


def check_pair(reference: RgbImage, candidate: RgbImage) -> None:
    """Raise unless both are uint8 RGB of one size (a float picture in [0, 1] would silently score near 0 dB)."""
    if reference.shape != candidate.shape:
        raise SizeMismatch(f"candidate: picture {candidate.shape} against {reference.shape} of the reference (another crop?)")
    for name, picture in (("reference", reference), ("candidate", candidate)):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise SpaceError(f"{name}: {picture.dtype} {picture.shape}, need uint8 (height, width, 3) (scaled to [0, 1]?)")


def squared_error(reference: RgbImage, candidate: RgbImage) -> MeanStatistics:
    """Squared error of all values of one frame, for `psnr_db`."""
    check_pair(reference, candidate)
    return MeanStatistics(float(cv2.norm(reference, candidate, cv2.NORM_L2SQR)), reference.size)


def psnr_db(means: Means) -> float:
    """Peak signal-to-noise ratio of a pooled squared error, capped at 100 dB."""
    error = means[SQUARED_ERROR]
    return PSNR_CAP_DB if error == 0 else min(PSNR_CAP_DB, 10.0 * math.log10(PEAK**2 / error))


def ssim(reference: RgbImage, candidate: RgbImage) -> MeanStatistics:
    """Structural similarity of one frame, mean over channels and pixels at least half a window from the edge.

    Wang et al. 2004; equals ``skimage.metrics.structural_similarity(..., gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=255, channel_axis=2)`` to 1e-4, six times faster. Pictures of at least 11 px.
    """
    check_pair(reference, candidate)
    if min(reference.shape[:2]) < WINDOW_PX:
        raise SpaceError(f"ssim: picture {reference.shape[:2]}, at least {WINDOW_PX} px a side needed")
    x, y = reference.astype(np.float32), candidate.astype(np.float32)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x * mean_x, _blur(y * y) - mean_y * mean_y
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x * mean_x + mean_y * mean_y + c1) * (variance_x + variance_y + c2)
    )
    edge = WINDOW_PX // 2
    inside = similarity[edge : similarity.shape[0] - edge, edge : similarity.shape[1] - edge]
    return MeanStatistics(float(inside.mean(dtype=np.float64)), 1)


def _blur(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(picture, (WINDOW_PX, WINDOW_PX), WINDOW_SD_PX), np.float32)


def face_edges(rgb: RgbImage, centre_px: NDArray[np.floating], iod_px: float) -> MeanStatistics:
    """Mean absolute Laplacian (grey levels) of a square of 2.6 IOD around the face's centre (x, y), at 96 px a side.

    Nothing of a face smaller than that: enlarging would only measure the resampling.
    """
    side = FACE_SIDE_IOD * iod_px
    if not side >= FACE_SIDE_PX:
        return MeanStatistics()
    x0, y0 = (round(float(c) - side / 2) for c in centre_px)
    inside = rgb[max(y0, 0) : max(y0 + round(side), 0), max(x0, 0) : max(x0 + round(side), 0)]
    if min(inside.shape[:2]) < FACE_SIDE_PX:
        return MeanStatistics()
    grey = cv2.cvtColor(np.ascontiguousarray(inside), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (FACE_SIDE_PX, FACE_SIDE_PX), interpolation=cv2.INTER_AREA)
    return MeanStatistics(float(np.abs(cv2.Laplacian(small, cv2.CV_32F)).mean(dtype=np.float64)), 1)


def summed(name: str, need: Need = "pictures") -> Measure:
    """A statistic that was summed while the pictures went by."""

    def of(pair: Pair) -> dict[str, MeanStatistics]:
        return {name: pair.pixels.get(name, MeanStatistics())}

    return Measure((name,), of, need)


MEASURES = (*(summed(name) for name in (SQUARED_ERROR, SIMILARITY, EDGES)), summed(PERCEPTUAL, "lpips"))


def metrics_at(size_px: int, ssim_every_frames: int) -> tuple[Metric, ...]:
    """LPIPS, PSNR, SSIM and sharpness of aligned crops of ``size_px``, all but PSNR on every ``ssim_every_frames``-th frame."""
    psnr = Metric(
        f"psnr_db/aligned{size_px}-cap100/v1", "PSNR", "dB", "higher", (SQUARED_ERROR,), psnr_db,
        f"10 log10(255^2 / mean squared error) of {size_px}x{size_px} RGB crops, the error pooled over the whole clip.",
        "The usual definition; capped at 100 dB so that identical clips have a finite figure.",
        "Pooled, not a mean of per-frame decibels: one identical frame would make that infinite.", 1, needs_pose=True,
    )  # fmt: skip
    similarity = Metric(
        f"ssim/aligned{size_px}-gauss11-every{ssim_every_frames}/v1", "SSIM", "", "higher", (SIMILARITY,), mean_of(SIMILARITY),
        "Mean structural similarity of RGB crops: 11x11 Gaussian window with s.d. 1.5, K = 0.01 and 0.03, population "
        f"covariances, mean over channels and over one frame in {ssim_every_frames}.",
        "Wang et al. 2004 with scikit-image's settings for it (gaussian_weights, sigma 1.5, use_sample_covariance False).",
        "Frames are sampled.", 3, needs_pose=True,
    )  # fmt: skip
    sharpness = Metric(
        f"face_edges/laplacian{FACE_SIDE_PX}-every{ssim_every_frames}/v1", "sharpness of the face", "grey levels", "recording",
        (EDGES,), mean_of(EDGES),
        f"Mean absolute Laplacian of a square of {FACE_SIDE_IOD} IOD around the face, resampled to {FACE_SIDE_PX} px.",
        "Ours.", "Noise counts as sharp. Faces smaller than that are not measured.", 1,
    )  # fmt: skip
    perceptual = Metric(
        f"lpips/alex-v0.1-aligned{size_px}-every{ssim_every_frames}/v1", "LPIPS", "", "lower", (PERCEPTUAL,), mean_of(PERCEPTUAL),
        f"Learned distance of {size_px}x{size_px} RGB crops: AlexNet's five layers, weighted by version 0.1, mean over pixels "
        f"and over one frame in {ssim_every_frames}.", "Zhang et al. 2018, the release's weights.", "Frames are sampled.", 3,
        needs_pose=True,
    )  # fmt: skip
    return perceptual, psnr, similarity, sharpness
