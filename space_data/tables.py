"""Parquet in and out: the one writer that gives the same bytes for any number of workers, and the readers that check versions.

Rows are sorted by their leading columns, sharded by a stable hash of ``clip_id``, compressed with zstd and renamed into place.
What one unit leaves on its way into a shard is an Arrow file (``.arrow``): to open a small Parquet file takes milliseconds.
"""

import dataclasses
import hashlib
import tempfile
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from space_data.errors import SpaceError
from space_data.manifest import MANIFEST, Manifest, Shard, is_named, read_manifest, shard_places
from space_data.schema import arrow_schema, version_of
from space_data.store import Place, written

Row = TypeVar("Row")

ROW_GROUP_ROWS = 4_096
ARROW = ".arrow"
_KEY_COLUMNS = ("clip_id", "system", "source_clip_id", "stage", "metric", "reason", "frame", "feature", "segment", "window")


def shard_of(clip_id: str, shards: int) -> int:
    """Stable shard number of a clip, equal in every process and on every machine."""
    return int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8], "big") % shards


def columns_to_arrow(columns: Mapping[str, Any], row_class: type) -> pa.Table:
    """Columns by name as an Arrow table: arrays (n,), lists, or (n, size) for vectors; one string stands for all rows.

    What ``to_arrow`` does for rows, without an object per row.
    """
    schema = arrow_schema(row_class)
    n = next(len(values) for values in columns.values() if not isinstance(values, str))
    arrays = []
    for field in schema:
        values = columns[field.name]
        if is_vector(field.type):
            flat = np.ascontiguousarray(values, np.float32)
            arrays.append(_lists(flat.reshape(-1), [flat.shape[-1]] * len(flat), field.type))
        else:
            arrays.append(pa.array([values] * n if isinstance(values, str) else values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def to_arrow(rows: Sequence[Any], row_class: type) -> pa.Table:
    """Rows (instances of ``row_class``) as an Arrow table in the given order."""
    schema = arrow_schema(row_class)
    columns = []
    for field in schema:
        values = [getattr(row, field.name) for row in rows]
        if is_vector(field.type):
            flat = np.concatenate([np.asarray(v, np.float32).ravel() for v in values]) if values else np.zeros(0, np.float32)
            columns.append(_lists(flat, [np.size(v) for v in values], field.type))
        else:
            columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def from_arrow(table: pa.Table, row_class: type[Row]) -> list[Row]:
    """Rows of an Arrow table; vector columns become float32 arrays."""
    columns = {}
    for field in arrow_schema(row_class):  # type: ignore[arg-type]
        column = table.column(field.name)
        if is_vector(field.type):
            columns[field.name] = vectors(table, field.name)
        else:
            columns[field.name] = column.to_pylist()
    names = [f.name for f in dataclasses.fields(row_class)]  # type: ignore[arg-type]
    return [row_class(*values) for values in zip(*(columns[n] for n in names), strict=True)]


def vectors(table: pa.Table, column: str) -> np.ndarray:
    """A column of vectors as one float32 array (rows, size), without a Python object per row.

    Raises:
        SpaceError: the vectors are of several sizes.
    """
    values = table.column(column).combine_chunks()
    flat = np.asarray(values.flatten(), np.float32)
    if pa.types.is_fixed_size_list(values.type):
        return flat.reshape(-1, values.type.list_size)
    sizes = pc.unique(pc.list_value_length(values)).to_pylist()
    if len(sizes) > 1:
        raise SpaceError(f"column {column}: vectors of {sorted(sizes)} numbers, need one size (tables of two generators mixed?)")
    return flat.reshape(len(values), sizes[0] if sizes else 0)


def is_vector(arrow_type: pa.DataType) -> bool:
    """Whether a column holds lists of float32, of a fixed size or not."""
    return pa.types.is_fixed_size_list(arrow_type) or pa.types.is_list(arrow_type)


def _lists(flat: np.ndarray, sizes: Sequence[int], arrow_type: pa.DataType) -> pa.Array:
    """An array of lists of these sizes, one after the other in ``flat``."""
    if pa.types.is_fixed_size_list(arrow_type):
        return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=arrow_type)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(flat, pa.float32()), type=arrow_type)


