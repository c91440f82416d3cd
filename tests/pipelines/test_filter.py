"""Decisions are a pure function of measures, offsets and bounds; each bound is tried on its own, and all of them at random."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from made_up_measures import GOOD
from tiny_clips import folder_params

from benchmarks.audit_scale import full_table, made_up_measures
from pipelines.deciding.rules import DOUBTS, FILTER_REASONS, RULES, evidence, limits
from pipelines.job.reasons import REASONS
from pipelines.layout import Layout
from pipelines.stages import filter
from pipelines.stages.filter import decide, rules_version
from space_data.errors import SpaceError
from space_data.params import Bound, FilterStage, load_params
from space_data.schema import KEPT, REJECTED, Decision, LedgerRow, Measure, SegmentSync, arrow_schema
from space_data.tables import from_arrow, read_table, table_files, to_arrow, write_table

REPOSITORY = Path(__file__).resolve().parents[2]
PARAMS = folder_params(Path("."))
BOUNDS = PARAMS.filter
IN_SYNC = SegmentSync("c", "test", 1, 1, 0, 0.6, 0.3, 0.6, 0.01)


def judged(
    measure: Measure, sync: SegmentSync | None = IN_SYNC, bounds: FilterStage = BOUNDS
) -> tuple[Decision, list[LedgerRow]]:
    """The decision on one segment and its ledger rows."""
    syncs = to_arrow([sync] if sync else [], SegmentSync)
    decisions, ledger = decide(to_arrow([measure], Measure), syncs, bounds, rules_version())
    (decision,) = from_arrow(decisions, Decision)
    return decision, from_arrow(ledger, LedgerRow)


def with_bounds(bounds: FilterStage = BOUNDS, **changes: object) -> FilterStage:
    """The same bounds but for some."""
    return bounds.model_copy(update=changes)


def test_a_clip_with_nothing_wrong_is_kept() -> None:
    decision, rows = judged(GOOD)
    assert (decision.status, decision.reasons, decision.offset_frames) == (KEPT, "", 0.0)
    assert [(row.status, row.reason) for row in rows] == [(KEPT, "")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"length_s": 1.9}, "too_short"),
        ({"width_px": 224, "height_px": 224}, "low_resolution"),
        ({"missing_share": 0.2}, "truncated"),
        ({"damaged_share": 0.1}, "damaged"),
        ({"mean_rate_hz": 15.0}, "low_frame_rate"),
        ({"bad_sample_share": 0.1}, "bad_samples"),
        ({"has_audio": False, "audio_s": 0.0, "speech_share": 0.0, "peak_level_db": -100.0}, "no_audio"),
        ({"lost_share": 0.1}, "face_lost"),
        ({"several_faces_share": 0.5}, "several_faces"),
        ({"face_width_px": 50.0}, "small_face"),
        ({"outside_share": 0.9}, "face_cut_off"),
        ({"track_jump": 0.8}, "track_broken"),
        ({"landmark_jitter": 0.05}, "jittery"),
        ({"photo_score": 0.02}, "not_photographed"),
        ({"yaw_p95_deg": 55.0}, "profile"),
        ({"pitch_p95_deg": 50.0}, "tilted"),
        ({"roll_p95_deg": 60.0}, "tilted"),
        ({"reblur_ratio": 0.6}, "blurred"),
        ({"reblur_coarse": 0.25}, "blurred"),
        ({"luma_mean": 20.0}, "too_dark"),
        ({"luma_mean": 240.0}, "too_bright"),
        ({"frame_difference": 0.0}, "frozen"),
        ({"frozen_s": 3.0}, "frozen"),
        ({"speech_share": 0.1}, "no_speech"),
        ({"clipped_share": 0.1}, "clipped_sound"),
        ({"lip_motion": 0.005}, "lips_still"),
    ],
)
def test_each_fault_has_its_reason(change: dict[str, Any], reason: str) -> None:
    decision, rows = judged(dataclasses.replace(GOOD, **change))
    assert decision.status == REJECTED and decision.reasons == reason
    assert [row.reason for row in rows] == [reason]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"border_share": 0.3}, "bordered"),
        ({"irregular_share": 0.3}, "variable_rate"),
        ({"detector_score": 0.6}, "uncertain_face"),
        ({"restarts": 1}, "joined_recordings"),
        ({"jumped_s": 30.0}, "clock_jumps"),
        ({"picture_sizes": 2}, "size_changes"),
        ({"tracks": 2}, "several_tracks"),
        ({"is_mirrored": True}, "mirrored"),
        ({"interlaced_share": 1.0}, "interlaced"),
        ({"colours_mapped": True}, "colours_mapped"),
        ({"sound_gaps_s": 0.5}, "sound_gaps"),
        ({"sound_rescaled": True}, "sound_rescaled"),
        ({"channels_cancel": True}, "channels_cancel"),
    ],
)
def test_some_faults_are_only_noted(change: dict[str, Any], reason: str) -> None:
    decision, (row,) = judged(dataclasses.replace(GOOD, **change))
    assert decision.status == KEPT and reason in decision.warnings.split()
    assert row.detail == f"noted: {decision.warnings}"


def test_all_reasons_are_recorded_with_value_and_threshold() -> None:
    decision, rows = judged(dataclasses.replace(GOOD, luma_mean=10.0, face_width_px=20.0))
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
        (0, -0.1, 0.0, "av_sync_uncertain"),  # nothing in common
    ],
)
def test_offsets(offset: int, confidence: float, removed: float, reason: str) -> None:
    sync = dataclasses.replace(IN_SYNC, offset_frames=offset, confidence=confidence)
    decision, _ = judged(GOOD, sync)
    assert (decision.offset_frames, decision.reasons, decision.sync_confidence) == (removed, reason, confidence)
    assert ("av_sync_uncertain" in decision.warnings) is (0 <= confidence < sync.threshold)


def recorded(offset: float, confidence: float, own: float = 0.2, own_offset: int = 0, lead: float = 0.0) -> SegmentSync:
    """A segment with an offset of its own (sure from 0.3) and its recording's (sure from 0.25)."""
    return dataclasses.replace(
        IN_SYNC, offset_frames=own_offset, confidence=own, recording_offset_frames=offset, recording_confidence=confidence,
        recording_threshold=0.25, recording_lead=lead,
    )  # fmt: skip


