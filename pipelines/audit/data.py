"""What the audit page is made from: the tables of a run as columns, never as a Python object per segment."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.audit.spill import SpilledColumns
from pipelines.deciding.rules import RECORDING, RULES, Evidence, Judgement, Mask, Values, evidence, judge
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.params import Params
from space_data.schema import FAILED, KEPT, STATUSES, Clip, Decision, LedgerRow, Measure, SegmentSync, SyncNetScore, arrow_schema
from space_data.store import Place
from space_data.tables import has_table, read_arrow, table_files

HOUR_S = 3600.0
LABELS = ("dataset", "subject", "emotion", "language", "sex")
CLIP_COLUMNS = ["clip_id", *LABELS, "duration_s", "annotated_offset_frames"]
SEGMENT_COLUMNS = ["clip_id", "source_clip_id", "first_frame", "end_frame", "start_s", "end_s"]
JUDGED_COLUMNS = [
    name for name in Measure.__dataclass_fields__
    if name in {rule.column for rule in RULES} | {
        *SEGMENT_COLUMNS, "dataset", "screened", "has_audio", "audio_s", "video_s", "length_s", "width_px", "height_px",
    }
]  # fmt: skip
"""Columns of ``Measure`` that the rules, and the page, look at."""
SYNC_COLUMNS = ["clip_id", "scorer", "offset_frames", "zero_frames", "confidence", "threshold", *RECORDING]
ROWS_AT_ONCE = 25_000
IDS_AT_ONCE = 250_000
"""That others are looked up among: Arrow's table of a million takes 100 MB."""
LEDGER_COLUMNS = ["clip_id", "status", "reason", "value", "threshold", "detail"]
UNLABELLED = "(not labelled)"


@dataclass(frozen=True)
class StageFates:
    """What became of the units that entered one stage."""

    units: dict[str, int]
    """number of units by status"""
    seconds: dict[str, float]
    """length of those units; 0 where it was never measured"""
    lost: pa.Table
    """ledger rows of what was not kept"""


