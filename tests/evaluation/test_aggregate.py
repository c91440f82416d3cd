"""Aggregation: complete, ordered, the same for any order of the rows; comparisons that know which way is better."""

import numpy as np
import pytest

from evaluation import aggregate
from evaluation.metrics import HEADLINE, Metric
from evaluation.metrics.entry import mean_of
from evaluation.score_clip import NO_FACE, NOT_AVAILABLE, OK, REFERENCE
from evaluation.statistics import summarise
from space_data.errors import SpaceError
from space_data.schema import Aggregate, ClipStatistic, Score


def metric(name: str, better: str, *statistics: str) -> Metric:
    return Metric(
        f"{name}/x/v1", name, "", better, statistics or (name,), mean_of(statistics[0] if statistics else name), "d", "s"
    )


FAR, HIGH, NEAR = metric("far", "lower"), metric("high", "higher"), metric("near", "recording")
COLUMNS = (FAR, HIGH, NEAR)
BY_ID = {column.metric_id: column for column in COLUMNS}
CLIPS = {f"set/{person}/{i}": person for person in "abcdefgh" for i in range(3)}
SYSTEMS = ("ours", "still")


def score(system: str, clip_id: str, column: Metric, value: float | None, recording: float | None = None) -> Score:
    status = OK if value is not None else NO_FACE
    return Score(system, clip_id, CLIPS[clip_id], column.metric_id, value, recording, status, "")


def made_up(rng, columns=COLUMNS) -> list[Score]:
    """`still` is one unit worse in `far` and `high`, and one unit too high in `near`, where the recording has 5."""
    rows = []
    for clip_id in CLIPS:
        hard = rng.normal(0, 10)
        for k, system in enumerate(SYSTEMS):
            noise = rng.normal(0, 0.05)
            values = {FAR: hard + k + noise, HIGH: hard - k + noise, NEAR: 5 + k + noise}
            rows += [score(system, clip_id, c, values[c], 5.0 if c is NEAR else None) for c in columns]
    return rows


def aggregates(scores: list[Score], columns: tuple[Metric, ...] = COLUMNS) -> list[Aggregate]:
    return aggregate.aggregates(aggregate.identity_means(scores, columns), SYSTEMS, columns)


def test_any_order_of_rows_gives_the_same_figures(rng):
    scores = made_up(rng)
    shuffled = [scores[i] for i in rng.permutation(len(scores))]
    assert aggregates(scores) == aggregates(shuffled)


def test_a_failed_clip_is_seen_in_the_coverage_and_common_clips_are_told_apart(rng):
    scores = [
        score(s, c, FAR, None if (s, c) == ("ours", "set/a/0") else 7.0 if c == "set/a/0" else 1.0)
        for s in SYSTEMS
        for c in CLIPS
    ]
    ours, still = aggregates(scores, (FAR,))
    assert (ours.n_ok, ours.n_total, ours.n_identities, ours.n_common) == (23, 24, 8, 23)
    assert (ours.mean, still.mean) == (1.0, pytest.approx((7 * 1 + 3) / 8)), "an identity counts once"
    assert still.common_mean == 1.0 and still.n_ok == 24


def test_near_the_recording_is_a_distance_clip_by_clip(rng):
    """Too high on one clip and too low on another is not right on average."""
    values = {c: 5.0 + (1 if i % 2 else -1) for i, c in enumerate(CLIPS)}
    ours, still = aggregates(
        [score("ours", c, NEAR, values[c], 5.0) for c in CLIPS] + [score("still", c, NEAR, 5.5, 5.0) for c in CLIPS], (NEAR,)
    )
    assert ours.mean == pytest.approx(5.0, abs=0.4) and ours.recording == 5.0
    assert (ours.distance, still.distance) == pytest.approx((1.0, 0.5))
    (contrast,) = aggregate.contrasts(
        [score("ours", c, NEAR, values[c], 5.0) for c in CLIPS] + [score("still", c, NEAR, 5.5, 5.0) for c in CLIPS],
        [("still", "ours")], (NEAR,), 100, 0,
    )  # fmt: skip
    assert contrast.winner == "still" and contrast.comparison.win_share == 1.0


