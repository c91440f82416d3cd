"""Motion in a process of its own: the same video without torch in this one, its errors here, and no process left behind."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from space_data.media.encode import write_wav
from space_data.media.images import write_image
from space_data.params import load_params
from space_models.animate import ASSETS, animate
from space_models.motion_process import can_start
from space_models.tracks import Tracks

PARAMS = load_params(None, ["animate.speech_encoder=log-mel"])

FRESH = """
import sys
from pathlib import Path
from space_data.params import load_params
from space_models.animate import animate
from space_models.motion_process import can_start
assert can_start()
folder, tracks = Path(sys.argv[1]), sys.argv[2:]
params = load_params(None, ["animate.speech_encoder=log-mel"])
inputs = {"image": folder / "a.png", "audio": folder / "a.wav", "from_tracks": Path(tracks[0]) if tracks else None}
animate(**inputs, out=folder / "fresh.mp4", params=params, seed=3, tracks=folder / "fresh.parquet")
print("torch" in sys.modules)
"""
ASKED = """
import os, signal, sys
from pathlib import Path
from space_data.errors import SpaceError
from space_data.params import load_params
from space_models.controls.asked import Controls
from space_models.motion_process import MotionProcess, can_start
folder, models, is_killed = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "1"
params = load_params(None, ["animate.speech_encoder=log-mel"])
assert can_start()
with MotionProcess(models, params, None) as process:
    if is_killed:
        os.kill(process._process.pid, signal.SIGKILL)
    if is_killed or not models.exists():
        process._process.join(60)
    from space_models.portrait import load_portrait
    from space_models.speech_file import load_speech
    from space_models.tracks import Tracks
    portrait, speech = load_portrait(folder / "a.png"), load_speech(folder / "a.wav")
    process.ask(
        tracks=Tracks.at_rest(portrait, speech.features), portrait=portrait, speech=speech, params=params,
        controls=Controls(pose=str(folder / "pose.csv")), complete=True,
    )
    try:
        process.answer()
    except (SpaceError, ChildProcessError) as error:
        print(type(error).__name__, "".join(getattr(error, "__notes__", [])).count("in _serve"), error)
assert process._process.exitcode is not None
"""
KILLED = """
import time
from pathlib import Path
from space_data.params import load_params
from space_models.motion_process import MotionProcess
with MotionProcess(Path("none"), load_params(), None) as process:
    print(process._process.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Path:
    """A portrait and half a second of a buzz."""
    folder = tmp_path_factory.mktemp("inputs")
    write_image(folder / "a.png", astronaut)
    time_s = np.arange(12 * 640) / 16_000
    (folder / "pose.csv").write_text("time_s\n0\n")
    write_wav(folder / "a.wav", (0.3 * np.sign(np.sin(2 * np.pi * 120 * time_s))).astype(np.float32))
    return folder


def fresh(code: str, *arguments: object) -> str:
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_bytes_as_in_one_process_and_no_torch_in_this_one(folder: Path) -> None:
    assert torch is not None and not can_start(), "so it is made in this process"
    animate(
        image=folder / "a.png", audio=folder / "a.wav", out=folder / "here.mp4", params=PARAMS, seed=3,
        tracks=folder / "here.parquet",
    )  # fmt: skip
    assert fresh(FRESH, folder) == "False\n"
    assert (folder / "fresh.mp4").read_bytes() == (folder / "here.mp4").read_bytes()
    assert Tracks.read(folder / "fresh.parquet").sha256() == Tracks.read(folder / "here.parquet").sha256()
    assert fresh(FRESH, folder, folder / "here.parquet") == "False\n", "of tracks"
    assert (folder / "fresh.mp4").read_bytes() == (folder / "here.mp4").read_bytes()


@pytest.mark.parametrize(
    ("models", "is_killed", "said"),
    [
        ("none", False, "SpaceError 1 "),  # it has failed before it is asked
        (ASSETS, False, "SpaceError 1 "),
        (ASSETS, True, "ChildProcessError 0 the process that makes the motion ended with status -9"),
    ],
)  # fmt: skip
def test_its_errors_are_raised_here_and_a_kill_is_no_fault_of_the_input(
    models: Path | str, is_killed: bool, said: str, folder: Path
) -> None:
    told = fresh(ASKED, folder, models, int(is_killed))
    assert told.startswith(said), told
    if not is_killed:
        assert ("no such model" if models == "none" else "pose.csv") in told


def test_it_ends_when_who_asks_is_killed() -> None:
    asking = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True)
    assert asking.stdout is not None
    child = int(asking.stdout.readline())
    asking.kill()
    asking.wait()
    until = time.monotonic() + 60
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split(")")[1].split()[0]:
        assert time.monotonic() < until, "left behind"
        time.sleep(0.05)
