"""Two made-up runs whose differences are known, one by one."""

import csv
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_up_measures import GOOD
from typer.testing import CliRunner

from pipelines.audit import diff_page as audit_diff_page
from pipelines.audit.diff import compare, read_run
from pipelines.audit.diff_page import explanation, summary
from pipelines.audit.keep import with_bounds
from pipelines.cli import app
from pipelines.job.ledger import write_ledger
from pipelines.layout import Layout
from pipelines.stages.filter import decide, rules_version
from space_data.errors import SpaceError
from space_data.params import Bound, FilterStage, load_params
from space_data.schema import FAILED, KEPT, LedgerRow, Measure, SegmentSync
from space_data.tables import read_table, to_arrow, write_table

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
STRICT = PARAMS.filter.model_copy(update={"luma_sd": Bound(warn=25, reject=35)})


def write_run(folder: Path, settings: FilterStage, **clips: dict[str, Any]) -> Path:
    """A run of ingest and filter over clips that differ from a good one as given; ``failed`` ones fail at ingest."""
    layout = Layout.in_folder(folder)
    ingest = [
        LedgerRow(n, "ingest", FAILED, "exception", None, None, "Traceback", "file") if "failed" in change
        else LedgerRow(n, "ingest", KEPT, "", None, None, "", "file")
        for n, change in clips.items()
    ]  # fmt: skip
    write_ledger(layout, "ingest", list(clips), ingest)
    fine = {n: change for n, change in clips.items() if "failed" not in change}
    measures = [dataclasses.replace(GOOD, clip_id=n, source_clip_id=n, **change) for n, change in sorted(fine.items())]
    sync = [SegmentSync(n, "test", 1, 1, 0, 0.6, 0.3, 0.6, 0.01) for n in fine]
    write_table(layout.measures, measures, Measure)
    write_table(layout.sync_segments, sync, SegmentSync)
    decided = decide(to_arrow(measures, Measure), to_arrow(sync, SegmentSync), settings, rules_version())
    write_ledger(layout, "filter", list(fine), decided[1])
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Before and after: a bound moved (flat), a value moved (dark), reasons changed (both), and clips that came, went, failed."""
    a = write_run(
        tmp_path / "a", PARAMS.filter, same={}, flat={"luma_sd": 30.0}, dark={"luma_mean": 20.0}, both={"yaw_p95_deg": 60.0},
        gone={}, crash={}, steady={"luma_sd": 50.0},
    )  # fmt: skip
    b = write_run(
        tmp_path / "b", STRICT, same={}, flat={"luma_sd": 30.0}, dark={"luma_mean": 90.0},
        both={"yaw_p95_deg": 60.0, "luma_sd": 5.0}, new={"length_s": 1.0}, crash={"failed": True}, steady={"luma_sd": 51.0},
    )  # fmt: skip
    return a, b


def test_each_change_and_its_cause(runs: tuple[Path, Path]) -> None:
    changes = compare(*(read_run(path) for path in runs))
    assert changes.kinds == {"now kept": 1, "now dropped": 2, "dropped otherwise": 1, "new": 1, "gone": 1}
    assert (changes.same, changes.units) == (2, (7, 7))
    assert changes.moved == {"content": 1, "config": 2, "version": 0}, "a moved value and two moved bounds that changed nothing"
    rows = {row["clip_id"]: row for row in changes.rows.to_pylist()}
    assert len(rows) == changes.rows.num_rows == 6
    flat = rows["flat"]
    assert (flat["state_a"], flat["state_b"], flat["reason"], flat["went"]) == (KEPT, "rejected at filter", "flat_light", "came")
    assert (flat["value_a"], flat["value_b"], flat["bound_a"], flat["bound_b"]) == (30.0, 30.0, None, 35.0), (
        "the value is the same"
    )
    assert flat["cause"] == "bounds or settings"
    dark = rows["dark"]
    assert (dark["kind"], dark["reason"], dark["went"]) == ("now kept", "too_dark", "went")
    assert (dark["value_a"], dark["value_b"]) == (20.0, 90.0), "B's value is looked up in its measures"
    assert "its content or measures" in dark["cause"]
    assert (rows["both"]["kind"], rows["both"]["reason"], rows["both"]["bound_b"]) == ("dropped otherwise", "flat_light", 35.0)
    assert (rows["new"]["kind"], rows["new"]["state_a"], rows["new"]["reason"]) == ("new", "", "too_short")
    assert (rows["gone"]["kind"], rows["gone"]["state_b"], rows["gone"]["reason"]) == ("gone", "", "")
    assert (rows["crash"]["state_b"], rows["crash"]["reason"]) == ("failed at ingest", "exception")


def test_equal_settings_mean_equal_bounds(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", PARAMS.filter, clip={"luma_mean": 90.0})
    b = write_run(tmp_path / "b", PARAMS.filter, clip={"luma_mean": 20.0})
    (row,) = compare(read_run(a), read_run(b)).rows.to_pylist()
    assert (row["value_a"], row["value_b"], row["bound_a"], row["bound_b"]) == (90.0, 20.0, 40.0, 40.0)
    assert (
        explanation(row)
        == "kept -> rejected at filter; too_dark came (value 90 -> 20, bound 40); differs: its content or measures"
    )


def test_a_run_equals_itself_and_its_ledger_file(runs: tuple[Path, Path]) -> None:
    a = read_run(runs[0])
    assert compare(a, a).rows.num_rows == 0 and compare(a, a).same == 7
    rows = [row for stage in ("ingest", "filter") for row in read_table(runs[0] / stage / "ledger", LedgerRow)]
    write_table(runs[0] / "ledger.parquet", rows, LedgerRow)
    assert compare(read_run(runs[0] / "ledger.parquet"), a).rows.num_rows == 0


def test_a_run_that_got_less_far_is_compared_as_far_as_it_got(runs: tuple[Path, Path]) -> None:
    shutil.rmtree(runs[1] / "filter")
    changes = compare(*(read_run(path) for path in runs))
    assert changes.kinds == {"now kept": 0, "now dropped": 1, "dropped otherwise": 0, "new": 1, "gone": 1}, "the failed one"
    assert "Only one of the runs has filter" in summary(changes, 0)
    with pytest.raises(SpaceError, match="no stage to compare"):
        compare(read_run(runs[0] / "filter" / "ledger"), read_run(runs[1]))


def test_bare_ledgers_do_without_measures(runs: tuple[Path, Path]) -> None:
    changes = compare(*(read_run(path / "filter" / "ledger") for path in runs))
    dark = next(row for row in changes.rows.to_pylist() if row["clip_id"] == "dark")
    assert (dark["value_a"], dark["value_b"]) == (20.0, None)


def test_the_command_prints_and_writes(runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_diff_page, "SHOWN_ROWS", 3)
    arguments = [
        "audit",
        "diff",
        *map(str, runs),
        "--csv",
        str(tmp_path / "d.csv"),
        "--html",
        str(tmp_path / "d.html"),
        "--most",
        "2",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "2  now dropped: kept in A" in done.output and "and 4 more" in done.output
    with (tmp_path / "d.csv").open() as file:
        assert {row["clip_id"] for row in csv.DictReader(file)} == {"flat", "dark", "both", "new", "gone", "crash"}
    page = (tmp_path / "d.html").read_text()
    assert "3 of 6 rows" in page and "flat_light came" in page
    assert summary(compare(*(read_run(path) for path in runs)), 9).count("\n") == 12


def test_no_ledger_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="no ledger here"):
        read_run(tmp_path)


def test_keep_lists_of_other_bounds(runs: tuple[Path, Path], tmp_path: Path) -> None:
    def kept(*changes: str) -> list[str]:
        arguments = [part for change in changes for part in ("--set", change)]
        done = CliRunner().invoke(app, ["audit", "keep", str(runs[0]), "--out", str(tmp_path / "keep.csv"), *arguments])
        assert done.exit_code == 0, done.output
        with (tmp_path / "keep.csv").open() as file:
            return [row["clip_id"] for row in csv.DictReader(file)]

    assert kept() == ["crash", "flat", "gone", "same", "steady"]
    assert kept("filter.luma_sd.reject=35") == ["crash", "gone", "same", "steady"]
    assert kept("filter.luma_mean_low.reject=null", "filter.yaw_p95_deg.reject=70") == sorted(
        ["crash", "dark", "both", "flat", "gone", "same", "steady"]
    )
    assert kept("filter.overrides.set.luma_sd.reject=45") == ["steady"], "a new override starts from the common bound"


@pytest.mark.parametrize(
    "change",
    ["luma_sd.reject=3", "filter.luma_sd", "filter.luma_sid.reject=3", "filter.luma_sd.rejekt=3", "filter.luma_sd.reject=dark"],
)
def test_wrong_keys_and_values_are_named(change: str) -> None:
    with pytest.raises(SpaceError, match="--set"):
        with_bounds(PARAMS, [change])
