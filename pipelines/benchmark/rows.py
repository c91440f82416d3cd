"""From the verdict on a video to its row in the table of clips to be scored, and its files in their place."""

import shutil
from dataclasses import replace
from pathlib import Path

from evaluation.verdict import Verdict
from pipelines.job.unit import Outcome
from space_data.files import atomic_file
from space_data.media.lossless import SUFFIX
from space_data.schema import FAILED, KEPT, SynthesizedClip
from space_data.store import Place, below

CANONICAL_SUFFIX = f".canonical{SUFFIX}"
CRASHES = {"worker_died": "crashed", "timed_out": "timed_out"}
"""Fates of a unit of work by which nothing is known of the video but that."""


def verdict_of(outcome: Outcome, path: Path | None) -> Verdict:
    """What a unit of work says of its video: the verdict that it left, or that it came to nothing."""
    if path is not None and path.is_file():
        return Verdict.load(path)
    return Verdict(CRASHES.get(outcome.reason, "system_failed"), outcome.detail or outcome.reason)


def copied(file: Path, target: Path) -> None:
    """Copy a file, whole or not at all.

    Raises:
        SpaceError: ``target`` cannot be written, e.g. because the disk is full.
    """
    with atomic_file(target) as part:
        shutil.copyfile(file, part)


def placed(row: SynthesizedClip, verdict: Verdict, native: Path, target: Path, root: Place) -> SynthesizedClip:
    """The row with what the verdict says; a video that can be scored is copied to ``target`` with its suffixes.

    Args:
        row: the facts of system and clip.
        native: the file as the system made it.
        target: without suffix; the canonical file lies beside the native one if it is another.
        root: what paths in the table are relative to.
    """
    found = verdict.canonical
    if found is None:
        return replace(row, status=FAILED, reason=verdict.reason, detail=verdict.detail)
    target.parent.mkdir(parents=True, exist_ok=True)
    native_target = target.with_name(target.name + native.suffix)
    copied(native, native_target)
    video = native_target
    if found.path.name != native.name:
        video = target.with_name(target.name + CANONICAL_SUFFIX)
        copied(found.path, video)
    scored, shown = (below(path.as_posix(), root) for path in (video, native_target))
    return replace(
        row, status=KEPT, reason="", detail="", video=scored, native_video=shown,
        native_width_px=found.native_width_px, native_height_px=found.native_height_px, native_fps=found.native_fps,
        own_sound=found.own_sound, held_frames=found.held_frames,
    )  # fmt: skip
