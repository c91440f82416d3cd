"""The feature tables in memory: round trip, splits, resting faces."""

from pathlib import Path

import numpy as np
import pytest

from space_data import landmarks as lm
from space_data.errors import SpaceError
from space_data.schema import FeatureClip, FeatureFrame, emotion_vector
from space_data.tables import write_sharded, write_table
from space_models.dataset import Features, by_frame, resting_faces


def write(folder: Path, lengths: dict[str, int], rng: np.random.Generator) -> None:
    frames, clips = [], []
    for clip_id, n_frames in lengths.items():
        split, subject, emotion = clip_id.split("/")
        clips.append(
            FeatureClip(clip_id, "video", "set", subject, "en", split, emotion_vector(emotion, 1.0), n_frames, "v.mp4", "a.wav")
        )
        for i in range(n_frames):
            points = rng.normal(size=234).astype(np.float32)
            vectors = (rng.normal(size=160).astype(np.float32), rng.normal(size=52).astype(np.float32))
            pose = np.arange(7, dtype=np.float32)
            frames.append(FeatureFrame(clip_id, i, False, points, pose, 0.3, 0.3, 0.0, 0.0, *vectors, i % 2 == 0))
    write_sharded(folder / "frames", frames, FeatureFrame, 2)
    write_table(folder / "clips.parquet", clips, FeatureClip)


def test_clips_come_back_with_their_shapes_and_splits(tmp_path: Path, rng: np.random.Generator) -> None:
    write(tmp_path, {"train/anna/neutral": 30, "test/ben/happy": 40, "train/short/neutral": 5}, rng)
    data = Features.read(tmp_path / "frames", tmp_path / "clips.parquet")
    assert [c.clip.clip_id for c in data.clips] == ["test/ben/happy", "train/anna/neutral"]  # a fifth of a second is too short
    clip = data.of_split("train")[0]
    assert clip.normalised.shape == (30, 78, 3) and clip.log_mel.shape == (120, 40) and clip.pose.shape == (30, 7)
    assert by_frame(clip.log_mel).shape == (30, 160)
    assert [c.clip.clip_id for c in data.held_out()] == ["test/ben/happy"]
    again = Features.read(tmp_path / "frames", tmp_path / "clips.parquet")
    assert again.data_hash == data.data_hash


def test_nothing_long_enough_is_an_error(tmp_path: Path, rng: np.random.Generator) -> None:
    write(tmp_path, {"train/anna/neutral": 3}, rng)
    with pytest.raises(SpaceError, match="no clip of at least"):
        Features.read(tmp_path / "frames", tmp_path / "clips.parquet")


def test_the_resting_face_comes_from_the_neutral_clip(tmp_path: Path, rng: np.random.Generator) -> None:
    write(tmp_path, {"train/anna/neutral": 30, "train/anna/angry": 30}, rng)
    data = Features.read(tmp_path / "frames", tmp_path / "clips.parquet")
    neutral = next(c for c in data.clips if c.clip.clip_id.endswith("neutral"))
    face = resting_faces(data.clips)["anna"]
    gap = lm.lip_gap(neutral.normalised)
    assert face.shape == (78, 3)
    assert lm.lip_gap(face) <= np.percentile(gap, 60)
    assert (face >= neutral.normalised.min(0) - 1e-6).all() and (face <= neutral.normalised.max(0) + 1e-6).all()
