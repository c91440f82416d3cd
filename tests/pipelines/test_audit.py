"""The audit: its figures add up by hand, it says where every clip ended, and a hostile name stays text."""

import base64
import csv
import json
from pathlib import Path

import pytest

from pipelines.audit import STAGES, Audit, audit_metrics, write_audit
from pipelines.job import Layout
from space_data.params import load_params
from space_data.schema import FAILED, KEPT, REJECTED, Clip, Decision, LedgerRow, Measure, SegmentSync, Thumbnail
from space_data.tables import merge_shards, write_table

REPOSITORY = Path(__file__).resolve().parents[2]
HOSTILE = "set/<script>alert(1)</script>"
CLIP_S = 2.0


def clip(clip_id: str, path: Path, language: str) -> Clip:
    return Clip(
        clip_id=clip_id, path=str(path), sha256="0" * 64, dataset="set", subject=clip_id, emotion="neutral", intensity=0.0,
        view="", language=language, sex="", split="train", annotated_offset_frames=None, duration_s=CLIP_S, fps=25.0,
        header_frames=50, width_px=64, height_px=64, rotation_deg=0, video_codec="h264", pixel_format="yuv420p",
        video_start_s=0.0, audio_codec="aac", audio_hz=16_000, audio_channels=1, audio_start_s=0.0,
    )  # fmt: skip


def measure(clip_id: str, sharpness: float) -> Measure:
    return Measure(
        clip_id=clip_id, source_clip_id=clip_id, segment=0, subject=clip_id, first_frame=0, end_frame=50, start_s=0.0,
        end_s=CLIP_S, length_s=CLIP_S, frame_rate_hz=25.0, irregular_share=0.0, header_frames=50, header_s=CLIP_S,
        decoded_frames=50, decode_error="", has_audio=True, audio_s=CLIP_S, video_s=CLIP_S, width_px=64, height_px=64,
        lost_share=0.0, face_width_px=40.0, outside_share=0.0, several_faces_share=0.0, unseen_share=0.0, yaw_p95_deg=5.0,
        yaw_median_deg=1.0, pitch_p95_deg=5.0, reblur_ratio=sharpness, reblur_coarse=0.1, luma_mean=100.0, luma_sd=40.0,
        frame_difference=1.0, duplicate_share=0.0, lip_motion=None, speech_share=0.9, speech_s=1.8, speech_level_db=-20.0,
        speech_over_noise_db=None, peak_level_db=-3.0, clipped_share=0.0,
    )  # fmt: skip


def decision(clip_id: str, status: str, reasons: str = "", offset: float = 0.0) -> Decision:
    return Decision(clip_id, clip_id, 0, status, reasons, "", 0, 50, 0.0, CLIP_S, offset, 0.5)


def row(clip_id: str, stage: str, status: str = KEPT, reason: str = "", value=None, bound=None, detail: str = "") -> LedgerRow:
    return LedgerRow(clip_id, stage, status, reason, value, bound, detail)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Five files: two kept (one of them lost at align), one blurred, one broken, one that crashed our code."""
    layout = Layout(tmp_path / "data", tmp_path / "reports", tmp_path / "cache")
    video = tmp_path / "v.mp4"  # is not there: the page must not ask for it
    names = ["set/good", "set/late", HOSTILE]
    write_table(layout.clips, [clip(name, video, "en" if i else "fr") for i, name in enumerate(names)], Clip)
    write_table(layout.measures, [measure(name, 0.1 * (i + 1)) for i, name in enumerate(names)], Measure)
    pictures = {name: tmp_path / f"{i}.parquet" for i, name in enumerate(names)}
    for name, file in pictures.items():
        write_table(file, [Thumbnail(name, name, 20, f"JPEG of {name}".encode())], Thumbnail)
    merge_shards(layout.thumbnails, pictures, Thumbnail, 2)
    decisions = [decision("set/good", KEPT), decision("set/late", KEPT, offset=4.0), decision(HOSTILE, REJECTED, "blurred")]
    write_table(layout.decisions, decisions, Decision)
    syncs = [SegmentSync(name, "own set, fold 1", 3, 3, i, 0.5, 0.3, 0.2) for i, name in enumerate(names)]
    write_table(layout.sync_segments, syncs, SegmentSync)
    ingest = [row(n, "ingest") for n in (*names, "set/crash")] + [
        row("set/text", "ingest", REJECTED, "not_media", detail="a text")
    ]
    ledgers = {
        "ingest": ingest,
        "measure": [row(n, "measure") for n in names] + [row("set/crash", "measure", FAILED, "exception", detail="Traceback x")],
        "filter": [row(n, "filter") for n in names[:2]] + [row(HOSTILE, "filter", REJECTED, "blurred", 0.41, 0.35)],
        "align": [row("set/good", "align"), row("set/late", "align", REJECTED, "too_short", 30.0, 38.0, "30 frames hold both")],
    }
    for stage, rows in ledgers.items():
        write_table(layout.ledger(stage), rows, LedgerRow)
    return layout


def test_figures_add_up_by_hand(layout: Layout) -> None:
    assert audit_metrics(Audit.read(layout, STAGES)) == {
        "files": 5, "files_unreadable": 2, "segments": 3, "segments_kept": 2, "segments_rejected": 1, "units_failed": 1,
        "hours_kept": round(2 * CLIP_S / 3600, 4), "hours_measured": round(3 * CLIP_S / 3600, 4), "offsets_corrected": 1,
    }  # fmt: skip


def test_page_and_plots(layout: Layout) -> None:
    params = load_params(REPOSITORY / "params.yaml")
    write_audit(params, layout)
    html = (layout.audit / "index.html").read_text()
    assert "<script>alert" not in html, "a file name must stay text"
    assert html.count("plotly.js v") == 1
    for expected in ("not_media", "Traceback x", "too_short", "30 frames hold both", "0.410", "0.350", "own set"):
        assert expected in html, expected
    for name in ("set/good", "set/late", HOSTILE):
        assert base64.b64encode(f"JPEG of {name}".encode()).decode() in html, name
    metrics = json.loads((layout.audit / "metrics.json").read_text())
    assert metrics["segments_kept"] == 2
    with (layout.audit / "plots" / "reasons.csv").open() as file:
        assert {r["reason"]: int(r["units"]) for r in csv.DictReader(file)} == {
            "blurred": 1, "exception": 1, "not_media": 1, "too_short": 1,
        }  # fmt: skip
    with (layout.audit / "plots" / "offsets.csv").open() as file:
        assert [int(r["offset_frames"]) for r in csv.DictReader(file)] == [2, 0, 1], "sorted by clip"


def test_each_clip_stands_once_in_the_table(layout: Layout) -> None:
    write_audit(load_params(REPOSITORY / "params.yaml"), layout)
    table = (layout.audit / "index.html").read_text().split('id="every-clip"')[1].split("</table>")[0]
    for name in ("set/good", "set/late", "set/text", "set/crash"):
        assert table.count(f'data-sort="{name}"') == 1, name


def test_same_tables_same_bytes_and_nothing_yet_to_show(layout: Layout) -> None:
    params = load_params(REPOSITORY / "params.yaml")
    write_audit(params, layout)
    first = (layout.audit / "index.html").read_bytes()
    write_audit(params, layout)
    assert (layout.audit / "index.html").read_bytes() == first
    # Before sync has run, and with nothing decided, there is still a page.
    layout.sync_segments.unlink()
    for path, kind in ((layout.decisions, Decision), (layout.measures, Measure)):
        write_table(path, [], kind)
    write_audit(params, layout)
    assert "Nothing was measured" in (layout.audit / "index.html").read_text()
