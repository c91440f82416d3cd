"""PSNR and SSIM against hand-made answers and scikit-image."""

import math

import numpy as np
import pytest

from evaluation import image_metrics
from space_data.errors import SpaceError


def test_identical_input_scores_perfectly(astronaut):
    assert image_metrics.psnr_db(image_metrics.squared_error(astronaut, astronaut)) == 100.0
    assert image_metrics.ssim(astronaut, astronaut).mean() == pytest.approx(1.0, abs=1e-6)


def test_psnr_of_a_constant_difference():
    black, grey = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 51, np.uint8)
    assert image_metrics.psnr_db(image_metrics.squared_error(black, grey)) == pytest.approx(20 * math.log10(5))


def test_psnr_pools_the_error():
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    pooled = image_metrics.squared_error(black, black) + image_metrics.squared_error(black, white)
    assert image_metrics.psnr_db(pooled) == pytest.approx(10 * math.log10(2))
    assert image_metrics.psnr_db(image_metrics.MeanStatistics()) is None


@pytest.mark.parametrize("noise_sd", [2, 20])
def test_ssim_is_scikit_images(astronaut, rng, noise_sd):
    from skimage.metrics import structural_similarity

    noisy = np.clip(astronaut + rng.normal(0, noise_sd, astronaut.shape), 0, 255).astype(np.uint8)
    expected = structural_similarity(
        astronaut, noisy, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
    )
    assert image_metrics.ssim(astronaut, noisy).mean() == pytest.approx(expected, abs=1e-4)


def test_ssim_of_two_greys_is_the_luminance_term():
    a, b = np.full((32, 32, 3), 100, np.uint8), np.full((32, 32, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert image_metrics.ssim(a, b).mean() == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1), abs=1e-4)


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (np.zeros((16, 18, 3), np.uint8), "another crop"),
        (np.zeros((16, 16, 3), np.float32), "scaled to"),
    ],
)
def test_unlike_pictures_are_refused(candidate, message):
    with pytest.raises(SpaceError, match=message):
        image_metrics.squared_error(np.zeros((16, 16, 3), np.uint8), candidate)


def test_tiny_pictures_are_refused():
    tiny = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(SpaceError, match="at least 11"):
        image_metrics.ssim(tiny, tiny)
