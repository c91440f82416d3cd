"""Named lists of test clips: frozen ones (ids, spans, hashes), and rules for corpora that cannot be handed on.

A rule chooses the same clips wherever the same files have been curated in the same way.

A figure names its list by `Resolved.label`, ``default/v1@1a2b3c4d``: the name, and a hash of what was really rendered and scored.
Whoever gets the same label has scored the same frames against the same sound.
"""

import fnmatch
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evaluation.lists.choose import candidate, choose
from space_data.errors import SpaceError, first_problem
from space_data.files import atomic_file
from space_data.schema import AlignedClip
from space_data.yaml_files import read_yaml

logger = logging.getLogger(__name__)

TRAIN = "train"
HASH_CHARACTERS = 8
UNLISTED = "unlisted"
"""What a choice by the settings of a run is called."""


@dataclass(frozen=True)
class ListedClip:
    """A clip of a frozen list: the first ``n_frames`` frames of the aligned recording with these two files."""

    clip_id: str
    n_frames: Annotated[int, Field(ge=1)]
    video_sha256: str
    audio_sha256: str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """Which clips of a curated corpus are taken, where their hashes cannot be known."""

    splits: Annotated[list[str], Field(min_length=1)]
    """of ``data.splits``"""
    only: str = "*"
    """shell pattern of the clip's id"""
    at_most: Annotated[int, Field(ge=1)]
    seed: int


