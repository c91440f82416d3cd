"""The audit: its figures add up by hand, it says where every clip ended, and a hostile name stays text."""

import base64
import csv
import dataclasses
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_up_measures import CLIP, GOOD

from pipelines.audit import data as audit_data
from pipelines.audit import pictures as audit_pictures
from pipelines.audit import table as audit_table
from pipelines.audit.data import Audit, audit_metrics
from pipelines.audit.write import write_audit
from pipelines.layout import Layout
from pipelines.stages import CURATION
from pipelines.stages.filter import decide, rules_version
from space_data.errors import SpaceError
from space_data.params import Bound, load_params
from space_data.schema import (
    FAILED,
    KEPT,
    REJECTED,
    UNKNOWN,
    Clip,
    Decision,
    LedgerRow,
    Measure,
    SegmentSync,
    SyncNetScore,
    Thumbnail,
)
from space_data.store import Place
from space_data.tables import from_arrow, read_table, to_arrow, write_sharded, write_table

REPOSITORY = Path(__file__).resolve().parents[2]
PARAMS = load_params(REPOSITORY / "params.yaml")
HOSTILE = "set/<script>alert(1)</script>"
CLIP_S = 4.0
NAMES = ("set/good", "set/late", HOSTILE)


def clip(clip_id: str, language: str, annotated: float | None) -> Clip:
    return dataclasses.replace(
        CLIP, clip_id=clip_id, path="is/not/there.mp4", subject=clip_id, language=language, annotated_offset_frames=annotated,
        duration_s=CLIP_S,
    )  # fmt: skip


