"""The benchmark's exports: complete, readable by programs, safe for LaTeX."""

import csv
import json
from dataclasses import replace

import pytest
from made_up_benchmark import CLIPS, FAILED_CELL, benchmark
from pydantic import ValidationError

from evaluation.exports import _tex, results_csv, results_json, results_latex
from evaluation.metrics import HEADLINE
from evaluation.results import Results
from evaluation.systems import SYSTEM_NAMES


@pytest.fixture
def data(rng):
    return benchmark(rng)


def test_json_holds_every_figure_with_its_protocol(data) -> None:
    tree = json.loads(results_json(data, {"list": "default/v1"}))
    assert tree["version"] == 1 and tree["provenance"] == {"list": "default/v1"}
    assert len(tree["figures"]) == len(SYSTEM_NAMES) * (len(data.columns) + len(data.sets))
    assert {row["metric"] for row in tree["figures"]} == {metric["id"] for metric in tree["metrics"]}
    assert [m["id"] for m in tree["metrics"] if m["headline"]] == [m.metric_id for m in HEADLINE]
    assert {s["name"]: s["is_control"] for s in tree["systems"]}["still"] is True
    assert any(contrast["better_for_sure"] == "ours_warp" for contrast in tree["contrasts"])


def test_json_is_what_its_schema_says_and_nothing_else(data) -> None:
    tree = json.loads(results_json(data, {"test list": "default/v1"}))
    assert json.loads(Results.model_validate(tree).model_dump_json()) == tree, "a key that the types do not know"
    assert all(figure["mean"] is None or figure["n_ok"] for figure in tree["figures"]), "nothing scored is null, never 0"


def test_json_never_holds_what_is_no_number(data) -> None:
    spoilt = replace(data, rows=[replace(data.rows[0], mean=float("nan")), *data.rows[1:]])
    with pytest.raises(ValidationError, match=r"figures\.0\.mean"):
        results_json(spoilt, {})


def test_csv_has_a_line_per_system_clip_and_metric_failures_too(data) -> None:
    rows = list(csv.DictReader(results_csv(data).splitlines()))
    assert list(rows[0]) == ["system", "clip_id", "metric", "value", "status", "reason"]
    assert len(rows) == len(SYSTEM_NAMES) * len(CLIPS) * len(data.columns)
    failed = [row for row in rows if not row["value"]]
    assert {(row["system"], row["clip_id"]) for row in failed} == {FAILED_CELL}
    assert all(row["status"] == "no_face" and "a face in 20% of 50 frames" in row["reason"] for row in failed)
    assert all(float(row["value"]) == float(row["value"]) for row in rows if row["value"])


def test_latex_shows_contestants_apart_from_controls_with_coverage(data) -> None:
    lines = results_latex(data).splitlines()
    rules = [i for i, line in enumerate(lines) if line == r"\midrule"]
    assert len(rules) == 2 and any("Ours, warp" in line for line in lines[rules[0] : rules[1]])
    assert any(line.startswith("Still portrait") for line in lines[rules[1] :])
    assert any("(14/15)" in line for line in lines) and r"\uparrow" in lines[2]


def test_a_title_cannot_break_the_latex() -> None:
    assert _tex(r"M&M's_1 50% ~^\x{y}<") == r"M\&M's\_1 50\% \textasciitilde{}\textasciicircum{}\textbackslash{}x\{y\}\textless{}"
