"""Features stage: filmed segments and speech-only tracks in one table, every kept segment accounted for, same bytes always."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_up_measures import CLIP
from made_up_segments import decision_of, filmed

from pipelines.layout import Layout
from pipelines.stages import features
from space_data.features import canonical_pose, speech_track
from space_data.files import sha256_of
from space_data.landmarks import N_LANDMARKS
from space_data.media.encode import write_wav
from space_data.media.sound import decode_audio
from space_data.params import load_params
from space_data.schema import (
    EMOTIONS,
    FAILED,
    KEPT,
    REJECTED,
    UNKNOWN,
    Clip,
    Decision,
    FeatureClip,
    FeatureFrame,
    FrameRow,
    LedgerRow,
    SegmentCrop,
    Utterance,
    UtteranceFrame,
)
from space_data.store import Place
from space_data.tables import by_clip, read_arrow, read_table, vectors, write_sharded, write_table
from space_data.timebase import frames_to_samples

REPOSITORY = Path(__file__).resolve().parents[2]
SHARDS = 2


@pytest.fixture
def layout(tmp_path: Path, astronaut: np.ndarray, rng: np.random.Generator) -> Layout:
    """Decisions on a clip with a face (two kept segments, one rejected), on one that loses it, and on one without any sound."""
    layout = Layout.in_folder(tmp_path / "run")
    sliding = [np.ascontiguousarray(np.roll(astronaut[0:256, 96:352], i, axis=1)) for i in range(54)]
    lost = sliding[:30] + [np.full((256, 256, 3), 127, np.uint8)] * 24
    params = params_with()
    (tmp_path / "raw").mkdir()
    clips = [filmed(tmp_path / "raw", name, frames, params, rng) for name, frames in {"a": sliding, "lost": lost}.items()]
    text = tmp_path / "raw" / "mute.mp4"
    text.write_text("no sound")
    mute = dataclasses.replace(clips[0], clip_id="set/mute", path=str(text), sha256=sha256_of(text), video_sha256=sha256_of(text))
    seen = [row for name in ("a", "lost") for row in read_table(tmp_path / "raw" / name / "frames.arrow", FrameRow)]
    silent = [dataclasses.replace(row, clip_id="set/mute") for row in seen if row.clip_id == "set/a"]
    write_sharded(layout.frames, seen + silent, FrameRow, SHARDS)
    write_sharded(layout.clips, [*clips, mute], Clip, SHARDS)
    write_sharded(layout.stage("ingest") / "utterances", [], Utterance, SHARDS)
    decisions = [
        decision_of(clips[0], 0, (0, 22), 1.0), decision_of(clips[0], 1, (22, 45)), decision_of(clips[1], 0, (0, 45)),
        decision_of(clips[0], 2, (0, 22), status=REJECTED), decision_of(clips[0], 3, (40, 45)), decision_of(mute, 0, (0, 22)),
    ]  # fmt: skip
    write_sharded(layout.decisions, decisions, Decision, SHARDS)
    return layout


def params_with(workers: int = 1, reader: str = "folder"):
    params = load_params(REPOSITORY / "params.yaml")
    return params.model_copy(
        update={
            "job": params.job.model_copy(update={"workers": workers, "shards": SHARDS, "attempts": 1}),
            "data": params.data.model_copy(update={"reader": reader}),
            "features": params.features.model_copy(update={"min_frames": 20}),
        }
    )


def frames_of(layout: Layout) -> dict:
    return dict(by_clip(read_arrow(layout.feature_frames, FeatureFrame)))


def test_every_kept_segment_has_features_or_a_reason(layout: Layout) -> None:
    features.run(params_with(), layout)
    ledger = {row.clip_id: row for row in read_table(layout.ledger("features"), LedgerRow)}
    fates = {clip_id: (row.status, row.reason) for clip_id, row in ledger.items()}
    assert fates == {
        "set/a#0": (KEPT, ""), "set/a#1": (KEPT, ""), "set/a#3": (REJECTED, "too_short"),
        "set/lost#0": (REJECTED, "face_lost"), "set/mute#0": (FAILED, "error"),
    }  # fmt: skip
    assert ledger["set/lost#0"].threshold == 0.1 and ledger["set/lost#0"].value == pytest.approx(20 / 45, abs=0.05)
    first, second = read_table(layout.feature_clips, FeatureClip)
    assert (first.clip_id, first.kind, first.split, first.n_frames) == ("set/a#0", "video", "val", 22)
    assert first.emotion[EMOTIONS.index("happy")] == 0.5 and first.emotion.sum() == 0.5
    crops = read_table(layout.segment_crops, SegmentCrop)
    assert [(row.clip_id, row.source_clip_id, row.n_frames, row.offset_frames) for row in crops] == [
        ("set/a#0", "set/a", 22, 1.0), ("set/a#1", "set/a", 23, 0.0),
    ]  # fmt: skip
    rows = frames_of(layout)
    assert {clip_id: len(table) for clip_id, table in rows.items()} == {"set/a#0": 22, second.clip_id: 23}


def test_nothing_kept_leaves_nothing_of_an_earlier_run(layout: Layout) -> None:
    features.run(params_with(), layout)
    assert any(pq.read_metadata(file).num_rows for file in Path(layout.features).rglob("*.parquet"))
    dropped = [dataclasses.replace(row, status=REJECTED) for row in read_table(layout.decisions, Decision)]
    write_sharded(layout.decisions, dropped, Decision, SHARDS)
    features.run(params_with(), layout)
    assert read_table(layout.segment_crops, SegmentCrop) == [] and frames_of(layout) == {}
    assert not any(pq.read_metadata(file).num_rows for file in Path(layout.features).rglob("*.parquet"))


def test_an_unlabelled_clip_has_no_emotion_not_even_neutral() -> None:
    row = features.clip_row("set/c", dataclasses.replace(CLIP, emotion=UNKNOWN, intensity=0.0), "val", 12)
    assert np.isnan(row.emotion).all()


def test_same_bytes_for_any_number_of_workers(layout: Layout, tmp_path: Path) -> None:
    def tables(layout: Layout) -> dict[str, bytes]:
        files = sorted(Path(layout.features).rglob("*.parquet"))
        return {str(p.relative_to(layout.features)): p.read_bytes() for p in files}

    features.run(params_with(workers=1), layout)
    first = tables(layout)
    assert len(first) == 12, "two shards each of the clips, their crops, the ledger, and each split"
    for workers in (2, 4):
        features.run(params_with(workers), dataclasses.replace(layout, cache=Place.of(tmp_path / f"cache-of-{workers}")))
        assert tables(layout) == first, f"{workers} workers"


def test_speech_only_tracks_join_with_the_canonical_pose(layout: Layout, tmp_path: Path, rng: np.random.Generator) -> None:
    track = rng.normal(0, 0.3, (20, N_LANDMARKS * 3)).astype(np.float32)
    write_table(tmp_path / "u.parquet", [UtteranceFrame(i, row) for i, row in enumerate(track)], UtteranceFrame)
    sound = rng.normal(0, 0.05, frames_to_samples(18)).astype(np.float32)  # two frames shorter than the track
    write_wav(tmp_path / "u.wav", sound)
    files = [tmp_path / "u.wav", tmp_path / "u.parquet"]
    spoken = Utterance("set/u", *map(str, files), "set", "voice-1", "sad", 1.0, "fr", *map(sha256_of, files))
    write_sharded(layout.stage("ingest") / "utterances", [spoken], Utterance, SHARDS)
    features.run(params_with(), layout)
    clip = {row.clip_id: row for row in read_table(layout.feature_clips, FeatureClip)}["set/u"]
    assert (clip.kind, clip.language, clip.n_frames) == ("speech_only", "fr", 18)
    rows = frames_of(layout)["set/u"]
    np.testing.assert_array_equal(vectors(rows, "normalised"), track[:18])
    np.testing.assert_array_equal(vectors(rows, "pose"), canonical_pose(18, params_with().align.size_px).as_array())
    np.testing.assert_array_equal(
        vectors(rows, "log_mel").reshape(18, 4, 40), speech_track(decode_audio(spoken.audio), 18).log_mel
    )