def row(clip_id: str, stage: str, status: str = KEPT, reason: str = "", value=None, bound=None, detail: str = "") -> LedgerRow:
    return LedgerRow(clip_id, stage, status, reason, value, bound, detail)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Five files: two kept (one of them lost at align), one blurred, one broken, one that crashed our code."""
    layout = Layout.in_folder(tmp_path / "run")
    write_table(layout.clips, [clip(name, "en" if i else "fr", 4.0 if i == 1 else None) for i, name in enumerate(NAMES)], Clip)
    measures = [
        dataclasses.replace(GOOD, clip_id=name, source_clip_id=name, reblur_ratio=0.1 + 0.15 * i, length_s=CLIP_S)
        for i, name in enumerate(NAMES)
    ]
    write_table(layout.measures, measures, Measure)
    pictures = [Thumbnail(name, frame, f"JPEG of {name} at {frame}".encode()) for name in NAMES for frame in (5, 42, 130)]
    write_sharded(layout.thumbnails, pictures, Thumbnail, 2)
    syncs = [SegmentSync(name, "own set, fold 1", 3, 3, 4 * (i == 1), 0.5, 0.3, 0.2, 0.01) for i, name in enumerate(NAMES)]
    write_table(layout.sync_segments, syncs, SegmentSync)
    decisions, by_filter = decide(
        to_arrow(sorted(measures, key=lambda m: m.clip_id), Measure), to_arrow(syncs, SegmentSync), PARAMS.filter, rules_version()
    )
    write_table(layout.decisions, from_arrow(decisions, Decision), Decision)
    write_table(layout.ledger("filter"), from_arrow(by_filter, LedgerRow), LedgerRow)
    ingest = [row(n, "ingest") for n in (*NAMES, "set/crash")] + [
        row("set/text", "ingest", REJECTED, "not_media", detail="a text")
    ]
    ledgers = {
        "ingest": ingest,
        "measure": [row(n, "measure") for n in NAMES] + [row("set/crash", "measure", FAILED, "exception", detail="Traceback x")],
        "align": [row("set/good", "align"), row("set/late", "align", REJECTED, "too_short", 30.0, 38.0, "30 frames hold both")],
    }
    for stage, rows in ledgers.items():
        write_table(layout.ledger(stage), rows, LedgerRow)
    return layout


def test_figures_add_up_by_hand(layout: Layout) -> None:
    assert audit_metrics(Audit.read(PARAMS, layout, CURATION)) == {
        "files": 5, "files_unreadable": 2, "segments": 3, "segments_kept": 2, "segments_rejected": 1, "units_failed": 1,
        "hours_kept": round(2 * CLIP_S / 3600, 4), "hours_measured": round(3 * CLIP_S / 3600, 4), "offsets_corrected": 1,
    }  # fmt: skip


def test_the_funnel_counts_clips_and_time(layout: Layout) -> None:
    stages = Audit.read(PARAMS, layout, CURATION).stages
    assert list(stages) == ["ingest", "measure", "filter", "align"]
    assert stages["measure"].units == {KEPT: 3, REJECTED: 0, FAILED: 1}
    assert stages["filter"].seconds == {KEPT: 2 * CLIP_S, REJECTED: CLIP_S, FAILED: 0.0}
    assert stages["ingest"].seconds[KEPT] == 3 * CLIP_S, "a clip that was never measured counts no time"


def test_page_plots_and_keep_list(layout: Layout) -> None:
    write_audit(PARAMS, layout)
    html = Path(layout.audit / "index.html").read_text()
    assert "<script>alert" not in html, "a file name must stay text"
    assert html.count("plotly.js v") == 1 and "http://" not in html.split("plotly.js v")[0]
    for expected in (
        "not_media",
        "Traceback x",
        "too_short",
        "30 frames hold both",
        "0.400",
        "0.350",
        "own set",
        "that of the corpus",
    ):
        assert expected in html, expected
    for name in NAMES:
        assert base64.b64encode(f"JPEG of {name} at 42".encode()).decode() in html, "the frame nearest to 40 % of the segment"
    assert json.loads(Path(layout.audit / "metrics.json").read_text())["segments_kept"] == 2
    with open(layout.audit / "plots" / "reasons.csv") as file:
        assert {r["reason"]: int(r["units"]) for r in csv.DictReader(file)} == {
            "blurred": 1, "exception": 1, "not_media": 1, "too_short": 1,
        }  # fmt: skip
    with open(layout.audit / "plots" / "offsets.csv") as file:
        assert list(csv.reader(file)) == [["offset_frames", "segments"], ["0", "2"], ["4", "1"]]
    with open(layout.audit / "keep.csv") as file:
        kept = [(r["clip_id"], float(r["offset_frames"])) for r in csv.DictReader(file)]
    assert kept == [("set/good", 0.0), ("set/late", 4.0)]
    assert pq.read_table(layout.audit / "keep.parquet").column("clip_id").to_pylist() == ["set/good", "set/late"]


def test_syncnet_stands_beside_ours_and_changes_nothing(layout: Layout) -> None:
    write_table(
        layout.syncnet, [SyncNetScore("set/late", 3, 5, 7.0, 6.0), SyncNetScore("set/good", 3, 0, 7.0, 6.0)], SyncNetScore
    )
    write_audit(PARAMS, layout)
    page = Path(layout.audit / "index.html").read_text().split("Our offset against that of SyncNet")[1]
    cells = [part.split('"')[0] for part in page.split('data-sort="')[1:7]]
    assert cells == ["all", "2.0", "-0.5", "0.5", "1.0", "1.0"], "4 against 5 and 0 against 0"
    assert audit_metrics(Audit.read(PARAMS, layout, CURATION))["offsets_corrected"] == 1


def test_unlabelled_clips_are_a_group_of_their_own(layout: Layout) -> None:
    clips = read_table(layout.clips, Clip)
    write_table(layout.clips, [dataclasses.replace(clips[0], emotion=UNKNOWN), *clips[1:]], Clip)
    write_audit(PARAMS, layout)
    table = Path(layout.audit / "index.html").read_text().split("By emotion:")[1].split("</table>")[0]
    assert table.startswith(" all 2;") and table.count('data-sort="unknown"') == table.count('data-sort="neutral"') == 1


def test_each_clip_stands_once_in_the_table(layout: Layout) -> None:
    write_audit(PARAMS, layout)
    table = Path(layout.audit / "index.html").read_text().split('id="every-clip"')[1].split("</table>")[0]
    for name in ("set/good", "set/late", "set/text", "set/crash"):
        assert table.count(f'data-sort="{name}"') == 1, name


def test_a_long_table_shows_failures_and_close_decisions(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_table, "ROWS_SHOWN", 2)
    write_audit(PARAMS, layout)
    page = Path(layout.audit / "index.html").read_text().split('id="clips-to-look-at"')[1].split("</section>")[0]
    assert "2 of 5" in page and 'data-sort="set/crash"' in page and 'data-sort="set/text"' not in page


def test_pictures_stay_within_their_budget(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_pictures, "BUDGET_BYTES", 30)
    write_audit(PARAMS, layout)
    page = Path(layout.audit / "index.html").read_text()
    assert page.count("data:image/jpeg") == 1 and "2 more pictures were left out" in page


def test_decisions_of_other_bounds_are_not_shown_as_these(layout: Layout) -> None:
    looser = PARAMS.filter.model_copy(update={"reblur_ratio": Bound(warn=None, reject=None)})
    with pytest.raises(SpaceError, match="other bounds"):
        write_audit(PARAMS.model_copy(update={"filter": looser}), layout)


def shard(table: Place, row_class: type, shards: int) -> None:
    """Lay the rows of a table out as the engine does: by their clips, in files that hold few."""
    rows = read_table(table, row_class)
    write_sharded(table, rows, row_class, shards)


def test_the_page_is_the_same_however_the_tables_are_cut(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_audit(PARAMS, layout)
    first = {file.name: file.read() for file in layout.audit.files(below=True)}
    tables = {layout.measures: Measure, layout.sync_segments: SegmentSync, layout.decisions: Decision}
    tables |= {layout.ledger(stage): LedgerRow for stage in ("ingest", "measure", "filter", "align")}
    for table, row_class in tables.items():
        shard(table, row_class, 3)
    for name in ("ROWS_AT_ONCE", "IDS_AT_ONCE"):
        monkeypatch.setattr(audit_data, name, 1)
    write_audit(PARAMS, layout)
    assert {file.name: file.read() for file in layout.audit.files(below=True)} == first


def test_offsets_of_other_segments_are_refused(layout: Layout) -> None:
    write_table(layout.sync_segments, [SegmentSync("set/other", "own set", 3, 3, 0, 0.5, 0.3, 0.2, 0.01)], SegmentSync)
    with pytest.raises(SpaceError, match="not of one run"):
        write_audit(PARAMS, layout)


def test_same_tables_same_bytes_and_nothing_yet_to_show(layout: Layout) -> None:
    write_audit(PARAMS, layout)
    first = (layout.audit / "index.html").read()
    write_audit(PARAMS, layout)
    assert (layout.audit / "index.html").read() == first
    # Before sync has run, and with nothing decided, there is still a page.
    shutil.rmtree(layout.stage("sync"))
    write_table(layout.measures, [], Measure)
    nothing = decide(to_arrow([], Measure), to_arrow([], SegmentSync), PARAMS.filter, rules_version())[0]
    write_table(layout.decisions, from_arrow(nothing, Decision), Decision)
    write_audit(PARAMS, layout)
    assert "Nothing was measured" in Path(layout.audit / "index.html").read_text()