class ClipList(_Strict):
    """A named, versioned list. One of ``clips`` and ``rule`` is given."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]+/v[0-9]+$")]
    about: str
    dataset: str
    """`AlignedClip.dataset`"""
    max_frames: Annotated[int, Field(ge=25)]
    clips: tuple[ListedClip, ...] = ()
    rule: Rule | None = None

    @property
    def kind(self) -> str:
        """``frozen`` or ``rule``."""
        return "rule" if self.rule else "frozen"


@dataclass(frozen=True)
class Chosen:
    """A clip to be rendered and scored, and how many of its frames."""

    clip: AlignedClip
    n_frames: int


@dataclass(frozen=True)
class Resolved:
    """A list among the clips of a run."""

    name: str
    chosen: tuple[Chosen, ...]
    """sorted by clip id"""

    @property
    def label(self) -> str:
        """Name and hash of ids, spans and files, as figures name it."""
        facts = [asdict(ListedClip(c.clip.clip_id, c.n_frames, c.clip.video_sha256, c.clip.audio_sha256)) for c in self.chosen]
        return f"{self.name}@{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:HASH_CHARACTERS]}"

    @property
    def identities(self) -> int:
        """How many people it shows."""
        return len({c.clip.subject for c in self.chosen})


def shipped_lists() -> dict[str, ClipList]:
    """The lists that come with the package, by name."""
    folder = Path(str(files("evaluation") / "lists" / "assets"))
    found = [read_list(path) for path in sorted(folder.glob("*.yaml"))]
    return {one.name: one for one in found}


def find_list(name: str) -> ClipList:
    """A shipped list by its name, or one's own by the path of its YAML file.

    Raises:
        SpaceError: neither.
    """
    lists = shipped_lists()
    if name in lists:
        return lists[name]
    if Path(name).suffix in (".yaml", ".yml"):
        return read_list(Path(name))
    raise SpaceError(f"test list {name!r}: need one of {', '.join(lists)}, or a .yaml file")


def read_list(path: Path) -> ClipList:
    """Read and check a list.

    Raises:
        SpaceError: no such file, or not a list.
    """
    try:
        found = ClipList.model_validate(read_yaml(path, "a test list"))
    except ValidationError as error:
        raise SpaceError(f"{path}: not a test list ({first_problem(error)})") from error
    if bool(found.clips) == bool(found.rule):
        raise SpaceError(f"{path}: {len(found.clips)} clips and {'a' if found.rule else 'no'} rule, need one of the two")
    ids = [one.clip_id for one in found.clips]
    if twice := [clip_id for clip_id in dict.fromkeys(ids) if ids.count(clip_id) > 1]:
        raise SpaceError(f"{path}: {len(twice)} clips stand in it more than once, first {twice[0]} (need each once)")
    return found


def write_list(path: Path, of: ClipList) -> None:
    """Write a list for `read_list`."""
    facts = of.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    with atomic_file(path) as part:
        part.write_text(yaml.safe_dump(facts, sort_keys=False, width=130))


def resolve(of: ClipList, clips: Sequence[AlignedClip], yaw_deg: Mapping[str, float | None]) -> Resolved:
    """The list among a run's aligned clips; recordings whose hash is not the frozen one are logged, and change the label.

    Args:
        yaw_deg: 95th percentile of the head's turn by clip id, for rules.

    Raises:
        SpaceError: clips of the list are missing, too short, or of training identities; nothing fits the rule.
    """
    if of.rule is not None:
        own = [c for c in clips if c.dataset == of.dataset and c.split in of.rule.splits]
        fitting = [c for c in own if fnmatch.fnmatchcase(c.clip_id, of.rule.only)]
        return by_rule(of.name, fitting, yaw_deg, of.rule.at_most, of.max_frames, of.rule.seed)
    there = {clip.clip_id: clip for clip in clips}
    missing = [one.clip_id for one in of.clips if one.clip_id not in there]
    if missing:
        raise SpaceError(
            f"test list {of.name}: {len(missing)} of {len(of.clips)} clips are not among the {len(clips)} aligned ones, first "
            f"{missing[0]} (another corpus, or other settings of it? synthesize.test_list: auto chooses from what is here)"
        )
    other = 0
    for one in of.clips:
        clip = there[one.clip_id]
        if clip.split == TRAIN:
            raise SpaceError(f"test list {of.name}: {one.clip_id} is of a training identity ({clip.subject}; see data.splits)")
        if clip.n_frames < one.n_frames:
            raise SpaceError(f"test list {of.name}: {one.clip_id} has {clip.n_frames} frames, the list wants {one.n_frames}")
        other += (clip.video_sha256, clip.audio_sha256) != (one.video_sha256, one.audio_sha256)
    chosen = (Chosen(there[one.clip_id], one.n_frames) for one in of.clips)
    resolved = Resolved(of.name, tuple(sorted(chosen, key=lambda one: one.clip.clip_id)))
    if other:
        logger.warning("test list %s: %d of %d recordings are other files than the list's; its label here is %s",
                       of.name, other, len(of.clips), resolved.label)  # fmt: skip
    return resolved


def by_rule(
    name: str, clips: Sequence[AlignedClip], yaw_deg: Mapping[str, float | None], at_most: int, max_frames: int, seed: int
) -> Resolved:
    """A seeded, stratified choice of ``clips``.

    Raises:
        SpaceError: there are none.
    """
    there = {clip.clip_id: clip for clip in clips}
    chosen = choose([candidate(clip, yaw_deg.get(clip_id)) for clip_id, clip in there.items()], at_most, seed)
    if not chosen:
        raise SpaceError(f"test list {name}: no aligned clip fits (too few subjects for data.splits, or another corpus?)")
    return Resolved(name, tuple(Chosen(there[i], min(there[i].n_frames, max_frames)) for i in chosen))


def freeze(name: str, about: str, resolved: Resolved) -> ClipList:
    """The list that names just these clips with the files that they are now."""
    clips = [ListedClip(c.clip.clip_id, c.n_frames, c.clip.video_sha256, c.clip.audio_sha256) for c in resolved.chosen]
    longest, (dataset, *others) = max(c.n_frames for c in clips), sorted({c.clip.dataset for c in resolved.chosen})
    if others:
        raise SpaceError(f"test list {name}: clips of {dataset} and {', '.join(others)}, a list is of one data set")
    return ClipList(name=name, about=about, dataset=dataset, max_frames=max(longest, 25), clips=tuple(clips))
