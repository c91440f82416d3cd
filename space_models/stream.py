"""Training clips of a set of any size, with a few row groups of it in memory.

    plan = BlockPlan(groups=32, draws=64, micro_batches=8, seed=1)
    stream = ClipStream(layout.feature_split("train"), layout.feature_clips, plan, as_read)
    block = stream.block("video", draw)     # its clips; windows are then drawn with the micro-batch's own generator

Which row groups are in memory is a pure function of (seed, number of the micro-batch): a run that goes on reads one block and
nothing of what came before, and 1, 2, 4 or 8 ranks, who share a step's micro-batches, learn from the same clips. Row groups hold
whole clips (``tables.merge_shards``); shards are chosen by a hash, so that with many shards a group holds many people.

A set of no more than ``groups`` row groups is one block that stays: what fits is learnt from as if there were no stream.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.manifest import shards_of
from space_data.schema import FeatureClip, FeatureFrame
from space_data.store import Place
from space_data.tables import by_clip, from_arrow, read_arrow, read_groups, row_groups, vectors
from space_models.dataset import FRAME_COLUMNS, SHORTEST_FRAMES, StatesOf, TrackClip, by_subject, hash_of, track_clip

logger = logging.getLogger(__name__)

VIDEO = "video"
KINDS = (VIDEO, "speech_only")
FEW_PEOPLE = 16


class AnyClip(Protocol):
    """What a model learns from: a ``TrackClip``, or what is made of one."""

    @property
    def clip_id(self) -> str:
        """Its name in all tables."""

    @property
    def subject(self) -> str:
        """Who speaks."""

    @property
    def kind(self) -> str:
        """One of ``KINDS``."""

    @property
    def emotion(self) -> NDArray[np.float32]:
        """Mixture (9,), NaN where it is not known."""

    def __len__(self) -> int:
        """Frames."""


Clip = TypeVar("Clip", bound=AnyClip)
Make = Callable[[Sequence[TrackClip]], Sequence[Clip]]
"""Clips as they lie in the tables → clips as the model learns from them; may leave some out."""


def as_read(clips: Sequence[TrackClip]) -> Sequence[TrackClip]:
    """For models that learn from the tables' own clips."""
    return clips


@dataclass(frozen=True)
class Block(Generic[Clip]):
    """What is in memory of one kind: clips in order of their ids, and those of each subject among them."""

    clips: tuple[Clip, ...]

    @cached_property
    def of_subject(self) -> Mapping[str, Sequence[Clip]]:
        """A portrait of somebody is taken from these."""
        return by_subject(self.clips)


class ClipSource(Protocol[Clip]):
    """Where a task takes clips from."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of ``video``, ``speech_only`` that there are, in this order."""

    @property
    def n_frames(self) -> int:
        """Of all clips."""

    @property
    def emotions(self) -> NDArray[np.float32]:
        """Of all clips, (clips, 9)."""

    @property
    def data_hash(self) -> str:
        """Hash of all frames and labels."""

    def __len__(self) -> int:
        """Number of clips."""

    def block(self, kind: str, draw: int) -> Block[Clip]:
        """Clips of a kind that micro-batch ``draw`` (``trainer.Task.batch``) is drawn from."""

    def sample(self) -> list[Clip]:
        """Clips for means and units of the set, in order of their ids: those of the first step's blocks; all, if that is one."""


