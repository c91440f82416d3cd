"""Any folder of videos, however deep; labels are optional.

``labels.csv`` in the folder may give per clip (``clip`` = path relative to the folder) its subject, emotion, intensity, view,
language, sex, split and audio track. Without it the subject is the person whom a name of VoxCeleb2, MEAD, RAVDESS or HDTF tells
(flattened names, too); else clips in one top-level subfolder count as one subject, a clip that lies directly in the folder as a
subject of its own: one person must not end up in different splits.
"""

import difflib
import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable

from pipelines.readers import hdtf, mead, ravdess, voxceleb2
from pipelines.readers.csv_tables import Row, check_audio_track, check_labels, read_csv
from pipelines.readers.listing import VIDEO_SUFFIXES, Finding, Listing, Published, Source, nfc, suffix_of
from pipelines.readers.tree import Tree, walk
from space_data.errors import SpaceError
from space_data.store import Place

LABELS = "labels.csv"
OPTIONAL = {"subject", "emotion", "intensity", "view", "language", "sex", "split", "audio_track"}
PUBLISHED: dict[str, Published] = {}
SEGMENT = re.compile(r"#\d+$")
NO_LABELS = Row("", {})
COMPARED_NAMES = 100_000
"""Pairs of names that may be compared to suggest what a label row meant."""


def list_clips(root: Place) -> Listing:
    """All videos under ``root``, by suffix; hidden files and folders are skipped, other files and linked folders counted.

    A link that points nowhere is listed if it is named like a video: ``ingest`` says what is wrong with it.

    Raises:
        SpaceError: ``labels.csv`` has an error.
    """
    tree = walk(root, follow_links=False)
    videos = [name for name in tree.files if suffix_of(name) in VIDEO_SUFFIXES]
    others = [name for name in tree.files if suffix_of(name) not in VIDEO_SUFFIXES and name != LABELS]
    labels, findings = _labels(root, tree, videos)
    dataset = nfc(root.resolved().rpartition("/")[2])
    people = _people(root)
    subjects = {name: labels.get(name, NO_LABELS).get("subject") or _subject(people, name) for name in videos}
    splits = _splits(labels, subjects)
    sources = []
    for name in videos:
        row = labels.get(name, NO_LABELS)
        emotion, intensity, _ = check_labels(row)
        sources.append(
            Source(
                clip_id=f"{dataset}/{nfc(clip_name(name))}", path=name, dataset=dataset,
                subject=f"{dataset}/{subjects[name]}", emotion=emotion, intensity=intensity, view=row.get("view"),
                language=row.get("language"), sex=row.get("sex"), split=splits.get(subjects[name], ""),
                audio_track=check_audio_track(row),
            )
        )  # fmt: skip
    counts = Counter({"subjects": len(set(subjects.values())), "clips": len(sources)})
    return tree.listing(sources, others, findings, len(tree.files) - len(videos) - len(others), counts)


def clip_name(name: str) -> str:
    """A clip's name: its path, without the suffix if that is ``.mp4``.

    It depends on no other file, so that a clip stays the one it is when others come, and no two files share one: where what is
    left without the suffix could be another file's (``v.mov.mp4``) or a segment (``v#1.mp4`` of ``v``), it stays.
    """
    stem = name.removesuffix(".mp4")
    return name if suffix_of(stem) in VIDEO_SUFFIXES or SEGMENT.search(stem) else stem


def _people(root: Place) -> list[tuple[str, Callable[[str], str]]]:
    """Per corpus whose names tell a person: the levels of its layout that lie above ``root``, and what reads a name."""
    return [
        (voxceleb2.root_levels(root)[1], voxceleb2.person_of), (ravdess.root_levels(root), ravdess.person_of),
        ("", hdtf.person_of), (mead.root_levels(root), mead.person_in_take),
    ]  # fmt: skip


def _subject(people: list[tuple[str, Callable[[str], str]]], name: str) -> str:
    """Who is likely to be seen, as far as names tell."""
    for levels, person_of in people:
        if person := person_of(levels + name):
            return person
    top, slash, _ = name.partition("/")
    while not slash and suffix_of(top) in VIDEO_SUFFIXES:  # v.mp4.webm shows whom v.mp4 shows
        top = os.path.splitext(top)[0]
    return nfc(top)


def _labels(root: Place, tree: Tree, videos: list[str]) -> tuple[dict[str, Row], list[Finding]]:
    """Label rows by the video's name, and the rows of no video."""
    if LABELS not in tree.files and all(finding.path != LABELS for _, finding in tree.left_out):
        return {}, []
    by_name = {nfc(name): name for name in videos}
    rows: dict[str, Row] = {}
    lost: dict[str, Row] = {}
    for row in read_csv(root / LABELS, {"clip"}, OPTIONAL):
        check_labels(row)
        check_audio_track(row)
        key = row.get("clip")
        if key not in by_name:  # as other systems write paths
            key = posixpath.normpath(key.replace("\\", "/").lstrip("/"))
        of_kind = rows if key in by_name else lost
        name = by_name.get(key, key)
        if name in of_kind:
            raise SpaceError(f"{row.where}: clip {row.get('clip')!r} has two rows (the first: {_short(of_kind[name].where)})")
        of_kind[name] = row
    there = {nfc(name) for name in tree.files} | {nfc(finding.path) for _, finding in tree.left_out}
    cheap = len(lost) * len(videos) <= COMPARED_NAMES
    return rows, [
        Finding("lost", name, f"{LABELS} has a row for it" + (
            ", and it is no clip" if name in there else _near_miss(name, by_name) if cheap else ""))
        for name in sorted(lost)
    ]  # fmt: skip


def _short(where: str) -> str:
    """Where a row stands within its table."""
    return "row " + where.rpartition(" ")[2]


def _near_miss(name: str, by_name: dict[str, str]) -> str:
    """Which video a label row may have meant, in words."""
    meant = {os.path.splitext(known)[0].casefold(): known for known in by_name} | {known.casefold(): known for known in by_name}
    close = difflib.get_close_matches(name.casefold(), meant, 1, 0.8)
    return f" (is {meant[close[0]]} meant?)" if close else ""


def _splits(labels: dict[str, Row], subjects: dict[str, str]) -> dict[str, str]:
    """Split by subject: where one row of a person names it, it is that of all clips of that person.

    Raises:
        SpaceError: the rows put one person into two splits.
    """
    first: dict[str, tuple[str, str]] = {}
    for name, row in labels.items():
        if split := row.get("split"):
            where, known = first.setdefault(subjects[name], (row.where, split))
            if known != split:
                raise SpaceError(
                    f"{row.where}: subject {subjects[name]!r} in split {split}, but in {known} by {_short(where)} "
                    "(a person is in one split only)"
                )
    return {subject: split for subject, (_, split) in first.items()}
