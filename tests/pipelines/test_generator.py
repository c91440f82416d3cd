"""Stage generator: shipped weights are verified; footage takes the frames it says; new weights are trained on raw video."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from made_up_features import N_FRAMES, SIZE_PX, write_features
from made_up_measures import CLIP

from pipelines.job.keys import WHOLE, closure
from pipelines.layout import Layout
from pipelines.stages.generator import SHIPPED, footage, read_footage, take_shipped, train_new
from space_data.errors import SpaceError
from space_data.landmarks import MESH_TO_78, template_mesh
from space_data.media.encode import write_video
from space_data.params import Params, load_params
from space_data.schema import Clip, SegmentCrop
from space_data.tables import read_table, write_sharded, write_table
from space_models.checkpoints import Card, save_model
from space_models.generators.compact import load_compact
from space_models.generators.compact.networks import CompactConfig, CompactNet

PARAMS = load_params(changes=["generator.latent_size=3", "generator.width=8", "generator.steps=1", "generator.batch=1"])
SETTINGS = PARAMS.generator.model_copy(update={"frames_per_clip": 5})
POSE = np.float32([0, 0, 0, 40, 64, 60, 0])


def clip_at(path: Path, clip_id: str = "a", split: str = "train") -> Clip:
    return dataclasses.replace(CLIP, clip_id=clip_id, path=str(path), audio_path="", subject=clip_id, split=split)


def crop_of(clip_id: str, n_frames: int, side: int) -> SegmentCrop:
    return SegmentCrop(clip_id, clip_id, 0.0, n_frames, 0.0, 0, 0, side, side)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    config = CompactConfig(SETTINGS.latent_size, SETTINGS.width)
    save_model(tmp_path / "shipped", CompactNet(config), Card("compact", vars(config), "", "test"))
    return tmp_path / "shipped"


def test_shipped_weights_arrive_unchanged(shipped: Path, tmp_path: Path) -> None:
    layout = Layout.in_folder(tmp_path / "out")
    card = take_shipped(layout, SETTINGS, shipped)
    assert card.weights_sha256 == json.loads((shipped / "card.json").read_text())["weights_sha256"]
    load_compact(layout.model("compact"))


def test_other_size_and_damage_are_refused(shipped: Path, tmp_path: Path) -> None:
    layout = Layout.in_folder(tmp_path / "out")
    with pytest.raises(SpaceError, match="params.yaml asks for"):
        take_shipped(layout, SETTINGS.model_copy(update={"width": 16}), shipped)
    weights = shipped / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\1\2\3")
    with pytest.raises(SpaceError, match="card describes"):
        take_shipped(layout, SETTINGS, shipped)


def test_the_repository_ships_weights_that_load() -> None:
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 16e6
    assert load_compact(SHIPPED).size_px == 512


@pytest.fixture
def run_with_video(tmp_path: Path, rng: np.random.Generator) -> tuple[Params, Layout]:
    """Features of two made-up people and the raw video that they were measured on."""
    layout = Layout.in_folder(tmp_path / "out")
    write_features(layout, {"train": ("neutral",), "val": ("happy",)}, rng)
    write_video(tmp_path / "clip.mp4", rng.integers(0, 255, (N_FRAMES, SIZE_PX, SIZE_PX, 3), dtype=np.uint8))
    ids = {"train": "set/train/neutral", "val": "set/val/happy"}
    clips = [clip_at(tmp_path / "clip.mp4", clip_id, split) for split, clip_id in ids.items()]
    write_sharded(layout.clips, clips, Clip, 1)
    write_table(layout.segment_crops, [crop_of(clip_id, N_FRAMES, SIZE_PX) for clip_id in ids.values()], SegmentCrop)
    return PARAMS.model_copy(update={"generator": SETTINGS.model_copy(update={"source": "train"})}), layout


def test_no_more_clips_are_read_than_asked_for(run_with_video: tuple[Params, Layout], rng: np.random.Generator) -> None:
    params, layout = run_with_video
    crops = read_table(layout.segment_crops, SegmentCrop)
    write_features(layout, {"train": ("neutral", "sad", "angry"), "val": ("happy",)}, rng)
    other = [dataclasses.replace(crops[0], clip_id=f"set/train/{emotion}") for emotion in ("sad", "angry")]
    write_table(layout.segment_crops, [*crops, *other], SegmentCrop)
    for most, wanted in ((1, 1), (2, 2), (600, 3)):
        few = params.model_copy(update={"generator": params.generator.model_copy(update={"clips": most})})
        found = read_footage(few, layout)
        assert [len(found[split]) for split in ("train", "val", "test")] == [wanted, 1, 0]


def test_a_new_one_is_trained_on_the_raw_video(run_with_video: tuple[Params, Layout]) -> None:
    params, layout = run_with_video
    card = train_new(params, layout)
    assert card is not None
    assert card.config == {"latent_size": 3, "width": 8} and card.notes == "1 clips of 1 people"
    assert card.held_out == "1 clips of split val" and card.training["steps"] == 1
    generator = load_compact(layout.model("compact"))
    assert generator.spec.weights_sha256 == card.weights_sha256
    assert card.metrics and all(np.isfinite(value) for value in card.metrics.values())


def test_a_clip_can_be_overfitted(run_with_video: tuple[Params, Layout], capsys: pytest.CaptureFixture[str]) -> None:
    params, layout = run_with_video
    assert train_new(params, layout, overfit_one_clip=True) is None
    assert "one batch of one clip" in capsys.readouterr().out
    assert not layout.model("compact").exists()


def test_footage_is_evenly_spaced(tmp_path: Path) -> None:
    greys = np.linspace(20, 220, 9)
    video = tmp_path / "clip.mp4"
    write_video(video, (np.full((128, 128, 3), grey, np.uint8) for grey in greys))
    face = np.vstack([template_mesh(), np.zeros((10, 3))])[MESH_TO_78].astype(np.float32)
    normalised = np.tile(face, (9, 1, 1)) + np.arange(9, dtype=np.float32)[:, None, None]
    found = np.ones(9, bool)
    shot = footage(clip_at(video), crop_of("a", 9, 128), normalised, np.tile(POSE, (9, 1)), found, SETTINGS)
    assert shot.canvases.shape == (5, 128, 128, 3) and shot.side_px == 128 and len(shot) == 5
    assert np.allclose(shot.canvases.mean((1, 2, 3)), greys[::2], atol=4)
    assert np.allclose(np.diff(shot.groups, axis=0), 2)
    assert np.isclose(shot.chance.sum(), 1)
    with pytest.raises(SpaceError, match="features of 9 frames, crop of 12"):
        footage(clip_at(video), crop_of("a", 12, 128), normalised, np.tile(POSE, (9, 1)), found, SETTINGS)
    found[[0, 4]] = False
    shot = footage(clip_at(video), crop_of("a", 9, 128), normalised, np.tile(POSE, (9, 1)), found, SETTINGS)
    assert len(shot) == 5 and np.allclose(shot.canvases.mean((1, 2, 3)), greys[[1, 3, 5, 6, 8]], atol=4), "no face, no lesson"


def test_the_code_of_the_stage_does_not_drag_the_face_mesh_along() -> None:
    """Training needs no detector: what the stage depends on must not reach one."""
    reached, _ = closure("pipelines.stages.generator", WHOLE)
    assert ("space_models.generators.compact.networks", "CompactNet") in reached
    assert not any(module == "space_data.facemesh" for module, _ in reached)
