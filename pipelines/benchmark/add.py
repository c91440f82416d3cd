"""``space benchmark add``: videos that were made anywhere become canonical clips and rows of the benchmark."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from evaluation.canonical import Expected, Framing
from evaluation.external.card import CARD_FILE, NAME_PATTERN, Card
from evaluation.lists.clip_list import Chosen, Resolved
from evaluation.reasons import NotCanonical
from evaluation.systems import SYSTEM_NAMES
from evaluation.verdict import Verdict, judge
from pipelines.benchmark.clips import CLIPS_FILE
from pipelines.benchmark.rows import CANONICAL_SUFFIX, placed, verdict_of
from pipelines.job.run import run_units
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from pipelines.readers.listing import VIDEO_SUFFIXES
from space_data.errors import SpaceError
from space_data.files import atomic_file, file_stems, sha256_of
from space_data.media.sound import decode_audio
from space_data.params import Params, Synthesize
from space_data.schema import FAILED, KEPT, SynthesizedClip
from space_data.store import below
from space_data.tables import write_table
from space_data.timebase import fit_samples

UNIT = "benchmark_add"
VERDICT_FILE, CANONICAL_FILE = "verdict.json", "canonical.mkv"


@dataclass(frozen=True)
class Candidate:
    """A file to look at, or why there is none to look at, and what it is to be."""

    path: str
    refusal: Verdict | None
    chosen: Chosen
    framing: Framing


def check_name(name: str) -> None:
    """Raise SpaceError unless a system of others may be called so."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise SpaceError(f"system {name!r}: need small letters, digits, _ and -")
    if name in SYSTEM_NAMES:
        raise SpaceError(f"system {name!r}: that is one of the package's own, need another name")


def find_video(folder: Path, clip_id: str, stem: str) -> Path:
    """The one file of a clip in any container, named by its id or by the stem that ``export`` gave it.

    Raises:
        NotCanonical: none, several, or a link that leads out of the folder.
    """
    found = [path for name in dict.fromkeys((clip_id, stem)) for path in _videos_of(folder / name)]
    if not found:
        raise NotCanonical("missing", f"no {stem}.mp4, nor in another container")
    if len(found) > 1:
        raise NotCanonical("ambiguous", f"{', '.join(path.name for path in found)}: which one?")
    if not Path(os.path.realpath(found[0])).is_relative_to(os.path.realpath(folder)):
        raise NotCanonical("outside", f"{found[0].name}: a link that leads out of {folder}")
    return found[0]


def _videos_of(stem: Path) -> list[Path]:
    """Videos of that name in any container, whose ending may be in capitals."""
    beside = sorted(stem.parent.iterdir()) if stem.parent.is_dir() else []
    return [path for path in beside if path.suffix.lower() in VIDEO_SUFFIXES and path.name == f"{stem.name}{path.suffix}"]


def add(
    name: str, folder: Path, card: Card, listed: Resolved, params: Params, layout: Layout,
    framings: Mapping[str, Framing] | None = None, failures: Mapping[str, Verdict] | None = None,
) -> list[SynthesizedClip]:
    """Put canonical videos and a row per clip of the list below ``layout.external / name``, in place of those of before.

    Args:
        framings: by clip id, where it is not the card's alone (padded sound).
        failures: by clip id, why there is no video to look for.

    Raises:
        SpaceError: no such folder, or a name that is taken.
    """
    check_name(name)
    if not folder.is_dir():
        raise SpaceError(f"{folder}: no such folder (need {folder}/<clip_id>.mp4, see `space benchmark export`)")
    stems = file_stems((one.clip.clip_id for one in listed.chosen), ".mp4", CANONICAL_SUFFIX)
    units = [
        _unit(name, _candidate(folder, one, stems, (framings or {}).get(one.clip.clip_id) or card.framing(), failures or {}))
        for one in listed.chosen
    ]
    job = params.job.model_copy(update={"max_failed_share": 1.0})  # a hundred broken files are a hundred rows
    lenient = params.model_copy(update={"job": job})
    results = {result.unit_id: result for result in run_units(UNIT, units, canonical_unit, params.synthesize, lenient, layout)}
    part = layout.external / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    rows = []
    for unit in units:
        candidate: Candidate = unit.value
        result = results[unit.unit_id]
        verdict = verdict_of(result, result.folder / VERDICT_FILE if result.folder else None)
        target = part / "videos" / stems[candidate.chosen.clip.clip_id]
        row = _row(name, candidate.chosen, listed.label, layout)
        rows.append(placed(row, verdict, Path(candidate.path), target, layout.data))
    final = layout.external / name
    moved = [_moved(row, below(part.as_posix(), layout.data), below(final.as_posix(), layout.data)) for row in rows]
    write_table(part / CLIPS_FILE, moved, SynthesizedClip)
    with atomic_file(part / CARD_FILE) as file:
        file.write_text(yaml.safe_dump(card.model_dump(mode="json", exclude_defaults=True), sort_keys=False))
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    return moved


