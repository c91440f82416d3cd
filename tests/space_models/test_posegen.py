"""PoseGen: units, determinism per seed, limits, and that it learns motion that follows the sound."""

import numpy as np
import pytest
import torch

from space_data.landmarks import PoseTrack
from space_models import posegen
from space_models.posegen import PoseClip, PoseGen, PoseGenConfig, PoseTask
from space_models.trainer import Schedule, train

LIMITS = np.array([15.0, 10.0, 12.0, 0.3, 0.3, 0.1])


def model(hidden: int = 16) -> PoseGen:
    torch.manual_seed(0)
    return PoseGen(PoseGenConfig(hidden, (5.0, 3.0, 3.0, 0.05, 0.05, 0.02), (1.0, 1.0, 1.0, 0.02, 0.02, 0.01))).eval()


def sound(n_frames: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(n_frames, 160)).astype(np.float32)


def test_relative_pose_and_apply_are_inverse(rng: np.random.Generator) -> None:
    pose = np.concatenate([rng.normal(0, 5, (20, 3)), 90 + rng.normal(0, 1, (20, 1)), 200 + rng.normal(0, 4, (20, 3))], 1)
    track = PoseTrack.from_array(pose)
    offsets = posegen.relative_pose(track)
    assert np.allclose(offsets[:, :5].mean(0), 0, atol=1e-4)
    # Applied to the clip's first pose, the offsets give the clip's own motion: the same departures again.
    again = posegen.relative_pose(posegen.apply_pose(offsets - offsets[:1], track[:1]))
    assert np.allclose(again, offsets, atol=2e-3)
    assert np.allclose(posegen.apply_pose(np.zeros((3, 6)), track[:1]).as_array()[2], track.as_array()[0], atol=1e-3)


def test_same_seed_same_motion_other_seed_other_motion(rng: np.random.Generator) -> None:
    net, speech = model(), sound(103, rng)
    first, again, other = (net.generate(speech, np.random.default_rng(seed), LIMITS) for seed in (1, 1, 2))
    assert first.shape == (103, 6)
    assert (first == again).all()
    assert np.abs(first - other).max() > 0.1


def test_motion_starts_at_rest_keeps_within_limits_and_strength_0_is_still(rng: np.random.Generator) -> None:
    net, speech = model(), sound(500, rng)
    moved = net.generate(speech, np.random.default_rng(3), LIMITS)
    assert np.abs(moved[0]).max() < 1e-6
    assert (np.abs(moved) <= LIMITS).all()
    assert np.abs(np.diff(moved[:, 0], n=2)).max() < 1.5  # a cubic through keys, no jitter
    assert (net.generate(speech, np.random.default_rng(3), LIMITS, strength=0.0) == 0).all()


@pytest.mark.parametrize("n_frames", [1, 4, 5, 6, 26])
def test_any_length_works(n_frames: int, rng: np.random.Generator) -> None:
    assert model().generate(sound(n_frames, rng), np.random.default_rng(0), LIMITS).shape == (n_frames, 6)


def test_it_learns_that_steps_follow_the_sound() -> None:
    rng = np.random.default_rng(5)

    def clip() -> PoseClip:
        speech = rng.normal(size=(30, 8)).astype(np.float32)
        unit = np.array([1, 0.5, 0.5, 0.02, 0.02, 0.01])
        steps = speech[:, :1] * unit + rng.normal(0, 0.05, (30, 6)) * unit
        return PoseClip("a", np.cumsum(steps, 0).astype(np.float32), speech)

    clips, held_out = [clip() for _ in range(20)], [clip() for _ in range(5)]
    net = PoseGen(PoseGenConfig(24, *posegen.units_of(clips)))
    task = PoseTask(clips, held_out, batch=16, keys=20)
    schedule = Schedule(120, 1e-2, 0.0, 0.3, 1.0, 60, seed=1)
    train("posegen", net, task, schedule, settings={}, data_hash="")
    figures = posegen.evaluate(net, held_out, seed=0)
    assert figures["nll"] < figures["nll_mean_predictor"] - 0.5
