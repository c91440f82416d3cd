"""What `space animate` says to input that is wrong: ``python -m benchmarks.animate_bad_input``.

Each kind is made in a folder of its own and given to the command as a program of its own. It must end with status 2 and one line
that starts with "error:", and leave nothing behind. Printed is what it said; status 1 if a kind did otherwise.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from space_data.media.encode import write_video, write_wav
from space_data.media.images import write_image
from space_data.progress import track

Make = Callable[[Path], list[str]]
"""Makes files in a folder and gives the options that differ from sound ones."""


def file(option: str, name: str, content: bytes | str) -> Make:
    """A file of some content, given as ``option``."""

    def make(folder: Path) -> list[str]:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return [option, str(folder / name)]

    return make


def options(*arguments: str) -> Make:
    """Options alone; FOLDER stands for the folder."""
    return lambda folder: [argument.replace("FOLDER", str(folder)) for argument in arguments]


def picture(rgb: np.ndarray) -> Make:
    """A portrait."""

    def make(folder: Path) -> list[str]:
        write_image(folder / "bad.png", rgb)
        return ["--image", str(folder / "bad.png")]

    return make


def sound(samples: np.ndarray) -> Make:
    """Speech."""

    def make(folder: Path) -> list[str]:
        write_wav(folder / "bad.wav", samples.astype(np.float32))
        return ["--audio", str(folder / "bad.wav")]

    return make


def cut_off(option: str, source: str, share: float) -> Make:
    """The first part of a sound file's bytes."""

    def make(folder: Path) -> list[str]:
        data = (folder.parent / source).read_bytes()
        (folder / source).write_bytes(data[: int(share * len(data))])
        return [option, str(folder / source)]

    return make


def silent_video(folder: Path) -> list[str]:
    """A video without sound, as speech."""
    write_video(folder / "mute.mp4", [np.zeros((64, 64, 3), np.uint8)] * 5)
    return ["--audio", str(folder / "mute.mp4")]


def faceless_video(folder: Path) -> list[str]:
    """A video without a face, as driver."""
    write_video(folder / "grey.mp4", [np.full((64, 64, 3), 128, np.uint8)] * 5)
    return ["--pose", str(folder / "grey.mp4")]


def other_parquet(folder: Path) -> list[str]:
    """A table that is no tracks."""
    pq.write_table(pa.table({"a": [1]}), folder / "other.parquet")
    return ["--from", str(folder / "other.parquet")]


def folder_as(option: str, name: str) -> Make:
    """A folder where a file is needed."""

    def make(folder: Path) -> list[str]:
        (folder / name).mkdir()
        return [option, str(folder / name)]

    return make


