"""LivePortrait with tiny random networks: files, geometry by hand, pose map, batches; and the way through the whole pipeline."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_liveportrait import TINY, tiny_networks, write_tiny

from evaluation import ours
from evaluation.ours import Models, Ours
from evaluation.systems import Assignment
from pipelines.layout import Layout
from pipelines.stages import latents, train_l2l
from space_data.crop import CROP_SIZE_PX, CropBox
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.landmarks import MESH_TO_78, PoseTrack, normalise, posed, rotation_matrix, template_mesh
from space_data.media.encode import write_video
from space_data.params import load_params
from space_data.schema import AlignedClip, FeatureClip, FeatureFrame, emotion_vector
from space_data.tables import write_sharded, write_table
from space_models.generators import GENERATORS, CropRule, pose_at
from space_models.generators.liveportrait.config import read_config
from space_models.generators.liveportrait.generator import NAME, LivePortrait, keypoints
from space_models.generators.liveportrait.head import PoseMap, fit_pose_map
from space_models.generators.liveportrait.weights import FILES, load_networks, weights_sha256
from space_models.portrait import Portrait
from space_models.tracks import Tracks

PARAMS = load_params(Path(__file__).resolve().parents[3] / "params.yaml")
SETTINGS = PARAMS.liveportrait.model_copy(update={"batch": 3})
FACE = np.vstack([template_mesh(), np.zeros((10, 3))])[MESH_TO_78].astype(np.float32)
N_FRAMES, SIZE_PX = 30, 128


def track(rng: np.random.Generator, n: int) -> PoseTrack:
    """A head that moves about the middle of the crop."""
    rows = np.float32([0, 0, 0, 110, 256, 200, 0]) + rng.normal(0, 1, (n, 7)) * np.float32([8, 5, 4, 3, 5, 5, 0])
    return PoseTrack.from_array(rows)


def portrait(rng: np.random.Generator) -> Portrait:
    pose = track(rng, 1)
    landmarks = posed(FACE[None], pose)[0]
    rgb = rng.integers(0, 255, (CROP_SIZE_PX, CROP_SIZE_PX, 3)).astype(np.uint8)
    own = normalise(landmarks[None], pose)[0]
    return Portrait(rgb, rgb, np.zeros((478, 3), np.float32), landmarks, pose, own, CropBox(0, 0, CROP_SIZE_PX), ())


@pytest.fixture
def generator() -> LivePortrait:
    return LivePortrait(tiny_networks(), TINY, SETTINGS, "cpu")


def test_files_of_the_published_layout_load_and_draw_alike(tmp_path: Path) -> None:
    networks = write_tiny(tmp_path / "pth")
    loaded, config = load_networks(tmp_path / "pth")
    assert config == TINY
    for name, network in networks.modules().items():
        for key, tensor in getattr(loaded, name).state_dict().items():
            torch.testing.assert_close(tensor, network.state_dict()[key], rtol=1e-5, atol=1e-6)
    (tmp_path / "flat").mkdir()
    for name, network in networks.modules().items():  # as converted: one folder, one level, another prefix
        state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
        if name == "retargeting":
            names = {"stitching": "retarget_shoulder", "lip": "retarget_mouth", "eye": "retarget_eye"}
            state = {f"{names[key.split('.')[0]]}_module.{key.split('.', 1)[1]}": t for key, t in state.items()}
        save_file(state, tmp_path / "flat" / f"{FILES[name]}.safetensors")
    (tmp_path / "flat" / "config.json").write_text((tmp_path / "pth" / "config.json").read_text())
    again, _ = load_networks(tmp_path / "flat")
    torch.testing.assert_close(again.retargeting.eye.mlp[0].weight, networks.retargeting.eye.mlp[0].weight)
    assert weights_sha256(tmp_path / "flat") != weights_sha256(tmp_path / "pth")


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"need appearance_feature_extractor, .*space weights fetch"):
        load_networks(tmp_path)
    write_tiny(tmp_path)
    path = tmp_path / "base_models" / "motion_extractor.pth"
    state = torch.load(path, weights_only=True)
    del state["detector.fc_t.bias"]
    torch.save(state | {"detector.extra": torch.zeros(1), "detector.fc_exp.bias": torch.zeros(5)}, path)
    with pytest.raises(SpaceError, match=r"1 missing: detector.fc_t.bias; 1 unexpected: detector.extra; 1 of another shape"):
        load_networks(tmp_path)
    for content in (b"no tensors", b""):
        path.write_bytes(content)
        with pytest.raises(SpaceError, match="motion_extractor.pth: not a file of tensors"):
            load_networks(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("width", "64"), ("width", -1), ("keypoints", None), ("motion_widths", [1]), ("motion_depths", 3)]
)
def test_sizes_of_another_type_are_named(tmp_path: Path, name: str, value: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({name: value}))
    with pytest.raises(SpaceError, match=f"config.json: {name} is .*, need (a|four) whole number"):
        read_config(tmp_path)


class Pickled:
    def __reduce__(self):
        return (print, ("run",))


def test_a_pickle_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(tmp_path)
    torch.save({"weight": Pickled()}, tmp_path / "base_models" / "motion_extractor.pth")
    with pytest.raises(SpaceError, match="not a file of tensors"):
        load_networks(tmp_path)
    assert "run" not in capsys.readouterr().out


def test_the_crop_rule_by_hand() -> None:
    points = np.zeros((2, 78, 3), np.float32)
    points[:, 0, :2], points[:, 1, :2] = (100, 200), (300, 260)  # a box of 200 x 60 px, the other points within it
    points[:, 2:, :2] = (150, 230)
    points[:, 68:, :2] = 500  # irises do not count
    assert CropRule(2.0, -0.1).square(points) == pytest.approx((0.0, -10.0, 400.0))


def test_keypoints_by_hand() -> None:
    kp = np.float32([[1, 0, 0], [0, 1, 0]])
    pose = np.array([[0, 0, 90.0, 50, 150, 100]])  # turned clockwise by a quarter, 50 px per unit, at (150, 100)
    found = keypoints(kp, np.float32([[0, 0, 0, 0.5, 0, 0]]), pose, (100, 0, 200))
    # (1, 0) turns down, (0, 1) to the left; half a unit of expression to the right comes after the turn
    assert found[0] == pytest.approx(np.array([[-0.5, 0.5, 0], [-0.5 - 0.5 + 0.25, 0, 0]]), abs=1e-6)


def test_the_pose_map_is_found_again(rng: np.random.Generator) -> None:
    pose = track(rng, 300)
    wanted = PoseMap(0.8, 3.0, -1.1, -2.0, 1.0, 0.5, 0.1, 0.3, 0.9)
    own = wanted.apply(pose)
    own[:, 3] *= 1.3
    found = fit_pose_map(own + rng.normal(0, 1e-3, own.shape), pose)
    np.testing.assert_allclose(found.numbers(), wanted.numbers(), atol=0.03)
    moved = found.moved(own[0], pose[:1], pose)
    np.testing.assert_allclose(moved[:, :4], own[:, :4], atol=0.3)
    np.testing.assert_allclose(moved[:, 4:], own[:, 4:], atol=1.0)  # pixels
    still = PoseTrack.from_array(np.repeat(pose.as_array()[:1], 9, 0))
    assert fit_pose_map(own[:9], still).numbers()[:1] == (1.0,), "no turn, no slope"
    with pytest.raises(SpaceError, match="at least one"):
        fit_pose_map(np.zeros((0, 6)), pose[:0])


def test_own_latents_and_pose_give_the_portraits_own_keypoints(generator: LivePortrait, rng: np.random.Generator) -> None:
    face = portrait(rng)
    state = generator.prepare(face)
    found = generator.extract([face.rgb], face.landmarks[None], face.pose)
    np.testing.assert_allclose(found.z[0], state.z, atol=1e-5)
    own = generator.compose(state, state.z[None], face.pose)
    np.testing.assert_allclose(own[0], generator._source(state)[0].numpy(), atol=1e-5)
    # by the formula of the paper, with M's own numbers
    pose = state.own_pose
    rotation = rotation_matrix(*(np.asarray(a) for a in pose[:3]))
    left, top, side = state.square
    by_hand = pose[3] * 2 / side * (state.kp @ rotation.T + state.z.reshape(-1, 3))
    by_hand[:, 0] += (pose[4] - left) * 2 / side - 1
    by_hand[:, 1] += (pose[5] - top) * 2 / side - 1
    np.testing.assert_allclose(own[0], by_hand, atol=1e-5)


def test_any_cut_gives_the_same_frames(generator: LivePortrait, rng: np.random.Generator) -> None:
    face = portrait(rng)
    state = generator.prepare(face)
    z = state.z + rng.normal(0, 0.1, (7, len(state.z))).astype(np.float32)
    points = generator.compose(state, z, track(rng, 7))
    whole = list(generator.render(state, points))
    assert len(whole) == 7 and whole[0].shape == (512, 512, 3) and whole[0].dtype == np.uint8
    alone = next(generator.render(state, points[5:6]))
    assert np.abs(whole[5].astype(int) - alone).max() <= 1
    assert np.abs(whole[0].astype(int) - whole[1]).max() > 3, "other keypoints, another frame"
    corner = np.round(state.photo[0, :, -4:, -4:].permute(1, 2, 0).numpy() * 255).astype(int)
    assert np.abs(whole[0][-4:, -4:] - corner).max() <= 1, "outside its square the photo stays"


def test_frames_in_half_precision_are_the_same_to_the_eye(generator: LivePortrait, rng: np.random.Generator) -> None:
    half = LivePortrait(tiny_networks(), TINY, SETTINGS.model_copy(update={"precision": "bf16"}), "cpu")
    face = portrait(rng)
    one, other = (next(g.render(s := g.prepare(face), g.compose(s, s.z[None], face.pose))) for g in (generator, half))
    assert np.abs(one.astype(int) - other).mean() < 2


def test_bad_inputs_are_named(generator: LivePortrait, rng: np.random.Generator) -> None:
    face = portrait(rng)
    state = generator.prepare(face)
    with pytest.raises(SpaceError, match="shape"):
        next(generator.render(state, np.zeros((2, 5, 3), np.float32)))
    with pytest.raises(SpaceError, match="finite"):
        next(generator.render(state, np.full((1, TINY.keypoints, 3), np.nan, np.float32)))
    with pytest.raises(SpaceError, match="1 frames, landmarks for 2"):
        generator.extract([face.rgb], np.repeat(face.landmarks[None], 2, 0), face.pose)
    with pytest.raises(SpaceError, match="square"):
        generator.prepare(replace(face, rgb=face.rgb[:100]))


def write_clips(layout: Layout, rng: np.random.Generator) -> None:
    """Aligned clips of noise with features: two people to learn from, one to choose by, one to test on; two takes of each."""
    aligned, clips = [], []
    rows: dict[str, list[FeatureFrame]] = {"train": [], "val": [], "test": []}
    for person, split in (("a", "train"), ("b", "train"), ("c", "val"), ("d", "test")):
        for take, emotion in enumerate(("neutral", "happy")):
            clip_id, pose = f"{person}{take}", pose_at(track(rng, N_FRAMES), SIZE_PX / CROP_SIZE_PX).as_array()
            video = layout.data.local() / f"{clip_id}.mp4"
            write_video(video, list(rng.integers(0, 255, (N_FRAMES, SIZE_PX, SIZE_PX, 3)).astype(np.uint8)))
            facts = (clip_id, clip_id, "set", person, emotion, 1.0, "", split, video.name, "", N_FRAMES, SIZE_PX)
            aligned.append(AlignedClip(*facts, 0.0, 0.0, 0.0, 0.0, 0.0, sha256_of(video)))
            clips.append(FeatureClip(clip_id, "video", "set", person, "", split, emotion_vector(emotion, 1.0), N_FRAMES))
            for i in range(N_FRAMES):
                face = (FACE + rng.normal(0, 0.02, FACE.shape)).ravel().astype(np.float32)
                sound = rng.normal(size=160).astype(np.float32)
                rows[split].append(FeatureFrame(clip_id, i, False, face, pose[i], 0.3, 0.3, 0.0, 0.0, sound, np.zeros(52), True))
    for split, own in rows.items():
        write_sharded(layout.feature_split(split), own, FeatureFrame, 1)
    write_table(layout.aligned_clips, aligned, AlignedClip)
    write_table(layout.feature_clips, clips, FeatureClip)


def test_a_tiny_one_goes_through_latents_training_animate_and_the_benchmark(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.in_folder(tmp_path)
    layout.data.local().mkdir(parents=True, exist_ok=True)
    write_clips(layout, rng)
    folder = tmp_path / "published"
    write_tiny(folder)
    params = PARAMS.model_copy(
        update={
            "latents": PARAMS.latents.model_copy(update={"generators": [NAME], "device": "cpu"}),
            "liveportrait": SETTINGS.model_copy(update={"weights": str(folder)}),
            "l2l": PARAMS.l2l.model_copy(update={"hidden": 8, "batch": 4, "frames": 20, "steps": 3, "s2l_share": 0.0}),
        }
    )
    latents.run(params, layout)
    spec = json.loads(layout.latent_spec(NAME).read_text())
    assert spec["weights_sha256"] == GENERATORS[NAME].weights_sha256(folder) and spec["size"] == 63
    assert len(spec["pose_map"]) == 9 and min(spec["sd"]) > 0

    train_l2l.run(params, layout)
    card = json.loads((layout.model(f"l2l/{NAME}") / "card.json").read_text())
    assert card["config"]["spec"]["pose_map"] == spec["pose_map"]

    face = portrait(rng)
    rest = Tracks.at_rest(face, rng.normal(size=(5, 160)).astype(np.float32))
    moving = replace(rest, edited=rest.edited + rng.normal(0, 0.02, (5, 78, 3)).astype(np.float32))
    for name in ("s2l", "posegen"):
        (layout.model(name)).mkdir(parents=True)
        for file in ("card.json", "weights.safetensors"):
            (layout.model(name) / file).write_text("{}")
    models = Models(layout.models.local(), params)
    assert models.content(NAME)
    monkeypatch.setattr(ours, "load_motion_models", lambda *_: None)
    monkeypatch.setattr(ours, "make_tracks", lambda *_, **_settings: moving)
    monkeypatch.setattr(ours, "portrait_of_crop", lambda *_: face)
    speech = rng.normal(0, 0.1, 5 * 640).astype(np.float32)
    clip = Assignment("d0", face.rgb, speech, emotion_vector("happy", 0.5), 5, 1, None, tmp_path / "none.mp4")
    system = Ours(NAME, models)
    frames = list(system.render(clip).frames)
    assert system.name == f"ours_{NAME}" and len(frames) == 5 and frames[0].shape == (512, 512, 3)

    write_tiny(folder, seed=1)
    with pytest.raises(SpaceError, match=f"learnt the latents of {NAME}"):
        system.render(clip)
