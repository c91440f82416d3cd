"""HDTF: people who speak to the camera in YouTube videos of 720 or 1080 lines (Zhang et al., CVPR 2021; github.com/MRzzm/HDTF).

* Size, counted in the published text files: 369 annotated videos in the groups RD, WDA and WRA (56 / 183 / 130), 436 clips,
  17.07 h of time stamps. The paper says about 16 hours. Only urls and annotations are published; part of the videos is gone.
* Licence: the annotations CC BY 4.0, the videos their owners'.
* Layout, both that people have, side by side if need be, at any depth: clips already cut, ``<video>_<i>.mp4`` (i from 0;
  ``RD_<video>_<iii>.mp4`` too), text files optional; whole downloads, ``<video>.mp4`` or ``RD_<video>.mp4``, with the text
  files: then each time stamp is a clip, a part of the file. Where a clip is also there as a file, the file is taken.
* Text files ``XX_annotion_time.txt`` (video, mm:ss-mm:ss ...), ``XX_crop_wh.txt`` (clip, then **x, width, y, height** in this
  order), ``XX_resolution.txt`` (video, lines), ``XX_video_url.txt``.

Traps: time stamps are whole seconds. 15 clips have no crop row: their whole picture is taken. A crop belongs to a picture of as
many lines as ``XX_resolution.txt`` says, and is scaled if the file has others; three crops do not fit into that and one height
is 0: they are taken in the file's own pixels. Cut clips are taken as they are, cropped or not. The popular download script
fetches no sound.

Subject: the video's name without its number. The videos of RD are only numbered and may show the same person, so all of RD is
one subject; one person comes under two names (both have video gh3YqnvNdio). Emotion, sex and language are not annotated.
"""

import os
import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeVar

from pipelines.readers.listing import (
    VIDEO_SUFFIXES,
    Finding,
    Listing,
    Published,
    Source,
    is_media,
    misnamed_source,
    read_lines,
    suffix_of,
)  # fmt: skip
from pipelines.readers.tree import walk
from space_data.store import Place

DATASET = "hdtf"
_COUNTED = "counted in MRzzm/HDTF's text files"
PUBLISHED = {
    "videos": Published(369, _COUNTED),
    "clips": Published(436, _COUNTED),
    "hours": Published(17.07, _COUNTED),
}
VIDEO = re.compile(r"(?:(?:RD|WDA|WRA)_)?([A-Za-z][A-Za-z-]*\d*)")
CLIP = re.compile(VIDEO.pattern + r"_(\d{1,3})")
TABLE = re.compile(r"(?:RD|WDA|WRA)_(annotion_time|crop_wh|crop_ratio|resolution|video_url)\.txt")
STAMP = re.compile(r"(?:(\d+):)?(\d+):(\d\d)-(?:(\d+):)?(\d+):(\d\d)")
GROUPED = re.compile(r"(?:RD|WDA|WRA)_([A-Za-z][A-Za-z-]*\d*)(?![A-Za-z0-9])")
"""A name that only this corpus has."""
YOUTUBE = re.compile(r"(?:[?&]v=|youtu\.be/)([\w-]{11})")
NUMBERED_ONLY = {"Radio": "RD"}
SAME_PERSON = {"WhipJimClyburn": "JamesClyburn"}

Key = TypeVar("Key", bound=Hashable)


@dataclass
class _Tables:
    """What the text files say."""

    spans_s: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """by video"""
    crops_px: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    """x0, y0, x1, y1 by clip"""
    heights_px: dict[str, int] = field(default_factory=dict)
    youtube_ids: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def knows(self, video: str) -> bool:
        """Whether any table names the video; without tables every name will do."""
        return not self.files or video in self.spans_s or video in self.youtube_ids or video in self.heights_px

    def crop(self, clip: str, video: str) -> tuple[tuple[int, int, int, int], int]:
        """A clip's crop and the height of the picture it was drawn in; zeros where the tables do not say."""
        crop, height_px = self.crops_px.get(clip, (0, 0, 0, 0)), self.heights_px.get(video, 0)
        return crop, height_px if height_px >= crop[3] > 0 else 0


def read_tables(root: Place, names: list[str]) -> _Tables:
    """All text files of the corpus among ``names``; rows that cannot be read are findings."""
    tables = _Tables()
    for name in names:
        match = TABLE.fullmatch(os.path.basename(name))
        if match is None:
            continue
        tables.files.append(name)
        for number, line in enumerate(read_lines(root / name), 1):
            key, *values = line.split() or [""]
            if key and not _read_row(tables, match[1], key.removesuffix(".mp4"), values):
                tables.findings.append(Finding("annotation", name, f"row {number}: {line.strip()!r} cannot be read"))
    return tables


def _read_row(tables: _Tables, table: str, key: str, values: list[str]) -> bool:
    """Take one row into the tables; False if it is not of that table's form."""
    if table == "annotion_time":
        stamps = [STAMP.fullmatch(value) for value in values]
        spans_s = [(_seconds(*m.group(1, 2, 3)), _seconds(*m.group(4, 5, 6))) for m in stamps if m]
        if not values or len(spans_s) < len(values) or any(end_s <= start_s for start_s, end_s in spans_s):
            return False
        tables.spans_s[key] = spans_s
    elif table == "crop_wh":
        if len(values) != 4 or not all(value.isdecimal() for value in values):
            return False
        x, width, y, height = map(int, values)
        tables.crops_px[key] = (x, y, x + width, y + height)
    elif table == "resolution":
        if len(values) != 1 or not values[0].isdecimal():
            return False
        tables.heights_px[key] = int(values[0])
    elif table == "video_url":
        youtube_id = YOUTUBE.search(values[0]) if values else None
        if youtube_id is None:
            return False
        tables.youtube_ids[key] = youtube_id[1]
    return True


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return int(hours or 0) * 3600.0 + int(minutes) * 60 + int(seconds)


