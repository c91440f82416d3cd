"""Where a stream's frames go: a file, a pipe, or browsers on this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.streaming.sources import LOOPBACK, WAIT_S
from space_data.errors import SpaceError
from space_data.media.output import TitledWriter
from space_models.generators import Frame

JPEG_QUALITY = 90
BOUNDARY = "frame"
PAGE = (
    b"<!doctype html><meta name=viewport content='width=device-width'><title>space stream</title>"
    b"<style>html{color-scheme:light dark}body{margin:0;display:grid;place-items:center;min-height:100vh}"
    b"img{max-width:100vw;max-height:100vh}</style><img src=/stream alt='The animated portrait, live'>"
)


class Sink(Protocol):
    """Takes what comes out."""

    def put(self, frame: Frame) -> None:
        """One more frame."""
        ...

    def put_sound(self, samples: NDArray[np.float32]) -> None:
        """16 kHz sound that was heard."""
        ...


class PipeSink:
    """Frames one after the other, raw (rgb24) or as JPEG; no sound."""

    def __init__(self, pipe: BinaryIO, as_jpeg: bool) -> None:
        self._pipe, self._as_jpeg = pipe, as_jpeg

    def put(self, frame: Frame) -> None:
        """See `Sink`."""
        self._pipe.write(jpeg(frame) if self._as_jpeg else np.ascontiguousarray(frame).tobytes())
        self._pipe.flush()

    def put_sound(self, samples: NDArray[np.float32]) -> None:
        """Nothing."""


class FileSink:
    """A video with its sound."""

    def __init__(self, writer: TitledWriter) -> None:
        self._writer = writer

    def put(self, frame: Frame) -> None:
        """See `Sink`."""
        self._writer.write(frame)

    def put_sound(self, samples: NDArray[np.float32]) -> None:
        """See `Sink`."""
        self._writer.add_audio(samples)


class Browsers:
    """MJPEG over HTTP on loopback: everyone who looks sees the newest frame; who is slow misses some, nothing piles up."""

    def __init__(self, port: int) -> None:
        self._newest, self._number, self._is_over = b"", 0, False
        self._changed, self.has_viewer = threading.Condition(), threading.Event()
        browsers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/":
                    self._send("text/html; charset=utf-8", PAGE)
                elif self.path == "/stream":
                    self.send_response(200)
                    self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
                    self.send_header("Cache-Control", "no-store")
                    self.end_headers()
                    browsers.has_viewer.set()
                    for picture in browsers.pictures():
                        head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                        self.wfile.write(head.encode() + picture + b"\r\n")
                else:
                    self.send_error(404)

            def _send(self, kind: str, content: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def handle(self) -> None:
                with suppress(ConnectionError):  # browsers hang up as they please
                    super().handle()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        try:
            self._server = ThreadingHTTPServer((LOOPBACK, port), Handler)
        except OSError as error:
            raise SpaceError(f"{LOOPBACK}:{port}: cannot listen ({error.strerror}; --http 0 takes a free port)") from error
        self._server.daemon_threads = True
        self.url = f"http://{LOOPBACK}:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> "Browsers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for_viewer(self) -> None:
        """Until somebody looks.

        Raises:
            SpaceError: nobody does for a minute.
        """
        if not self.has_viewer.wait(WAIT_S):
            raise SpaceError(f"{self.url}: nobody has opened it for {WAIT_S:.0f} s")

    def pictures(self) -> Iterator[bytes]:
        """The newest JPEG whenever there is one, until the stream is over."""
        seen = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._number > seen or self._is_over)  # noqa: B023
                if self._number == seen:
                    return
                seen, picture = self._number, self._newest
            yield picture

    def put(self, frame: Frame) -> None:
        """See `Sink`."""
        picture = jpeg(frame)
        with self._changed:
            self._newest, self._number = picture, self._number + 1
            self._changed.notify_all()

    def put_sound(self, samples: NDArray[np.float32]) -> None:
        """Nothing: sound is where it came from."""


def jpeg(frame: Frame) -> bytes:
    """RGB as a JPEG file."""
    done, content = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return content.tobytes()


@contextmanager
def file_sink(path: Path, size_px: int, title: str, comment: str) -> Iterator[FileSink]:
    """The file appears when the stream has ended."""
    writer = TitledWriter(path, size_px, size_px, title, audio=np.zeros(0, np.float32), comment=comment)
    with writer:
        yield FileSink(writer)
