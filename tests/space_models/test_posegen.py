"""PoseGen's motion: units, seeds, limits, streaming, and where key poses stand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack
from space_models.checkpoints import Card, save_model
from space_models.posegen import stream
from space_models.posegen.model import PoseGen, PoseGenConfig, load_posegen, stationary_sd
from space_models.posegen.pose import KEY_FRAME, MIRRORED, apply_pose, key_frames, pose_columns, relative_pose, to_keys
from space_models.posegen.speech import loudness, n_rises, rises
from space_models.posegen.stream import generate

LIMITS = np.array([15.0, 10.0, 12.0, 0.3, 0.3, 0.1])
WIDE = np.full(6, 1e6)
LOOKAHEAD, MEMORY = 2, 12


def model(speech: float = 0.3, noise: float = 1.0, last: float = 1.6, before: float = -0.7) -> PoseGen:
    made = PoseGen(PoseGenConfig(LOOKAHEAD, MEMORY))
    made.last += last
    made.before += before
    made.noise += torch.diag(torch.tensor([1.2, 1.0, 0.8, 0.01, 0.01, 0.005], dtype=torch.float64)) * noise
    made.speech[1] += speech
    return made


def sound(n_frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    return np.repeat(rng.normal(size=(n_frames, 1)), 160, 1).astype(np.float32)


def test_relative_pose_and_apply_are_inverse(rng: np.random.Generator) -> None:
    pose = np.concatenate([rng.normal(0, 5, (20, 3)), 90 + rng.normal(0, 1, (20, 1)), 200 + rng.normal(0, 4, (20, 3))], 1)
    track = PoseTrack.from_array(pose)
    offsets = relative_pose(track)
    assert np.allclose(offsets[:, :5].mean(0), 0, atol=1e-4)
    assert np.allclose(pose_columns(track)[:, :3], pose[:, :3], atol=1e-4)  # angles as they are: their mean is the person's
    # Applied to the clip's first pose, the offsets give the clip's own motion: the same departures again.
    again = relative_pose(apply_pose(offsets - offsets[:1], track[:1]))
    assert np.allclose(again, offsets, atol=2e-3)
    assert np.allclose(apply_pose(np.zeros((3, 6)), track[:1]).as_array()[2], track.as_array()[0], atol=1e-3)


def test_mirroring_turns_yaw_roll_and_sideways_travel() -> None:
    pose = np.array([[10.0, 4.0, 6.0, 90.0, 100.0, 120.0, 0.0], [0.0, 0.0, 0.0, 90.0, 140.0, 120.0, 0.0]])
    mirrored = pose * [-1, 1, -1, 1, -1, 1, 1]  # about x = 0
    one, other = (relative_pose(PoseTrack.from_array(p)) for p in (pose, mirrored))
    assert np.allclose(other, one * np.where(MIRRORED, -1, 1), atol=1e-4)


def test_a_key_pose_stands_in_the_middle_of_its_frames() -> None:
    ramp = np.arange(23.0)[:, None]
    assert to_keys(ramp)[:, 0].tolist() == [2.0, 7.0, 12.0, 17.0]  # a ramp's mean is its value in the middle
    assert key_frames(4).tolist() == [2, 7, 12, 17]


def test_rises_are_differences_of_loudness_and_silence_has_none(rng: np.random.Generator) -> None:
    channels = loudness(np.repeat(np.arange(-3.0, 3.0, 0.25)[:, None], 160, 1))
    heard = rises(channels, np.array([20]), lookahead_frames=2, memory_frames=4)
    assert heard.shape == (1, n_rises(4)) == (1, 4)
    assert heard[0].tolist() == [0.5, 0.5, 0.5, 0.5]  # newest frame 18, then 16 and 14: all above the mean there
    early = rises(channels, np.array([2]), 2, 4)[0]
    assert early.tolist() == [0.0, 0.0, 0.0, 0.0]  # before the clip its first frame is held
    assert (rises(loudness(np.full((30, 160), -9.0)), key_frames(6), 2, 12) == 0).all()


def test_same_seed_same_motion_other_seed_other_motion(rng: np.random.Generator) -> None:
    net, speech = model(), sound(103, rng)
    first, again, other = (generate(net, speech, np.random.default_rng(seed), LIMITS) for seed in (1, 1, 2))
    assert first.shape == (103, 6) and first.dtype == np.float32
    assert (first == again).all()
    assert np.abs(first - other).max() > 0.1


def test_motion_starts_at_rest_keeps_within_limits_and_strength_0_is_still(rng: np.random.Generator) -> None:
    net, speech = model(), sound(500, rng)
    moved = generate(net, speech, np.random.default_rng(3), LIMITS)
    assert (moved[: KEY_FRAME + 1] == 0).all()
    assert np.abs(moved[KEY_FRAME + 1]).max() < 0.5  # and leaves it without a jump
    assert (np.abs(moved) <= LIMITS).all() and np.abs(moved[:, 0]).max() > 0.5 * LIMITS[0]
    assert np.abs(np.diff(moved[:, 0], n=2)).max() < 1.5  # a cubic through keys, no jitter
    assert (generate(net, speech, np.random.default_rng(3), LIMITS, strength=0.0) == 0).all()


def test_key_poses_follow_the_recursion_to_the_letter() -> None:
    net = model(speech=0.0)
    moved = generate(net, np.zeros((40, 160)), np.random.default_rng(5), WIDE)[key_frames(8)]
    noise = np.random.default_rng(5).standard_normal((7, 6)) * np.diag(net.noise.numpy())
    first = noise[0]
    second = 1.6 * first + noise[1]
    third = 1.6 * second - 0.7 * first + noise[2]
    assert np.allclose(moved[:4], [np.zeros(6), first, second, third], atol=1e-5)


def test_speech_pushes_the_head_when_it_rises_and_as_late_as_it_says() -> None:
    net, step_at = model(speech=0.0, noise=0.0), 40
    net.speech[1, 0] = 1.0  # the newest rise alone
    loud = np.where(np.arange(100) >= step_at, 1.0, -1.0)[:, None].repeat(160, 1)
    moved = generate(net, loud, np.random.default_rng(0), WIDE)
    quiet = generate(net, np.full((100, 160), -1.0), np.random.default_rng(0), WIDE)
    assert (quiet == 0).all()
    assert (moved[:, [0, 2, 3, 4, 5]] == 0).all()
    first = int(np.flatnonzero(moved[:, 1])[0])
    assert step_at - LOOKAHEAD <= first <= step_at + 5


@pytest.mark.parametrize("chunk", [1, 3, 7, 50])
def test_a_stream_equals_the_whole_clip(chunk: int, rng: np.random.Generator) -> None:
    net, speech = model(), sound(123, rng)
    whole = generate(net, speech, np.random.default_rng(7), LIMITS)
    state, pieces = stream.start(net, np.random.default_rng(7), LIMITS), []
    for begin in range(0, len(speech), chunk):
        state, offsets = stream.step(net, state, speech[begin : begin + chunk])
        pieces.append(offsets)
        shown = sum(map(len, pieces))
        assert shown == max(0, min(begin + chunk, len(speech)) - LOOKAHEAD)  # as far behind the sound as it says
        assert len(state.sound) < MEMORY + chunk + 10  # and holds no more than it needs
    assert np.allclose(np.concatenate([*pieces, stream.finish(net, state)]), whole, atol=1e-6)


@pytest.mark.parametrize("n_frames", [0, 1, 4, 5, 6, 26])
def test_any_length_works(n_frames: int, rng: np.random.Generator) -> None:
    assert generate(model(), sound(n_frames, rng), np.random.default_rng(0), LIMITS).shape == (n_frames, 6)


def test_ten_minutes_neither_drift_nor_swell(rng: np.random.Generator) -> None:
    net = model()
    moved = generate(net, sound(15_000, rng), np.random.default_rng(11), WIDE)[:, 0]
    expected = float(stationary_sd(np.array(1.6), np.array(-0.7), np.array(1.2)))
    per_100_s = moved.reshape(6, -1)
    assert per_100_s.std(1) == pytest.approx(np.full(6, expected), rel=0.3)
    assert np.abs(per_100_s.mean(1)).max() < 0.5 * expected


def test_the_stationary_sd_is_that_of_the_textbook() -> None:
    assert stationary_sd(np.array([0.0, 0.6]), np.array([0.0, 0.0]), np.ones(2)) == pytest.approx([1.0, 1.25])  # white, AR(1)
    path = np.zeros(200_000)
    noise = np.random.default_rng(0).standard_normal(len(path))
    for k in range(2, len(path)):
        path[k] = 1.2 * path[k - 1] - 0.4 * path[k - 2] + noise[k]
    assert stationary_sd(np.array(1.2), np.array(-0.4), np.array(1.0)) == pytest.approx(path.std(), rel=0.02)


def test_it_is_kept_and_loaded(tmp_path: Path, rng: np.random.Generator) -> None:
    net, speech = model(), sound(60, rng)
    config = {"lookahead_frames": LOOKAHEAD, "memory_frames": MEMORY}
    save_model(tmp_path, net, Card("posegen", config, "", "test"))
    one, other = (generate(m, speech, np.random.default_rng(1), LIMITS) for m in (net, load_posegen(tmp_path)))
    assert (one == other).all()
    save_model(tmp_path, net, Card("posegen", {**config, "memory_frames": 4}, "", "test"))
    with pytest.raises(SpaceError, match="another shape"):
        load_posegen(tmp_path)
