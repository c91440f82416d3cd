"""Where a stream's sound comes from: chunks of 16 kHz mono, with the time at which each was there."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.media.sound import decode_audio
from space_data.timebase import AUDIO_HZ

Chunk = tuple[NDArray[np.float32], float]
"""(samples,) in [-1, 1], and ``time.monotonic()`` of their arrival"""

CHUNK_S = 0.02
SAMPLE_BYTES, FULL_SCALE = 2, 32768.0
LOOPBACK = "127.0.0.1"
WAIT_S = 60.0
"""For somebody to connect."""


def of_file(path: Path, track: int | None, in_real_time: bool) -> Iterator[Chunk]:
    """A file's sound, as fast as it is taken, or as it would be heard."""
    audio = decode_audio(path, track=track)
    size, began = round(CHUNK_S * AUDIO_HZ), time.monotonic()
    for first in range(0, len(audio), size):
        if in_real_time:
            time.sleep(max(0.0, began + (first + size) / AUDIO_HZ - time.monotonic()))
        yield audio[first : first + size], time.monotonic()


def of_pipe(pipe: BinaryIO) -> Iterator[Chunk]:
    """Signed 16-bit little-endian samples, 16 kHz mono, until the pipe ends."""
    read: Callable[[int], bytes] = getattr(pipe, "read1", pipe.read)
    return _chunks(lambda: read(round(CHUNK_S * AUDIO_HZ) * SAMPLE_BYTES))


def of_socket(port: int, on_listening: Callable[[int], None]) -> Iterator[Chunk]:
    """The same from the first who connects to a loopback port; 0 takes a free one, which ``on_listening`` is told.

    Raises:
        SpaceError: the port is taken, or nobody connects for a minute.
    """
    with closing(socket.socket()) as listener:
        try:
            listener.bind((LOOPBACK, port))
            listener.listen(1)
        except OSError as error:
            raise SpaceError(f"{LOOPBACK}:{port}: cannot listen ({error.strerror}; port 0 takes a free one)") from error
        on_listening(listener.getsockname()[1])
        listener.settimeout(WAIT_S)
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            raise SpaceError(f"{LOOPBACK}:{port}: nobody has connected for {WAIT_S:.0f} s") from None
    with closing(connection), suppress(ConnectionError):  # who hangs up has said everything
        connection.settimeout(None)
        yield from _chunks(lambda: connection.recv(round(CHUNK_S * AUDIO_HZ) * SAMPLE_BYTES))


def _chunks(read: Callable[[], bytes]) -> Iterator[Chunk]:
    """Whole samples of what ``read`` gives until it gives nothing; half a sample waits for its other half."""
    rest = b""
    while data := read():
        data, arrived_s = rest + data, time.monotonic()
        whole = len(data) // SAMPLE_BYTES * SAMPLE_BYTES
        rest = data[whole:]
        if whole:
            yield (np.frombuffer(data[:whole], "<i2") / FULL_SCALE).astype(np.float32), arrived_s
