"""Folders that appear whole or not at all."""

import pytest

from evaluation.folders import new_folder
from space_data.errors import SpaceError


@pytest.mark.parametrize("is_there", [False, True])
def test_all_or_nothing(tmp_path, monkeypatch, is_there):
    out = tmp_path / "a" / "out"
    if is_there:
        out.mkdir(parents=True)
        monkeypatch.chdir(out)
    for interrupted in (True, False):
        try:
            with new_folder(out) as part:
                (part / "deep").mkdir()
                (part / "deep" / "one.txt").write_text("1")
                assert not (out / "deep").exists(), "not before it is whole"
                if interrupted:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert out.is_dir() == is_there and not (is_there and any(out.iterdir()))
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.txt")] == ["a/out/deep/one.txt"]
    assert not list(tmp_path.rglob("*.part"))
    if is_there:
        assert (out / "deep").samefile("deep"), "the shell is where it was"


def test_what_is_there_stays(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(SpaceError, match=r"is there already, need a new or empty folder \(so\)"), new_folder(path, " (so)"):
            raise AssertionError
    assert (tmp_path / "mine.txt").read_text() == "mine"
