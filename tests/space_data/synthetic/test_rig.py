"""Subdivision, harmonic fields and the controls, against what is known of them."""

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.synthetic import regions
from space_data.synthetic.anatomy import N_HEAD_VERTICES, eye_centres, head_topology, surround
from space_data.synthetic.cage import load_cage, mirror_map
from space_data.synthetic.mesh import HarmonicSolver, grid_triangles, loop_subdivision, vertex_normals
from space_data.synthetic.rig import CONTROL_RANGES, CONTROLS, control_array, deform

IOD_CM = float(np.linalg.norm(load_cage().vertices[33] - load_cage().vertices[263]))


@pytest.fixture(scope="module")
def rest() -> np.ndarray:
    return surround(load_cage().vertices)


def moved(rest: np.ndarray, **controls: float) -> np.ndarray:
    return deform(rest, control_array(controls, 1))[0]


def distance(points: np.ndarray, a: int, b: int) -> float:
    return float(np.linalg.norm(points[a] - points[b]))


def test_loop_keeps_a_plane_flat_and_counts_add_up():
    triangles = grid_triangles(4, 5)
    y, x = np.mgrid[0:4, 0:5]
    plane = np.stack([x.ravel(), y.ravel(), 2.0 * x.ravel() + y.ravel()], -1)
    fine = loop_subdivision(triangles, 20)
    assert len(fine.triangles) == 4 * len(triangles)
    np.testing.assert_allclose(np.asarray(fine.matrix.sum(1)).ravel(), 1.0)
    points = fine.matrix @ plane
    np.testing.assert_allclose(points[:, 2], 2 * points[:, 0] + points[:, 1], atol=1e-12)


def test_harmonic_field_is_linear_along_a_strip():
    triangles = grid_triangles(2, 6)
    points = np.stack([np.tile(np.arange(6.0), 2), np.repeat([0.0, 1.0], 6), np.zeros(12)], -1)
    field = HarmonicSolver(points, triangles).field({0: 0.0, 6: 0.0, 5: 1.0, 11: 1.0})
    assert field.min() == 0 and field.max() == 1
    assert (np.diff(field[:6]) > 0).all()


def test_normals_of_a_flat_grid():
    triangles = grid_triangles(3, 3)[:, ::-1].copy()
    y, x = np.mgrid[0:3, 0:3].astype(np.float32)
    points = np.stack([x.ravel(), -y.ravel(), 0 * x.ravel()], -1)
    np.testing.assert_allclose(vertex_normals(points, triangles), np.tile([0, 0, 1], (9, 1)), atol=1e-6)


def test_head_is_closed_but_for_the_lid_rims(rest: np.ndarray):
    topology = head_topology()
    assert rest.shape == (N_HEAD_VERTICES, 3)
    sides = np.concatenate([topology.triangles[:, [0, 1]], topology.triangles[:, [1, 2]], topology.triangles[:, [2, 0]]])
    uses = np.unique(np.sort(sides, axis=1), axis=0, return_counts=True)[1]
    assert (uses == 1).sum() == 2 * 16
    smooth = topology.fine.matrix @ topology.interpolate.solve(rest)
    np.testing.assert_allclose(smooth[:N_HEAD_VERTICES], rest, atol=1e-9)  # the smooth surface passes through the landmarks


def test_rest_is_rest(rest: np.ndarray):
    still = moved(rest)
    mouth = np.concatenate([*regions.LIP_RINGS_UPPER, *regions.LIP_RINGS_LOWER])
    np.testing.assert_allclose(still[mouth], rest[mouth], atol=0.05)
    assert distance(still, 13, 14) < 0.05


def test_jaw_opens_the_lips_as_documented(rest: np.ndarray):
    gaps = [moved(rest, jaw=j)[[13, 14], 1] @ (1, -1) / IOD_CM for j in (0, 0.5, 1)]
    assert gaps[0] == pytest.approx(0, abs=0.01)
    assert gaps[2] == pytest.approx(0.21, abs=0.02)
    assert gaps[1] == pytest.approx(gaps[2] / 2, rel=0.15)


def test_blink_closes_one_eye_only(rest: np.ndarray):
    shut = moved(rest, blink_left=1.0)
    for upper, lower in zip(regions.LID_UPPER[0], regions.LID_LOWER[0], strict=True):
        assert distance(shut, upper, lower) < 0.08
    assert distance(shut, 386, 374) == pytest.approx(distance(moved(rest), 386, 374), abs=0.01)


def test_lids_stay_outside_the_eyeball(rest: np.ndarray):
    half_shut = {"blink_left": 0.5, "blink_right": 0.5}
    for controls in (half_shut, {"squint": 1.0, "cheek": 1.0}, {"gaze_y_rad": 0.4}, {"wide_eye": 1.0}):
        points = moved(rest, **controls)
        for side, centre in enumerate(eye_centres(rest)):
            assert np.linalg.norm(points[list(regions.EYE_RING[side])] - centre, axis=1).min() > 1.5


def test_lips_never_pass_through_each_other(rest: np.ndarray):
    rng = np.random.default_rng(3)
    controls = {name: rng.uniform(*CONTROL_RANGES[name], 200) for name in CONTROLS}
    points = deform(rest, control_array(controls, 200))
    upper, lower = (points[:, list(r[-1]), 1] for r in (regions.LIP_RINGS_UPPER, regions.LIP_RINGS_LOWER))
    assert (upper - lower).min() > -1e-9


@pytest.mark.parametrize(
    ("control", "a", "b", "grows"),
    [("wide", 61, 291, True), ("pucker", 61, 291, False), ("smile_left", 61, 152, True), ("frown", 61, 152, False),
     ("brow_in", 107, 133, True), ("knit", 107, 336, False), ("lip_up", 0, 2, False), ("lip_down", 17, 152, False),
     ("wide_eye", 159, 145, True), ("squint", 159, 145, False)],
)  # fmt: skip
def test_controls_move_what_they_say(rest: np.ndarray, control: str, a: int, b: int, grows: bool):
    assert (distance(moved(rest, **{control: 0.8}), a, b) > distance(rest, a, b)) == grows


def test_controls_of_both_sides_are_symmetric(rest: np.ndarray):
    face = moved(rest, jaw=0.4, frown=0.5, brow_in=-0.6, blink_left=0.4, blink_right=0.4, smile_left=0.3, smile_right=0.3)[:468]
    partner = mirror_map(load_cage().vertices)
    np.testing.assert_allclose(face[partner] * (-1, 1, 1), face, atol=0.04)  # MediaPipe's triangles are not quite symmetric


def test_many_frames_equal_single_frames(rest: np.ndarray):
    rng = np.random.default_rng(0)
    controls = {name: rng.uniform(*CONTROL_RANGES[name], 7) for name in CONTROLS}
    together = deform(rest, control_array(controls, 7))
    for t in range(7):
        alone = deform(rest, control_array({name: values[t] for name, values in controls.items()}, 1))[0]
        np.testing.assert_allclose(together[t], alone, atol=1e-12)


def test_unknown_control_is_an_error_and_excess_is_clipped():
    with pytest.raises(SpaceError, match="jawopen"):
        control_array({"jawopen": 1.0}, 1)
    assert control_array({"jaw": 3.0}, 1).max() == 1.0
