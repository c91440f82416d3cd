"""The what-if panel judges as the filter does: every slider position in Python, and real slider moves in a browser."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from benchmarks.audit_scale import full_table, made_up_measures
from evaluation.html import Page
from pipelines.audit import whatif as audit_whatif
from pipelines.audit.whatif import codes_of, front_coded, grid_of, nearness, position_of, sliders_of, what_if
from pipelines.deciding.rules import RULES, Judgement, beyond, evidence, judge
from space_data.params import FilterStage, load_params
from space_data.schema import SegmentSync

REPOSITORY = Path(__file__).resolve().parents[2]
BOUNDS = load_params(REPOSITORY / "params.yaml").filter
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

MOVES = """
const probe = [];
const input = (type, bound, dataset) => document.querySelector(
  `#whatif input[type=${type}][data-bound="${bound}"][data-dataset="${dataset}"]`);
function move(bound, dataset, value) {
  const box = input("number", bound, dataset);
  box.value = value; box.dispatchEvent(new Event("change"));
}
function slide(bound, dataset, steps) {
  const range = input("range", bound, dataset);
  range.value = Number(range.value) + steps; range.dispatchEvent(new Event("input"));
}
function note(name) {
  const byId = (id) => document.getElementById(id), value = (id) => Number(byId(id).dataset.value);
  const bars = [...document.querySelectorAll("#wi-bars .wi-bar")].map((bar) => bar.dataset);
  probe.push({ name, kept: value("wi-kept"), hours: value("wi-hours"), change: value("wi-change"),
    yaml: byId("wi-yaml").textContent,
    note: byId("wi-note").textContent, keep: byId("whatif").keepList(), download: byId("wi-download").disabled,
    reasons: Object.fromEntries(bars.map((bar) => [bar.reason, [Number(bar.total), Number(bar.only)]])) });
}
note("at first");
move("luma_sd", "", "30"); note("one");
slide("face_width_px", "vox2", 60); slide("speech_over_noise_db", "", 40); note("three");
move("lost_share", "", ""); move("max_offset_frames", "", "4"); note("five");
move("notes", "", "1"); note("six");
move("notes", "", ""); note("no doubt");
document.getElementById("wi-reset").click(); note("back");
const shown = Object.assign(document.createElement("pre"), { id: "probe", textContent: JSON.stringify(probe) });
document.body.replaceChildren(shown);
"""


def made_up(n: int, rng: np.random.Generator) -> tuple[pa.Table, pa.Table]:
    ids = pa.array([f"s/{i // 3:04d}, ü#{i % 3}" for i in range(n)])
    measures = made_up_measures(n, rng, ids, ids, rng.random(n) < 0.3)
    offset, confidence = rng.integers(-12, 13, n), rng.normal(0.4, 0.2, n)
    whole, sure = offset + rng.normal(0, 8, n), confidence + rng.normal(0, 0.1, n)
    columns = {"clip_id": ids, "scorer": "x", "offset_frames": offset, "confidence": confidence, "threshold": 0.3,
               "recording_offset_frames": whole, "recording_confidence": sure, "recording_threshold": 0.3,
               "recording_lead": np.maximum(0, rng.normal(0, 0.1, n))}  # fmt: skip
    return measures, full_table(SegmentSync, n, columns)


def judged(tables: tuple[pa.Table, pa.Table], settings: FilterStage = BOUNDS) -> Judgement:
    return judge(evidence(*tables), settings)


def in_browser(judgement: Judgement, folder: Path) -> list[dict[str, Any]]:
    """What the panel shows after each move."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here (chromium, chromium-browser, google-chrome)")
    page = Page("Test")
    page.section("What if").add(what_if(judgement, BOUNDS))
    (folder / "page.html").write_text(page.render().replace("</body>", f"<script>{MOVES}</script></body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run(
        [*command, f"--user-data-dir={folder / 'profile'}", f"file://{folder / 'page.html'}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    probes: list[dict[str, Any]] = json.loads(html.unescape(found[1]))
    return probes


def with_yaml(snippet: str) -> FilterStage:
    """The bounds of params.yaml with the lines that the page prints put over them."""
    raw = yaml.safe_load((REPOSITORY / "params.yaml").read_text())["filter"]
    changes = (yaml.safe_load(snippet) or {}).get("filter", {})
    for dataset, own in changes.pop("overrides", {}).items():
        raw["overrides"][dataset] |= own
    return FilterStage.model_validate(raw | changes)


def kept_hours(judgement: Judgement) -> float:
    return float(judgement.evidence.columns["length_s"][judgement.kept].sum()) / 3600


def test_moved_sliders_show_what_the_filter_would_decide(tmp_path: Path, rng: np.random.Generator) -> None:
    tables = made_up(2000, rng)
    now = judged(tables)
    probes = in_browser(now, tmp_path)
    assert [probe["name"] for probe in probes] == ["at first", "one", "three", "five", "six", "no doubt", "back"]
    for probe in probes:
        then = judged(tables, with_yaml(probe["yaml"]))
        masks = np.stack(list(then.by_reason.values()))
        assert probe["kept"] == int(then.kept.sum()), probe["name"]
        assert probe["hours"] == pytest.approx(kept_hours(then), abs=1e-5)
        assert probe["change"] == int(then.kept.sum()) - int(now.kept.sum())
        expected = {r: [int(m.sum()), int((m & (masks.sum(axis=0) == 1)).sum())] for r, m in then.by_reason.items()}
        assert probe["reasons"] == {r: n for r, n in expected.items() if n[0] or now.by_reason[r].any()}
        assert probe["keep"].splitlines() == [
            "clip_id",
            *(f'"{i}"' for i in then.evidence.ids.filter(pa.array(then.kept)).to_pylist()),
        ]
        assert not probe["download"] and "every figure is exact" in probe["note"]
    assert "luma_sd: {warn: 25, reject: 30}" in probes[1]["yaml"]
    assert "max_offset_frames: 4" in probes[3]["yaml"] and "lost_share: {warn: 0, reject: null}" in probes[3]["yaml"]
    assert "vox2:" in probes[3]["yaml"] and len({probe["kept"] for probe in probes}) == 5
    assert {**probes[-1], "name": ""} == {**probes[0], "name": ""}


def test_of_a_sample_one_bound_is_exact_and_several_are_near(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_whatif, "EMBEDDED", 1500)
    tables = made_up(20_000, rng)
    first, one, three, five, *_, back = in_browser(judged(tables), tmp_path)
    for probe in (first, one, back):
        then = judged(tables, with_yaml(probe["yaml"]))
        assert probe["kept"] == int(then.kept.sum()) and probe["hours"] == pytest.approx(kept_hours(then), abs=1e-2)
    assert one["kept"] != first["kept"] and "exact" in one["note"] and one["download"]
    for probe in (three, five):
        then = judged(tables, with_yaml(probe["yaml"]))
        margin = int(re.search(r"± ([\d,]+) segments", probe["note"])[1].replace(",", ""))  # type: ignore[index]
        assert 0 < margin < 2500 and abs(probe["kept"] - int(then.kept.sum())) < 1.5 * margin
    assert one["keep"] == "clip_id\n"


@pytest.mark.parametrize("is_minimum", [False, True])
def test_every_position_is_judged_as_the_number_itself(is_minimum: bool, rng: np.random.Generator) -> None:
    values = np.concatenate([rng.normal(100, 30, 500).round(1), [np.nan, -1e6, 1e6, 96.0, 160.0]])
    grid = grid_of(values, [96.0, 160.0], False)
    assert {96.0, 160.0} <= set(grid.tolist()) and len(grid) <= 254 and np.all(np.diff(grid) > 0)
    codes = codes_of(values, grid, is_minimum).astype(int)
    for bound in grid:
        p = position_of(float(bound), grid, is_minimum)
        rejected = (codes != 255) & ((codes < p) if is_minimum else (codes > p))
        assert np.array_equal(rejected, beyond(values, np.full(len(values), bound), is_minimum)), bound
    never = position_of(None, grid, is_minimum)
    assert not ((codes != 255) & ((codes < never) if is_minimum else (codes > never))).any()


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([], []),
        ([], [0.5]),
        ([3.0, 3.0], [3.0]),
        ([0.0] * 999 + [0.7], [0.02]),
        ([1e-5, 3e-5], [5e-3, 1e-4]),
        ([np.nan], [-45.0, -55.0]),
    ],
)
def test_grids_of_odd_measures(values: list[float], wanted: list[float]) -> None:
    grid = grid_of(np.array(values, float), wanted, False)
    assert set(wanted) <= set(grid.tolist()) and 1 <= len(grid) <= 254 and np.all(np.diff(grid) > 0)
    assert all(len(repr(g)) <= 12 for g in grid.tolist()), "numbers that a person would type"
    if np.isfinite(values).any() and np.nanmin(values) >= 0 and min(wanted, default=0) >= 0:
        assert grid.min() >= 0


def test_a_whole_number_has_a_grid_of_whole_numbers() -> None:
    assert grid_of(np.array([0.0, 3, 7]), [8.0], True).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def test_overrides_get_sliders_of_their_own_and_idle_ones_none() -> None:
    sliders = sliders_of(["", "synthetic", "vox2"], {1, 2}, BOUNDS)
    mine = {(s.dataset, s.profiles) for s in sliders if RULES[s.rule].bound == "photo_score"}
    assert mine == {("", (2,)), ("synthetic", (1,))}
    only_synthetic = sliders_of(["", "synthetic"], {1}, BOUNDS)
    assert {s.dataset for s in only_synthetic if RULES[s.rule].bound == "photo_score"} == {"synthetic"}


def test_nearness_counts_steps_to_the_turn(rng: np.random.Generator) -> None:
    judgement = judged(made_up(500, rng))
    near = nearness(judgement, BOUNDS)
    assert near.min() >= 0 and near[judgement.by_reason["no_audio"]].min() == 255
    width = judgement.evidence.columns["face_width_px"]
    alone = judgement.by_reason["small_face"] & (np.sum(list(judgement.by_reason.values()), axis=0) == 1)
    ours = alone & (judgement.evidence.dataset == judgement.evidence.datasets.index("mead"))
    order = np.argsort(width[ours])
    assert ours.sum() > 3 and np.all(np.diff(near[ours][order]) <= 0), "the smaller the face, the further"


def test_front_coding() -> None:
    assert front_coded(["ab/1", "ab/2", "c"])["rest"] == ["ab/1", "2", "c"]
    assert front_coded([])["rest"] == []
