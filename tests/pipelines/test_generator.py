"""Stage generator: shipped weights are verified; footage takes the frames and anchors it says."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from made_up_features import N_FRAMES, SIZE_PX, write_features

from pipelines.layout import Layout
from pipelines.stages.generator import SHIPPED, footage, take_shipped, train_new
from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS
from space_data.media.encode import write_video
from space_data.params import CompactStage, load_params
from space_data.schema import AlignedClip
from space_data.tables import read_table, write_table
from space_models.checkpoints import Card, save_model
from space_models.generators.compact import load_compact
from space_models.generators.compact_nets import CompactConfig, CompactNet, anchors_of

SETTINGS = CompactStage(
    source="shipped", size_px=64, width=4, frames_per_clip=5, steps=1, batch=1, learning_rate=1e-3, seed=0, training={}
)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    config = CompactConfig(SETTINGS.size_px, SETTINGS.width)
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
        take_shipped(layout, SETTINGS.model_copy(update={"width": 8}), shipped)
    weights = shipped / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\1\2\3")
    with pytest.raises(SpaceError, match="card describes"):
        take_shipped(layout, SETTINGS, shipped)


def test_the_repository_ships_weights_that_load(tmp_path: Path) -> None:
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 16e6
    assert load_compact(SHIPPED).size_px == 512


def test_a_new_one_is_trained_on_the_aligned_clips(tmp_path: Path, rng: np.random.Generator) -> None:
    layout = Layout.in_folder(tmp_path / "out")
    write_features(layout, {"train": ("neutral",), "val": ("happy",)}, rng)
    write_video(tmp_path / "out" / "clip.mp4", rng.integers(0, 255, (N_FRAMES, SIZE_PX, SIZE_PX, 3), dtype=np.uint8))
    clips = [dataclasses.replace(clip, video="clip.mp4") for clip in read_table(layout.aligned_clips, AlignedClip)]
    write_table(layout.aligned_clips, clips, AlignedClip)
    params = load_params().model_copy(update={"generator": SETTINGS.model_copy(update={"source": "train"})})
    card = train_new(params, layout)
    assert card is not None and card.held_out == "1 clips of split val"
    assert card.config == {"size_px": SETTINGS.size_px, "width": SETTINGS.width} and card.notes == "1 aligned clips"
    load_compact(layout.model("compact"))
    assert card.metrics and all(np.isfinite(value) for value in card.metrics.values())


def test_footage_is_evenly_spaced_with_matching_anchors(tmp_path: Path, rng: np.random.Generator) -> None:
    greys = np.linspace(20, 220, 9)
    video = tmp_path / "clip.mp4"
    write_video(video, (np.full((128, 128, 3), grey, np.uint8) for grey in greys))
    clip = AlignedClip(
        clip_id="a", source_clip_id="a", dataset="d", subject="s", emotion="neutral", intensity=1.0, language="en", split="train",
        video=str(video), audio="", n_frames=9, size_px=128, start_s=0.0, crop_x0_px=0.0, crop_y0_px=0.0, crop_side_px=128.0,
        applied_offset_frames=0.0,
    )  # fmt: skip
    landmarks = rng.uniform(0, 128, (9, N_LANDMARKS, 3)).astype(np.float32)
    shot = footage(clip, landmarks, SETTINGS)
    assert shot.pictures.shape == (5, 64, 64, 3)
    assert np.allclose(shot.pictures.mean((1, 2, 3)), greys[::2], atol=4)
    assert np.allclose(shot.anchors, anchors_of(landmarks[::2], 128))
    with pytest.raises(SpaceError, match="frames decoded"):
        footage(dataclasses.replace(clip, n_frames=12), rng.uniform(0, 128, (12, N_LANDMARKS, 3)), SETTINGS)
