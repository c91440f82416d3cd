"""Sources and sinks of `space stream` on loopback: every sample once, the newest frame to who looks, latency by hand."""

import gc
import io
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.streaming.run import BEHIND_S, Latency, stream
from pipelines.streaming.sinks import Browsers, PipeSink, file_sink
from pipelines.streaming.sources import Chunk, of_file, of_pipe, of_socket
from space_data.errors import SpaceError
from space_data.media.encode import write_wav
from space_data.media.probe import probe
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video

N_FRAMES = 10


class Numbers:
    """A live portrait whose frames are grey with their number, two frames after their sound."""

    size_px = 64

    def __init__(self, slow: bool = False) -> None:
        self.samples = self.drawn = 0
        self.newest_only: list[bool] = []

    def hear(self, audio: np.ndarray, ends: bool = False, newest_only: bool = False) -> Iterator[np.ndarray]:
        self.newest_only.append(newest_only)
        self.samples += len(audio)
        until = self.samples // 640 - (0 if ends else 2)
        while self.drawn < until:
            yield np.full((64, 64, 3), 20 * self.drawn, np.uint8)
            self.drawn += 1

    def end(self) -> Iterator[np.ndarray]:
        return self.hear(np.zeros(0, np.float32), ends=True)


def noise(n_frames: int = N_FRAMES) -> np.ndarray:
    return np.random.default_rng(1).uniform(-0.5, 0.5, n_frames * 640).astype(np.float32)


