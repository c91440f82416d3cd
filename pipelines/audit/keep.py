"""The keep list of a run under other bounds than its own: for a what-if that the audit page of a large set can only estimate."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.audit.data import table_if_there
from pipelines.audit.write import keep_list
from pipelines.deciding.rules import evidence, judge
from pipelines.layout import Layout
from space_data.csv_files import write_csv
from space_data.errors import SpaceError
from space_data.params import Params, with_changes
from space_data.schema import Measure, SegmentSync
from space_data.tables import has_table, in_order, read_arrow

HOUR_S = 3600.0


def with_bounds(params: Params, changes: Sequence[str]) -> Params:
    """``params`` with some bounds set anew, as ``with_changes`` does; no other key would change what is kept.

    Raises:
        SpaceError: not a bound, or a value that ``params.yaml`` could not hold.
    """
    for change in changes:
        if not change.startswith("filter."):
            raise SpaceError(f"--set {change}: need filter.<bound>.warn=NUMBER, filter.<bound>.reject=NUMBER or null")
    return with_changes(params, changes)


def write_keep(folder: Path, params: Params, out: Path) -> str:
    """Write what the run in ``folder`` would keep under ``params.filter``; returns a line that says how much that is.

    Raises:
        SpaceError: no measures in ``folder`` or in ``folder/data``.
    """
    layouts = [Layout.in_folder(data) for data in (folder, folder / "data")]
    layout = next((layout for layout in layouts if has_table(layout.measures)), None)
    if layout is None:
        raise SpaceError(f"{folder}: no measures here (need the output folder of `space data curate`, or a data folder)")
    measures = in_order(read_arrow(layout.measures, Measure), "clip_id")
    sync = table_if_there(layout.sync_segments, SegmentSync)
    judgement = judge(evidence(measures, sync), params.filter)
    write_csv(out, keep_list(measures, judgement.kept, judgement.correction_frames))
    kept_s = judgement.evidence.columns["length_s"][judgement.kept].sum()
    return f"{out}: {judgement.kept.sum():,} of {len(judgement.kept):,} segments, {kept_s / HOUR_S:.2f} h"