def counted_from(zero_frames: float, own_offset: int) -> SegmentSync:
    """A segment that alone is sure, in a set where that reading is what is in sync."""
    return dataclasses.replace(recorded(24.0, 0.2, own=0.5, own_offset=own_offset), zero_frames=zero_frames)


@pytest.mark.parametrize(
    ("sync", "removed", "reason", "is_noted"),
    [
        (recorded(25.2, 0.4), 25.2, "av_offset_too_large", False),  # a second late: no segment alone could tell
        (recorded(-27.0, 0.4, own=0.31, own_offset=3), -27.0, "av_offset_too_large", True),  # whatever a segment takes for sure
        (recorded(5.4, 0.4), 5.4, "", False),  # corrected by what all segments say
        (recorded(5.4, 0.4, own=0.5, own_offset=4), 5.4, "", False),
        (recorded(5.4, 0.4, own=0.5, own_offset=-2), 5.4, "", True),  # both sure, and apart
        (recorded(0.4, 0.4), 0.0, "", False),  # tolerated, and no longer in doubt
        (recorded(24.0, 0.21, lead=0.1), 0.0, "av_offset_too_large", True),  # nearly sure, and clearly beyond what is usual
        (recorded(24.0, 0.21, lead=0.02), 0.0, "", True),  # nearly sure, but a usual lag fits nearly as well
        (recorded(12.0, 0.2), 0.0, "", True),  # nearly sure, but no further than chance puts it
        (recorded(24.0, 0.1, lead=0.1), 0.0, "", True),  # no evidence of anything
        (recorded(24.0, 0.2, own=0.5, lead=0.1), 0.0, "", False),  # the segment knows better
        (counted_from(0.75, own_offset=2), 1.25, "", False),  # counted from the set's zero, too
        (counted_from(0.75, own_offset=1), 0.0, "", False),
    ],
)
def test_the_offset_is_the_recording_s(sync: SegmentSync, removed: float, reason: str, is_noted: bool) -> None:
    decision, _ = judged(GOOD, sync)
    assert (decision.offset_frames, decision.reasons) == (removed, reason)
    assert ("av_sync_uncertain" in decision.warnings) is is_noted


