"""The committed figures of the default benchmark come in the orders that must hold, and the README says what they say.

Committed: a run on another processor, or of other settings, writes other figures to the same files, and is no fault.
"""

import csv
import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from evaluation.metrics import Metric
from evaluation.metrics.landmarks import LD_MOUTH
from evaluation.metrics.lips import CLOSURE_F1, LIP_AMPLITUDE, LIP_GAP_R, LIP_LAG, LIP_VELOCITY_R
from evaluation.metrics.sync import AV_AT_ZERO, AV_OFFSET
from evaluation.systems import SHIFT_FRAMES

ROOT = Path(__file__).resolve().parents[1]
REPORT = "reports/benchmark"
ROWS = {
    "**ours, `warp`**": "ours_warp", "**ours, `compact`**": "ours_compact",
    "*controls:* recording, encoded again": "ground_truth",
    "`warp` hearing another statement": "mismatched_audio", "`warp` hearing it 5 frames late": "shifted_audio",
    "ridge regression from log-mel": "ridge", "still portrait": "still",
}  # fmt: skip
COLUMNS = (LIP_VELOCITY_R, LIP_LAG, LIP_AMPLITUDE, CLOSURE_F1, AV_AT_ZERO)
OURS = ("ours_warp", "ours_compact")
NUMBER = r"[+-]?\d+(?:\.\d+)?"


@cache
def committed(path: str) -> str:
    done = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no git repository with {path}")
    return done.stdout


def means() -> dict[str, dict[str, float]]:
    return json.loads(committed(f"{REPORT}/metrics.json"))


def mean(system: str, metric: Metric) -> float:
    return means()[system][metric.metric_id]


def half_interval(system: str, metric: Metric) -> float:
    rows = csv.DictReader(committed(f"{REPORT}/plots/{metric.name}.csv").splitlines())
    row = next(row for row in rows if row["system"] == system)
    return (float(row["high"]) - float(row["low"])) / 2


def test_the_recording_is_first_where_it_must_be() -> None:
    others = [system for system in means() if system != "ground_truth"]
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
    """Of the report here, where it is that of the committed figures: p values of contrasts are not in git."""
    results, figures = (ROOT / REPORT / name for name in ("results.json", "metrics.json"))
    if not results.is_file() or figures.read_text() != committed(f"{REPORT}/metrics.json"):
        pytest.skip("no report of the committed figures here (`dvc repro report` writes one)")
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
                assert cell == "none told" and metric.metric_id not in means()[system], (system, metric.title, cell)
                continue
            digits = len(said[1].partition(".")[2])
            assert float(said[1]) == pytest.approx(mean(system, metric), abs=0.501 * 10**-digits), (system, metric.title, cell)
            if said[2] and metric is not AV_AT_ZERO:  # whose intervals are in the report only
                assert float(said[2]) == pytest.approx(half_interval(system, metric), abs=0.00501), (system, metric.title, cell)
