"""The systems' videos, matched by clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from space_data.errors import SpaceError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
AUDIO_SUFFIXES = (".wav", ".flac", ".m4a", ".mp3")


@dataclass(frozen=True)
class Sources:
    """Videos of all systems, once they are `matched` on the same clips.

    ``videos``: system -> clip id -> file. ``sound``: clip id -> the file whose sound both sides of a pair are heard with.
    ``recording``: the system that is the recordings, from which catch trials are made; None: there is none.
    ``left_out``: clips that not all systems have, and which lack them.
    """

    videos: Mapping[str, Mapping[str, Path]]
    sound: Mapping[str, Path]
    recording: str | None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def clips(self) -> list[str]:
        """Ids of the clips, sorted."""
        return sorted(self.sound)


def videos_in(folder: Path) -> dict[str, Path]:
    """Videos at any depth of ``folder`` by clip id: path below it, without suffix.

    Raises:
        SpaceError: no such folder, no video in it, or two of one id.
    """
    return _files(folder, VIDEO_SUFFIXES)


def sounds_in(folder: Path) -> dict[str, Path]:
    """Sound files, or videos, of which the sound is taken, by clip id; as ``videos_in``."""
    return _files(folder, AUDIO_SUFFIXES + VIDEO_SUFFIXES)


def _files(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise SpaceError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and path.is_file():
            clip_id = path.relative_to(folder).with_suffix("").as_posix()
            if clip_id in found:
                raise SpaceError(f"{path}: a second file of clip {clip_id}, beside {found[clip_id].name} (remove one)")
            found[clip_id] = path
    if not found:
        raise SpaceError(f"{folder}: no clip in it (need <clip id> with one of {', '.join(suffixes)})")
    return found


def matched(found: Sources, pairs: Sequence[tuple[str, str]]) -> Sources:
    """The systems of ``pairs`` and the recording, on the clips that all of them have; what one of them lacks is left out and
    named. Systems that nobody asks about cost no clip.

    Raises:
        SpaceError: fewer than two systems, or no clip in common.
    """
    if len(found.videos) < 2:
        raise SpaceError(f"study: systems {', '.join(found.videos) or 'none'}, need two or more")
    asked = {found.recording, *(name for pair in pairs for name in pair)}
    videos, sound = {name: own for name, own in found.videos.items() if name in asked}, found.sound
    left_out = {}
    for clip_id in sorted(set().union(*videos.values())):
        lacking = [name for name, own in videos.items() if clip_id not in own]
        lacking += [] if clip_id in sound else ["sound"]
        if lacking:
            left_out[clip_id] = f"not in {', '.join(lacking)}"
    common = set.intersection(*(set(own) for own in videos.values())) & set(sound)
    if not common:
        raise SpaceError(f"study: no clip that all of {', '.join(videos)} have (need the same paths below each folder)")
    kept = {name: {clip_id: own[clip_id] for clip_id in sorted(common)} for name, own in videos.items()}
    return Sources(kept, {clip_id: sound[clip_id] for clip_id in common}, found.recording, left_out)


def chosen_pairs(choice: Sequence[str], systems: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs to ask about, from texts like ``ours:wav2lip``; without any, every pair of systems.

    Raises:
        SpaceError: not two known, different systems, or a pair twice.
    """
    if not choice:
        return list(combinations(systems, 2))
    pairs = []
    for text in choice:
        names = tuple(text.split(":"))
        if len(names) != 2 or len(set(names)) < 2 or not set(names) <= set(systems):
            raise SpaceError(f"pair {text!r}: need two of {', '.join(systems)} as A:B")
        pairs.append((names[0], names[1]))
    if len({frozenset(pair) for pair in pairs}) < len(pairs):
        raise SpaceError(f"pairs {', '.join(choice)}: one of them twice")
    return pairs
