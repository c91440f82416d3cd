"""The feature tables in memory: round trip, splits, resting faces."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from read_tables import read_all

from space_data import landmarks as lm
from space_data.schema import UNKNOWN, FeatureClip, FeatureFrame, emotion_vector
from space_data.store import Place
from space_data.tables import read_table, write_sharded, write_table
from space_models.dataset import Features, by_frame, resting_faces
from space_models.retarget import neutral_of


def write(folder: Path, lengths: dict[str, int], rng: np.random.Generator) -> None:
    frames, clips = [], []
    for clip_id, n_frames in lengths.items():
        split, subject, emotion = clip_id.split("/")
        clips.append(
            FeatureClip(clip_id, "video", "set", subject, "en", split, emotion_vector(emotion, 1.0), n_frames)
        )
        for i in range(n_frames):
            points = rng.normal(size=234).astype(np.float32)
            vectors = (rng.normal(size=160).astype(np.float32), rng.normal(size=52).astype(np.float32))
            pose = np.arange(7, dtype=np.float32)
            frames.append(FeatureFrame(clip_id, i, False, points, pose, 0.3, 0.3, 0.0, 0.0, *vectors, i % 2 == 0))
    for split in {clip.split for clip in clips}:
        write_sharded(folder / "frames" / f"split={split}", [f for f in frames if f.clip_id.startswith(split)], FeatureFrame, 2)
    write_table(folder / "clips", clips, FeatureClip)


def tables(folder: Path) -> tuple[Place, Place]:
    """Of frames and of clips."""
    return Place.of(folder / "frames"), Place.of(folder / "clips")


def test_clips_come_back_with_their_shapes_and_splits(tmp_path: Path, rng: np.random.Generator) -> None:
    write(tmp_path, {"train/anna/neutral": 30, "test/ben/happy": 40, "train/short/neutral": 5}, rng)
    data = read_all(*tables(tmp_path))
    assert [c.clip_id for c in data.clips] == ["test/ben/happy", "train/anna/neutral"]  # a fifth of a second is too short
    clip = data.of_split("train")[0]
    assert clip.normalised.shape == (30, 78, 3) and clip.log_mel.shape == (120, 40) and clip.pose.shape == (30, 7)
    assert by_frame(clip.log_mel).shape == (30, 160)
    again = read_all(*tables(tmp_path))
    assert again.data_hash == data.data_hash


def test_the_resting_face_comes_from_the_neutral_clip(tmp_path: Path, rng: np.random.Generator) -> None:
    write(tmp_path, {"train/anna/neutral": 30, "train/anna/angry": 30}, rng)
    data = read_all(*tables(tmp_path))
    neutral = next(c for c in data.clips if c.clip_id.endswith("neutral"))
    face = resting_faces(data.clips)["anna"]
    gap = lm.lip_gap(neutral.normalised)
    assert face.shape == (78, 3)
    assert lm.lip_gap(face) <= np.percentile(gap, 60)
    assert (face >= neutral.normalised.min(0) - 1e-6).all() and (face <= neutral.normalised.max(0) + 1e-6).all()


@pytest.mark.parametrize(
    ("emotions", "resting"),
    [
        (("neutral", UNKNOWN, "angry"), ("neutral",)),
        ((UNKNOWN, "angry"), (UNKNOWN,)),
        (("angry", "happy"), ("angry", "happy")),
        ((UNKNOWN,), (UNKNOWN,)),
    ],
)
def test_an_unlabelled_clip_is_the_resting_face_only_without_a_neutral_one(
    emotions: tuple[str, ...], resting: tuple[str, ...], tmp_path: Path, rng: np.random.Generator
) -> None:
    write(tmp_path, {f"train/anna/{emotion}": 30 for emotion in emotions}, rng)
    data = read_all(*tables(tmp_path))
    wanted = neutral_of(np.concatenate([c.normalised for c in data.clips if c.clip_id.split("/")[-1] in resting]))
    np.testing.assert_array_equal(resting_faces(data.clips)["anna"], wanted)


def test_another_label_is_other_data(tmp_path: Path) -> None:
    hashes = set()
    for emotion in ("neutral", UNKNOWN):
        write(tmp_path, {"train/anna/neutral": 30}, np.random.default_rng(0))
        (row,) = read_table(tmp_path / "clips", FeatureClip)
        write_table(tmp_path / "clips", [replace(row, emotion=emotion_vector(emotion, 1.0))], FeatureClip)
        hashes.add(read_all(*tables(tmp_path)).data_hash)
    assert len(hashes) == 2


def test_held_out_clips_are_few_of_each_person_and_no_others_are_read(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    many = {f"test/{who}/{emotion}": 30 for who in ("anna", "ben", "cleo") for emotion in ("neutral", "happy", "sad", "angry")}
    write(tmp_path, many | {"test/dora/neutral": 5, "val/emil/neutral": 30, "train/fay/neutral": 30}, rng)
    everything = {clip.clip_id: clip for clip in read_all(*tables(tmp_path)).clips}
    asked: list[str] = []

    def states(clip_ids: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        asked.extend(clip_ids)
        yield from ((clip_id, np.full((30, 2, 3), len(clip_id), np.float32)) for clip_id in ("test/zoe/sad", *clip_ids))

    data = Features.read_filmed(*tables(tmp_path), ("test", "val", "none"), 7, states)
    per_person = Counter(clip.subject for clip in data.clips)
    assert sorted(per_person.values()) == [1, 2, 2, 3] and per_person["emil"] == 1, "seven of three people, and one"
    assert sorted(asked) == [clip.clip_id for clip in data.clips]
    for clip in data.clips:
        np.testing.assert_array_equal(clip.normalised, everything[clip.clip_id].normalised)
        assert clip.states is not None and clip.states.dtype == np.float16 and clip.states[0, 0, 0] == len(clip.clip_id)
    few = Features.read_filmed(*tables(tmp_path), ("test",), 2)
    assert len(few.clips) == 2 and few.clips[0].states is None and few.data_hash != data.data_hash
    assert Features.read_filmed(*tables(tmp_path), ("none",), 2).clips == ()


def test_what_is_only_heard_is_not_read_as_filmed(tmp_path: Path, rng: np.random.Generator) -> None:
    write(tmp_path, {"test/anna/neutral": 30, "test/ben/neutral": 30}, rng)
    rows = read_table(tmp_path / "clips", FeatureClip)
    write_table(tmp_path / "clips", [replace(rows[0], kind="speech_only"), rows[1]], FeatureClip)
    (clip,) = Features.read_filmed(*tables(tmp_path), ("test",), 9).clips
    assert clip.subject == "ben"
