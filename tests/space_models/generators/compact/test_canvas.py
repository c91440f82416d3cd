"""The head-fixed canvas: known points, exact inverses, mirrored pictures."""

import numpy as np
import pytest
import torch

from space_data.landmarks import PoseTrack, posed
from space_models.generators.compact.canvas import (
    CENTRE,
    REACH,
    SIZE_PX,
    cells,
    fold,
    mirrored_pose,
    sample_canvas,
    to_pixels,
    to_plane,
    unfold,
)
from space_models.generators.compact.keypoints import turn

POSE = np.float32([12, -5, 8, 150, 260, 250, 3])


def test_middle_and_edge_of_the_canvas() -> None:
    assert unfold(torch.zeros(2)).tolist() == pytest.approx(CENTRE)
    assert unfold(torch.ones(2)).tolist() == pytest.approx([CENTRE[0] + REACH, CENTRE[1] + REACH])
    assert cells(SIZE_PX)[0, 0].tolist() == pytest.approx([1 / SIZE_PX - 1] * 2)


def test_fold_undoes_unfold_within_and_beyond_the_canvas() -> None:
    u = torch.linspace(-1.2, 1.2, 5001)[:, None].expand(-1, 2)
    assert (fold(unfold(u)) - u).abs().max() < 1e-6
    exact = u.double()
    assert (fold(unfold(exact)) - exact).abs().max() < 1e-12


def test_fold_has_the_gradient_of_the_inverse() -> None:
    u = torch.tensor([[0.0, 0.3], [-0.6, 0.95]], dtype=torch.float64)
    q = unfold(u).requires_grad_()
    assert torch.autograd.gradcheck(fold, (q,))


def test_plane_and_pixels_agree_with_the_pose_of_landmarks(rng: np.random.Generator) -> None:
    """In the head's plane a point of the head frame is x, y of Ry Rx n: `posed` brings it to the same pixel."""
    points = rng.normal(size=(1, 9, 3)).astype(np.float32)
    wanted = posed(points, PoseTrack.from_array(POSE[None]))[..., :2]
    pose = torch.from_numpy(POSE[None])
    q = (torch.from_numpy(points) @ turn(pose).mT)[..., :2]
    assert np.abs(to_pixels(q, pose).numpy() - wanted).max() < 1e-3
    assert torch.allclose(to_plane(to_pixels(q, pose), pose), q, atol=1e-5)


def test_a_picture_of_positions_shows_where_it_was_sampled() -> None:
    y, x = np.mgrid[0:512, 0:512]
    ramp = np.stack([x / 2, y / 2, np.zeros_like(x)], -1).astype(np.uint8)  # value = (pixel's left edge) / 2
    canvas = sample_canvas(ramp, POSE)
    pixels = to_pixels(unfold(cells(SIZE_PX))[None], torch.from_numpy(POSE[None]))[0].numpy()
    inside = ((pixels > 20) & (pixels < 492)).all(-1)
    assert np.abs(canvas[..., :2][inside] - (pixels[inside] - 0.5) / 2).max() < 1.5


def test_the_mirrored_picture_has_the_mirrored_canvas(rng: np.random.Generator) -> None:
    coarse = rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
    picture = np.repeat(np.repeat(coarse, 32, 0), 32, 1)
    mirrored = sample_canvas(np.ascontiguousarray(picture[:, ::-1]), mirrored_pose(POSE, 512))
    difference = np.abs(mirrored[:, ::-1].astype(int) - sample_canvas(picture, POSE))
    assert difference.mean() < 0.5