def in_order(table: pa.Table, *columns: str) -> pa.Table:
    """``table`` sorted by ``columns``; one that is sorted already is returned as it is, without the cost of a copy."""
    sorted_so_far, tied = True, None
    for name in columns:
        values = table.column(name).combine_chunks()
        before, after = values[:-1], values[1:]
        rising = pc.less(before, after) if tied is None else pc.or_(pc.invert(tied), pc.less(before, after))
        tied = pc.equal(before, after) if tied is None else pc.and_(tied, pc.equal(before, after))
        sorted_so_far = sorted_so_far and pc.all(pc.or_(rising, tied)).as_py() is not False
    return table if sorted_so_far else table.sort_by([(name, "ascending") for name in columns])


def writer_options(schema: pa.Schema) -> dict[str, Any]:
    """How every table is written: a page that the disk changes later is noticed when it is read.

    Text gets dictionaries. Measured numbers hardly repeat: to try costs half of the time and a third of the size.
    """
    repeating = [field.name for field in schema if pa.types.is_string(field.type)]
    return {"compression": "zstd", "write_page_checksum": True, "use_dictionary": repeating}


def write_arrow(path: Place | Path | str, table: pa.Table) -> None:
    """Write one file atomically: Parquet (zstd, fixed row groups, no wall-clock content), or Arrow's own format by its suffix."""
    with written(path) as part:
        if PurePath(Place.of(path).name).suffix == ARROW:
            with pa.ipc.new_file(str(part), table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
                writer.write_table(table.combine_chunks())
        else:
            pq.write_table(table, part, row_group_size=ROW_GROUP_ROWS, **writer_options(table.schema))


def parse_arrow(content: bytes) -> pa.Table:
    """The rows of an Arrow file."""
    return _open_arrow(pa.BufferReader(content)).read_all()


def _open_arrow(source: pa.NativeFile) -> pa.ipc.RecordBatchFileReader:
    return pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(use_threads=False))  # small ones are slower with threads


@contextmanager
def shard_writer(row_class: type) -> Iterator[tuple[Path, pq.ParquetWriter]]:
    """A temporary file, and the writer of rows of ``row_class`` into it; the caller closes that and puts the file somewhere."""
    with tempfile.TemporaryDirectory(prefix="space-shard-") as folder:
        file = Path(folder) / "shard.parquet"
        schema = arrow_schema(row_class)
        with pq.ParquetWriter(file, schema, **writer_options(schema)) as writer:
            yield file, writer


def write_table(path: Place | Path | str, rows: Iterable[Any], row_class: type) -> None:
    """Write ``rows`` sorted by their scalar columns from the left (clip, then frame or stage, ...).

    ``path`` ends in ``.parquet`` or ``.arrow``: one file. Without a suffix it is a table of a stage, which gets one shard
    (``write_sharded``).
    """
    if PurePath(Place.of(path).name).suffix:
        write_arrow(path, to_arrow(sort_rows(rows, row_class), row_class))
    else:
        write_sharded(path, rows, row_class, 1)


def sort_rows(rows: Iterable[Row], row_class: type) -> list[Row]:
    """Rows in the tables' canonical order: by their key columns (clip, system, stage, frame, ...) in the order they stand."""
    keys = [f.name for f in dataclasses.fields(row_class) if f.name in _KEY_COLUMNS]  # type: ignore[arg-type]
    return sorted(rows, key=lambda row: tuple(getattr(row, k) for k in keys))


def write_sharded(folder: Place | Path | str, rows: Iterable[Any], row_class: type, shards: int) -> None:
    """Write ``rows`` as a table of ``shards`` files into ``folder`` and name them in the manifest of the stage above it."""
    by_clip_id: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_clip_id[getattr(row, "source_clip_id", row.clip_id)].append(row)
    tables = {i: lambda i=i: to_arrow(sort_rows(by_clip_id[i], row_class), row_class) for i in by_clip_id}  # type: ignore[misc]
    merge_shards(folder, tables, row_class, shards)


