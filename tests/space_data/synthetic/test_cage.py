"""The cage: topology known by count, symmetry, scale, and the errors of its maker."""

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.synthetic import cage as cage_module
from space_data.synthetic.cage import load_cage, mirror_map, oriented, procrustes_mean, symmetric, tessellation


def _edge_uses(triangles: np.ndarray) -> np.ndarray:
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    return np.unique(edges, axis=0, return_counts=True)[1]


def test_topology_is_a_face_with_three_holes():
    cage = load_cage()
    uses = _edge_uses(cage.triangles)
    assert cage.vertices.shape == (468, 3) and cage.triangles.shape == (852, 3)
    assert len(uses) == 1322
    assert (uses == 1).sum() == 36 + 16 + 16 + 20  # oval, two eyes, mouth
    assert set(uses) == {1, 2}


def test_shipped_triangles_are_mediapipes():
    shipped = {frozenset(t) for t in load_cage().triangles.tolist()}
    assert shipped == {frozenset(t) for t in tessellation().tolist()}


def test_scale_and_place_are_as_documented():
    vertices = load_cage().vertices
    assert np.linalg.norm(vertices[234] - vertices[454]) == pytest.approx(15.33, abs=1e-4)
    assert vertices[168] == pytest.approx((0.0, 3.27, 5.24), abs=1e-4)
    assert vertices[4, 2] == vertices[:, 2].max()  # the nose tip is nearest to the camera
    assert vertices[10, 1] > vertices[33, 1] > vertices[61, 1] > vertices[152, 1]  # forehead above eyes above mouth above chin
    assert vertices[33, 0] < 0 < vertices[263, 0]


def test_face_is_its_own_mirror_image():
    vertices = load_cage().vertices
    partner = mirror_map(vertices)
    assert partner[[33, 61, 234, 159, 4]].tolist() == [263, 291, 454, 386, 4]
    np.testing.assert_allclose(vertices[partner] * (-1, 1, 1), vertices, atol=2e-6)


def test_outside_of_every_triangle_faces_away_from_the_head():
    cage = load_cage()
    corner = cage.vertices[cage.triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    outward = corner.mean(1) - (0.0, 0.0, -4.0)
    assert ((normal * outward).sum(1) > 0).mean() > 0.97  # nostrils and lips fold a little


def test_oriented_repairs_random_windings():
    cage = load_cage()
    flip = np.random.default_rng(0).random(len(cage.triangles)) < 0.5
    shuffled = np.where(flip[:, None], cage.triangles[:, ::-1], cage.triangles)
    repaired = oriented(shuffled, cage.vertices)
    assert {tuple(np.roll(t, -t.argmin())) for t in repaired} == {tuple(np.roll(t, -t.argmin())) for t in cage.triangles}


def test_procrustes_mean_of_moved_copies_is_the_shape():
    shape = load_cage().vertices
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    mean = procrustes_mean(np.stack([shape @ turn * 3 + 5, shape, shape @ turn.T * 0.5]), shape)
    np.testing.assert_allclose(mean, shape, atol=1e-8)


def test_symmetric_rights_a_tilted_face():
    shape = load_cage().vertices
    angle = np.deg2rad(4)
    tilted = shape @ np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    result = symmetric(tilted)
    partner = mirror_map(result)
    np.testing.assert_allclose(result[partner] * (-1, 1, 1), result, atol=1e-9)


def test_pairs_that_are_not_mutual_are_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cage_module, "_nearest_mirror", lambda vertices: np.roll(np.arange(len(vertices)), 1))
    points = load_cage().vertices
    with pytest.raises(SpaceError, match="mirror partner"):
        mirror_map(points)


def test_another_mediapipe_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cage_module, "N_CAGE_TRIANGLES", 900)
    with pytest.raises(SpaceError, match="852|2556"):
        tessellation()
