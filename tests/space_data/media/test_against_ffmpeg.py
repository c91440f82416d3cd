"""Every kind of file on the shelf: our decoding, and that of FFmpeg's program, against what went into it.

The truth is how the file was made; the program says that the truth is no invention of ours. Where it differs by design the kind
says so (``unlike_ffmpeg``).
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from media_kinds import KINDS, Truth
from media_shelf import HEIGHT, WIDTH, Samples, number_of
from numpy.typing import NDArray
from scipy.signal import correlate

from space_data.media.probe import probe
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video

HZ = 48_000
"""Fine enough to see lags of 0.02 ms, which is a tenth of a radian at 1 kHz."""
Shelf = Callable[[str], tuple[Path, Truth]]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Makes a kind when it is first asked for; the file and what is in it."""
    folder, made = tmp_path_factory.mktemp("shelf"), dict[str, tuple[Path, Truth]]()

    def get(kind: str) -> tuple[Path, Truth]:
        if kind not in made:
            made[kind] = folder / kind, KINDS[kind](folder / kind)
        return made[kind]

    return get


@dataclass(frozen=True)
class Played:
    """What a decoder makes of a file."""

    pictures: list[tuple[float, int]]
    sound: Samples


Play = Callable[[str], Played]


@pytest.fixture(scope="session")
def ours(shelf: Shelf) -> Play:
    """Plays a kind by our media layer."""

    @cache
    def play(kind: str) -> Played:
        path, _ = shelf(kind)
        info = probe(path)
        pictures = [(frame.pts_s, number_of(frame.rgb)) for frame in decode_video(path)] if info.has_video else []
        return Played(pictures, decode_audio(path, HZ) if info.has_audio else np.zeros(0, np.float32))

    return play


@pytest.fixture(scope="session")
def ffmpeg(shelf: Shelf) -> Play:
    """Plays a kind by FFmpeg's program: both streams in one run, so that they share their zero; which ones it chooses itself."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("FFmpeg's program is not installed")

    @cache
    def play(kind: str) -> Played:
        path, truth = shelf(kind)
        command: list[str | Path] = ["ffmpeg", "-hide_banner", "-nostdin", "-y", "-i", path]
        raw, pcm = path.with_name(f"{kind}.rgb"), path.with_name(f"{kind}.f32")
        if truth.numbers:
            command += ["-an", "-vf", f"showinfo,scale={WIDTH}:{HEIGHT}", "-fps_mode", "passthrough", "-enc_time_base", "-1"]
            command += ["-pix_fmt", "rgb24", "-f", "rawvideo", raw]
        if truth.sounds:
            command += ["-vn", "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", str(HZ), "-f", "f32le", pcm]
        done = subprocess.run(command, capture_output=True, timeout=60)
        log = done.stderr.decode(errors="replace")
        assert done.returncode == 0, log[-500:]
        times_s = [float(at_s) for at_s in re.findall(r"Parsed_showinfo.* pts_time:([-\d.e]+)", log)]
        frames = np.fromfile(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3) if truth.numbers else ()
        sound = np.fromfile(pcm, np.float32) if truth.sounds else np.zeros(0, np.float32)
        return Played(list(zip(times_s, map(number_of, frames), strict=True)), sound)

    return play


def assert_pictures(pictures: list[tuple[float, int]], truth: Truth) -> None:
    """Times and numbers of pictures against what is shown; damage may cost pictures, never time."""
    times_s, numbers = [at_s for at_s, _ in pictures], [number for _, number in pictures]
    if not truth.numbers:
        assert not pictures
        return
    assert np.all(np.diff(times_s) > 0)
    if not truth.lossy_frames:
        assert numbers == truth.numbers
        np.testing.assert_allclose(times_s, truth.times_s, atol=truth.slack_s)
        np.testing.assert_allclose(np.diff(times_s), np.diff(truth.times_s), atol=0.03)
        return
    allowed = len(truth.numbers) - truth.lossy_frames
    assert allowed <= len(numbers) <= len(truth.numbers)
    distances_s = np.abs(np.subtract.outer(times_s, truth.times_s)).min(axis=1)
    assert distances_s.max() <= truth.slack_s
    shown = dict(zip(truth.numbers, truth.times_s, strict=True))
    assert sum(number in shown and abs(shown[number] - at_s) <= truth.slack_s for at_s, number in pictures) >= allowed


def assert_sound(sound: Samples, truth: Truth) -> None:
    """Length within the padding to whole packets, and each stretch of the sound where it belongs."""
    assert -0.03 - truth.missing_s <= len(sound) / HZ - truth.sound_s <= 0.06 + truth.slack_s
    for at_s, samples in truth.sounds:
        ends_s = [at_s, *(edge_s for hole in truth.holes_s for edge_s in hole), at_s + len(samples) / 44_100]
        for begin_s, end_s in zip(ends_s[::2], ends_s[1::2], strict=True):
            times_s = np.arange(round(begin_s * HZ), round(end_s * HZ)) / HZ
            if end_s - begin_s > 0.1:
                # Linear interpolation is exact enough below 2 kHz.
                want = np.interp(times_s - at_s, np.arange(len(samples)) / 44_100, samples)
                assert likeness(sound, want, round(begin_s * HZ), round(truth.slack_s * HZ)) > 0.98


def likeness(sound: Samples, want: NDArray[np.float64], at: int, slack: int) -> float:
    """Highest correlation of ``want`` with what is heard from about sample ``at`` on."""
    around = np.concatenate([np.zeros(max(0, slack - at)), sound[max(0, at - slack) : at + slack + len(want)]])
    around = np.pad(around, (0, max(0, len(want) + 2 * slack - len(around))))
    energy = correlate(around**2, np.ones(len(want)), "valid")
    return float((correlate(around, want, "valid") / np.sqrt(energy * (want @ want) + 1e-9)).max())


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_shown_at_their_times(kind: str, shelf: Shelf, ours: Play) -> None:
    assert_pictures(ours(kind).pictures, shelf(kind)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_sound_is_heard_at_its_time(kind: str, shelf: Shelf, ours: Play) -> None:
    assert_sound(ours(kind).sound, shelf(kind)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_ffmpegs_program_plays_it_so_too(kind: str, shelf: Shelf, ours: Play, ffmpeg: Play) -> None:
    truth, played = shelf(kind)[1], ffmpeg(kind)
    if truth.unlike_ffmpeg:
        assert len(played.pictures) == len(ours(kind).pictures)
        return
    late_s = (
        min(played.pictures[0][0] - at_s for at_s in truth.times_s if at_s <= played.pictures[0][0]) if truth.numbers else 0.0
    )
    if kind.endswith((".mkv", ".webm")) and late_s < 0.03:  # it takes the priming of AAC and Opus there for time, of both streams
        played = Played([(at_s - late_s, number) for at_s, number in played.pictures], played.sound[round(late_s * HZ) :])
    assert_pictures(played.pictures, truth)
    assert_sound(played.sound, truth)
