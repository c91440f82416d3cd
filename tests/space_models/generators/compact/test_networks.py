"""Motion by hand: identity, stillness, a turning ellipsoid; gradients reach every weight."""

import numpy as np
import pytest
import torch

from space_data.landmarks import N_LANDMARKS, rotation_matrix
from space_models.generators.compact.canvas import SIZE_PX, cells, fold, unfold
from space_models.generators.compact.keypoints import KEYPOINT_LANDMARKS, N_KEYPOINTS, Face, moved, still_motion, turn
from space_models.generators.compact.layers import heat_maps, look_up
from space_models.generators.compact.motion import FLOW_SIDE, MotionField
from space_models.generators.compact.networks import CODE_SIZE, CompactConfig, CompactNet

TINY = CompactConfig(latent_size=3, width=8)
POSE = torch.tensor([[5.0, 3.0, 2.0, 150.0, 256.0, 260.0, 0.0]])
OTHER = torch.tensor([[-8.0, 1.0, -4.0, 140.0, 240.0, 255.0, 0.0]])


@pytest.fixture
def net() -> CompactNet:
    torch.manual_seed(0)
    net = CompactNet(TINY)
    with torch.no_grad():
        net.canonical.normal_(0, 0.3)
        for parameter in net.parameters():  # as after training: nothing is zero any more
            parameter.add_(0.02 * torch.randn_like(parameter))
    return net.eval()


def test_keypoints_are_named_groups_of_the_78() -> None:
    indices = [i for group in KEYPOINT_LANDMARKS.values() for i in group]
    assert len(set(indices)) == len(indices) and max(indices) < N_LANDMARKS


def test_look_up_at_the_cells_gives_the_map_itself() -> None:
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert torch.allclose(look_up(maps, cells(4)[None]), maps)
    plane = unfold(cells(8))
    heat = heat_maps(plane[2, 5][None, None], plane, 0.1)
    assert heat[0, 0, 2, 5] == pytest.approx(1.0) and heat[0, 0].argmax() == 2 * 8 + 5


def test_driving_equal_to_source_shows_the_source(net: CompactNet) -> None:
    """Even with random weights: candidates coincide, residual and paint are gated."""
    picture = torch.rand(1, 3, SIZE_PX, SIZE_PX)
    face = net.face(torch.randn(1, 3), torch.zeros(1, N_KEYPOINTS, 3), POSE)
    drawn = net.draw(net.source(picture, face), face)
    assert (drawn.picture - picture).abs().max() < 1e-4
    assert drawn.shown.min() == 1


def test_what_stands_still_is_looked_up_at_the_same_pixel() -> None:
    plane = unfold(cells(FLOW_SIDE))[None]
    assert torch.allclose(still_motion(plane, POSE, POSE), plane, atol=1e-5)
    upright = POSE * torch.tensor([1, 1, 0, 1, 1, 1, 1])
    shifted = upright + torch.tensor([0.0, 0.0, 0.0, 0.0, 15.0, -30.0, 0.0])
    assert torch.allclose(still_motion(plane, upright, shifted), plane + torch.tensor([0.1, -0.2]), atol=1e-5)


def test_far_background_does_not_follow_the_head(net: CompactNet) -> None:
    """A pure change of pose: at the canvas' corners the flow is T_source^-1 T_driving, but for what the softmax leaves."""
    torch.manual_seed(1)
    fresh = CompactNet(TINY).eval()
    face, turned = (fresh.face(torch.zeros(1, 3), torch.zeros(1, N_KEYPOINTS, 3), pose) for pose in (POSE, OTHER))
    displacement = fresh.draw(fresh.source(torch.rand(1, 3, SIZE_PX, SIZE_PX), face), turned).displacement
    assert displacement[..., [0, 0, -1, -1], [0, -1, 0, -1]].abs().max() < 0.01
    assert displacement[..., FLOW_SIDE // 2, FLOW_SIDE // 2].abs().max() > 0.02


def test_the_ellipsoid_turns_as_a_rigid_body() -> None:
    """Points of its near side are carried to where the two poses put them."""
    motion = MotionField(TINY.width, CODE_SIZE)
    angle, height = torch.linspace(-1.0, 1.0, 7), torch.linspace(-0.8, 0.8, 7)
    direction = torch.stack([angle.sin() * height.cos(), height.sin(), -angle.cos() * height.cos()], -1)
    points = (motion.head_centre + direction * motion.head_log_radii.exp())[None].detach()
    seen_source, seen_driving = (points @ turn(pose).mT for pose in (POSE, OTHER))
    found = motion.head_motion(seen_driving[..., :2], POSE, OTHER)
    assert torch.allclose(found, seen_source[..., :2], atol=5e-3)  # the rim is rounded a little
    assert torch.allclose(motion.head_motion(seen_driving[..., :2], OTHER, OTHER), seen_driving[..., :2], atol=1e-5)


def test_gate_opens_with_movement_in_the_picture(net: CompactNet) -> None:
    points = torch.randn(1, N_KEYPOINTS, 3) * 0.3
    face = Face(points, torch.zeros_like(points), POSE)
    assert moved(face, face).item() == pytest.approx(0, abs=1e-5)
    blink = points.clone()
    blink[:, 3, 1] += 0.05
    assert moved(face, Face(blink, blink - points, POSE)).item() > 0.99
    shifted = POSE + torch.tensor([0.0, 0.0, 0.0, 0.0, 20.0, 0.0, 0.0])
    assert moved(face, Face(points, face.delta, shifted)).item() > 0.99


def test_every_weight_has_a_gradient() -> None:
    torch.manual_seed(0)
    net = CompactNet(TINY)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    source, driving = torch.rand(2, 2, 3, SIZE_PX, SIZE_PX)
    drawn, own, other = net(source, source, POSE.expand(2, -1), driving, OTHER.expand(2, -1))
    ((drawn.picture - driving).abs().mean() + own.delta.square().sum() + other.points.square().sum()).backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


def test_on_another_device_nothing_is_left_behind() -> None:
    """On the device `meta` a tensor made on the CPU by mistake cannot be mixed in."""
    net = CompactNet(TINY).to("meta")
    picture, pose = torch.empty(2, 3, SIZE_PX, SIZE_PX, device="meta"), torch.empty(2, 7, device="meta")
    drawn, own, _ = net(picture, picture, pose, picture, pose)
    assert drawn.picture.device.type == own.points.device.type == "meta"
    assert fold(unfold(cells(4, "meta"))).device.type == "meta"


def test_half_precision_stays_finite(net: CompactNet) -> None:
    picture = torch.rand(1, 3, SIZE_PX, SIZE_PX)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        drawn, _, _ = net(picture, picture, POSE, picture.flip(-1), OTHER)
    assert torch.isfinite(drawn.picture.float()).all()


def test_turns_are_those_of_the_pose_track() -> None:
    assert np.allclose(turn(POSE)[0].numpy(), rotation_matrix(*np.array([5.0, 3.0, 0.0])), atol=1e-6)
