"""The stage: a unit per video, failures as rows, a system that is added costs itself alone, files for DVC."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from evaluation.judges import Judges
from evaluation.metrics import Judge
from evaluation.score_clip import CRASHED, DECODE_ERROR, NOT_AVAILABLE, OK, REFERENCE
from pipelines.job.run import Result, merge_units
from pipelines.job.unit import Unit
from pipelines.layout import Layout
from pipelines.stages import evaluate
from pipelines.stages.evaluate import (
    PLOTTED,
    identity_units,
    not_scored,
    present_systems,
    score_units,
    scored,
    video_id,
    video_units,
)
from pipelines.stages.evaluate_merge import Identity, Scored, statistics_of
from space_data.errors import SpaceError
from space_data.media.encode import write_video
from space_data.params import Params, load_params
from space_data.schema import (
    FAILED,
    KEPT,
    REJECTED,
    Aggregate,
    ClipStatistic,
    FeatureClip,
    FeatureFrame,
    IdentityMean,
    Score,
    SynthesizedClip,
    SynthesizedFrame,
    TraceFrame,
)
from space_data.tables import read_table, write_table

SYSTEMS = ("ground_truth", "still")
CLIPS = {"set/a/1": "a", "set/a/2": "a", "set/b/1": "b"}


def row(system: str, clip_id: str, video: str, reference: str, sound: str, n_frames: int = 100) -> SynthesizedClip:
    return SynthesizedClip(
        system, clip_id, clip_id.split("/")[1], "neutral", 1.0, sound, reference, sound, video, n_frames, 512, KEPT, ""
    )  # fmt: skip


@pytest.fixture
def videos(tmp_path: Path) -> list[SynthesizedClip]:
    for name in ("truth.mp4", "sound.wav", "made.mp4"):
        (tmp_path / name).write_text(name)
    made, truth, sound = (str(tmp_path / name) for name in ("made.mp4", "truth.mp4", "sound.wav"))
    return [row(system, clip_id, made, truth, sound) for system in SYSTEMS for clip_id in CLIPS]


def measured(videos: list[SynthesizedClip], folder: Path) -> dict[str, Result]:
    """The first round, all well."""
    units = video_units(videos, ["stand-in"])
    return {unit.unit_id: Result(unit.unit_id, KEPT, content=unit.content, folder=folder) for unit in units}


def test_a_unit_is_one_video_and_a_recording_is_measured_once(videos: list[SynthesizedClip]) -> None:
    names = [unit.unit_id for unit in video_units(videos, ["stand-in"])]
    assert names == sorted(video_id(system, clip) for system in (*SYSTEMS, REFERENCE) for clip in CLIPS)
    by_name = {unit.unit_id: unit for unit in video_units(videos, ["stand-in"])}
    assert by_name[video_id(REFERENCE, "set/a/1")].value.n_frames == 100
    assert by_name[video_id("still", "set/a/1")].value.n_frames is None, "how long a video is is for its score to say"


def test_keys_follow_what_a_unit_reads_and_nothing_else(videos: list[SynthesizedClip], tmp_path: Path) -> None:
    scorer = tmp_path / "scorer.npz"
    scorer.write_bytes(b"coefficients")

    def keys(rows: list[SynthesizedClip], features: str = "stand-in") -> tuple[dict[str, str], dict[str, str]]:
        first = video_units(rows, [features])
        done = {u.unit_id: Result(u.unit_id, KEPT, content=u.content, folder=tmp_path) for u in first}
        second = score_units(rows, done, scorer, Judges())
        return {u.unit_id: u.content for u in first}, {u.unit_id: u.content for u in second}

    before = keys(videos)
    assert keys(videos[::-1]) == before
    fewer = keys([video for video in videos if video.system != "still"])
    assert all(before[i][name] == key for i in (0, 1) for name, key in fewer[i].items()), "systems do not know of each other"
    scorer.write_bytes(b"another fit")
    assert keys(videos)[0] == before[0] and not set(keys(videos)[1].values()) & set(before[1].values())
    assert not set(keys(videos, "inception")[0].values()) & set(before[0].values())
    after = keys(videos)
    Path(videos[0].video).write_text("rendered again")  # of all systems, in this fixture
    again = keys(videos)
    for name in (video_id(REFERENCE, "set/a/1"), video_id("still", "set/a/1")):
        assert (again[0][name] == after[0][name]) == (REFERENCE in name)


def test_systems_that_disagree_on_the_clip_are_refused(videos: list[SynthesizedClip]) -> None:
    videos[0] = replace(videos[0], n_frames=99)
    with pytest.raises(SpaceError, match="disagree"):
        video_units(videos, ["stand-in"])


def test_what_was_never_made_or_cannot_be_read_becomes_rows(videos: list[SynthesizedClip], tmp_path: Path) -> None:
    trace = "Traceback\nValueError: no luck"
    videos[0] = replace(videos[0], status=FAILED, video="", reason="system_failed", detail=trace)
    found = measured(videos, tmp_path)
    broken = video_id("still", "set/a/1")
    found[broken] = Result(broken, REJECTED, "unreadable", "made.mp4: not a video", folder=None)
    crashed = video_id("still", "set/a/2")
    found[crashed] = Result(crashed, FAILED, "worker_died", "", folder=None)
    said = {(one.system, one.clip_id, one.status, one.detail) for one in not_scored(videos, found)}
    assert said == {
        ("ground_truth", "set/a/1", "system_failed", "ValueError: no luck"),
        ("still", "set/a/1", DECODE_ERROR, "made.mp4: not a video"),
        ("still", "set/a/2", CRASHED, "worker_died"),
    }
    (tmp_path / "scorer.npz").write_bytes(b"coefficients")
    left = {unit.unit_id for unit in score_units(videos, found, tmp_path / "scorer.npz", Judges())}
    assert "score/still/set/b/1" in left and not left & {"score/ground_truth/set/a/1", "score/still/set/a/1"}


def test_a_recording_that_cannot_be_measured_costs_its_clip_and_no_other(videos: list[SynthesizedClip], tmp_path: Path) -> None:
    found = measured(videos, tmp_path)
    name = video_id(REFERENCE, "set/a/1")
    found[name] = Result(name, REJECTED, "unreadable", "truth.mp4: no frames", folder=None)
    (tmp_path / "scorer.npz").write_bytes(b"coefficients")
    left = {unit.unit_id for unit in score_units(videos, found, tmp_path / "scorer.npz", Judges())}
    assert left == {f"score/{system}/{clip}" for system in (*SYSTEMS, REFERENCE) for clip in CLIPS if clip != "set/a/1"}
    said = {(one.system, one.clip_id, one.status, one.detail) for one in not_scored(videos, found)}
    assert said == {(system, "set/a/1", NOT_AVAILABLE, "the recording: truth.mp4: no frames") for system in SYSTEMS}


def test_a_crash_costs_one_system_one_clip(videos: list[SynthesizedClip]) -> None:
    lost = Result("score/still/set/b/1", FAILED, "exception", "Traceback\nValueError: no luck", folder=None)
    rows = statistics_of(scored(lost, CLIPS), judges=())
    assert {(r.system, r.clip_id, r.subject, r.status, r.detail) for r in rows} == {
        ("still", "set/b/1", "b", CRASHED, "ValueError: no luck")
    }


def test_systems_stand_in_the_order_of_the_registry_and_strangers_behind(videos: list[SynthesizedClip]) -> None:
    strangers = [replace(videos[0], system=name) for name in ("zeta", "alpha")]
    assert present_systems([*videos[::-1], *strangers]) == ["ground_truth", "still", "alpha", "zeta"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> tuple[Layout, Params]:
    """A run over two portraits of half a second each: a copy of the recording, a still, and a file that is no video."""
    folder = tmp_path_factory.mktemp("evaluate")
    layout, params = Layout.in_folder(folder / "run"), load_params(None, ["job.workers=1"])
    rows = []
    for person in ("a", "b"):
        picture = astronaut if person == "a" else astronaut[:, ::-1]
        frames = [np.ascontiguousarray(np.roll(picture, shift, 0)) for shift in (0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1)]
        sound = folder / f"{person}.wav"
        wavfile.write(sound, 16000, np.zeros(640 * len(frames), np.int16))
        made = {"truth": frames, "ground_truth": frames, "still": [frames[0]] * len(frames)}
        for name, pictures in made.items():
            write_video(folder / f"{person}-{name}.mp4", pictures)
        (folder / f"{person}-broken.mp4").write_text("no video")
        for system in ("ground_truth", "still", "broken"):
            video, truth = (str(folder / f"{person}-{name}.mp4") for name in (system, "truth"))
            made_up = row(system, f"set/{person}/1", video, truth, str(sound), len(frames))
            rows.append(replace(made_up, size_px=frames[0].shape[0]))
    write_table(layout.synthesized_clips, rows, SynthesizedClip)
    write_table(layout.synthesized_tracks, [], SynthesizedFrame)
    write_table(layout.feature_clips, [], FeatureClip)
    write_table(layout.feature_frames, [], FeatureFrame)
    evaluate.run(params, layout)
    return layout, params


def test_the_whole_stage(finished: tuple[Layout, Params]) -> None:
    layout, _ = finished
    rows = read_table(layout.statistics, ClipStatistic)
    assert {r.system for r in rows} == {REFERENCE, "ground_truth", "still", "broken"}
    assert {r.status for r in rows if r.system == "broken"} == {DECODE_ERROR}
    scores = read_table(layout.scores, Score)
    assert len({(s.system, s.clip_id) for s in scores}) == 6 and REFERENCE not in {s.system for s in scores}
    by_cell = {(r.system, r.metric.split("/")[0]): r for r in read_table(layout.aggregates, Aggregate)}
    assert by_cell["ground_truth", "ld_mouth"].mean == 0 and by_cell["ground_truth", "psnr_db"].mean == 100
    assert by_cell["still", "psnr_db"].mean < 40 and by_cell["still", "psnr_db"].n_identities == 2
    broken = by_cell["broken", "ld_mouth"]
    assert (broken.mean, broken.n_ok, broken.n_total) == (None, 0, 2)
    assert by_cell["ground_truth", "frechet_standin"].mean == pytest.approx(0, abs=1e-6)
    assert {s.status for s in scores if s.system == "still" and s.metric.startswith("ld_")} == {OK}
    tree = json.loads((layout.benchmark / "metrics.json").read_text())
    assert list(tree) == ["ground_truth", "still", "broken"] and tree["broken"]["coverage"] == 0
    for metric in PLOTTED:
        lines = list(csv.DictReader((layout.benchmark / "plots" / f"{metric.name}.csv").open()))
        assert [line["system"] for line in lines] == list(tree)


def test_a_system_that_is_added_costs_itself_alone_and_changes_no_other_figure(finished: tuple[Layout, Params]) -> None:
    layout, params = finished
    before, rows = read_table(layout.scores, Score), read_table(layout.synthesized_clips, SynthesizedClip)
    extra = [replace(r, system="somebody", video=r.reference) for r in rows if r.system == "still"]
    write_table(layout.synthesized_clips, [*rows, *extra], SynthesizedClip)
    evaluate.run(params, layout)
    after = read_table(layout.scores, Score)
    assert [s for s in after if s.system != "somebody"] == before
    facts = json.loads(layout.timing("evaluate").read())
    assert facts["computed"] == 2 * len(extra), "measured and scored, for each clip"
    same = {(s.clip_id, s.metric): s.value for s in after if s.system == "ground_truth"}
    assert {(s.clip_id, s.metric): s.value for s in after if s.system == "somebody"} == same


def test_rows_do_not_depend_on_shards_or_workers(finished: tuple[Layout, Params]) -> None:
    """Every table of the stage, from another number of files and of processes; nothing is kept of the run before."""
    layout, params = finished
    tables = {
        layout.statistics: ClipStatistic, layout.traces: TraceFrame, layout.scores: Score,
        layout.identity_means: IdentityMean, layout.aggregates: Aggregate,
    }  # fmt: skip
    before = {place: read_table(place, row_class) for place, row_class in tables.items()}
    assert all(before.values())
    for name in ("evaluate", "evaluate-sets"):
        shutil.rmtree(layout.cache.local() / name)
    evaluate.run(params.model_copy(update={"job": params.job.model_copy(update={"shards": 1, "workers": 2})}), layout)
    assert {place: read_table(place, row_class) for place, row_class in tables.items()} == before
    files = layout.stage("evaluate").local().rglob("part-*.parquet")
    assert {file.parent.name for file in files} == {"statistics", "traces", "scores", "identities", "ledger"}


def test_tables_of_releases_that_wrote_single_files_go(finished: tuple[Layout, Params]) -> None:
    layout, params = finished
    old = layout.stage("evaluate").local() / "scores.parquet"
    old.write_bytes(b"")
    evaluate.run(params, layout)
    assert not old.exists() and read_table(layout.scores, Score)


def test_an_identity_whose_rows_cannot_be_merged_stops_the_stage(finished: tuple[Layout, Params]) -> None:
    """It must not be missing in silence: the tables stay as they were."""
    layout, params = finished
    before = (layout.stage("evaluate") / "manifest.json").read()
    gone = Identity((Scored("still", "set/a/1", "a", str(layout.cache.local() / "nowhere")),), (), (), 512)
    with pytest.raises(SpaceError, match="1 of 1 units failed, more than may"):
        merge_units(evaluate.MERGING, [Unit("a", "content", gone)], params, layout)
    two = [Unit("a", "content", gone), Unit("b", "content", replace(gone, scored=()))]
    with pytest.raises(SpaceError, match="1 of 2 units failed, more than may: its tables would lack them: a: "):
        merge_units(evaluate.MERGING, two, params, layout)
    assert (layout.stage("evaluate") / "manifest.json").read() == before


def test_a_merge_is_of_what_it_reads(videos: list[SynthesizedClip], tmp_path: Path) -> None:
    """One score that is another, or a judge more, is another unit of its identity, and of no other's."""
    found = measured(videos, tmp_path)
    done = [Result(name.replace("measure", "score", 1), KEPT, content="1", folder=tmp_path) for name in found]

    def contents(outcomes: list[Result], judges: tuple[Judge, ...] = ()) -> dict[str, str]:
        return {unit.unit_id: unit.content for unit in identity_units(videos, found, outcomes, judges)}

    before = contents(done)
    assert set(before) == {"a", "b"}
    other = [replace(one, version="2") if one.unit_id == "score/still/set/b/1" else one for one in done]
    assert contents(other)["a"] == before["a"] and contents(other)["b"] != before["b"]
    assert not set(contents(done, ("lpips",)).values()) & set(before.values())
    lost = [replace(one, status=FAILED, folder=None) if one.unit_id == "score/still/set/b/1" else one for one in done]
    units = {unit.unit_id: unit.value for unit in identity_units(videos, found, lost, ())}
    assert sum(not one.folder for one in units["b"].scored) == 1 and {row.status for row in units["b"].ledger} == {KEPT, FAILED}
    assert sum(len(unit.ledger) for unit in units.values()) == len(found) + len(done)


def test_a_second_detector_is_no_feature_that_sets_are_compared_on(
    finished: tuple[Layout, Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had been taken for one, and the stage stopped (``KeyError: features/face_api``)."""
    layout, params = finished

    def sets() -> list[Aggregate]:
        return [row for row in read_table(layout.aggregates, Aggregate) if "standin" in row.metric]

    before = sets()
    monkeypatch.setattr(Judges, "here", lambda folder, detector: Judges(second=folder, detector="face_api"))
    evaluate.run(params, layout)
    assert before and sets() == before
