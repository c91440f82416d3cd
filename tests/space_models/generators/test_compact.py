"""The compact generator: geometry by hand, the untrained network already moves the face, one clip can be learnt."""

import numpy as np
import pytest
import torch

from space_data.errors import SpaceError
from space_data.crop import CropBox
from space_data.landmarks import N_LANDMARKS, PoseTrack, normalise
from space_data.params import CompactStage
from space_models.generators.compact import CompactGenerator
from space_models.generators.compact_nets import (
    KEYPOINT_LANDMARKS,
    N_KEYPOINTS,
    RIGID_KEYPOINTS,
    CompactConfig,
    CompactNet,
    anchors_of,
    head_affine,
    heat_maps,
    pixel_grid,
    resize_flow,
    warp,
)
from space_models.generators.compact_train import Footage, draw_pairs, mirror_order, train_compact
from space_models.portrait import Portrait

TINY = CompactConfig(size_px=64, width=4)


def settings(**changes: int) -> CompactStage:
    values = {"source": "train", "size_px": 64, "width": 8, "frames_per_clip": 12, "steps": 40, "interval_steps": 40}
    return CompactStage(**{**values, "batch": 4, "learning_rate": 3e-3, "seed": 0, **changes})


def moving_square(rng: np.random.Generator, frames: int = 12, side: int = 64) -> Footage:
    """A bright square on dark ground that carries its keypoints along."""
    base = rng.uniform(-0.25, 0.25, (N_KEYPOINTS, 3)).astype(np.float32)
    pictures, anchors = [], []
    for x in np.linspace(-0.3, 0.3, frames):
        centre = int(round((x + 1) / 2 * side))
        picture = np.full((side, side, 3), 40, np.uint8)
        picture[22:42, centre - 10 : centre + 10] = (220, 160, 120)
        pictures.append(picture)
        anchors.append(base + np.float32([2 * centre / side - 1, 0, 0]))
    return Footage("square", np.stack(pictures), np.stack(anchors))


def test_keypoints_are_named_groups_of_the_78() -> None:
    indices = [i for group in KEYPOINT_LANDMARKS.values() for i in group]
    assert len(set(indices)) == len(indices)
    assert max(indices) < N_LANDMARKS
    order = mirror_order()
    assert [order[i] for i in order] == list(range(N_KEYPOINTS))
    names = list(KEYPOINT_LANDMARKS)
    assert names[order[names.index("lid_left_upper")]] == "lid_right_upper"


def test_anchors_in_half_pictures() -> None:
    points = np.tile(np.float32([[[256, 0, 128]]]), (1, N_LANDMARKS, 1))
    assert np.allclose(anchors_of(points, 512), [0, -1, 0.5])


def test_pixel_grid_warp_and_heat_agree() -> None:
    grid = pixel_grid(4)
    assert grid[0, 0].tolist() == [-0.75, -0.75]
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert torch.allclose(warp(picture, grid[None]), picture)
    shifted = warp(picture, grid[None] + torch.tensor([0.5, 0.0]))  # one pixel of four to the right
    assert torch.allclose(shifted[..., :3], picture[..., 1:])
    assert torch.allclose(resize_flow(grid[None], 16), pixel_grid(16)[None], atol=1e-6)
    heat = heat_maps(torch.tensor([[[0.25, -0.75, 9.0]]]), grid, 0.1)
    assert heat[0, 0, 0, 2] == pytest.approx(1.0)
    assert heat[0, 0].argmax() == 2