def test_a_missing_row_is_an_error_not_a_smaller_mean(rng):
    with pytest.raises(SpaceError, match="has no row for 1 clips"):
        aggregates(made_up(rng)[1:])


def test_a_doubled_row_is_an_error(rng):
    scores = made_up(rng)
    with pytest.raises(SpaceError, match="occurs twice"):
        aggregates([*scores, scores[0]])


def test_identities_merge_in_any_parts_and_order(rng):
    """Means made of one identity at a time, as the workers do, are those made of all scores at once; to the bit."""
    scores = [s if rng.random() > 0.2 else score(s.system, s.clip_id, BY_ID[s.metric], None, s.recording) for s in made_up(rng)]
    parts = [aggregate.identity_means([s for s in scores if s.subject == p], COLUMNS) for p in rng.permutation(list("abcdefgh"))]
    merged = aggregate.aggregates([row for part in parts for row in part], SYSTEMS, COLUMNS)
    assert merged == aggregates(scores)
    for row in merged:
        column = BY_ID[row.metric]
        own = {s.clip_id: s for s in scores if s.system == row.system and s.metric == row.metric}
        other = {s.clip_id: s.value for s in scores if s.system != row.system and s.metric == row.metric}
        common = [c for c in CLIPS if own[c].value is not None and other[c] is not None]
        wanted = summarise([s.value for s in own.values()], [s.subject for s in own.values()])
        assert (row.mean, row.low, row.high, row.n_ok) == (wanted.mean, wanted.low, wanted.high, wanted.n_ok)
        assert row.common_mean == summarise([own[c].value for c in common], [CLIPS[c] for c in common]).mean
        assert row.n_common == len(common) and (row.distance is None) == (column is not NEAR)


def test_a_system_that_failed_everywhere_takes_nobodys_common_clips(rng):
    rows = [score("ours", c, FAR, 1.0) for c in CLIPS] + [score("still", c, FAR, None) for c in CLIPS]
    ours, still = aggregates(rows, (FAR,))
    assert (ours.n_common, still.n_common, ours.common_mean, still.common_mean) == (24, 24, 1.0, None)


def test_one_that_failed_on_an_identity_takes_that_identitys(rng):
    rows = [score(s, c, FAR, None if s == "still" and CLIPS[c] == "a" else 1.0) for s in SYSTEMS for c in CLIPS]
    assert [row.n_common for row in aggregates(rows, (FAR,))] == [21, 21]


def test_an_identity_that_a_system_lacks_is_an_error(rng):
    means = aggregate.identity_means(made_up(rng), COLUMNS)
    with pytest.raises(SpaceError, match="near/x/v1 of still has no row for 1 identities, e.g. b"):
        lacking = [row for row in means if (row.system, row.subject, row.metric) != ("still", "b", "near/x/v1")]
        aggregate.aggregates(lacking, SYSTEMS, COLUMNS)
    with pytest.raises(SpaceError, match="occurs twice"):
        aggregate.aggregates([*means, means[0]], SYSTEMS, COLUMNS)


def test_contrasts_are_one_family_and_know_which_way_is_better(rng):
    found = aggregate.contrasts(made_up(rng), [("ours", "still")], COLUMNS, 100, 0)
    assert [c.metric for c in found] == list(COLUMNS)
    for contrast in found:
        assert contrast.comparison.p_value == pytest.approx(2 / 2**8) and contrast.p_holm == pytest.approx(3 * 2 / 2**8)
        assert contrast.winner == "ours" and contrast.comparison.win_share == 1.0 and contrast.comparison.effect_size < -3
    (other,) = aggregate.contrasts(made_up(rng), [("still", "ours")], (HIGH,), 100, 0)
    assert other.winner == "ours" and other.comparison.win_share == 0.0
    assert aggregate.contrasts(made_up(rng), [("ours", "nobody")], COLUMNS, 100, 0) == []


