"""Landmark metrics on made-up faces whose answers are known by hand."""

import numpy as np
import pytest

from evaluation import landmark_metrics as lm
from evaluation.landmark_metrics import DetectedFace
from space_data.landmarks import (
    EYE_LEFT,
    EYE_RIGHT,
    FACE,
    INNER_LIP_PAIRS,
    MESH_TO_78,
    MOUTH,
    N_MESH,
    PoseTrack,
    posed,
    template_mesh,
)

FRAMES = 50


def neutral_face() -> np.ndarray:
    mesh = np.zeros((N_MESH, 3))
    mesh[:468] = template_mesh()
    mesh[468:] = template_mesh()[33]
    return mesh[MESH_TO_78].astype(np.float32)


def still_pose(n_frames: int = FRAMES, yaw_deg: float = 0.0) -> PoseTrack:
    zeros = np.zeros(n_frames, np.float32)
    return PoseTrack(zeros + yaw_deg, zeros, zeros, zeros + 100, np.full((n_frames, 3), 256, np.float32))


@pytest.fixture
def talking(rng) -> DetectedFace:
    """A face whose lower lip goes up and down while all points tremble a little."""
    points = np.repeat(neutral_face()[None], FRAMES, axis=0)
    opening = 0.05 * (1 + np.sin(np.arange(FRAMES) * 0.7))
    for _, lower in INNER_LIP_PAIRS:
        points[:, lower, 1] += opening
    return DetectedFace((points + rng.normal(0, 1e-3, points.shape)).astype(np.float32), still_pose())


def moved(track: DetectedFace, points: np.ndarray, shift: tuple[float, float, float]) -> DetectedFace:
    normalised = track.normalised.copy()
    normalised[:, points] += np.array(shift, np.float32)
    return DetectedFace(normalised, track.pose)


def test_identical_input_scores_perfectly(talking):
    assert lm.landmark_distance(talking, talking, MOUTH).mean() == 0
    assert lm.velocity_distance(talking, talking, FACE).mean() == 0
    assert lm.pose_distance(talking, talking).mean() == 0
    assert lm.lip_gap_moments(talking, talking).correlation() == pytest.approx(1.0)
    assert lm.lip_gap_moments(talking, talking).deviation_ratio() == pytest.approx(1.0)


def test_shifted_mouth_is_three_four_five(talking):
    candidate = moved(talking, MOUTH, (0.03, 0.04, 9.0))
    assert lm.landmark_distance(talking, candidate, MOUTH).mean() == pytest.approx(0.05, rel=1e-4)
    assert lm.landmark_distance(talking, candidate, FACE).mean() == pytest.approx(0.05 * len(MOUTH) / len(FACE), rel=1e-4)
    assert lm.velocity_distance(talking, candidate, MOUTH).mean() == pytest.approx(0, abs=1e-6)


def test_face_velocity_is_not_the_mouths_scaled(talking):
    """In a published implementation face LVD is mouth LVD x 20/68 in every row."""
    drift = talking.normalised.copy()
    drift[:, :17, 0] += 0.01 * np.arange(FRAMES, dtype=np.float32)[:, None]
    candidate = DetectedFace(drift, talking.pose)
    assert lm.velocity_distance(talking, candidate, MOUTH).mean() == pytest.approx(0, abs=1e-7)
    assert lm.velocity_distance(talking, candidate, FACE).mean() == pytest.approx(0.01 * 17 / 68, rel=1e-3)


def test_lost_frames_are_left_out_and_velocity_gaps_not_bridged(talking):
    normalised = talking.normalised.copy()
    normalised[10] = np.nan
    candidate = DetectedFace(normalised, talking.pose)
    assert lm.landmark_distance(talking, candidate, MOUTH).count == (FRAMES - 1) * len(MOUTH)
    assert lm.velocity_distance(talking, candidate, MOUTH).count == (FRAMES - 1 - 2) * len(MOUTH)
    assert lm.landmark_distance(talking, candidate, MOUTH).mean() == 0


def test_distances_of_chunks_add_up(talking):
    candidate = moved(talking, MOUTH, (0.1, 0, 0))
    whole = lm.landmark_distance(talking, candidate, FACE)
    parts = [
        lm.landmark_distance(
            DetectedFace(talking.normalised[a:b], talking.pose[a:b]),
            DetectedFace(candidate.normalised[a:b], talking.pose[a:b]),
            FACE,
        )
        for a, b in ((0, 7), (7, 31), (31, FRAMES))
    ]
    assert (parts[0] + parts[1] + parts[2]).mean() == pytest.approx(whole.mean(), rel=1e-12)


