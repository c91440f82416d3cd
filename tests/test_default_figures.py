"""The committed figures of the default benchmark come in the orders that must hold, and the README says what they say."""

import csv
import json
import re
from pathlib import Path

import pytest

from evaluation.metrics import Metric
from evaluation.metrics.landmarks import LD_MOUTH
from evaluation.metrics.lips import CLOSURE_F1, LIP_AMPLITUDE, LIP_GAP_R, LIP_LAG, LIP_VELOCITY_R
from evaluation.metrics.sync import AV_AT_ZERO, AV_OFFSET
from evaluation.systems import SHIFT_FRAMES
from pipelines.layout import Layout

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "reports/benchmark"
MEANS: dict[str, dict[str, float]] = json.loads((REPORT / "metrics.json").read_text())
ROWS = {
    "**ours, `warp`**": "ours_warp", "**ours, `compact`**": "ours_compact",
    "*controls:* recording, encoded again": "ground_truth",
    "`warp` hearing another statement": "mismatched_audio", "`warp` hearing it 5 frames late": "shifted_audio",
    "ridge regression from log-mel": "ridge", "still portrait": "still",
}  # fmt: skip
COLUMNS = (LIP_VELOCITY_R, LIP_LAG, LIP_AMPLITUDE, CLOSURE_F1, AV_AT_ZERO)
OURS = ("ours_warp", "ours_compact")
NUMBER = r"[+-]?\d+(?:\.\d+)?"


def mean(system: str, metric: Metric) -> float:
    return MEANS[system][metric.metric_id]


def half_interval(system: str, metric: Metric) -> float:
    with (REPORT / "plots" / f"{metric.name}.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["system"] == system)
    return (float(row["high"]) - float(row["low"])) / 2


def test_the_recording_is_first_where_it_must_be() -> None:
    others = [system for system in MEANS if system != "ground_truth"]
    for metric in (LIP_VELOCITY_R, LIP_GAP_R, CLOSURE_F1):
        assert mean("ground_truth", metric) > max(mean(system, metric) for system in others), metric.title
    assert mean("ground_truth", LD_MOUTH) < min(mean(system, LD_MOUTH) for system in others)
    assert abs(mean("ground_truth", LIP_AMPLITUDE)) < min(abs(mean(system, LIP_AMPLITUDE)) for system in others)


@pytest.mark.parametrize("system", OURS)
def test_ours_are_before_every_control_that_does_not_know_the_recording(system: str) -> None:
    for metric in (LIP_VELOCITY_R, CLOSURE_F1):
        for control in ("mismatched_audio", "shifted_audio", "still", "mean_motion", "ridge"):
            assert mean(system, metric) > mean(control, metric), (metric.title, control)


def test_the_planted_delay_is_found_with_its_sign() -> None:
    assert mean("shifted_audio", LIP_LAG) == SHIFT_FRAMES and mean("shifted_audio", AV_OFFSET) == -SHIFT_FRAMES
    assert [mean(system, metric) for system in OURS for metric in (LIP_LAG, AV_OFFSET)] == [0, 0, 0, 0]


def test_another_statement_and_still_are_told_from_ours_for_sure() -> None:
    """Of the last report, where there is one: intervals and p values of contrasts are not in git."""
    results = ROOT / Layout().benchmark / "results.json"
    if not results.is_file():
        pytest.skip("no report here (`dvc repro report` writes it)")
    sure = {
        (c["first"], c["second"], c["metric"]) for c in json.loads(results.read_text())["contrasts"]
        if c["better_for_sure"] == c["first"] and c["p_holm"] < 0.05
    }  # fmt: skip
    wanted = {(system, other, LIP_VELOCITY_R.metric_id) for system in OURS for other in ("mismatched_audio", "still")}
    assert wanted <= sure, wanted - sure


def test_the_readme_says_what_was_measured() -> None:
    lines = (ROOT / "README.md").read_text().replace("\N{MINUS SIGN}", "-").splitlines()
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    found = {ROWS[cells[0]]: cells[1:] for cells in table if cells[0] in ROWS}
    assert set(found) == set(ROWS.values())
    for system, cells in found.items():
        for metric, cell in zip(COLUMNS, cells, strict=True):
            said = re.match(rf"({NUMBER})(?: ± ({NUMBER}))?", cell)
            if said is None:
                assert cell == "none told" and metric.metric_id not in MEANS[system], (system, metric.title, cell)
                continue
            digits = len(said[1].partition(".")[2])
            assert float(said[1]) == pytest.approx(mean(system, metric), abs=0.501 * 10**-digits), (system, metric.title, cell)
            if said[2] and metric is not AV_AT_ZERO:  # whose intervals are in the report only
                assert float(said[2]) == pytest.approx(half_interval(system, metric), abs=0.00501), (system, metric.title, cell)
