"""A broken output of every kind among good ones: a row with its reason each, and nothing else that changes."""

import pytest

from benchmarks.broken_outputs import ALL_KINDS, SYSTEM, MadeUpRun, Results, made_up_run
from evaluation.reasons import REASONS

GOOD = 3
BROKEN = {GOOD + number: kind for number, kind in enumerate(ALL_KINDS)}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> MadeUpRun:
    return made_up_run(tmp_path_factory.mktemp("broken"), GOOD + len(ALL_KINDS), n_frames=20, side=96, workers=1)


@pytest.fixture(scope="module")
def results(run) -> tuple[Results, Results]:
    """Before, when what will be broken was not there at all, and after."""
    return run.results(dict.fromkeys(BROKEN, "missing")), run.results(BROKEN)


def test_each_has_the_right_reason(results):
    _, after = results
    said = {kind: after.rows[number].reason for number, kind in BROKEN.items()}
    assert said == {kind: reason for kind, (reason, _) in ALL_KINDS.items()}
    for number, kind in BROKEN.items():  # the reason has a column of its own, and whoever prints both puts it in front
        assert after.rows[number].detail and not after.rows[number].detail.startswith(ALL_KINDS[kind][0])
    not_files = {"no_face", "timed_out", "crashed", "not_installed", "system_failed", "unreadable"}
    assert {reason for reason, _ in ALL_KINDS.values()} == set(REASONS) - not_files


def test_nothing_else_changes_and_coverage_says_what_is_left(run, results):
    before, after = results
    broken = {run.listed.chosen[number].clip.clip_id for number in BROKEN}
    assert before.of_others(broken) == after.of_others(broken)
    assert sum(row.status == "kept" for row in after.rows) == GOOD
    statuses = {(score.clip_id, score.status) for score in after.scores if score.system == SYSTEM and score.clip_id in broken}
    assert len(statuses) == len(broken), "one and the same status in every metric of a clip"
    assert {status for _, status in statuses} == {reason for reason, _ in ALL_KINDS.values()}
    mouth = next(row for row in after.aggregates if row.system == SYSTEM and row.metric.startswith("ld_mouth"))
    assert (mouth.n_ok, mouth.n_total) == (GOOD, GOOD + len(BROKEN))
