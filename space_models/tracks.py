"""Tracks: everything that drives a face, one row per frame at 25 Hz, and the Parquet file of it.

    speech ── S2L ──> spoken ── edits (lids, gaze, mouth, groups) ──> edited ──┐
    speech ── PoseGen, file, video ──> pose ───────────────────────────────────┴── (L2L) ──> renderer

Every stage is a function from tracks to tracks. A file of them can be looked at, changed and rendered again; the same tracks
give the same video. ``stage`` says how far they are made: ``speech`` (S2L is next), ``spoken`` (the edits are), ``edited``,
``latents``.
"""

import hashlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS
from space_data.schema import EMOTIONS, TrackFrame, arrow_schema
from space_data.tables import columns_to_arrow, is_vector, write_arrow
from space_data.timebase import frame_start_s
from space_models.generators import Driving
from space_models.portrait import Portrait
from space_models.posegen.pose import N_POSE, apply_pose
from space_models.retarget import relaxed, retarget

Array = NDArray[np.float32]

SCALARS = ("lids", "mouth_gain", "closure", "brow_up", "corner_up", "corner_out", "jaw_down")
"""Columns of one number per frame that a user may set."""
NEUTRAL_VALUES = {**dict.fromkeys(SCALARS, 0.0), "mouth_gain": 1.0}
SAME_FACE_IOD = 1e-4
SPEECH, SPOKEN, EDITED, LATENTS = STAGES = ("speech", "spoken", "edited", "latents")
ONCE = ("portrait", "latents_of", "stage")
"""Not one per frame."""


