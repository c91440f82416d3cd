"""The keep list of a run under other bounds than its own: for a what-if that the audit page of a large set can only estimate."""

import copy
from collections.abc import Sequence
from pathlib import Path

import pyarrow.csv as pa_csv
import yaml

from pipelines.audit.data import table_if_there
from pipelines.audit.write import keep_list
from pipelines.deciding.rules import evidence, judge
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.params import Params, check_params
from space_data.schema import Measure, SegmentSync
from space_data.tables import has_table, in_order, read_arrow

SECTION = "filter"
HOUR_S = 3600.0


def with_changes(params: Params, changes: Sequence[str]) -> Params:
    """``params`` with some bounds set anew.

    Args:
        params: as loaded.
        changes: ``filter.face_width_px.reject=128``; values as in YAML. Below ``filter.overrides.<data set>`` a bound that is not
            there yet starts as the common one.

    Raises:
        SpaceError: not of that form, or a key or value that ``params.yaml`` could not hold.
    """
    raw = params.model_dump(mode="json")
    for change in changes:
        key, equals, value = change.partition("=")
        parts = key.strip().split(".")
        if not equals or parts[0] != SECTION or len(parts) < 2:
            raise SpaceError(f"--set {change}: need {SECTION}.<bound>.warn=NUMBER, {SECTION}.<bound>.reject=NUMBER or null")
        node = raw[SECTION]
        for depth, part in enumerate(parts[1:-1]):
            if part not in node and parts[1] == "overrides" and depth in (1, 2):
                node[part] = {} if depth == 1 else copy.deepcopy(raw[SECTION].get(part, {}))
            node = node.get(part)
            if not isinstance(node, dict):
                raise SpaceError(f"--set {change}: no such key in {SECTION} (misspelt?)")
        node[parts[-1]] = yaml.safe_load(value)
    return check_params(raw, "--set " + " ".join(changes))


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
    with atomic_file(out) as part:
        table = keep_list(measures, judgement.kept, judgement.correction_frames)
        pa_csv.write_csv(table, part, pa_csv.WriteOptions(quoting_style="needed"))
    kept_s = judgement.evidence.columns["length_s"][judgement.kept].sum()
    return f"{out}: {judgement.kept.sum():,} of {len(judgement.kept):,} segments, {kept_s / HOUR_S:.2f} h"
