"""Decide which segments are kept: compare stored measures with the bounds of ``params.yaml``. Nothing is decoded.

The rules are the table ``RULES``: a reason code, the measure it reads, on which side the bound lies, and the bound's key in the
section ``filter``. A measure beyond ``reject`` rejects, one beyond ``warn`` is noted; what could not be measured passes (another
rule then says why it could not). All reasons of a segment are recorded, each with its value and threshold.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.audit import STAGES, write_audit
from pipelines.job import stage_clock, stage_main, write_ledger
from pipelines.layout import Layout
from space_data.params import Bound, FilterStage, Params
from space_data.schema import KEPT, REJECTED, Decision, LedgerRow, Measure, SegmentSync
from space_data.tables import read_table, write_table

STAGE = "filter"


@dataclass(frozen=True)
class Rule:
    """``reason`` applies when ``measure`` lies below (``is_minimum``) or above the bound named ``bound``."""

    reason: str
    measure: str
    bound: str
    is_minimum: bool = False
    needs_sound: bool = False


RULES = (
    Rule("too_short", "length_s", "length_s", is_minimum=True),
    Rule("low_resolution", "picture_side_px", "picture_side_px", is_minimum=True),
    Rule("truncated", "missing_share", "missing_share"),
    Rule("length_mismatch", "length_difference_s", "length_difference_s", needs_sound=True),
    Rule("no_face", "unseen_share", "unseen_share"),
    Rule("face_lost", "lost_share", "lost_share"),
    Rule("several_faces", "several_faces_share", "several_faces_share"),
    Rule("small_face", "face_width_px", "face_width_px", is_minimum=True),
    Rule("face_cut_off", "outside_share", "outside_share"),
    Rule("profile", "yaw_p95_deg", "yaw_p95_deg"),
    Rule("profile", "yaw_median_deg", "yaw_median_deg"),
    Rule("tilted", "pitch_p95_deg", "pitch_p95_deg"),
    Rule("blurred", "reblur_ratio", "reblur_ratio"),
    Rule("blurred", "reblur_coarse", "reblur_coarse"),
    Rule("too_dark", "luma_mean", "luma_mean_low", is_minimum=True),
    Rule("too_bright", "luma_mean", "luma_mean_high"),
    Rule("flat_light", "luma_sd", "luma_sd", is_minimum=True),
    Rule("frozen", "frame_difference", "frame_difference", is_minimum=True),
    Rule("duplicate_frames", "duplicate_share", "duplicate_share"),
    Rule("silent", "peak_level_db", "peak_level_db", is_minimum=True, needs_sound=True),
    Rule("no_speech", "speech_share", "speech_share", is_minimum=True, needs_sound=True),
    Rule("noisy_sound", "speech_over_noise_db", "speech_over_noise_db", is_minimum=True, needs_sound=True),
    Rule("clipped_sound", "clipped_share", "clipped_share", needs_sound=True),
    Rule("lips_still", "lip_motion", "lip_motion", is_minimum=True, needs_sound=True),
)


@dataclass(frozen=True)
class Finding:
    """A reason that applies, with the value found and the bound it broke."""

    reason: str
    value: float | None
    threshold: float | None


def values_of(measure: Measure) -> dict[str, float | None]:
    """Every number the rules read: the measures themselves and three that follow from several of them."""
    missing = 0.0
    if measure.header_frames:
        missing = 1.0 - measure.decoded_frames / measure.header_frames
    elif measure.header_s:  # of the longer stream
        missing = 1.0 - max(measure.video_s, measure.audio_s) / measure.header_s
    return {
        **{name: value for name, value in vars(measure).items() if isinstance(value, int | float) or value is None},
        "picture_side_px": min(measure.width_px, measure.height_px),
        "missing_share": 1.0 if measure.decode_error else max(0.0, missing),
        "length_difference_s": abs(measure.audio_s - measure.video_s),
    }


def beyond(value: float, limit: float | None, is_minimum: bool) -> bool:
    """Whether ``value`` lies on the wrong side of ``limit`` (a missing limit is never broken)."""
    return limit is not None and (value < limit if is_minimum else value > limit)


def judge(measure: Measure, sync: SegmentSync | None, settings: FilterStage) -> tuple[list[Finding], list[Finding]]:
    """What speaks against a segment: reasons that reject it, and reasons that are only noted."""
    rejects, warnings = [], []
    if not measure.has_audio:
        rejects.append(Finding("no_audio", None, None))
    values = values_of(measure)
    for rule in RULES:
        value = values[rule.measure]
        if value is None or (rule.needs_sound and not measure.has_audio):
            continue
        bound: Bound = getattr(settings, rule.bound)
        if beyond(value, bound.reject, rule.is_minimum):
            rejects.append(Finding(rule.reason, float(value), bound.reject))
        elif beyond(value, bound.warn, rule.is_minimum):
            warnings.append(Finding(rule.reason, float(value), bound.warn))
    if sync is not None and measure.has_audio:
        hard, soft = judge_sync(sync, settings)
        rejects += hard
        warnings += soft
    elif measure.has_audio:
        warnings.append(Finding("av_sync_uncertain", None, None))
    return rejects, warnings


def judge_sync(sync: SegmentSync, settings: FilterStage) -> tuple[list[Finding], list[Finding]]:
    """Reasons from the audio-visual offset: too far apart (sure), or not to be told.

    Doubt alone is only noted: in clips shorter than a window or two, good ones often stay below the threshold that mismatched
    sound reaches in 5 % of cases. Below ``sync_confidence.reject`` lips and sound have nothing in common.
    """
    if sync.confidence < sync.threshold:
        doubt = Finding("av_sync_uncertain", sync.confidence, sync.threshold)
        if beyond(sync.confidence, settings.sync_confidence.reject, is_minimum=True):
            return [Finding("av_sync_uncertain", sync.confidence, settings.sync_confidence.reject)], []
        return [], [doubt]
    if abs(sync.offset_frames) > settings.max_offset_frames:
        return [Finding("av_offset_too_large", float(sync.offset_frames), settings.max_offset_frames)], []
    return [], []


def correction(sync: SegmentSync | None, settings: FilterStage) -> float:
    """Offset to remove, frames: only one that is sure and more than the tolerated lag."""
    if sync is None or sync.confidence < sync.threshold or abs(sync.offset_frames) <= settings.tolerated_offset_frames:
        return 0.0
    return float(sync.offset_frames)


def _codes(findings: Iterable[Finding]) -> str:
    return " ".join(dict.fromkeys(finding.reason for finding in findings))


def decide(measure: Measure, sync: SegmentSync | None, settings: FilterStage) -> tuple[Decision, list[LedgerRow]]:
    """Decision on one segment, and its ledger rows (one per reason that rejects it; one if it is kept)."""
    rejects, warnings = judge(measure, sync, settings)
    decision = Decision(
        clip_id=measure.clip_id,
        source_clip_id=measure.source_clip_id,
        segment=measure.segment,
        status=REJECTED if rejects else KEPT,
        reasons=_codes(rejects),
        warnings=_codes(warnings),
        first_frame=measure.first_frame,
        end_frame=measure.end_frame,
        start_s=measure.start_s,
        end_s=measure.end_s,
        offset_frames=correction(sync, settings),
        sync_confidence=sync.confidence if sync is not None else None,
    )
    noted = f"noted: {decision.warnings}" if decision.warnings else ""
    if not rejects:
        return decision, [LedgerRow(measure.clip_id, STAGE, KEPT, "", None, None, noted)]
    first = {finding.reason: finding for finding in reversed(rejects)}  # one row per reason, the first bound that broke
    rows = [
        LedgerRow(measure.clip_id, STAGE, REJECTED, f.reason, f.value, f.threshold, noted) for f in first.values()
    ]
    return decision, rows


def run(params: Params, layout: Layout) -> None:
    """The stage: ``measures``, ``sync`` -> ``decisions``, the filter's ledger and the audit page."""
    with stage_clock(layout, STAGE) as clock:
        measures = read_table(layout.measures, Measure)
        sync = {row.clip_id: row for row in read_table(layout.sync_segments, SegmentSync)}
        judged = [decide(measure, sync.get(measure.clip_id), params.filter) for measure in measures]
        write_table(layout.decisions, [decision for decision, _ in judged], Decision)
        clock.clips = len(measures)
        clock.counts = write_ledger(layout, STAGE, [m.clip_id for m in measures], [row for _, rows in judged for row in rows])
        write_audit(params, layout, STAGES[: STAGES.index(STAGE) + 1])


if __name__ == "__main__":
    stage_main(run)