@dataclass(frozen=True)
class Tracks:
    """T frames at 25 Hz; units and signs as in ``TrackFrame``."""

    portrait: Array
    """normalised landmarks (78, 3) of the photo that these motions were made for"""
    speech: Array
    """(T, 160)"""
    emotion: Array
    """(T, 9)"""
    spoken: Array
    """(T, 78, 3)"""
    edited: Array
    """(T, 78, 3)"""
    pose: Array
    """(T, 6)"""
    gaze_deg: Array
    """(T, 2)"""
    lids: Array
    """(T,), as those below"""
    mouth_gain: Array
    closure: Array
    brow_up: Array
    corner_up: Array
    corner_out: Array
    jaw_down: Array
    latents: Array | None = None
    """(T, D)"""
    latents_of: str = ""
    stage: str = SPEECH

    def __len__(self) -> int:
        return len(self.spoken)

    @staticmethod
    def at_rest(portrait: Portrait, speech: Array) -> "Tracks":
        """The photo, for as long as ``speech`` (T, 160) lasts."""
        n_frames = len(speech)
        still = np.repeat(portrait.normalised[None], n_frames, 0)
        scalars: dict[str, Any] = {name: np.full(n_frames, value, np.float32) for name, value in NEUTRAL_VALUES.items()}
        return Tracks(
            portrait.normalised, speech, np.zeros((n_frames, len(EMOTIONS)), np.float32), still, still,
            np.zeros((n_frames, N_POSE), np.float32), np.zeros((n_frames, 2), np.float32), **scalars,
        )  # fmt: skip

    def first(self, n_frames: int) -> "Tracks":
        """The first ``n_frames`` frames."""
        each: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ONCE}
        for name, values in each.items():
            each[name] = None if values is None else values[:n_frames]
        return replace(self, **each)

    def back_to(self, stage: str) -> "Tracks":
        """The tracks as made no further than ``stage``."""
        return replace(self, stage=min(self.stage, stage, key=STAGES.index))

    def driving(self, portrait: Portrait) -> Driving:
        """What a renderer draws: these tracks in the pose of ``portrait``, in pixels of its crop."""
        return Driving(
            self.edited, apply_pose(self.pose, portrait.pose), self.speech, self.emotion, self.latents, self.latents_of
        )

    def for_portrait(self, portrait: Portrait) -> "Tracks":
        """The same motions for another photo: landmarks relative to each one's resting face, at its size; latents go."""
        if np.abs(self.portrait - portrait.normalised).max() < SAME_FACE_IOD:
            return self
        rest = relaxed(self.portrait)
        spoken, edited = (retarget(points, rest, portrait.normalised) for points in (self.spoken, self.edited))
        moved = replace(self, portrait=portrait.normalised, spoken=spoken, edited=edited, latents=None, latents_of="")
        return moved.back_to(EDITED)

    def sha256(self) -> str:
        """Hash of all that is in them, the same before they are written and after they are read again."""
        digest = hashlib.sha256()
        for field in fields(self):
            value = getattr(self, field.name)
            digest.update(f"{field.name} {np.shape(value)}\0".encode())
            digest.update(str(value or "").encode() if value is None or isinstance(value, str) else value.astype("<f4").tobytes())
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """One Parquet file, a row per frame."""
        n_frames = len(self)
        rows = {f.name: getattr(self, f.name) for f in fields(self)}
        rows |= {name: rows[name].reshape(n_frames, -1) for name in ("spoken", "edited")}
        rows["portrait"] = np.tile(self.portrait.ravel(), (n_frames, 1))
        rows["latents"] = np.zeros((n_frames, 0), np.float32) if self.latents is None else self.latents
        rows |= {"frame": np.arange(n_frames), "time_s": [frame_start_s(i) for i in range(n_frames)]}
        write_arrow(path, columns_to_arrow(rows, TrackFrame))

    @staticmethod
    def read(path: Path) -> "Tracks":
        """What ``write`` wrote, perhaps edited since, by whatever writes Parquet.

        Raises:
            SpaceError: no such file, columns missing or of another size, rows of two photos or stages, or a NaN.
        """
        if not path.is_file():
            raise SpaceError(f"{path}: no such file, need tracks as --tracks writes them")
        try:
            table = pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise SpaceError(f"{path}: not a readable Parquet file ({error})") from error
        wanted = arrow_schema(TrackFrame)
        missing = [name for name in wanted.names if name not in table.column_names]
        if missing or not len(table):
            lacks = ", ".join(missing[:3]) + ", ..." * (len(missing) > 3) if missing else "rows"
            raise SpaceError(f"{path}: no {lacks} in it, need tracks as --tracks writes them")
        table = table.sort_by("frame")
        if table.column("frame").to_pylist() != list(range(len(table))):
            raise SpaceError(f"{path}: frames are not 0 to {len(table) - 1}, each once (rows lost, or files joined?)")
        numbers = [f for f in wanted if (is_vector(f.type) or pa.types.is_floating(f.type)) and f.name != "time_s"]
        rows = {field.name: _column(path, table, field) for field in numbers}
        faces = {name: rows.pop(name).reshape(-1, N_LANDMARKS, 3) for name in ("portrait", "spoken", "edited")}
        once = {name: set(table.column(name).to_pylist()) for name in ("latents_of", "stage")}
        if np.ptp(faces["portrait"], axis=0).max() > 0 or max(map(len, once.values())) > 1:
            raise SpaceError(f"{path}: rows of several photos, stages or generators, need tracks of one run")
        latents_of, stage = (values.pop() for values in once.values())
        if stage not in STAGES:
            raise SpaceError(f"{path}: stage {stage!r}, need one of {', '.join(STAGES)}")
        latents = rows.pop("latents")
        return Tracks(
            faces["portrait"][0], spoken=faces["spoken"], edited=faces["edited"], latents=latents if latents_of else None,
            latents_of=latents_of, stage=stage, **rows,
        )  # fmt: skip


def _column(path: Path, table: pa.Table, field: pa.Field) -> Array:
    """A column of numbers, float32 (T,) or (T, size)."""
    try:
        column = np.array(table.column(field.name).to_pylist(), np.float32)
    except ValueError as error:
        raise SpaceError(f"{path}: column {field.name} holds vectors of several sizes, or none") from error
    size = field.type.list_size if pa.types.is_fixed_size_list(field.type) else None
    shape = (len(table),) if not is_vector(field.type) else (len(table), size or column.shape[-1])
    if column.shape != shape:
        raise SpaceError(f"{path}: column {field.name} of shape {column.shape}, need {shape}")
    # All NaN is an emotion: nobody labelled the clip.
    if field.name != "emotion" and not np.isfinite(column).all():
        frame = int(np.flatnonzero(~np.isfinite(column.reshape(len(table), -1)).all(1))[0])
        raise SpaceError(f"{path}: column {field.name} of frame {frame} is not a number")
    return column
