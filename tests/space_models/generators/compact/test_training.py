"""Losses by hand; the basis spans what moves; a tiny network learns a clip; weights can be started from."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_canvas import opening_mouth, settings

from space_data.errors import SpaceError
from space_data.params import CompactStage
from space_models.checkpoints import Card, save_model
from space_models.generators.compact.canvas import SIZE_PX, detail
from space_models.generators.compact.keypoints import N_KEYPOINTS, NAMES, Face
from space_models.generators.compact.losses import drawing_losses, landmark_errors, picture_loss
from space_models.generators.compact.networks import Drawn
from space_models.generators.compact.training import CompactTask, fit_pose_share, group_spread, new_net, start_basis
from space_models.trainer import Schedule, train


def schedule(section: CompactStage) -> Schedule:
    return Schedule(section.steps, section.learning_rate, 1e-3, 0.1, 1.0, section.steps // 3, 0)


def test_detail_is_one_at_mouth_and_eyes_only() -> None:
    spots = detail()[0, 0]
    assert spots.max() > 0.98 and spots[0].max() < 1e-6
    rows = spots[:, 64].argmax().item()
    assert 80 < rows < 100, "the mouth's row"


def test_picture_loss_of_a_constant_difference() -> None:
    target = torch.zeros(1, 3, 16, 16)
    assert picture_loss(target, target, torch.ones(1, 1, 16, 16)) == 0
    assert picture_loss(target + 0.1, target, torch.full((1, 1, 16, 16), 2.0)).item() == pytest.approx(3 * 0.2)


def test_the_bare_warp_is_not_blamed_where_paint_covers_it() -> None:
    target = torch.zeros(1, 3, SIZE_PX, SIZE_PX)
    spots, weights = detail(), settings().loss
    wrong = target + spots  # the warp errs at mouth and eyes only

    def warped(shown: float) -> float:
        mask = torch.full((1, 1, SIZE_PX, SIZE_PX), shown)
        return drawing_losses(Drawn(target, wrong, target, mask, target), target, spots, weights)["warped"].item()

    assert warped(0.0) < 0.4 * warped(1.0)


def test_landmark_errors_count_differences_in_standard_deviations() -> None:
    zero, pose = torch.zeros(1, N_KEYPOINTS, 3), torch.zeros(1, 7)
    own, driving = Face(zero, zero, pose), Face(zero, zero + 0.02, pose)
    errors = landmark_errors(own, driving, zero + 5, zero + 5.01, torch.full((N_KEYPOINTS, 3), 0.01))
    assert torch.allclose(errors[0, 0], torch.tensor([1.0, 1.0, 0.3]), atol=1e-3)


def test_the_first_basis_spans_the_motion() -> None:
    clip = opening_mouth()
    basis = start_basis([clip], 2)
    motion = (clip.groups - clip.groups.mean(0)).reshape(len(clip), -1)
    latents = np.linalg.lstsq(basis.T, motion.T, rcond=None)[0].T
    assert np.abs(latents @ basis - motion).max() < 1e-4
    assert latents[:, 0].std() == pytest.approx(1, rel=0.05), "one standard deviation of a latent is 1"
    spread = group_spread([clip])
    assert spread[NAMES.index("lip_lower_inner"), 1] > 0.03 > spread[NAMES.index("chin"), 1]


def test_a_tiny_network_learns_a_clip() -> None:
    section = settings(learning_rate=5e-3)
    torch.manual_seed(0)
    net = new_net([opening_mouth()], section)
    task = CompactTask([opening_mouth()], [opening_mouth()], section, 1)
    with torch.no_grad():
        before = task.validate(net.eval(), task.held_out[0])
    result = train("compact", net, task, schedule(section), settings={}, data_hash="")
    first, *_, last = result.curves
    assert last["loss"] < 0.8 * first["loss"]
    assert last["val_l1_mouth"] < before["val_l1_mouth"]
    assert before["val_still_l1"] == pytest.approx(task.validate(net, task.held_out[0])["val_still_l1"])


@pytest.mark.parametrize("micro_batches", [1, 4])
def test_the_landmarks_pull_fades_by_steps(micro_batches: int) -> None:
    section = settings(steps=100)
    task = CompactTask([opening_mouth()], [], section, micro_batches)
    draws = [micro_batches * step for step in (0, 20, 40, 99)]
    left = [task.batch(np.random.default_rng(0), draw)["landmark_share"][0] for draw in draws]
    assert left[1] == pytest.approx(0.25)
    assert left[0] == 1 and 0 < left[1] < left[0] and left[2] == left[3] == 0


def test_nothing_to_learn_from_is_named() -> None:
    short = dataclasses.replace(opening_mouth(), canvases=opening_mouth().canvases[:1])
    with pytest.raises(SpaceError, match="two frames"):
        CompactTask([short], [], settings(), 1)
    assert CompactTask([opening_mouth()], [], settings(), 1).held_out == []


def test_training_can_start_from_weights(tmp_path: Path) -> None:
    folder = tmp_path
    torch.manual_seed(1)
    kept = new_net([opening_mouth()], settings())
    save_model(folder, kept, Card("compact", vars(kept.config), "", "test"))
    again = new_net([opening_mouth()], settings(start=str(folder)))
    assert all(torch.equal(a, b) for a, b in zip(kept.state_dict().values(), again.state_dict().values(), strict=True))
    with pytest.raises(SpaceError, match="generator.start"):
        new_net([opening_mouth()], settings(start=str(folder), latent_size=4))


def test_what_follows_from_the_pose_is_taken_out_of_the_latents() -> None:
    """An encoder that sees nothing but the direction: all of its latents are the pose's part."""
    clip = opening_mouth()
    yaw = np.linspace(-12, 12, len(clip), dtype=np.float32)
    poses = clip.poses.copy()
    poses[:, 0] = yaw
    clip = dataclasses.replace(clip, poses=poses)
    net = new_net([clip], settings())

    class Compass(torch.nn.Module):
        def forward(self, canvas: torch.Tensor) -> tuple[torch.Tensor, None]:
            z = torch.from_numpy(np.stack([yaw / 10, yaw**2 / 100, 1 - yaw / 20], 1))
            return z[: len(canvas)], None

    net.encoder = Compass()  # type: ignore[assignment]
    fit_pose_share(net, [clip])
    left = net.encoder(torch.zeros(len(clip), 1))[0] - net.pose_part(torch.from_numpy(poses))
    assert left.std(0).max() < 1e-4
