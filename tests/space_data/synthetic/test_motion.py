"""Head motion, blinks and gaze."""

import numpy as np
import pytest

from space_data.synthetic.motion import (
    BLINK_PROFILE,
    GAZE_LIMIT_RAD,
    POSE_LIMIT_DEG,
    VESTIBULAR_GAIN,
    blink_times_s,
    draw_motion,
)
from space_data.synthetic.rhythm import SILENCE

LONG = np.ones(5000)


def test_same_generator_same_motion_other_generator_another() -> None:
    a, b, c = (draw_motion(np.random.default_rng(seed), np.ones(100), SILENCE) for seed in (1, 1, 2))
    assert np.array_equal(a.yaw_deg, b.yaw_deg) and a.blinks == b.blinks
    assert not np.allclose(a.yaw_deg, c.yaw_deg)


def test_spread_and_limits_of_the_pose() -> None:
    motion = draw_motion(np.random.default_rng(0), LONG, SILENCE)
    for angle, spread, limit in zip(
        (motion.yaw_deg, motion.pitch_deg, motion.roll_deg), (8, 3, 3), POSE_LIMIT_DEG, strict=True
    ):
        assert 0.6 * spread < angle.std() < 1.5 * spread
        assert np.abs(angle).max() <= limit


def test_motion_is_smooth() -> None:
    motion = draw_motion(np.random.default_rng(0), LONG, SILENCE)
    assert np.abs(np.diff(motion.yaw_deg)).max() < 4.0  # degrees per frame; 100 deg/s is a quick turn


def test_fast_motion_needs_speech() -> None:
    quiet, speaking = (draw_motion(np.random.default_rng(6), np.full(5000, level), SILENCE) for level in (0.0, 1.0))

    def jitter(track: np.ndarray) -> float:
        return float(np.diff(track, 2).std())

    assert jitter(speaking.roll_deg) > 3 * jitter(quiet.roll_deg)


def test_blinks_have_the_profile_and_a_plausible_rate() -> None:
    motion = draw_motion(np.random.default_rng(0), LONG, SILENCE)
    for begin, end in motion.blinks:
        assert motion.blink[begin:end] == pytest.approx(BLINK_PROFILE)
    outside = np.ones(len(LONG), bool)
    for begin, end in motion.blinks:
        outside[begin:end] = False
    assert not motion.blink[outside].any()
    assert 12 < len(motion.blinks) / (len(LONG) / 25 / 60) < 26  # per minute
    assert blink_times_s(((25, 32),)) == [(1.0, 1.28)]


def test_no_blinks_on_request() -> None:
    motion = draw_motion(np.random.default_rng(0), LONG, SILENCE, blinking=False)
    assert not motion.blinks and not motion.blink.any()


def test_eyes_turn_back_against_the_head_and_stay_in_range() -> None:
    motion = draw_motion(np.random.default_rng(1), LONG, SILENCE)
    slope = np.polyfit(np.deg2rad(motion.yaw_deg), motion.gaze_x_rad, 1)[0]
    assert slope == pytest.approx(VESTIBULAR_GAIN, abs=0.15)  # yaw + is to the image left, gaze + to the image right
    assert np.abs(motion.gaze_x_rad).max() <= GAZE_LIMIT_RAD[0] and np.abs(motion.gaze_y_rad).max() <= GAZE_LIMIT_RAD[1]


def test_a_clip_of_one_frame_works() -> None:
    assert len(draw_motion(np.random.default_rng(0), np.ones(1), SILENCE).yaw_deg) == 1
