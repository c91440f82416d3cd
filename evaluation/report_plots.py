"""The benchmark page's figures: lip traces, clips against baselines, offsets, training curves."""

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from evaluation.blocks import Figure
from evaluation.html import SERIES
from evaluation.metrics import HEADLINE, Metric
from evaluation.metrics.lips import LIP_VELOCITY_R
from evaluation.report_data import BenchmarkData
from evaluation.report_results import MAIN
from evaluation.score_clip import REFERENCE
from evaluation.statistics import Summary
from space_data.timebase import frame_start_s

TRUTH_LINE = SERIES[2]
MOST_OFFSET_FRAMES = 15
LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
ROOM_FOR_LEGEND = {"l": 52, "r": 16, "t": 40, "b": 44}


def colour_of(data: BenchmarkData, system: str) -> str:
    """One per contestant, grey for controls."""
    names = [entry.name for entry in data.contestants]
    return SERIES[:-1][names.index(system) % (len(SERIES) - 1)] if system in names else SERIES[-1]


def label(title: str) -> str:
    """A title as Plotly shows it letter by letter: it takes some HTML for formatting."""
    return escape(title, quote=False)


def lip_traces(data: BenchmarkData, clip_ids: Sequence[str]) -> list[Figure]:
    """Lip opening over time per clip: the recording, what our model meant, what the detector sees in our video."""
    figures = []
    for clip_id in clip_ids:
        lines = [
            ("recording", data.gaps.get((REFERENCE, clip_id)), {"color": TRUTH_LINE, "width": 2.5}),
            ("ours, meant", data.meant_gaps.get((MAIN, clip_id)), {"color": colour_of(data, MAIN), "width": 2}),
            (
                "ours, seen",
                data.gaps.get((MAIN, clip_id)),
                {"color": colour_of(data, MAIN), "width": 1.5, "dash": "dot"},
            ),
        ]
        figure = go.Figure()
        for name, gap, line in lines:
            if gap is not None:
                figure.add_trace(go.Scatter(x=[frame_start_s(i) for i in range(len(gap))], y=gap, name=name, line=line))
        correlation = data.value(MAIN, clip_id, LIP_VELOCITY_R)
        figure.update_layout(
            showlegend=True, legend=LEGEND, margin=ROOM_FOR_LEGEND, xaxis_title="seconds", yaxis_title="lip gap (IOD)"
        )
        caption = "" if correlation is None else f"Correlation of the measured velocities: {correlation:.2f}"
        figures.append(Figure(figure, caption, 260, clip_id))
    return figures


def forest(data: BenchmarkData) -> list[Figure]:
    """Paired differences of the first of our systems from each control, in units of the identities' standard deviation."""
    figures = []
    for metric in HEADLINE:
        own = [made for made in data.contrasts if made.metric is metric and made.first == MAIN and made.comparison.effect_size]
        if not own:
            continue
        effects = [made.comparison.effect_size or 0.0 for made in own]
        arms = [abs(e) * _arm(made.comparison.difference) for e, made in zip(effects, own, strict=True)]
        colours = [SERIES[2] if made.winner == MAIN else SERIES[3] if made.winner else SERIES[-1] for made in own]
        error = {"array": arms, "color": "#9aa0ad", "thickness": 1.5}
        points = go.Scatter(
            x=[-effect for effect in effects], y=[label(data.title(made.second)) for made in own], error_x=error, mode="markers",
            marker={"color": colours, "size": 9},
        )  # fmt: skip
        figure = go.Figure(points)
        figure.add_vline(x=0, line={"color": "#9aa0ad", "dash": "dash", "width": 1})
        figure.update_layout(margin={"l": 130, "r": 16, "t": 12, "b": 44}, xaxis_title="effect size")
        said = "Right of 0 ours is better. Paired differences with 95 % intervals; coloured where sure (Holm)."
        figures.append(Figure(figure, said, 60 + 34 * len(own), metric.title))
    return figures


