"""The thumbnail of a shot: near the wished place, whatever the shot's length; bounded memory; shots found late."""

import cv2
import numpy as np
import pytest

from space_data import thumbnails
from space_data.thumbnails import CAPACITY, LOOK_SHARE, ThumbnailPicker, jpeg, shrink


def flat(level: int) -> np.ndarray:
    """A tiny grey picture."""
    return np.full((8, 8, 3), level % 256, np.uint8)


@pytest.mark.parametrize("n_frames", [1, 2, 3, CAPACITY, CAPACITY + 1, 100, 1000, 12_345])
def test_picture_is_near_forty_percent_with_bounded_memory(n_frames: int) -> None:
    picker = ThumbnailPicker()
    for index in range(n_frames):
        picker.feed(index, flat(index))
        assert len(picker._candidates) <= CAPACITY
    (picked,) = picker.finish()
    assert abs(picked.frame - LOOK_SHARE * (n_frames - 1)) <= max(0.5, n_frames / CAPACITY)
    shown = cv2.imdecode(np.frombuffer(picked.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert abs(int(shown.mean()) - picked.frame % 256) <= 2, "the picture is that frame's"


def test_every_shot_has_a_picture_of_its_own_though_cuts_are_found_late() -> None:
    picker = ThumbnailPicker()
    for index in range(520):
        picker.feed(index, flat(20 if index < 500 else 200 if index < 518 else 90))
        if index in (502, 519):  # the last shot is two frames long and the step before it was large
            picker.cut(500 if index == 502 else 518)
    picked = picker.finish()
    assert [0 <= picked[0].frame < 500, 500 <= picked[1].frame < 518, 518 <= picked[2].frame < 520] == [True] * 3
    levels = [int(cv2.imdecode(np.frombuffer(p.jpeg, np.uint8), cv2.IMREAD_COLOR).mean()) for p in picked]
    np.testing.assert_allclose(levels, [20, 200, 90], atol=2)


def test_no_frame_no_picture() -> None:
    assert ThumbnailPicker().finish() == []


@pytest.mark.parametrize(("shape", "small"), [((1080, 1920), (144, 256)), ((1280, 720), (256, 144)), ((300, 300), (256, 256))])
def test_shrink_keeps_aspect_and_brightness(shape: tuple[int, int], small: tuple[int, int], rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    shrunk = shrink(picture)
    assert shrunk.shape == (*small, 3) and abs(shrunk.mean() - picture.mean()) < 1


def test_shrink_copies_what_is_small() -> None:
    """Decoders may reuse their buffer."""
    picture = flat(7)
    copy = shrink(picture)
    picture[:] = 0
    assert copy.mean() == 7


def test_jpeg_keeps_colours() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    back = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg(red), np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert np.abs(back.astype(int) - red).max() < 6
    assert thumbnails.LONGER_SIDE_PX == 256
