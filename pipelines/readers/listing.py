"""What readers return, and what they share."""

import os
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from space_data.errors import SpaceError
from space_data.schema import UNKNOWN
from space_data.store import Place

VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".flv", ".wmv", ".3gp", ".ogv",
}  # fmt: skip
SOUND_SUFFIXES = (".m4a", ".wav", ".aac", ".flac")
"""Of sound files beside the videos; where two hold the same sound, the earlier suffix is taken."""

PART_SLACK_S = 1.0
"""Annotated time stamps are whole seconds: the end of a part may lie so far beyond the end of its file."""

ERROR, WARNING, NOTE = "error", "warning", "note"
FINDINGS = {
    "misnamed": (ERROR, "the name or folder is not one of this corpus; a video so named is a clip of unknown emotion"),
    "impossible": (ERROR, "the corpus has no such take, or not so many"),
    "duplicate": (ERROR, "the same take, clip or content twice"),
    "collision": (ERROR, "two names that differ only in their Unicode form: no table can tell them apart, neither is a clip"),
    "lost": (ERROR, "a table in the folder names a clip that is not there, or a link leads nowhere"),
    "annotation": (ERROR, "an annotation that cannot be read, or that belongs to another file"),
    "empty": (ERROR, "0 bytes"),
    "unreadable": (ERROR, "not playable (--probe)"),
    "truncated": (ERROR, "an annotated part ends beyond the end of its file (--probe)"),
    "frame_mismatch": (ERROR, "frames and annotated rows, or frames and sound, do not have the same number (--probe)"),
    "length_mismatch": (WARNING, "sound and picture differ in length (--probe)"),
    "size_mismatch": (WARNING, "not the picture size that the annotation was made for (--probe)"),
    "unmatched": (WARNING, "a file whose counterpart is not there: sound or annotation without video, video without sound"),
    "not_entered": (WARNING, "a folder that may not be read: what lies in it is not listed"),
    "not_a_file": (WARNING, "a link to itself, a pipe, a socket or a device: never opened"),
    "missing": (NOTE, "not here; a part of a corpus is fine"),
}
"""The closed list of what ``space data check`` finds: how bad it is, and what it means."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the corpus should be; ``path`` is relative to its folder, or a clip id or a group of clips."""

    kind: str
    path: str
    detail: str = ""


@dataclass(frozen=True)
class Published:
    """How many of something the whole corpus has, and who says so."""

    number: float
    source: str


@dataclass(frozen=True, slots=True)
class Source:
    """One clip and what its corpus says of it. Without a label the emotion is unknown, which is not neutral."""

    clip_id: str
    path: str
    """relative to the corpus' folder, like ``audio``; a string: a million ``Path`` objects take 8 s and 0.3 GB"""
    dataset: str
    subject: str
    emotion: str = UNKNOWN
    intensity: float = 0.0
    view: str = ""
    language: str = ""
    sex: str = ""
    split: str = ""
    """empty: by a hash of the subject"""
    audio: str = ""
    """file that holds the sound; empty: the video does"""
    audio_track: int | None = None
    """number of the sound track in that file, from 0, as FFmpeg's ``0:a:N``; None: the default one"""
    recording: str = ""
    """what the clip was cut from, e.g. a YouTube id"""
    statement: str = ""
    """what is said, as the corpus numbers it"""
    part_s: tuple[float, float | None] = (0.0, None)
    """the part of the file that is the clip; None: to its end"""
    part_crop_px: tuple[int, int, int, int] = (0, 0, 0, 0)
    """x0, y0, x1, y1 of the part of the picture that is the clip; all 0: the whole"""
    part_crop_height_px: int = 0
    """height of the picture that the crop was drawn in (``ingest`` scales it to the file's own); 0: the file's own"""
    annotated_offset_frames: float | None = None
    """+ = audio late"""
    annotated_speaker_confidence: float | None = None
    annotated_face_confidence: float | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The video, and the sound if it is a file of its own."""
        return (self.path, self.audio) if self.audio else (self.path,)


@dataclass(frozen=True)
class Listing:
    """The clips of a corpus, sorted by id, and what became of every other file of its folder (hidden ones are not looked at).

    files + lost = those of the clips (each counted once) + companions + ignored: ``unaccounted`` is 0.
    """

    sources: list[Source]
    ignored: Counter[str] = field(default_factory=Counter)
    """files that belong to no clip, and folders not entered, by suffix"""
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    companions: int = 0
    """annotations, tables, and other files of a clip that are neither its picture nor its sound"""
    lost: int = 0
    """clips that a table in the folder names and that are not there"""
    counts: Counter[str] = field(default_factory=Counter)
    """how many of what the corpus' totals are published in"""
    planted: frozenset[str] = frozenset()
    """files that are broken on purpose: ``space data check`` has nothing to say of them"""

    def unaccounted(self) -> int:
        """Files that are neither a clip's, nor a companion, nor ignored; anything but 0 is a fault of the reader."""
        of_clips = {path for source in self.sources for path in source.files}
        return self.files + self.lost - len(of_clips) - self.companions - sum(self.ignored.values())


def suffix_of(name: str) -> str:
    """Lower-case suffix of a path, with its dot; empty if it has none."""
    base = name.rpartition("/")[2]
    dot = base.rfind(".")
    return base[dot:].lower() if dot > 0 else ""


def is_media(name: str) -> bool:
    """Whether a file is called like a video or a sound."""
    return suffix_of(name) in VIDEO_SUFFIXES or suffix_of(name) in SOUND_SUFFIXES


def nfc(name: str) -> str:
    """A name in composed Unicode form; file systems and spreadsheets write é in either."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def misnamed_source(name: str, dataset: str, subject: str = "") -> tuple[Source, Finding]:
    """A video whose name the corpus does not have: a clip of unknown emotion all the same, and the finding that says so.

    Its subject is ``subject`` if that can be told, else its folder: close to the person, so that splits keep people apart.
    """
    folder = subject or os.path.dirname(name).replace("/", "_") or os.path.splitext(name)[0]
    source = Source(f"{dataset}/{nfc(name)}", name, dataset, f"{dataset}/{nfc(folder)}")
    return source, Finding("misnamed", name, "a clip of unknown emotion")


def read_lines(path: Place) -> list[str]:
    """Lines of a corpus' own text table; bytes that are not UTF-8 become question marks, a byte order mark goes.

    Raises:
        SpaceError: it cannot be read.
    """
    try:
        return path.read().decode("utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise SpaceError(f"{path}: cannot be read ({error.strerror})") from error
