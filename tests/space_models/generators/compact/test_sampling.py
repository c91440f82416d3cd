"""Pairs: extremes are likelier, mirroring keeps pictures and points together, draws repeat."""

import dataclasses

import numpy as np
from made_up_canvas import opening_mouth, settings

from space_data.landmarks import INNER_LIP_PAIRS, MESH_TO_78, template_mesh
from space_models.generators.compact.keypoints import N_KEYPOINTS, NAMES
from space_models.generators.compact.sampling import draw_pairs, frame_chances, group_means, mirror_order


def test_mirror_order_swaps_sides_and_undoes_itself() -> None:
    order = mirror_order()
    assert [order[i] for i in order] == list(range(N_KEYPOINTS))
    assert NAMES[order[NAMES.index("lid_left_upper")]] == "lid_right_upper"
    assert NAMES[order[NAMES.index("chin")]] == "chin"


def test_blinks_and_extreme_lips_are_likelier() -> None:
    face = np.vstack([template_mesh(), np.zeros((10, 3))])[MESH_TO_78].astype(np.float32)
    clip = np.tile(face, (20, 1, 1))
    clip[:, [lower for _, lower in INNER_LIP_PAIRS], 1] += np.linspace(0, 0.3, 20)[:, None].astype(np.float32)
    clip[9, [37, 38, 43, 44]] = clip[9, [41, 40, 47, 46]]  # upper lids on the lower ones
    sampling = settings().sampling
    chance = frame_chances(clip, sampling)
    assert np.isclose(chance.sum(), 1)
    assert np.isclose(chance[9] / chance[10], 1 + sampling.blinks)
    assert np.isclose(chance[0] / chance[10], 1 + sampling.lips) and np.isclose(chance[0], chance[-1])


def test_group_means_are_means() -> None:
    points = np.arange(78 * 3, dtype=np.float32).reshape(1, 78, 3)
    assert np.allclose(group_means(points)[0, NAMES.index("lip_upper_inner")], points[0, 61:64].mean(0))


def test_draws_repeat_and_stay_in_range() -> None:
    sampling = settings().sampling
    first, again = (draw_pairs([opening_mouth()], 6, np.random.default_rng(3), sampling, shake=True) for _ in range(2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert first["driving"].shape == (6, 3, 128, 128) and first["driving_pose"].shape == (6, 7)
    assert all(first[name].min() >= 0 and first[name].max() <= 1 for name in ("source", "driving_view"))
    assert not np.array_equal(first["driving"], first["driving_view"])


def test_without_shaking_the_encoder_sees_the_frames_themselves() -> None:
    clip = opening_mouth()
    pairs = draw_pairs([clip], 4, np.random.default_rng(0), settings().sampling, shake=False)
    assert np.array_equal(pairs["driving"], pairs["driving_view"])
    frames = clip.canvases.transpose(0, 3, 1, 2) / np.float32(255)
    assert all((frames == picture).all((1, 2, 3)).any() for picture in pairs["driving"])


def test_mirrored_pairs_are_the_mirrored_clip() -> None:
    """A clip whose left half is dark: where the picture is mirrored, groups and pose are, too."""
    clip = opening_mouth()
    canvases = clip.canvases.copy()
    canvases[:, :, :64] //= 4
    poses = clip.poses + np.float32([5, 0, 3, 0, 30, 0, 0])
    groups = clip.groups + np.float32([0.2, 0, 0])
    clip = dataclasses.replace(clip, canvases=canvases, poses=poses, groups=groups)
    pairs = draw_pairs([clip], 32, np.random.default_rng(0), settings().sampling, shake=True)
    dark_right = pairs["source"][..., 64:].mean((1, 2, 3)) < pairs["source"][..., :64].mean((1, 2, 3))
    assert 8 < dark_right.sum() < 24
    assert np.array_equal(dark_right, pairs["source_pose"][:, 0] < 0)
    assert np.array_equal(dark_right, pairs["driving_groups"][..., 0].mean(1) < 0)
    assert np.allclose(pairs["source_pose"][dark_right, 4], 512 - 286) and np.allclose(pairs["source_pose"][dark_right, 2], -3)
