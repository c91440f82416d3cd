"""CSV tables as people and spreadsheets write them, read strictly: what is wrong is said with file and row, nothing is swallowed.

A row is a line: none of our columns holds a line break, so a quote that is never closed costs its own line and not the next.
"""

import contextlib
import csv
import os
import posixpath
import re
from dataclasses import dataclass

from pipelines.readers.listing import nfc
from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, SPLITS, UNKNOWN
from space_data.store import Place

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
SAID = re.compile(r"[^\s,;]")
"""Something other than delimiters: a row that is not blank."""
SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Row:
    """One row: where it stands, for messages, and its cells by column, stripped, in composed Unicode form."""

    where: str
    cells: dict[str, str]

    def get(self, column: str) -> str:
        """The cell; empty if the table has no such column."""
        return self.cells.get(column, "")


def read_csv(path: Place, required: set[str], optional: set[str]) -> list[Row]:
    """Rows of a table whose header tells the delimiter: commas, semicolons or tabs. Blank rows and columns are skipped.

    Raises:
        SpaceError: it cannot be read or is not UTF-8; a column is missing, unknown or there twice; a row has too many or too
            few cells, an open quote, or an empty cell where the column is required.
    """
    lines = [(f"{path} row {number}", line) for number, line in enumerate(_lines(path), 1) if SAID.search(line)]
    if not lines:
        raise SpaceError(f"{path}: the table is empty (need a header with {', '.join(sorted(required))})")
    where, head = lines[0]
    delimiter = _delimiter(where, head, required)
    header = _header(where, head, delimiter)
    _check_header(where, header, required, optional)
    while not header[-1]:
        header.pop()
    rows = []
    for where, line in lines[1:]:
        cells = _cells(where, line, delimiter)
        if not any(cells):
            continue
        stray = [cell for name, cell in zip(header + [""] * len(cells), cells, strict=False) if cell and not name]
        if stray:
            slip = f"(cells are separated by {DELIMITERS[delimiter]}: quote one that holds such)"
            raise SpaceError(f"{where}: {stray[0]!r} stands under no column in {_shown(line)} {slip}")
        if len(cells) < len(header):
            raise SpaceError(f"{where}: {len(cells)} cells in {_shown(line)}, need {len(header)}")
        row = {name: cell for name, cell in zip(header, cells, strict=False) if name}
        if absent := [name for name in sorted(required) if not row[name]]:
            raise SpaceError(f"{where}: no {absent[0]} in {_shown(line)}")
        rows.append(Row(where, row))
    return rows


def _lines(path: Place) -> list[str]:
    """The table's lines, however they end."""
    if not path.is_file():
        what = "the link points nowhere" if os.path.islink(path.uri) else "not a file"
        raise SpaceError(f"{path}: cannot be read ({what})")
    try:
        data = path.read()
    except OSError as error:
        raise SpaceError(f"{path}: cannot be read ({error.strerror})") from error
    if data.startswith(UTF16_MARKS):
        raise SpaceError(f"{path}: is UTF-16, need UTF-8 (save the table as 'CSV UTF-8')")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = len(re.split(rb"\r\n|\n|\r", data[: error.start]))
        raise SpaceError(f"{path} row {number}: byte {error.start} is not UTF-8 (save the table as UTF-8)") from error
    lines = re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff"))
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise SpaceError(f"{path} row {number}: holds a NUL byte, need UTF-8 text (UTF-16, or damaged?)")
    return lines


def _cells(where: str, line: str, delimiter: str) -> list[str]:
    """The cells of one line."""
    try:
        (cells,) = csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True)
    except csv.Error as error:
        raise SpaceError(f"{where}: a quote is not closed, or not doubled, in {_shown(line)} ({error})") from error
    return [nfc(cell.strip()) for cell in cells]


def _delimiter(where: str, head: str, required: set[str]) -> str:
    """The delimiter by which the header has all required columns; the comma if none does."""
    for delimiter in DELIMITERS:
        with contextlib.suppress(SpaceError):  # a quoted header read by another delimiter
            if required <= set(_header(where, head, delimiter)):
                return delimiter
    return ","


def _header(where: str, line: str, delimiter: str) -> list[str]:
    """The columns' names, however they are capitalised and with blanks for underscores."""
    return [cell.lower().replace(" ", "_") for cell in _cells(where, line, delimiter)]


def _shown(line: str) -> str:
    return repr(line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + "...")


def _check_header(where: str, header: list[str], required: set[str], optional: set[str]) -> None:
    columns = {name for name in header if name}
    missing, unknown = required - columns, columns - required - optional
    twice = {name for name in columns if header.count(name) > 1}
    if not (missing or unknown or twice):
        return
    wrong = (
        f"column {min(missing)!r} is missing" if missing
        else f"unknown column {min(unknown)!r}" if unknown else f"column {min(twice)!r} is there twice"
    )  # fmt: skip
    raise SpaceError(
        f"{where}: {wrong} in header {_shown(','.join(header))} (need {', '.join(sorted(required))}; may have "
        f"{', '.join(sorted(optional))}; separated by commas, semicolons or tabs)"
    )


def check_labels(row: Row) -> tuple[str, float, str]:
    """Emotion, intensity and split of a row, checked; an emotion that is not said is ``UNKNOWN``, and has no intensity.

    Raises:
        SpaceError: an unknown emotion or split, or an intensity outside [0, 1].
    """
    emotion, intensity, split = row.get("emotion").lower() or UNKNOWN, row.get("intensity"), row.get("split")
    if emotion not in (*EMOTIONS, UNKNOWN):
        raise SpaceError(f"{row.where}: emotion {emotion!r}, need one of {', '.join(EMOTIONS)} (or nothing: {UNKNOWN})")
    if split and split not in SPLITS:
        raise SpaceError(f"{row.where}: split {split!r}, need one of {', '.join(SPLITS)} (or nothing: then by subject)")
    try:
        value = float(intensity.replace(",", ".")) if intensity else float(emotion != "neutral")
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise SpaceError(f"{row.where}: intensity {intensity!r}, need a number from 0 to 1")
    return emotion, 0.0 if emotion == UNKNOWN else value, split


def check_audio_track(row: Row) -> int | None:
    """Number of the sound track that a row chooses; None if it does not.

    Raises:
        SpaceError: no whole number from 0.
    """
    number = row.get("audio_track")
    if not number:
        return None
    if not (number.isascii() and number.isdecimal()):
        raise SpaceError(f"{row.where}: audio_track {number!r}, need a whole number from 0 (nothing: the default track)")
    return int(number)


def check_stem(row: Row) -> str:
    """The path of a row's clip, relative to the table's folder and without suffix.

    Raises:
        SpaceError: it is not relative, or not in its shortest form: a table may not lead out of its folder.
    """
    clip = row.get("clip")
    if clip.startswith("/") or posixpath.normpath(clip) != clip or clip.split("/")[0] in (".", ".."):
        raise SpaceError(f"{row.where}: clip {clip!r}, need a path below the folder of the table (no '..', no '/' in front)")
    return clip
