"""The benchmark page's long tables: clips, worst clips, failures, protocol, stages."""

from urllib.parse import quote

from evaluation.blocks import Bar, Bars, Cell, Column, Segment, Table
from evaluation.metrics.landmarks import FACE_METRICS, LD_CONSTANT_MOUTH, LD_POSED_MOUTH
from evaluation.report_data import BenchmarkData
from evaluation.report_results import ARROWS, number
from evaluation.score_clip import OK
from space_data.schema import UNKNOWN, SynthesizedClip

SHORT_TITLES = {
    "lip_velocity_r": "velocity r", "lip_lag_frames": "lag", "lip_amplitude_log": "log amp.", "closure_f1": "closure F1",
    "lip_gap_r": "gap r", "ld_mouth": "LD mouth", "ld_motion_mouth": "motion", "lvd_mouth": "LVD mouth", "pose_deg": "pose",
    "head_motion_deg": "head", "head_speed_deg_s": "speed", "yaw_autocorrelation": "yaw ac.", "yaw_range_deg": "range",
    "head_fast_share": "> 1 Hz", "blinks_per_min": "blinks",
    "blink_s": "blink s", "gaze_motion": "gaze", "av_at_zero": "A/V at 0", "av_confidence": "A/V conf.",
    "av_offset_frames": "A/V off.", "psnr_db": "PSNR", "ssim": "SSIM", "face_edges": "sharp",
}  # fmt: skip
"""For wide tables, by the metric's name."""
LEFT_OUT = (*FACE_METRICS, LD_CONSTANT_MOUTH, LD_POSED_MOUTH)
"""Of the table of clips, which is wide enough; the exports have them."""


PAGE_ROWS = 12


def player_link(clip_id: str, system: str) -> str:
    """Address, on the same page, that opens the player at a clip with one system on screen and heard."""
    return f"#play={quote(clip_id, safe='')}&system={quote(system, safe='')}"


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
    playable = set(data.playable)
    rows: list[list[Cell | str | float | None]] = []
    for clip_id in data.clip_ids:
        for entry in data.systems:
            clip = facts.get((entry.name, clip_id))
            label = emotion_label(clip) if clip else ""
            link = player_link(clip_id, entry.name) if clip_id in playable else ""
            rows.append([Cell(clip_id, href=link), label, entry.title, *(data.value(entry.name, clip_id, m) for m in shown)])
    caption = "Click a header to sort, type to filter, follow a link to see and hear the clip"
    return Table(columns, rows, caption, searchable=True, page_rows=25)


def worst_table(data: BenchmarkData, count: int) -> Table:
    """On which clips each contestant is worst in each metric, the worst first, with its value there; clips without one lead."""
    numbers = {clip_id: index for index, clip_id in enumerate(data.playable, start=1)}
    rows: list[list[Cell | str]] = []
    for metric in data.columns:
        for entry in data.contestants:
            row: list[Cell | str] = [f"{metric.title} {ARROWS[metric.better]}", entry.title]
            for clip_id in data.worst(entry.name, metric, count):
                value = data.value(entry.name, clip_id, metric)
                link = player_link(clip_id, entry.name) if clip_id in numbers else ""
                text = f"{number(value, metric.digits)} in #{numbers.get(clip_id, '–')}"
                row.append(Cell(value, text, title=clip_id, href=link))
            rows.append(row)
    ranks = range(1, min(count, len(data.clip_ids)) + 1)
    columns = [Column("metric"), Column("system"), *(Column(f"{rank}.", "number") for rank in ranks)]
    return Table(columns, rows, "Worst clips: value and number of the clip, which opens in the player", True, PAGE_ROWS)


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
    return Table(columns, rows, "Without a value, and why", searchable=len(rows) > PAGE_ROWS, page_rows=PAGE_ROWS)


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
