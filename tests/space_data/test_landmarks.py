"""Geometry whose answers are known by hand, exact inverses, and the sign conventions that ``docs/landmarks.md`` draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from space_data import landmarks as lm
from space_data.facemesh import mesh_of_image

angle = st.floats(-60, 60)


def template_78(n: int = 1) -> np.ndarray:
    """The template's 68 points with irises put into the middle of the eyes, (n, 78, 3)."""
    mesh = np.vstack([lm.template_mesh(), np.zeros((10, 3))])
    points = mesh[lm.MESH_TO_78]
    points[lm.IRIS_LEFT] = points[[36, 39]].mean(0)
    points[lm.IRIS_RIGHT] = points[[42, 45]].mean(0)
    return np.repeat(points[None], n, axis=0)


def pose(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, scale: float = 90.0) -> lm.PoseTrack:
    return lm.PoseTrack.from_array(np.array([[yaw, pitch, roll, scale, 250.0, 240.0, -10.0]]))


def test_index_list_has_every_point_once_and_groups_cover_it() -> None:
    assert len(set(lm.MESH_TO_78.tolist())) == lm.N_LANDMARKS
    covered = np.concatenate([lm.JAW, lm.BROWS, lm.NOSE, lm.EYES, lm.MOUTH, lm.IRISES])
    assert sorted(covered.tolist()) == list(range(lm.N_LANDMARKS))


def test_the_unit_is_the_template_inter_ocular_distance_and_the_origin_between_the_eyes() -> None:
    points = template_78()[0]
    left, right = points[list(lm.OUTER_EYE_CORNERS)]
    assert np.linalg.norm(right - left) == pytest.approx(1.0)
    assert np.allclose((left + right) / 2, 0.0)
    assert right[0] > left[0]  # x to the image right
    assert points[8, 1] > 0  # chin below the eyes: y down
    assert points[30, 2] < 0  # nose tip nearer than the eyes: z away from the camera


@pytest.mark.parametrize(
    ("angles", "axis", "sign"),
    [({"yaw": 20.0}, 0, -1), ({"pitch": 20.0}, 1, +1)],
    ids=["yaw + = nose to the image left", "pitch + = nose down"],
)
def test_signs_of_yaw_and_pitch(angles: dict[str, float], axis: int, sign: int) -> None:
    nose = 30
    moved = lm.posed(template_78(), pose(**angles))[0, nose, axis] - lm.posed(template_78(), pose())[0, nose, axis]
    assert np.sign(moved) == sign


def test_roll_is_clockwise_in_the_image() -> None:
    turned = lm.posed(template_78(), pose(roll=20.0))[0]
    left, right = turned[list(lm.OUTER_EYE_CORNERS)]
    assert right[1] > left[1]  # y down: the eye on the image right sinks


@settings(max_examples=60, deadline=None)
@given(yaw=angle, pitch=angle, roll=angle, scale=st.floats(20, 400))
def test_posed_and_normalise_are_inverse_and_the_pose_is_found_again(yaw: float, pitch: float, roll: float, scale: float) -> None:
    given_pose = pose(yaw, pitch, roll, scale)
    mesh = np.vstack([lm.template_mesh(), np.zeros((10, 3))])[None]
    pixels = lm.posed(mesh, given_pose)
    assert np.allclose(lm.normalise(pixels, given_pose), mesh, atol=1e-4)
    assert np.allclose(lm.estimate_pose(pixels).as_array(), given_pose.as_array(), atol=2e-2)
    points = lm.mesh_to_landmarks(pixels)
    assert np.allclose(lm.estimate_pose_78(points).as_array(), given_pose.as_array(), atol=2e-2)


@settings(max_examples=60, deadline=None)
@given(yaw=angle, pitch=angle, roll=angle)
def test_angles_come_back_from_the_matrix(yaw: float, pitch: float, roll: float) -> None:
    rotation = lm.rotation_matrix(np.array(yaw), np.array(pitch), np.array(roll))
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.allclose(lm.angles_deg(rotation), (yaw, pitch, roll), atol=1e-6)


def test_lost_frames_stay_lost() -> None:
    meshes = np.full((3, 478, 3), np.nan, np.float32)
    assert np.isnan(lm.estimate_pose(meshes).as_array()).all()


def test_pose_ignores_an_opening_mouth() -> None:
    mesh = np.vstack([lm.template_mesh(), np.zeros((10, 3))])[None].repeat(2, 0)
    lower_face = np.flatnonzero(mesh[0, :, 1] > 0.55)
    mesh[1, lower_face, 1] += 0.1
    poses = lm.estimate_pose(lm.posed(mesh, lm.PoseTrack.from_array(np.repeat(pose().as_array(), 2, 0)))).as_array()
    assert np.allclose(poses[0], poses[1], atol=1e-4)


def test_lip_measures_answer_by_hand() -> None:
    points = template_78(2)
    gap = lm.lip_gap(points)[0]
    for _, lower in lm.INNER_LIP_PAIRS:
        points[1, lower, 1] += 0.2
    assert lm.lip_gap(points)[1] - gap == pytest.approx(0.2, abs=1e-6)
    width = lm.lip_width(points)[0]
    points[1, lm.MOUTH_CORNERS[1], 0] += 0.1
    assert lm.lip_width(points)[1] == pytest.approx(width + 0.1, abs=2e-3)


def test_eye_measures_answer_by_hand() -> None:
    points = np.zeros((1, lm.N_LANDMARKS, 3), np.float32)
    for eye, iris in ((lm.EYE_LEFT, lm.IRIS_LEFT), (lm.EYE_RIGHT, lm.IRIS_RIGHT)):
        points[0, eye, :2] = [(0, 0), (1, -0.5), (2, -0.5), (3, 0), (2, 0.5), (1, 0.5)]
        points[0, iris, :2] = (1.5 + 0.3, 0.0)
    assert lm.eye_aspect_ratio(points)[0] == pytest.approx([1 / 3, 1 / 3])
    assert lm.gaze(points)[0] == pytest.approx([0.1, 0.0], abs=1e-6)


def test_the_astronaut_looks_almost_straight_at_the_camera(astronaut: np.ndarray) -> None:
    mesh = mesh_of_image(astronaut)
    assert mesh is not None
    track = lm.estimate_pose(mesh[None])
    assert abs(float(track.yaw_deg[0])) < 20
    normalised = lm.normalise(lm.mesh_to_landmarks(mesh[None]), track)
    assert 0.4 < float(lm.lip_width(normalised)[0]) < 0.8


def test_no_face_is_none() -> None:
    assert mesh_of_image(np.full((128, 128, 3), 90, np.uint8)) is None
