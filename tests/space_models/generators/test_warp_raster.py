"""The rasteriser against answers known by hand."""

import numpy as np
import pytest

from space_models.generators.warp_raster import FAR, rasterise, sharpen_moved, smooth_seams, soften_stretched

SQUARE = np.array([[0, 0, 0], [8, 0, 0], [8, 8, 0], [0, 8, 0]], np.float32)
TWO = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def _buffers(size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    return np.full((size, size, 2), -1, np.float32), np.full((size, size), FAR, np.float32)


def _identity(size: int) -> np.ndarray:
    centres = np.arange(size, dtype=np.float32) + 0.5
    return np.stack(np.meshgrid(centres, centres), axis=-1)


def test_identity_gives_pixel_centres():
    map_xy, depth = _buffers()
    rasterise(SQUARE, SQUARE[:, :2].copy(), TWO, map_xy, depth)
    np.testing.assert_allclose(map_xy, _identity(8), atol=1e-5)


@pytest.mark.parametrize("winding", [[0, 1, 2], [0, 2, 1]])
def test_both_windings_are_drawn(winding):
    map_xy, depth = _buffers()
    rasterise(SQUARE, SQUARE[:, :2].copy(), np.array([winding], np.int32), map_xy, depth)
    assert (map_xy[..., 0] >= 0).sum() == 36  # the upper right triangle with the diagonal: 8 + 7 + ... + 1


def test_attributes_are_affine():
    map_xy, depth = _buffers()
    source = 3 * SQUARE[:, :2] + np.float32(5)
    rasterise(SQUARE, source, TWO, map_xy, depth)
    np.testing.assert_allclose(map_xy, 3 * _identity(8) + 5, atol=1e-4)


def test_the_nearer_triangle_wins_whatever_the_order():
    near = SQUARE + np.array([0, 0, -1], np.float32)
    vertices = np.concatenate([SQUARE, near])
    source = np.concatenate([np.zeros((4, 2)), np.ones((4, 2))]).astype(np.float32)
    for triangles in (np.concatenate([TWO, TWO + 4]), np.concatenate([TWO + 4, TWO])):
        map_xy, depth = _buffers()
        rasterise(vertices, source, triangles.astype(np.int32), map_xy, depth)
        np.testing.assert_array_equal(map_xy, 1)


def test_no_cracks_in_a_fan_of_random_triangles(rng):
    angles = np.linspace(0, 2 * np.pi, 41)[:-1]
    centre = rng.uniform(90, 110, 2)
    rim = np.stack([100 + 300 * np.cos(angles), 100 + 300 * np.sin(angles)], axis=1)
    vertices = np.zeros((41, 3), np.float32)
    vertices[:, :2] = np.concatenate([centre[None], rim])
    triangles = np.array([[0, 1 + i, 1 + (i + 1) % 40] for i in range(40)], np.int32)
    map_xy, depth = _buffers(200)
    rasterise(vertices, vertices[:, :2].copy(), triangles, map_xy, depth)
    np.testing.assert_allclose(map_xy, _identity(200), atol=1e-2)


def test_parts_outside_and_flat_triangles_are_skipped():
    map_xy, depth = _buffers()
    vertices = np.array([[-50, -50, 0], [60, -40, 0], [4, -10, 0], [1, 1, 0], [2, 2, 0], [3, 3, 0]], np.float32)
    rasterise(vertices, vertices[:, :2].copy(), np.array([[0, 1, 2], [3, 4, 5]], np.int32), map_xy, depth)
    assert (depth == FAR).all()


def test_seams_are_smoothed_and_nothing_else(rng):
    picture = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    map_xy = _identity(32)
    still = picture.copy()
    smooth_seams(still, map_xy, 3.0)
    np.testing.assert_array_equal(still, picture)
    map_xy[:, 16:, 0] += 10
    seam = picture.copy()
    smooth_seams(seam, map_xy, 3.0)
    changed = (seam != picture).any(axis=(0, 2))
    assert set(np.nonzero(changed)[0]) == {15, 16}
    window = picture[4:7, 14:17, 0].astype(int)
    assert seam[5, 15, 0] == (np.outer([1, 2, 1], [1, 2, 1]) * window).sum() + 8 >> 4


def test_sharpening_leaves_still_pixels_alone():
    picture = np.full((8, 8, 3), 100, np.uint8)
    blurred = np.full((8, 8, 3), 90, np.uint8)
    map_xy = _identity(8)
    map_xy[:, 4:] += 1
    sharpen_moved(picture, blurred, map_xy, 0.5, 0.5)
    assert (picture[:, :4] == 100).all() and (picture[:, 4:] == 105).all()


def test_streaks_are_softened_and_nothing_else_changes(rng: np.random.Generator) -> None:
    size, strip = 32, slice(12, 20)
    map_xy = _identity(size)
    map_xy[:, strip, 0] = 12.5 + 0.1 * np.arange(8)  # ten pixels of the frame to one of the photo
    map_xy[:, 20:, 0] -= 7.0
    rgb = np.full((size, size, 3), 90, np.uint8)
    rgb[::2, strip] = 30  # streaks along the row
    rgb[:, :12] = rng.integers(0, 256, (size, 12, 3))
    before = rgb.copy()
    soften_stretched(rgb, map_xy, (0.3, 0.6), 4)
    np.testing.assert_array_equal(rgb[:, :11], before[:, :11])
    np.testing.assert_array_equal(rgb[:, 21:], before[:, 21:])
    inner = rgb[5:-5, 13:19].astype(int)
    assert np.ptp(inner) <= 6 and abs(inner.mean() - 60) < 3, "the streaks' mean, all but without the streaks"


def test_a_map_that_rests_softens_nothing(rng: np.random.Generator) -> None:
    rgb = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    before = rgb.copy()
    soften_stretched(rgb, _identity(16), (0.3, 0.6), 4)
    np.testing.assert_array_equal(rgb, before)
