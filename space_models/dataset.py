"""The feature tables in memory, as clips that the models learn from."""

import dataclasses
import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS
from space_data.schema import EMOTIONS, FeatureClip, FeatureFrame, emotion_known
from space_data.speech import MEL_BANDS
from space_data.store import Place
from space_data.tables import by_clip, from_arrow, has_table, read_arrow, vectors
from space_data.timebase import FEATURES_PER_FRAME
from space_models.retarget import neutral_of

StatesOf = Callable[[Sequence[str]], Iterable[tuple[str, NDArray[np.float32]]]]
"""Clip ids → (clip id, a speech encoder's states (T, P, W)) of these and perhaps of others (``speech_states.stream_speech``)."""
SHORTEST_FRAMES = 25
FRAME_COLUMNS = ["clip_id", "normalised", "pose", "log_mel", "interpolated", "speech"]
"""Of the frame table: what a ``TrackClip`` is made of."""


@dataclass(frozen=True)
class TrackClip:
    """One clip: ``normalised`` (T, 78, 3), ``pose`` (T, 7), ``log_mel`` (4 T, 40) without normalisation, ``interpolated`` (T,),
    ``speaking`` (T,), and ``states`` (T, P, W) of a speech encoder, half precision, where they were asked for.

    Where the face was lost, landmarks and pose are interpolated: no truth to learn.
    """

    clip: FeatureClip
    normalised: NDArray[np.float32]
    pose: NDArray[np.float32]
    log_mel: NDArray[np.float32]
    interpolated: NDArray[np.bool_]
    speaking: NDArray[np.bool_]
    states: NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.normalised)

    @property
    def clip_id(self) -> str:
        """Its name in all tables."""
        return self.clip.clip_id

    @property
    def subject(self) -> str:
        """Who speaks."""
        return self.clip.subject

    @property
    def kind(self) -> str:
        """``video`` or ``speech_only``."""
        return self.clip.kind

    @property
    def emotion(self) -> NDArray[np.float32]:
        """Mixture (9,), NaN where it is not known."""
        return self.clip.emotion


def numbers(clip_id: str, frames: pa.Table, column: str) -> NDArray[np.float32]:
    """A column of vectors (T, size) of one clip's rows.

    Raises:
        SpaceError: one of them is no finite number: it would spoil a whole model.
    """
    values = vectors(frames, column)
    if not np.isfinite(values).all():
        frame = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise SpaceError(
            f"clip {clip_id}: {column} of frame {frame} of the features is no number (make them anew: `dvc repro features`)"
        )
    return values


def track_clip(row: FeatureClip, frames: pa.Table, states: NDArray[np.float16] | None = None) -> TrackClip:
    """A clip from its line in the table of clips and its rows (``FRAME_COLUMNS``) in that of frames.

    Raises:
        SpaceError: a landmark, a pose or a feature is no number.
    """
    flags = (frames.column(name).combine_chunks().to_numpy(zero_copy_only=False) for name in ("interpolated", "speech"))
    interpolated, speaking = (np.asarray(flag, bool) for flag in flags)
    normalised, pose, log_mel = (numbers(row.clip_id, frames, name) for name in ("normalised", "pose", "log_mel"))
    return TrackClip(
        row, normalised.reshape(-1, N_LANDMARKS, 3), pose, log_mel.reshape(-1, MEL_BANDS), interpolated, speaking, states
    )