NEAR = {"yaw_p95_deg": 36.0, "yaw_median_deg": 30.0, "speech_over_noise_db": 8.0, "detector_score": 0.6, "photo_score": 0.1}
"""Four reasons noted by five measures."""


def test_several_notes_are_evidence_together() -> None:
    decision, (row,) = judged(dataclasses.replace(GOOD, **NEAR))
    assert (decision.status, decision.reasons, row.value) == (REJECTED, "doubtful", 4)
    assert row.threshold == BOUNDS.notes.reject
    assert row.detail == "together: uncertain_face not_photographed profile noisy_sound"
    assert judged(dataclasses.replace(GOOD, **NEAR | {"photo_score": 0.9}))[0].status == KEPT, "three are not enough"
    unsure = dataclasses.replace(IN_SYNC, confidence=0.2)
    assert judged(dataclasses.replace(GOOD, **NEAR | {"photo_score": 0.9}), unsure)[0].reasons == "doubtful"
    facts = {"irregular_share": 0.3, "tracks": 2, "is_mirrored": True, "border_share": 0.3, "width_px": 300, "height_px": 300}
    assert judged(dataclasses.replace(GOOD, length_s=2.5, **facts))[0].status == KEPT, "facts of the file are no doubt"
    loose = with_bounds(notes=Bound(warn=None, reject=None))
    assert judged(dataclasses.replace(GOOD, **NEAR), bounds=loose)[0].status == KEPT
    assert judged(dataclasses.replace(GOOD, luma_mean=10.0, **NEAR))[0].reasons == "too_dark", "one bound is enough"


def test_sound_that_was_not_scored_is_noted() -> None:
    decision, _ = judged(GOOD, None)
    assert (decision.status, decision.sync_confidence) == (KEPT, None) and "av_sync_uncertain" in decision.warnings


def test_a_screened_clip_is_never_kept() -> None:
    small = dataclasses.replace(GOOD, screened="small_face", face_width_px=50.0, lip_motion=None, photo_score=None)
    assert judged(small)[0].reasons == "small_face", "the measured value says it"
    looser = with_bounds(face_width_px=Bound(warn=None, reject=40))
    decision, (row,) = judged(small, bounds=looser)
    assert (decision.status, decision.reasons, row.value) == (REJECTED, "screened", None)
    assert "`small_face`" in row.detail and "run `measure` again" in row.detail


def test_a_data_set_may_have_bounds_of_its_own() -> None:
    small = dataclasses.replace(GOOD, width_px=224, height_px=224, face_width_px=80.0, dataset="vox2")
    assert judged(small)[0].status == KEPT
    assert judged(dataclasses.replace(small, dataset="other"))[0].reasons == "low_resolution small_face"
    drawn = dataclasses.replace(GOOD, photo_score=0.0)
    assert judged(dataclasses.replace(drawn, dataset="synthetic"))[0].status == KEPT
    tight = with_bounds(overrides={"set": type(BOUNDS.overrides["vox2"])(max_offset_frames=3, tolerated_offset_frames=5)})
    decision, (row,) = judged(GOOD, dataclasses.replace(IN_SYNC, offset_frames=4), tight)
    assert (decision.reasons, decision.offset_frames, row.threshold) == ("av_offset_too_large", 0.0, 3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "photo_score: {warn: null, reject: null} ",
            "foto_score: {warn: null, reject: null} ",
            "filter.overrides.synthetic.foto_score: unknown",
        ),
        (
            "    vox2: ",
            "    vox1: {face_width_px: {reject: 64}}\n    vox2: ",
            "filter.overrides.vox1.face_width_px.warn: missing",
        ),
    ],
)
def test_overrides_are_checked_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (REPOSITORY / "params.yaml").read_text()
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new))
    with pytest.raises(SpaceError, match=message):
        load_params(tmp_path / "params.yaml")


