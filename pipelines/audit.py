"""The audit page: which clips were kept, which were dropped, and why; for people who must trust or question a filter.

Assembled from the tables that the stages left, the pictures among them (``measure`` keeps one per segment): no video is opened.
It is written again after later stages have added their ledgers; what is not there yet is left out.
"""

import base64
import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from evaluation.blocks import Bar, Bars, Cell, Column, Figure, Figures, Gallery, Media, Note, Segment, Stat, Stats, Table, Tone
from evaluation.html import Page, provenance
from pipelines.job import REASONS, Layout
from space_data.files import atomic_file
from space_data.params import Bound, Params
from space_data.schema import FAILED, KEPT, REJECTED, Clip, Decision, LedgerRow, Measure, SegmentSync, Thumbnail
from space_data.tables import from_arrow, read_arrow, read_table

STAGES = ("ingest", "measure", "sync", "filter", "align", "features")
TONES: dict[str, Tone] = {KEPT: "good", REJECTED: "warn", FAILED: "bad"}
SHOWN_KEPT, SHOWN_PER_REASON = 18, 6
DETAIL_SHOWN = 160
"""Characters of a ledger's detail in the table; the tool tip has all of it."""
HOUR_S = 3600.0
DISTRIBUTIONS = (
    ("length_s", "length_s", "length, s"),
    ("face_width_px", "face_width_px", "face width, px"),
    ("reblur_ratio", "reblur_ratio", "re-blur ratio (0 sharp, 1 blurred)"),
    ("reblur_coarse", "reblur_coarse", "re-blur ratio at half and quarter size"),
    ("yaw_p95_deg", "yaw_p95_deg", "|yaw|, 95th percentile, degrees"),
    ("luma_mean", "luma_mean_low", "face brightness, 0-255"),
    ("frame_difference", "frame_difference", "change between frames, grey levels"),
    ("speech_share", "speech_share", "share of time with speech"),
    ("speech_over_noise_db", "speech_over_noise_db", "speech over noise, dB"),
    ("lip_motion", "lip_motion", "lip motion while speaking, inter-ocular distances"),
)
"""(measure, bound in ``params.filter``, axis title)"""


@dataclass(frozen=True)
class Audit:
    """What the page is made from."""

    clips: dict[str, Clip]
    measures: dict[str, Measure]
    decisions: list[Decision]
    sync: dict[str, SegmentSync]
    ledgers: dict[str, list[LedgerRow]]
    thumbnails: dict[str, bytes]
    """JPEG files of the segments whose picture is shown"""

    @staticmethod
    def read(layout: Layout, stages: Sequence[str]) -> "Audit":
        """All tables that are there, with the ledgers of ``stages``."""
        sync = read_table(layout.sync_segments, SegmentSync) if layout.sync_segments.is_file() else []
        decisions = read_table(layout.decisions, Decision)
        shown = {d.clip_id for d in shown_kept(decisions)} | {d.clip_id for _, d in shown_rejected(decisions)}
        pictures = from_arrow(read_arrow(layout.thumbnails, Thumbnail, clip_ids=shown), Thumbnail)
        return Audit(
            clips={row.clip_id: row for row in read_table(layout.clips, Clip)},
            measures={row.clip_id: row for row in read_table(layout.measures, Measure)},
            decisions=decisions,
            sync={row.clip_id: row for row in sync},
            ledgers={stage: read_table(layout.ledger(stage), LedgerRow) for stage in stages if layout.ledger(stage).is_file()},
            thumbnails={picture.clip_id: picture.jpeg for picture in pictures},
        )

    def seconds(self, segment_id: str) -> float:
        """Length of a segment (or of a whole clip), seconds; 0 where it was never measured."""
        measure = self.measures.get(segment_id)
        if measure is not None:
            return measure.length_s
        clip = self.clips.get(segment_id)
        return clip.duration_s if clip is not None else 0.0

    def files(self) -> dict[str, dict[str, list[LedgerRow]]]:
        """Ledger rows by stage and unit."""
        grouped: dict[str, dict[str, list[LedgerRow]]] = {}
        for stage, rows in self.ledgers.items():
            units = grouped.setdefault(stage, {})
            for row in rows:
                units.setdefault(row.clip_id, []).append(row)
        return grouped


