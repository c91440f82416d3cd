"""Small pictures keep their aspect, light and colours."""

import cv2
import numpy as np
import pytest

from space_data import thumbnails
from space_data.thumbnails import shrink, thumbnail


def flat(level: int) -> np.ndarray:
    """A tiny grey picture."""
    return np.full((8, 8, 3), level % 256, np.uint8)


@pytest.mark.parametrize(("shape", "small"), [((1080, 1920), (112, 200)), ((1280, 720), (200, 112)), ((300, 300), (200, 200))])
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
    back = cv2.cvtColor(cv2.imdecode(np.frombuffer(thumbnail(red), np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert np.abs(back.astype(int) - red).max() < 6
    assert thumbnails.LONGER_SIDE_PX == 200
