"""Two benchmarks side by side."""

import copy
import json
from pathlib import Path

import pytest
from made_up_benchmark import benchmark

from evaluation.benchmark_diff import as_table, differences, notes, read_results
from evaluation.exports import results_json
from space_data.errors import SpaceError


@pytest.fixture
def results(rng) -> dict:
    return json.loads(results_json(benchmark(rng), {"test list": "default/v1@aa"}))


def test_equal_results_do_not_differ(results: dict) -> None:
    assert differences(results, results) == [] and notes(results, results) == []


def test_a_changed_figure_is_shown_and_judged_by_the_old_interval(results: dict) -> None:
    after = copy.deepcopy(results)
    after["figures"][0]["mean"] += 0.5
    after["figures"][1]["mean"] += 1e-9
    far, near = differences(results, after)
    assert far.after - far.before == pytest.approx(0.5) and far.outside and not near.outside
    assert as_table([far, near]).row_count == 2


def test_systems_and_metrics_that_only_one_has_are_not_dropped(results: dict) -> None:
    after = copy.deepcopy(results)
    gone = after["figures"].pop()
    added = {**gone, "system": "somebody"}
    after["figures"].append(added)
    found = {(d.system, d.before is None, d.after is None) for d in differences(results, after)}
    assert found == {("somebody", True, False), (gone["system"], False, True)}


def test_what_makes_figures_incomparable_is_told(results: dict) -> None:
    after = copy.deepcopy(results)
    after["clips"] = [*after["clips"][1:], "set/new/00"]
    after["provenance"]["test list"] = "default/v1@bb"
    after["metrics"][0]["id"] = after["metrics"][0]["id"].replace("/v1", "/v2")
    clips, lists, protocol = notes(results, after)
    assert clips == "other clips: 14 common, 1 only before, 1 only after"
    assert "default/v1@aa before, default/v1@bb after" in lists and "another protocol: lip_velocity_r/pearson/v1" in protocol


def test_files_that_are_none(tmp_path: Path, results: dict) -> None:
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert read_results(tmp_path) == read_results(tmp_path / "results.json") == results
    with pytest.raises(SpaceError, match="cannot be read"):
        read_results(tmp_path / "absent")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SpaceError, match="no results of a benchmark"):
        read_results(tmp_path / "bad.json")
    del results["clips"]
    (tmp_path / "cut.json").write_text(json.dumps(results))
    with pytest.raises(SpaceError, match=r"cut\.json: no results of a benchmark \(clips: Field required"):
        read_results(tmp_path / "cut.json")
    (tmp_path / "old.json").write_text(json.dumps({**results, "version": 0}))
    with pytest.raises(SpaceError, match="version 0, need 1"):
        read_results(tmp_path / "old.json")