def test_the_ledger_says_what_a_decision_rests_on() -> None:
    def hashes(*arguments: Any) -> tuple[str, str, str]:
        row = judged(*arguments)[1][0]
        return row.content, row.config, row.version

    content, config, version = hashes(GOOD, IN_SYNC, BOUNDS)
    assert len(content) == len(config) == len(version) == 16
    assert hashes(dataclasses.replace(GOOD, clip_id="c", luma_sd=41.0))[0] != content
    assert hashes(GOOD, dataclasses.replace(IN_SYNC, confidence=0.61))[0] != content
    assert hashes(GOOD, None)[0] != content
    loose = with_bounds(length_s=Bound(warn=1, reject=0.5))
    assert hashes(GOOD, IN_SYNC, loose) == (content, hashes(GOOD, IN_SYNC, loose)[1], version) != (content, config, version)
    elsewhere = with_bounds(overrides={"other": BOUNDS.overrides["vox2"]})
    assert hashes(GOOD, IN_SYNC, elsewhere)[1] == config, "bounds of other data sets do not matter"


def slow_offset(sync: SegmentSync) -> tuple[float | None, float | None]:
    """The size of a sure offset, and the confidence of one in doubt."""
    whole, confidence, threshold = sync.recording_offset_frames, sync.recording_confidence, sync.recording_threshold
    assert whole is not None and confidence is not None and threshold is not None
    own = sync.offset_frames - sync.zero_frames
    own_sure, whole_sure = sync.confidence >= sync.threshold, confidence >= threshold
    if whole_sure:
        apart = own_sure and abs(whole - own) > 2
        return abs(whole), sync.confidence if apart else None
    if own_sure:
        return abs(own), None
    assert sync.recording_lead is not None
    is_far = confidence >= 0.65 * threshold and sync.recording_lead >= 0.15 * threshold
    return abs(whole) if is_far else None, sync.confidence


def slow_reasons(
    m: Measure, sync: SegmentSync | None, settings: FilterStage
) -> tuple[list[str], list[str], dict[str, tuple[float, float]]]:
    """The filter once more, one segment at a time, as a reader of the documentation would write it."""
    bounds = settings.for_dataset(m.dataset)
    offset, doubt = slow_offset(sync) if sync is not None and m.has_audio else (None, None)
    derived = {
        "picture_side_px": min(m.width_px, m.height_px),
        "length_difference_s": abs(m.audio_s - m.video_s),
        "sure_offset_frames": offset,
        "doubtful_confidence": doubt,
    }  # fmt: skip
    rejects, warns, broken = ([] if m.has_audio else ["no_audio"]), [], {}
    doubts = {"av_sync_uncertain"} if sync is None and m.has_audio else set()
    for rule in RULES:
        if rule.reason == "doubtful":
            derived["notes"] = len(doubts)
            if rejects:
                derived["notes"] = None if len(doubts) > (bounds.notes.reject or np.inf) else len(doubts)
        value = derived[rule.column] if rule.column in derived else getattr(m, rule.column)
        if value is None or (rule.needs_sound and not m.has_audio):
            continue
        both = limits(bounds, rule)
        sign = -1 if rule.is_minimum else 1
        if rule.reason in DOUBTS and (
            (both.warn is not None and sign * value > sign * both.warn) or rule.column == "doubtful_confidence"
        ):
            doubts.add(rule.reason)
        if both.reject is not None and sign * value > sign * both.reject:
            rejects.append(rule.reason)
            broken.setdefault(rule.reason, (float(value), both.reject))
        elif (both.warn is not None and sign * value > sign * both.warn) or rule.column == "doubtful_confidence":
            warns.append(rule.reason)
    if sync is None and m.has_audio:
        warns.append("av_sync_uncertain")
    required = ["lost_share", "face_width_px", "yaw_p95_deg", "reblur_ratio", "luma_mean", "frame_difference"]
    if m.has_audio:
        required += ["speech_share", "peak_level_db"]
    if m.screened and not rejects:
        rejects.append("screened")
    elif not rejects and any(getattr(m, name) is None for name in required):
        rejects.append("not_measured")
    return list(dict.fromkeys(rejects)), list(dict.fromkeys(warns)), broken


