"""A live camera: faces by time of arrival, a pipe that pauses and comes back, and no step that is too large."""

import os
import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.media.live import is_live
from space_data.timebase import VIDEO_FPS, frames_in
from space_models.live_camera import DELAY_S, LONGEST_STEP_S, Arrivals, LiveCamera
from space_models.portrait import Portrait, load_portrait
from space_models.switch import FADE_S, CameraFrame, Switch, camera_frame
from space_models.tracks import EDITED, Tracks

STEP_S = 1 / VIDEO_FPS


def face(value: float) -> CameraFrame:
    return CameraFrame(np.full((78, 3), value, np.float32), np.full(7, value, np.float32))


def test_between_two_pictures_the_face_is_between_them() -> None:
    arrivals = Arrivals()
    for index in range(5):
        arrivals.add(0.1 * index, face(index))
    between = arrivals.at(0.125)
    assert between is not None and between.normalised == pytest.approx(1.25) and between.pose == pytest.approx(1.25)
    assert arrivals.at(-0.1) is None and arrivals.at(0.45) is None, "none yet, none any more"
    arrivals.add(0.5, None)
    arrivals.add(0.6, face(6))
    assert arrivals.at(0.45) is None and arrivals.at(0.55) is None, "a picture without a face"
    arrivals.add(0.6 + 2 * LONGEST_STEP_S, face(7))
    assert arrivals.at(0.7) is None, "too long between"


def test_what_is_kept_is_bounded() -> None:
    arrivals = Arrivals()
    for index in range(10_000):
        arrivals.add(0.04 * index, face(index))
    assert len(arrivals._kept) < 100


def test_the_clock_runs_evenly_however_frames_are_asked_for() -> None:
    now, times = [0.0], []
    camera, rng = LiveCamera(Path("-"), clock=lambda: now[0]), np.random.default_rng(0)
    assert next(camera) is None, "set at its start"
    while len(times) < 500:
        burst = int(rng.integers(1, 5))
        now[0] += burst * STEP_S
        for _ in range(burst):
            next(camera)
            times.append(camera._shown_s)
    steps = np.diff(times)
    assert steps.min() > 0.89 * STEP_S and steps.max() < 1.11 * STEP_S
    assert abs(times[-1] - (now[0] - DELAY_S)) < 4 * STEP_S, "and keeps to the time of arrival"
    now[0] += 60
    assert next(camera) is None and camera._shown_s == now[0] - DELAY_S, "after a pause it is set anew"


class Writer:
    """A person on a camera that is a pipe: H.264 in MPEG-TS, at the pace at which it is asked to show pictures."""

    def __init__(self, pipe: Path, picture: np.ndarray) -> None:
        self._file = pipe.open("wb", buffering=0)
        self._container = av.open(self._file, "w", format="mpegts", options={"flush_packets": "1", "muxdelay": "0"})
        self._stream = self._container.add_stream("libx264", rate=VIDEO_FPS, options={"tune": "zerolatency", "g": "5"})
        self._stream.width = self._stream.height = 256
        self._stream.pix_fmt = "yuv420p"
        self._picture, self._number = picture, 0

    def show(self, seconds: float) -> None:
        began = time.monotonic()
        for index in range(frames_in(seconds)):
            frame = av.VideoFrame.from_ndarray(np.roll(self._picture, index % 8, axis=1), format="rgb24")
            frame.pts, frame.time_base = self._number, Fraction(1, VIDEO_FPS)
            self._number += 1
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
            time.sleep(max(0.0, began + (index + 1) * STEP_S - time.monotonic()))

    def hang_up(self) -> None:
        self._container.close()
        self._file.close()


PAUSE_S = 4.0
"""Frames of before may come so much later on a machine that is busy."""


def test_a_pipe_that_pauses_and_one_that_comes_back(astronaut: np.ndarray, tmp_path: Path) -> None:
    pipe, pauses = tmp_path / "camera", []
    os.mkfifo(pipe)
    assert is_live(pipe)
    picture = np.ascontiguousarray(astronaut[:256, 100:356])

    def person() -> None:
        writer = Writer(pipe, picture)
        for _ in range(2):
            writer.show(2.5)
            pauses.append(time.monotonic())
            time.sleep(PAUSE_S)  # silent, but there
        writer.show(2.0)
        writer.hang_up()
        writer = Writer(pipe, picture)
        writer.show(3.0)
        writer.hang_up()
        pauses.append(time.monotonic())

    feeding = threading.Thread(target=person)
    there: list[tuple[float, bool]] = []
    with LiveCamera(pipe) as camera:
        feeding.start()
        while feeding.is_alive():
            there.append((time.monotonic(), next(camera) is not None))
            assert len(camera._arrivals._kept) <= 64
            time.sleep(STEP_S)
        watching = camera._thread
    assert not watching.is_alive(), "a pipe without a writer does not hold it up"

    def share(begin_s: float, end_s: float) -> float:
        return float(np.mean([seen for at_s, seen in there if begin_s <= at_s < end_s]))

    first, second, end = pauses
    assert share(first - 1.5, first) > 0 and share(first + PAUSE_S - 0.8, first + PAUSE_S) == 0, "a pause"
    assert share(second - 1.5, second) > 0 and share(second + PAUSE_S - 0.8, second + PAUSE_S) == 0, "and another"
    assert share(second + PAUSE_S, end - 3.0) > 0 and share(end - 2.0, end) > 0, "and who hangs up may come back"


def test_what_is_no_video_is_said_and_the_speech_drives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pipe = tmp_path / "camera"
    os.mkfifo(pipe)
    with LiveCamera(pipe) as camera:
        with pipe.open("wb") as file:
            file.write(b"no video at all " * 1000)
        until = time.monotonic() + 30
        while not caplog.records and time.monotonic() < until:
            assert next(camera) is None
            time.sleep(0.05)
    assert [record.getMessage() for record in caplog.records][0].startswith(f"{pipe}: no live video (")
    with pytest.raises(SpaceError, match="need a video, a camera's device"):
        is_live(tmp_path / "none")


@pytest.fixture(scope="module")
def portrait(astronaut: np.ndarray) -> Portrait:
    return load_portrait(astronaut)


@pytest.mark.parametrize("gap", [1, 3, 6, 9, 15])
def test_a_face_that_has_moved_while_it_was_not_seen_does_not_jump(gap: int, portrait: Portrait) -> None:
    """It moves in the gaps alone: every step is the switch's doing."""
    n, bound = 300, 1.5 / (FADE_S * VIDEO_FPS)
    rest = Tracks.at_rest(portrait, np.zeros((n, 160), np.float32))
    speech = replace(rest, edited=rest.spoken, stage=EDITED)
    own = camera_frame(portrait.mesh)
    faces = [CameraFrame(own.normalised + np.float32(0.1 * place), own.pose + np.float32(8 * place)) for place in (0, 1, -1, 1)]
    seen: list[CameraFrame | None] = []
    for face_there in faces:
        seen += [face_there] * 60 + [None] * gap
    seen += [None] * (n - len(seen))
    mixed = Switch(portrait)(speech, seen)
    for got, rests in ((mixed.edited, speech.edited), (mixed.pose, speech.pose)):
        apart = np.abs(got - rests).max()
        leap = 2 * apart  # from one side to the other
        assert apart > 0.05 and np.abs(np.diff(got, axis=0)).max() <= bound * (apart + leap) < 0.5 * leap
