"""PSNR and SSIM against hand-made answers and scikit-image."""

import math

import numpy as np
import pytest

from evaluation.metrics import MeanStatistics, pictures
from space_data.errors import SpaceError


def psnr(error: MeanStatistics) -> float:
    return pictures.psnr_db({pictures.SQUARED_ERROR: error.total / error.count})


def test_identical_input_scores_perfectly(astronaut):
    assert psnr(pictures.squared_error(astronaut, astronaut)) == 100.0
    assert pictures.ssim(astronaut, astronaut).mean() == pytest.approx(1.0, abs=1e-6)


def test_psnr_of_a_constant_difference():
    black, grey = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 51, np.uint8)
    assert psnr(pictures.squared_error(black, grey)) == pytest.approx(20 * math.log10(5))


def test_psnr_pools_the_error():
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    pooled = pictures.squared_error(black, black) + pictures.squared_error(black, white)
    assert psnr(pooled) == pytest.approx(10 * math.log10(2))


@pytest.mark.parametrize("noise_sd", [2, 20])
def test_ssim_is_scikit_images(astronaut, rng, noise_sd):
    from skimage.metrics import structural_similarity

    noisy = np.clip(astronaut + rng.normal(0, noise_sd, astronaut.shape), 0, 255).astype(np.uint8)
    expected = structural_similarity(
        astronaut, noisy, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
    )
    assert pictures.ssim(astronaut, noisy).mean() == pytest.approx(expected, abs=1e-4)


def test_ssim_of_two_greys_is_the_luminance_term():
    a, b = np.full((32, 32, 3), 100, np.uint8), np.full((32, 32, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert pictures.ssim(a, b).mean() == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1), abs=1e-4)


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (np.zeros((16, 18, 3), np.uint8), "another crop"),
        (np.zeros((16, 16, 3), np.float32), "scaled to"),
    ],
)
def test_unlike_pictures_are_refused(candidate, message):
    with pytest.raises(SpaceError, match=message):
        pictures.squared_error(np.zeros((16, 16, 3), np.uint8), candidate)


def test_tiny_pictures_are_refused():
    tiny = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(SpaceError, match="at least 11"):
        pictures.ssim(tiny, tiny)


def test_a_blurred_face_has_weaker_edges_and_a_small_one_is_not_measured(astronaut):
    import cv2

    side = astronaut.shape[0]
    centre, iod = np.array([side / 2, side / 2]), side / 5
    sharp = pictures.face_edges(astronaut, centre, iod).mean()
    soft = pictures.face_edges(np.asarray(cv2.GaussianBlur(astronaut, (0, 0), 3)), centre, iod).mean()
    assert sharp is not None and soft is not None and soft < 0.6 * sharp
    assert pictures.face_edges(astronaut, centre, 20.0) == MeanStatistics()
    assert pictures.face_edges(astronaut, np.array([-500.0, 0.0]), iod) == MeanStatistics(), "outside the picture"


def test_edges_of_a_known_picture():
    """A checkerboard of single pixels: the Laplacian of every inner pixel is 4 x 255."""
    board = (np.indices((96, 96)).sum(0) % 2 * 255).astype(np.uint8)
    found = pictures.face_edges(np.repeat(board[..., None], 3, -1), np.array([48.0, 48.0]), 96 / pictures.FACE_SIDE_IOD)
    assert found.mean() == pytest.approx(4 * 255, rel=1e-6)
