"""Two audits compared: which clips changed their state, and why.

The ledgers say it: for every clip its state (kept, or the stage and reasons that dropped it), and for every row the hashes of
what it rests on. A changed state is explained by the reasons that appeared or vanished, with value and bound on the side that
has them, and by which of the three hashes differ: the clip's own content or measures, the bounds and settings, or the code.
Where the folder of the other run holds its measures, its value of the same measure is looked up, too. Columns only: a million
clips take seconds.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.deciding.rules import RULES, Mask, evidence
from pipelines.job.ledger import whole_ledger
from pipelines.job.stage import LEDGER
from pipelines.layout import Layout
from pipelines.stages import CURATION
from space_data.errors import SpaceError
from space_data.schema import KEPT, LedgerRow, Measure, SegmentSync, arrow_schema
from space_data.tables import has_table, read_arrow

KINDS = {
    "now kept": "dropped in A, kept in B",
    "now dropped": "kept in A, dropped or failed in B",
    "dropped otherwise": "dropped in both, at another stage or for other reasons",
    "new": "only in B",
    "gone": "only in A",
}
"""Kinds of change of a clip's state."""
CAUSES = ("content", "config", "version")
CAUSE_WORDS = {"content": "its content or measures", "config": "bounds or settings", "version": "code"}
COLUMNS = ["clip_id", "stage", "status", "reason", "value", "threshold", *CAUSES]
ROW_COLUMNS = ("clip_id", "kind", "state_a", "state_b", "reason", "went", "value_a", "value_b", "bound_a", "bound_b")


@dataclass(frozen=True)
class Run:
    """One side of the comparison."""

    name: str
    ledger: pa.Table
    """``LedgerRow`` rows of all stages"""
    layout: Layout | None
    """where its other tables lie; None for a bare ledger"""


@dataclass(frozen=True)
class Changes:
    """What differs between two runs."""

    rows: pa.Table
    """one per changed clip and reason that came or went: ``ROW_COLUMNS`` and ``cause``"""
    kinds: dict[str, int]
    """number of clips by kind of change"""
    same: int
    """clips in the same state, for the same reasons"""
    moved: dict[str, int]
    """of those, in how many each hash differs all the same"""
    units: tuple[int, int]
    left_out: tuple[str, ...]
    """stages that only one of the runs has"""


def read_run(path: Path) -> Run:
    """The ledger of a run: an output folder of ``curate``, a data folder (or its parent) of the pipeline, or a ledger by itself.

    Raises:
        SpaceError: there is no ledger.
    """
    table = path if path.is_file() or path.name == LEDGER else path / "ledger.parquet"
    if has_table(table):
        ledger = read_arrow(table, LedgerRow, COLUMNS)
        ledger = ledger.filter(pc.is_in(ledger.column("stage"), pa.array(CURATION)))
        return Run(str(path), ledger, Layout.in_folder(path) if table != path else None)
    for layout in (Layout.in_folder(data) for data in (path, path / "data")):
        if has_table(layout.ledger(CURATION[0])):
            return Run(str(path), whole_ledger(layout).select(COLUMNS), layout)
    raise SpaceError(f"{path}: no ledger here (need the output folder of `space data curate`, a data folder, or a ledger)")


@dataclass(frozen=True)
class _Side:
    """A run's ledger on the common numbering of clips: codes index ``ids``, keys are clip x (stage, reason)."""

    row_of_key: dict[str, NDArray[np.int64]]
    """``keys`` sorted, and the ``row`` of each"""
    present: Mask
    kept: Mask
    last: NDArray[np.int64]
    """row of each clip's decisive entry: the one that dropped it, else its last stage's; -1 if absent"""