def test_best_is_who_nobody_beats_for_sure(rng):
    def contrasts(*values: float) -> list[aggregate.Contrast]:
        names = "xyz"[: len(values)]
        rows = [score(s, c, FAR, v + rng.normal(0, 0.05)) for s, v in zip(names, values, strict=True) for c in CLIPS]
        return aggregate.contrasts(rows, [(a, b) for a in names for b in names if a < b], (FAR,), 100, 0)

    assert aggregate.best_of(FAR, "xyz", contrasts(1.0, 1.0, 3.0)) == {"x", "y"}, "a tie is a group"
    assert aggregate.best_of(FAR, "xyz", contrasts(1.0, 2.0, 3.0)) == {"x"}
    assert aggregate.best_of(FAR, "xy", contrasts(1.0, 1.0)) == set(), "nobody is told apart"
    assert aggregate.best_of(FAR, "yz", contrasts(0.0, 1.0, 2.0)) == {"y"}, "x is a control and does not compete"


def rows_of(system: str, clip_id: str, **totals: tuple[float, int, str]) -> list[ClipStatistic]:
    return [
        ClipStatistic(system, clip_id, CLIPS[clip_id], n, t, w, s, "why" if s != OK else "") for n, (t, w, s) in totals.items()
    ]


def test_scores_follow_from_sums_and_keep_their_reasons():
    both = metric("both", "higher", "far", "high")
    rows = rows_of("ours", "set/a/0", far=(3.0, 2, OK), high=(0.0, 0, NO_FACE), near=(8.0, 2, OK))
    rows += rows_of(REFERENCE, "set/a/0", far=(0.0, 2, OK), high=(1.0, 1, OK), near=(10.0, 2, OK))
    scores = {s.metric: s for s in aggregate.scores_of(rows, (FAR, both, NEAR))}
    assert scores[FAR.metric_id].value == 1.5 and scores[FAR.metric_id].recording is None
    assert scores[NEAR.metric_id].value == 4.0 and scores[NEAR.metric_id].recording == 5.0
    missing = scores[both.metric_id]
    assert (missing.value, missing.status, missing.detail) == (None, NO_FACE, "why")
    assert {s.system for s in scores.values()} == {"ours"}, "the recording is no system"
    undefined = Metric("u/x/v1", "u", "", "lower", ("far",), lambda _: None, "d", "s")
    (one,) = aggregate.scores_of(rows, (undefined,))
    assert (one.status, one.detail) == (NOT_AVAILABLE, "undefined")


def test_statistics_that_are_gaps_or_doubled_are_errors():
    rows = rows_of("ours", "set/a/0", far=(3.0, 2, OK))
    with pytest.raises(SpaceError, match="ours on set/a/0 has no row for high"):
        aggregate.scores_of(rows, (FAR, HIGH))
    with pytest.raises(SpaceError, match="far of ours on set/a/0 occurs twice"):
        aggregate.scores_of(rows + rows, (FAR,))


def figure(system: str, metric_id: str, mean: float | None, low: float | None, high: float | None, n_ok: int) -> Aggregate:
    return Aggregate(system, metric_id, mean, low, high, None, None, None, n_ok, 4, 2, 0)


def test_metrics_tree_holds_means_and_the_coverage_of_the_headline():
    first = HEADLINE[0].metric_id
    rows = [figure("ours", first, 1.5, 1.0, 2.0, 3), figure("ours", "b/v1", None, None, None, 0)]
    rows += [figure("still", first, None, None, None, 0), figure("still", "b/v1", 2.5, 2.0, 3.0, 4)]
    assert aggregate.metrics_tree(rows) == {"ours": {first: 1.5, "coverage": 0.75}, "still": {"b/v1": 2.5, "coverage": 0.0}}


def test_plot_csv_has_a_line_per_system():
    rows = [figure("ours", FAR.metric_id, 0.5, 0.25, 1.0, 3), figure("still", FAR.metric_id, None, None, None, 0)]
    assert aggregate.plot_csv(rows, FAR).splitlines() == [
        f"system,{FAR.metric_id},low,high,n_ok,n_total",
        "ours,0.5,0.25,1.0,3,4",
        "still,,,,0,4",
    ]


def test_significance_needs_people(rng):
    """With five people the least p of sign flips is 1/16: nothing can be sure, however large."""
    few = [row for row in made_up(rng) if row.subject in "abcde"]
    assert not any(c.winner for c in aggregate.contrasts(few, [("ours", "still")], COLUMNS, 100, 0))
    assert np.isfinite([c.comparison.p_value for c in aggregate.contrasts(few, [("ours", "still")], COLUMNS, 100, 0)]).all()
