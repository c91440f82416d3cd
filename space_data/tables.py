"""Parquet in and out: the one writer that gives the same bytes for any number of workers, and the readers that check versions.

Rows are sorted by their leading columns, sharded by a stable hash of ``clip_id``, compressed with zstd and renamed into place.
"""

import dataclasses
import hashlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.schema import SCHEMA_VERSION, arrow_schema

Row = TypeVar("Row")

ROW_GROUP_ROWS = 16_384
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
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
        else:
            arrays.append(pa.array([values] * n if isinstance(values, str) else values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def to_arrow(rows: Sequence[Any], row_class: type) -> pa.Table:
    """Rows (instances of ``row_class``) as an Arrow table in the given order."""
    schema = arrow_schema(row_class)
    columns = []
    for field in schema:
        values = [getattr(row, field.name) for row in rows]
        if pa.types.is_fixed_size_list(field.type):
            flat = np.concatenate([np.asarray(v, np.float32).ravel() for v in values]) if values else np.zeros(0, np.float32)
            columns.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), type=field.type))
        else:
            columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def from_arrow(table: pa.Table, row_class: type[Row]) -> list[Row]:
    """Rows of an Arrow table; vector columns become float32 arrays."""
    columns = {}
    for field in arrow_schema(row_class):  # type: ignore[arg-type]
        column = table.column(field.name)
        if pa.types.is_fixed_size_list(field.type):
            columns[field.name] = vectors(table, field.name)
        else:
            columns[field.name] = column.to_pylist()
    names = [f.name for f in dataclasses.fields(row_class)]  # type: ignore[arg-type]
    return [row_class(*values) for values in zip(*(columns[n] for n in names), strict=True)]


def vectors(table: pa.Table, column: str) -> np.ndarray:
    """A fixed-size list column as one float32 array (rows, size), without a Python object per row."""
    size = table.schema.field(column).type.list_size
    flat = table.column(column).combine_chunks().flatten()
    return np.asarray(flat, np.float32).reshape(-1, size)


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


def write_arrow(path: Path | str, table: pa.Table) -> None:
    """Write one Parquet file atomically (zstd, fixed row groups, no wall-clock content)."""
    with atomic_file(path) as part:
        pq.write_table(table, part, ROW_GROUP_ROWS, compression="zstd", use_dictionary=_repeating(table.schema))


def _repeating(schema: pa.Schema) -> list[str]:
    """Columns worth a dictionary: text. Measured numbers hardly repeat: trying costs half of the time and a third of the size."""
    return [field.name for field in schema if pa.types.is_string(field.type)]


def write_table(path: Path | str, rows: Iterable[Any], row_class: type) -> None:
    """Write ``rows`` sorted by their scalar columns from the left (clip, then frame or stage, ...) to one file."""
    write_arrow(path, to_arrow(sort_rows(rows, row_class), row_class))


def sort_rows(rows: Iterable[Row], row_class: type) -> list[Row]:
    """Rows in the tables' canonical order: by their key columns (clip, system, stage, frame, ...) in the order they stand."""
    keys = [f.name for f in dataclasses.fields(row_class) if f.name in _KEY_COLUMNS]  # type: ignore[arg-type]
    return sorted(rows, key=lambda row: tuple(getattr(row, k) for k in keys))


def write_sharded(folder: Path | str, rows: Iterable[Any], row_class: type, shards: int) -> None:
    """Replace ``folder`` by ``shards`` files ``part-00000.parquet`` ... holding ``rows``, as ``merge_shards`` lays them out."""
    by_clip_id: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_clip_id[row.clip_id].append(row)
    make = {i: lambda i=i: to_arrow(sort_rows(by_clip_id[i], row_class), row_class) for i in by_clip_id}  # type: ignore[misc]
    _write_shards(Path(folder), make, row_class, shards)


def merge_shards(folder: Path | str, files: Mapping[str, Path], row_class: type, shards: int) -> None:
    """Replace ``folder`` by shards of per-clip tables, one row group in memory at a time.

    A row group holds whole clips, as many as fit into ``ROW_GROUP_ROWS`` rows (at least one): a loader that streams row groups
    never meets half a clip, and the groups' statistics of ``clip_id`` say where a clip lies.

    Args:
        folder: what to write, ``part-00000.parquet`` ...
        files: clip id -> Parquet file with that clip's rows (``write_arrow``), in canonical order.
        row_class: what the rows are.
        shards: number of files.
    """
    make = {clip_id: lambda file=file: pq.read_table(file) for clip_id, file in files.items()}  # type: ignore[misc]
    _write_shards(Path(folder), make, row_class, shards)


