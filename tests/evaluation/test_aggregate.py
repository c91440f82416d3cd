"""Aggregation: complete, ordered, the same for any order and sharding of the rows."""

import numpy as np
import pytest

from evaluation import aggregate
from evaluation.metrics import LIP_CORRELATION, LMD_MOUTH, POSE, frechet_metric
from evaluation.score_clip import NO_FACE, OK
from space_data.errors import SpaceError
from space_data.schema import Aggregate, Score

COLUMNS = (LMD_MOUTH, POSE)
CLIPS = {f"set/{person}/{i}": person for person in "abc" for i in range(3)}


def made_up(rng, systems=("ours", "still")) -> list[Score]:
    return [
        Score(system, clip_id, person, metric.metric_id, float(rng.normal(k, 0.1)), 100, OK, "")
        for k, system in enumerate(systems)
        for clip_id, person in CLIPS.items()
        for metric in COLUMNS
    ]


def test_any_order_of_rows_gives_the_same_figures(rng):
    scores = made_up(rng)
    shuffled = [scores[i] for i in rng.permutation(len(scores))]
    assert aggregate.aggregates(scores, ["ours", "still"], COLUMNS, 200, 0) == aggregate.aggregates(
        shuffled, ["ours", "still"], COLUMNS, 200, 0
    )


def test_a_failed_clip_is_seen_in_the_coverage(rng):
    scores = made_up(rng)
    first = scores[0]
    scores[0] = Score(first.system, first.clip_id, first.subject, first.metric, None, 0, NO_FACE, "turned away")
    rows = {(r.system, r.metric): r for r in aggregate.aggregates(scores, ["ours", "still"], COLUMNS, 200, 0)}
    row = rows["ours", first.metric]
    assert (row.n_ok, row.n_total, row.n_identities) == (8, 9, 3)
    assert row.mean == pytest.approx(np.mean([s.value for s in scores[1:] if (s.system, s.metric) == ("ours", first.metric)]))
    assert rows["still", first.metric].n_ok == 9


def test_a_missing_row_is_an_error_not_a_smaller_mean(rng):
    with pytest.raises(SpaceError, match="has no row for 1 clips"):
        aggregate.aggregates(made_up(rng)[1:], ["ours", "still"], COLUMNS, 10, 0)


def test_a_doubled_row_is_an_error(rng):
    scores = made_up(rng)
    with pytest.raises(SpaceError, match="occurs twice"):
        aggregate.aggregates([*scores, scores[0]], ["ours"], COLUMNS, 10, 0)


def test_metrics_tree_holds_means_and_least_coverage():
    rows = [
        Aggregate("ours", "a/v1", 1.5, 1.0, 2.0, 9, 10, 3),
        Aggregate("ours", "b/v1", None, None, None, 0, 10, 0),
        Aggregate("still", "a/v1", 2.5, 2.0, 3.0, 10, 10, 3),
    ]
    assert aggregate.metrics_tree(rows) == {"ours": {"a/v1": 1.5, "coverage": 0.0}, "still": {"a/v1": 2.5, "coverage": 1.0}}


def test_plot_csv_has_a_line_per_system():
    rows = [
        Aggregate("ours", LMD_MOUTH.metric_id, 0.5, 0.25, 1.0, 3, 4, 2),
        Aggregate("still", LMD_MOUTH.metric_id, None, None, None, 0, 4, 0),
    ]
    assert aggregate.plot_csv(rows, LMD_MOUTH).splitlines() == [
        f"system,{LMD_MOUTH.metric_id},low,high,n_ok,n_total",
        "ours,0.5,0.25,1.0,3,4",
        "still,,,,0,4",
    ]


def test_comparisons_are_paired_and_adjusted(rng):
    scores = made_up(rng)
    found = aggregate.comparisons(scores, "ours", ["still"], COLUMNS, 200, 0)
    assert [(baseline, metric) for baseline, metric, _, _ in found] == [("still", LMD_MOUTH), ("still", POSE)]
    for _, _, result, adjusted in found:
        assert result.win_share == 1.0 and result.difference.n_ok == 9
        assert result.p_value == pytest.approx(2 / 8) and adjusted == pytest.approx(4 / 8)


def test_comparison_knows_which_way_is_better(rng):
    scores = [
        Score(s, c, p, LIP_CORRELATION.metric_id, v, 9, OK, "")
        for s, v in (("ours", 0.9), ("still", 0.1))
        for c, p in CLIPS.items()
    ]
    ((_, _, result, _),) = aggregate.comparisons(scores, "ours", ["still"], [LIP_CORRELATION], 50, 0)
    assert result.win_share == 1.0


def test_frechet_aggregate(rng):
    real = {clip: rng.normal(size=(10, 4)) for clip in CLIPS}
    features = {clip: {"reference": real[clip], "truth": real[clip], "off": real[clip] + 1.0} for clip in CLIPS}
    del features["set/a/0"]["off"]
    metric = frechet_metric("dct", False, 5)
    truth = aggregate.frechet_aggregate("truth", metric, features, "reference", len(CLIPS))
    assert truth.mean == pytest.approx(0, abs=1e-9) and truth.n_ok == 9
    off = aggregate.frechet_aggregate("off", metric, features, "reference", len(CLIPS))
    assert off.mean == pytest.approx(4.0, rel=1e-6), "compared with the recordings of the same clips only"
    assert (off.n_ok, off.n_total) == (8, 9)
    nobody = aggregate.frechet_aggregate("absent", metric, features, "reference", len(CLIPS))
    assert nobody.mean is None and nobody.n_ok == 0
