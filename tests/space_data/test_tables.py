"""Tables: derivation of schemas, round trips, and bytes that do not depend on the order of the rows."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from space_data import schema, tables
from space_data.errors import SpaceError
from space_data.manifest import MANIFEST


def frame_rows(n_clips: int = 5, n_frames: int = 7) -> list[schema.SoundRow]:
    return [
        schema.SoundRow(f"set/clip{c}", f, np.full(40, c + f / 10, np.float32), bool(f % 2), -20.0, 0.0)
        for c in range(n_clips)
        for f in range(n_frames)
    ]


def test_schema_follows_the_dataclass() -> None:
    arrow = schema.arrow_schema(schema.LedgerRow)
    assert arrow.field("value").nullable and not arrow.field("reason").nullable
    assert arrow.field("value").type == pa.float64()
    assert schema.arrow_schema(schema.FrameRow).field("landmarks_px").type == pa.list_(pa.float32(), 234)
    assert arrow.metadata[b"space.table"] == b"LedgerRow"


ROWS = [v for v in vars(schema).values() if isinstance(v, type) and dataclasses.is_dataclass(v)]


@pytest.mark.parametrize("row_class", ROWS)
def test_every_row_class_has_a_schema(row_class: type) -> None:
    if row_class is not schema.FixedSize:
        assert len(schema.arrow_schema(row_class)) == len(dataclasses.fields(row_class))


def test_round_trip(tmp_path: Path) -> None:
    rows = frame_rows()
    tables.write_table(tmp_path / "t.parquet", rows, schema.SoundRow)
    back = tables.read_table(tmp_path / "t.parquet", schema.SoundRow)
    assert [(r.clip_id, r.feature, r.speech) for r in back] == [(r.clip_id, r.feature, r.speech) for r in rows]
    assert np.array_equal(np.stack([r.log_mel for r in back]), np.stack([r.log_mel for r in rows]))


def test_bytes_do_not_depend_on_row_order(tmp_path: Path, rng: np.random.Generator) -> None:
    rows = frame_rows()
    tables.write_sharded(tmp_path / "a", rows, schema.SoundRow, 3)
    tables.write_sharded(tmp_path / "b", [rows[i] for i in rng.permutation(len(rows))], schema.SoundRow, 3)
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert len(names) == 3
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_only_the_rows_of_some_clips(tmp_path: Path) -> None:
    tables.write_sharded(tmp_path / "t", frame_rows(), schema.SoundRow, 2)
    some = tables.read_arrow(tmp_path / "t", schema.SoundRow, clip_ids={"set/clip1", "set/clip4", "set/none"})
    assert sorted(set(some["clip_id"].to_pylist())) == ["set/clip1", "set/clip4"] and len(some) == 14
    assert len(tables.read_arrow(tmp_path / "t", schema.SoundRow, clip_ids=[])) == 0


def test_of_some_clips_only_their_row_groups_are_read(tmp_path: Path) -> None:
    rows = frame_rows(600)  # two row groups
    tables.write_sharded(tmp_path / "t", rows, schema.SoundRow, 1)
    (shard,) = tables.table_files(tmp_path / "t")
    group = pq.ParquetFile(shard.path).metadata.row_group(0).column(2)  # `log_mel`
    content = bytearray(shard.read())
    content[group.data_page_offset + group.total_compressed_size // 2] ^= 1
    shard.local().write_bytes(content)
    with pytest.raises(SpaceError, match="not a readable Parquet file"):
        list(tables.stream_clips(shard, schema.SoundRow))
    found = dict(tables.stream_clips(shard, schema.SoundRow, clip_ids=["set/clip99", "set/clip999"]))
    assert found["set/clip99"]["feature"].to_pylist() == list(range(7))
    assert "set/clip0" not in found


def test_what_a_unit_leaves_reads_as_a_table_does(tmp_path: Path) -> None:
    rows = frame_rows()
    for suffix in (".arrow", ".parquet"):
        tables.write_table(tmp_path / f"t{suffix}", rows, schema.SoundRow)
    arrow, parquet = tmp_path / "t.arrow", tmp_path / "t.parquet"
    assert (
        tables.parse_arrow(arrow.read_bytes())
        == tables.read_arrow(arrow, schema.SoundRow)
        == tables.read_arrow(parquet, schema.SoundRow)
    )
    for chosen in ({"columns": ["clip_id", "speech"]}, {"clip_ids": {"set/clip1"}}):
        assert tables.read_arrow(arrow, schema.SoundRow, **chosen) == tables.read_arrow(parquet, schema.SoundRow, **chosen)
    assert dict(tables.stream_clips(arrow, schema.SoundRow)) == dict(tables.stream_clips(parquet, schema.SoundRow))
    with pytest.raises(SpaceError, match="holds table SoundRow"):
        tables.read_arrow(arrow, schema.FrameRow)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    tables.write_table(tmp_path / "t.parquet", frame_rows(), schema.SoundRow)
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(SpaceError, match="t.parquet: not a readable Parquet file"):
        tables.read_arrow(tmp_path / "t.parquet", schema.SoundRow)


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", '{"tables": []}', "[" * 100_000,
        '{"tables": {"t": [{"file": "../x", "sha256": "", "size": 0, "rows": 0, "part": 0}]}}',
    ],  # fmt: skip
)
def test_a_damaged_or_hostile_manifest_is_told_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(SpaceError, match=f"^{tmp_path}/manifest.json: a damaged manifest .*; delete it and run the stage again"):
        tables.table_files(tmp_path / "t")


def test_readers_follow_the_manifest_not_the_folder(tmp_path: Path) -> None:
    for name, n_clips in (("t", 5), ("u", 2)):
        tables.write_sharded(tmp_path / "stage" / name, frame_rows(n_clips), schema.SoundRow, 2)
    folder = tmp_path / "stage" / "t"
    (folder / "part-00002.parquet").write_bytes((folder / "part-00000.parquet").read_bytes())
    assert [len(tables.read_table(folder.parent / name, schema.SoundRow)) for name in ("t", "u")] == [35, 14]
    assert tables.has_table(folder) and not tables.has_table(folder.parent / "v")
    with pytest.raises(SpaceError, match=r"no such table in .*manifest.json \(it has t, u\)"):
        tables.read_table(folder.parent / "v", schema.SoundRow)
    whole = (folder / "part-00001.parquet").read_bytes()
    (folder / "part-00001.parquet").write_bytes(whole[:-1])
    with pytest.raises(SpaceError, match=f"part-00001.parquet: {len(whole) - 1} bytes, need {len(whole)}"):
        tables.read_table(folder, schema.SoundRow)
    (folder / "part-00001.parquet").unlink()
    assert tables.has_table(folder), "a damaged table is not an absent one, which some readers do without"
    with pytest.raises(SpaceError, match="part-00001.parquet: this shard is gone"):
        tables.read_table(folder, schema.SoundRow)


def test_by_clip_yields_each_clip_once(tmp_path: Path) -> None:
    tables.write_sharded(tmp_path / "t", frame_rows(), schema.SoundRow, 2)
    groups = dict(tables.by_clip(tables.read_arrow(tmp_path / "t", schema.SoundRow)))
    assert sorted(groups) == [f"set/clip{c}" for c in range(5)]
    assert all(len(g) == 7 for g in groups.values())
    assert tables.vectors(groups["set/clip2"], "log_mel")[3] == pytest.approx(np.full(40, 2.3))


def test_empty_tables_are_tables(tmp_path: Path) -> None:
    tables.write_table(tmp_path / "t.parquet", [], schema.SoundRow)
    assert tables.read_table(tmp_path / "t.parquet", schema.SoundRow) == []
    assert list(tables.by_clip(tables.read_arrow(tmp_path / "t.parquet", schema.SoundRow))) == []


def test_missing_wrong_and_outdated_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="no such table"):
        tables.read_table(tmp_path / "none.parquet", schema.SoundRow)
    tables.write_table(tmp_path / "t.parquet", frame_rows(), schema.SoundRow)
    with pytest.raises(SpaceError, match=f"holds table SoundRow version {schema.FIRST_VERSION}, need Clip version"):
        tables.read_table(tmp_path / "t.parquet", schema.Clip)
    old = pq.read_table(tmp_path / "t.parquet")
    pq.write_table(old.replace_schema_metadata({"space.table": "SoundRow", "space.version": "0"}), tmp_path / "t.parquet")
    with pytest.raises(SpaceError, match="version 0"):
        tables.read_table(tmp_path / "t.parquet", schema.SoundRow)


def test_shards_are_stable_across_processes() -> None:
    # `printf a | sha256sum`: the first 16 hexadecimal digits as a number, modulo 1000.
    assert [tables.shard_of(c, 1000) for c in ("a", "b", "c")] == [250, 946, 930]


def test_emotion_vector() -> None:
    vector = schema.emotion_vector("happy", 0.8)
    assert vector[schema.EMOTIONS.index("happy")] == pytest.approx(0.8)
    assert vector.sum() == pytest.approx(0.8)


@pytest.mark.parametrize("emotion", [*schema.EMOTIONS, schema.UNKNOWN])
def test_unknown_is_no_emotion_and_stays_so_on_the_disk(emotion: str, tmp_path: Path) -> None:
    for intensity in (0.0, 1.0):
        row = schema.FeatureClip("c", "video", "set", "s", "", "train", schema.emotion_vector(emotion, intensity), 1)
        tables.write_table(tmp_path / "t.parquet", [row], schema.FeatureClip)
        (again,) = tables.read_table(tmp_path / "t.parquet", schema.FeatureClip)
        np.testing.assert_array_equal(again.emotion, row.emotion)
        assert schema.emotion_known(again.emotion) == (emotion != schema.UNKNOWN)


def merged(tmp_path: Path, n_clips: int, shards: int = 2) -> Path:
    tables.write_sharded(tmp_path / "merged", frame_rows(n_clips), schema.SoundRow, shards)
    return tmp_path / "merged"


def test_row_groups_hold_whole_clips_and_say_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP_ROWS", 15)  # two clips of 7 rows fit, three do not
    with pq.ParquetFile(merged(tmp_path, 5, shards=1) / "part-00000.parquet") as file:
        groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [14, 14, 7]
    ranges = [(group.column(0).statistics.min, group.column(0).statistics.max) for group in groups]
    assert ranges == [("set/clip0", "set/clip1"), ("set/clip2", "set/clip3"), ("set/clip4", "set/clip4")]


def test_streaming_gives_every_clip_once_and_only_the_columns_asked_for(tmp_path: Path) -> None:
    streamed = list(tables.stream_clips(merged(tmp_path, 5), schema.SoundRow, ["clip_id", "feature"]))
    assert sorted(clip_id for clip_id, _ in streamed) == [f"set/clip{c}" for c in range(5)]
    assert all(table.column_names == ["clip_id", "feature"] and len(table) == 7 for _, table in streamed)
    with pytest.raises(SpaceError, match="holds table SoundRow"):
        next(tables.stream_clips(tmp_path / "merged", schema.FrameRow))


def test_joining_streams_leaves_gaps_where_one_has_nothing() -> None:
    table = pa.table({"x": [1]})
    joined = list(tables.stream_pairs(iter([("a", 1), ("b", 2), ("d", 3)]), iter([("b", table), ("c", table), ("d", table)])))
    assert [(clip_id, left, right is not None) for clip_id, left, right in joined] == [
        ("a", 1, False), ("b", 2, True), ("d", 3, True),
    ]  # fmt: skip


def test_columns_become_the_same_table_as_rows(tmp_path: Path) -> None:
    rows = frame_rows(1)
    columns = {
        "clip_id": "set/clip0", "feature": np.arange(7), "log_mel": np.stack([r.log_mel for r in rows]),
        "speech": np.array([r.speech for r in rows]), "loudness_db": np.full(7, -20.0), "clipped_share": np.zeros(7),
    }  # fmt: skip
    assert tables.columns_to_arrow(columns, schema.SoundRow).equals(tables.to_arrow(rows, schema.SoundRow))


def test_in_order_sorts_only_what_is_not() -> None:
    table = pa.table({"clip_id": ["a", "a", "b"], "reason": ["x", "y", "a"], "n": [1, 2, 3]})
    assert tables.in_order(table, "clip_id", "reason") is table and tables.in_order(table.slice(0, 0), "clip_id") is not None
    for shuffled in ([1, 0, 2], [2, 0, 1], [2, 1, 0]):
        assert tables.in_order(table.take(shuffled), "clip_id", "reason").column("n").to_pylist() == [1, 2, 3]
    assert tables.in_order(table.take([1, 0, 2]), "clip_id").column("n").to_pylist() == [2, 1, 3], "ties stay as they are"
