"""The benchmark page's long tables: clips, failures, protocol, stages."""

from evaluation.blocks import Bar, Bars, Cell, Column, Segment, Table
from evaluation.metrics.landmarks import FACE_METRICS, LD_CONSTANT_MOUTH, LD_POSED_MOUTH
from evaluation.report_data import BenchmarkData
from evaluation.report_results import ARROWS
from evaluation.score_clip import OK
from space_data.schema import UNKNOWN, SynthesizedClip

SHORT_TITLES = {
    "lip_velocity_r": "velocity r", "lip_lag_frames": "lag", "lip_amplitude_log": "log amp.", "closure_f1": "closure F1",
    "lip_gap_r": "gap r", "ld_mouth": "LD mouth", "ld_motion_mouth": "motion", "lvd_mouth": "LVD mouth", "pose_deg": "pose",
    "head_motion_deg": "head", "head_speed_deg_s": "speed", "yaw_autocorrelation": "yaw ac.", "blinks_per_min": "blinks",
    "blink_s": "blink s", "gaze_motion": "gaze", "av_at_zero": "A/V at 0", "av_confidence": "A/V conf.",
    "av_offset_frames": "A/V off.", "psnr_db": "PSNR", "ssim": "SSIM", "face_edges": "sharp",
}  # fmt: skip
"""For wide tables, by the metric's name."""
LEFT_OUT = (*FACE_METRICS, LD_CONSTANT_MOUTH, LD_POSED_MOUTH)
"""Of the table of clips, which is wide enough; the exports have them."""


def emotion_label(clip: SynthesizedClip) -> str:
    """A clip's emotion as people read it: with its intensity, unless nobody labelled it."""
    return clip.emotion if clip.emotion == UNKNOWN else f"{clip.emotion} {clip.intensity:.1f}"


def clip_table(data: BenchmarkData) -> Table:
    """Every system on every clip."""
    shown = [m for m in data.columns if m not in LEFT_OUT]
    columns = [Column("clip", "code"), Column("emotion"), Column("system")]
    for m in shown:
        title = SHORT_TITLES.get(m.name, m.title)
        columns.append(Column(f"{title} {ARROWS[m.better]}", "number", min(m.digits, 3), help=f"{m.title}: {m.metric_id}"))
    facts = {(clip.system, clip.clip_id): clip for clip in data.clips}
    rows: list[list[Cell | str | float | None]] = []
    for clip_id in data.clip_ids:
        for entry in data.systems:
            clip = facts.get((entry.name, clip_id))
            label = emotion_label(clip) if clip else ""
            rows.append([clip_id, label, entry.title, *(data.value(entry.name, clip_id, m) for m in shown)])
    return Table(columns, rows, "Click a header to sort, type to filter", searchable=True, page_rows=25)


def failure_table(data: BenchmarkData) -> Table | None:
    """Metrics without a value, with their reason; None if there are none."""
    grouped: dict[tuple[str, str, str, str], list[str]] = {}
    for score in data.scores:
        if score.status != OK:
            key = (score.system, score.clip_id, score.status, score.detail)
            name = score.metric.split("/")[0]
            grouped.setdefault(key, []).append(SHORT_TITLES.get(name, name))
    if not grouped:
        return None
    rows: list[list[Cell | str]] = []
    for (system, clip, status, detail), names in sorted(grouped.items()):
        which = "all" if len(names) == len(data.columns) else ", ".join(names)
        rows.append([data.title(system), clip, Cell(status, tone="warn"), which, detail])
    columns = [Column("system"), Column("clip", "code"), Column("status", "badge"), Column("metrics"), Column("why")]
    return Table(columns, rows, searchable=len(rows) > 20)


def protocol_table(data: BenchmarkData) -> Table:
    """What each column is, where it comes from, where it departs from that."""
    columns = [Column("metric"), Column("id", "code"), Column("definition"), Column("source"), Column("departures")]
    rows = [[m.title, m.metric_id, m.definition, m.source, m.departures or "–"] for m in [*data.columns, *data.sets]]
    return Table(columns, rows)


def stage_table(data: BenchmarkData) -> Table:
    """Time and throughput of every stage of the pipeline, as each last ran."""
    columns = [
        Column("stage"), Column("clips", "number", digits=0),
        Column("computed", "number", digits=0, help="not kept from earlier runs"),
        Column("time", "number", digits=1, unit="s"), Column("clips per second", "number", digits=2),
        Column("kept", "number", digits=0), Column("rejected", "number", digits=0), Column("failed", "number", digits=0),
        Column("notes"),
    ]  # fmt: skip
    keys = ("clips", "computed", "seconds", "clips_per_s", "kept", "rejected", "failed")
    rows: list[list[Cell | str | float | None]] = []
    for facts in data.stages:
        numbers = [_float(facts.get(key)) for key in keys]
        notes = "; ".join(f"{key}: {value}" for key, value in facts.items() if key not in (*keys, "stage"))
        rows.append([str(facts.get("stage", "?")), *numbers, notes])
    return Table(columns, rows)


def stage_bars(data: BenchmarkData) -> Bars:
    """The stages' times to the eye."""
    times = [(str(facts.get("stage", "?")), _float(facts.get("seconds")) or 0.0) for facts in data.stages]
    return Bars([Bar(stage, [Segment(seconds)], f"{seconds:.1f} s") for stage, seconds in times])


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
