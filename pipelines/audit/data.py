"""What the audit page is made from: the tables of a run as columns, never as a Python object per segment."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.deciding.rules import RECORDING, RULES, Evidence, Judgement, Mask, Values, evidence, judge
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.params import Params
from space_data.schema import FAILED, KEPT, STATUSES, Clip, Decision, LedgerRow, Measure, SegmentSync, SyncNetScore, arrow_schema
from space_data.store import Place
from space_data.tables import has_table, in_order, read_arrow, table_files

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
ROWS_AT_ONCE = 100_000
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
    syncnet: pa.Table
    stages: dict[str, StageFates]

    @staticmethod
    def read(params: Params, layout: Layout, stages: Sequence[str]) -> "Audit":
        """All tables that are there, with the ledgers of ``stages``.

        Raises:
            SpaceError: the decisions on the disk are not those that ``params.filter`` gives.
        """
        sync = table_if_there(layout.sync_segments, SegmentSync, SYNC_COLUMNS)
        found, segments = joined([(evidence(some, sync), some.select(SEGMENT_COLUMNS)) for some in _measures(layout)])
        judgement = judge(found, params.filter)
        status = in_order(read_arrow(layout.decisions, Decision, ["clip_id", "status"]), "clip_id").column("status")
        if not np.array_equal(np.asarray(pc.equal(status, KEPT)), judgement.kept):
            raise SpaceError(f"{layout.decisions}: decided under other bounds (run `python -m pipelines.stages filter`)")
        clips = read_arrow(layout.clips, Clip, CLIP_COLUMNS)
        lengths = (
            (segments.column("clip_id").combine_chunks(), judgement.evidence.columns["length_s"]),
            (clips.column("clip_id").combine_chunks(), np.asarray(clips.column("duration_s"))),
        )
        fates = {stage: _fates(layout, stage, lengths) for stage in stages if has_table(layout.ledger(stage))}
        fates = {stage: own for stage, own in fates.items() if any(own.units.values())}  # syncnet without its weights
        return Audit(judgement, segments, clips, sync, table_if_there(layout.syncnet, SyncNetScore), fates)

    def __len__(self) -> int:
        return self.segments.num_rows

    @property
    def kept(self) -> Mask:
        """Which segments are kept by the filter."""
        return self.judgement.kept

    @property
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
        at = pc.index_in(self.segments.column("source_clip_id"), self.clips.column("clip_id").combine_chunks())
        return np.asarray(at.fill_null(-1), np.int64)

    def label(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """What the corpus says of each segment's clip: index into the label's values, and these."""
        words = self.clips.column(name).combine_chunks().dictionary_encode()
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


def _measures(layout: Layout) -> Iterator[pa.Table]:
    """``Measure`` rows, some shards at a time: a million of them take a gigabyte, sorted two."""
    waiting: list[pa.Table] = []
    for file in table_files(layout.measures):
        waiting.append(read_arrow(file, Measure, JUDGED_COLUMNS))
        if sum(shard.num_rows for shard in waiting) >= ROWS_AT_ONCE:
            yield pa.concat_tables(waiting)
            waiting.clear()
    if waiting:
        yield pa.concat_tables(waiting)


def joined(parts: list[tuple[Evidence, pa.Table]]) -> tuple[Evidence, pa.Table]:
    """Evidence and rows of all segments, sorted by id; ``parts`` is emptied, column by column."""
    segments = pa.concat_tables([table for _, table in parts]).combine_chunks()
    found = [evidence for evidence, _ in parts]
    parts.clear()
    order = np.asarray(pc.sort_indices(segments.column("clip_id")))
    segments = in_order(segments, "clip_id")
    datasets = sorted({name for part in found for name in part.datasets})
    codes = [np.array([datasets.index(name) for name in part.datasets], np.int64)[part.dataset] for part in found]
    return Evidence(
        segments.column("clip_id").combine_chunks(),
        {name: np.concatenate([part.columns.pop(name) for part in found])[order] for name in list(found[0].columns)},
        tuple(datasets),
        np.concatenate(codes)[order],
        np.concatenate([part.has_audio for part in found])[order],
        np.concatenate([part.has_sync for part in found])[order],
        pa.concat_arrays([part.screened for part in found]).take(pa.array(order)),
    ), segments  # fmt: skip


def _fates(layout: Layout, stage: str, lengths: Sequence[tuple[pa.Array, Values]]) -> StageFates:
    """A stage's ledger, reduced to counts, hours and what was lost.

    ``lengths``: ids and seconds; the first pair that knows a unit counts.
    """
    ledger = read_arrow(layout.ledger(stage), LedgerRow, LEDGER_COLUMNS).combine_chunks()
    ids, status = ledger.column("clip_id").combine_chunks(), ledger.column("status").combine_chunks()
    is_first = np.ones(len(ids), np.bool_)  # rows of a unit lie together, as the writer leaves them
    is_first[1:] = np.asarray(pc.not_equal(ids[1:], ids[:-1]))
    units = ids.filter(pa.array(is_first))
    seconds = np.full(len(units), np.nan)
    for known, length_s in lengths:
        if np.isnan(seconds).any():
            at = np.asarray(pc.index_in(units, known).fill_null(-1), np.int64)
            seconds = np.where(np.isnan(seconds), np.append(length_s, np.nan)[at], seconds)
    seconds = np.nan_to_num(seconds)
    fate = {s: np.asarray(pc.equal(status, s))[is_first] for s in STATUSES}
    return StageFates(
        {s: int(mask.sum()) for s, mask in fate.items()},
        {s: float(seconds[mask].sum()) for s, mask in fate.items()},
        ledger.filter(pc.not_equal(status, KEPT)),
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
