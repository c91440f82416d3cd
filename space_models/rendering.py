"""Rendering on all cores: parts of the tracks are drawn in a few threads, ahead of whoever takes the frames, and come in order.

Renderers spend their time in OpenCV, numba and torch, which let other threads run meanwhile, as the video encoder does: the
caller encodes beside it. Those libraries' own threads, and BLAS's, are switched off for that time: they gain little within a
frame, spin while they wait, and fight the encoder for the cores.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import cv2
from threadpoolctl import threadpool_limits

from space_models.generators import Driving, Frame, Renderer

PART_FRAMES = 16
"""Drawn by one thread at a time, whatever the number of threads: networks, which draw batches of 8, draw the same ones."""
PARTS_AHEAD = 1
"""Beside those being drawn, so that no thread waits for the caller: 13 MB each."""


@contextmanager
def one_thread_each() -> Iterator[None]:
    """OpenCV, BLAS, and torch where it is in use, stay on the calling thread within the block."""
    torch = sys.modules.get("torch")
    before = cv2.getNumThreads(), torch and torch.get_num_threads()
    cv2.setNumThreads(1)
    if torch:
        torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(before[0])
        if torch:
            torch.set_num_threads(before[1])


def default_threads(renderer: Renderer[Any]) -> int:
    """The cores that this process may use; one where a GPU draws, which is busy with one batch at a time."""
    return len(os.sched_getaffinity(0)) if renderer.device == "cpu" else 1


def rendered(renderer: Renderer[Any], state: Any, driving: Driving, threads: int | None = None) -> Iterator[Frame]:
    """Frames of `driving` as `renderer.render(state, driving)` gives them, drawn by `threads` (None: `default_threads`).

    The same bytes for any number of threads. At most threads + `PARTS_AHEAD` parts are in memory beside the one that is being
    taken. What a thread raises is raised here; an error, Ctrl-C, or a caller that closes the iterator ends the threads within
    the frame that they are at.
    """
    drawing = renderer.drawing(state, driving)
    threads = threads or default_threads(renderer)
    is_over = threading.Event()

    def part(first: int) -> list[Frame]:
        frames = []
        for frame in renderer.draw(state, drawing[first : first + PART_FRAMES]):
            if is_over.is_set():
                break
            frames.append(frame)
        return frames

    with one_thread_each(), ThreadPoolExecutor(threads, "render") as pool:
        pending: deque[Future[list[Frame]]] = deque()
        try:
            for first in range(0, len(drawing), PART_FRAMES):
                pending.append(pool.submit(part, first))
                if len(pending) == threads + PARTS_AHEAD:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            is_over.set()
            for future in pending:
                future.cancel()
