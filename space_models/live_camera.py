"""A live camera for the switch (`space_models.switch`): what it saw, frame by frame of the 25 Hz clock, by the time of arrival.

A thread reads the source and finds the face; what arrived in the last second is kept. A frame of the stream is drawn some 0.1 s
after its sound, and shows the face that came with that sound, between the two pictures around it. Where a picture is missing,
for longer than a slow camera takes, nobody is there: the speech drives, until pictures come again.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Lock, Thread

import numpy as np

from space_data.errors import SpaceError
from space_data.facemesh import FaceMeshTracker
from space_data.media.live import live_pictures
from space_data.timebase import VIDEO_FPS
from space_models.switch import CameraFrame, camera_frame

logger = logging.getLogger(__name__)

DELAY_S = 0.12
"""From a picture's arrival to the frame that shows it: what sound takes, and drawing. A camera of 10 Hz has its next one then."""
LONGEST_STEP_S = 0.25
"""Between two pictures of a person who is there."""
KEPT, LEAST_STEP_S = 64, 0.015
"""Pictures that are kept, and the time between two that are looked at: a burst is passed over, so that no delay builds up."""
STEP_S, PULL, MOST_PULL_S, RESTART_S = 1 / VIDEO_FPS, 0.1, 0.1 / VIDEO_FPS, 0.5
"""The clock runs evenly and is drawn to the time of arrival, a tenth of its pace at most; so far off, it is set anew."""


class Arrivals:
    """Faces and when they arrived; the last few."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, CameraFrame | None]] = deque(maxlen=KEPT)
        self._lock = Lock()

    def add(self, at_s: float, frame: CameraFrame | None) -> None:
        """A picture came; None: with no face."""
        with self._lock:
            self._kept.append((at_s, frame))

    def at(self, time_s: float) -> CameraFrame | None:
        """The face at a time, straight between the pictures around it; None if one is missing, has no face, or is too far."""
        with self._lock:
            kept = list(self._kept)
        after = next((index for index, (at_s, _) in enumerate(kept) if at_s > time_s), 0)
        if not after:
            return None
        (before_s, before), (after_s, later) = kept[after - 1], kept[after]
        if before is None or later is None or after_s - before_s > LONGEST_STEP_S:
            return None
        share = np.float32((time_s - before_s) / (after_s - before_s))
        return CameraFrame(
            before.normalised + share * (later.normalised - before.normalised), before.pose + share * (later.pose - before.pose)
        )


class LiveCamera(Iterator[CameraFrame | None]):
    """What a camera's device, a named pipe or standard input (`-`) shows, one per frame that is drawn; never waits for it."""

    def __init__(self, source: Path, delay_s: float = DELAY_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._delay_s, self._clock = source, delay_s, clock
        self._arrivals, self._is_over = Arrivals(), Event()
        self._shown_s = -np.inf
        self._thread = Thread(target=self._watch, daemon=True, name="camera")

    def __enter__(self) -> "LiveCamera":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(timeout=2.0)  # a device may hang

    def __next__(self) -> CameraFrame | None:
        wanted_s = self._clock() - self._delay_s
        off_s = wanted_s - (self._shown_s + STEP_S)
        if abs(off_s) > RESTART_S:  # the sound has paused: what is seen jumps, and the switch is told
            self._shown_s = wanted_s
            return None
        self._shown_s += STEP_S + float(np.clip(PULL * off_s, -MOST_PULL_S, MOST_PULL_S))
        return self._arrivals.at(self._shown_s)

    def _watch(self) -> None:
        """The thread: until the source ends, of a named pipe for good."""
        with FaceMeshTracker() as tracker:
            while not self._is_over.is_set():
                try:
                    self._read(tracker)
                except SpaceError as error:
                    logger.warning("%s; the speech drives", error)
                if not self._source.is_fifo():
                    return

    def _read(self, tracker: FaceMeshTracker) -> None:
        last_s = -np.inf
        for rgb in live_pictures(self._source, self._is_over):
            at_s = self._clock()
            if at_s - last_s >= LEAST_STEP_S:
                last_s, mesh = at_s, tracker(rgb)
                self._arrivals.add(at_s, None if mesh is None else camera_frame(mesh))
