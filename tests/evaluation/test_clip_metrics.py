"""Metrics of single clips on made-up faces whose answers are known by hand."""

import math

import numpy as np
import pytest

from evaluation.detected_face import DetectedFace, LengthMismatch, NoFace, paired
from evaluation.metrics import MEASURES, MeanStatistics, Metric, Pair, head, landmarks, lips, sync, values_of
from evaluation.metrics.head import blinks_of
from space_data.avsync import SyncScore
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

FRAMES = 60
UPPER, LOWER = (np.array(side) for side in zip(*INNER_LIP_PAIRS, strict=True))


def neutral_face() -> np.ndarray:
    mesh = np.zeros((N_MESH, 3))
    mesh[:468] = template_mesh()
    mesh[468:] = template_mesh()[33]
    return mesh[MESH_TO_78].astype(np.float32)


def still_pose(n_frames: int = FRAMES, yaw_deg: float | np.ndarray = 0.0) -> PoseTrack:
    zeros = np.zeros(n_frames, np.float32)
    return PoseTrack((zeros + yaw_deg).astype(np.float32), zeros, zeros, zeros + 100, np.full((n_frames, 3), 256, np.float32))


def face_with_gaps(gap: np.ndarray) -> DetectedFace:
    points = np.repeat(neutral_face()[None], len(gap), axis=0)
    points[:, LOWER, 1] = points[:, UPPER, 1] + gap[:, None]
    return DetectedFace(points.astype(np.float32), still_pose(len(gap)))


@pytest.fixture
def gap(rng) -> np.ndarray:
    """An opening without a period: closed now and then."""
    return np.abs(np.convolve(rng.normal(0, 0.05, FRAMES + 4), np.ones(5) / 2, "valid"))


@pytest.fixture
def talking(gap) -> DetectedFace:
    return face_with_gaps(gap)


def moved(track: DetectedFace, points: np.ndarray, shift: tuple[float, float, float]) -> DetectedFace:
    normalised = track.normalised.copy()
    normalised[:, points] += np.array(shift, np.float32)
    return DetectedFace(normalised, track.pose)


def pair_of(reference: DetectedFace, candidate: DetectedFace, score: SyncScore | None = None) -> Pair:
    return Pair(reference, candidate, np.ones(len(reference), bool), score)


def value(metric: Metric, pair: Pair) -> float | None:
    sums = {
        name: one for measure in MEASURES if set(measure.names) & set(metric.statistics) for name, one in measure.of(pair).items()
    }
    means = {name: one.mean() for name, one in sums.items() if one.count}
    return values_of(means, (metric,))[metric.metric_id]


def test_identical_input_scores_perfectly(talking):
    same = pair_of(talking, talking)
    assert [value(m, same) for m in landmarks.METRICS] == pytest.approx([0.0] * len(landmarks.METRICS), abs=1e-7)
    perfect = {
        lips.LIP_VELOCITY_R: 1,
        lips.LIP_GAP_R: 1,
        lips.LIP_LAG: 0,
        lips.LIP_AMPLITUDE: 0,
        lips.CLOSURE_F1: 1,
        head.POSE: 0,
    }
    assert [value(m, same) for m in perfect] == pytest.approx(list(perfect.values()), abs=1e-6)


# Lips


def test_half_a_mouth_keeps_the_correlation_and_halves_the_amplitude(talking, gap):
    half = pair_of(talking, face_with_gaps(gap / 2))
    assert value(lips.LIP_VELOCITY_R, half) == pytest.approx(1.0, abs=1e-4)
    assert value(lips.LIP_AMPLITUDE, half) == pytest.approx(math.log(0.5), rel=1e-4)


def test_a_still_mouth_is_no_missing_value_but_no_correlation(talking, gap, rng):
    jitter = face_with_gaps(0.1 + rng.normal(0, 1e-4, FRAMES))
    for still in (face_with_gaps(np.full(FRAMES, 0.1)), jitter):
        pair = pair_of(talking, still)
        assert value(lips.LIP_VELOCITY_R, pair) == 0.0 and value(lips.LIP_GAP_R, pair) == 0.0
        assert value(lips.LIP_AMPLITUDE, pair) == pytest.approx(math.log(lips.STILL_RATIO))
        assert value(lips.LIP_LAG, pair) is None
    silent = pair_of(face_with_gaps(np.full(FRAMES, 0.1)), talking)
    assert value(lips.LIP_VELOCITY_R, silent) is None and value(lips.LIP_AMPLITUDE, silent) is None, "nothing to follow"