def canonical_unit(value: Candidate, settings: Synthesize, folder: Path) -> None:
    """Unit function: the verdict on one file, and its canonical form if it needs another."""
    if value.refusal is not None:
        value.refusal.save(folder / VERDICT_FILE)
        return
    clip, n_frames = value.chosen.clip, value.chosen.n_frames
    expected = Expected(n_frames, clip.size_px, fit_samples(decode_audio(clip.audio), n_frames), value.framing)
    judge(Path(value.path), expected, folder / CANONICAL_FILE).save(folder / VERDICT_FILE)


def summary(rows: list[SynthesizedClip]) -> str:
    """What became of the clips, a line; then one per reason."""
    kept = sum(row.status == KEPT for row in rows)
    reasons = Counter(row.reason for row in rows if row.status != KEPT)
    lines = [f"{rows[0].system}: {kept} of {len(rows)} clips of {rows[0].test_list} can be scored"]
    for reason, count in reasons.most_common():
        first = next(row for row in rows if row.reason == reason)
        last_line = first.detail.rpartition("\n")[2]
        lines.append(f"  {count} {reason}, e.g. {first.clip_id}: {last_line}")
    return "\n".join(lines)


def _candidate(
    folder: Path, one: Chosen, stems: Mapping[str, str], framing: Framing, failures: Mapping[str, Verdict]
) -> Candidate:
    clip_id = one.clip.clip_id
    if clip_id in failures:
        return Candidate("", failures[clip_id], one, framing)
    try:
        return Candidate(str(find_video(folder, clip_id, stems[clip_id])), None, one, framing)
    except NotCanonical as refusal:
        return Candidate("", Verdict(refusal.reason, refusal.detail), one, framing)


def _unit(name: str, candidate: Candidate) -> Unit:
    chosen = candidate.chosen
    asked = chosen.n_frames, chosen.clip.audio_sha256, chosen.clip.size_px, candidate.framing
    content = content_hash(_hash(candidate.path), candidate.refusal, asked)
    return Unit(f"{name}/{chosen.clip.clip_id}", content, candidate, ((chosen.clip.audio, chosen.clip.audio_sha256),))


def _hash(path: str) -> str:
    """Of a file's content; of what cannot be read only that."""
    try:
        return sha256_of(path) if path and Path(path).is_file() else "no file"
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _row(name: str, one: Chosen, label: str, layout: Layout) -> SynthesizedClip:
    clip = one.clip
    reference, audio = (below(path, layout.data) for path in (clip.video, clip.audio))
    return SynthesizedClip(
        system=name, clip_id=clip.clip_id, subject=clip.subject, emotion=clip.emotion, intensity=clip.intensity,
        driving_audio=audio, reference=reference, audio=audio, video="", n_frames=one.n_frames, size_px=clip.size_px,
        status=FAILED, detail="", test_list=label,
    )  # fmt: skip


def _moved(row: SynthesizedClip, before: str, after: str) -> SynthesizedClip:
    video, native = (f"{after}{path.removeprefix(before)}" if path else "" for path in (row.video, row.native_video))
    return replace(row, video=video, native_video=native)
