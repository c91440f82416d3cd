"""`compact` behind the interface: exact pose, any cut gives the same, bad input is named; the shipped weights are alive."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from pipelines.stages.generator import SHIPPED
from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS, PoseTrack, posed
from space_data.schema import NEUTRAL
from space_models.generators import Driving, LatentSpec
from space_models.generators.compact import CompactGenerator, load_compact
from space_models.generators.compact.canvas import mirrored_pose, sample_canvas
from space_models.generators.compact.generator import BATCH_FRAMES, N_POINTS, in_head_frame, latent_weight
from space_models.generators.compact.keypoints import NAMES
from space_models.generators.compact.networks import CompactConfig, CompactNet
from space_models.generators.compact.sampling import mirror_order
from space_models.generators.lip_correction import GapCorrection, gaps_read
from space_models.generators.renderers import DrivenPortrait, KeypointRenderer
from space_models.l2l import load_l2l
from space_models.l2l.inputs import SOUND
from space_models.portrait import Portrait, load_portrait
from space_models.rendering import one_thread_each

D = 3


@pytest.fixture
def generator() -> CompactGenerator:
    torch.manual_seed(0)
    net = CompactNet(CompactConfig(D, 8))
    with torch.no_grad():
        net.canonical.normal_(0, 0.3)
    return CompactGenerator(net, LatentSpec.declared("compact", "", latent_weight(net)))


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    coarse = rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (512, 512), interpolation=cv2.INTER_CUBIC), np.uint8)


def poses(count: int) -> PoseTrack:
    t = np.linspace(0, 1, count)
    rows = np.stack([12 * t - 6, 4 * t, -5 * t, 150 + 3 * t, 256 + 8 * t, 240 - 6 * t, 5 * t], 1)
    return PoseTrack.from_array(rows)


def test_compose_puts_the_points_into_the_exact_pose(
    generator: CompactGenerator, picture: np.ndarray, rng: np.random.Generator
) -> None:
    pose = poses(5)
    state = generator.prepare_picture(picture, pose[:1])
    keypoints = generator.compose(state, rng.normal(size=(5, D)).astype(np.float32), pose)
    assert keypoints.shape == (5, N_POINTS, 3)
    points, rows = in_head_frame(keypoints)
    assert np.abs(rows - pose.as_array()).max() < 2e-3
    assert np.abs(posed(points, pose) - keypoints[:, : len(NAMES)]).max() < 2e-2


def test_its_own_latents_and_pose_give_the_photo(generator: CompactGenerator, picture: np.ndarray) -> None:
    state = generator.prepare_picture(picture, poses(1))
    (drawn,) = generator.render(state, generator.compose(state, state.z[None], poses(1)))
    assert np.abs(drawn.astype(int) - picture).max() <= 1
    found = generator.extract([picture], np.zeros((1, N_LANDMARKS, 3), np.float32), poses(1))
    assert np.abs(found.z[0] - state.z).max() < 1e-5 and found.own_pose.shape == (1, 0)


def test_frames_of_another_size_say_the_same(generator: CompactGenerator, picture: np.ndarray) -> None:
    """The pose is in pixels of the 512 crop, whatever the size of the frames."""
    landmarks = np.zeros((1, N_LANDMARKS, 3), np.float32)
    large = generator.extract([picture], landmarks, poses(1)).z
    small = generator.extract([np.asarray(cv2.resize(picture, (384, 384), interpolation=cv2.INTER_AREA))], landmarks, poses(1)).z
    assert np.abs(large - small).max() < 0.1 * max(np.abs(large).max(), 0.1)


def test_any_cut_gives_the_same_frames(generator: CompactGenerator, picture: np.ndarray, rng: np.random.Generator) -> None:
    pose = poses(11)
    state = generator.prepare_picture(picture, pose[:1])
    keypoints = generator.compose(state, rng.normal(size=(11, D)).astype(np.float32), pose)
    whole = list(generator.render(state, keypoints))
    assert len(whole) == 11 and whole[0].shape == (512, 512, 3)
    (alone,) = generator.render(state, keypoints[9:10])
    assert np.abs(whole[9].astype(int) - alone).max() <= 1
    assert len(generator.extract([picture] * 11, np.zeros((11, N_LANDMARKS, 3), np.float32), pose).z) == 11


def test_threads_that_draw_at_once_do_not_disturb_each_other(
    generator: CompactGenerator, picture: np.ndarray, rng: np.random.Generator
) -> None:
    pose = poses(4 * BATCH_FRAMES)
    state = generator.prepare_picture(picture, pose[:1])
    keypoints = generator.compose(state, rng.normal(size=(len(pose), D)).astype(np.float32), pose)
    parts = np.split(keypoints, 4)
    with one_thread_each(), ThreadPoolExecutor(4) as pool:
        together = [frame for frames in pool.map(lambda part: list(generator.render(state, part)), parts) for frame in frames]
        alone = list(generator.render(state, keypoints))
    assert (np.stack(together) == np.stack(alone)).all()


def test_bad_inputs_are_named(generator: CompactGenerator, picture: np.ndarray) -> None:
    state = generator.prepare_picture(picture, poses(1))
    with pytest.raises(SpaceError, match="need \\(512, 512, 3\\)"):
        generator.prepare_picture(picture[:100], poses(1))
    with pytest.raises(SpaceError, match="keypoints of shape"):
        next(generator.render(state, np.zeros((2, 5, 3), np.float32)))
    with pytest.raises(SpaceError, match="finite"):
        next(generator.render(state, np.full((2, N_POINTS, 3), np.nan, np.float32)))
    with pytest.raises(SpaceError, match="latents of shape"):
        generator.compose(state, np.zeros((2, D), np.float32), poses(3))
    with pytest.raises(SpaceError, match="frames"):
        generator.extract([picture], np.zeros((2, N_LANDMARKS, 3), np.float32), poses(2))
    with pytest.raises(SpaceError, match="more frames"):
        generator.extract([picture] * 3, np.zeros((2, N_LANDMARKS, 3), np.float32), poses(2))


@pytest.fixture(scope="module")
def shipped() -> CompactGenerator:
    return load_compact(SHIPPED)


@pytest.fixture(scope="module")
def woman() -> Portrait:
    from skimage.data import astronaut

    return load_portrait(astronaut())


def test_shipped_latents_are_alive(shipped: CompactGenerator) -> None:
    """The alarm that was missing: latents that have collapsed onto what landmarks say move nothing by themselves."""
    effect = np.sqrt(np.array(shipped.spec.weight))
    assert effect.max() > 0.005, "no latent moves a keypoint by 0.005 IOD"
    assert effect.min() > 0.05 * effect.max(), "a latent is dead"


def test_shipped_weights_give_a_photo_back(shipped: CompactGenerator, woman: Portrait) -> None:
    state = shipped.prepare(woman)
    (drawn,) = shipped.render(state, shipped.compose(state, state.z[None], woman.pose))
    assert np.abs(drawn.astype(int) - woman.rgb).max() <= 1


def test_shipped_keypoints_of_the_mirrored_photo_are_mirrored(shipped: CompactGenerator, woman: Portrait) -> None:
    row = woman.pose.as_array()[0]
    canvas = sample_canvas(woman.rgb, row)
    turned = PoseTrack.from_array(mirrored_pose(row, 512)[None])
    other = shipped.prepare_picture(np.ascontiguousarray(woman.rgb[:, ::-1]), turned)
    assert np.abs(sample_canvas(other.photo, other.pose)[:, ::-1].astype(int) - canvas).mean() < 0.5
    own = shipped.prepare(woman)
    points = [in_head_frame(shipped.compose(s, s.z[None], p))[0][0] for s, p in ((own, woman.pose), (other, turned))]
    mirrored = points[1][mirror_order()] * [-1, 1, 1]
    assert np.abs(mirrored - points[0]).mean() < 0.03, "IOD"


def test_a_turned_photo_keeps_its_background(shipped: CompactGenerator, woman: Portrait) -> None:
    """A pure change of pose: far from the head nothing moves."""
    state = shipped.prepare(woman)
    turned = PoseTrack.from_array(woman.pose.as_array() + np.float32([8, 3, 0, 0, 0, 0, 0]))
    (drawn,) = shipped.render(state, shipped.compose(state, state.z[None], turned))
    changed = np.abs(drawn.astype(int) - woman.rgb).mean(-1)
    assert changed[:, :20].mean() < 4 and changed[:, -20:].mean() < 4
    assert changed[200:400, 150:350].mean() > 3


def test_beside_a_turning_head_the_background_rests(shipped: CompactGenerator, woman: Portrait) -> None:
    state = shipped.prepare(woman)
    assert state.background is not None
    person = (state.background.person > 0).astype(np.uint8)
    near, far = (cv2.dilate(person, np.ones((side, side), np.uint8)) > 0 for side in (13, 41))
    beside = far & ~near  # 6 to 20 pixels from the person
    turned = PoseTrack.from_array(woman.pose.as_array() + np.float32([-12, 3, 0, 0, 0, 0, 0]))
    keypoints = shipped.compose(state, state.z[None], turned)
    still, bent = (next(shipped.render(s, keypoints)).astype(int) for s in (state, replace(state, background=None)))
    changed, before = (np.abs(frame - woman.rgb)[beside].mean() for frame in (still, bent))
    assert changed < before / 4 and before > 0.7


def test_lips_behind_l2l_shut_further_once_the_mouth_is_tried_out(shipped: CompactGenerator, woman: Portrait) -> None:
    """A smile that L2L alone leaves .08 IOD apart; its own landmarks still give the photo's own latents."""
    renderer = KeypointRenderer(shipped, load_l2l(SHIPPED.parent / "l2l" / "compact"))
    tried = renderer.prepare(woman)
    untried = replace(tried, lips=GapCorrection.none())

    def driving(faces: np.ndarray, pose: PoseTrack) -> Driving:
        return Driving(faces, pose, np.zeros((len(faces), SOUND), np.float32), NEUTRAL)

    def read(state: DrivenPortrait) -> np.ndarray:
        return gaps_read(lambda faces, pose: renderer.render(state, driving(faces, pose)), woman, np.array([0.0, 0.05]))

    assert (read(tried) < read(untried) - 0.008).all()
    own = renderer.latents(tried, driving(woman.normalised[None], woman.pose))
    assert np.abs(own - tried.state.z).max() < 1e-4
