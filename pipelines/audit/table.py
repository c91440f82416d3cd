"""The audit's table of clips: all of them if they are few, else those that most deserve a look."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaluation.blocks import Cell, Column, Table, Tone
from evaluation.html import Page
from pipelines.audit.data import Audit
from space_data.schema import FAILED, KEPT, REJECTED

ROWS_SHOWN = 1000
"""Of a larger set: half of them lost at other stages than filter, the rest close decisions of the filter."""
DETAIL_SHOWN, DETAIL_TITLE = 160, 600
"""Characters of a ledger's detail in the table and in its tool tip; the ledger has all of it."""
TONES: dict[str, Tone] = {KEPT: "good", REJECTED: "warn", FAILED: "bad"}

Row = Sequence[Cell | str | float | int | None]


def every_clip(page: Page, audit: Audit, nearness: NDArray[np.int64]) -> None:
    """Add the section: one line per unit that was dropped or failed, and per kept segment."""
    lost = audit.lost
    lost_ids = pc.unique(lost.column("clip_id").combine_chunks())
    kept = np.flatnonzero(audit.kept & ~np.asarray(pc.is_in(audit.segments.column("clip_id"), lost_ids)))
    total = len(lost_ids) + len(kept)
    intro = "Where each clip ended. Click a header to sort; type to search. The ledgers hold the same rows."
    if total > ROWS_SHOWN:
        intro = (
            f"{ROWS_SHOWN:,} of {total:,}: what was lost at other stages (failures first), then the closest decisions of the "
            "filter, on both sides. All are in the ledgers; what is kept is in keep.csv and keep.parquet beside this page."
        )
        lost, kept = _close_calls(audit, lost, kept, nearness)
    rows = _lost_rows(audit, lost) + _kept_rows(audit, kept)
    columns = [
        Column("clip", "code"), Column("status", "badge"), Column("stage"), Column("reasons"), Column("value", "number", 3),
        Column("bound", "number", 3), Column("detail"), Column("noted"), Column("offset", "number", 0, "frames"),
        Column("confidence", "number", 2),
    ]  # fmt: skip
    page.section("Every clip" if total <= ROWS_SHOWN else "Clips to look at", intro).add(Table(columns, rows, searchable=True))


def _close_calls(
    audit: Audit, lost: pa.Table, kept: NDArray[np.int64], nearness: NDArray[np.int64]
) -> tuple[pa.Table, NDArray[np.int64]]:
    """What is shown of a large set."""
    elsewhere = lost.filter(pc.not_equal(lost.column("stage"), "filter"))
    elsewhere = elsewhere.take(pc.sort_indices(elsewhere.column("status")))[: ROWS_SHOWN // 2]  # failed before rejected
    room = ROWS_SHOWN - elsewhere.num_rows
    dropped = np.flatnonzero(~audit.kept)
    dropped = dropped[np.argsort(nearness[dropped], kind="stable")][: room // 2]
    kept = kept[np.argsort(nearness[kept], kind="stable")][: room - len(dropped)]
    ids = audit.segments.column("clip_id").take(pa.array(dropped)).combine_chunks()
    by_filter = lost.filter(pc.and_(pc.equal(lost.column("stage"), "filter"), pc.is_in(lost.column("clip_id"), ids)))
    return pa.concat_tables([elsewhere, by_filter]), kept


def _noted(audit: Audit, row: int) -> str:
    return " ".join(reason for reason, mask in audit.judgement.noted.items() if mask[row])


def _lost_rows(audit: Audit, lost: pa.Table) -> list[Row]:
    units: dict[tuple[str, str], list[dict[str, str]]] = {}
    for entry in lost.to_pylist():
        units.setdefault((entry["clip_id"], entry["stage"]), []).append(entry)
    ids = pa.array([clip_id for clip_id, _ in units], pa.string())
    of_segments = audit.segments.column("clip_id").chunk(0)
    few = np.flatnonzero(np.asarray(pc.is_in(of_segments, ids)))  # of a million: only they are looked up
    at = np.append(few, -1)[np.asarray(pc.index_in(ids, of_segments.take(pa.array(few))).fill_null(-1), np.int64)].tolist()
    rows: list[Row] = []
    for ((clip_id, stage), found), segment in zip(units.items(), at, strict=True):
        value, bound = next(((e["value"], e["threshold"]) for e in found if e["value"] is not None), (None, None))
        detail = found[0]["detail"]
        rows.append(
            [
                clip_id, Cell(found[0]["status"], tone=TONES[found[0]["status"]]), stage, " ".join(e["reason"] for e in found),
                value, bound, Cell(detail[:DETAIL_SHOWN], title=detail[:DETAIL_TITLE]),
                _noted(audit, segment) if segment >= 0 else "",
                *_sync(audit, segment),
            ]
        )  # fmt: skip
    return rows


def _kept_rows(audit: Audit, kept: NDArray[np.int64]) -> list[Row]:
    return [
        [clip_id, Cell(KEPT, tone="good"), "", "", None, None, "", _noted(audit, row), *_sync(audit, row)]
        for clip_id, row in zip(audit.ids(kept), kept.tolist(), strict=True)
    ]


def _sync(audit: Audit, segment: int) -> tuple[float | None, float | None]:
    """Offset and confidence of a segment, where they were measured."""
    if segment < 0:
        return None, None
    columns = audit.judgement.evidence.columns
    offset, confidence = columns["offset_frames"][segment], columns["confidence"][segment]
    return (None, None) if np.isnan(confidence) else (int(offset), float(confidence))
