"""Stage latents: what is stored draws the same pictures as the generator does directly."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.stages.latents import LatentFrame, LatentUnit, landmarks_of, latents_of
from space_data.landmarks import N_LANDMARKS, PoseTrack, posed
from space_data.media.encode import write_video
from space_data.media.video import decode_video
from space_data.schema import FeatureFrame
from space_data.tables import read_arrow, vectors, write_table
from space_models.checkpoints import Card, save_model
from space_models.generators.compact import load_compact
from space_models.generators.compact_nets import N_KEYPOINTS, CompactConfig, CompactNet

FRAMES = 10


@pytest.fixture
def unit(tmp_path: Path, rng: np.random.Generator) -> LatentUnit:
    config = CompactConfig(64, 4)
    save_model(tmp_path / "compact", CompactNet(config), Card("compact", vars(config), "", "test"))
    write_video(tmp_path / "a.mp4", list(rng.integers(0, 255, (FRAMES, 64, 64, 3)).astype(np.uint8)))
    pose = np.float32([5, 0, 0, 20, 32, 30, 0])
    rows = [
        FeatureFrame("a", i, False, face, pose, 0.3, 0.3, 0.0, 0.0, np.zeros(160), np.zeros(52), True)
        for i, face in enumerate(rng.normal(0, 0.3, (FRAMES, N_LANDMARKS * 3)))
    ]
    write_table(tmp_path / "features.parquet", rows, FeatureFrame)
    return LatentUnit("a", str(tmp_path / "a.mp4"), str(tmp_path / "features.parquet"), str(tmp_path / "compact"))


def test_decoding_the_latents_equals_direct_reconstruction(unit: LatentUnit, tmp_path: Path) -> None:
    latents_of(unit, "hash", tmp_path)
    table = read_arrow(tmp_path / "latents.parquet", LatentFrame)
    stored = vectors(table, "keypoints").reshape(-1, N_KEYPOINTS, 3)
    generator = load_compact(Path(unit.model))
    frames = [frame.rgb for frame in decode_video(unit.video)]
    landmarks = landmarks_of(pq.read_table(unit.features))
    direct = generator.extract(frames, landmarks)
    assert np.array_equal(stored, direct)
    state = generator.prepare_picture(frames[0], landmarks[0])
    drawn = zip(generator.render(state, stored), generator.render(state, direct), strict=True)
    assert all(np.array_equal(a, b) for a, b in drawn)


def test_landmarks_come_back_posed(unit: LatentUnit) -> None:
    table = pq.read_table(unit.features)
    normalised = vectors(table, "normalised").reshape(-1, N_LANDMARKS, 3)
    assert np.array_equal(landmarks_of(table), posed(normalised, PoseTrack.from_array(vectors(table, "pose"))))