@dataclass(frozen=True)
class Audit:
    """All that the page shows. Per-segment columns are in the order of the measures, sorted by id."""

    judgement: Judgement
    segments: pa.Table
    """``clip_id``, ``source_clip_id``, ``first_frame``, ``end_frame``, ``start_s``, ``end_s``"""
    clips: pa.Table
    sync: pa.Table
    """``scorer`` and ``offset_frames`` of those that were scored, in no particular order"""
    syncnet: pa.Table
    """``clip_id`` and ``offset_frames`` of those that SyncNet has scored"""
    stages: dict[str, StageFates]

    @staticmethod
    def read(params: Params, layout: Layout, stages: Sequence[str]) -> "Audit":
        """All tables that are there, with the ledgers of ``stages``.

        Raises:
            SpaceError: the decisions on the disk are not those that ``params.filter`` gives.
        """
        found, segments, sync = joined(_segments(layout))
        judgement = judge(found, params.filter)
        if not np.array_equal(_decided(layout), judgement.kept):
            raise SpaceError(f"{layout.decisions}: decided under other bounds (run `python -m pipelines.stages filter`)")
        clips = _labelled(read_arrow(layout.clips, Clip, CLIP_COLUMNS))
        lengths = (
            (segments.column("clip_id").chunk(0), judgement.evidence.columns["length_s"]),
            (clips.column("clip_id").chunk(0), np.asarray(clips.column("duration_s"))),
        )
        fates = {stage: _fates(layout, stage, lengths) for stage in stages if has_table(layout.ledger(stage))}
        fates = {stage: own for stage, own in fates.items() if any(own.units.values())}  # syncnet without its weights
        syncnet = table_if_there(layout.syncnet, SyncNetScore, ["clip_id", "offset_frames"])
        return Audit(judgement, segments, clips, sync, syncnet, fates)

    def __len__(self) -> int:
        return self.segments.num_rows

    @property
    def kept(self) -> Mask:
        """Which segments are kept by the filter."""
        return self.judgement.kept

    @cached_property
    def seconds(self) -> Values:
        """Length of each segment."""
        return self.judgement.evidence.columns["length_s"]

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """Ids of some segments."""
        found: list[str] = self.segments.column("clip_id").take(pa.array(rows)).to_pylist()
        return found

    @cached_property
    def clip_of(self) -> NDArray[np.int64]:
        """Row of each segment's clip in ``clips``; -1 if it is not there."""
        at = pc.index_in(self.segments.column("source_clip_id"), self.clips.column("clip_id").chunk(0))
        return np.asarray(at.fill_null(-1), np.int64)

    def label(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """What the corpus says of each segment's clip: index into the label's values, and these."""
        words = self.clips.column(name).chunk(0)
        values = [str(value) or UNLABELLED for value in words.dictionary.to_pylist()]
        by_clip = np.append(np.asarray(words.indices, np.int64), len(values))  # the last one: no such clip
        return by_clip[self.clip_of], [*values, UNLABELLED]

    def annotated_offset_frames(self) -> Values:
        """The offset that came with the corpus, per segment; NaN where it says nothing."""
        by_clip = np.append(np.asarray(self.clips.column("annotated_offset_frames").fill_null(np.nan), np.float64), np.nan)
        return by_clip[self.clip_of]

    def of_segment(self, table: pa.Table, column: str) -> Values:
        """A column of a table with one row per segment, in the segments' order; NaN where it has no row."""
        at = pc.index_in(self.segments.column("clip_id"), table.column("clip_id").combine_chunks())
        values = np.append(np.asarray(table.column(column), np.float64), np.nan)
        return values[np.asarray(at.fill_null(-1), np.int64)]

    @cached_property
    def lost(self) -> pa.Table:
        """Ledger rows of all that was dropped or failed at any stage, with the column ``stage``."""
        parts = [
            fates.lost.append_column("stage", pa.repeat(pa.scalar(stage), fates.lost.num_rows))
            for stage, fates in self.stages.items()
        ]
        if parts:
            return pa.concat_tables(parts)
        return arrow_schema(LedgerRow).empty_table().select([*LEDGER_COLUMNS, "stage"])


def table_if_there(path: Place, row_class: type, columns: list[str] | None = None) -> pa.Table:
    """A table; an empty one if no stage has written it."""
    names = columns or arrow_schema(row_class).names
    return read_arrow(path, row_class, columns) if has_table(path) else arrow_schema(row_class).empty_table().select(names)


def _labelled(clips: pa.Table) -> pa.Table:
    """The table in one piece, its labels, which repeat, as dictionaries."""
    columns = {name: clips.column(name).combine_chunks() for name in clips.column_names}
    return pa.table({name: array.dictionary_encode() if name in LABELS else array for name, array in columns.items()})


def _segments(layout: Layout) -> Iterator[tuple[pa.Table, pa.Table]]:
    """``Measure`` rows and the ``SegmentSync`` rows of the same segments, some shards at a time."""
    files = table_files(layout.measures)
    scored = table_files(layout.sync_segments) if has_table(layout.sync_segments) else []
    # Shards of one number hold the same clips; tables that were not written together are read whole.
    groups = [([a], [b]) for a, b in zip(files, scored, strict=True)] if len(files) == len(scored) else [(files, scored)]
    measures, sync = list[pa.Table](), list[pa.Table]()
    for number, (of_measure, of_sync) in enumerate(groups, 1):
        measures += [read_arrow(file, Measure, JUDGED_COLUMNS) for file in of_measure]
        sync += [read_arrow(file, SegmentSync, SYNC_COLUMNS) for file in of_sync]
        if sum(shard.num_rows for shard in measures) >= ROWS_AT_ONCE or number == len(groups):
            nothing = arrow_schema(SegmentSync).empty_table().select(SYNC_COLUMNS)
            yield pa.concat_tables(measures), pa.concat_tables(sync or [nothing])
            measures.clear()
            sync.clear()


def joined(parts: Iterable[tuple[pa.Table, pa.Table]]) -> tuple[Evidence, pa.Table, pa.Table]:
    """Evidence and rows of all segments, sorted by id, and what is shown of their offsets.

    The numbers go to a file as they come: there are fifty of a segment.

    Raises:
        SpaceError: a segment was scored that is not among those beside it.
    """
    columns, tables, offsets, screened, has_audio, has_sync, names = SpilledColumns(), [], [], [], [], [], []
    for measures, sync in parts:
        found = evidence(measures, sync)
        if pc.any(pc.invert(pc.is_in(sync.column("clip_id"), found.ids))).as_py():
            raise SpaceError("segments and their offsets are not of one run: run `segment` and what follows again")
        columns.add(found.columns)
        tables.append(measures.select(SEGMENT_COLUMNS))
        offsets.append(sync.select(["offset_frames"]).append_column("scorer", sync.column("scorer").dictionary_encode()))
        has_audio.append(found.has_audio)
        has_sync.append(found.has_sync)
        screened.append(found.screened)
        names.append(np.array(found.datasets, object)[found.dataset])
    order = np.asarray(pc.sort_indices(pa.chunked_array([chunk for t in tables for chunk in t.column("clip_id").chunks])))
    segments = _sorted(tables, pa.array(order))
    columns.sort(order)
    datasets, dataset = np.unique(np.concatenate(names)[order].astype(np.str_), return_inverse=True)
    return Evidence(
        segments.column("clip_id").chunk(0), columns, tuple(datasets.tolist()), dataset, np.concatenate(has_audio)[order],
        np.concatenate(has_sync)[order], pa.concat_arrays(screened).take(pa.array(order)),
    ), segments, pa.concat_tables(offsets).unify_dictionaries()  # fmt: skip


def _sorted(tables: list[pa.Table], order: pa.Array) -> pa.Table:
    """The rows of all tables in that order, each column in one piece. ``tables`` is emptied, column by column."""
    whole, made = pa.concat_tables(tables), {}
    schema = whole.schema
    tables.clear()
    for name in whole.column_names:
        made[name] = whole.column(name).combine_chunks().take(order)
        whole = whole.drop_columns(name)
    return pa.table(made, schema=schema)


def _decided(layout: Layout) -> Mask:
    """Which segments the filter has kept, in the order of their ids."""
    ids, kept = [], []
    for file in table_files(layout.decisions):
        shard = read_arrow(file, Decision, ["clip_id", "status"])
        ids += shard.column("clip_id").chunks
        kept.append(np.asarray(pc.equal(shard.column("status"), KEPT)))
    return np.concatenate(kept)[np.asarray(pc.sort_indices(pa.chunked_array(ids, pa.string())))]


def _fates(layout: Layout, stage: str, lengths: Sequence[tuple[pa.Array, Values]]) -> StageFates:
    """A stage's ledger, reduced to counts, hours and what was lost; of what was kept, no more than the ids are held.

    ``lengths``: ids and seconds; the first pair that knows a unit counts.
    """
    units, fates, lost = [], [], []
    for file in table_files(layout.ledger(stage)):
        ledger = read_arrow(file, LedgerRow, LEDGER_COLUMNS).combine_chunks()
        ids, status = ledger.column("clip_id").combine_chunks(), ledger.column("status").combine_chunks()
        is_first = np.ones(len(ids), np.bool_)  # rows of a unit lie together, as the writer leaves them
        is_first[1:] = np.asarray(pc.not_equal(ids[1:], ids[:-1]))
        units.append(ids.filter(pa.array(is_first)))
        fates.append(np.asarray(pc.index_in(status, pa.array(STATUSES)))[is_first].astype(np.int8))
        lost.append(ledger.filter(pc.not_equal(status, KEPT)))
    fate, all_ids = np.concatenate(fates), pa.chunked_array(units, pa.string())
    seconds = np.full(len(fate), np.nan)
    for known, length_s in lengths:
        for first in range(0, len(known), IDS_AT_ONCE):
            if not np.isnan(seconds).any():
                break
            block = slice(first, first + IDS_AT_ONCE)
            at = np.asarray(pc.index_in(all_ids, known[block]).fill_null(-1), np.int64)
            seconds = np.where(np.isnan(seconds), np.append(length_s[block], np.nan)[at], seconds)
    seconds = np.nan_to_num(seconds)
    return StageFates(
        {s: int((fate == number).sum()) for number, s in enumerate(STATUSES)},
        {s: float(seconds[fate == number].sum()) for number, s in enumerate(STATUSES)},
        pa.concat_tables(lost),
    )


def audit_metrics(audit: Audit) -> dict[str, float | int]:
    """Figures for ``dvc metrics``: files, segments and hours by what became of them."""
    ingest = audit.stages.get("ingest")
    lost = Counter({name: sum(f.units.values()) - f.units[KEPT] for name, f in audit.stages.items()})
    corrected = (audit.judgement.correction_frames != 0) & audit.kept
    return {
        "files": sum(ingest.units.values()) if ingest is not None else 0,
        "files_unreadable": lost["ingest"] + lost["measure"],
        "segments": len(audit),
        "segments_kept": int(audit.kept.sum()),
        "segments_rejected": int((~audit.kept).sum()),
        "units_failed": sum(fates.units[FAILED] for fates in audit.stages.values()),
        "hours_kept": round(float(audit.seconds[audit.kept].sum()) / HOUR_S, 4),
        "hours_measured": round(float(audit.seconds.sum()) / HOUR_S, 4),
        "offsets_corrected": int(corrected.sum()),
    }
