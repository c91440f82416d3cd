"""The stage's pure parts: units, failures as rows, any sharding the same figures, files for DVC."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.frame_features import DctColour
from evaluation.score_clip import NOT_AVAILABLE, OK, REFERENCE, clip_metrics
from evaluation.systems import SYSTEM_NAMES
from pipelines.job.run import Result
from pipelines.layout import Layout
from pipelines.stages.evaluate import PLOTTED, aggregate_all, collect, failed_clip, units_of, write_for_dvc
from space_data.errors import SpaceError
from space_data.params import Evaluate
from space_data.schema import FAILED, KEPT, Score, SynthesizedClip, TraceFrame
from space_data.store import Place
from space_data.tables import write_table

SETTINGS = Evaluate(
    ssim_every_frames=5, frechet_every_frames=5, min_found_share=0.9, weights="absent", bootstrap_draws=100, seed=0
)
SYSTEMS = ("ground_truth", "still")
CLIPS = {"set/a/1": "a", "set/a/2": "a", "set/b/1": "b"}


@pytest.fixture
def videos(tmp_path) -> list[SynthesizedClip]:
    for name in ("truth.mp4", "sound.wav", "made.mp4"):
        (tmp_path / name).write_text(name)
    return [
        SynthesizedClip(
            system, clip_id, subject, "neutral", 1.0, "sound.wav", str(tmp_path / "truth.mp4"), str(tmp_path / "sound.wav"),
            str(tmp_path / "made.mp4"), 100, 512, KEPT, "",
        )
        for system in SYSTEMS
        for clip_id, subject in CLIPS.items()
    ]  # fmt: skip


@pytest.fixture
def scorer(tmp_path) -> Path:
    (tmp_path / "scorer.npz").write_bytes(b"coefficients")
    return tmp_path / "scorer.npz"


def finished(clip_id: str, folder: Path, rng: np.random.Generator) -> Result:
    """What a worker leaves behind for one clip."""
    folder.mkdir(parents=True)
    rows = [
        Score(system, clip_id, CLIPS[clip_id], metric.metric_id, float(rng.normal()), 100, OK, "")
        for system in SYSTEMS
        for metric in clip_metrics(512, SETTINGS)
    ]
    write_table(folder / "scores.parquet", rows, Score)
    traces = [TraceFrame(REFERENCE, clip_id, i, True, 0.1, 0.3, 0.0, 0.0, 0.0, 256.0, 330.0, 90.0) for i in range(3)]
    write_table(folder / "traces.parquet", traces, TraceFrame)
    real = rng.normal(size=(20, 5)).astype(np.float32)
    np.savez(folder / "features.npz", **{REFERENCE: real, "ground_truth": real, "still": real + 1})
    return Result(clip_id, KEPT, folder=folder)


def test_a_unit_holds_all_systems_of_a_clip(videos, scorer):
    units = units_of(videos, scorer, "stand-in")
    assert [u.unit_id for u in units] == sorted(CLIPS)
    assert set(units[0].value.clip.videos) == set(SYSTEMS)


def test_a_failed_rendering_stays_in_as_absent(videos, scorer):
    trace = "Traceback\nValueError: no luck"
    failed = [replace(v, status=FAILED, video="", detail=trace) if v.system == "still" else v for v in videos]
    assert units_of(failed, scorer, "stand-in")[0].value.clip.absent == {"still": "not synthesized: ValueError: no luck"}
    assert units_of(failed, scorer, "stand-in")[0].value.clip.videos["still"] is None
    assert units_of(failed, scorer, "stand-in")[0].content != units_of(videos, scorer, "stand-in")[0].content


def test_content_follows_videos_and_scorer(videos, scorer):
    before = units_of(videos, scorer, "stand-in")[0].content
    assert units_of(videos[::-1], scorer, "stand-in")[0].content == before
    scorer.write_bytes(b"another fit")
    after_scorer = units_of(videos, scorer, "stand-in")[0].content
    Path(videos[0].video).write_text("rendered again")
    assert len({before, after_scorer, units_of(videos, scorer, "stand-in")[0].content}) == 3


def test_systems_that_disagree_on_the_clip_are_refused(videos, scorer):
    videos[0] = replace(videos[0], n_frames=99)
    with pytest.raises(SpaceError, match="disagree"):
        units_of(videos, scorer, "stand-in")


def test_a_lost_clip_becomes_rows(videos, tmp_path, rng):
    outcomes = [finished(clip_id, tmp_path / str(i), rng) for i, clip_id in enumerate(sorted(CLIPS)[:2])]
    lost = Result("set/b/1", FAILED, "exception", "Traceback\nValueError: no luck")
    scores, _, features = collect([*outcomes, lost], videos, SETTINGS)
    rows = [s for s in scores if s.clip_id == "set/b/1"]
    assert len(rows) == len(SYSTEMS) * len(clip_metrics(512, SETTINGS))
    assert {(r.status, r.value, r.detail) for r in rows} == {(NOT_AVAILABLE, None, "ValueError: no luck")}
    aggregates = aggregate_all(scores, features, DctColour(), 512, SETTINGS)
    assert {(a.n_ok, a.n_total) for a in aggregates} == {(2, 3)}


def test_failures_without_a_detail_say_the_reason(videos):
    assert failed_clip(videos[:1], Result("set/a/1", FAILED, "timed_out"), SETTINGS)[0].detail == "timed_out"


def test_any_order_of_workers_gives_the_same_figures(videos, tmp_path, rng):
    outcomes = [finished(clip_id, tmp_path / str(i), rng) for i, clip_id in enumerate(sorted(CLIPS))]
    results = []
    for order in (outcomes, outcomes[::-1]):
        scores, _, features = collect(order, videos, SETTINGS)
        results.append(aggregate_all(scores, features, DctColour(), 512, SETTINGS))
    assert results[0] == results[1]
    frechet = {a.system: a.mean for a in results[0] if a.metric.startswith("frechet_standin/")}
    assert frechet["ground_truth"] == pytest.approx(0, abs=1e-6) and frechet["still"] == pytest.approx(5, rel=1e-4)


def test_files_for_dvc(videos, tmp_path, rng):
    outcomes = [finished(clip_id, tmp_path / str(i), rng) for i, clip_id in enumerate(sorted(CLIPS))]
    scores, _, features = collect(outcomes, videos, SETTINGS)
    layout = replace(Layout(), reports=Place.of(tmp_path / "reports"))
    write_for_dvc(aggregate_all(scores, features, DctColour(), 512, SETTINGS), layout)
    tree = json.loads((layout.benchmark / "metrics.json").read_text())
    assert list(tree) == [name for name in SYSTEM_NAMES if name in SYSTEMS]
    assert all(branch["coverage"] == 1.0 for branch in tree.values())
    for metric in PLOTTED:
        lines = list(csv.DictReader((layout.benchmark / "plots" / f"{metric.metric_id.split('/')[0]}.csv").open()))
        assert [line["system"] for line in lines] == list(tree)
