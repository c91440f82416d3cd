"""The benchmark page's tables: results, what must hold, comparisons, clips, failures, protocol, stages."""

from collections.abc import Sequence

from evaluation import metrics
from evaluation.aggregate import comparisons
from evaluation.baselines.published import PUBLISHED
from evaluation.blocks import Bar, Bars, Cell, Column, Segment, Table, Tone
from evaluation.metrics import Metric
from evaluation.report_data import BenchmarkData
from evaluation.score_clip import OK
from evaluation.systems import OURS
from space_data.schema import UNKNOWN, Aggregate, SynthesizedClip

ARROWS = {"lower": "↓", "higher": "↑", "reference": "≈"}
TRUTH, STILL, SHUFFLED = "ground_truth", "still", "mismatched_audio"
MAIN = OURS[0]
"""The system that the page is about."""
SANITY = (TRUTH, STILL, SHUFFLED)
SHORT_TITLES = {
    "lmd_mouth_norm": "LMD mouth", "lmd_face_norm": "LMD face", "lvd_mouth_norm": "LVD mouth", "lip_gap_corr": "lip r",
    "lip_amplitude_ratio": "lip amp.", "pose_deg": "pose", "head_motion_deg": "motion", "blinks_per_min": "blinks",
    "av_at_zero": "A/V at 0", "av_confidence": "A/V conf.", "av_offset_frames": "A/V off.", "psnr_db": "PSNR", "ssim": "SSIM",
}  # fmt: skip
"""For wide tables, by the first part of the metric's id."""
HEADLINE = (metrics.LMD_MOUTH, metrics.LIP_CORRELATION, metrics.AV_AT_ZERO)


def number(value: float | None, digits: int, signed: bool = False) -> str:
    """A number as people read it; a dash for none."""
    if value is None:
        return "–"
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def emotion_label(clip: SynthesizedClip) -> str:
    """A clip's emotion as people read it: with its intensity, unless nobody labelled it."""
    return clip.emotion if clip.emotion == UNKNOWN else f"{clip.emotion} {clip.intensity:.1f}"


def results_table(data: BenchmarkData) -> Table:
    """Metrics in rows, systems in columns: mean, interval below it, coverage at the end."""
    columns = [Column("metric"), *(Column(entry.title, "number", help=entry.description) for entry in data.systems)]
    columns.append(Column("clips", help="clips with a value / clips asked for; the least of all systems"))
    rows: list[list[Cell | str]] = []
    for metric in [*data.columns, data.frechet]:
        cells = [data.by_cell.get((entry.name, metric.metric_id)) for entry in data.systems]
        best = _best(metric, [c for c, e in zip(cells, data.systems, strict=True) if e.name != TRUTH])
        label = f"{metric.title} {ARROWS[metric.better]}" + (f" ({metric.unit})" if metric.unit else "")
        row: list[Cell | str] = [Cell(label, title=f"{metric.metric_id}: {metric.definition}")]
        row += [_result(cell, metric, best) for cell in cells]
        least = min((c for c in cells if c), key=lambda c: c.n_ok, default=None)
        row.append(f"{least.n_ok} / {least.n_total}" if least else "–")
        rows.append(row)
    caption = (
        "Mean over clips ± the longer arm of its 95 % interval. ↓ lower, ↑ higher is better, ≈ nearest to the recording is. "
        "Green: best system other than the ground truth. Hover over a name for its definition, over a figure for its interval."
    )
    return Table(columns, rows, caption)


def _best(metric: Metric, cells: Sequence[Aggregate | None]) -> float | None:
    values = [cell.mean for cell in cells if cell and cell.mean is not None]
    if metric.better == "reference" or not values:
        return None
    best = min(values) if metric.better == "lower" else max(values)
    return best if values.count(best) == 1 else None


def _result(cell: Aggregate | None, metric: Metric, best: float | None) -> Cell:
    if cell is None or cell.mean is None:
        return Cell(None, title="no clip could be scored")
    text, title = number(cell.mean, metric.digits), f"{cell.n_ok} of {cell.n_total} clips"
    if cell.low is not None and cell.high is not None:
        text += f" ±{number(max(cell.high - cell.mean, cell.mean - cell.low), metric.digits)}"
        title += f", 95 % interval {number(cell.low, metric.digits + 1)} to {number(cell.high, metric.digits + 1)}"
        title += f" over {cell.n_identities} independent units"
    return Cell(cell.mean, text, "good" if cell.mean == best else "plain", title)


def published_table() -> Table:
    """Other people's systems: named, with the reason why there are no figures."""
    rows: list[list[Cell | str]] = [
        [system.name, system.reference, Cell(system.code), Cell(system.status, tone="quiet")] for system in PUBLISHED
    ]
    return Table([Column("system"), Column("paper"), Column("code", "code"), Column("state")], rows, "Not in the table above")