def merge_shards(folder: Place | Path | str, tables: Mapping[str, Callable[[], pa.Table]], row_class: type, shards: int) -> None:
    """Write a table of ``shards`` files, one row group in memory at a time, and name them in the manifest of the stage above it.

    A row group holds whole clips, as many as fit into ``ROW_GROUP_ROWS`` rows (at least one): a loader that streams row groups
    never meets half a clip, and the groups' statistics of ``clip_id`` say where a clip lies.

    Args:
        folder: ``<stage>/<table>`` or ``<stage>/<table>/<key>=<value>``.
        tables: id of the recording, whose hash chooses the shard, → its rows, in canonical order, when it is their turn.
        row_class: what the rows are.
        shards: number of files.
    """
    place = Place.of(folder)
    stage, name = place.parent, place.name
    if "=" in name:
        stage, name = stage.parent, f"{stage.name}/{name}"
    schema = arrow_schema(row_class)
    shards_made = []
    for part in range(shards):
        file = place / f"part-{part:05d}.parquet"
        with written(file) as made, pq.ParquetWriter(made, schema, **writer_options(schema)) as writer:
            own = sorted(i for i in tables if shard_of(i, shards) == part)
            rows = write_groups(writer, (tables[clip_id]() for clip_id in own))
        shards_made.append(Shard(f"{name}/{file.name}", file.sha256(), file.info().size, rows, part))
    before = read_manifest(stage) or Manifest(stage.name, shards, {})
    tables_now = {**before.tables, name: shards_made}
    (stage / MANIFEST).put(dataclasses.replace(before, parts=shards, tables=tables_now).to_json())


def write_groups(writer: pq.ParquetWriter, tables: Iterable[pa.Table]) -> int:
    """Write tables of whole clips in row groups of up to ``ROW_GROUP_ROWS`` rows, one in memory; returns the number of rows."""
    total, waiting, waiting_rows = 0, list[pa.Table](), 0

    def write() -> None:
        if waiting_rows:
            writer.write_table(pa.concat_tables(waiting), row_group_size=waiting_rows)

    for table in tables:
        if waiting_rows and waiting_rows + len(table) > ROW_GROUP_ROWS:
            write()
            waiting, waiting_rows = [], 0
        waiting.append(table)
        waiting_rows += len(table)
        total += len(table)
    write()
    return total


def read_arrow(
    path: Place | Path | str, row_class: type, columns: list[str] | None = None, clip_ids: Iterable[str] | None = None
) -> pa.Table:
    """Read one file or a folder of shards, after checking table name and schema version.

    Args:
        path: what to read.
        row_class: what the rows are.
        columns: only these.
        clip_ids: only the rows of these clips; what holds others is not even read from the disk.

    Raises:
        SpaceError: nothing there, not Parquet, another table, or another version of the schema.
    """
    files = table_files(path)
    for file in files:
        _check(file, row_class)
    chosen: dict[str, Any] = {"columns": columns, "partitioning": None, "page_checksum_verification": True}
    wanted = None if clip_ids is None else pc.field("clip_id").isin(pa.array(sorted(clip_ids), pa.string()))
    # the folder's name is no column of ours: partitioning=None

    def read(file: Place) -> pa.Table:
        if file.name.endswith(ARROW):
            table = parse_arrow(file.read())
            return (table if wanted is None else table.filter(wanted)).select(columns or table.schema.names)
        return pq.read_table(file.path, filesystem=file.filesystem, filters=wanted, **chosen)

    return pa.concat_tables([_readable(file, read) for file in files])


def table_files(path: Place | Path | str) -> list[Place]:
    """The files of a table: itself, or the shards that the manifest above a folder names (also of ``split=...``), in order.

    Raises:
        SpaceError: there are none; a shard is missing or has not the size that was written.
    """
    place = Place.of(path)
    if place.is_file():
        return [place]
    files = shard_places(place)
    if files is None:
        raise SpaceError(f"{path}: no such table (run the stage that writes it: `dvc repro`)")
    return files


def has_table(path: Place | Path | str) -> bool:
    """Whether a table has been written to ``path``; one whose shards are gone since has been, and reading it says so."""
    place = Place.of(path)
    return place.is_file() or is_named(place)


Answer = TypeVar("Answer")


def _readable(file: Place, read: Callable[[Place], Answer]) -> Answer:
    """What ``read`` gives, or a SpaceError that names the file and the remedy."""
    try:
        return read(file)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise SpaceError(f"{file}: not a readable Parquet file ({error}); delete it, then run its stage again") from error


def _check(file: Place, row_class: type) -> None:
    """Raise SpaceError unless ``file`` holds rows of ``row_class`` in this version of the schema."""
    metadata = _readable(file, _schema_of).metadata or {}
    name, version = metadata.get(b"space.table", b"?").decode(), metadata.get(b"space.version", b"?").decode()
    if name != row_class.__name__ or version != str(version_of(row_class)):
        raise SpaceError(
            f"{file}: holds table {name} version {version}, need {row_class.__name__} version {version_of(row_class)} "
            "(written by another release? run `dvc repro`)"
        )


