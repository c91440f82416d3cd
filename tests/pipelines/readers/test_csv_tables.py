"""Tables as spreadsheets and people write them: what is understood, and what is said of the rest, with its row."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.readers.csv_tables import Row, check_audio_track, check_labels, check_stem, read_csv
from space_data.errors import SpaceError
from space_data.schema import UNKNOWN
from space_data.store import Place

OPTIONAL = {"subject", "emotion", "intensity"}


def table(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def cells(path: Path) -> list[dict[str, str]]:
    return [row.cells for row in read_csv(Place.of(path), {"clip"}, OPTIONAL)]


@pytest.mark.parametrize(
    "data",
    [
        "clip,subject\na.mp4,Ann\n",
        "clip;subject\r\na.mp4;Ann\r\n",
        "clip\tsubject\ra.mp4\tAnn\r",
        '"clip";"subject"\n"a.mp4";"Ann"\n',
        "\ufeff clip , subject \n a.mp4 , Ann ",
        "\n,,\nclip,,subject,,\n\n,,,,\na.mp4,,Ann,,\n ,\n",
        'clip,subject\n"a.mp4", "Ann"\n',
    ],
)
def test_one_table_in_many_hands(tmp_path: Path, data: str) -> None:
    assert cells(table(tmp_path / "t.csv", data)) == [{"clip": "a.mp4", "subject": "Ann"}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("clip,subject,emotion\na.mp4,Smith, John,happy\n", r"t.csv row 2: 'happy' stands under no column in 'a.mp4,Smith, John"),
        ('clip,subject\na.mp4,"Smith\nb.mp4,B\n', r"""t.csv row 2: a quote is not closed.* in 'a.mp4,"Smith' """),
        ('clip,subject\na.mp4,"Smith\nb.mp4,B"\n', r"t.csv row 2: a quote is not closed"),  # closed by a later row's
        ('clip,subject\n\na.mp4,"An"n\n', r"t.csv row 3: a quote is not closed, or not doubled"),
        ("clip,subject,emotion\na.mp4,A\n", r"t.csv row 2: 2 cells in 'a.mp4,A', need 3"),
        ("clip,subject,emotion,subject\n", r"t.csv row 1: column 'subject' is there twice"),
        ("clip,subject\na.mp4,A\n,B\n", r"t.csv row 3: no clip in ',B'"),
        ("clip,,subject\na.mp4,note,A\n", r"t.csv row 2: 'note' stands under no column"),
        ("clip|subject\na.mp4|A\n", r"t.csv row 1: column 'clip' is missing in header 'clip\|subject'.* commas, semicolons"),
        ("clip,subject\na.mp4,A\0\n", r"t.csv row 2: holds a NUL byte"),
        ("clip\na.mp4\n".encode("utf-16"), r"t.csv: is UTF-16, need UTF-8"),
        ("clip\na.mp4\n".encode("utf-16-be"), r"t.csv row 1: holds a NUL byte.*UTF-16"),
        ("clip\r\na.mp4\r\nZoë.mp4\r\n".encode("latin-1"), r"t.csv row 3: byte 15 is not UTF-8"),
        ("", r"t.csv: the table is empty"),
        (" \n\n", r"t.csv: the table is empty"),
        (",,\n;;\n", r"t.csv: the table is empty"),
        ("clip,subject\na.mp4," + "x" * 200_000 + "\n", r"t.csv row 2: .*field larger than field limit"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_row(tmp_path: Path, data: str | bytes, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as error:
        cells(table(tmp_path / "t.csv", data))
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "folder.csv").mkdir()
    for name, message in (("loop.csv", "the link points nowhere"), ("folder.csv", "not a file"), ("none.csv", "not a file")):
        with pytest.raises(SpaceError, match=f"{name}: cannot be read \\({message}\\)"):
            cells(tmp_path / name)


def test_cells_are_composed(tmp_path: Path) -> None:
    assert cells(table(tmp_path / "t.csv", "clip\ne\u0301.mp4\n")) == [{"clip": "é.mp4"}]


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.text(alphabet='ab,;"\n\r é', max_size=8), max_size=6))
def test_no_row_is_swallowed(rows: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every line with anything in it is a row, or the table is refused."""
    path = table(tmp_path_factory.mktemp("t") / "t.csv", "clip,subject\n" + "\n".join(rows))
    try:
        found = [row.where for row in read_csv(Place.of(path), {"clip"}, {"subject"})]
    except SpaceError as error:
        assert " row " in str(error)
        return
    lines = path.read_text().split("\n")
    assert found == [f"{path} row {n}" for n, line in enumerate(lines, 1) if n > 1 and line.strip(' ,;"')]


def labels(**cells: str) -> tuple[str, float, str]:
    return check_labels(Row("t.csv row 7", cells))


def test_labels_that_are_not_said_are_unknown() -> None:
    assert labels() == labels(emotion="unknown") == labels(intensity="0.5") == (UNKNOWN, 0.0, "")
    assert labels(emotion="neutral") == ("neutral", 0.0, "") and labels(emotion="sad", split="val") == ("sad", 1.0, "val")
    assert labels(emotion="sad", intensity="0,5")[1] == labels(emotion="sad", intensity="0.5")[1] == 0.5


@pytest.mark.parametrize(
    ("cell", "value"),
    [("emotion", "joyful"), ("intensity", "1.5"), ("intensity", "nan"), ("intensity", "much"), ("split", "training")],
)
def test_wrong_labels_are_named(cell: str, value: str) -> None:
    with pytest.raises(SpaceError, match=f"^t.csv row 7: {cell} '{value}', need"):
        labels(**{cell: value})


def test_a_sound_track_is_a_whole_number() -> None:
    assert [check_audio_track(Row("", {"audio_track": cell})) for cell in ("", "0", "12")] == [None, 0, 12]
    for cell in ("-1", "1.0", "two", "²"):
        with pytest.raises(SpaceError, match=f"t.csv row 7: audio_track '{cell}', need a whole number from 0"):
            check_audio_track(Row("t.csv row 7", {"audio_track": cell}))


@pytest.mark.parametrize("clip", ["../a", "/a", "a/../../b", "a/../b", "./a", "..", ".", "a//b", "a/", "a/."])
def test_no_table_leads_out_of_its_folder(clip: str) -> None:
    with pytest.raises(SpaceError, match="t.csv row 7: clip .*, need a path below the folder"):
        check_stem(Row("t.csv row 7", {"clip": clip}))


def test_a_path_below_the_folder_may_be_called_anything_else() -> None:
    for clip in ("a", "a/b", "..a", "a..", "a/...", ".../b", "a b/c"):
        assert check_stem(Row("t.csv row 7", {"clip": clip})) == clip
