"""What readers return, and what they share."""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, SPLITS

VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".flv", ".wmv", ".3gp", ".ogv",
}  # fmt: skip
SOUND_SUFFIXES = (".m4a", ".wav", ".aac", ".flac")
"""Of sound files beside the videos; where two hold the same sound, the earlier suffix is taken."""

PART_SLACK_S = 1.0
"""Annotated time stamps are whole seconds: the end of a part may lie so far beyond the end of its file."""

ERROR, WARNING, NOTE = "error", "warning", "note"
FINDINGS = {
    "misnamed": (ERROR, "the name or folder is not one of this corpus; a video so named is a clip with neutral labels"),
    "impossible": (ERROR, "the corpus has no such take, or not so many"),
    "duplicate": (ERROR, "the same take, clip or content twice"),
    "lost": (ERROR, "a table in the folder names a file that is not there"),
    "annotation": (ERROR, "an annotation that cannot be read, or that belongs to another file"),
    "empty": (ERROR, "0 bytes"),
    "unreadable": (ERROR, "not playable (--probe)"),
    "truncated": (ERROR, "an annotated part ends beyond the end of its file (--probe)"),
    "frame_mismatch": (ERROR, "frames and annotated rows, or frames and sound, do not have the same number (--probe)"),
    "length_mismatch": (WARNING, "sound and picture differ in length (--probe)"),
    "size_mismatch": (WARNING, "not the picture size that the annotation was made for (--probe)"),
    "unmatched": (WARNING, "a file whose counterpart is not there: sound or annotation without video, video without sound"),
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
    """One clip and what its corpus says of it. Without a label the emotion is neutral at intensity 0."""

    clip_id: str
    path: str
    """a string: a million ``Path`` objects take 8 s and 0.3 GB"""
    dataset: str
    subject: str
    emotion: str = "neutral"
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
class Utterance:
    """Speech with an exact landmark track but no picture (the default corpus has them)."""

    clip_id: str
    audio: Path
    track: Path
    """``UtteranceFrame`` rows: normalised landmarks per 25 fps frame"""
    dataset: str
    subject: str
    emotion: str
    intensity: float
    language: str


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


@dataclass(frozen=True)
class Tree:
    """What lies below a folder: names relative to it, with ``/``, sorted."""

    files: list[str]
    not_entered: list[str]
    """linked folders"""
    not_utf8: list[str]
    """files that no table could name"""

    def listing(
        self,
        sources: Iterable[Source],
        ignored: Iterable[str],
        findings: list[Finding],
        companions: int,
        counts: Counter[str],
        lost: int = 0,
    ) -> Listing:
        """The listing of a reader that sorted ``files`` into clips, companions and ``ignored`` ones."""
        ignored_by_suffix = Counter(suffix_of(name) or "without suffix" for name in (*ignored, *self.not_utf8))
        ignored_by_suffix.update("linked folder" for _ in self.not_entered)
        unnameable = [Finding("misnamed", ascii(name)[1:-1], "the name is not UTF-8 (rename it)") for name in self.not_utf8]
        n_files = len(self.files) + len(self.not_entered) + len(self.not_utf8)
        by_id = sorted(sources, key=lambda source: source.clip_id)
        return Listing(by_id, ignored_by_suffix, findings + unnameable, n_files, companions, lost, counts)


def walk(root: Path, follow_links: bool = True) -> Tree:
    """Everything below ``root``.

    Hidden files and folders are skipped. No file is looked at, so a million of them take seconds. Linked folders are entered
    once each and only if they lie outside ``root``: what lies inside is found without the link, and circles end.

    Raises:
        SpaceError: a folder cannot be read.
    """
    files: list[str] = []
    not_entered: list[str] = []
    waiting = [""]
    entered = {os.path.realpath(root)}
    while waiting:
        prefix = waiting.pop()
        try:
            entries = sorted(os.scandir(f"{root}/{prefix}"), key=lambda entry: entry.name)  # which of two links is entered
        except OSError as error:
            raise SpaceError(f"{root}/{prefix}: folder cannot be listed ({error.strerror})") from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = prefix + entry.name
            if not entry.is_dir():
                files.append(name)
            elif not entry.is_symlink() or (follow_links and _is_outside(entry.path, entered)):
                waiting.append(f"{name}/")
            else:
                not_entered.append(name)
    not_utf8 = [name for name in files if not _is_utf8(name)]
    if not_utf8:
        files = [name for name in files if _is_utf8(name)]
    return Tree(sorted(files), sorted(not_entered), sorted(not_utf8))


def _is_outside(link: str, entered: set[str]) -> bool:
    """Whether a linked folder neither holds, nor lies in, one that is or will be entered; then it is one of them."""
    target = os.path.realpath(link)
    if any(os.path.commonpath((target, other)) in (target, other) for other in entered):
        return False
    entered.add(target)
    return True


def suffix_of(name: str) -> str:
    """Lower-case suffix of a path, with its dot; empty if it has none."""
    base = name.rpartition("/")[2]
    dot = base.rfind(".")
    return base[dot:].lower() if dot > 0 else ""


def _is_utf8(name: str) -> bool:
    """Whether a name from the file system can be written as UTF-8; other bytes come as lone surrogates."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def is_media(name: str) -> bool:
    """Whether a file is called like a video or a sound."""
    return suffix_of(name) in VIDEO_SUFFIXES or suffix_of(name) in SOUND_SUFFIXES


def misnamed_source(root: Path, name: str, dataset: str, subject: str = "") -> tuple[Source, Finding]:
    """A video whose name the corpus does not have: a clip with neutral labels all the same, and the finding that says so.

    Its subject is ``subject`` if that can be told, else its folder: close to the person, so that splits keep people apart.
    """
    folder = subject or os.path.dirname(name).replace("/", "_") or os.path.splitext(name)[0]
    source = Source(f"{dataset}/{name}", f"{root}/{name}", dataset, f"{dataset}/{folder}")
    return source, Finding("misnamed", name, "a clip with neutral labels")


def read_csv(path: Path, required: set[str], optional: set[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a header.

    Raises:
        SpaceError: a required column is missing, one is unknown, or the text is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpaceError(f"{path}: byte {error.start} is not UTF-8 (save the table as UTF-8)") from error
    with io.StringIO(text, newline="") as file:
        reader = csv.DictReader(file)
        columns = set(reader.fieldnames or ())
        missing, unknown = required - columns, columns - required - optional
        if missing or unknown:
            wrong = f"column {min(missing)!r} is missing" if missing else f"unknown column {min(unknown)!r}"
            raise SpaceError(f"{path}: {wrong} (need {', '.join(sorted(required))}; may have {', '.join(sorted(optional))})")
        return [{key: (value or "").strip() for key, value in row.items()} for row in reader]


def read_lines(path: Path) -> list[str]:
    """Lines of a corpus' own text table; bytes that are not UTF-8 become question marks, a byte order mark goes.

    Raises:
        SpaceError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise SpaceError(f"{path}: cannot be read ({error.strerror})") from error


def check_labels(where: str, emotion: str, intensity: str, split: str) -> tuple[str, float, str]:
    """Emotion, intensity and split of a label row, checked.

    Raises:
        SpaceError: an unknown emotion or split, or an intensity outside [0, 1].
    """
    emotion = emotion or "neutral"
    if emotion not in EMOTIONS:
        raise SpaceError(f"{where}: emotion {emotion!r}, need one of {', '.join(EMOTIONS)}")
    if split and split not in SPLITS:
        raise SpaceError(f"{where}: split {split!r}, need one of {', '.join(SPLITS)} (or nothing: then by subject)")
    try:
        value = float(intensity) if intensity else (0.0 if emotion == "neutral" else 1.0)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise SpaceError(f"{where}: intensity {intensity!r}, need a number from 0 to 1")
    return emotion, value, split
