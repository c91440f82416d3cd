"""The filmed head: determinism, truth, signs, and that the detector finds it."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.landmarks import estimate_pose
from space_data.synthetic.head import HeadRenderer, draw_identities, draw_identity, draw_scene, landmark_track
from space_data.synthetic.identity import MIN_SHAPE_DISTANCE, Identity, face_vertices, shape_distance
from space_data.synthetic.scene import Scene, camera_of

SIZE_PX = 192


@pytest.fixture(scope="module")
def person() -> Identity:
    return dataclasses.replace(draw_identity(np.random.default_rng(5)), hair_style="buzz", beard=0.0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return draw_scene(np.random.default_rng(6))


@pytest.fixture(scope="module")
def film(person: Identity, scene: Scene) -> HeadRenderer:
    return HeadRenderer(person, scene, SIZE_PX)


_DIGEST = """
import hashlib, numpy as np
from space_data.synthetic.head import HeadRenderer, draw_identity, draw_scene
rng = np.random.default_rng(11)
film = HeadRenderer(draw_identity(rng), draw_scene(rng), 64)
rgb, truth = film.frame({"jaw": 0.5, "smile_left": 0.3}, 10, -4, 3)
print(hashlib.sha256(rgb.tobytes() + truth.mesh_px.tobytes()).hexdigest())
"""


def test_two_processes_make_the_same_bytes():
    command = [sys.executable, "-c", _DIGEST]
    digests = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert digests[0] == digests[1] and len(digests[0].strip()) == 64


def test_frames_do_not_depend_on_earlier_frames(film: HeadRenderer):
    first, _ = film.frame({"jaw": 0.4}, 5, 0, 0)
    film.frame({"blink_left": 1.0, "tongue": 1.0, "gaze_x_rad": 0.3}, -20, 5, 4)
    again, _ = film.frame({"jaw": 0.4}, 5, 0, 0)
    np.testing.assert_array_equal(first, again)


def test_truth_projects_a_known_vertex(film: HeadRenderer, person: Identity, scene: Scene):
    _, truth = film.frame({})
    x, y, z = face_vertices(person.shape)[4]
    camera = camera_of(scene, SIZE_PX)
    expected = SIZE_PX / 2 + camera.focal_px * np.array([x - camera.x_cm, camera.y_cm - y]) / (camera.distance_cm - z)
    np.testing.assert_allclose(truth.mesh_px[4, :2], expected, atol=1e-3)
    assert truth.mesh_px[4, 2] < truth.mesh_px[234, 2]  # the nose is nearer than the ear: smaller z
    assert truth.mesh_px.shape == (478, 3) and truth.mesh_px.dtype == np.float32


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(25, 0, 0), (0, 12, 0), (0, 0, 15), (-20, -8, 10)])
def test_pose_of_the_truth_has_the_documented_signs(film: HeadRenderer, yaw: float, pitch: float, roll: float):
    rest = estimate_pose(film.frame({})[1].mesh_px[None])
    pose = estimate_pose(film.frame({}, yaw, pitch, roll)[1].mesh_px[None])
    assert pose.yaw_deg[0] - rest.yaw_deg[0] == pytest.approx(yaw, abs=4)
    assert pose.pitch_deg[0] - rest.pitch_deg[0] == pytest.approx(pitch, abs=4)
    assert pose.roll_deg[0] - rest.roll_deg[0] == pytest.approx(roll, abs=4)


def test_yaw_moves_the_nose_to_the_image_left_and_pitch_down(film: HeadRenderer):
    rest, yawed, nodding = (film.frame({}, y, p)[1].mesh_px for y, p in ((0, 0), (20, 0), (0, 10)))
    assert yawed[4, 0] < rest[4, 0] - 2
    assert nodding[4, 1] > rest[4, 1] + 1


def test_gaze_moves_the_irises(film: HeadRenderer):
    rest, right, up = (film.frame(c)[1].mesh_px for c in ({}, {"gaze_x_rad": 0.4}, {"gaze_y_rad": 0.3}))
    assert (right[[468, 473], 0] > rest[[468, 473], 0] + 2).all()
    assert (up[[468, 473], 1] < rest[[468, 473], 1] - 1).all()


def test_track_equals_the_truth_of_frames(film: HeadRenderer, person: Identity, scene: Scene):
    rng = np.random.default_rng(1)
    controls = {"jaw": rng.random(4), "blink_left": rng.random(4), "gaze_x_rad": rng.uniform(-0.3, 0.3, 4)}
    pose = {"yaw_deg": rng.uniform(-20, 20, 4), "roll_deg": rng.uniform(-5, 5, 4), "shift_x_cm": rng.uniform(-1, 1, 4)}
    track = landmark_track(person, controls, pose, scene, SIZE_PX)
    for t in range(4):
        frame = {name: float(values[t]) for name, values in controls.items()}
        yaw, roll, shift = (float(pose[name][t]) for name in ("yaw_deg", "roll_deg", "shift_x_cm"))
        _, truth = film.frame(frame, yaw, 0.0, roll, (shift, 0.0))
        np.testing.assert_allclose(track[t], truth.mesh_px, atol=1e-3)


def test_track_refuses_unequal_lengths_and_unknown_poses(person: Identity, scene: Scene):
    with pytest.raises(SpaceError, match="one length"):
        landmark_track(person, {"jaw": np.zeros(3)}, {"yaw_deg": np.zeros(4)}, scene)
    with pytest.raises(SpaceError, match="yaw unknown"):
        landmark_track(person, {"jaw": np.zeros(3)}, {"yaw": np.zeros(3)}, scene)


def test_a_clip_is_its_frames_one_by_one(film: HeadRenderer):
    controls = {"jaw": np.array([0.1, 0.6]), "gaze_x_rad": np.array([0.0, 0.3]), "tongue": np.array([0.5, 0.0])}
    pose = {"yaw_deg": np.array([5.0, -12.0]), "roll_deg": np.array([0.0, 4.0]), "shift_x_cm": np.array([0.2, 0.0])}
    clip = list(film.frames(controls, pose))
    for t, (rgb, truth) in enumerate(clip):
        shift = (pose["shift_x_cm"][t], 0.0)
        one, alone = film.frame({n: c[t] for n, c in controls.items()}, pose["yaw_deg"][t], 0.0, pose["roll_deg"][t], shift)
        assert np.abs(rgb.astype(int) - one).max() <= 2 and np.allclose(truth.mesh_px, alone.mesh_px, atol=1e-3)
        assert (truth.yaw_deg, truth.roll_deg) == (alone.yaw_deg, alone.roll_deg)
    assert len(clip) == 2 and np.abs(clip[0][0].astype(int) - clip[1][0]).max() > 20


def test_renderer_refuses_a_thumbnail(person: Identity, scene: Scene):
    with pytest.raises(SpaceError, match="8 px"):
        HeadRenderer(person, scene, 8)


def test_opening_the_mouth_changes_the_mouth_only(film: HeadRenderer):
    shut, truth = film.frame({})
    opened, _ = film.frame({"jaw": 0.7})
    changed = np.abs(shut.astype(int) - opened).max(2) > 12
    mouth_y = int(truth.mesh_px[13, 1])
    assert changed[mouth_y : mouth_y + 20].any()
    assert changed[: int(truth.mesh_px[168, 1])].mean() < 1e-3


def test_identities_differ_and_repeat():
    a, b = (draw_identities(np.random.default_rng(9), 6) for _ in range(2))
    assert a == b
    distances = [shape_distance(p.shape, q.shape) for i, p in enumerate(a) for q in a[:i]]
    assert min(distances) >= MIN_SHAPE_DISTANCE


def test_more_faces_than_fit_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("space_data.synthetic.identity.MIN_SHAPE_DISTANCE", 5.0)
    monkeypatch.setattr("space_data.synthetic.identity._MAX_DRAWS_PER_IDENTITY", 3)
    with pytest.raises(SpaceError, match="needed 3"):
        draw_identities(np.random.default_rng(0), 3)


def test_detector_finds_the_head_where_it_is(film: HeadRenderer):
    from space_data.facemesh import mesh_of_image

    key = [33, 133, 263, 362, 1, 61, 291, 152, 0, 17, 13, 14]
    for yaw, jaw in ((0, 0.0), (-25, 0.5), (25, 0.2)):
        rgb, truth = film.frame({"jaw": jaw}, yaw)
        mesh = mesh_of_image(rgb)
        assert mesh is not None
        iod = np.linalg.norm(film.frame({})[1].mesh_px[33, :2] - film.frame({})[1].mesh_px[263, :2])
        assert np.linalg.norm(mesh[key, :2] - truth.mesh_px[key, :2], axis=1).mean() / iod < 0.08
