"""The audit: which clips were kept, which were dropped, and why; a page for people, figures and a keep list for programs.

Assembled from the tables that the stages left, the pictures among them: no video is opened. It is written again after later
stages have added their ledgers; what is not there yet is left out.
"""

import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.audit.data import Audit, audit_metrics
from pipelines.audit.page import audit_page
from pipelines.audit.spill import return_freed_memory
from pipelines.deciding.rules import Mask, Values
from pipelines.layout import Layout
from pipelines.stages import CURATION
from space_data.csv_files import write_csv
from space_data.params import Params
from space_data.store import written

KEEP_COLUMNS = ("clip_id", "source_clip_id", "start_s", "end_s")


def write_audit(params: Params, layout: Layout, stages: Sequence[str] = CURATION) -> None:
    """Write the audit's ``index.html``, ``metrics.json``, ``keep.csv``, ``keep.parquet`` and ``plots/``.

    ``stages``: those that have run; ledgers that lie there from an earlier run of later stages must not be counted.
    """
    return_freed_memory()
    audit = Audit.read(params, layout, stages)
    audit_page(audit, params, layout).write(layout.audit / "index.html")
    with written(layout.audit / "metrics.json") as part:
        part.write_text(json.dumps(audit_metrics(audit), indent=1) + "\n")
    write_plots(audit, layout)
    kept = keep_list(audit.segments, audit.kept, audit.judgement.correction_frames)
    del audit  # of a million segments half a gigabyte
    write_keep_list(kept, layout)


def keep_list(segments: pa.Table, kept: Mask, correction_frames: Values) -> pa.Table:
    """The kept segments: id, clip, where in it, and the audio-visual offset to remove (frames, + = audio late)."""
    table = segments.select(list(KEEP_COLUMNS)).append_column("offset_frames", pa.array(correction_frames))
    return table.filter(pa.array(kept))


def write_keep_list(table: pa.Table, layout: Layout) -> None:
    """Write what the bounds in force keep as ``audit/keep.csv`` and ``audit/keep.parquet``."""
    write_csv(layout.audit / "keep.csv", table)
    with written(layout.audit / "keep.parquet") as part:
        pq.write_table(table, part, compression="zstd")


def write_plots(audit: Audit, layout: Layout) -> None:
    """Write ``audit/plots/reasons.csv`` and ``offsets.csv`` for ``dvc plots``, which compares them between revisions."""
    by_reason = pc.value_counts(audit.lost.column("reason"))
    reasons = pa.table({"reason": by_reason.field("values"), "units": by_reason.field("counts")})
    write_csv(layout.audit / "plots" / "reasons.csv", reasons.sort_by([("units", "descending"), ("reason", "ascending")]))
    write_csv(layout.audit / "plots" / "offsets.csv", offset_counts(audit.sync.column("offset_frames")))


def offset_counts(offsets: pa.ChunkedArray) -> pa.Table:
    """How many segments have which audio-visual offset, frames: a few lines for git, however many segments there are."""
    counts = pc.value_counts(offsets.drop_null())
    return pa.table({"offset_frames": counts.field("values"), "segments": counts.field("counts")}).sort_by("offset_frames")