def compare(a: Run, b: Run) -> Changes:
    """Find the clips whose state differs, after the stages that both runs have: one may have got further than the other.

    Raises:
        SpaceError: they have no stage in common.
    """
    a, b, left_out = _on_common_stages(a, b)
    ids = pc.unique(pa.concat_arrays([run.ledger.column("clip_id").combine_chunks() for run in (a, b)]))
    labels = pc.unique(pa.concat_arrays([_label(run.ledger) for run in (a, b)]))
    sides = [_side(run.ledger, ids, labels) for run in (a, b)]
    left, right = sides
    came = np.setdiff1d(right.row_of_key["keys"], left.row_of_key["keys"], assume_unique=True)
    went = np.setdiff1d(left.row_of_key["keys"], right.row_of_key["keys"], assume_unique=True)
    touched = np.zeros(len(ids), np.bool_)
    touched[np.concatenate([came, went]) // len(labels)] = True
    kind = np.full(len(ids), "", dtype="<U20")
    both = left.present & right.present
    kind[both & touched & ~left.kept & ~right.kept] = "dropped otherwise"
    kind[both & ~left.kept & right.kept] = "now kept"
    kind[both & left.kept & ~right.kept] = "now dropped"
    kind[~left.present] = "new"
    kind[~right.present] = "gone"
    differs, equal = _hash_differences(a, b, left, right)
    unchanged = both & (kind == "")
    changed = np.flatnonzero(kind != "")
    rows = _rows(a, b, sides, ids, len(labels), (came, went), kind, changed, differs, equal)
    return Changes(
        _in_order(rows),
        {name: int((kind == name).sum()) for name in KINDS},
        int(unchanged.sum()),
        {cause: int((unchanged & mask).sum()) for cause, mask in differs.items()},
        (int(left.present.sum()), int(right.present.sum())),
        left_out,
    )


def _on_common_stages(a: Run, b: Run) -> tuple[Run, Run, tuple[str, ...]]:
    """Both runs without the stages that only one of them has, and the names of these."""
    have = [set(pc.unique(run.ledger.column("stage")).to_pylist()) for run in (a, b)]
    common = pa.array([stage for stage in CURATION if stage in have[0] & have[1]], pa.string())
    if not len(common):
        raise SpaceError(f"{a.name} has ledgers of {sorted(have[0])}, {b.name} of {sorted(have[1])}: no stage to compare")
    one, other = (replace(run, ledger=run.ledger.filter(pc.is_in(run.ledger.column("stage"), common))) for run in (a, b))
    return one, other, tuple(stage for stage in CURATION if stage in have[0] ^ have[1])


def _in_order(rows: pa.Table) -> pa.Table:
    """By kind in the order of ``KINDS``, then by clip and reason."""
    rank = pc.index_in(rows.column("kind"), pa.array(list(KINDS), pa.string()))
    keys = [(name, "ascending") for name in ("rank", "clip_id", "reason")]
    return rows.append_column("rank", rank).sort_by(keys).drop_columns("rank")


def _label(ledger: pa.Table) -> pa.Array:
    """Stage and reason in one text, empty where nothing was dropped."""
    both = pc.binary_join_element_wise(ledger.column("stage"), ledger.column("reason"), ": ")
    return pc.if_else(pc.equal(ledger.column("status"), KEPT), "", both).combine_chunks()


def _side(ledger: pa.Table, ids: pa.Array, labels: pa.Array) -> _Side:
    clip = np.asarray(pc.index_in(ledger.column("clip_id").combine_chunks(), ids), np.int64)
    label = np.asarray(pc.index_in(_label(ledger), labels), np.int64)
    is_kept = np.asarray(pc.equal(ledger.column("status"), KEPT))
    present, kept, last = np.zeros(len(ids), np.bool_), np.ones(len(ids), np.bool_), np.full(len(ids), -1, np.int64)
    present[clip] = True
    kept[clip[~is_kept]] = False
    rows = np.arange(len(clip))
    # The filter decides on kept clips; for them and for those dropped the same kind of row must stand for the clip in both runs.
    rank = np.asarray(pc.equal(ledger.column("stage"), "filter")).astype(np.int64) + 2 * ~is_kept
    order = np.lexsort((rows, rank))
    last[clip[order]] = rows[order]
    dropped = np.flatnonzero(~is_kept)
    keys, first = np.unique(clip[dropped] * len(labels) + label[dropped], return_index=True)
    return _Side({"keys": keys, "row": dropped[first]}, present, kept & present, last)


def _hash_differences(a: Run, b: Run, left: _Side, right: _Side) -> tuple[dict[str, Mask], dict[str, Mask]]:
    """Per hash, the clips whose decisive rows differ in it, and those in which it is known and equal."""
    both = np.flatnonzero((left.last >= 0) & (right.last >= 0))
    differs, equal = {}, {}
    for cause in CAUSES:
        one, other = (run.ledger.column(cause).take(pa.array(side.last[both])) for run, side in ((a, left), (b, right)))
        differs[cause], equal[cause] = np.zeros((2, len(left.last)), np.bool_)
        differs[cause][both] = np.asarray(pc.not_equal(one, other))
        equal[cause][both] = np.asarray(pc.and_(pc.equal(one, other), pc.not_equal(one, "")))
    return differs, equal


def _rows(
    a: Run, b: Run, sides: list[_Side], ids: pa.Array, n_labels: int, keys: tuple[NDArray[np.int64], NDArray[np.int64]],
    kind: NDArray[np.str_], changed: NDArray[np.int64], differs: dict[str, Mask], equal: dict[str, Mask],
) -> pa.Table:  # fmt: skip
    """One row per changed clip and reason that came or went; one for a clip that has none (new and kept, say)."""
    clips, ledger_rows = [], {"a": [], "b": []}  # type: ignore[var-annotated]
    for found, side, mine, other in ((keys[0], sides[1], "b", "a"), (keys[1], sides[0], "a", "b")):
        at = side.row_of_key["row"][np.searchsorted(side.row_of_key["keys"], found)]
        clips.append(found // n_labels)
        ledger_rows[mine].append(at)
        ledger_rows[other].append(np.full(len(at), -1))
    bare = np.setdiff1d(changed, np.concatenate(clips))
    clips.append(bare)
    for side_rows in ledger_rows.values():
        side_rows.append(np.full(len(bare), -1))
    clip = np.concatenate(clips)
    row_a, row_b = (np.concatenate(ledger_rows[name]) for name in "ab")
    columns = {"clip_id": ids.take(pa.array(clip)), "kind": pa.array(kind[clip].tolist(), pa.string())}
    columns |= {f"state_{name}": _states(run, side, clip) for name, run, side in (("a", a, sides[0]), ("b", b, sides[1]))}
    reason_a, reason_b = _taken(a.ledger, "reason", row_a), _taken(b.ledger, "reason", row_b)
    columns["reason"] = pc.coalesce(reason_b, reason_a, "")
    columns["went"] = pc.if_else(pc.is_valid(reason_b), "came", pc.if_else(pc.is_valid(reason_a), "went", ""))
    # Equal hashes mean equal values and bounds: what only one ledger tells holds for the other, too.
    for name, ledger_column, cause in (("value", "value", "content"), ("bound", "threshold", "config")):
        own_a, own_b = _taken(a.ledger, ledger_column, row_a), _taken(b.ledger, ledger_column, row_b)
        is_equal = pa.array(equal[cause][clip])
        columns[f"{name}_a"] = pc.coalesce(own_a, pc.if_else(is_equal, own_b, None))
        columns[f"{name}_b"] = pc.coalesce(own_b, pc.if_else(is_equal, own_a, None))
    for name, run in (("a", a), ("b", b)):
        columns[f"value_{name}"] = pc.coalesce(columns[f"value_{name}"], _measured(run, columns["clip_id"], columns["reason"]))
    columns = {name: columns[name] for name in ROW_COLUMNS if name in columns}
    columns["cause"] = _causes(differs, clip, kind)
    return pa.table(columns)


def _taken(ledger: pa.Table, column: str, rows: NDArray[np.int64]) -> pa.Array:
    """Values of some rows; null where the row is -1."""
    return ledger.column(column).combine_chunks().take(pa.array(rows, mask=rows < 0))


def _states(run: Run, side: _Side, clip: NDArray[np.int64]) -> pa.Array:
    """``kept``, or ``rejected at filter``; empty where the clip is not in the run."""
    rows = side.last[clip]
    status, stage = _taken(run.ledger, "status", rows), _taken(run.ledger, "stage", rows)
    return pc.coalesce(pc.if_else(pc.equal(status, KEPT), status, pc.binary_join_element_wise(status, stage, " at ")), "")


def _causes(differs: dict[str, Mask], clip: NDArray[np.int64], kind: NDArray[np.str_]) -> pa.Array:
    """Which hashes differ, in words; empty for clips that one run does not have."""
    words = np.full(len(clip), "", dtype=object)
    for cause, mask in differs.items():
        hit = mask[clip]
        words[hit] = [f"{word}, {CAUSE_WORDS[cause]}" if word else CAUSE_WORDS[cause] for word in words[hit]]
    unexplained = (words == "") & ~np.isin(kind[clip], ["new", "gone"])
    words[unexplained] = "none of its own: an earlier stage, or a failure"
    return pa.array(words.tolist(), pa.string())


def _measured(run: Run, clip_ids: pa.Array, reasons: pa.Array) -> pa.Array:
    """What a run measured for the first rule of each reason, where its tables are there; else null."""
    values = np.full(len(clip_ids), np.nan)
    wanted = pc.unique(clip_ids)
    if run.layout is not None and has_table(run.layout.measures) and len(wanted):
        measures = read_arrow(run.layout.measures, Measure, clip_ids=wanted.to_pylist())
        sync = arrow_schema(SegmentSync).empty_table()
        if has_table(run.layout.sync_segments):
            sync = read_arrow(run.layout.sync_segments, SegmentSync, clip_ids=wanted.to_pylist())
        found = evidence(measures, sync)
        at = np.asarray(pc.index_in(clip_ids, found.ids).fill_null(-1), np.int64)
        for rule in reversed(RULES):
            mine = np.asarray(pc.equal(reasons, rule.reason)) & (at >= 0)
            values[mine] = found.columns[rule.column][at[mine]]
    return pa.array(values, from_pandas=True)
