"""The command line: help, versions, and errors as one line."""

import subprocess
import sys
from pathlib import Path

import pytest


def space(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd or Path(__file__).resolve().parents[2])


def test_help_names_the_commands_and_options() -> None:
    assert "animate" in space("--help").stdout
    shown = space("animate", "--help").stdout
    for option in ("--image", "--audio", "--emotion", "--seed", "--pose", "--renderer"):
        assert option in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data", "curate", "/no/such/folder", "--out", "{tmp}/out"], "no such folder"),
        (["data", "curate", "{tmp}", "--out", "{tmp}/out"], "lies inside the input folder"),
        (["animate", "--image", "{tmp}/none.jpg", "--audio", "{tmp}/none.wav", "--out", "{tmp}/o.mp4"], "no such file"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = space(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error:") and words in lines[0]


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    done = space("data", "curate", str(tmp_path / "in"), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "no video in this folder" in done.stderr