@pytest.mark.parametrize("lag", [-7, -1, 0, 5, 12])
def test_a_shifted_mouth_is_found_with_sign_and_size(rng, lag):
    long = np.abs(np.convolve(rng.normal(0, 0.05, 140), np.ones(3), "valid"))
    reference, candidate = long[20:120], long[20 - lag : 120 - lag]  # + = the candidate is late
    assert value(lips.LIP_LAG, pair_of(face_with_gaps(reference), face_with_gaps(candidate))) == lag


def test_no_lag_is_told_of_another_clips_lips(rng):
    found = []
    for _ in range(40):
        one, other = (face_with_gaps(np.abs(np.cumsum(rng.normal(0, 0.01, 125)))) for _ in range(2))
        found.append(value(lips.LIP_LAG, pair_of(one, other)))
    assert sum(lag is not None for lag in found) <= 4


def test_closures_by_hand():
    recorded, made = np.full(FRAMES, 0.1), np.full(FRAMES, 0.1)
    recorded[[10, 20, 30, 40]] = 0.0
    made[[12, 20, 50]] = 0.0  # two right (one late by two frames), one wrong; two of four found
    assert value(lips.CLOSURE_F1, pair_of(face_with_gaps(recorded), face_with_gaps(made))) == pytest.approx(
        2 * (2 / 3) * 0.5 / (2 / 3 + 0.5)
    )
    never = pair_of(face_with_gaps(made + 0.1), face_with_gaps(made))
    assert value(lips.CLOSURE_F1, never) is None, "a recording that never closes asks for nothing"
    assert value(lips.CLOSURE_F1, pair_of(face_with_gaps(recorded), face_with_gaps(made + 0.1))) == 0.0
    silence = Pair(face_with_gaps(recorded), face_with_gaps(made), np.zeros(FRAMES, bool))
    assert value(lips.CLOSURE_F1, silence) is None


def test_frames_without_a_face_count_nowhere(talking, gap):
    normalised = talking.normalised.copy()
    normalised[10:14] = np.nan
    pair = pair_of(talking, DetectedFace(normalised, talking.pose))
    assert value(lips.LIP_VELOCITY_R, pair) == pytest.approx(1.0) and value(lips.LIP_LAG, pair) == 0
    assert lips.lip_moments(pair)["lip_gap_x"].count == FRAMES - 4
    assert lips.lip_moments(pair)["lip_velocity_x"].count == FRAMES - 1 - 5, "gaps are not bridged"


# Landmarks


def test_shifted_mouth_is_three_four_five(talking):
    pair = pair_of(talking, moved(talking, MOUTH, (0.03, 0.04, 9.0)))
    assert value(landmarks.LD_MOUTH, pair) == pytest.approx(0.05, rel=1e-4)
    assert value(landmarks.LD_CONSTANT_MOUTH, pair) == pytest.approx(0.05, rel=1e-4)
    assert value(landmarks.LD_MOTION_MOUTH, pair) == pytest.approx(0, abs=1e-6), "all of it is constant"
    assert value(landmarks.LD_FACE, pair) == pytest.approx(0.05 * len(MOUTH) / len(FACE), rel=1e-4)
    assert value(landmarks.LVD_MOUTH, pair) == pytest.approx(0, abs=1e-6)
    assert value(landmarks.LD_POSED_MOUTH, pair) == pytest.approx(0.05, rel=1e-4)


def test_motion_alone_has_no_constant_part():
    reference = face_with_gaps(np.full(FRAMES, 0.1))
    swing = np.where(np.arange(FRAMES) % 2, 0.05, -0.05).astype(np.float32)
    normalised = reference.normalised.copy()
    normalised[:, MOUTH, 0] += swing[:, None]
    pair = pair_of(reference, DetectedFace(normalised, reference.pose))
    assert value(landmarks.LD_CONSTANT_MOUTH, pair) == pytest.approx(0, abs=1e-6)
    assert value(landmarks.LD_MOTION_MOUTH, pair) == value(landmarks.LD_MOUTH, pair) == pytest.approx(0.05, rel=1e-4)
    assert value(landmarks.LVD_MOUTH, pair) == pytest.approx(0.1, rel=1e-4)