def _arm(difference: Summary) -> float:
    """Half of the interval, in units of the mean."""
    if not difference.mean or difference.low is None:
        return 0.0
    return abs((difference.mean - difference.low) / difference.mean)


def strips(data: BenchmarkData, metric: Metric) -> Figure:
    """All clips of all systems in one metric, with the mean as a bar."""
    figure = go.Figure()
    for entry in data.systems:
        known = [(v, c) for c in data.clip_ids if (v := data.value(entry.name, c, metric)) is not None]
        if known:
            y, names = zip(*known, strict=True)
            spread = np.linspace(-0.18, 0.18, len(y)) if len(y) > 1 else np.zeros(1)
            index = data.systems.index(entry)
            marker = {"color": colour_of(data, entry.name), "size": 8, "opacity": 0.7}
            figure.add_trace(
                go.Scatter(x=index + spread, y=y, text=names, mode="markers", marker=marker, name=label(entry.title))
            )
            mean = data.mean(entry.name, metric)
            line = {"color": colour_of(data, entry.name), "width": 3}
            figure.add_trace(
                go.Scatter(x=[index - 0.28, index + 0.28], y=[mean, mean], mode="lines", line=line, hoverinfo="skip")
            )
    ticks = list(range(len(data.systems)))
    unit = f" ({metric.unit})" if metric.unit else ""
    figure.update_layout(
        xaxis={"tickvals": ticks, "ticktext": [label(e.title) for e in data.systems], "range": [-0.5, len(ticks) - 0.5]},
        yaxis_title=f"{metric.title}{unit}",
    )
    return Figure(figure, "Each point is a clip, the bar the mean over identities.", 320, metric.title)


def offsets(data: BenchmarkData, metric: Metric) -> Figure:
    """Histogram of an offset for every system, a line each: share of its clips at each number of frames."""
    bins = np.arange(-MOST_OFFSET_FRAMES, MOST_OFFSET_FRAMES + 1)
    shares, titles, texts = [], [], []
    for entry in reversed(data.systems):
        known = [v for clip_id in data.clip_ids if (v := data.value(entry.name, clip_id, metric)) is not None]
        counts = np.array([sum(round(v) == offset for v in known) for offset in bins])
        shares.append((counts / max(len(known), 1)).tolist())
        title = label(entry.title)
        titles.append(f"{title} ({len(known)})")
        texts.append([f"{title}: {n} of {len(known)} clips at {offset:+d}" for n, offset in zip(counts, bins, strict=True)])
    scale = [[0, "rgba(79,107,237,0)"], [0.001, "rgba(79,107,237,0.3)"], [1, "rgba(79,107,237,1)"]]  # one clip is seen
    cells = go.Heatmap(
        x=bins.tolist(), y=titles, z=shares, text=texts, hoverinfo="text", zmin=0, zmax=1, colorscale=scale, xgap=1, ygap=3,
        showscale=False,
    )  # fmt: skip
    figure = go.Figure(cells)
    figure.update_layout(margin={"l": 150, "r": 16, "t": 12, "b": 44}, xaxis_title="frames")
    said = f"{metric.definition} The darker, the more of a system's clips; in brackets how many have one."
    return Figure(figure, said, 90 + 26 * len(titles), metric.title)


def training_curves(data: BenchmarkData) -> list[Figure]:
    """Loss of each trained model: training and held-out identities, logarithmic where all is positive."""
    figures = []
    for model, columns in sorted(data.curves.items()):
        steps = columns.get("step")
        shown = [name for name in columns if "loss" in name]
        if not steps or not shown:
            continue
        figure = go.Figure()
        for name in shown:
            figure.add_trace(go.Scatter(x=list(steps), y=list(columns[name]), name=name.replace("_", " ")))
        positive = all(v is None or v > 0 for name in shown for v in columns[name])
        figure.update_layout(
            showlegend=True,
            legend=LEGEND,
            margin=ROOM_FOR_LEGEND,
            xaxis_title="step",
            yaxis_title="loss",
            yaxis_type="log" if positive else "linear",
        )
        figures.append(Figure(figure, "", 280, model))
    return figures
