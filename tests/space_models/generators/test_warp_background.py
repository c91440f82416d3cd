"""The background of the warp generator stays; the person and what is close to it are left to the mesh."""

import numpy as np
import pytest

from space_models.generators.warp_background import hold_still, near_person

SIZE = 64


def _map(shift_px: float) -> np.ndarray:
    rows, columns = np.indices((SIZE, SIZE), np.float32)
    return np.stack([columns + 0.5 + shift_px, rows + 0.5], axis=-1).astype(np.float32)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture
def near() -> np.ndarray:
    matte = np.zeros((SIZE, SIZE), np.float32)
    matte[:, :8] = 1.0
    return near_person(matte)


def test_person_and_its_surroundings_are_near(near):
    assert near[:, :8].min() > 0.9
    assert near[:, 40:].max() < 0.01
    assert (np.diff(near[32]) <= 1e-6).all()


def test_moved_background_shows_the_photo_again(photo, near):
    frame = np.roll(photo, 5, axis=1)
    hold_still(frame, photo, near, _map(-5.0))
    np.testing.assert_array_equal(frame[:, 40:], photo[:, 40:])


def test_the_person_goes_on_moving(photo, near):
    frame = np.full_like(photo, 7)
    hold_still(frame, photo, near, _map(-5.0))
    assert np.abs(frame[:, :6].astype(int) - 7).max() <= 12  # a few per cent of the photo at most


def test_background_over_which_the_person_came_is_hidden(photo, near):
    frame = np.full_like(photo, 7)
    hold_still(frame, photo, near, _map(-40.0))  # column 44 shows the person's column 4
    assert np.abs(frame[:, 42:46].astype(int) - 7).max() <= 12


def test_at_rest_nothing_changes(photo, near):
    frame = np.full_like(photo, 7)
    hold_still(frame, photo, near, _map(0.2))
    assert (frame == 7).all()


def test_beyond_a_narrow_band_around_the_person_the_background_stands_still():
    """A bar 18 pixels of 512 from the ear is straight, whatever the head does."""
    photo = np.random.default_rng(4).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    matte = np.zeros((512, 512), np.float32)
    matte[:, :200] = 1
    rows, columns = np.indices((512, 512), np.float32)
    map_xy = np.stack([columns + 0.5 + 5, rows + 0.5], axis=-1).astype(np.float32)  # the head moves away from it
    frame = np.roll(photo, -5, axis=1)
    hold_still(frame, photo, near_person(matte), map_xy)
    assert (frame[:, 218:500] == photo[:, 218:500]).all()
    assert (frame[:, :190] == np.roll(photo, -5, axis=1)[:, :190]).all()