def kinds(portrait: np.ndarray) -> dict[str, Make]:
    """All that is tried."""
    tilted = np.ascontiguousarray(np.rot90(portrait))[:, ::-1]
    return {
        "no such picture": options("--image", "FOLDER/none.png"), "empty picture": file("--image", "a.png", b""),
        "text as picture": file("--image", "a.jpg", "hello"), "picture broken off": cut_off("--image", "portrait.png", 0.4),
        "folder as picture": folder_as("--image", "a.png"), "one colour": picture(np.full((300, 300, 3), 128, np.uint8)),
        "noise": picture(np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)),
        "one pixel": picture(np.zeros((1, 1, 3), np.uint8)), "tiny face": picture(portrait[::8, ::8]),
        "half a face": picture(portrait[:, :226]), "sound as picture": cut_off("--image", "speech.wav", 1.0),
        "huge header": file("--image", "a.bmp", b"BM" + b"\xff" * 60),
        "a signature alone": file("--image", "a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 90),
        "no such sound": options("--audio", "FOLDER/none.wav"), "empty sound": file("--audio", "a.wav", b""),
        "text as sound": file("--audio", "a.mp3", "hello" * 99), "silence": sound(np.zeros(16_000)),
        "shorter than a frame": sound(np.full(300, 0.1)), "header alone": cut_off("--audio", "speech.wav", 0.001),
        "picture as sound": cut_off("--audio", "portrait.png", 1.0), "video without sound": silent_video,
        "no such sound track": options("--audio-track", "3"), "folder as sound": folder_as("--audio", "a.wav"),
        "unknown emotion": options("--emotion", "joyful"), "intensity of 2": options("--emotion", "happy:2"),
        "emotion twice": options("--emotion", "happy:0.1+happy:0.2"), "emotion without a number": options("--emotion", "happy:"),
        "no such pose": options("--pose", "sideways"), "pose of text": file("--pose", "a.csv", "hello"),
        "pose without columns": file("--pose", "a.csv", "time_s,yaw_deg\n0,1\n"),
        "pose back in time": file("--pose", "a.csv", "time_s,yaw_deg,pitch_deg,roll_deg\n1,0,0,0\n0,0,0,0\n"),
        "pose of NaN": file("--pose", "a.csv", "time_s,yaw_deg,pitch_deg,roll_deg\n0,nan,0,0\n"),
        "driver without a face": faceless_video, "blinks of text": options("--blinks", "often"),
        "blinks of 1,000 a minute": options("--blinks", "1000"), "gaze behind": options("--gaze", "170,0"),
        "gain below zero": options("--mouth-gain", "-1"), "offset of two numbers": options("--pose-offset", "1,2"),
        "timeline of text": file("--timeline", "a.yaml", "hello"),
        "timeline of an unknown control": file("--timeline", "a.yaml", "a: []"),
        "timeline that jumps back": file("--timeline", "a.yaml", "gaze: [{time_s: 2}, {time_s: 1}]"),
        "timeline broken off": file("--timeline", "a.yaml", "gaze: [{time_s: 2"),
        "no such tracks": options("--from", "FOLDER/none.parquet"), "another table as tracks": other_parquet,
        "odd size": options("--size", "333"), "size of 5": options("--size", "5"),
        "video as .avi": options("--out", "FOLDER/a.avi"),
        "out is a folder": folder_as("--out", "a.mp4"), "out below a file": options("--out", "FOLDER/../speech.wav/a.mp4"),
        "out is the input": options("--out", "FOLDER/../portrait.mp4", "--image", "FOLDER/../portrait.mp4"),
        "tracks as .csv": options("--tracks", "FOLDER/a.csv"), "no such models": options("--models", "FOLDER/none"),
        "no such calibration": options("--calibration", "FOLDER/none"), "unknown key": options("--set", "animate.blink=1"),
        "key out of range": options("--set", "animate.blinks_per_min=-5"),
        "weights that are not there": options("--generator", "liveportrait"),
        "head on its side and mirrored": picture(tilted[:, :200]),
    }  # fmt: skip


def main() -> int:
    """Print the table."""
    from skimage.data import astronaut

    table, bad = Table("kind", "status", "what it says"), 0
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        write_image(root / "portrait.png", astronaut())
        (root / "portrait.mp4").write_bytes((root / "portrait.png").read_bytes())
        time_s = np.arange(16_000) / 16_000
        write_wav(root / "speech.wav", (0.3 * np.sin(2 * np.pi * 120 * time_s) * np.sin(9 * time_s)).astype(np.float32))
        for name, make in track(list(kinds(astronaut()).items()), "kinds"):
            folder = root / "case"
            folder.mkdir()
            sound_ones = {"--image": root / "portrait.png", "--audio": root / "speech.wav", "--out": folder / "out.mp4"}
            asked = make(folder)
            before = sorted(folder.rglob("*"))
            command = [sys.executable, "-m", "pipelines.cli", "animate", "-q"]
            command += [str(part) for pair in sound_ones.items() for part in pair] + asked
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            lines = [line for line in done.stderr.splitlines() if "warning:" not in line]
            is_right = done.returncode == 2 and len(lines) == 1 and lines[0].startswith("error:")
            is_right = is_right and sorted(folder.rglob("*")) == before
            bad += not is_right
            said = " ".join(lines).replace(str(folder), "…").replace(str(root), "…")
            table.add_row(name, f"{done.returncode}" if is_right else f"{done.returncode} WRONG", said[:160])
            subprocess.run(["rm", "-r", str(folder)], check=True)
    Console(width=190).print(table)
    print(f"{table.row_count} kinds, {bad} not as they must be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