@dataclass(frozen=True)
class Features:
    """All clips of the feature tables, in order of their ids, with a hash of what they hold."""

    clips: tuple[TrackClip, ...]
    data_hash: str

    @staticmethod
    def read_filmed(frames: Place, clips: Place, splits: Sequence[str], most: int, states: StatesOf | None = None) -> "Features":
        """Read up to ``most`` filmed clips of each split, as evenly from each subject as can be (``spread``), and no frame more.

        Args:
            frames: folder of the frame table.
            clips: the clip table.
            splits: there may be no clips of these.
            most: clips of each.
            states: gives a speech encoder's states of clips, where models hear those.

        Raises:
            SpaceError: a table is missing.
        """
        about, found = read_arrow(clips, FeatureClip), []
        for split in splits:
            chosen, part = spread_filmed(about, split, most), frames / f"split={split}"
            if not chosen or not has_table(part):
                continue
            lines = about.filter(pc.field("clip_id").isin(pa.array(chosen, pa.string())))
            rows = {row.clip_id: row for row in from_arrow(lines, FeatureClip)}
            states_of = {} if states is None else {i: v.astype(np.float16) for i, v in states(chosen) if i in rows}
            table = read_arrow(part, FeatureFrame, FRAME_COLUMNS, chosen)
            found += [track_clip(rows[clip_id], frames_of, states_of.get(clip_id)) for clip_id, frames_of in by_clip(table)]
        return Features.of(found)

    @staticmethod
    def of(clips: Iterable[TrackClip]) -> "Features":
        """These clips, in order of their ids."""
        ordered = sorted(clips, key=lambda clip: clip.clip_id)
        return Features(tuple(ordered), hash_of(ordered))

    def of_split(self, split: str, kind: str | None = None) -> list[TrackClip]:
        """Clips of one split, optionally of one kind (``video``, ``speech_only``)."""
        return [c for c in self.clips if c.clip.split == split and kind in (None, c.kind)]


def hash_of(*parts: Any) -> str:
    """Hash of all that a task is given: arrays, numbers, texts, and dataclasses, lists and mappings of them, in their order.

    Every field of a clip counts, labels, subject, split and pose as well as frames: no author of a task can forget one.
    """
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        if dataclasses.is_dataclass(part):
            part = {each.name: getattr(part, each.name) for each in dataclasses.fields(part)}
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        elif isinstance(part, Mapping):
            add(list(part.items()))
        elif isinstance(part, list | tuple):
            digest.update(f"{len(part)} items".encode())
            for each in part:
                add(each)
        elif part is None or isinstance(part, str | bool | int | float):
            digest.update(f"{type(part).__name__} {part!r}".encode())
        else:
            raise TypeError(f"cannot hash a {type(part).__name__}")

    add(parts)
    return digest.hexdigest()


@dataclass(frozen=True)
class _Line:
    """A line in the table of clips."""

    clip_id: str
    subject: str


class OfSubject(Protocol):
    """A clip of somebody."""

    @property
    def subject(self) -> str:
        """Who that is."""


Clip = TypeVar("Clip", bound=OfSubject)


def by_subject(clips: Iterable[Clip]) -> dict[str, list[Clip]]:
    """Clips of each subject, in order."""
    grouped: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        grouped[clip.subject].append(clip)
    return grouped


def spread(clips: Iterable[Clip], most: int) -> list[Clip]:
    """Up to ``most`` of the clips, as evenly from each subject as can be.

    Subjects come in the order of a hash of their names: corpora number people by sex, accent or recording session.
    """
    grouped = by_subject(clips)
    subjects = sorted(grouped, key=lambda subject: hashlib.sha256(subject.encode()).digest())
    rounds = itertools.zip_longest(*(grouped[subject] for subject in subjects))
    return [clip for clips in rounds for clip in clips if clip is not None][:most]


def spread_filmed(clips: pa.Table, split: str, most: int) -> list[str]:
    """Ids of up to ``most`` filmed clips of ``split`` among ``FeatureClip`` rows, as evenly from each subject as can be, sorted;
    clips under a second are left out."""
    usable = (pc.field("kind") == "video") & (pc.field("n_frames") >= SHORTEST_FRAMES) & (pc.field("split") == split)
    own = clips.filter(usable).select(["clip_id", "subject"]).to_pydict()
    return sorted(line.clip_id for line in spread(map(_Line, own["clip_id"], own["subject"]), most))


def resting_faces(clips: Iterable[TrackClip]) -> dict[str, NDArray[np.float32]]:
    """Resting face (78, 3) per subject: from its neutral clips; without any from its unlabelled ones, else from all of them."""
    neutral = EMOTIONS.index("neutral")
    faces = {}
    for subject, own in by_subject(clips).items():
        calm = [c for c in own if c.emotion[neutral] > 0 or not c.emotion.any()]
        calm = calm or [c for c in own if not emotion_known(c.emotion)] or own
        faces[subject] = neutral_of(np.concatenate([c.normalised for c in calm]))
    return faces


def by_frame(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features (4 T, 40) grouped by video frame, (T, 160)."""
    return log_mel.reshape(len(log_mel) // FEATURES_PER_FRAME, FEATURES_PER_FRAME * log_mel.shape[1])