class InMemory(Generic[Clip]):
    """Clips that are all at hand (``ClipSource``)."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        ordered = sorted(clips, key=lambda c: c.clip_id)
        by_kind = {kind: Block(tuple(c for c in ordered if c.kind == kind)) for kind in KINDS}
        self._clips = ordered
        self._blocks = {kind: block for kind, block in by_kind.items() if block.clips}
        self.kinds = tuple(self._blocks)
        self.n_frames = sum(map(len, ordered))

    def __len__(self) -> int:
        """Number of clips."""
        return len(self._clips)

    @property
    def emotions(self) -> NDArray[np.float32]:
        """Of all clips, (clips, 9)."""
        return np.stack([c.emotion for c in self._clips])

    @property
    def data_hash(self) -> str:
        """Hash of all frames and labels."""
        return hash_of(self._clips)

    def sample(self) -> list[Clip]:
        """All of them."""
        return list(self._clips)

    def block(self, kind: str, draw: int) -> Block[Clip]:
        """Always the same."""
        return self._blocks[kind]


@dataclass(frozen=True)
class BlockPlan:
    """How much is in memory, and for how long."""

    groups: int
    """row groups in a block, shared out to the kinds and to the micro-batches of a step; two blocks are in memory"""
    draws: int
    """micro-batches that are drawn while a block stays"""
    micro_batches: int
    """of a step; each has a part of the groups to itself"""
    seed: int

    @property
    def stay(self) -> int:
        """Micro-batches that are drawn while a block stays: ``draws``, in whole steps."""
        return self.micro_batches * max(1, self.draws // self.micro_batches)

    def groups_of(self, draw: int, pool: int, pools: int, n_groups: int) -> tuple[int, int, NDArray[np.int64]]:
        """Micro-batch within its step, number of its block, and which of a kind's ``n_groups`` row groups are in it.

        Every epoch takes the groups in a new order; each micro-batch of a step has every ``micro_batches``-th of them. What is
        left over at an epoch's end is left out of that epoch.
        """
        share = self.groups // pools
        if n_groups <= share:
            return 0, 0, np.arange(n_groups)
        micro_batch = draw % self.micro_batches
        number = draw // self.stay
        each = share // self.micro_batches
        epoch, place = divmod(number, n_groups // (each * self.micro_batches))
        order = np.random.default_rng([self.seed, pool, epoch]).permutation(n_groups)
        own = order[micro_batch :: self.micro_batches]
        return micro_batch, number, own[place * each : (place + 1) * each]


@dataclass(frozen=True)
class _Group:
    """A row group: file, number in it, and the lines of its usable clips in the table of clips."""

    file: Place
    number: int
    lines: NDArray[np.int32]


class ClipStream(Generic[Clip]):
    """Blocks of clips of one split (``ClipSource``); the next block is read and made by a thread while this one is drawn from."""

    def __init__(
        self,
        frames: Place,
        clips: Place,
        plan: BlockPlan,
        make: Make[Clip],
        kinds: Sequence[str] = KINDS,
        states: StatesOf | None = None,
    ) -> None:
        """Look up which clips lie where; no frames are read yet.

        Args:
            frames: folder of one split's ``FeatureFrame`` shards.
            clips: ``FeatureClip`` rows; clips under a second are left out.
            plan: see ``BlockPlan``.
            make: what the clips of a block become (``as_read``: they stay).
            kinds: no others are read.
            states: gives a speech encoder's states of clips, where models hear those.

        Raises:
            SpaceError: a table is missing, holds no clip long enough, or cuts clips in two; the plan has too few groups.
        """
        self._frames, self._clips, self._plan, self._make, self._states = frames, clips, plan, make, states
        self._about = read_arrow(clips, FeatureClip)
        of_kind = {name: pc.equal(self._about.column("kind"), name).to_numpy() for name in kinds}
        groups = _groups(frames, self._about, np.any(list(of_kind.values()), axis=0))
        pools = {name: [g for g in groups if own[g.lines].any()] for name, own in of_kind.items()}
        self._pools = {name: own for name, own in pools.items() if own}
        self.kinds = tuple(self._pools)
        if not self.kinds:
            raise SpaceError(f"{frames}: no clip of at least {SHORTEST_FRAMES} frames to learn from")
        self.is_whole = len(groups) <= plan.groups
        if not self.is_whole and plan.groups // len(self.kinds) < plan.micro_batches:
            raise SpaceError(
                f"training.stream_groups = {plan.groups}: {plan.micro_batches} micro-batches of {len(self.kinds)} kinds of clips "
                f"need at least one each (set it to {plan.micro_batches * len(self.kinds)} or more)"
            )
        self._lines = np.concatenate([g.lines for g in groups])
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="clips")
        self._read: dict[tuple[str, int, int], Future[Block[Clip]]] = {}
        if not self.is_whole:
            self._tell()

    def __len__(self) -> int:
        """Number of clips."""
        return len(self._lines)

    @property
    def n_frames(self) -> int:
        """Of all clips."""
        return int(self._about.column("n_frames").to_numpy()[self._lines].sum())

    @property
    def emotions(self) -> NDArray[np.float32]:
        """Of all clips, (clips, 9), without reading frames."""
        return vectors(self._about, "emotion")[self._lines]

    def block(self, kind: str, draw: int) -> Block[Clip]:
        """Clips of a kind that micro-batch ``draw`` is drawn from; begins to read those that come after them."""
        micro_batch, now, groups_now = self._groups_of(kind, draw)
        _, after, groups_after = self._groups_of(kind, draw + self._plan.stay)
        for key in [key for key in self._read if key[:2] == (kind, micro_batch) and key[2] not in (now, after)]:
            del self._read[key]
        for number, groups in ((now, groups_now), (after, groups_after)):
            if (kind, micro_batch, number) not in self._read:
                self._read[kind, micro_batch, number] = self._reader.submit(self._block_of, kind, groups)
        return self._read[kind, micro_batch, now].result()

    def sample(self) -> list[Clip]:
        """The clips of the first step's blocks, in order of their ids; all, where they are one block."""
        blocks = {id(b): b for kind in self.kinds for b in (self.block(kind, v) for v in range(self._plan.micro_batches))}
        return sorted((clip for block in blocks.values() for clip in block.clips), key=lambda c: c.clip_id)

    @property
    def data_hash(self) -> str:
        """Hash of frames and labels. Of a set in one block: of its clips, however they are sharded. Of a larger one: from the
        hashes that were stored when its shards were written, on which the order of its clips depends, too."""
        if self.is_whole:
            return hash_of(self.sample())
        return hash_of([shard.sha256 for table in (self._frames, self._clips) for shard in shards_of(table)])

    def _groups_of(self, kind: str, draw: int) -> tuple[int, int, NDArray[np.int64]]:
        n_groups = len(self._pools[kind])
        if self.is_whole:
            return 0, 0, np.arange(n_groups)
        return self._plan.groups_of(draw, KINDS.index(kind), len(self.kinds), n_groups)

    def _block_of(self, kind: str, numbers: NDArray[np.int64]) -> Block[Clip]:
        groups = sorted((self._pools[kind][i] for i in numbers), key=lambda g: (g.file.uri, g.number))
        lines = np.concatenate([g.lines for g in groups])
        rows = {row.clip_id: row for row in from_arrow(self._about.take(lines), FeatureClip) if row.kind == kind}
        states = {} if self._states is None else {i: v.astype(np.float16) for i, v in self._states(list(rows)) if i in rows}
        found = []
        for file in dict.fromkeys(g.file for g in groups):
            for table in read_groups(file, [g.number for g in groups if g.file == file], FRAME_COLUMNS):
                own = ((clip_id, part) for clip_id, part in by_clip(table) if clip_id in rows)
                found += [track_clip(rows[clip_id], part, states.get(clip_id)) for clip_id, part in own]
        return Block(tuple(self._make(sorted(found, key=lambda c: c.clip_id))))

    def _tell(self) -> None:
        """How the set is streamed; a warning if people hardly mix."""
        first = self.sample()
        people = len({clip.subject for clip in first})
        logger.info(
            "%s: %d clips, %d frames, streamed; %d clips of %d people at a time",
            self._frames, len(self), self.n_frames, len(first), people,
        )  # fmt: skip
        if people < FEW_PEOPLE:
            logger.warning("only %d people at a time: more shards (job.shards) would mix them", people)


def _groups(frames: Place, about: pa.Table, wanted: NDArray[np.bool_]) -> list[_Group]:
    """The row groups of a split that hold usable clips among the ``wanted`` lines of the table of clips."""
    line_of = {clip_id: line for line, clip_id in enumerate(about.column("clip_id").to_pylist())}
    n_frames = about.column("n_frames").to_numpy()
    groups = []
    for file, number, clips in row_groups(frames, FeatureFrame):
        lines = []
        for clip_id, rows in clips:
            if clip_id not in line_of or n_frames[line_of[clip_id]] != rows:
                known = f"{n_frames[line_of[clip_id]]} frames" if clip_id in line_of else "no such clip"
                raise SpaceError(
                    f"{file}: {rows} rows of clip {clip_id} in row group {number}, the table of clips has {known} (tables of "
                    "different runs, or written with groups that cut clips? run `dvc repro features`)"
                )
            if rows >= SHORTEST_FRAMES and wanted[line_of[clip_id]]:
                lines.append(line_of[clip_id])
        if lines:
            groups.append(_Group(file, number, np.asarray(lines, np.int32)))
    return groups
