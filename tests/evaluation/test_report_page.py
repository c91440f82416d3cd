"""The benchmark page on made-up figures: honest about failures, orders, stand-ins; equal bytes for equal tables."""

from dataclasses import replace

import pytest
from made_up_benchmark import FAILED_CELL, benchmark

from evaluation import report_plots, report_results, report_strata, report_tables
from evaluation.html import provenance
from evaluation.metrics.landmarks import LD_MOUTH
from evaluation.metrics.lips import LIP_LAG, LIP_VELOCITY_R
from evaluation.metrics.sync import AV_AT_ZERO
from evaluation.report_page import benchmark_page
from evaluation.report_results import MAIN
from evaluation.systems import CONTROLS, ENTRIES, GROUND_TRUTH, OURS, STILL, Entry, Kind
from space_data.params import Report
from space_data.schema import UNKNOWN
from space_models.generators import DEFAULT_RENDERER

SETTINGS = Report(sample_clips=2, player_clips=2, worst_clips=3)


@pytest.fixture
def data(rng):
    return benchmark(rng)


def html(data) -> str:
    return benchmark_page(data, SETTINGS, provenance({"test": "made up"})).render()


def test_equal_tables_give_equal_bytes(data):
    assert html(data) == html(data)


def test_every_section_is_there(data):
    page = benchmark_page(data, SETTINGS, provenance({}))
    titles = ["Results", "Checks", "Side by side", "Lips", "Clips", "Training", "Pipeline", "Protocol"]
    assert [s.title for s in page.sections] == titles


def test_orders_hold_on_figures_made_to_hold(data):
    assert {ok for _, ok, _ in report_results.expectations(data)} == {True}


def test_an_order_shows_what_it_is_of(data):
    """Nearest to the recording is best: .72 can be better than .87."""
    shown = {text: figures for text, _, figures in report_results.expectations(data)}
    of_sync = shown[f"{AV_AT_ZERO.title}: {data.title(MAIN)} is better than Ridge regression"]
    off = [f"{data.mean(name, AV_AT_ZERO):.4f} (off {data.loss(name, AV_AT_ZERO):.4f})" for name in (MAIN, "ridge")]
    assert of_sync == " against ".join(off)
    assert "off" not in shown[f"{LD_MOUTH.title}: {data.title(MAIN)} is better than {STILL.title}"]


def test_an_order_that_fails_is_shown_first_and_in_red(data):
    rows = [replace(r, mean=0.0001) if (r.system, r.metric) == (STILL.name, LD_MOUTH.metric_id) else r for r in data.rows]
    broken = replace(data, rows=rows)
    first, *others = report_results.expectations(broken)
    assert first[:2] == ("mouth distance: Ours, warp is better than Still portrait", False)
    assert {ok for _, ok, _ in others} == {True} and "tone-bad" in html(broken)
    unshifted = [replace(r, mean=0.0) if (r.system, r.metric) == ("shifted_audio", LIP_LAG.metric_id) else r for r in data.rows]
    assert "is found 5 frames late" in report_results.expectations(replace(data, rows=unshifted))[0][0]


def marked(table, row: int) -> list[str]:
    titles = [c.label for c in table.columns]
    return [titles[i] for i, cell in enumerate(table.rows[row]) if getattr(cell, "tone", "") == "good"]


def test_no_control_is_marked_best_and_a_contestant_only_when_sure(data):
    row = list(data.columns).index(LIP_VELOCITY_R)
    assert marked(report_results.contestants_table(data, data.columns), row) == [f"Ours, {DEFAULT_RENDERER}"]
    controls = report_results.controls_table(data, data.columns)
    assert [column.label for column in controls.columns[1:]] == [entry.title for entry in CONTROLS]
    assert not any(marked(controls, i) for i in range(len(controls.rows)))
    few = [s for s in data.scores if s.subject in ("ada", "bob", "eve")]
    of_few = report_results.contestants_table(replace(data, scores=few), data.columns)
    assert marked(of_few, row) == [], "three people make nothing sure"


def test_a_tie_is_a_group(data):
    """Two systems with the same lips share the mark."""
    twin = {(s.clip_id, s.metric): s for s in data.scores if s.system == OURS[0]}
    scores = [replace(twin[s.clip_id, s.metric], system=OURS[1]) if s.system == OURS[1] else s for s in data.scores]
    table = report_results.contestants_table(replace(data, scores=scores), data.columns)
    assert marked(table, list(data.columns).index(LIP_VELOCITY_R)) == [data.title(OURS[0]), data.title(OURS[1])]