def _write_shards(folder: Path, make: Mapping[str, Callable[[], pa.Table]], row_class: type, shards: int) -> None:
    """``make`` gives a clip's table when it is its turn."""
    if folder.exists():
        shutil.rmtree(folder)
    schema = arrow_schema(row_class)
    by_shard: dict[int, list[str]] = defaultdict(list)
    for clip_id in sorted(make):
        by_shard[shard_of(clip_id, shards)].append(clip_id)
    for shard in range(shards):
        with (
            atomic_file(folder / f"part-{shard:05d}.parquet") as part,
            pq.ParquetWriter(part, schema, compression="zstd", use_dictionary=_repeating(schema)) as writer,
        ):
            waiting: list[pa.Table] = []
            for clip_id in by_shard[shard]:
                table = make[clip_id]()
                if waiting and sum(map(len, waiting)) + len(table) > ROW_GROUP_ROWS:
                    _write_group(writer, waiting)
                waiting.append(table)
            _write_group(writer, waiting)


def _write_group(writer: pq.ParquetWriter, waiting: list[pa.Table]) -> None:
    if waiting:
        table = pa.concat_tables(waiting)
        writer.write_table(table, row_group_size=max(1, len(table)))
        waiting.clear()


def read_arrow(
    path: Path | str, row_class: type, columns: list[str] | None = None, clip_ids: Iterable[str] | None = None
) -> pa.Table:
    """Read one Parquet file or a folder of shards, after checking table name and schema version.

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
    wanted = None if clip_ids is None else pc.field("clip_id").isin(pa.array(sorted(clip_ids), pa.string()))
    # the folder's name is no column of ours: partitioning=None
    tables = [pq.read_table(file, columns=columns, filters=wanted, partitioning=None) for file in files]
    return pa.concat_tables(tables)


def table_files(path: Path | str) -> list[Path]:
    """The files of a table: itself, or all shards of a folder (also in ``split=...`` folders), in order.

    Raises:
        SpaceError: there are none.
    """
    path = Path(path)
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise SpaceError(f"{path}: no such table (run the stage that writes it: `dvc repro`)")
    return files


def _check(file: Path, row_class: type) -> None:
    """Raise SpaceError unless ``file`` holds rows of ``row_class`` in this version of the schema."""
    try:
        metadata = pq.read_schema(file).metadata or {}
    except pa.ArrowInvalid as error:
        raise SpaceError(f"{file}: not a readable Parquet file (damaged? delete it and run `dvc repro`)") from error
    name, version = metadata.get(b"space.table", b"?").decode(), metadata.get(b"space.version", b"?").decode()
    if name != row_class.__name__ or version != str(SCHEMA_VERSION):
        raise SpaceError(
            f"{file}: holds table {name} version {version}, need {row_class.__name__} version {SCHEMA_VERSION} "
            "(written by another release? run `dvc repro`)"
        )


def stream_clips(path: Path | str, row_class: type, columns: list[str] | None = None) -> Iterator[tuple[str, pa.Table]]:
    """(clip_id, its rows) of one shard or a folder of shards, one row group in memory at a time (see ``merge_shards``).

    Raises:
        SpaceError: as ``read_arrow``.
    """
    for file in table_files(path):
        _check(file, row_class)
        with pq.ParquetFile(file) as parquet:
            for group in range(parquet.num_row_groups):
                yield from by_clip(parquet.read_row_group(group, columns))


def stream_pairs(
    left: Iterator[tuple[str, Any]], right: Iterator[tuple[str, pa.Table]]
) -> Iterator[tuple[str, Any, pa.Table | None]]:
    """Join what is sorted by clip with a shard of ``stream_clips``: (clip_id, left value, the clip's rows or None)."""
    other = next(right, None)
    for clip_id, rows in left:
        while other is not None and other[0] < clip_id:
            other = next(right, None)
        yield clip_id, rows, other[1] if other is not None and other[0] == clip_id else None


def read_table(path: Path | str, row_class: type[Row]) -> list[Row]:
    """Rows of a table written by ``write_table`` or ``write_sharded``, in canonical order."""
    return sort_rows(from_arrow(read_arrow(path, row_class), row_class), row_class)


def by_clip(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Split a frame-level table into (clip_id, its rows); a clip's rows are contiguous, as the writer leaves them."""
    ids = table.column("clip_id").combine_chunks().dictionary_encode()
    codes = np.asarray(ids.indices)
    if not len(codes):
        return
    edges = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]])
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        yield ids.dictionary[int(codes[begin])].as_py(), table.slice(begin, end - begin)