def _schema_of(file: Place) -> pa.Schema:
    return _open_arrow(file.open()).schema if file.name.endswith(ARROW) else pq.read_schema(file.path, filesystem=file.filesystem)


def stream_clips(
    path: Place | Path | str, row_class: type, columns: list[str] | None = None, clip_ids: Iterable[str] | None = None
) -> Iterator[tuple[str, pa.Table]]:
    """(clip_id, its rows) of one shard or a folder of shards, one row group in memory at a time (see ``merge_shards``).

    With ``clip_ids``, row groups that hold none of these clips are not read from the disk; others of their clips come along.

    Raises:
        SpaceError: as ``read_arrow``.
    """
    wanted = None if clip_ids is None else sorted(clip_ids)
    for file in table_files(path):
        if file.name.endswith(ARROW):  # of one unit: small
            yield from by_clip(read_arrow(file, row_class, columns))
            continue
        _check(file, row_class)
        with pq.ParquetFile(file.path, filesystem=file.filesystem, page_checksum_verification=True) as parquet:
            for group in range(parquet.num_row_groups):
                if wanted is not None and not _may_hold(parquet, group, wanted):
                    continue
                yield from by_clip(_readable(file, lambda _, group=group: parquet.read_row_group(group, columns)))  # type: ignore[misc]


def row_groups(path: Place | Path | str, row_class: type) -> Iterator[tuple[Place, int, list[tuple[str, int]]]]:
    """File, number in it, and (clip_id, number of rows) of the clips of every row group; of the disk only ids are read.

    Raises:
        SpaceError: as ``read_arrow``.
    """
    for file in table_files(path):
        _check(file, row_class)
        with pq.ParquetFile(file.path, filesystem=file.filesystem, page_checksum_verification=True) as parquet:
            for group in range(parquet.num_row_groups):
                ids = _readable(file, lambda _, group=group: parquet.read_row_group(group, ["clip_id"], use_threads=False))  # type: ignore[misc]
                yield file, group, [(clip_id, len(rows)) for clip_id, rows in by_clip(ids)]


def read_groups(file: Place, groups: Sequence[int], columns: list[str]) -> Iterator[pa.Table]:
    """Some row groups of a shard, one after the other, by this thread alone.

    Raises:
        SpaceError: the file is damaged.
    """
    with pq.ParquetFile(file.path, filesystem=file.filesystem, page_checksum_verification=True) as parquet:
        for group in groups:
            yield _readable(file, lambda _, group=group: parquet.read_row_group(group, columns, use_threads=False))  # type: ignore[misc]


def _may_hold(parquet: pq.ParquetFile, group: int, wanted: Sequence[str]) -> bool:
    """Whether one of the sorted ids ``wanted`` lies between the least and the greatest of a row group."""
    statistics = parquet.metadata.row_group(group).column(parquet.schema.names.index("clip_id")).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    at = bisect_left(wanted, statistics.min)
    return at < len(wanted) and wanted[at] <= statistics.max


def stream_pairs(
    left: Iterator[tuple[str, Any]], right: Iterator[tuple[str, pa.Table]]
) -> Iterator[tuple[str, Any, pa.Table | None]]:
    """Join what is sorted by clip with a shard of ``stream_clips``: (clip_id, left value, the clip's rows or None)."""
    other = next(right, None)
    for clip_id, rows in left:
        while other is not None and other[0] < clip_id:
            other = next(right, None)
        yield clip_id, rows, other[1] if other is not None and other[0] == clip_id else None


def read_table(path: Place | Path | str, row_class: type[Row]) -> list[Row]:
    """Rows of a table written by ``write_table`` or ``write_sharded``, in canonical order."""
    return sort_rows(from_arrow(read_arrow(path, row_class), row_class), row_class)


def by_clip(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Split a frame-level table into (clip_id, its rows); a clip's rows are contiguous, as the writer leaves them."""
    # By dictionary, not as text, which more than 2 GB of would not fit into one array (65 million rows).
    ids = table.column("clip_id").dictionary_encode().unify_dictionaries().combine_chunks()
    codes = np.asarray(ids.indices)
    if not len(codes):
        return
    edges = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]])
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        yield ids.dictionary[int(codes[begin])].as_py(), table.slice(begin, end - begin)
