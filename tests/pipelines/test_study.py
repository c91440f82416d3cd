"""``space study``: three commands from videos to a report, from folders and from a finished run; errors as one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_up_study import CLIPS, COLOURS, FRAMES, RECORDED, sources_in
from typer.testing import CliRunner

from evaluation.study.database import Vote, Votes
from evaluation.study.manifest import StudyFolder
from pipelines.layout import Layout
from pipelines.study import app
from space_data.errors import SpaceError
from space_data.media.encode import write_wav
from space_data.schema import FAILED, KEPT, SynthesizedClip
from space_data.store import Place
from space_data.tables import write_table


def space_study(*arguments: str | Path) -> str:
    """What a command prints; a ``SpaceError`` of it is raised, as `main` catches it."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("systems")
    sources_in(root)
    return root


def folders(systems: Path) -> list[str]:
    return [text for name in COLOURS for text in ("--videos", f"{name}={systems / name}")]


def test_from_folders_to_a_report(systems: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    told = space_study("build", out, *folders(systems), "--recording", RECORDED, "--raters", "3", "--trials-per-rater", "4",
                       "--catch-trials", "1", "--questions", "preference")  # fmt: skip
    assert "3 pairs x 2 clips" in told and "study.json" in told
    study = StudyFolder(out).read()
    votes = Votes(StudyFolder(out).votes, study)
    for _ in range(3):
        session = votes.begin()
        for trial in study.lists[session.list_number].trials:
            votes.add_vote(Vote(session.rater, trial.id, "preference", trial.right_answer if trial.catch else "tie", 5.0, 1))
    votes.close()
    told = space_study("analyse", out)
    assert "3 of 3 raters count" in told and "zebra over quagga 50 %" in told
    assert (out / "analysis" / "index.html").is_file()
    assert json.loads((out / "analysis" / "results.json").read_text())["study"] == study.study_id


def test_from_a_finished_run(systems: Path, tmp_path: Path) -> None:
    layout = Layout(data=Place.of(tmp_path))
    rows = []
    for name, system in (("zebra", "ours"), ("quagga", "still"), (RECORDED, "ground_truth")):
        for number, clip in enumerate(CLIPS):
            video = f"synthesize/{system}/{number}.mp4"
            (tmp_path / video).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / video).write_bytes((systems / name / f"{clip}.mp4").read_bytes())
            write_wav(tmp_path / f"{number}.wav", np.zeros(FRAMES * 640, np.float32))
            status = FAILED if (system, number) == ("ours", 1) else KEPT
            sound = f"{number}.wav"
            rows.append(SynthesizedClip(system, clip, "s", "happy", 1.0, sound, video, sound, video, FRAMES, 64, status, ""))
    write_table(layout.synthesized_clips, rows, SynthesizedClip)
    told = space_study("build", tmp_path / "study", "--benchmark", tmp_path, "--pair", "ours:still", "--trials-per-rater", "1")
    assert f"left out: clip {CLIPS[1]}, not in ours" in told
    study = StudyFolder(tmp_path / "study").read()
    assert study.systems == ("ours", "still") and study.clips == (CLIPS[0],)
    assert all(sum(trial.catch is not None for trial in one.trials) == 3 for one in study.lists), "made from ground_truth"


TWO = ["--videos", "zebra={systems}/zebra", "--videos", "quagga={systems}/quagga"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "need --videos SYSTEM=FOLDER twice or more, or --benchmark DIR"),
        (["--videos", "a={tmp}"], "no clip in it"),
        (["--videos", "{tmp}"], "need SYSTEM=FOLDER"),
        (["--benchmark", "{tmp}"], "no benchmark here"),
        (TWO[:2], "need two or more"),
        (TWO, "catch trials need recordings"),
        ([*TWO, "--recording", "gnu"], "no such system"),
        ([*TWO, "--catch-trials", "0"], "need at most 2"),
        ([*TWO, "--consent", "{tmp}/none"], "cannot be read"),
    ],
)
def test_bad_input_is_told(arguments: list[str], words: str, systems: Path, tmp_path: Path) -> None:
    given = [argument.format(tmp=tmp_path, systems=systems) for argument in arguments]
    with pytest.raises(SpaceError, match=words):
        space_study("build", tmp_path / "study", *given)
    assert not (tmp_path / "study").exists()


def test_a_folder_that_is_no_study_is_told(tmp_path: Path) -> None:
    for command in ("serve", "analyse"):
        with pytest.raises(SpaceError, match="no study here"):
            space_study(command, tmp_path)
