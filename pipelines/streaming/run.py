"""The loop between a source of sound and a sink of frames, and how long a frame takes to follow its sound."""

import gc
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np

from pipelines.streaming.sinks import Sink
from pipelines.streaming.sources import Chunk
from space_data.timebase import frame_start_s, frames_to_samples
from space_models.live import Live
from space_models.rendering import one_thread_each

BEHIND_S = 0.4
"""Beyond this latency in real time only the newest frame of a chunk is drawn, until the stream has caught up."""
KEPT_LATENCIES = 25 * 600


@dataclass
class Latency:
    """Seconds from the last sample of a frame's sound to the frame: the last ten minutes, the number and the largest of all."""

    arrivals: deque[tuple[int, float]] = field(default_factory=deque)
    """samples heard by then, and when; of sound whose frame is not out"""
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_LATENCIES))
    heard: int = 0
    frames: int = 0
    most_s: float = 0.0
    repeated: int = 0
    """frames that were not drawn, to catch up"""

    def heard_more(self, samples: int, at_s: float) -> None:
        """Sound came."""
        self.heard += samples
        self.arrivals.append((self.heard, at_s))

    def frame_out(self, at_s: float) -> None:
        """The next frame is out."""
        self.frames += 1
        needed = min(frames_to_samples(self.frames), self.heard)
        while self.arrivals[0][0] < needed:
            self.arrivals.popleft()
        took_s = at_s - self.arrivals[0][1]
        self.seconds.append(took_s)
        self.most_s = max(self.most_s, took_s)

    def in_words(self) -> str:
        """A line."""
        if not self.frames:
            return "no frames: less than a frame of sound came"
        median, high = np.percentile(self.seconds, [50, 95])
        caught_up = f", {self.repeated} frames repeated to catch up" if self.repeated else ""
        return (
            f"{self.frames} frames, {frame_start_s(self.frames):.1f} s; from sound to frame {1e3 * median:.0f} ms (median), "
            f"{1e3 * high:.0f} ms (95 %), {1e3 * self.most_s:.0f} ms (most){caught_up}"
        )


@contextmanager
def short_collections() -> Iterator[None]:
    """Python's collector leaves out what was there before: to look through all that PyTorch and others have imported took 0.19 s,
    in the middle of a frame, every minute or two."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def stream(live: Live, sound: Iterable[Chunk], sink: Sink, in_real_time: bool) -> Latency:
    """Until the sound ends; Ctrl-C ends it, too, with what there is."""
    latency = Latency()

    def out(chunk: Chunk | None) -> None:
        behind = in_real_time and bool(latency.seconds) and latency.seconds[-1] > BEHIND_S
        before = latency.frames
        for frame in live.end() if chunk is None else live.hear(chunk[0], newest_only=behind):
            sink.put(frame)
            latency.frame_out(time.monotonic())
        latency.repeated += max(0, latency.frames - before - 1) if behind else 0

    with one_thread_each(), short_collections():
        with suppress(KeyboardInterrupt):
            for chunk in sound:
                latency.heard_more(len(chunk[0]), chunk[1])
                sink.put_sound(chunk[0])
                out(chunk)
        if latency.heard:
            out(None)
    return latency
