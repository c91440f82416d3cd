"""The benchmark page on made-up figures: honest about failures, orders, stand-ins; equal bytes for equal tables."""

from dataclasses import replace

import pytest
from made_up_benchmark import CLIPS, FAILED_CELL, benchmark

from evaluation import metrics, report_tables
from evaluation.html import provenance
from evaluation.report_page import benchmark_page
from evaluation.report_tables import MAIN, OURS, STILL, TRUTH
from space_data.params import Report
from space_data.schema import UNKNOWN
from space_models.generators import DEFAULT_RENDERER

SETTINGS = Report(sample_clips=2, worst_clips=3)


@pytest.fixture
def data(rng):
    return benchmark(rng)


def html(data) -> str:
    return benchmark_page(data, SETTINGS, provenance({"test": "made up"})).render()


def test_equal_tables_give_equal_bytes(data):
    assert html(data) == html(data)


def test_every_section_is_there(data):
    page = benchmark_page(data, SETTINGS, provenance({}))
    assert [s.title for s in page.sections] == ["Results", "Side by side", "Lips", "Clips", "Training", "Pipeline", "Protocol"]


def test_orders_hold_on_figures_made_to_hold(data):
    assert {ok for _, ok, _ in report_tables.expectations(data)} == {True}


def test_an_order_that_fails_is_shown_in_red(data):
    still = next(r for r in data.rows if r.system == STILL and r.metric == metrics.LMD_MOUTH.metric_id)
    rows = [replace(r, mean=0.0001) if r == still else r for r in data.rows]
    broken = replace(data, rows=rows)
    failing = [text for text, ok, _ in report_tables.expectations(broken) if ok is False]
    assert failing == [f"{metrics.LMD_MOUTH.title}: ours is better than still"]
    assert "tone-bad" in html(broken)


def test_best_system_is_marked_and_is_not_the_ground_truth(data):
    table = report_tables.results_table(data)
    titles = [c.label for c in table.columns]
    mouth = table.rows[data.columns.index(metrics.LMD_MOUTH)]
    marked = [titles[i] for i, cell in enumerate(mouth) if getattr(cell, "tone", "") == "good"]
    assert marked == [f"Ours, {DEFAULT_RENDERER}"]


def test_coverage_shows_the_failed_clip(data):
    table = report_tables.results_table(data)
    assert table.rows[0][-1] == f"{len(CLIPS) - 1} / {len(CLIPS)}"
    failures, titles = report_tables.failure_table(data), {entry.name: entry.title for entry in data.systems}
    assert failures is not None and [row[:2] for row in failures.rows] == [[titles[FAILED_CELL[0]], FAILED_CELL[1]]]
    complete = replace(data, scores=[s for s in data.scores if (s.system, s.clip_id) != FAILED_CELL])
    assert report_tables.failure_table(complete) is None


def test_a_stand_in_is_named_and_the_remedy_told(data):
    text = html(data)
    assert "stand-in, not FID" in text and "Weights inception are not in" in text


def test_published_systems_are_named_without_figures(data):
    text = html(data)
    assert "paper value: not transcribed" in text
    for name in ("Wav2Lip", "MakeItTalk", "PC-AVS"):
        assert name in text
    assert "not installed" in text


def test_protocol_lists_every_column(data):
    text = html(data)
    for metric in [*data.columns, data.frechet]:
        assert metric.metric_id in text


def test_samples_take_identities_in_turn_not_by_score(data):
    assert data.samples(4) == ["set/ada/00", "set/bob/00", "set/eve/00", "set/ada/01"]


def test_worst_clips_start_with_unscored_ones(data):
    assert data.worst(FAILED_CELL[0], metrics.LMD_MOUTH, 1) == [FAILED_CELL[1]]
    values = [data.value(MAIN, c, metrics.LMD_MOUTH) for c in data.worst(MAIN, metrics.LMD_MOUTH, 6)]
    assert values == sorted(values, reverse=True)


def test_an_unlabelled_clip_is_shown_as_unknown_not_as_neutral(data):
    first = data.clip_ids[0]
    clips = [replace(c, emotion=UNKNOWN, intensity=0.0) if c.clip_id == first else c for c in data.clips]
    rows = report_tables.clip_table(replace(data, clips=clips)).rows
    assert {(row[0] == first, row[1]) for row in rows} == {(True, "unknown"), (False, "happy 0.8")}
    text = html(replace(data, clips=clips))
    assert "unknown, 2.0 s" in text and "unknown 0.0" not in text


def test_missing_systems_leave_no_holes(data):
    """A run with sanity systems only still gives a page."""
    keep = {TRUTH, STILL}
    fewer = replace(
        data,
        clips=[c for c in data.clips if c.system in keep], scores=[s for s in data.scores if s.system in keep],
        rows=[r for r in data.rows if r.system in keep], meant_gaps={}, curves={}, stages=(),
    )  # fmt: skip
    assert not set(OURS) & {e.name for e in fewer.systems}
    measured = {statement: ok for statement, ok, _ in report_tables.expectations(fewer) if ok is not None}
    assert list(measured) == ["A/V score at lag 0: ground truth is better than still"]
    assert "not measured" in html(fewer)


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"), [(None, 2, False, "–"), (-0.125, 2, False, "−0.12"), (0.5, 1, True, "+0.5")]
)
def test_numbers_for_people(value, digits, signed, text):
    assert report_tables.number(value, digits, signed) == text
