"""What a system of the benchmark is: something that turns one assignment into frames. Ours and the sanity systems alike.

Every system gets the same: a portrait (the first frame of the aligned recording), speech, the emotion label, a seed. Every
result is written the same way, at the recording's size, with the identical sound. To add one: write a class with a ``name`` and
a ``render`` in a file of its own and put it into the list in `pipelines.stages.synthesize`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack
from space_data.media.container import MediaError
from space_data.media.video import decode_video
from space_data.params import Params
from space_models.generators import RENDERERS, RendererEntry, in_use

RgbImage = NDArray[np.uint8]


@dataclass(frozen=True)
class Assignment:
    """One test clip as systems see it.

    `portrait` uint8 (size_px, size_px, 3); `speech` float32 (640 * n_frames,), 16 kHz; `emotion` (9,), a mixture in the order of
    `schema.EMOTIONS`, all NaN for an unlabelled clip; `other_speech` another clip's sound of the same length, for the system that
    is driven by the wrong words (None where the set has no other clip); `recording` the truth, for `ground_truth` alone.
    """

    clip_id: str
    portrait: RgbImage
    speech: NDArray[np.float32]
    emotion: NDArray[np.float32]
    n_frames: int
    seed: int
    other_speech: NDArray[np.float32] | None
    recording: Path


@dataclass(frozen=True)
class Rendering:
    """Frames, lazily, and the landmarks they were made from: `normalised` (T, 78, 3) and `pose`, where the system has any.

    `comment` goes into the file: generated videos of people say that they are.
    """

    frames: Iterator[RgbImage]
    normalised: NDArray[np.float32] | None = None
    pose: PoseTrack | None = None
    comment: str = ""


class System(Protocol):
    """One competitor."""

    @property
    def name(self) -> str:
        """Name in tables and paths."""
        ...

    def render(self, assignment: Assignment) -> Rendering:
        """Frames of any one square size, `assignment.n_frames` of them; SpaceError if it cannot."""
        ...


@dataclass(frozen=True)
class Entry:
    """How the report presents a system."""

    name: str
    title: str
    description: str


def system_of(renderer: str) -> str:
    """The benchmark's name of our motion drawn by a renderer."""
    return f"ours_{renderer}"


def _ours(renderer: str, entry: RendererEntry) -> Entry:
    path = "" if entry.generator is None else " through L2L"
    return Entry(system_of(renderer), f"Ours, {renderer}", f"S2L, PoseGen and blinks{path}; {renderer} {entry.summary}.")


OURS = tuple(system_of(renderer) for renderer in RENDERERS)
"""Our systems, one per renderer; the default first."""
ENTRIES = (
    Entry("ground_truth", "Ground truth", "The recording, encoded again: the floor that detector jitter and coding set."),
    *(_ours(renderer, entry) for renderer, entry in RENDERERS.items()),
    Entry("shuffled_audio", "Shuffled audio", "Our first system hearing another clip's speech, scored against this clip's."),
    Entry("still", "Still portrait", "The first frame for the whole clip."),
)
"""Systems in the order of the tables."""

SYSTEM_NAMES = tuple(entry.name for entry in ENTRIES)


def systems_in_use(params: Params) -> list[str]:
    """Systems of the benchmark under these settings: not those of generators that no latents are made for."""
    absent = set(OURS) - {system_of(renderer) for renderer in in_use(params)}
    return [name for name in SYSTEM_NAMES if name not in absent]


def first_frame(video: Path) -> RgbImage:
    """The portrait that all systems get, uint8 (H, W, 3)."""
    first = next(decode_video(video), None)
    if first is None:
        raise MediaError(f"{video}: no frames")
    return first.rgb


def at_size(frames: Iterator[RgbImage], size_px: int) -> Iterator[RgbImage]:
    """Frames resized to (size_px, size_px, 3) where they are not: all systems are compared at the recording's size."""
    for rgb in frames:
        if rgb.shape[0] != rgb.shape[1]:
            raise SpaceError(f"system: frame of {rgb.shape[1]}x{rgb.shape[0]} px, need square ones")
        if rgb.shape[0] == size_px:
            yield rgb
        else:
            method = cv2.INTER_AREA if rgb.shape[0] > size_px else cv2.INTER_CUBIC
            yield np.asarray(cv2.resize(rgb, (size_px, size_px), interpolation=method), np.uint8)


def exactly(frames: Iterator[RgbImage], n_frames: int) -> Iterator[RgbImage]:
    """Pass frames through; SpaceError unless there are exactly ``n_frames``."""
    count = 0
    for count, rgb in enumerate(frames, start=1):
        if count > n_frames:
            break
        yield rgb
    if count != n_frames:
        raise SpaceError(f"system: {'more than ' if count > n_frames else ''}{min(count, n_frames)} frames, need {n_frames}")
