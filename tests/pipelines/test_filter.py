"""Decisions are a pure function of measures, offsets and bounds; each bound is tried on its own."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from made_up_measures import GOOD
from tiny_clips import folder_params

from pipelines import filter
from pipelines.filter import correction, decide
from pipelines.job import REASONS, Layout
from space_data.schema import KEPT, REJECTED, Decision, LedgerRow, Measure, SegmentSync
from space_data.tables import read_table, write_table

PARAMS = folder_params(Path("."))
BOUNDS = PARAMS.filter
IN_SYNC = SegmentSync("c", "test", 1, 1, 0, 0.6, 0.3, 0.6)


def test_a_clip_with_nothing_wrong_is_kept() -> None:
    decision, rows = decide(GOOD, IN_SYNC, BOUNDS)
    assert (decision.status, decision.reasons, decision.offset_frames) == (KEPT, "", 0.0)
    assert [(row.status, row.reason) for row in rows] == [(KEPT, "")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"length_s": 1.9}, "too_short"),
        ({"width_px": 224, "height_px": 224}, "low_resolution"),
        ({"decoded_frames": 60}, "truncated"),
        ({"header_frames": 0, "header_s": 5.0}, "truncated"),
        ({"decode_error": "breaks off"}, "truncated"),
        ({"has_audio": False, "audio_s": 0.0, "speech_share": 0.0, "peak_level_db": -100.0}, "no_audio"),
        ({"lost_share": 0.1}, "face_lost"),
        ({"several_faces_share": 0.5}, "several_faces"),
        ({"face_width_px": 50.0}, "small_face"),
        ({"outside_share": 0.9}, "face_cut_off"),
        ({"yaw_p95_deg": 55.0}, "profile"),
        ({"pitch_p95_deg": 50.0}, "tilted"),
        ({"reblur_ratio": 0.6}, "blurred"),
        ({"reblur_coarse": 0.25}, "blurred"),
        ({"luma_mean": 20.0}, "too_dark"),
        ({"luma_mean": 240.0}, "too_bright"),
        ({"frame_difference": 0.0}, "frozen"),
        ({"speech_share": 0.1}, "no_speech"),
        ({"clipped_share": 0.1}, "clipped_sound"),
        ({"lip_motion": 0.005}, "lips_still"),
    ],
)
def test_each_fault_has_its_reason(change: dict[str, Any], reason: str) -> None:
    decision, rows = decide(dataclasses.replace(GOOD, **change), IN_SYNC, BOUNDS)
    assert decision.status == REJECTED and decision.reasons == reason
    assert [row.reason for row in rows] == [reason]


def test_a_header_without_frame_count_that_agrees_is_fine() -> None:
    for header_s in (0.0, 4.0):  # unknown; as long as what decodes
        decision, _ = decide(dataclasses.replace(GOOD, header_frames=0, header_s=header_s), IN_SYNC, BOUNDS)
        assert decision.status == KEPT


def test_all_reasons_are_recorded_with_value_and_threshold() -> None:
    bad = dataclasses.replace(GOOD, luma_mean=10.0, face_width_px=20.0)
    decision, rows = decide(bad, IN_SYNC, BOUNDS)
    assert set(decision.reasons.split()) == {"too_dark", "small_face"}
    assert {(r.reason, r.value, r.threshold) for r in rows} == {
        ("too_dark", 10.0, BOUNDS.luma_mean_low.reject),
        ("small_face", 20.0, BOUNDS.face_width_px.reject),
    }


@pytest.mark.parametrize(
    ("offset", "confidence", "removed", "reason"),
    [
        (1, 0.6, 0.0, ""),  # tolerated
        (-6, 0.6, -6.0, ""),  # corrected
        (12, 0.6, 12.0, "av_offset_too_large"),
        (12, 0.2, 0.0, ""),  # not sure of it: neither corrected nor rejected, but noted
    ],
)
def test_offsets(offset: int, confidence: float, removed: float, reason: str) -> None:
    sync = dataclasses.replace(IN_SYNC, offset_frames=offset, confidence=confidence)
    decision, _ = decide(GOOD, sync, BOUNDS)
    assert correction(sync, BOUNDS) == removed and decision.reasons == reason
    assert ("av_sync_uncertain" in decision.warnings) is (confidence < sync.threshold)


def test_every_rule_gives_a_listed_reason_and_reads_an_existing_measure() -> None:
    known = filter.values_of(GOOD)
    for rule in filter.RULES:
        assert rule.reason in REASONS and rule.measure in known and hasattr(BOUNDS, rule.bound)


def test_the_stage_reads_tables_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter, "write_audit", lambda params, layout, stages: None)  # pages have tests of their own
    layout = Layout.in_folder(tmp_path)
    dark = dataclasses.replace(GOOD, clip_id="d", source_clip_id="d", luma_mean=10.0)
    write_table(layout.measures, [GOOD, dark], Measure)
    write_table(layout.sync_segments, [IN_SYNC], SegmentSync)
    filter.run(PARAMS, layout)
    assert [(d.clip_id, d.status, d.reasons) for d in read_table(layout.decisions, Decision)] == [
        ("c", KEPT, ""),
        ("d", REJECTED, "too_dark"),
    ]
    assert len(read_table(layout.ledger("filter"), LedgerRow)) == 2
    looser = BOUNDS.model_copy(update={"luma_mean_low": BOUNDS.luma_mean_low.model_copy(update={"reject": 5.0})})
    filter.run(PARAMS.model_copy(update={"filter": looser}), layout)
    assert {d.status for d in read_table(layout.decisions, Decision)} == {KEPT}