def write_audit(params: Params, layout: Layout, stages: Sequence[str] = STAGES) -> None:
    """Write ``audit/index.html``, ``audit/metrics.json`` and ``audit/plots/`` from the tables under ``layout``.

    ``stages``: those that have run; ledgers that lie there from an earlier run of later stages must not be counted.
    """
    audit = Audit.read(layout, stages)
    audit_page(audit, params).write(layout.audit / "index.html")
    with atomic_file(layout.audit / "metrics.json") as part:
        part.write_text(json.dumps(audit_metrics(audit), indent=1) + "\n")
    write_plots(audit, layout)


def write_plots(audit: Audit, layout: Layout) -> None:
    """Write ``audit/plots/reasons.csv`` and ``offsets.csv`` for ``dvc plots``, which compares them between revisions."""
    reasons = [{"reason": reason, "units": len(rows)} for reason, rows in _losses(audit).items()]
    offsets = [
        {"offset_frames": row.offset_frames, "confidence": round(row.confidence, 4), "clip_id": row.clip_id}
        for row in sorted(audit.sync.values(), key=lambda row: row.clip_id)
    ]
    for name, columns, rows in (
        ("reasons", ("reason", "units"), reasons),
        ("offsets", ("offset_frames", "confidence", "clip_id"), offsets),
    ):
        with atomic_file(layout.audit / "plots" / f"{name}.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def audit_metrics(audit: Audit) -> dict[str, float | int]:
    """Figures for ``dvc metrics``: files, segments and hours by what became of them."""
    status = Counter(decision.status for decision in audit.decisions)
    early = [rows[0].status for stage in ("ingest", "measure") for rows in audit.files().get(stage, {}).values()]
    kept_s = sum(audit.seconds(d.clip_id) for d in audit.decisions if d.status == KEPT)
    return {
        "files": len(audit.files().get("ingest", {})),
        "files_unreadable": sum(state != KEPT for state in early),
        "segments": len(audit.decisions),
        "segments_kept": status[KEPT],
        "segments_rejected": status[REJECTED],
        "units_failed": sum(rows[0].status == FAILED for units in audit.files().values() for rows in units.values()),
        "hours_kept": round(kept_s / HOUR_S, 4),
        "hours_measured": round(sum(measure.length_s for measure in audit.measures.values()) / HOUR_S, 4),
        "offsets_corrected": sum(d.offset_frames != 0 for d in audit.decisions if d.status == KEPT),
    }


def audit_page(audit: Audit, params: Params) -> Page:
    """The whole page."""
    figures = audit_metrics(audit)
    page = Page("Filter audit", "What was kept, what was dropped, and why")
    page.stats = [
        Stat("files", f"{figures['files']}", f"{figures['files_unreadable']} could not be read", "plain"),
        Stat("segments kept", f"{figures['segments_kept']}", f"of {figures['segments']}", "good"),
        Stat("failed", f"{figures['units_failed']}", "in all stages together", "bad" if figures["units_failed"] else "plain"),
        Stat(
            "video kept", f"{figures['hours_kept'] * 60:.1f} min", f"{figures['offsets_corrected']} offsets corrected", "accent"
        ),
    ]
    _funnel(page, audit)
    _reasons(page, audit)
    _groups(page, audit)
    _distributions(page, audit, params)
    _offsets(page, audit)
    _pictures(page, audit)
    _every_clip(page, audit)
    page.provenance = provenance({"data set": params.data.raw, "reader": params.data.reader}, params.model_dump(mode="json"))
    return page


def _funnel(page: Page, audit: Audit) -> None:
    bars = []
    for stage, units in audit.files().items():
        states = Counter(rows[0].status for rows in units.values())
        segments = [Segment(states[s], TONES[s], f"{states[s]} {s}") for s in (KEPT, REJECTED, FAILED) if states[s]]
        seconds = sum(audit.seconds(unit) for unit, rows in units.items() if rows[0].status == KEPT)
        time = f", {seconds / 60:.1f} min" if seconds else ""
        bars.append(Bar(stage, segments, f"{states[KEPT]} of {len(units)} kept{time}"))
    section = page.section(
        "Funnel",
        "Units that entered each stage and what became of them. Files become segments at measure (cut at shots); features adds "
        "speech-only utterances. In every stage inputs = kept + rejected + failed; a stage that loses a clip fails.",
    )
    section.add(Bars(bars, legend=[(KEPT, "good"), (REJECTED, "warn"), (FAILED, "bad")]))


def _losses(audit: Audit) -> dict[str, list[LedgerRow]]:
    """Ledger rows that dropped something, by reason."""
    losses: dict[str, list[LedgerRow]] = defaultdict(list)
    for rows in audit.ledgers.values():
        for row in rows:
            if row.status != KEPT:
                losses[row.reason].append(row)
    return dict(sorted(losses.items(), key=lambda item: (-len(item[1]), item[0])))


def _reasons(page: Page, audit: Audit) -> None:
    losses = _losses(audit)
    section = page.section("Reasons", "A clip with several reasons counts under each of them.")
    if not losses:
        section.add(Note("Nothing was dropped.", "good"))
        return
    alone = Counter(row.clip_id for rows in losses.values() for row in rows)
    section.add(
        Bars(
            [
                Bar(
                    reason,
                    [
                        Segment(sum(alone[r.clip_id] == 1 for r in rows), "warn", "the only reason"),
                        Segment(sum(alone[r.clip_id] > 1 for r in rows), "quiet", "one of several"),
                    ],
                    str(len(rows)),
                    REASONS.get(reason, ""),
                )
                for reason, rows in losses.items()
            ],
            legend=[("the only reason", "warn"), ("one of several", "quiet")],
        )
    )
    noted = Counter(code for decision in audit.decisions for code in decision.warnings.split())
    if noted:
        section.add(
            Table(
                [Column("noted, not dropped", "code"), Column("segments", "number", digits=0), Column("meaning")],
                [[code, n, REASONS.get(code, "")] for code, n in sorted(noted.items(), key=lambda item: -item[1])],
            )
        )


def _groups(page: Page, audit: Audit) -> None:
    """Does the filter change the set? Kept shares by whatever the labels say."""
    section = page.section("Who is lost", "Share of segments kept, by label, the worst first: a filter can bias a set.")
    tables = []
    for label in ("dataset", "subject", "emotion", "language", "sex"):
        groups: dict[str, Counter[str]] = defaultdict(Counter)
        for decision in audit.decisions:
            clip = audit.clips.get(decision.source_clip_id)
            value = str(getattr(clip, label)) if clip is not None else ""
            groups[value or "(not labelled)"][decision.status] += 1
        if len(groups) > 1:
            rows: list[Sequence[Cell | str | float | int | None]] = [
                [name, Cell(n[KEPT] / n.total(), f"{n[KEPT] / n.total():.0%}"), n[KEPT], n.total()]
                for name, n in sorted(groups.items(), key=lambda item: (item[1][KEPT] / item[1].total(), item[0]))
            ]
            columns = [Column(label), Column("kept", "number"), Column("segments kept", "number", 0), Column("of", "number", 0)]
            tables.append(Table(columns, rows, page_rows=10))
    section.add(*tables) if tables else section.add(Note("The clips carry no labels that tell them apart."))


def _distributions(page: Page, audit: Audit, params: Params) -> None:
    section = page.section(
        "Measures",
        "All scores are stored before anything is decided. Green: kept, orange: dropped; lines: noted (dotted), dropped (solid).",
    )
    status = {decision.clip_id: decision.status for decision in audit.decisions}
    figures = []
    for measure, bound_name, title in DISTRIBUTIONS:
        values = {s: [getattr(m, measure) for i, m in audit.measures.items() if status.get(i) == s] for s in (KEPT, REJECTED)}
        numbers = {s: [float(v) for v in found if v is not None] for s, found in values.items()}
        if any(numbers.values()):
            figures.append(Figure(_histogram(numbers, getattr(params.filter, bound_name), title), height_px=250))
    section.add(Figures(figures) if figures else Note("Nothing was measured."))


def _histogram(values: dict[str, list[float]], bound: Bound, title: str) -> go.Figure:
    everything = np.concatenate([v for v in values.values() if v])
    limits = [limit for limit in (bound.warn, bound.reject) if limit is not None]
    low, high = min(everything.min(), *limits), max(everything.max(), *limits)
    size = (high - low) / 30 or 1.0
    figure = go.Figure()
    for status, colour in ((KEPT, "#1a9c78"), (REJECTED, "#e08a1e")):
        bins = {"start": low, "end": high + size, "size": size}
        figure.add_histogram(x=values[status], name=status, marker_color=colour, xbins=bins)
    for limit, dash in ((bound.warn, "dot"), (bound.reject, "solid")):
        if limit is not None:
            figure.add_vline(x=limit, line_dash=dash, line_color="#c2447c", line_width=1.5)
    figure.update_layout(barmode="stack", xaxis_title=title, yaxis_title="segments", bargap=0.05, showlegend=False)
    return figure


def _offsets(page: Page, audit: Audit) -> None:
    if not audit.sync:
        return
    section = page.section(
        "Sound against picture",
        "Audio-visual offset per segment, in frames of 40 ms, + = sound late, against the confidence of that figure "
        "(peak of the lag curve over its median). Left of its threshold a segment is in doubt.",
    )
    status = {decision.clip_id: decision.status for decision in audit.decisions}
    figure = go.Figure()
    for state, colour in ((KEPT, "#1a9c78"), (REJECTED, "#e08a1e")):
        rows = [row for row in audit.sync.values() if status.get(row.clip_id) == state]
        figure.add_scatter(
            x=[row.confidence for row in rows], y=[row.offset_frames for row in rows], mode="markers", name=state,
            text=[row.clip_id for row in rows], marker={"color": colour, "size": 8, "opacity": 0.75},
        )  # fmt: skip
    figure.add_vline(x=float(np.median([row.threshold for row in audit.sync.values()])), line_dash="dot", line_color="#c2447c")
    figure.update_layout(xaxis_title="confidence", yaxis_title="offset, frames")
    section.add(Figures([Figure(_offset_histogram(audit, status), height_px=360), Figure(figure, height_px=360)]))
    scorers = Counter(row.scorer.split(",")[0] for row in audit.sync.values())
    section.add(Stats([Stat("scorer", name, f"{n} segments") for name, n in sorted(scorers.items())]))


def _offset_histogram(audit: Audit, status: dict[str, str]) -> go.Figure:
    """How many segments lie at each offset; the dotted line is the median of the segments that were kept."""
    figure = go.Figure()
    for state, colour in ((KEPT, "#1a9c78"), (REJECTED, "#e08a1e")):
        at = Counter(row.offset_frames for row in audit.sync.values() if status.get(row.clip_id) == state)
        figure.add_bar(x=sorted(at), y=[at[offset] for offset in sorted(at)], name=state, marker_color=colour)
    kept = [row.offset_frames for row in audit.sync.values() if status.get(row.clip_id) == KEPT]
    if kept:
        figure.add_vline(x=float(np.median(kept)), line_dash="dot", line_color="#c2447c")
    figure.update_layout(barmode="stack", xaxis_title="offset, frames (+ = sound late)", yaxis_title="segments")
    return figure


def shown_kept(decisions: Sequence[Decision]) -> list[Decision]:
    """The kept segments whose picture is shown: some, evenly spread."""
    kept = [d for d in decisions if d.status == KEPT]
    chosen = np.unique(np.linspace(0, len(kept) - 1, min(len(kept), SHOWN_KEPT)).astype(int))
    return [kept[i] for i in chosen]


def shown_rejected(decisions: Sequence[Decision]) -> list[tuple[str, Decision]]:
    """The rejected segments whose picture is shown, each with its first reason: some of each."""
    by_reason: dict[str, list[Decision]] = defaultdict(list)
    for decision in decisions:
        if decision.status == REJECTED:
            by_reason[decision.reasons.split()[0]].append(decision)
    return [(reason, d) for reason, rows in sorted(by_reason.items()) for d in rows[:SHOWN_PER_REASON]]


def _pictures(page: Page, audit: Audit) -> None:
    section = page.section("Pictures", "One frame of each shown segment, in its own aspect.")
    status = Counter(decision.status for decision in audit.decisions)
    chosen = shown_kept(audit.decisions)
    title = f"kept ({len(chosen)} of {status[KEPT]})"
    section.add(Gallery([_picture(audit, d, "kept", "good") for d in chosen], title=title))
    shown = shown_rejected(audit.decisions)
    title = f"rejected ({len(shown)} of {status[REJECTED]}, at most {SHOWN_PER_REASON} per first reason)"
    section.add(Gallery([_picture(audit, d, reason, "warn") for reason, d in shown], title=title))


def _picture(audit: Audit, decision: Decision, badge: str, tone: Tone) -> Media:
    moved = (
        f", sound moved by {-decision.offset_frames:+.0f} frames" if decision.offset_frames and decision.status == KEPT else ""
    )
    lines = [f"{audit.seconds(decision.clip_id):.1f} s{moved}"]
    broken = [row for row in audit.ledgers.get("filter", []) if row.clip_id == decision.clip_id and row.status != KEPT]
    for row in broken:
        measured = (
            f" ({row.value:.3g} against {row.threshold:.3g})" if row.value is not None and row.threshold is not None else ""
        )
        lines.append(f"{REASONS.get(row.reason, row.reason)}{measured}")
    picture = "data:image/jpeg;base64," + base64.b64encode(audit.thumbnails[decision.clip_id]).decode()
    return Media(picture, decision.clip_id, lines, badge, tone)


def _every_clip(page: Page, audit: Audit) -> None:
    section = page.section(
        "Every clip", "Where each clip ended. Click a header to sort; type to search. The ledgers hold the same rows."
    )
    noted = {decision.clip_id: decision.warnings for decision in audit.decisions}
    files = audit.files()
    lost = {unit for units in files.values() for unit, found in units.items() if found[0].status != KEPT}
    rows: list[Sequence[Cell | str | float | int | None]] = []

    def add(unit: str, stage: str, found: list[LedgerRow]) -> None:
        sync = audit.sync.get(unit)
        status = found[0].status if found else KEPT
        detail = found[0].detail if found else ""
        rows.append(
            [
                unit, Cell(status, tone=TONES[status]), stage, " ".join(row.reason for row in found), *_value(found),
                Cell(detail[:DETAIL_SHOWN], title=detail), noted.get(unit, ""),
                sync.offset_frames if sync else None, sync.confidence if sync else None,
            ]
        )  # fmt: skip

    for stage, units in files.items():
        for unit, found in sorted(units.items()):
            if found[0].status != KEPT:
                add(unit, stage, found)
    for decision in audit.decisions:
        if decision.status == KEPT and decision.clip_id not in lost:
            add(decision.clip_id, "", [])
    columns = [
        Column("clip", "code"), Column("status", "badge"), Column("stage"), Column("reasons"), Column("value", "number", 3),
        Column("bound", "number", 3), Column("detail"), Column("noted"), Column("offset", "number", 0, "frames"),
        Column("confidence", "number", 2),
    ]  # fmt: skip
    section.add(Table(columns, rows, searchable=True))


def _value(rows: Iterable[LedgerRow]) -> tuple[float | None, float | None]:
    """Value and threshold of the first reason that has them."""
    return next(((row.value, row.threshold) for row in rows if row.value is not None), (None, None))