class Trickle(io.RawIOBase):
    """A pipe that gives 3 bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 3))


def test_a_pipe_gives_every_sample_however_it_is_cut() -> None:
    sound = noise()
    data = (sound * 32768).astype("<i2").tobytes()
    for pipe in (io.BytesIO(data), Trickle(data + b"\x01")):
        heard = np.concatenate([samples for samples, _ in of_pipe(pipe)])  # type: ignore[arg-type]
        assert heard == pytest.approx(sound, abs=1e-4)


def test_a_socket_gives_what_is_sent() -> None:
    sound, ports = noise(), []
    ready = threading.Event()

    def send() -> None:
        ready.wait(60)
        with socket.create_connection(("127.0.0.1", ports[0])) as connection:
            connection.sendall((sound * 32768).astype("<i2").tobytes())

    sender = threading.Thread(target=send)
    sender.start()
    heard = np.concatenate([samples for samples, _ in of_socket(0, lambda port: (ports.append(port), ready.set()))])
    sender.join()
    assert heard == pytest.approx(sound, abs=1e-4)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        with pytest.raises(SpaceError, match="cannot listen"):
            next(of_socket(taken.getsockname()[1], lambda port: None))


def test_a_file_keeps_the_pace_of_speech_if_asked(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", noise())
    for in_real_time, least_s in ((False, 0.0), (True, 0.39)):
        chunks = list(of_file(tmp_path / "a.wav", None, in_real_time))
        assert sum(len(samples) for samples, _ in chunks) == N_FRAMES * 640
        assert chunks[-1][1] - chunks[0][1] >= least_s - 0.02


def test_a_video_holds_all_frames_and_the_sound_in_time(tmp_path: Path) -> None:
    live, sound = Numbers(), noise(50)
    with file_sink(tmp_path / "a.mp4", 64, "title", "made up") as sink:
        latency = stream(live, of_pipe(io.BytesIO((sound * 32768).astype("<i2").tobytes())), sink, in_real_time=False)  # type: ignore[arg-type]
    assert latency.frames == 50 == len(list(decode_video(tmp_path / "a.mp4")))
    info = probe(tmp_path / "a.mp4")
    assert (info.audio_start_s, info.video_start_s) == (0.0, 0.0)
    heard = decode_audio(tmp_path / "a.mp4")
    assert np.corrcoef(heard[: len(sound)], sound)[0, 1] > 0.9


def test_ctrl_c_ends_the_stream_and_keeps_the_video(tmp_path: Path) -> None:
    def interrupted() -> Iterator[tuple[np.ndarray, float]]:
        yield from list(of_pipe(io.BytesIO((noise(20) * 32768).astype("<i2").tobytes())))
        raise KeyboardInterrupt

    with file_sink(tmp_path / "a.mp4", 64, "", "") as sink:
        stream(Numbers(), interrupted(), sink, in_real_time=False)  # type: ignore[arg-type]
    assert len(list(decode_video(tmp_path / "a.mp4"))) == 20 and [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("as_jpeg", [False, True])
def test_a_pipe_gets_frames_one_after_the_other(as_jpeg: bool) -> None:
    pipe = io.BytesIO()
    stream(Numbers(), [(noise(), 0.0)], PipeSink(pipe, as_jpeg), in_real_time=False)  # type: ignore[arg-type, list-item]
    if as_jpeg:
        pictures = [b"\xff\xd8" + part for part in pipe.getvalue().split(b"\xff\xd8")[1:]]
        greys = [int(cv2.imdecode(np.frombuffer(p, np.uint8), cv2.IMREAD_GRAYSCALE).mean()) for p in pictures]
    else:
        greys = list(np.frombuffer(pipe.getvalue(), np.uint8).reshape(N_FRAMES, -1)[:, 0])
    assert greys == pytest.approx(20 * np.arange(N_FRAMES), abs=1)


def test_browsers_see_the_newest_frame_until_the_stream_ends() -> None:
    with Browsers(0) as browsers:
        with urllib.request.urlopen(browsers.url, timeout=60) as page:
            assert b"/stream" in page.read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(browsers.url + "etc/passwd", timeout=60)
        got: list[bytes] = []

        def look() -> None:
            with urllib.request.urlopen(browsers.url + "stream", timeout=60) as stream:
                got.append(stream.read())

        viewer = threading.Thread(target=look)
        viewer.start()
        browsers.wait_for_viewer()
        for grey in (10, 200):
            browsers.put(np.full((64, 64, 3), grey, np.uint8))
    viewer.join(60)
    assert got and got[0].count(b"--frame") in (1, 2), "who is slow misses some, never the last"
    last = got[0].rsplit(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
    assert cv2.imdecode(np.frombuffer(last, np.uint8), cv2.IMREAD_GRAYSCALE).mean() == pytest.approx(200, abs=2)


def test_latency_counts_from_the_last_sample_of_a_frames_sound() -> None:
    latency = Latency()
    for index in range(4):  # 30 ms of sound every 30 ms: frames end at 40, 80, 120 ms, which come with chunks 2, 3, 4
        latency.heard_more(480, 0.03 * (index + 1))
    for _ in range(3):
        latency.frame_out(0.2)
    assert list(latency.seconds) == pytest.approx([0.14, 0.11, 0.08]) and latency.most_s == pytest.approx(0.14)
    assert "3 frames" in latency.in_words() and "no frames" in Latency().in_words()


def test_the_collector_does_not_look_through_what_was_there_before() -> None:
    frozen: list[int] = []

    def sound() -> Iterator[Chunk]:
        frozen.append(gc.get_freeze_count())
        yield noise(4), 0.0

    assert gc.get_freeze_count() == 0
    stream(Numbers(), sound(), PipeSink(io.BytesIO(), False), in_real_time=False)  # type: ignore[arg-type]
    assert frozen[0] > 10_000 and gc.get_freeze_count() == 0, "and afterwards it does again"


def test_a_stream_that_falls_behind_draws_only_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(0, 1000, BEHIND_S + 0.1))
    monkeypatch.setattr("pipelines.streaming.run.time.monotonic", lambda: float(next(clock)))
    live = Numbers()
    stream(live, [(noise(4), 0.0), (noise(4), 0.1)], PipeSink(io.BytesIO(), False), in_real_time=True)  # type: ignore[arg-type, list-item]
    assert live.newest_only == [False, True, False], "the end is drawn"
