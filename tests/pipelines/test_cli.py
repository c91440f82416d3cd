"""The command line: help, versions, and errors as one line."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from corpora import touch

from pipelines.cli import Dataset
from pipelines.readers import READERS
from space_data.media.encode import write_wav
from space_data.media.images import write_image
from space_data.media.probe import probe
from space_data.schema import Utterance
from space_data.tables import write_sharded


def space(*arguments: str, cwd: Path | None = None, stderr: IO[str] | int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command, cwd = [sys.executable, "-m", "pipelines.cli", *arguments], cwd or Path(__file__).resolve().parents[2]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=120, cwd=cwd)


def test_help_names_the_commands_and_options() -> None:
    assert "animate" in space("--help").stdout
    shown = space("animate", "--help").stdout
    for option in ("--image", "--audio", "--emotion", "--seed", "--pose", "--generator"):
        assert option in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data", "curate", "/no/such/folder", "--out", "{tmp}/out"], "no such folder"),
        (["data", "curate", "{tmp}", "--out", "{tmp}/out"], "lies inside the input folder"),
        (
            ["animate", "--image", "{tmp}/a.jpg", "--audio", "{tmp}/a.wav", "--out", "{tmp}/o.mp4", "--emotion", "happy:1.5"],
            "0 to 1",
        ),
        (["audit", "diff", "{tmp}", "{tmp}"], "no ledger here"),
        (["audit", "keep", "{tmp}", "--out", "{tmp}/k.csv", "--set", "filter.lengths.reject=1"], "filter.lengths"),
        (["data", "curate", "{tmp}", "--out", "{tmp}/out", "--set", "job.worker=1"], "is job.workers meant"),
        (["data", "curate", "{tmp}", "--out", "{tmp}/out", "--params", "{tmp}/none.yaml"], "none.yaml: no such file"),
        (["animate", "--image", "{tmp}/none.jpg", "--audio", "{tmp}/none.wav", "--out", "{tmp}/o.mp4"], "no such file"),
        (
            ["animate", "--image", "{tmp}/a.jpg", "--audio", "{tmp}/a.wav", "--out", f"{{tmp}}/{'o' * 252}.mp4"],
            "256 bytes, need at most 255",
        ),
        (
            ["animate", "--image", "{tmp}/a.jpg", "--audio", f"{{tmp}}/{'i' * 256}", "--out", "{tmp}/o.mp4"],
            "256 bytes, need at most 255",
        ),
        (["data", "curate", "{tmp}", "--out", f"{{tmp}}/{'out/' * 1000}"], "need at most 2816"),
        (["data", "check", f"{{tmp}}/{'é' * 128}", "--dataset", "folder"], "256 bytes, need at most 255"),
        (["audit", "diff", f"{{tmp}}/{'deep/' * 1000}", "{tmp}"], "need at most 4095"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = space(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error:") and words in lines[0]


VIDEO = "o" * 251 + ".mp4"
"""As long as a name can be: 255 bytes."""


def _tone(seconds: float) -> np.ndarray:
    """Sound at 16 kHz that rises and falls four times a second, as syllables do."""
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * 200 * time_s) * (1 + np.sin(2 * np.pi * 4 * time_s))).astype(np.float32)


@pytest.fixture
def spoken(astronaut, tmp_path: Path) -> tuple[list[str], Path]:
    """Arguments that make the public-domain portrait speak for one second into an empty folder."""
    write_image(tmp_path / "portrait.png", astronaut)
    write_wav(tmp_path / "speech.wav", _tone(1.0))
    out = tmp_path / "made"
    out.mkdir()
    inputs = ["--image", str(tmp_path / "portrait.png"), "--audio", str(tmp_path / "speech.wav")]
    return ["animate", *inputs, "--out", str(out / VIDEO)], out


def test_quiet_leaves_warnings_only(spoken: tuple[list[str], Path], tmp_path: Path) -> None:
    """Ours, without those of native libraries, also where they are written to a file."""
    arguments, out = spoken
    with (tmp_path / "said").open("w") as said:
        done = space(*arguments, "-q", stderr=said)
    assert done.returncode == 0 and done.stdout == ""
    assert [path.name for path in out.iterdir()] == [VIDEO]
    lines = (tmp_path / "said").read_text().splitlines()
    assert lines and all(" warning: " in line for line in lines)
    assert any("face 93 px wide" in line for line in lines)


@pytest.mark.usefixtures("heard_ctrl_c")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_nothing(sent: signal.Signals, status: int, spoken: tuple[list[str], Path]) -> None:
    arguments, out = spoken
    write_wav(out.parent / "speech.wav", _tone(60.0))  # seconds of drawing: the signal does not come too late
    command = [sys.executable, "-m", "pipelines.cli", *arguments]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[2])
    for _ in range(1200):
        if list(out.iterdir()) or running.poll() is not None:
            break
        time.sleep(0.1)
    running.send_signal(sent)
    stderr = running.communicate(timeout=60)[1]
    assert running.returncode == status, stderr
    assert "Traceback" not in stderr
    assert list(out.iterdir()) == []


def test_two_runs_to_one_file_at_once_do_not_meet(spoken: tuple[list[str], Path]) -> None:
    arguments, out = spoken
    command = [sys.executable, "-m", "pipelines.cli", *arguments, "-q"]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, cwd=Path(__file__).resolve().parents[2]) for _ in range(2)]
    parts: set[str] = set()
    while any(process.poll() is None for process in running):
        parts |= {path.name for path in out.iterdir()} - {VIDEO}
        time.sleep(0.02)
    for process in running:
        assert process.communicate()[1] is not None and process.returncode == 0
    assert len(parts) == 2 and all(part.endswith(".part") for part in parts)
    assert [path.name for path in out.iterdir()] == [VIDEO]
    assert probe(out / VIDEO).header_frames == 25


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    done = space("data", "curate", str(tmp_path / "in"), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "no video in this folder" in done.stderr


def test_check_tells_by_its_status_whether_a_corpus_is_consistent(tmp_path: Path) -> None:
    corpus = touch(tmp_path / "r", "Actor_18/01-01-03-01-01-01-18.mp4")
    done = space("data", "check", str(corpus), "--dataset", "ravdess")
    assert done.returncode == 0 and "consistent: 0 errors" in done.stdout and "24" in done.stdout
    touch(corpus, "Actor_18/01-02-03-01-01-01-18.mp4")
    done = space("data", "check", str(corpus), "--dataset", "ravdess", "--json", str(tmp_path / "r.json"), "-q")
    assert done.returncode == 1 and done.stdout == done.stderr == ""
    kinds = [finding["kind"] for finding in json.loads((tmp_path / "r.json").read_text())["findings"]]
    assert kinds == ["impossible", "missing"]
    done = space("data", "check", str(tmp_path / "none"), "--dataset", "mead")
    assert done.returncode == 2 and done.stderr.startswith("error:")


def test_verify_tells_by_its_status_whether_tables_are_sound(tmp_path: Path) -> None:
    done = space("data", "verify", str(tmp_path))
    assert done.returncode == 2 and "holds no tables" in done.stderr
    write_sharded(tmp_path / "ingest" / "utterances", [], Utterance, 2)
    done = space("data", "verify", str(tmp_path), "-q")
    assert done.returncode == 0 and done.stdout == done.stderr == ""
    shard = tmp_path / "ingest" / "utterances" / "part-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    done = space("data", "verify", str(tmp_path), "-q")
    assert done.returncode == 1 and done.stdout == f"{shard}: its bytes have changed since it was written\n" and not done.stderr


def test_every_reader_can_be_named() -> None:
    assert {dataset.value for dataset in Dataset} == set(READERS)