def test_face_velocity_is_not_the_mouths_scaled(talking):
    """In a published implementation face LVD is mouth LVD x 20/68 in every row."""
    drift = talking.normalised.copy()
    drift[:, :17, 0] += 0.01 * np.arange(FRAMES, dtype=np.float32)[:, None]
    pair = pair_of(talking, DetectedFace(drift, talking.pose))
    assert value(landmarks.LVD_MOUTH, pair) == pytest.approx(0, abs=1e-7)
    assert value(landmarks.LVD_FACE, pair) == pytest.approx(0.01 * 17 / 68, rel=1e-3)


def test_lost_frames_are_left_out_and_velocity_gaps_not_bridged(talking):
    normalised = talking.normalised.copy()
    normalised[10] = np.nan
    found = landmarks.of_region("mouth").of(pair_of(talking, DetectedFace(normalised, talking.pose)))
    assert found["ld_mouth"] == MeanStatistics(0.0, (FRAMES - 1) * len(MOUTH))
    assert found["lvd_mouth"].count == (FRAMES - 1 - 2) * len(MOUTH)


def test_distance_does_not_depend_on_pose_or_size_and_the_posed_one_does():
    """The same faces seen from elsewhere, through the detector's pose estimate."""
    mesh = np.zeros((1, N_MESH, 3), np.float32)
    mesh[0, :468] = template_mesh()
    mesh[0, 468:] = template_mesh()[33]
    turned = PoseTrack(*(np.array([v], np.float32) for v in (25.0, -10.0, 5.0, 180.0)), np.array([[300, 200, 40]], np.float32))
    pair = pair_of(DetectedFace.from_mesh(posed(mesh, still_pose(1))), DetectedFace.from_mesh(posed(mesh, turned)))
    assert value(landmarks.LD_FACE, pair) == pytest.approx(0, abs=1e-5)
    assert value(landmarks.LD_POSED_FACE, pair) > 0.3
    assert pair.candidate.pose.yaw_deg[0] == pytest.approx(25, abs=1e-3)


# Head and eyes


def test_pose_distance_is_the_angle(talking):
    turned = pair_of(talking, DetectedFace(talking.normalised, still_pose(yaw_deg=12.5)))
    assert value(head.POSE, turned) == pytest.approx(12.5, rel=1e-6)


def test_head_motion_of_a_square_wave_is_its_amplitude(talking):
    wave = np.where(np.arange(FRAMES) % 2, 8.0, -8.0)
    swinging = pair_of(talking, DetectedFace(talking.normalised, still_pose(yaw_deg=wave)))
    assert value(head.HEAD_MOTION, swinging) == pytest.approx(8.0, rel=1e-5)
    assert value(head.HEAD_SPEED, swinging) == pytest.approx(16.0 * 25, rel=1e-5)
    assert value(head.YAW_AUTOCORRELATION, swinging) == pytest.approx(-1.0), "25 frames later it is on the other side"
    still = pair_of(talking, talking)
    assert value(head.HEAD_MOTION, still) == pytest.approx(0.0, abs=1e-9) and value(head.YAW_AUTOCORRELATION, still) is None


def test_range_and_spectrum_of_two_sines(talking):
    seconds = np.arange(200) / 25
    wave = 6 * np.sin(2 * np.pi * 0.5 * seconds) + 2 * np.sin(2 * np.pi * 3 * seconds)
    face = DetectedFace(np.repeat(talking.normalised[:1], 200, 0), still_pose(200, wave))
    pair = pair_of(face, face)
    assert value(head.HEAD_SPECTRUM, pair) == pytest.approx(2**2 / (2**2 + 6**2), rel=0.03), "power goes by the squares"
    slow = DetectedFace(face.normalised, still_pose(200, 6 * np.sin(2 * np.pi * 0.5 * seconds)))
    assert value(head.HEAD_SPECTRUM, pair_of(face, slow)) == pytest.approx(0, abs=0.01), "of the candidate, not of the recording"
    ramp = DetectedFace(face.normalised, still_pose(200, np.linspace(-10, 10, 200)))
    assert value(head.YAW_RANGE, pair_of(face, ramp)) == pytest.approx(18, rel=1e-3)
    moved_on = DetectedFace(face.normalised, still_pose(200, wave + 20))
    for metric in (head.YAW_RANGE, head.HEAD_SPECTRUM):
        assert value(metric, pair_of(face, moved_on)) == pytest.approx(value(metric, pair), rel=1e-3)


