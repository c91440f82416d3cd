"""The rasteriser against triangles whose coverage is known by hand."""

import numpy as np

from space_data.synthetic.raster import NO_TRIANGLE, Cutout, interpolate, rasterise

SQUARE = np.array([[1, 1, 1], [1, 5, 1], [5, 5, 1], [5, 1, 1]], np.float32)
SQUARE_TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def test_square_covers_exactly_its_pixels():
    seen = rasterise(SQUARE, SQUARE_TRIANGLES, 7, 8)
    expected = np.zeros((7, 8), bool)
    expected[1:5, 1:5] = True
    np.testing.assert_array_equal(seen.triangle != NO_TRIANGLE, expected)


def test_back_faces_are_culled_unless_two_sided():
    turned = SQUARE_TRIANGLES[:, ::-1].copy()
    assert (rasterise(SQUARE, turned, 7, 8).triangle == NO_TRIANGLE).all()
    assert (rasterise(SQUARE, turned, 7, 8, two_sided=np.ones(2, np.bool_)).triangle != NO_TRIANGLE).sum() == 16


def test_the_nearer_triangle_wins_in_either_order():
    near = SQUARE * (1, 1, 2)
    points = np.concatenate([SQUARE, near]).astype(np.float32)
    for first, second in ((0, 4), (4, 0)):
        triangles = np.concatenate([SQUARE_TRIANGLES + first, SQUARE_TRIANGLES + second]).astype(np.int32)
        seen = rasterise(points, triangles, 7, 8)
        assert (seen.inv_depth[1:5, 1:5] == 2).all()


def test_interpolation_reproduces_a_linear_function():
    seen = rasterise(SQUARE, SQUARE_TRIANGLES, 7, 8)
    values = interpolate(seen, SQUARE_TRIANGLES, SQUARE[:, :2].astype(np.float64))
    y, x = np.mgrid[1:5, 1:5] + 0.5
    np.testing.assert_allclose(values[1:5, 1:5], np.stack([x, y], -1), atol=1e-6)


def test_cutout_leaves_holes_where_alpha_is_low():
    alpha = np.ones((8, 8), np.float32)
    alpha[2, 3] = 0.0
    cutout = Cutout(np.ones(2, np.bool_), SQUARE[:, :2].copy(), alpha)
    seen = rasterise(SQUARE, SQUARE_TRIANGLES, 7, 8, cutout=cutout)
    assert seen.triangle[2, 3] == NO_TRIANGLE
    assert (seen.triangle != NO_TRIANGLE).sum() == 15


def test_triangles_beyond_the_border_are_clipped():
    seen = rasterise(SQUARE * (4, 4, 1) - np.array([6, 6, 0], np.float32), SQUARE_TRIANGLES, 5, 5)
    assert (seen.triangle != NO_TRIANGLE).all()


def test_late_triangles_give_the_same_picture():
    rng = np.random.default_rng(5)
    wall = SQUARE * (7, 7, 1.5)  # hides part of what follows
    points = np.concatenate([wall, rng.uniform((-5, -5, 1), (45, 45, 2), (120, 3))]).astype(np.float32)
    triangles = np.concatenate([SQUARE_TRIANGLES, 4 + np.arange(120).reshape(40, 3)]).astype(np.int32)
    two_sided = np.ones(len(triangles), np.bool_)
    plain = rasterise(points, triangles, 40, 43, two_sided)
    late = rasterise(points, triangles, 40, 43, two_sided, late=2)
    np.testing.assert_array_equal(plain.triangle, late.triangle)
    np.testing.assert_array_equal(plain.inv_depth, late.inv_depth)
    assert len(np.unique(plain.triangle)) > 10 and (plain.triangle == 1).any()