ORDERS = (
    (metrics.LMD_MOUTH, TRUTH, MAIN), (metrics.LMD_MOUTH, MAIN, STILL), (metrics.LMD_MOUTH, MAIN, SHUFFLED),
    (metrics.LIP_CORRELATION, TRUTH, MAIN), (metrics.LIP_CORRELATION, MAIN, SHUFFLED),
    (metrics.AV_AT_ZERO, TRUTH, SHUFFLED), (metrics.AV_AT_ZERO, TRUTH, STILL),
    (metrics.AV_AT_ZERO, MAIN, SHUFFLED), (metrics.AV_AT_ZERO, MAIN, STILL),
)  # fmt: skip
"""(metric, the better system, the worse one). Two are left out: lips that do not move have no correlation; and lips predicted
from sound may outscore recorded ones on an audio-visual scorer, which hears no more than a predictor does."""
NAMES = {TRUTH: "ground truth", MAIN: "ours", STILL: "still", SHUFFLED: "mismatched audio"}


def expectations(data: BenchmarkData) -> list[tuple[str, bool | None, str]]:
    """Orders that must come out if metrics and pipeline are sound: (statement, holds or None if not measured, figures)."""
    checks = []
    for metric, better, worse in ORDERS:
        first, second = data.mean(better, metric), data.mean(worse, metric)
        holds = None
        if first is not None and second is not None:
            holds = first < second if metric.better == "lower" else first > second
        statement = f"{metric.title}: {NAMES[better]} is better than {NAMES[worse]}"
        checks.append((statement, holds, f"{number(first, 4)} against {number(second, 4)}"))
    return checks


def expectations_table(data: BenchmarkData) -> Table:
    """`expectations` with a badge each."""
    badges: dict[bool | None, tuple[str, Tone]] = {
        True: ("holds", "good"),
        False: ("fails", "bad"),
        None: ("not measured", "warn"),
    }
    rows: list[list[Cell | str]] = [
        [Cell(badges[ok][0], tone=badges[ok][1]), text, figures] for text, ok, figures in expectations(data)
    ]
    return Table([Column("order", "badge"), Column("what must hold"), Column("means")], rows)


def comparison_table(data: BenchmarkData) -> Table:
    """Paired differences of our systems with the anchors, clip by clip."""
    present = {entry.name for entry in data.systems}
    titles = {entry.name: entry.title for entry in data.systems}
    rows: list[list[Cell | str | float | None]] = []
    for ours in (name for name in OURS if name in present):
        others = [name for name in (STILL, SHUFFLED) if name in present]
        for baseline, metric, result, adjusted in comparisons(data.scores, ours, others, HEADLINE, data.draws, data.seed):
            d = result.difference
            if not d.n_ok:
                continue
            interval = f"[{number(d.low, metric.digits, True)}, {number(d.high, metric.digits, True)}]"
            rows.append(
                [
                    titles[ours], titles[baseline], f"{metric.title} {ARROWS[metric.better]}",
                    Cell(d.mean, f"{number(d.mean, metric.digits, True)} {interval}".strip()),
                    Cell(result.win_share, "–" if result.win_share is None else f"{result.win_share:.0%}"),
                    adjusted, f"{d.n_ok} / {d.n_total}", d.n_identities,
                ]
            )  # fmt: skip
    columns = [
        Column("system"), Column("against"), Column("metric"), Column("difference", "number"),
        Column("clips won", "number"), Column("p (Holm)", "number", digits=3, help="sign flips over identities, two-sided"),
        Column("clips"), Column("identities", "number", digits=0),
    ]  # fmt: skip
    caption = "Paired by clip, intervals and tests over identities: with few identities even a sure difference has a large p."
    return Table(columns, rows, caption)


def clip_table(data: BenchmarkData) -> Table:
    """Every system on every clip."""
    shown = [m for m in data.columns if m is not metrics.LVD_FACE]
    columns = [Column("clip", "code"), Column("emotion"), Column("system")]
    for m in shown:
        title = SHORT_TITLES.get(m.metric_id.split("/")[0], m.title)
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
            grouped.setdefault(key, []).append(SHORT_TITLES.get(score.metric.split("/")[0], score.metric))
    if not grouped:
        return None
    titles = {entry.name: entry.title for entry in data.systems}
    rows: list[list[Cell | str]] = []
    for (system, clip, status, detail), names in sorted(grouped.items()):
        which = "all" if len(names) == len(data.columns) else ", ".join(names)
        rows.append([titles[system], clip, Cell(status, tone="warn"), which, detail])
    columns = [Column("system"), Column("clip", "code"), Column("status", "badge"), Column("metrics"), Column("why")]
    return Table(columns, rows, searchable=len(rows) > 20)


def protocol_table(data: BenchmarkData) -> Table:
    """What each column is, where it comes from, where it departs from that."""
    columns = [Column("metric"), Column("id", "code"), Column("definition"), Column("source"), Column("departures")]
    rows = [[m.title, m.metric_id, m.definition, m.source, m.departures or "–"] for m in [*data.columns, data.frechet]]
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
