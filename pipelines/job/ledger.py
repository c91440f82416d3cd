"""The ledger: one fate for every unit that entered a stage, and the check that none is lost, invented or counted twice."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.job.reasons import REASONS
from pipelines.job.unit import Outcome
from pipelines.layout import Layout
from pipelines.stages import CURATION
from space_data.errors import SpaceError
from space_data.schema import KEPT, REJECTED, STATUSES, LedgerRow, arrow_schema
from space_data.store import Place
from space_data.tables import (
    ROW_GROUP_ROWS,
    has_table,
    in_order,
    merge_shards,
    read_arrow,
    shard_writer,
    table_files,
    to_arrow,
)  # fmt: skip


def all_kept(stage: str, clip_ids: pa.ChunkedArray, detail: pa.ChunkedArray | str = "") -> pa.Table:
    """The ledger of a stage that drops nothing, as columns."""
    n = len(clip_ids)
    details = pa.chunked_array([pa.array([detail] * n, pa.string())]) if isinstance(detail, str) else detail
    made = {"clip_id": clip_ids, "stage": pa.array([stage] * n), "status": pa.array([KEPT] * n), "detail": details}
    nothing = {field.name: pa.nulls(n, field.type) if field.nullable else pa.array([""] * n) for field in arrow_schema(LedgerRow)}
    return pa.table([(nothing | made)[name] for name in arrow_schema(LedgerRow).names], schema=arrow_schema(LedgerRow))


def ledger_rows(stage: str, outcomes: Iterable[Outcome]) -> list[LedgerRow]:
    """One ledger row per outcome."""
    return [
        LedgerRow(o.unit_id, stage, o.status, o.reason, o.value, o.threshold, o.detail, o.content, o.config, o.version)
        for o in outcomes
    ]


def write_ledger(
    layout: Layout, stage: str, inputs: Iterable[str] | pa.ChunkedArray, rows: Sequence[LedgerRow] | pa.Table
) -> Counter[str]:
    """Check that every input is accounted for and write the stage's ledger.

    A rejected unit may have several rows, one per reason; a kept or failed one has exactly one.

    Args:
        inputs: ids that entered the stage.
        rows: what became of them, as rows or as an Arrow table of them.

    Returns:
        Number of units per status.

    Raises:
        SpaceError: inputs != kept + rejected + failed, or a reason is not in ``REASONS``.
    """
    table = rows if isinstance(rows, pa.Table) else to_arrow(rows, LedgerRow)
    table = in_order(table, "clip_id", "reason")
    wanted = inputs if isinstance(inputs, pa.ChunkedArray) else pa.chunked_array([pa.array(inputs, pa.string())])
    counts = check_conservation(stage, wanted, table)
    merge_shards(layout.ledger(stage), {"": lambda: table}, LedgerRow, 1)
    return counts


def check_conservation(stage: str, inputs: pa.ChunkedArray, ledger: pa.Table) -> Counter[str]:
    """Check that a ledger sorted by clip gives every input exactly one fate; columns only, so that millions take seconds.

    Returns:
        Number of units per status.

    Raises:
        SpaceError: see ``write_ledger``.
    """
    ids, status, reason = (ledger.column(name).combine_chunks() for name in ("clip_id", "status", "reason"))
    listed = pc.is_in(reason, pa.array(list(REASONS), pa.string()))
    silent = pc.and_(pc.equal(status, KEPT), pc.equal(reason, ""))
    valid = pc.and_(pc.is_in(status, pa.array(STATUSES, pa.string())), pc.xor(listed, silent))
    is_first = np.ones(len(ids), np.bool_)
    is_first[1:] = np.asarray(pc.not_equal(ids[1:], ids[:-1]))
    number = np.cumsum(is_first) - 1
    fate = status.take(pa.array(np.flatnonzero(is_first)))
    torn = pc.not_equal(status, fate.take(pa.array(number)))
    for bad in _first_true(pc.invert(valid)):
        raise SpaceError(f"{stage}: clip {ids[bad]} is {status[bad]} for {str(reason[bad])!r} (job.REASONS lists the reasons)")
    for bad in _first_true(torn):
        raise SpaceError(f"{stage}: clip {ids[bad]} ends both as {fate[number[bad]]} and as {status[bad]}")
    units = ids.filter(pa.array(is_first))
    repeated = pa.array(np.bincount(number, minlength=len(units)) > 1)
    doubled = units.filter(pc.and_(repeated, pc.not_equal(fate, REJECTED)))
    lost = inputs.filter(pc.invert(pc.is_in(inputs, units)))
    foreign = units.filter(pc.invert(pc.is_in(units, inputs.combine_chunks())))
    if len(lost) or len(foreign) or len(doubled) or pc.count_distinct(inputs).as_py() != len(inputs):
        raise SpaceError(
            f"{stage}: {len(inputs)} inputs do not equal kept + rejected + failed: lost {sorted(lost[:3].to_pylist())}, "
            f"never asked for {foreign[:3].to_pylist()}, counted twice {doubled[:3].to_pylist()}"
        )
    return Counter({entry["values"]: entry["counts"] for entry in fate.value_counts().to_pylist()})


def _first_true(mask: pa.BooleanArray) -> list[int]:
    """The index of the first true entry, if there is one."""
    return np.flatnonzero(np.asarray(mask))[:1].tolist()


def whole_ledger(layout: Layout, stages: Sequence[str] = CURATION) -> pa.Table:
    """The ledgers of ``stages`` that are there, in this order: later stages may still have those of an earlier run."""
    ledgers = [layout.ledger(name) for name in stages if has_table(layout.ledger(name))]
    return pa.concat_tables([read_arrow(ledger, LedgerRow) for ledger in ledgers])


def write_whole_ledger(place: Place, layout: Layout, stages: Sequence[str]) -> None:
    """Write ``whole_ledger`` as one file; a shard is in memory at a time."""
    with shard_writer(LedgerRow) as (file, writer):
        for name in stages:
            for shard in table_files(layout.ledger(name)) if has_table(layout.ledger(name)) else ():
                writer.write_table(read_arrow(shard, LedgerRow), row_group_size=ROW_GROUP_ROWS)
        writer.close()
        place.put(file)
