"""The warp mesh: topology, operator and clamps."""

import numpy as np
import pytest

from space_data.landmarks import IBUG68, INNER_LIP_PAIRS, LID_PAIRS, MESH_TO_78
from space_models.generators import warp_mesh as wm
from space_models.portrait import load_portrait


@pytest.fixture(scope="module")
def mesh() -> wm.WarpMesh:
    from skimage.data import astronaut

    portrait = load_portrait(astronaut())
    matte = np.zeros((512, 512), np.float32)
    matte[20:, 80:430] = 1
    return wm.build_mesh(portrait.mesh, matte, 512)


def test_strips_close_the_holes_exactly():
    skin = wm._skin_triangles()
    fillers = wm._strip(wm.LIP_UPPER, wm.LIP_LOWER)
    for rows in zip(wm.LID_UPPER, wm.LID_LOWER, strict=True):
        fillers += wm._strip(*rows)
    triangles = np.concatenate([skin, fillers])
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    assert counts.max() == 2
    rim = {tuple(edge) for edge in unique[counts == 1]}
    oval = wm.FACE_OVAL
    assert rim == {tuple(sorted((int(a), int(b)))) for a, b in zip(oval, np.roll(oval, -1), strict=True)}


def test_landmark_displacements_are_reproduced(mesh):
    moved = mesh.operator[MESH_TO_78[IBUG68]]
    np.testing.assert_allclose(moved, np.eye(68), atol=0.08)


def test_lips_part_without_dragging_each_other(mesh):
    lower_lip_down = np.zeros(68)
    lower_lip_down[[65, 66, 67]] = 1
    moved = mesh.operator @ lower_lip_down
    assert moved[wm.LIP_LOWER[4:7]].min() > 0.95
    assert np.abs(moved[wm.LIP_UPPER[3:8]]).max() < 0.2


def test_border_and_far_vertices_stay(mesh):
    border = len(mesh.vertices) - 64
    assert np.abs(mesh.operator[border:]).max() < 0.02
    assert (mesh.head_weight[border:] == 0).all() and (mesh.head_weight[: wm.N_FACE] == 1).all()
    outside = mesh.vertices[wm.N_FACE : border, 0] < 10
    assert (mesh.head_weight[wm.N_FACE : border][outside] < 0.1).all()


def test_rings_are_never_nearer_than_the_face_edge(mesh):
    oval_z = mesh.vertices[wm.FACE_OVAL, 2]
    rings = mesh.vertices[wm.N_FACE : -64]
    assert rings[:, 2].min() >= oval_z.min() - 1e-9


def test_crossing_lips_meet_in_the_middle_and_lids_stop(mesh):
    photo, down = mesh.landmarks, mesh.down
    target = photo.copy()
    upper, lower = INNER_LIP_PAIRS[1]
    target[upper, :2] += 40 * down
    middle = (target[upper, :2] + target[lower, :2]) @ down / 2
    lid_upper, lid_lower = LID_PAIRS[0]
    target[lid_upper, :2] += 30 * down
    clamped = wm.clamp_controls(target, photo, down)
    assert clamped[upper, :2] @ down == pytest.approx(middle)
    assert clamped[lower, :2] @ down == pytest.approx(middle)
    assert clamped[lid_upper, :2] @ down == pytest.approx(clamped[lid_lower, :2] @ down)
    np.testing.assert_array_equal(clamped[lid_lower], target[lid_lower])


def test_eyes_open_at_most_so_wide(mesh):
    photo, down = mesh.landmarks, mesh.down
    upper, lower = LID_PAIRS[2]
    target = photo.copy()
    target[upper, :2] -= 50 * down
    clamped = wm.clamp_controls(target, photo, down)
    opening = (photo[lower, :2] - photo[upper, :2]) @ down
    assert (clamped[lower, :2] - clamped[upper, :2]) @ down == pytest.approx(wm.LID_WIDEST * opening)


def test_rows_are_put_in_order_between_landmarks(mesh):
    vertices = mesh.vertices.copy()
    vertices[wm.LIP_UPPER[4], :2] += 60 * mesh.down
    wm.clamp_rows(vertices, mesh.down)
    openings = (vertices[wm.LIP_LOWER, :2] - vertices[wm.LIP_UPPER, :2]) @ mesh.down
    assert openings.min() > -1e-9