def test_columns_decide_exactly_as_one_segment_at_a_time(rng: np.random.Generator) -> None:
    n = 3000
    ids = pa.array([f"s/{i:05d}" for i in range(n)])
    measures = made_up_measures(n, rng, ids, ids, rng.random(n) < 0.3)
    some = rng.permutation(n)[: n * 9 // 10]
    columns = {
        "clip_id": ids, "scorer": "x", "offset_frames": rng.integers(-12, 13, n), "confidence": rng.normal(0.3, 0.2, n),
        "zero_frames": rng.choice([0.0, 0.75], n), "threshold": 0.3,
        "recording_offset_frames": rng.normal(0, 15, n), "recording_confidence": rng.normal(0.3, 0.2, n),
        "recording_threshold": 0.35, "recording_lead": np.maximum(0, rng.normal(0, 0.1, n)),
    }  # fmt: skip
    sync = full_table(SegmentSync, n, columns).take(pa.array(some))
    decisions, ledger = decide(measures, sync, BOUNDS, rules_version())
    by_id = {row.clip_id: row for row in from_arrow(sync, SegmentSync)}
    rows: dict[str, list[LedgerRow]] = {}
    for row in from_arrow(ledger, LedgerRow):
        rows.setdefault(row.clip_id, []).append(row)
    seen = set()
    for measure, decision in zip(from_arrow(measures, Measure), from_arrow(decisions, Decision), strict=True):
        rejects, warns, broken = slow_reasons(measure, by_id.get(measure.clip_id), BOUNDS)
        assert decision.reasons.split() == sorted(rejects, key=FILTER_REASONS.index), measure
        assert set(decision.warnings.split()) == set(warns), measure
        assert decision.status == (REJECTED if rejects else KEPT)
        found = {r.reason: (r.value, r.threshold) for r in rows[measure.clip_id]}
        assert found == ({reason: broken.get(reason, (None, None)) for reason in rejects} or {"": (None, None)})
        seen |= set(rejects)
    assert len(seen) > 20, f"the made-up set tries too few rules: {seen}"
    assert ledger.column("clip_id").to_pylist() == sorted(ledger.column("clip_id").to_pylist())


def test_every_rule_gives_a_listed_and_documented_reason() -> None:
    columns = evidence(to_arrow([GOOD], Measure), to_arrow([IN_SYNC], SegmentSync)).columns
    for rule in RULES:
        assert rule.reason in REASONS and rule.column in columns and hasattr(BOUNDS, rule.bound)
    documented = (REPOSITORY / "docs" / "curation.md").read_text()
    assert set(FILTER_REASONS) <= set(REASONS)
    assert [reason for reason, sentence in REASONS.items() if f"`{reason}`" not in documented or not sentence] == []


def test_bounds_that_no_rule_reads_do_not_exist() -> None:
    read = {rule.bound for rule in RULES} | {"tolerated_offset_frames", "overrides"}
    assert set(type(BOUNDS).model_fields) == read
    assert all(math.isfinite(x) for rule in RULES for x in limits(BOUNDS, rule).model_dump().values() if x is not None)


def test_the_stage_reads_tables_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.audit.write.write_audit", lambda params, layout, stages: None)  # pages have tests of their own
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
    looser = with_bounds(luma_mean_low=Bound(warn=60, reject=5.0))
    filter.run(PARAMS.model_copy(update={"filter": looser}), layout)
    assert {d.status for d in read_table(layout.decisions, Decision)} == {KEPT}
    named = {file.uri for table in (layout.decisions, layout.ledger("filter")) for file in table_files(table)}
    found = {str(file) for file in Path(layout.stage("filter")).rglob("*.parquet")}
    assert found == named, "readers that list a folder see no others"


@pytest.mark.parametrize("column", ["face_width_px", "yaw_p95_deg", "luma_mean", "speech_share"])
def test_what_was_not_measured_is_not_kept(column: str) -> None:
    measures = to_arrow([GOOD, dataclasses.replace(GOOD, clip_id="d", **{column: None})], Measure)
    decisions, ledger = decide(measures, arrow_schema(SegmentSync).empty_table(), PARAMS.filter, rules_version())
    assert decisions.column("status").to_pylist() == [KEPT, REJECTED]
    assert ledger.column("reason").to_pylist() == ["", "not_measured"]
