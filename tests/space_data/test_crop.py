"""The crop rule: answers worked out by hand, invariants, bad inputs."""

import numpy as np
import pytest

from space_data.crop import FACE_CENTRE_Y, FACE_SHARE, CropBox, crop_box
from space_data.errors import SpaceError


def _face(centre_x: float, centre_y: float, height: float, frames: int = 3) -> np.ndarray:
    """A face as the four corners of its box, 0.8 times as wide as tall."""
    half = np.array([0.4 * height, 0.5 * height])
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return np.repeat((np.array([centre_x, centre_y]) + signs * half)[None], frames, axis=0)


def test_face_takes_its_share_when_the_frame_is_large():
    box = crop_box(_face(1000, 800, 210), 2000, 2000)
    assert box.side == round(210 / FACE_SHARE) == 500
    assert box.x0 == 1000 - 250
    assert box.y0 == pytest.approx(800 - 500 * FACE_CENTRE_Y, abs=1)


def test_shrinks_and_slides_to_stay_inside_the_frame():
    box = crop_box(_face(230, 180, 210), 460, 460)
    assert (box.x0, box.y0, box.side) == (0, 0, 460)
    assert crop_box(_face(900, 800, 210), 1080, 1920).x0 == 1080 - 500


def test_pads_rather_than_cutting_a_large_face():
    box = crop_box(_face(112, 112, 180), 224, 224)
    assert box.side == 300
    assert box.x0 < 0 and box.y0 < 0


def test_one_box_covers_a_moving_head():
    track = np.concatenate([_face(600, 500, 200, 1), _face(1000, 500, 200, 1)])
    box = crop_box(track, 1920, 1080)
    inside = box.transform(track)
    assert inside.min() > 0.07 * 512 and inside.max() < 0.93 * 512


def test_lost_frames_are_ignored_and_none_left_is_an_error():
    track = _face(500, 500, 200)
    lost = np.concatenate([track, np.full_like(track, np.nan)])
    assert crop_box(lost, 1000, 1000) == crop_box(track, 1000, 1000)
    with pytest.raises(SpaceError, match="no face in any of 3 frames"):
        crop_box(np.full((3, 478, 3), np.nan), 100, 100)
    with pytest.raises(SpaceError, match="shape"):
        crop_box(np.zeros((478, 3)), 100, 100)


def test_transform_and_inverse_are_exact_inverses_and_scale_depth(rng):
    box = CropBox(-13, 40, 777)
    points = rng.uniform(0, 900, (5, 478, 3)).astype(np.float32)
    moved = box.transform(points, 256)
    np.testing.assert_allclose(box.inverse(moved, 256), points, atol=1e-3)
    np.testing.assert_allclose(moved[..., 2], points[..., 2] * 256 / 777, rtol=1e-5)


@pytest.mark.parametrize("padding", ["edge", "soft"])
def test_apply_agrees_with_transform(padding):
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[100:104, 200:204] = 255
    box = CropBox(-50, -60, 512)
    crop = box.apply(picture, 512, padding)
    ys, xs = np.nonzero(crop[..., 0] > 128)
    np.testing.assert_allclose([xs.mean() + 0.5, ys.mean() + 0.5], box.transform(np.array([202.0, 102.0])), atol=0.01)


def test_padding_repeats_the_edge_and_leaves_the_picture_alone(rng):
    picture = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    box = CropBox(-16, 0, 96)
    edge, soft = box.apply(picture, 96), box.apply(picture, 96, "soft")
    np.testing.assert_array_equal(edge[:64, :16], np.repeat(picture[:, :1], 16, axis=1))
    np.testing.assert_array_equal(edge[:64, 16:80], picture)
    np.testing.assert_array_equal(soft[:64, 16:80], picture)


def test_a_box_outside_the_picture_is_an_error():
    with pytest.raises(SpaceError, match="outside"):
        CropBox(500, 0, 100).apply(np.zeros((64, 64, 3), np.uint8))