def list_clips(root: Place) -> Listing:
    """Clips that are files of their own, and the annotated parts of whole downloads."""
    tree = walk(root)
    tables = read_tables(root, tree.files)
    cut: dict[tuple[str, int], str] = {}
    whole: dict[str, str] = {}
    sources: list[Source] = []
    findings = tables.findings
    ignored: list[str] = []
    for name in tree.files:
        stem = os.path.splitext(os.path.basename(name))[0]
        clip, video = CLIP.fullmatch(stem), VIDEO.fullmatch(stem)
        if suffix_of(name) not in VIDEO_SUFFIXES:
            if name not in tables.files:
                ignored.append(name)
                if is_media(name):
                    findings.append(Finding("unmatched", name, "not used: videos must carry their sound (mux it into the video)"))
        elif clip and tables.knows(clip[1]):
            _take((clip[1], int(clip[2])), name, cut, ignored, findings)
        elif video and tables.knows(video[1]):
            _take(video[1], name, whole, ignored, findings)
        else:
            source, finding = misnamed_source(name, DATASET, person_of(name))
            sources.append(source)
            findings.append(finding)
    sources += [_source(tables, name, *key) for key, name in cut.items()]
    used = 0
    for video_name, name in whole.items():
        parts = _parts(tables, video_name, name, set(cut))
        sources += parts
        used += bool(parts)
    counts = Counter(videos=len({video for video, _ in cut} | set(whole)), clips=len(sources))
    findings += _missing(tables, set(cut), set(whole))
    return tree.listing(sources, ignored, findings, len(tables.files) + len(whole) - used, counts)


def _take(key: Key, name: str, taken: dict[Key, str], ignored: list[str], findings: list[Finding]) -> None:
    """Note a video under its key, or a second one of the same key as a duplicate."""
    if taken.setdefault(key, name) != name:
        ignored.append(name)
        findings.append(Finding("duplicate", name, f"the same video as {taken[key]}, which is taken"))


def _person(video: str) -> str:
    stem = video.rstrip("0123456789")
    return NUMBERED_ONLY.get(stem) or SAME_PERSON.get(stem, stem)


def person_of(name: str) -> str:
    """The speaker whom a name with its group tells (``WDA_BarackObama_000``), wherever it lies; empty if it tells none."""
    match = GROUPED.match(os.path.basename(name))
    return _person(match[1]) if match else ""


def _source(
    tables: _Tables, name: str, video: str, number: int | None, part_s: tuple[float, float | None] = (0.0, None)
) -> Source:
    """A clip; with ``part_s`` a part of a whole download, cropped."""
    clip = video if number is None else f"{video}_{number}"
    crop_px, height_px = tables.crop(clip, video) if part_s[1] is not None else ((0, 0, 0, 0), 0)
    return Source(
        clip_id=f"{DATASET}/{clip}", path=name, dataset=DATASET, subject=f"{DATASET}/{_person(video)}",
        recording=tables.youtube_ids.get(video, video), part_s=part_s, part_crop_px=crop_px, part_crop_height_px=height_px,
    )  # fmt: skip


def _parts(tables: _Tables, video: str, name: str, cut: set[tuple[str, int]]) -> list[Source]:
    """The annotated parts of a whole download that are not there as files; the whole of it if nothing is annotated."""
    findings = tables.findings
    if video not in tables.spans_s:
        findings.append(Finding("unmatched", name, "no time stamps: the whole file is one clip"))
        return [_source(tables, name, video, None)]
    sources = []
    for number, span_s in enumerate(tables.spans_s[video]):
        if (video, number) in cut:
            continue
        source = _source(tables, name, video, number, span_s)
        sources.append(source)
        if not any(source.part_crop_px):
            findings.append(Finding("missing", source.clip_id, "no crop row: the whole picture is taken"))
        elif not source.part_crop_height_px:
            lines = tables.heights_px.get(video, 0)
            detail = f"crop to line {source.part_crop_px[3]} of {lines} lines: taken in the file's own pixels"
            findings.append(Finding("size_mismatch", source.clip_id, detail))
    return sources


def _missing(tables: _Tables, cut: set[tuple[str, int]], whole: set[str]) -> list[Finding]:
    """Annotated clips that are not here, and numbers that no video has."""
    findings = []
    for video, spans_s in sorted(tables.spans_s.items()):
        numbers = {number for name, number in cut if name == video}
        absent = [str(number) for number in range(len(spans_s)) if number not in numbers]
        if absent and video not in whole:
            detail = f"clip {', '.join(absent)} of {len(spans_s)}" if numbers else "neither the video nor clips of it"
            findings.append(Finding("missing", video, detail))
        findings += [
            Finding("impossible", f"{video}_{number}", f"the video has {len(spans_s)} time stamps, counted from 0")
            for number in sorted(numbers)
            if number >= len(spans_s)
        ]
    return findings
