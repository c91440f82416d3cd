"""The benchmark page's figures: lip traces, clips against baselines, pose, training curves."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from evaluation import metrics
from evaluation.blocks import Figure
from evaluation.html import SERIES
from evaluation.metrics import Metric
from evaluation.report_data import BenchmarkData
from evaluation.report_tables import MAIN, SHUFFLED, STILL, TRUTH
from evaluation.score_clip import REFERENCE
from evaluation.systems import OURS, system_of
from space_data.timebase import frame_start_s
from space_models.generators import RENDERERS

COLOURS = {SHUFFLED: SERIES[1], STILL: SERIES[7], TRUTH: SERIES[2]}
COLOURS |= {system: (SERIES[0], *SERIES[3:7])[i] for i, system in enumerate(OURS)}
TRUTH_LINE = SERIES[2]
SHORT_NAMES = {TRUTH: "truth", SHUFFLED: "mismatched", STILL: "still"} | {system_of(name): name for name in RENDERERS}
LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
ROOM_FOR_LEGEND = {"l": 52, "r": 16, "t": 40, "b": 44}


def lip_traces(data: BenchmarkData, clip_ids: Sequence[str]) -> list[Figure]:
    """Lip opening over time per clip: the recording, what our model meant, what the detector sees in our video."""
    figures = []
    for clip_id in clip_ids:
        lines = [
            ("recording", data.gaps.get((REFERENCE, clip_id)), {"color": TRUTH_LINE, "width": 2.5}),
            ("ours, meant", data.meant_gaps.get((MAIN, clip_id)), {"color": COLOURS[MAIN], "width": 2}),
            (
                "ours, seen",
                data.gaps.get((MAIN, clip_id)),
                {"color": COLOURS[MAIN], "width": 1.5, "dash": "dot"},
            ),
        ]
        figure = go.Figure()
        for name, gap, line in lines:
            if gap is not None:
                figure.add_trace(go.Scatter(x=[frame_start_s(i) for i in range(len(gap))], y=gap, name=name, line=line))
        correlation = data.value(MAIN, clip_id, metrics.LIP_CORRELATION)
        figure.update_layout(
            showlegend=True, legend=LEGEND, margin=ROOM_FOR_LEGEND, xaxis_title="seconds", yaxis_title="lip gap (IOD)"
        )
        caption = "" if correlation is None else f"Correlation of the measured openings: {correlation:.2f}"
        figures.append(Figure(figure, caption, 260, clip_id))
    return figures


def against(data: BenchmarkData, metric: Metric, baseline: str) -> Figure:
    """Each clip a point: a baseline across, our systems up. On which side of the diagonal a point lies says who is better."""
    figure = go.Figure()
    titles = {entry.name: entry.title for entry in data.systems}
    values: list[float] = []
    for ours in OURS:
        pairs = [(data.value(baseline, c, metric), data.value(ours, c, metric), c) for c in data.clip_ids]
        known = [(x, y, c) for x, y, c in pairs if x is not None and y is not None]
        if known:
            x, y, names = zip(*known, strict=True)
            values += [*x, *y]
            marker = {"color": COLOURS[ours], "size": 9, "opacity": 0.85}
            figure.add_trace(go.Scatter(x=x, y=y, text=names, mode="markers", marker=marker, name=titles[ours]))
    if values:
        ends = [min(0.0, min(values)), max(values) * 1.05]
        line = {"color": "#9aa0ad", "dash": "dash", "width": 1}
        figure.add_trace(go.Scatter(x=ends, y=ends, mode="lines", line=line, hoverinfo="skip", showlegend=False))
    unit = f" ({metric.unit})" if metric.unit else ""
    figure.update_layout(
        showlegend=True, legend=LEGEND, margin=ROOM_FOR_LEGEND,
        xaxis_title=f"{titles.get(baseline, baseline)}{unit}", yaxis_title=f"ours{unit}",
    )  # fmt: skip
    side = "Below" if metric.better == "lower" else "Above"
    return Figure(
        figure,
        f"{side} the dashed line ours is better.",
        320,
        f"{metric.title}: ours against {titles.get(baseline, baseline).lower()}",
    )


def strips(data: BenchmarkData, metric: Metric) -> Figure:
    """All clips of all systems in one metric, with the mean as a bar."""
    figure = go.Figure()
    for entry in data.systems:
        known = [(v, c) for c in data.clip_ids if (v := data.value(entry.name, c, metric)) is not None]
        if known:
            y, names = zip(*known, strict=True)
            spread = np.linspace(-0.18, 0.18, len(y)) if len(y) > 1 else np.zeros(1)
            index = data.systems.index(entry)
            marker = {"color": COLOURS.get(entry.name, SERIES[7]), "size": 8, "opacity": 0.7}
            figure.add_trace(go.Scatter(x=index + spread, y=y, text=names, mode="markers", marker=marker, name=entry.title))
            mean = float(np.mean(y))
            line = {"color": COLOURS.get(entry.name, SERIES[7]), "width": 3}
            figure.add_trace(
                go.Scatter(x=[index - 0.28, index + 0.28], y=[mean, mean], mode="lines", line=line, hoverinfo="skip")
            )
    ticks = list(range(len(data.systems)))
    unit = f" ({metric.unit})" if metric.unit else ""
    figure.update_layout(
        xaxis={"tickvals": ticks, "ticktext": [SHORT_NAMES.get(entry.name, entry.title) for entry in data.systems]},
        yaxis_title=f"{metric.title}{unit}",
    )
    return Figure(figure, "Each point is a clip, the bar the mean.", 320, metric.title)


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