def test_distance_does_not_depend_on_pose_or_size(talking):
    """The same faces seen from elsewhere, through the detector's pose estimate."""
    mesh = np.zeros((1, N_MESH, 3), np.float32)
    mesh[0, :468] = template_mesh()
    mesh[0, 468:] = template_mesh()[33]
    turned = PoseTrack(*(np.array([v], np.float32) for v in (25.0, -10.0, 5.0, 180.0)), np.array([[300, 200, 40]], np.float32))
    frontal = DetectedFace.from_mesh(posed(mesh, still_pose(1)))
    seen = DetectedFace.from_mesh(posed(mesh, turned))
    assert lm.landmark_distance(frontal, seen, FACE).mean() == pytest.approx(0, abs=1e-5)
    assert seen.pose.yaw_deg[0] == pytest.approx(25, abs=1e-3)


def test_half_a_mouth_keeps_the_correlation_and_halves_the_ratio(talking):
    upper, lower = (np.array(side) for side in zip(*INNER_LIP_PAIRS, strict=True))
    normalised = talking.normalised.copy()
    gap = normalised[:, lower, 1] - normalised[:, upper, 1]
    normalised[:, lower, 1] = normalised[:, upper, 1] + gap / 2
    moments = lm.lip_gap_moments(talking, DetectedFace(normalised, talking.pose))
    assert moments.correlation() == pytest.approx(1.0, abs=1e-6)
    assert moments.deviation_ratio() == pytest.approx(0.5, rel=1e-5)


def test_pose_distance_is_the_angle(talking):
    turned = DetectedFace(talking.normalised, still_pose(yaw_deg=12.5))
    assert lm.pose_distance(talking, turned).mean() == pytest.approx(12.5, rel=1e-6)


def test_head_motion_of_a_square_wave_is_its_amplitude():
    yaw = np.where(np.arange(FRAMES) % 2, 8.0, -8.0).astype(np.float32)
    zeros = np.zeros(FRAMES, np.float32)
    pose = PoseTrack(yaw, zeros, zeros, zeros + 100, np.zeros((FRAMES, 3), np.float32))
    track = DetectedFace(np.repeat(neutral_face()[None], FRAMES, axis=0), pose)
    assert lm.head_motion_deg(track) == pytest.approx(8.0, rel=1e-5)
    assert lm.head_motion_deg(DetectedFace(track.normalised, still_pose())) == pytest.approx(0.0, abs=1e-9)


def test_two_blinks_in_two_seconds_are_sixty_a_minute():
    points = np.repeat(neutral_face()[None], FRAMES, axis=0)
    for begin, end in ((10, 14), (30, 33)):
        for eye in (EYE_LEFT, EYE_RIGHT):
            points[begin:end, eye, 1] = points[begin:end, eye, 1].mean(axis=1, keepdims=True)
    track = DetectedFace(points, still_pose())
    assert lm.blinks_per_min(track) == pytest.approx(60.0)
    squint = points.copy()
    squint[20:40] = points[11]
    assert lm.blinks_per_min(DetectedFace(squint, still_pose())) == pytest.approx(30.0), "longer than half a second is no blink"


def test_lengths_may_differ_by_one_frame_only(talking):
    reference, candidate = lm.paired(talking, talking.first(FRAMES - 1), 0.9)
    assert len(reference) == len(candidate) == FRAMES - 1
    with pytest.raises(lm.LengthMismatch, match="48 frames against 50"):
        lm.paired(talking, talking.first(FRAMES - 2), 0.9)


def test_too_few_faces_is_said(talking):
    normalised = talking.normalised.copy()
    normalised[: FRAMES // 2] = np.nan
    with pytest.raises(lm.NoFace, match="candidate: a face in 50%"):
        lm.paired(talking, DetectedFace(normalised, talking.pose), 0.9)
    nothing = DetectedFace(np.full_like(normalised, np.nan), talking.pose)
    assert lm.blinks_per_min(nothing) is None
    assert lm.head_motion_deg(nothing) is None
