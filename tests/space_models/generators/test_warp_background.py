"""The background of the warp generator stays, the person moves in front of it."""

import numpy as np
import pytest

from space_models.generators.warp_background import hold_still
from space_models.generators.warp_plate import DEPTH_PX, without_person

SIZE = 64


def _map(shift_px: float) -> np.ndarray:
    rows, columns = np.indices((SIZE, SIZE), np.float32)
    return np.stack([columns + 0.5 + shift_px, rows + 0.5], axis=-1).astype(np.float32)


@pytest.fixture
def plate() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture
def person() -> np.ndarray:
    there = np.zeros((SIZE, SIZE), np.float32)
    there[:, :8] = 1
    return there


def test_moved_background_shows_the_plate_and_counts_as_still(plate, person):
    frame, map_xy = np.full_like(plate, 7), _map(-5.0)
    hold_still(frame, plate, person, map_xy)
    assert (frame[:, :13] == 7).all()  # the person, five pixels on
    np.testing.assert_array_equal(frame[:, 13:], plate[:, 13:])
    np.testing.assert_array_equal(map_xy[:, 13:], _map(0)[:, 13:])
    np.testing.assert_array_equal(map_xy[:, :13], _map(-5.0)[:, :13])


def test_what_the_person_uncovers_shows_the_plate(plate, person):
    frame = np.full_like(plate, 7)
    hold_still(frame, plate, person, _map(4.0))
    assert (frame[:, :4] == 7).all()
    np.testing.assert_array_equal(frame[:, 4:], plate[:, 4:])


def test_half_a_person_is_half_the_plate(plate):
    frame = np.zeros_like(plate)
    hold_still(frame, plate, np.full((SIZE, SIZE), 0.5, np.float32), _map(-5.0))
    assert np.abs(frame - plate / 2).max() <= 1


def test_at_rest_nothing_changes(plate, person):
    frame, map_xy = np.full_like(plate, 7), _map(0.1)
    hold_still(frame, plate, person, map_xy)
    assert (frame == 7).all()
    np.testing.assert_array_equal(map_xy, _map(0.1))


def _bars(size: int, period: int) -> np.ndarray:
    return np.broadcast_to(np.where(np.arange(size)[None, :, None] // period % 2, 200, 60), (size, size, 3)).astype(np.uint8)


@pytest.mark.parametrize("size", [512, 768])
def test_bars_go_on_behind_the_person(size):
    """Bars that the outline cuts aslant, as a head does: what is filled in are the same bars."""
    behind = _bars(size, 12)
    rows, columns = np.indices((size, size))
    person = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 < (size / 5) ** 2
    photo = np.where(person[..., None], np.uint8(128), behind)
    filled = without_person(photo, person)
    outer = person & ((rows - size / 2) ** 2 + (columns - size / 2) ** 2 > (size / 5 - 30) ** 2)
    wrong = np.abs(filled.astype(int) - behind)
    assert (wrong[~person] == 0).all()
    assert wrong[outer].mean() < 8 < 60 < np.abs(photo.astype(int) - behind)[outer].mean()


def test_deep_inside_the_person_stays_as_it_is():
    photo = _bars(512, 12)
    person = np.zeros((512, 512), bool)
    person[100:, 100:412] = True
    photo[person] = 9
    filled = without_person(photo, person)
    assert (filled[100 + DEPTH_PX + 8 : 500, 100 + DEPTH_PX + 8 : 412 - DEPTH_PX - 8] == 9).all()
    assert (filled[300, 100:150] != 9).all()


def test_a_photo_that_is_all_person_has_no_plate():
    assert without_person(_bars(512, 12), np.ones((512, 512), bool)) is None
    nearly = np.ones((512, 512), bool)
    nearly[:6] = False  # narrower than a patch
    assert without_person(_bars(512, 12), nearly) is None


def test_a_single_patch_of_background_is_enough():
    person = np.ones((512, 512), bool)
    person[:13, :13] = False
    photo = np.full((512, 512, 3), 200, np.uint8)
    photo[:13, :13] = 40
    assert (without_person(photo, person)[30, 30] == 40).all()