def test_head_affine_recovers_a_known_map() -> None:
    driving = torch.rand(2, N_KEYPOINTS, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    matrix, offset = torch.tensor([[1.1, 0.2], [-0.1, 0.9]]), torch.tensor([0.05, -0.1])
    affine = head_affine(driving, driving @ matrix + offset)
    assert len(RIGID_KEYPOINTS) >= 6
    assert torch.allclose(affine[:, :2], matrix.expand(2, 2, 2), atol=0.02)
    assert torch.allclose(affine[:, 2], offset.expand(2, 2), atol=0.01)


def test_untrained_network_shows_the_source_and_follows_the_keypoints(rng: np.random.Generator) -> None:
    clip = moving_square(rng)
    torch.manual_seed(0)
    net = CompactNet(TINY).eval()
    source = torch.from_numpy(clip.pictures[:1]).permute(0, 3, 1, 2).float() / 255
    first, last = (torch.from_numpy(clip.anchors[[i]]) for i in (0, -1))
    with torch.inference_mode():
        still, moved = net.draw(source, first, first).warped, net.draw(source, first, last).warped
    assert (still - source).abs().max() < 0.02  # the affine fit is slightly regularised
    wanted = torch.from_numpy(clip.pictures[-1:]).permute(0, 3, 1, 2).float() / 255
    assert (moved - wanted).abs().mean() < 0.5 * (source - wanted).abs().mean()


def test_pairs_keep_pictures_and_anchors_together(rng: np.random.Generator) -> None:
    pairs = draw_pairs([moving_square(rng)], 8, np.random.default_rng(3))
    again = draw_pairs([moving_square(np.random.default_rng(20221117))], 8, np.random.default_rng(3))
    assert all(np.array_equal(pairs[k], again[k]) for k in pairs)
    columns = pairs["driving"].mean(axis=(1, 2))  # (B, S): brightest where the square is
    centre = (columns * np.linspace(-1, 1, 64)).sum(1) / columns.sum(1)
    assert np.corrcoef(centre, pairs["driving_anchors"][..., 0].mean(1))[0, 1] > 0.8


def test_overfits_one_clip(rng: np.random.Generator) -> None:
    clip = moving_square(rng)
    net, result = train_compact([clip], [clip], settings(), None)
    (row,) = result.curves
    assert row["val_l1"] < 0.5 * row["val_still_l1"]
    again, _ = train_compact([clip], [clip], settings(), None)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))


def portrait(size_px: int, rng: np.random.Generator) -> Portrait:
    """A made-up face of ``size_px``; landmarks in the 512 crop."""
    picture = rng.integers(0, 255, (size_px, size_px, 3)).astype(np.uint8)
    landmarks = rng.uniform(100, 400, (N_LANDMARKS, 3)).astype(np.float32)
    pose = PoseTrack.from_array(np.float32([[5, 0, 0, 100, 256, 240, 0]]))
    own = normalise(landmarks[None], pose)[0]
    return Portrait(picture, picture, np.zeros((478, 3), np.float32), landmarks, pose, own, CropBox(0, 0, size_px), ())


def test_generator_renders_at_512_and_any_cut_gives_the_same(rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    generator = CompactGenerator(CompactNet(TINY))
    face = portrait(96, rng)
    state = generator.prepare(face)
    driving = state.keypoints + rng.normal(0, 0.02, (3, N_KEYPOINTS, 3)).astype(np.float32)
    whole = list(generator.render(state, driving))
    assert whole[0].shape == (512, 512, 3)
    assert np.array_equal(whole[2], next(generator.render(state, driving[2:])))
    pose = PoseTrack.from_array(np.repeat(face.pose.as_array(), 11, 0))
    found = generator.extract([face.rgb] * 11, np.repeat(face.landmarks[None], 11, 0), pose)
    assert found.z.shape == (11, N_KEYPOINTS * 3) and found.own_pose.shape == (11, 0)
    assert np.abs(generator.compose(state, found.z, pose) - state.keypoints).max() < 1e-5


def test_bad_inputs_are_named(rng: np.random.Generator) -> None:
    generator = CompactGenerator(CompactNet(TINY))
    face = portrait(64, rng)
    state = generator.prepare(face)
    with pytest.raises(SpaceError, match="shape"):
        next(generator.render(state, np.zeros((2, 5, 3), np.float32)))
    with pytest.raises(SpaceError, match="finite"):
        next(generator.render(state, np.full((2, N_KEYPOINTS, 3), np.nan, np.float32)))
    with pytest.raises(SpaceError, match="landmarks"):
        generator.extract([face.rgb], np.zeros((2, N_LANDMARKS, 3), np.float32), face.pose)
    with pytest.raises(SpaceError, match="two frames"):
        train_compact([], [], settings(), None)
