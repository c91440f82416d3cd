"""What readers return, and what they share."""

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, SPLITS

VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".flv", ".wmv", ".3gp", ".ogv",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One clip and what its corpus says of it. Without a label the emotion is neutral at intensity 0."""

    clip_id: str
    path: Path
    dataset: str
    subject: str
    emotion: str = "neutral"
    intensity: float = 0.0
    view: str = ""
    language: str = ""
    sex: str = ""
    split: str = ""
    """empty: by a hash of the subject"""
    audio: Path | None = None
    """file that holds the sound, if it is not the video"""
    recording: str = ""
    """what the clip was cut from, e.g. a YouTube id"""
    statement: str = ""
    """what is said, as the corpus numbers it"""
    part_s: tuple[float, float | None] = (0.0, None)
    """the part of the file that is the clip; None: to its end"""
    part_crop_px: tuple[int, int, int, int] = (0, 0, 0, 0)
    """x0, y0, x1, y1 of the part of the picture that is the clip; all 0: the whole"""
    annotated_offset_frames: float | None = None
    """+ = audio late"""
    annotated_speaker_confidence: float | None = None
    annotated_face_confidence: float | None = None


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
    """The clips of a corpus, sorted by id, and how many other files lay beside them, by suffix."""

    sources: list[Source]
    ignored: Counter[str] = field(default_factory=Counter)


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
