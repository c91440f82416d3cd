"""The sections of the audit page, from columns: nothing here grows with the number of clips but counts."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from evaluation.blocks import Bar, Bars, Cell, Column, Figure, Figures, Note, Segment, Stat, Stats, Table, Tone
from evaluation.html import Page, PageSection, provenance
from pipelines.audit.data import HOUR_S, LABELS, Audit, audit_metrics
from pipelines.audit.groups import compare_groups, leading_reason
from pipelines.audit.pictures import galleries
from pipelines.audit.table import every_clip
from pipelines.audit.whatif import nearness, what_if
from pipelines.deciding.rules import Mask, Values
from pipelines.job.reasons import REASONS
from pipelines.layout import Layout
from space_data.params import Params
from space_data.schema import FAILED, KEPT, REJECTED

TONES: dict[str, Tone] = {KEPT: "good", REJECTED: "warn", FAILED: "bad"}
GREEN, ORANGE, PINK = "#1a9c78", "#e08a1e", "#c2447c"
GROUPS_SHOWN = 15
FINE_FROM = 10_000
"""Segments of a group from which shares get a decimal."""
POINTS_SHOWN = 3000
"""Segments drawn as points; more become a map of counts."""
CHANCE = 0.05


def audit_page(audit: Audit, params: Params, layout: Layout) -> Page:
    """The whole page."""
    figures = audit_metrics(audit)
    kept_share = figures["segments_kept"] / max(figures["segments"], 1)
    page = Page("Filter audit", "What was kept, what was dropped, and why")
    page.stats = [
        Stat("files", f"{figures['files']:,}", f"{figures['files_unreadable']:,} could not be read", "plain"),
        Stat("segments kept", f"{figures['segments_kept']:,}", f"of {figures['segments']:,} ({kept_share:.0%})", "good"),
        Stat("failed", f"{figures['units_failed']:,}", "in all stages together", "bad" if figures["units_failed"] else "plain"),
        Stat(
            "video kept",
            _duration(float(audit.seconds[audit.kept].sum())),
            f"{figures['offsets_corrected']:,} offsets corrected",
            "accent",
        ),
    ]
    close = nearness(audit.judgement, params.filter)
    _funnel(page, audit)
    _reasons(page, audit)
    section = page.section(
        "What if",
        "Every score is stored before anything is decided. Green: kept, orange: dropped, by value; the red line is the bound "
        "that rejects, the dotted one where it is noted. Move a bound: all figures, shapes and reasons follow. Heights grow "
        "with the square root, so that rare values show.",
    )
    section.add(what_if(audit.judgement, params.filter) if len(audit) else Note("Nothing was measured."))
    _groups(page, audit)
    _offsets(page, audit)
    section = page.section("Pictures", "One frame of each shown segment, in its own aspect.")
    sheets, left_out = galleries(audit, layout, close)
    section.add(*sheets)
    if left_out:
        section.add(Note(f"{left_out} more pictures were left out to keep this page small."))
    every_clip(page, audit, close)
    page.provenance = provenance({"data set": params.data.raw, "reader": params.data.reader}, params.model_dump(mode="json"))
    return page


def _duration(seconds: float) -> str:
    return f"{seconds / HOUR_S:,.1f} h" if seconds >= HOUR_S else f"{seconds / 60:.1f} min"


def _funnel(page: Page, audit: Audit) -> None:
    bars, hours = [], []
    for stage, fates in audit.stages.items():
        states = [s for s in (KEPT, REJECTED, FAILED) if fates.units[s]]
        segments = [Segment(fates.units[s], TONES[s], f"{fates.units[s]:,} {s}") for s in states]
        bars.append(Bar(stage, segments, f"{fates.units[KEPT]:,} of {sum(fates.units.values()):,} kept"))
        timed = [Segment(fates.seconds[s] / HOUR_S, TONES[s], f"{_duration(fates.seconds[s])} {s}") for s in states]
        hours.append(Bar(stage, timed, f"{_duration(fates.seconds[KEPT])} of {_duration(sum(fates.seconds.values()))}"))
    section = page.section(
        "Funnel",
        "What entered each stage and what became of it: first the number of clips (of segments from sync on), then their time. "
        "Clips become segments at shots, face loss and long silences; features adds speech-only utterances, which have no video "
        "time. In every stage inputs = kept + rejected + failed; a stage that loses a clip fails.",
    )
    legend: list[tuple[str, Tone]] = [(KEPT, "good"), (REJECTED, "warn"), (FAILED, "bad")]
    section.add(Bars(bars, legend=legend), Bars(hours, legend=legend))


def _reasons(page: Page, audit: Audit) -> None:
    """All that was dropped anywhere, by reason: units, those with no other reason, hours."""
    section = page.section("Reasons", "Over all stages. A clip with several reasons counts under each of them.")
    lost = audit.lost
    if not lost.num_rows:
        section.add(Note("Nothing was dropped.", "good"))
    else:
        units = np.asarray(lost.column("clip_id").combine_chunks().dictionary_encode().indices)
        alone = (np.bincount(units) == 1)[units]
        encoded = lost.column("reason").combine_chunks().dictionary_encode()
        names, which = encoded.dictionary.to_pylist(), np.asarray(encoded.indices)
        total, only = np.bincount(which), np.bincount(which, weights=alone).astype(int)
        hours = {reason: float(audit.seconds[mask].sum()) for reason, mask in audit.judgement.by_reason.items()}
        order = sorted(range(len(names)), key=lambda i: (-total[i], names[i]))
        section.add(Bars([_reason_bar(names[i], int(total[i]), int(only[i]), hours.get(names[i], 0.0)) for i in order],
                         legend=[("the only reason", "warn"), ("one of several", "quiet")]))  # fmt: skip
    noted = {reason: int(mask.sum()) for reason, mask in audit.judgement.noted.items() if mask.any()}
    if noted:
        rows: list[Sequence[Cell | str | float | int | None]]
        rows = [[reason, n, REASONS[reason]] for reason, n in sorted(noted.items(), key=lambda item: -item[1])]
        section.add(
            Table([Column("noted, not dropped", "code"), Column("segments", "number", digits=0), Column("meaning")], rows)
        )


def _reason_bar(reason: str, total: int, only: int, seconds: float) -> Bar:
    segments = [
        Segment(only, "warn", f"the only reason: {only:,}"),
        Segment(total - only, "quiet", f"one of several: {total - only:,}"),
    ]
    return Bar(reason, segments, f"{total:,}" + (f", {_duration(seconds)}" if seconds else ""), REASONS.get(reason, ""))


def _groups(page: Page, audit: Audit) -> None:
    """Does the filter change the set? Kept shares by whatever the labels say."""
    section = page.section(
        "Who is lost",
        "Share of segments kept by label, those that lose most beyond doubt first: a filter can bias a set. The interval (95 %) "
        "and the verdict count people, or recordings, not segments, which stand or fall together; a verdict is given where "
        "chance alone would show such a difference from the rest in fewer than one of 20 tables.",
    )
    subject, subjects = audit.label("subject")
    recording = np.where(audit.clip_of >= 0, audit.clip_of, 0)
    tables = []
    for label in LABELS:
        group, names = audit.label(label)
        present = np.unique(group)
        if len({names[g] for g in present}) > 1:
            tables.append(_group_table(audit, label, np.searchsorted(present, group), [names[g] for g in present],
                                       recording if label == "subject" else subject))  # fmt: skip
    section.add(*tables) if tables else section.add(Note("The clips carry no labels that tell them apart."))


def _group_table(audit: Audit, label: str, group: np.ndarray, names: list[str], cluster: np.ndarray) -> Table:
    found = compare_groups(group, cluster, audit.kept, audit.seconds, len(names))
    lead = leading_reason(group, audit.judgement.by_reason, len(names))
    worse = (found.p < CHANCE) & (found.difference < 0)
    order = np.lexsort((np.where(worse, found.high, found.share), ~worse))
    clusters = "recordings" if label == "subject" else "people"
    rows: list[Sequence[Cell | str | float | int | None]] = []
    for i in order[:GROUPS_SHOWN]:
        verdict, tone = _verdict(found.p[i], found.difference[i], int(found.clusters[i]), clusters)
        reason, share = lead[i]
        digits = 1 if found.segments[i] >= FINE_FROM else 0
        rows.append(
            [
                names[i], Cell(float(found.share[i]), f"{found.share[i]:.{digits}%}"),
                Cell(float(found.high[i]), _interval(found.low[i], found.high[i], digits) if found.clusters[i] > 1 else "–"),
                Cell(verdict, tone=tone), int(found.kept[i]), int(found.segments[i]), int(found.clusters[i]),
                float(found.kept_s[i]) / HOUR_S, Cell(reason, f"{reason} ({share:.0%})" if reason else "–"),
            ]
        )  # fmt: skip
    emptied = int((found.kept == 0).sum())
    shown = f"{len(rows)} of {len(names):,} shown, the worst" if len(rows) < len(names) else f"all {len(names)}"
    columns = [
        Column(label), Column("kept", "number"), Column("interval", "number"), Column("against the rest", "badge"),
        Column("segments kept", "number", 0), Column("of", "number", 0), Column(clusters, "number", 0),
        Column("hours kept", "number", 2),
        Column("most lost to", help="the reason with the largest surplus against the whole set, and its share of the group"),
    ]  # fmt: skip
    return Table(columns, rows, caption=f"By {label}: {shown}; {emptied:,} with nothing kept", page_rows=GROUPS_SHOWN)


def _interval(low: float, high: float, digits: int) -> str:
    return f"{100 * low:.{digits}f}–{high:.{digits}%}"


def _verdict(p: float, difference: float, clusters: int, unit: str) -> tuple[str, Tone]:
    if clusters < 2:
        return f"too few {unit}", "quiet"
    if p >= CHANCE:
        return "within chance", "quiet"
    return ("loses more", "bad") if difference < 0 else ("loses less", "good")


def _offsets(page: Page, audit: Audit) -> None:
    if not audit.sync.num_rows:
        return
    section = page.section(
        "Sound against picture",
        "Audio-visual offset per segment, in frames of 40 ms, + = sound late, against the confidence of that figure "
        "(peak of the lag curve over its median). Left of its threshold a segment is in doubt.",
    )
    offset, confidence, thresholds = (audit.judgement.evidence.columns[n] for n in ("offset_frames", "confidence", "threshold"))
    known = ~np.isnan(offset)
    if not known.any():
        return
    threshold = float(np.nanmedian(thresholds))
    figures = [
        Figure(_offset_histogram(offset, audit.kept, known), height_px=360),
        Figure(_confidence_figure(offset, confidence, audit.kept, known, threshold), height_px=360),
    ]
    section.add(Figures(figures))
    scorers = audit.sync.column("scorer").value_counts().to_pylist()
    merged: dict[str, int] = {}
    for entry in scorers:
        name = entry["values"].split(",")[0]
        merged[name] = merged.get(name, 0) + entry["counts"]
    section.add(Stats([Stat("scorer", name, f"{n:,} segments") for name, n in sorted(merged.items())]))
    others = [("the corpus", audit.annotated_offset_frames())]
    if audit.syncnet.num_rows:
        others.append(("SyncNet", audit.of_segment(audit.syncnet, "offset_frames")))
    maps = [_against(section, name, other, offset, confidence >= thresholds) for name, other in others]
    section.add(Figures([figure for figure in maps if figure is not None]))


def _offset_histogram(offset: Values, kept: Mask, known: Mask) -> go.Figure:
    """How many segments lie at each offset; the dotted line is the median of the segments that were kept."""
    figure = go.Figure()
    for name, mask, colour in ((KEPT, known & kept, GREEN), (REJECTED, known & ~kept, ORANGE)):
        at, n = np.unique(offset[mask], return_counts=True)
        figure.add_bar(x=at.tolist(), y=n.tolist(), name=name, marker_color=colour)
    if (known & kept).any():
        figure.add_vline(x=float(np.median(offset[known & kept])), line_dash="dot", line_color=PINK)
    figure.update_layout(barmode="stack", xaxis_title="offset, frames (+ = sound late)", yaxis_title="segments")
    return figure


def _confidence_figure(offset: Values, confidence: Values, kept: Mask, known: Mask, threshold: float) -> go.Figure:
    figure = go.Figure()
    if known.sum() <= POINTS_SHOWN:
        for name, mask, colour in ((KEPT, known & kept, GREEN), (REJECTED, known & ~kept, ORANGE)):
            figure.add_scatter(
                x=confidence[mask].round(4).tolist(), y=offset[mask].tolist(), mode="markers", name=name,
                marker={"color": colour, "size": 8, "opacity": 0.75},
            )  # fmt: skip
    else:
        lags = np.arange(offset[known].min() - 0.5, offset[known].max() + 1)
        edges = np.linspace(confidence[known].min(), confidence[known].max() + 1e-9, 61)
        counts, _, _ = np.histogram2d(offset[known], confidence[known], bins=(lags, edges))
        figure.add_heatmap(z=_shade(counts), x=edges.round(4).tolist(), y=lags.tolist(), **_HEAT)
    figure.add_vline(x=threshold, line_dash="dot", line_color=PINK)
    figure.update_layout(xaxis_title="confidence", yaxis_title="offset, frames")
    return figure


_HEAT = {
    "colorscale": [[0, "rgba(79,107,237,0)"], [0.05, "rgba(79,107,237,0.25)"], [1, "#4f6bed"]],
    "showscale": False,
    "hoverinfo": "x+y",
}


def _shade(counts: np.ndarray) -> list[list[float]]:
    """Counts as shades: square roots, so that rare cells show."""
    return [[round(float(v), 1) for v in row] for row in np.sqrt(counts)]


def _against(section: PageSection, name: str, other: Values, ours: Values, sure: Mask) -> Figure | None:
    """Two offsets of the same segments side by side; each keeps its own name and neither corrects the other."""
    both = ~np.isnan(other) & ~np.isnan(ours)
    if not both.any():
        return None
    theirs, mine, certain = np.round(other[both]), ours[both], sure[both]
    rows: list[Sequence[Cell | str | float | int | None]] = []
    for who, mask in (("all", np.ones(len(mine), np.bool_)), ("ours sure", certain), ("ours in doubt", ~certain)):
        if mask.any():
            apart = mine[mask] - theirs[mask]
            rows.append([who, int(mask.sum()), float(np.median(apart)), *(float(np.mean(np.abs(apart) <= k)) for k in (0, 1, 2))])
    lags = np.arange(min(mine.min(), theirs.min()) - 0.5, max(mine.max(), theirs.max()) + 1)
    counts, _, _ = np.histogram2d(mine, theirs, bins=(lags, lags))
    figure = go.Figure()
    figure.add_heatmap(z=_shade(counts), x=lags.tolist(), y=lags.tolist(), **_HEAT)
    figure.add_scatter(
        x=lags[[0, -1]].tolist(), y=lags[[0, -1]].tolist(), mode="lines", line={"color": PINK, "dash": "dot", "width": 1}
    )
    figure.update_layout(xaxis_title=f"offset, frames: {name}", yaxis_title="ours, frames")
    columns = [
        Column("segments"), Column("compared", "number", 0), Column("median difference", "number", 1, "frames"),
        Column("equal", "number", 2), Column("within 1 frame", "number", 2), Column("within 2", "number", 2),
    ]  # fmt: skip
    caption = f"Our offset against that of {name}: shares of segments. The two are never mixed; only ours is corrected."
    section.add(Table(columns, rows, caption=caption))
    return Figure(figure, height_px=340)