def test_the_contrasts_are_one_family(data):
    n = len(data.contestants)
    assert len(data.contrasts) == 4 * (n * (n - 1) // 2 + n * len(CONTROLS))
    best = min(c.p_holm for c in data.contrasts)
    assert best == pytest.approx(len(data.contrasts) * 2 / 2**12)
    table = report_results.contrast_table(data)
    assert len(table.rows) == len(data.contrasts)


def with_twins(data, count, title="A <b>B</b>"):
    """More contestants, all of one title: copies of the last of ours."""
    names = [f"twin{i}" for i in range(count)]
    added = [Entry(name, title, "", Kind.videos) for name in names]
    more = {
        part: [*getattr(data, part), *(replace(x, system=n) for n in names for x in getattr(data, part) if x.system == OURS[2])]
        for part in ("clips", "scores", "rows")
    }
    return replace(data, added=added, **more)


def test_it_is_told_when_so_many_systems_are_compared_that_nothing_can_be_sure(data):
    assert report_results.too_many_contrasts(data) == "", "84 contrasts of twelve people"
    crowd = replace(with_twins(data, 1), draws=10_000)
    assert not any(made.winner for made in crowd.contrasts), "120 times 2 / 2^12"
    said = report_results.too_many_contrasts(crowd)
    assert "with 12 identities no p is below 0.00049, and Holm multiplies the least by 120" in said and "of 13 identities" in said
    assert said.partition("(")[0] in html(crowd)
    assert "raise evaluate.sign_flip_draws" in report_results.too_many_contrasts(replace(crowd, draws=99))


def test_systems_of_one_title_are_told_apart_and_titles_are_no_html(data):
    crowd = with_twins(data, 2)
    assert [entry.title for entry in crowd.systems][-2:] == ["A <b>B</b> (twin0)", "A <b>B</b> (twin1)"]
    assert [entry.title for entry in data.systems] == [entry.title for entry in ENTRIES], "ours are as they were"
    figures = [*report_plots.forest(crowd), report_plots.offsets(crowd, LIP_LAG), report_plots.strips(crowd, LIP_VELOCITY_R)]
    shown = " ".join(figure.figure.to_json() for figure in figures)
    assert "b\\u003e" not in shown and "<b>" not in shown and "lt;b" in shown, "Plotly would set it in bold"
    impostor = with_twins(data, 1, GROUND_TRUTH.title)
    assert GROUND_TRUTH in impostor.systems and impostor.systems[-1].title == "Ground truth (twin0)"


def test_the_bar_of_a_plot_is_the_tables_mean(data):
    """Of people with one clip and people with two: not the mean over clips."""
    found = report_plots.strips(data, LIP_VELOCITY_R).figure.data
    assert [trace.y[0] for trace in found if trace.mode == "lines"] == [data.mean(e.name, LIP_VELOCITY_R) for e in data.systems]


def test_validity_tells_controls_from_the_recording_and_says_when_one_is_better(data):
    row = list(data.columns).index(LD_MOUTH)
    table = report_results.validity_table(data)
    assert len(marked(table, row)) == len(CONTROLS) - 1
    best = {(s.clip_id): 0.0001 for s in data.scores}
    scores = [
        replace(s, value=best[s.clip_id]) if (s.system, s.metric) == (STILL.name, LD_MOUTH.metric_id) else s for s in data.scores
    ]
    cells = report_results.validity_table(replace(data, scores=scores)).rows[row]
    assert [cell.tone for cell in cells[1:]].count("bad") == 1


def test_coverage_shows_the_failed_clip(data):
    cells = report_results.contestants_table(data, data.columns).rows[0]
    assert "(14/15)" in cells[2].text and "(14/15)" not in cells[1].text
    failures = report_tables.failure_table(data)
    assert failures is not None and [row[:2] for row in failures.rows] == [[data.title(FAILED_CELL[0]), FAILED_CELL[1]]]
    complete = replace(data, scores=[s for s in data.scores if (s.system, s.clip_id) != FAILED_CELL])
    assert report_tables.failure_table(complete) is None


def test_a_system_that_nobody_declared_is_shown_not_dropped(data):
    clips = [replace(c, system="somebody") if c.system == OURS[2] else c for c in data.clips]
    scores = [replace(s, system="somebody") if s.system == OURS[2] else s for s in data.scores]
    rows = [replace(r, system="somebody") if r.system == OURS[2] else r for r in data.rows]
    stranger = replace(data, clips=clips, scores=scores, rows=rows)
    assert "somebody" in [entry.name for entry in stranger.contestants] and "somebody" in html(stranger)


def test_a_stand_in_is_named_and_the_remedy_told(data):
    text = html(data)
    assert "stand-ins, not FID or KID" in text and "Weights inception are not in" in text
    assert "Not measured: weights lpips-alex (LPIPS) are not in models/weights." in text


def test_published_systems_are_named_without_figures(data):
    text = html(data)
    assert "paper value: not transcribed" in text
    for name in ("Wav2Lip", "MakeItTalk", "PC-AVS"):
        assert name in text
    assert "not run: space benchmark run wav2lip" in text


def test_protocol_lists_every_column(data):
    text = html(data)
    for metric in [*data.columns, *data.sets]:
        assert metric.metric_id in text


def test_samples_take_identities_in_turn_not_by_score(data):
    assert data.samples(4) == ["set/ada/00", "set/bob/00", "set/eve/00", "set/fay/00"]


def test_worst_clips_start_with_unscored_ones(data):
    assert data.worst(FAILED_CELL[0], LD_MOUTH, 1) == [FAILED_CELL[1]]
    values = [data.value(MAIN, c, LD_MOUTH) for c in data.worst(MAIN, LD_MOUTH, 6)]
    assert values == sorted(values, reverse=True)


def test_worst_clips_link_to_the_player_where_there_is_a_video(data):
    """By hand: one clip is made worst, and is the second of two that can be played."""
    worst = "set/ada/01"
    scores = [
        replace(s, value=-1.0) if (s.system, s.clip_id, s.metric) == (MAIN, worst, LIP_VELOCITY_R.metric_id) else s
        for s in data.scores
    ]
    videos = {(MAIN, "set/ada/00"): "media/1.mp4", (MAIN, worst): "media/2.mp4"}
    table = report_tables.worst_table(replace(data, scores=scores, videos=videos), 3)
    first, second = table.rows[0][2], table.rows[0][3]
    assert (first.text, first.title, first.href) == ("−1.00 in #2", worst, f"#play=set%2Fada%2F01&system={MAIN}")
    assert second.href == "" and "#–" in second.text
    shown = table.shown()[0][2]
    assert shown.href == first.href and shown.sort == "-1.0"


def test_offsets_count_clips_per_frame(data):
    figure = report_plots.offsets(data, LIP_LAG)
    heat = figure.figure.data[0]
    row = list(heat.y).index("Shifted audio (15)")
    assert dict(zip(heat.x, heat.z[row], strict=True))[5] == 1 and sum(heat.z[row]) == 1
    assert f"{data.title(FAILED_CELL[0])} (14)" in heat.y


def test_strata_by_pose_and_language(data):
    """Clips of ada turn 24 degrees and speak Italian; nothing is known of bob's."""
    traces = [replace(t, yaw_deg=-24.0) if "/ada/" in t.clip_id else t for t in data.traces]
    traces = [replace(t, yaw_deg=None) if "/bob/" in t.clip_id else t for t in traces]
    languages = {clip_id: "it" if "/ada/" in clip_id else "en" for clip_id in data.clip_ids if "/bob/" not in clip_id}
    table = report_strata.strata_table(replace(data, traces=traces, languages=languages))
    groups = {(row[0], row[1]): (row[-2], row[-1]) for row in table.rows}
    assert groups == {
        ("head's turn", "under 30°"): (2, 1), ("head's turn", "unknown"): (2, 1), ("head's turn", "under 10°"): (11, 10),
        ("language", "it"): (2, 1), ("language", "unknown"): (2, 1), ("language", "en"): (11, 10),
    }  # fmt: skip
    assert "The same for all clips: set (set), emotion (happy), length (under 4 s)." in table.caption


@pytest.mark.parametrize(
    ("yaw", "label"), [([], "unknown"), ([9.9], "under 10°"), ([10.0], "under 20°"), ([30.0], "30° or more")]
)
def test_turns_fall_into_the_classes_of_the_test_lists(yaw, label):
    assert report_strata.turn_label(yaw) == label


def test_an_unlabelled_clip_is_shown_as_unknown_not_as_neutral(data):
    first = data.clip_ids[0]
    clips = [replace(c, emotion=UNKNOWN, intensity=0.0) if c.clip_id == first else c for c in data.clips]
    rows = report_tables.clip_table(replace(data, clips=clips)).rows
    assert {(row[0].value == first, row[1]) for row in rows} == {(True, "unknown"), (False, "happy 0.8")}
    text = html(replace(data, clips=clips, videos={(MAIN, first): "media/1.mp4"}))
    assert "unknown, 2.0 s" in text and "unknown 0.0" not in text


def test_missing_systems_leave_no_holes(data):
    """A run with sanity systems only still gives a page."""
    keep = {GROUND_TRUTH.name, STILL.name}
    fewer = replace(
        data,
        clips=[c for c in data.clips if c.system in keep], scores=[s for s in data.scores if s.system in keep],
        rows=[r for r in data.rows if r.system in keep], meant_gaps={}, curves={}, stages=(),
    )  # fmt: skip
    assert not set(OURS) & {e.name for e in fewer.systems}
    assert {ok for _, ok, _ in report_results.expectations(fewer)} == {None}
    assert "not measured" in html(fewer)


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"), [(None, 2, False, "–"), (-0.125, 2, False, "−0.12"), (0.5, 1, True, "+0.5")]
)
def test_numbers_for_people(value, digits, signed, text):
    assert report_results.number(value, digits, signed) == text
