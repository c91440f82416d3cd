"""Other views of rendered frames."""

import numpy as np
import pytest

from space_models.views import watermarked


@pytest.mark.parametrize("side_px", [128, 512])
def test_the_watermark_stands_in_its_corner_and_nowhere_else(side_px: int, rng: np.random.Generator) -> None:
    frames = [rng.integers(0, 255, (side_px, side_px, 3), np.uint8) for _ in range(2)]
    before = [frame.copy() for frame in frames]
    marked = list(watermarked(frames))
    assert all((frame == old).all() for frame, old in zip(frames, before, strict=True)), "the frames given stay as they are"
    for old, new in zip(before, marked, strict=True):
        rows, columns = np.nonzero((old != new).any(2))
        assert rows.min() > 0.9 * side_px and columns.min() > 0.5 * side_px and (rows.max(), columns.max()) == (side_px - 1,) * 2
        plate = new[rows.min() :, columns.min() :].astype(float)
        assert plate.max() > 200 and np.median(plate) < 100, "light letters on a dark plate"


def test_the_watermark_reads_on_any_picture() -> None:
    for shade in (0, 255):
        (marked,) = watermarked([np.full((256, 256, 3), shade, np.uint8)])
        corner = marked[-12:, -80:].astype(float)
        assert corner.max() - corner.min() > 150


def test_the_watermark_fits_into_a_tall_photo() -> None:
    (marked,) = watermarked([np.zeros((400, 150, 3), np.uint8)])
    rows, columns = np.nonzero(marked.any(2))
    assert columns.min() > 0.5 * 150 and rows.min() > 0.95 * 400
