"""The study's report: one page of the report kit, with the same figures as JSON and CSV beside it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa

from evaluation.blocks import Bar, Bars, Block, Cell, Column, Figure, Figures, Note, Segment, Stat, Table, Tone
from evaluation.html import SERIES, Page, provenance
from evaluation.study.manifest import Study
from evaluation.study.results import PairRate, QuestionStrengths, Results, rate_in_words
from space_data.csv_files import write_csv
from space_data.files import atomic_file

SIGNIFICANT = 0.05
SHOWN_DIGITS = 8
"""Of a rater's name."""
LEGEND: list[tuple[str, Tone]] = [("first preferred", "accent"), ("no difference", "quiet"), ("second preferred", "warn")]
METHOD = (
    "A rate counts a tie as half. Its 95 % interval is clustered two ways, by rater and by clip (Cameron, Gelbach and Miller, "
    "2011; Student's t with the smaller number of clusters less 1, on the logit scale): it speaks of other raters and of other "
    "clips like these. p: against one half, Holm's adjustment over the pairs of a question. Strengths: Bradley-Terry with ties "
    "after Davidson (1970), logarithms that sum to 0, intervals by the sandwich estimator with the same clusters."
)


def write_report(out: Path, study: Study, results: Results) -> Path:
    """Write ``index.html``, ``results.json`` and ``rates``, ``strengths``, ``raters`` and ``votes.csv``; the page's path."""
    page = report_page(study, results)
    page.write(out / "index.html")
    with atomic_file(out / "results.json") as part:
        part.write_text(json.dumps(results.as_json(), indent=1), encoding="utf-8")
    rates = [{**(row := asdict(one)), **row.pop("rate")} for one in results.rates]
    strengths = [row for one in results.strengths for row in _strength_rows(one)]
    tables = {"rates": rates, "strengths": strengths, "raters": [asdict(one) for one in results.raters]}
    tables["votes"] = [{**asdict(one), "counts": one.rater in results.counting} for one in results.judgements]
    for name, rows in tables.items():
        write_csv(out / f"{name}.csv", pa.Table.from_pylist(rows))
    return out / "index.html"


def _strength_rows(one: QuestionStrengths) -> list[dict[str, Any]]:
    if one.fit is None:
        return [{"question": one.question, **dict.fromkeys(("system", "theta", "low", "high", "tie")), "note": one.why_not}]
    common = {"tie": one.fit.tie, "note": one.fit.note}
    return [{"question": one.question, **asdict(strength), **common} for strength in one.fit.strengths]


def report_page(study: Study, results: Results) -> Page:
    """The page."""
    counting = len(results.counting)
    known, right = (sum(getattr(q, name) for q in results.raters) for name in ("catches_answered", "catches_right"))
    page = Page(
        "Human study",
        f"{len(study.systems)} systems, {len(study.clips)} clips, pairwise and blind: {study.texts.title}",
        stats=[
            Stat("raters who count", str(counting), f"of {len(results.raters)} who answered"),
            Stat("votes", f"{sum(one.rate.n_votes for one in results.rates):,}", "of those, on pairs"),
            Stat("catch answers right", f"{100 * right / known:.0f} %" if known else "–", f"{right} of {known}, all raters"),
            Stat("pairs x questions", f"{len(study.pairs)} x {len(study.questions)}"),
        ],
    )  # fmt: skip
    for number, question in enumerate(study.questions, start=1):
        rates = [one for one in results.rates if one.question == question.id]
        # Numbered, for a question may be called as another section is.
        section = page.section(f"{number}. {question.id.replace('_', ' ').capitalize()}", question.text)
        section.add(*_rate_blocks(rates))
        (strengths,) = (one for one in results.strengths if one.question == question.id)
        section.add(*_strength_blocks(strengths, rates))
    rule = study.rule
    page.section(
        "Raters",
        f"Stated before any answer: a rater counts who gave {rule.least_answered_share:.0%} or more of the list's answers and "
        f"{rule.least_catch_share:.0%} or more of the catch answers right.",
    ).add(_rater_table(results))
    page.section("Method").add(Note(METHOD), *_left_out(study))
    page.provenance = provenance({"study": study.study_id, "seed": str(study.seed), "lists": str(len(study.lists))})
    return page


