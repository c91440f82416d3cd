"""Lips of the warp generator: rows that shut, colours from the lip instead of the teeth."""

import numpy as np
import pytest

from space_data.landmarks import INNER_LIP_PAIRS
from space_models.generators.lip_correction import GapCorrection
from space_models.generators.warp_layers import CONTACT_SHADE, hole_mask, shade_contact
from space_models.generators.warp_lips import (
    LOWER_LIP_ROWS,
    UPPER_LIP_ROWS,
    lip_source,
    open_share,
    shut_rows,
    with_wanted_gap,
)
from space_models.generators.warp_mesh import LIP_LOWER, LIP_UPPER

DOWN = np.array([0.0, 1.0])


def _landmarks(gaps: tuple[float, float, float]) -> np.ndarray:
    points = np.zeros((78, 3))
    for (_, lower), gap in zip(INNER_LIP_PAIRS, gaps, strict=True):
        points[lower, 1] = gap
    return points


@pytest.fixture
def smile() -> np.ndarray:
    """Vertices with lips 10 px thick, 20 px apart along the whole row."""
    vertices = np.zeros((468, 3))
    for row in range(4):
        vertices[UPPER_LIP_ROWS[row], :2] = np.column_stack([np.arange(9), np.full(9, -10.0 - 10 / 3 * row)])
        vertices[LOWER_LIP_ROWS[row], :2] = np.column_stack([np.arange(9), np.full(9, 10.0 + 10 / 3 * row)])
    return vertices


def test_open_share_follows_the_mean_gap():
    photo = _landmarks((10.0, 20.0, 10.0))
    assert open_share(photo, photo, DOWN) == 1
    assert open_share(_landmarks((5.0, 10.0, 5.0)), photo, DOWN) == pytest.approx(0.5)
    assert open_share(_landmarks((-5.0, 10.0, -5.0)), photo, DOWN) == 0
    assert open_share(_landmarks((30.0, 30.0, 30.0)), photo, DOWN) == 1
    assert open_share(_landmarks((0.0, 0.0, 0.0)), _landmarks((1.0, 1.0, 1.0)), DOWN) == 1  # shut in the photo


def test_the_whole_row_shuts_and_the_outer_edge_stays(smile):
    shut = smile.copy()
    shut_rows(shut, smile, DOWN, 0.0)
    np.testing.assert_allclose(shut[LIP_UPPER[1:-1]], shut[LIP_LOWER[1:-1]], atol=1e-9)
    np.testing.assert_array_equal(shut[UPPER_LIP_ROWS[-1]], smile[UPPER_LIP_ROWS[-1]])
    np.testing.assert_array_equal(shut[LOWER_LIP_ROWS[-1]], smile[LOWER_LIP_ROWS[-1]])
    half = smile.copy()
    shut_rows(half, smile, DOWN, 0.5)
    np.testing.assert_allclose((half[LIP_LOWER[1:-1]] - half[LIP_UPPER[1:-1]])[:, 1], 10.0)


def test_an_open_mouth_is_left_alone(smile):
    as_it_was = smile.copy()
    shut_rows(as_it_was, smile, DOWN, 1.0)
    np.testing.assert_array_equal(as_it_was, smile)
    np.testing.assert_array_equal(lip_source(smile, 1.0), smile[:, :2].astype(np.float32))


def test_a_shut_lip_takes_its_colour_from_within_the_lip(smile):
    source = lip_source(smile, 0.0)
    np.testing.assert_allclose(source[LIP_UPPER[1:-1], 1], -13.0)  # 0.3 of 10 px outwards
    np.testing.assert_allclose(source[LIP_LOWER[1:-1], 1], 13.0)
    np.testing.assert_array_equal(source[UPPER_LIP_ROWS[-1]], smile[UPPER_LIP_ROWS[-1], :2].astype(np.float32))


NO_CORRECTION = GapCorrection.none()
FROM_THE_FRONT = np.array([0.0, 1.0, 0.0])


def _gaps(points: np.ndarray) -> list[float]:
    return [float(points[lower, 1] - points[upper, 1]) for upper, lower in INNER_LIP_PAIRS]


def test_the_wanted_gap_moves_lips_by_what_is_to_be_told():
    wider = GapCorrection(np.array([0.0, 1.0]), np.array([0.05, 1.05]))
    told = _landmarks((10.0, 10.0, 10.0))
    assert _gaps(with_wanted_gap(told, told, wider, 100.0, DOWN, FROM_THE_FRONT)) == pytest.approx([15.0] * 3)


def test_lips_that_touch_meet_in_the_picture_of_a_nodding_head_too():
    """An open lower lip lies behind the upper one: seen from above or below, what is left of the gap is not an opening."""
    pitch = np.deg2rad(-13)
    head_down = np.array([0.0, np.cos(pitch), np.sin(pitch)])
    photo = _landmarks((20.0, 20.0, 20.0))
    photo[[lower for _, lower in INNER_LIP_PAIRS], 2] = 12.0
    np.testing.assert_allclose(with_wanted_gap(photo, photo, NO_CORRECTION, 100.0, DOWN, head_down), photo, atol=1e-9)
    shut = photo.copy()
    for upper, lower in INNER_LIP_PAIRS:
        shut[lower, 1] -= (shut[lower] - shut[upper]) @ head_down / head_down[1]
    assert min(_gaps(shut)) > 2
    assert _gaps(with_wanted_gap(shut, photo, NO_CORRECTION, 100.0, DOWN, head_down)) == pytest.approx([0.0] * 3)


def test_lips_that_meet_have_no_hole_though_their_vertices_lie_beside_each_other():
    """As those of a turned head do: measured from vertex to vertex there was a hole of 3 px, which showed as a bright seam."""
    x = np.linspace(0, 60, 11)
    upper = np.column_stack([x, 4 * np.sin(np.pi * x / 60)])
    beside = x + 3 * np.sin(np.pi * x / 60)
    lower = np.column_stack([beside, 4 * np.sin(np.pi * beside / 60)])
    assert hole_mask(upper, lower, 512) is None
    hole = hole_mask(upper, lower + [0, 3], 512)
    assert hole is not None and hole[2].max() > 0.9


def test_lips_that_meet_throw_a_shadow_where_they_touch_and_nowhere_else():
    upper = np.stack([np.linspace(200, 300, 11), np.full(11, 250.5)], axis=1)
    frame = np.full((512, 512, 3), 200, np.uint8)
    shade_contact(frame, upper, upper)
    assert frame[250, 210:290] == pytest.approx(200 * (1 - CONTACT_SHADE), abs=2)
    assert (np.abs(frame[[244, 256]].astype(int) - 200) <= 1).all() and (frame[:, [190, 310]] == 200).all()
    apart = np.full((512, 512, 3), 200, np.uint8)
    shade_contact(apart, upper, upper + [0, 3])
    assert (apart == 200).all(), "the inside of the mouth is seen instead"
    shade_contact(apart, upper + [0, 400], upper + [0, 400])
    assert (apart == 200).all(), "out of the picture"