def test_range_and_spectrum_without_a_head_that_moves(talking):
    still = pair_of(talking, talking)
    assert value(head.YAW_RANGE, still) == 0 and value(head.HEAD_SPECTRUM, still) is None
    short = DetectedFace(talking.normalised[:49], still_pose(49, np.sin(np.arange(49))))
    assert value(head.HEAD_SPECTRUM, pair_of(short, short)) is None and value(head.YAW_RANGE, pair_of(short, short)) > 1
    lost = DetectedFace(np.full((120, 78, 3), np.nan, np.float32), still_pose(120, np.nan))
    assert value(head.YAW_RANGE, pair_of(lost, lost)) is None and value(head.HEAD_SPECTRUM, pair_of(lost, lost)) is None
    wave = np.sin(np.arange(120.0))
    wave[70:75] = np.nan
    gap = DetectedFace(np.repeat(talking.normalised[:1], 120, 0), still_pose(120, wave))
    whole = DetectedFace(gap.normalised[:70], still_pose(70, wave[:70]))
    assert value(head.HEAD_SPECTRUM, pair_of(gap, gap)) == value(head.HEAD_SPECTRUM, pair_of(whole, whole)), "the longest stretch"


def test_two_blinks_and_their_length(talking):
    points = np.repeat(neutral_face()[None], 50, axis=0)

    def shut(track: np.ndarray, begin: int, end: int) -> None:
        for eye in (EYE_LEFT, EYE_RIGHT):
            track[begin:end, eye, 1] = track[begin:end, eye, 1].mean(axis=1, keepdims=True)

    shut(points, 10, 14)
    shut(points, 30, 33)
    track = DetectedFace(points, still_pose(50))
    pair = pair_of(track, track)
    assert value(head.BLINK_RATE, pair) == pytest.approx(60.0) and value(head.BLINK_DURATION, pair) == pytest.approx(3.5 / 25)
    cut = points.copy()
    shut(cut, 46, 50)
    assert blinks_of(DetectedFace(cut, still_pose(50))) == blinks_of(track), "nobody knows how long a blink at the end is"
    squint = points.copy()
    squint[20:40] = points[11]
    assert blinks_of(DetectedFace(squint, still_pose(50))) == [(10, 14)], "longer than half a second is no blink"
    lost = DetectedFace(np.concatenate([points, np.full((50, *points.shape[1:]), np.nan, np.float32)]), still_pose(100))
    assert value(head.BLINK_RATE, pair_of(lost, lost)) == pytest.approx(60.0), "nobody saw whether they blinked then"
    open_eyes = pair_of(talking, talking)
    assert value(head.BLINK_RATE, open_eyes) == 0 and value(head.BLINK_DURATION, open_eyes) is None


def test_nothing_is_measured_of_nothing(talking):
    nothing = DetectedFace(np.full_like(talking.normalised, np.nan), still_pose())
    pair = pair_of(talking, nothing)
    for measure in MEASURES:
        if measure.need == "faces":
            assert all(one.count == 0 or one.total == 0 for one in measure.of(pair).values()), measure.names
    assert value(head.BLINK_RATE, pair) is None, "not 0: nobody saw the eyes"


# Sync


def test_sync_scores_pass_through_and_keep_the_sign(talking):
    pair = pair_of(talking, talking, SyncScore(-3, 0.25, 0.5))
    assert [value(m, pair) for m in sync.METRICS] == [0.5, 0.25, -3.0]
    assert [value(m, pair_of(talking, talking)) for m in sync.METRICS] == [None] * 3


# Checks


def test_lengths_may_differ_by_one_frame_only(talking):
    reference, candidate = paired(talking, talking.first(FRAMES - 1), 0.9)
    assert len(reference) == len(candidate) == FRAMES - 1
    with pytest.raises(LengthMismatch, match="58 frames against 60"):
        paired(talking, talking.first(FRAMES - 2), 0.9)


def test_too_few_faces_is_said(talking):
    normalised = talking.normalised.copy()
    normalised[: FRAMES // 2] = np.nan
    with pytest.raises(NoFace, match="candidate: a face in 50%"):
        paired(talking, DetectedFace(normalised, talking.pose), 0.9)
