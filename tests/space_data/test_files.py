"""Names: too long ones are cut, always in the same way and never two alike; files appear whole or not at all."""

import hashlib
import os
from pathlib import Path

import pytest

from space_data.errors import SpaceError
from space_data.files import atomic_file, check_length, file_stems, fitting_name, lengths_in_words, maker_of_part, part_of

LONGEST = "n" * 251 + ".mp4"


def test_a_name_is_cut_only_if_it_must_be() -> None:
    assert fitting_name("n" * 251, ".mp4") == LONGEST
    stem = "n" * 252
    assert fitting_name(stem, ".mp4") == "n" * 234 + "-" + hashlib.sha256(stem.encode()).hexdigest()[:16] + ".mp4"


def test_a_name_is_cut_between_two_characters() -> None:
    for shift in range(4):  # wherever the cut falls, characters of two, three and four bytes stay whole
        for character in "éお😀":
            name = fitting_name("n" * shift + character * 200, ".mp4")
            assert 252 <= len(name.encode()) <= 255
            assert set(name[shift:].rpartition("-")[0]) == {character}


def test_bytes_that_are_no_characters_are_a_name_too() -> None:
    stem = os.fsdecode(b"\xff" * 300)
    assert len(os.fsencode(fitting_name(stem, ".mp4"))) <= 255
    assert fitting_name(stem) != fitting_name(stem[1:])


def test_stems_stay_readable_and_do_not_depend_on_order() -> None:
    assert file_stems(["s/a/1", "s/a/1#1"], ".mp4", ".wav") == {"s/a/1": "s/a/1", "s/a/1#1": "s/a/1-s1"}
    ids = ["s/A", "s/a", "s/b", "n" * 300, "o" * 300]
    stems = file_stems(ids, ".mp4", ".wav")
    assert stems == file_stems(reversed(ids), ".mp4", ".wav")
    assert stems["s/b"] == "s/b" and stems["s/A"].startswith("s/A-") and len(set(stems.values())) == 5
    assert stems["n" * 300] == file_stems(["n" * 300], ".mp4", ".wav")["n" * 300], "others do not matter"


@pytest.mark.parametrize(
    "ids",
    [
        ["s/b#1", "s/b-s1"],
        ["s/" + "n" * 300 + "#1", "s/" + "n" * 300 + "-s1"],
        ["s/Straße", "s/STRASSE"],
        ["s/\u00e9", "s/e\u0301", "s/\u00c9"],
        ["s/x", "s/x.wav/y"],
        ["n" * 300 + "/x", "n" * 301 + "/x"],
        ["deep/" * 300 + "x", "deep/" * 301 + "x"],
    ],
)
def test_no_two_ids_meet_on_any_file_system(ids: list[str]) -> None:
    stems = list(file_stems(ids, ".mp4", ".wav").values())
    files = {f"{stem}{suffix}".casefold() for stem in stems for suffix in (".mp4", ".wav")}
    folders = {str(folder).casefold() for stem in stems for folder in Path(stem).parents}
    assert len(files) == 2 * len(ids) and not files & folders
    assert all(len(name.encode()) <= 255 for file in files for name in file.split("/"))
    assert all(len(file.encode()) <= 1024 + 4 for file in files)


def test_lengths_are_told() -> None:
    check_length(f"/{'n' * 255}/{'n' * 255}")
    check_length("/n" * 2047, below_bytes=1)
    with pytest.raises(SpaceError, match="nnn: has a name of 256 bytes, need at most 255"):
        check_length(f"out/{'n' * 254}é/nnn")
    with pytest.raises(SpaceError, match="/n: path of 4096 bytes, need at most 4095"):
        check_length("/n" * 2048)
    with pytest.raises(SpaceError, match="need at most 4094"):
        check_length("/n" * 2048, below_bytes=1)


def test_the_system_s_refusal_is_told_alike(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="name of 300 bytes"), lengths_in_words():
        (tmp_path / ("n" * 300)).is_dir()
    with pytest.raises(FileNotFoundError), lengths_in_words():
        (tmp_path / "none").stat()


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    for name in (LONGEST, "é" * 127):
        with atomic_file(tmp_path / name) as part:
            part.write_text(name)
        assert (tmp_path / name).read_text() == name
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(SpaceError, match="name of 256 bytes"):
        atomic_file(tmp_path / f"{LONGEST}4")


def test_parts_are_told_apart_by_file_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [Path("a.mp4"), Path("a.mov"), Path(LONGEST), Path(LONGEST[1:] + "v"), Path("é" * 127)]
    parts = []
    for process in (7, 4_194_304):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        parts += [part_of(path) for path in paths]
        assert {maker_of_part(part) for part in parts[-len(paths) :]} == {process}
    assert len(set(parts)) == len(parts) and all(len(os.fsencode(part)) <= 255 for part in parts)
    assert maker_of_part(Path("holiday.part")) is None and maker_of_part(Path(".a.mp4.x.part")) is None


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_file(tmp_path / LONGEST) as part:
        part.write_text("half")
        raise RuntimeError
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(SpaceError, match=r"folder: cannot be written \(Is a directory\)"), atomic_file(folder) as part:
        part.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