def _rate_blocks(rates: list[PairRate]) -> list[Block]:
    if not rates:
        return [Note("Nobody who counts has answered this.", "warn")]
    bars = [Bar(f"{one.first} · {one.second}", _segments(one), rate_in_words(one.rate)) for one in rates]
    rows = [
        [
            one.first, one.second, Cell(one.rate.rate, rate_in_words(one.rate), _tone(one)), one.p_holm,
            one.rate.wins, one.rate.ties, one.rate.losses, one.rate.n_raters, one.rate.n_clips, 100 * one.everybody,
        ]
        for one in rates
    ]  # fmt: skip
    columns = [
        Column("first"), Column("second"), Column("first preferred", "number"), Column("p", "number", help="Holm, over pairs"),
        Column("wins", "number", help="votes for the first"), Column("ties", "number"), Column("losses", "number"),
        Column("raters", "number"), Column("clips", "number"),
        Column("with everybody", "number", 0, "%", help="the rate if no rater were left out"),
    ]  # fmt: skip
    return [Bars(bars, LEGEND, full=1.0), Table(columns, rows, "Coloured: p < .05")]


def _segments(one: PairRate) -> list[Segment]:
    rate = one.rate
    return [
        Segment(rate.wins / rate.n_votes, "accent", f"{one.first}: {rate.wins}"),
        Segment(rate.ties / rate.n_votes, "quiet", f"no difference: {rate.ties}"),
        Segment(rate.losses / rate.n_votes, "warn", f"{one.second}: {rate.losses}"),
    ]


def _tone(one: PairRate) -> Tone:
    return "good" if one.p_holm is not None and one.p_holm < SIGNIFICANT else "plain"


def _strength_blocks(one: QuestionStrengths, rates: list[PairRate]) -> list[Block]:
    if one.fit is None:
        return [Note(f"No strengths: {one.why_not}.", "warn")]
    strengths = one.fit.strengths[::-1]
    has_interval = all(s.low is not None for s in strengths)
    error = {
        "type": "data", "symmetric": False, "thickness": 2, "width": 6,
        "array": [(s.high or 0) - s.theta for s in strengths], "arrayminus": [s.theta - (s.low or 0) for s in strengths],
    } if has_interval else None  # fmt: skip
    chart = go.Figure(
        go.Scatter(
            x=[s.theta for s in strengths], y=[s.system for s in strengths], mode="markers", error_x=error,
            marker={"size": 11, "color": SERIES[0]}, hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    )  # fmt: skip
    chart.update_layout(xaxis={"title": {"text": "log strength"}})
    fitted = go.Figure(
        go.Scatter(
            x=[100 * one.fit.rate(pair.first, pair.second) for pair in rates], y=[100 * pair.rate.rate for pair in rates],
            text=[f"{pair.first} over {pair.second}" for pair in rates], mode="markers", marker={"size": 10, "color": SERIES[2]},
            hovertemplate="%{text}<br>model %{x:.0f} %, votes %{y:.0f} %<extra></extra>",
        )
    )  # fmt: skip
    axis = {"range": [0, 100], "title": {"text": "model, %"}}
    line = {"type": "line", "x0": 0, "y0": 0, "x1": 100, "y1": 100, "line": {"dash": "dot", "color": SERIES[7]}}
    fitted.update_layout(xaxis=axis, yaxis={**axis, "title": {"text": "votes, %"}}, shapes=[line])
    height = 170 + 34 * len(strengths)
    shown = Figures(
        [
            Figure(chart, "With 95 % intervals.", height, "Strengths"),
            Figure(fitted, "Far off the line: no single order explains the pair.", height, "Does one scale fit the pairs?"),
        ]
    )
    return [shown, Note(f"Strengths: {one.fit.note}.", "warn")] if one.fit.note else [shown]


def _rater_table(results: Results) -> Table:
    columns = [
        Column("rater"), Column("list", "number"), Column("counts", "badge"), Column("answers", "number"),
        Column("catches", "number", help="catch answers right"),
        Column("seconds", "number", 1, help="per answer, median, presentation included"),
        Column("left", "number", 0, "%", help="of the answers that prefer a side; coloured: p < .05 against one half"),
        Column("agrees", "number", 0, "%", help="of the answers that prefer a system: as most others in that pair"),
        Column("why not"),
    ]  # fmt: skip
    rows = [
        [
            q.rater[:SHOWN_DIGITS], q.list_number + 1,
            Cell("no" if q.left_out else "yes", tone="bad" if q.left_out else "good"),
            Cell(q.answered, f"{q.answered} of {q.asked}"), Cell(q.catches_right, f"{q.catches_right} of {q.catches_answered}"),
            q.median_seconds,
            Cell(_percent(q.left_share), tone="warn" if q.left_p is not None and q.left_p < SIGNIFICANT else "plain"),
            _percent(q.agreement), q.left_out,
        ]
        for q in results.raters
    ]  # fmt: skip
    return Table(columns, rows, searchable=True)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _left_out(study: Study) -> list[Block]:
    if not study.left_out:
        return []
    return [Table([Column("clip left out", "code"), Column("why")], [list(item) for item in study.left_out.items()])]
