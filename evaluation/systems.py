"""The registry of the benchmark's systems, and what a system is: something that turns one assignment into frames.

Every system gets the same: a portrait (the first frame of the aligned recording), speech, the emotion label, a seed. Names,
titles, kinds and their order stand in `ENTRIES` alone; `evaluation.builtin` makes the system behind a name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack
from space_data.media.container import MediaError
from space_data.media.video import decode_video
from space_data.params import Params
from space_models.generators import RENDERERS, RendererEntry, in_use

RgbImage = NDArray[np.uint8]

SHIFT_FRAMES = 5
"""By which ``shifted_audio`` hears late: 0.2 s, beyond the tolerance of any lip-sync metric and within its lag search."""


@dataclass(frozen=True)
class Assignment:
    """One test clip as systems see it.

    `portrait` uint8 (size_px, size_px, 3); `speech` float32 (640 * n_frames,), 16 kHz; `emotion` (9,), a mixture in the order of
    `schema.EMOTIONS`, all NaN for an unlabelled clip; `mismatched_speech` sound of the same length in which something else is
    said; `recording` what was filmed, for the controls that may look at it.
    """

    clip_id: str
    portrait: RgbImage
    speech: NDArray[np.float32]
    emotion: NDArray[np.float32]
    n_frames: int
    seed: int
    mismatched_speech: NDArray[np.float32]
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


class Kind(StrEnum):
    """How a system's videos come about."""

    ours = "ours"
    """by our models"""
    control = "control"
    """by one that anchors the scale of a metric and competes with nobody"""
    videos = "videos"
    """handed in as files"""
    command = "command"
    """by somebody's program, which a card says how to call"""
    code = "code"
    """by somebody's program that needs code of ours around it"""


@dataclass(frozen=True)
class Entry:
    """A system in the registry."""

    name: str
    """in tables, paths and commands"""
    title: str
    """for people"""
    description: str
    kind: Kind
    pose_given: bool = False
    """it was told the recording's head motion: heads can be compared frame by frame"""

    @property
    def is_control(self) -> bool:
        """Whether it is no contestant: never marked as best."""
        return self.kind == Kind.control


def system_of(renderer: str) -> str:
    """The benchmark's name of our motion drawn by a renderer."""
    return f"ours_{renderer}"


def _ours(renderer: str, entry: RendererEntry) -> Entry:
    path = "" if entry.generator is None else " through L2L"
    description = f"S2L, PoseGen and blinks{path}; {renderer} {entry.summary}."
    return Entry(system_of(renderer), f"Ours, {renderer}", description, Kind.ours)


OURS = tuple(system_of(renderer) for renderer in RENDERERS)
"""Our systems, one per renderer; the default first."""
def _control(name: str, title: str, description: str, pose_given: bool = False) -> Entry:
    return Entry(name, title, description, Kind.control, pose_given)


GROUND_TRUTH, STILL, MEAN_MOTION, MISMATCHED_AUDIO, SHIFTED_AUDIO, RIDGE = CONTROLS = (
    _control(
        "ground_truth", "Ground truth", "The recording, encoded again: the floor that detector jitter and coding set.", True,
    ),
    _control("still", "Still portrait", "The portrait for the whole clip."),
    _control(
        "mean_motion", "Mean motion",
        "The portrait held in the recording's own mean expression and head pose: nothing that stands still is nearer to it.",
    ),
    _control(
        "mismatched_audio", "Mismatched audio",
        "Our first system hearing another statement by another speaker, else the clip's own sound backwards.",
    ),
    _control("shifted_audio", "Shifted audio", f"Our first system hearing the speech {SHIFT_FRAMES} frames late."),
    _control(
        "ridge", "Ridge regression",
        "Lips by linear regression from log-mel, fitted on training clips: the mean of what a sound may look like; a still head.",
    ),
)  # fmt: skip
ENTRIES = (GROUND_TRUTH, *(_ours(renderer, entry) for renderer, entry in RENDERERS.items()), *CONTROLS[1:])
"""Systems that come with the package, in the order of the tables: what was recorded, contestants, other controls."""

SYSTEM_NAMES = tuple(entry.name for entry in ENTRIES)


def find_entry(name: str, entries: Sequence[Entry] = ENTRIES) -> Entry:
    """The entry of a name.

    Raises:
        SpaceError: there is none; the known ones are named.
    """
    for entry in entries:
        if entry.name == name:
            return entry
    raise SpaceError(f"system {name!r}: need one of {', '.join(entry.name for entry in entries)}")


def systems_in_use(params: Params) -> list[str]:
    """Systems that stage ``synthesize`` renders under these settings: not those of generators that no latents are made for."""
    absent = set(OURS) - {system_of(renderer) for renderer in in_use(params)}
    return [name for name in SYSTEM_NAMES if name not in absent]


def first_frame(video: Path) -> RgbImage:
    """The portrait that all systems get, uint8 (H, W, 3)."""
    first = next(decode_video(video), None)
    if first is None:
        raise MediaError(f"{video}: no frames")
    return first.rgb


def exactly(frames: Iterator[RgbImage], n_frames: int) -> Iterator[RgbImage]:
    """Pass frames through; SpaceError unless there are exactly ``n_frames``."""
    count = 0
    for count, rgb in enumerate(frames, start=1):
        if count > n_frames:
            break
        yield rgb
    if count != n_frames:
        raise SpaceError(f"system: {'more than ' if count > n_frames else ''}{min(count, n_frames)} frames, need {n_frames}")
