"""Decide which segments are kept: compare stored measures with the bounds of ``params.yaml``. Nothing is decoded.

The rules are `pipelines.deciding.rules.RULES`. All reasons of a segment are recorded, each with its value and threshold, and with
hashes of what the decision rests on: `content` of the segment's measures and offset, `config` of the bounds of its data set,
`version` of the code of the rules. Tables are judged and written as columns: a million segments take seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.deciding.row_hash import row_hashes
from pipelines.deciding.rules import DOUBTFUL, SCREENED, Evidence, Judgement, Mask, evidence, judge
from pipelines.job.keys import code_version
from pipelines.job.run import run_stage
from pipelines.job.shards import HASH_CHARACTERS
from pipelines.job.stage import Context, Stage
from pipelines.job.unit import FunctionName, Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages import CURATION
from space_data.errors import SpaceError
from space_data.params import FilterStage, Params
from space_data.schema import KEPT, REJECTED, Decision, LedgerRow, Measure, SegmentSync, arrow_schema
from space_data.tables import in_order, read_arrow, table_files, write_arrow

NAME = "filter"
AS_DECIDED = ("clip_id", "source_clip_id", "segment", "first_frame", "end_frame", "start_s", "end_s")
"""Columns of ``Measure`` that a ``Decision`` repeats."""
SCREENED_DETAIL = (
    "the sparse screen took it for `{}` under earlier bounds, so its frames were never measured; these bounds no longer reject "
    "it: run `measure` again to look at it whole"
)


@dataclass(frozen=True)
class Evidences:
    """The shards that a decision rests on."""

    segments: str
    sync: str
    version: str
    """of the rules, for the ledger: to find it takes a second, which not every worker should"""


def codes(masks: dict[str, Mask], separator: str = " ") -> pa.Array:
    """Per segment the names of the masks that hold, joined; empty where none does."""
    bits = np.zeros(len(next(iter(masks.values()))), np.uint64)
    for position, mask in enumerate(masks.values()):  # at most 64 reasons
        bits |= mask.astype(np.uint64) << np.uint64(position)
    combinations, which = np.unique(bits, return_inverse=True)
    names = list(masks)
    words = [separator.join(name for i, name in enumerate(names) if int(c) >> i & 1) for c in combinations]
    return pa.array(words, pa.string()).take(pa.array(which))


def decisions_of(judgement: Judgement, measures: pa.Table) -> pa.Table:
    """``Decision`` rows in the order of ``measures``."""
    status = pc.if_else(pa.array(judgement.kept), KEPT, REJECTED)
    columns = {name: measures.column(name) for name in AS_DECIDED} | {
        "status": status,
        "reasons": codes(judgement.by_reason),
        "warnings": codes(judgement.noted),
        "offset_frames": pa.array(judgement.correction_frames),
        "sync_confidence": _nullable(judgement.evidence.columns["confidence"]),
    }
    schema = arrow_schema(Decision)
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def ledger_of(judgement: Judgement, warnings: pa.Array, content: pa.Array, settings: FilterStage, version: str) -> pa.Table:
    """``LedgerRow`` rows: one per reason that rejects a segment, one for each that is kept; by clip, then reason.

    A reason with several rules has the value and threshold of the first that broke.

    Args:
        warnings: what was noted, per segment.
        content: hash of what the decision rests on, per segment.
        version: hash of the rules' code.
    """
    found, masks = judgement.evidence, {"": judgement.kept, **judgement.by_reason}
    ordered = sorted(masks)
    rows = [np.flatnonzero(masks[reason]) for reason in ordered]
    broken = [[array[at] for array in judgement.broken_bound(reason)] for reason, at in zip(ordered, rows, strict=True)]
    reason_of = np.repeat(np.arange(len(ordered)), [len(at) for at in rows])
    segment, value, threshold = np.concatenate(rows), *(np.concatenate(part) for part in zip(*broken, strict=True))
    order = np.lexsort((reason_of, segment))
    segment, reason_of = segment[order], reason_of[order]
    noted = pc.if_else(pc.equal(warnings, ""), "", pc.binary_join_element_wise("noted: ", warnings, ""))
    by_dataset = [content_hash(settings.for_dataset(d).model_dump(mode="json"))[:HASH_CHARACTERS] for d in found.datasets]
    reasons = pa.array(ordered).take(pa.array(reason_of))
    at = pa.array(segment)
    columns = {
        "clip_id": found.ids.take(at),
        "stage": _constant(NAME, len(at)),
        "status": pc.if_else(pc.equal(reasons, ""), KEPT, REJECTED),
        "reason": reasons,
        "value": _nullable(value[order]),
        "threshold": _nullable(threshold[order]),
        "detail": pc.case_when(
            pc.make_struct(pc.equal(reasons, SCREENED), pc.equal(reasons, DOUBTFUL)), _advice(found).take(at),
            pc.binary_join_element_wise("together: ", codes(judgement.doubts), "").take(at), noted.take(at),
        ),  # fmt: skip
        "content": content.take(at),
        "config": pa.array(by_dataset, pa.string()).take(pa.array(found.dataset[segment])),
        "version": _constant(version, len(at)),
    }
    schema = arrow_schema(LedgerRow)
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _advice(found: Evidence) -> pa.Array:
    why = found.screened.dictionary_encode()
    return pa.array([SCREENED_DETAIL.format(reason) for reason in why.dictionary.to_pylist()], pa.string()).take(why.indices)


def _nullable(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, from_pandas=True)  # NaN becomes null


def _constant(text: str, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), length)


def decide(measures: pa.Table, sync: pa.Table, settings: FilterStage, version: str) -> tuple[pa.Table, pa.Table]:
    """Decisions on all segments and the filter's ledger, from ``Measure`` rows sorted by id and ``SegmentSync`` rows.

    ``version`` of the rules (``rules_version``) stands in the ledger.
    """
    judgement = judge(evidence(measures, sync), settings)
    decisions = decisions_of(judgement, measures)
    content = row_hashes(measures, sync)
    return decisions, ledger_of(judgement, decisions.column("warnings").combine_chunks(), content, settings, version)


def rules_version() -> str:
    """Hash of the code that judges, for the ledger."""
    return code_version(FunctionName.of(judge))[:HASH_CHARACTERS]


def decide_shard(shard: Evidences, settings: FilterStage, folder: Path) -> None:
    """Unit function: write ``decisions.arrow`` and ``ledger.arrow`` of one shard."""
    measures = in_order(read_arrow(shard.segments, Measure), "clip_id")
    decisions, ledger = decide(measures, read_arrow(shard.sync, SegmentSync), settings, shard.version)
    write_arrow(folder / "decisions.arrow", decisions)
    write_arrow(folder / "ledger.arrow", ledger)


def items(context: Context, part: int) -> Iterator[Unit]:
    """The shard as a whole."""
    content = content_hash(
        context.shard_hashes("segment", ["segments"], part), context.shard_hashes("sync", ["segments"], part),
    )  # fmt: skip
    segments, sync = (context.shard(stage, "segments", part).uri for stage in ("segment", "sync"))
    yield Unit(f"part-{part:05d}", content, Evidences(segments, sync, rules_version()), cost_s=0.5)


STAGE = Stage(
    NAME, decide_shard, {"decisions": Decision}, items, ("segment", "sync"), lambda params: params.filter, continues="segment",
    own_ledger=True,
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """The stage: ``segments``, ``sync`` -> ``decisions``, the filter's ledger and the audit page."""
    from pipelines.audit.write import write_audit  # draws pages: two seconds that each worker would take, too

    _check_ids(layout)
    run_stage(STAGE, params, layout)
    write_audit(params, layout, CURATION[: CURATION.index(NAME) + 1])


def _check_ids(layout: Layout) -> None:
    """Raise SpaceError if a clip is called like a segment of another one, which may lie in another shard.

    Held are only the ids of clips whose names end in # and a number, whatever the size of the set.
    """
    like_segments = set[str]()
    for ids, clip_ids in _segment_ids(layout):
        like_segments.update(ids.filter(pc.and_(pc.equal(ids, clip_ids), pc.match_substring_regex(ids, "#[0-9]+$"))).to_pylist())
    if not like_segments:
        return
    for ids, clip_ids in _segment_ids(layout):
        twice = ids.filter(pc.and_(pc.not_equal(ids, clip_ids), pc.is_in(ids, pa.array(sorted(like_segments)))))
        if len(twice):
            raise SpaceError(f"segment id {twice[0].as_py()!r} occurs twice: rename the file whose name ends in # and a number")


def _segment_ids(layout: Layout) -> Iterator[tuple[pa.ChunkedArray, pa.ChunkedArray]]:
    """Shard by shard the ids of segments and of their clips."""
    for shard in table_files(layout.measures):
        table = read_arrow(shard, Measure, ["clip_id", "source_clip_id"])
        yield table.column("clip_id"), table.column("source_clip_id")
