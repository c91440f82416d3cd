"""How far a head is turned, read from the picture plane: heads of known yaw, whole and with a depth that is too shallow."""

import numpy as np
import pytest

from space_data.facemesh import track_faces
from space_data.landmarks import estimate_pose, estimate_pose_78, mesh_to_landmarks
from space_data.synthetic.head import HeadRenderer, draw_scene, landmark_track
from space_data.synthetic.performance import people
from space_data.turn import picture_yaw_deg, turn_deg

YAWS = np.arange(-60.0, 61.0, 10.0)


@pytest.mark.parametrize("person", range(4))
def test_true_points_give_the_true_turn(person: int) -> None:
    identity = people(7, 4, "head")[person].identity
    angles = {"yaw_deg": YAWS, "pitch_deg": np.full(len(YAWS), 8.0), "roll_deg": np.full(len(YAWS), -10.0)}
    points = mesh_to_landmarks(landmark_track(identity, {}, angles, draw_scene(np.random.default_rng(person))))
    found = picture_yaw_deg(points)
    assert np.abs(found - YAWS).max() < 8, "a near camera makes a turn look a little larger"
    assert (np.diff(found) > 0).all()


def test_a_depth_that_is_too_shallow_hides_a_turn_from_the_pose_but_not_from_the_picture() -> None:
    identity = people(7, 1, "head")[0].identity
    points = mesh_to_landmarks(landmark_track(identity, {}, {"yaw_deg": YAWS}, draw_scene(np.random.default_rng(0))))
    shallow = points * np.array([1, 1, 0.3], np.float32)
    by_pose = estimate_pose_78(shallow).yaw_deg
    turned, whole = turn_deg(by_pose, shallow), np.abs(estimate_pose_78(points).yaw_deg)
    far = np.abs(YAWS) >= 40
    assert (np.abs(by_pose[far]) < whole[far] - 3).all()
    assert (np.abs(turned[far] - whole[far]) < 3).all()


def test_a_head_that_is_looked_at() -> None:
    renderer = HeadRenderer(people(7, 1, "head")[0].identity, draw_scene(np.random.default_rng(100)), 192)
    yaws = np.array([0.0, 15.0, 30.0, 36.0, 42.0, 48.0])
    mesh = track_faces(rgb for rgb, _ in renderer.frames({}, {"yaw_deg": yaws}))
    found = turn_deg(estimate_pose(mesh).yaw_deg, mesh_to_landmarks(mesh))
    assert np.abs(found - yaws).max() < 6


def test_frames_without_a_face() -> None:
    points = np.full((2, 78, 3), np.nan, np.float32)
    assert np.isnan(picture_yaw_deg(points)).all() and np.isnan(turn_deg(np.full(2, np.nan), points)).all()
    assert picture_yaw_deg(points[:0]).shape == (0,)
