"""The benchmark's figures for programs and papers: JSON, long CSV, a LaTeX table, a BibTeX entry."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict

from evaluation.metrics import HEADLINE
from evaluation.report_data import BenchmarkData
from evaluation.results import VERSION, Results
from evaluation.statistics import CONFIDENCE_PERCENT

BIBTEX = """@software{open_space,
  author = {{The open-space contributors}},
  title = {open-space: an open, reproducible {SPACE} (speech-driven portrait animation with controllable expression)},
  note = {Benchmark list %s. The method is that of arXiv:2211.09809; no figure here is the paper's.},
  year = {2026}
}

@inproceedings{gururani2023space,
  author = {Gururani, Siddharth and Mallya, Arun and Wang, Ting-Chun and Valle, Rafael and Liu, Ming-Yu},
  title = {{SPACE}: Speech-driven Portrait Animation with Controllable Expression},
  booktitle = {Proceedings of the IEEE/CVF International Conference on Computer Vision (ICCV)},
  pages = {20914--20923},
  year = {2023}
}
"""


def results_json(data: BenchmarkData, provenance: Mapping[str, str]) -> str:
    """All that the tables are made of, as `Results` says."""
    metrics = [
        {
            "id": m.metric_id, "title": m.title, "unit": m.unit, "better": m.better,
            "definition": m.definition, "source": m.source, "departures": m.departures,
            "headline": m in HEADLINE, "needs_pose": m.needs_pose,
        }
        for m in [*data.columns, *data.sets]
    ]  # fmt: skip
    contrasts = [
        {
            "first": c.first, "second": c.second, "metric": c.metric.metric_id,
            **asdict(c.comparison.difference),
            "effect_size": c.comparison.effect_size, "win_share": c.comparison.win_share, "p": c.comparison.p_value,
            "p_holm": c.p_holm, "better_for_sure": c.winner,
        }
        for c in data.contrasts
    ]  # fmt: skip
    tree = {
        "version": VERSION,
        "provenance": dict(provenance),
        "confidence_percent": CONFIDENCE_PERCENT,
        "clips": data.clip_ids,
        "systems": [{**asdict(e), "is_control": e.is_control} for e in data.systems],
        "metrics": metrics,
        "figures": [asdict(row) for row in data.rows],
        "contrasts": contrasts,
    }
    Results.model_validate(tree)  # a figure that is no number never gets out
    return json.dumps(tree, indent=1) + "\n"


def results_csv(data: BenchmarkData) -> str:
    """A line per system, clip and metric: system, clip_id, metric, value, status, reason."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["system", "clip_id", "metric", "value", "status", "reason"])
    for score in sorted(data.scores, key=lambda s: (s.system, s.clip_id, s.metric)):
        value = "" if score.value is None else repr(score.value)
        writer.writerow([score.system, score.clip_id, score.metric, value, score.status, score.detail])
    return text.getvalue()


def results_latex(data: BenchmarkData) -> str:
    """The headline as a booktabs table: contestants, a rule, controls; coverage where it is not whole."""
    arrows = {"lower": r"$\downarrow$", "higher": r"$\uparrow$", "recording": r"$\approx$"}
    head = " & ".join(["", *(f"{_tex(m.title)} {arrows[m.better]}" for m in HEADLINE)])
    lines = [rf"\begin{{tabular}}{{l{'c' * len(HEADLINE)}}}", r"\toprule", head + r" \\", r"\midrule"]
    for index, entries in enumerate((data.contestants, data.controls)):
        lines += [r"\midrule"] if index else []
        for entry in entries:
            cells = [_tex(entry.title)]
            for metric in HEADLINE:
                row = data.by_cell.get((entry.name, metric.metric_id))
                if row is None or row.mean is None:
                    cells.append("--")
                    continue
                arm = "" if row.low is None or row.high is None else rf" \pm {(row.high - row.low) / 2:.{metric.digits}f}"
                part = "" if row.n_ok == row.n_total else f" ({row.n_ok}/{row.n_total})"
                cells.append(f"${row.mean:.{metric.digits}f}{arm}${part}")
            lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


TEX_NAMES = {"\\": "backslash", "~": "asciitilde", "^": "asciicircum", "<": "less", ">": "greater", "|": "bar"}
TEX = {c: f"\\{c}" for c in "&%$#_{}"} | {c: rf"\text{name}{{}}" for c, name in TEX_NAMES.items()}


def _tex(text: str) -> str:
    return "".join(TEX.get(c, c) for c in text)
