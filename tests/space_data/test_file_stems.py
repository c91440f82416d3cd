"""No two ids share a file on any file system, whatever they are called."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space_data.errors import SpaceError
from space_data.files import NAME_BYTES, file_stems

LONG = "set/" + "k" * 255


@pytest.mark.parametrize(
    "ids",
    [
        ("set/a#1", "set/a-s1"),
        ("set/A", "set/a"),
        ("set/É", "set/" + unicodedata.normalize("NFD", "é")),
        ("set/v", "set/v.mp4/x"),  # the file v.mp4 and the folder
        (LONG, file_stems([LONG], ".mp4")[LONG]),  # a file that an earlier run had shortened
    ],
)
def test_ids_that_would_meet_are_told_apart(ids: tuple[str, ...], tmp_path: Path) -> None:
    stems = file_stems(ids, ".mp4")
    assert sorted(stems) == sorted(ids)
    for stem in stems.values():
        file = tmp_path / f"{unicodedata.normalize('NFD', stem).casefold()}.mp4"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(exist_ok=False)


@given(st.sets(st.text("aAéE\u0301k話.#-s1", min_size=1, max_size=300).filter(lambda name: name not in (".", "..")), min_size=1))
def test_every_id_has_a_name_of_its_own_that_fits(names: set[str]) -> None:
    stems = file_stems((f"set/{name}" for name in names), ".mp4", ".wav")
    assert len({unicodedata.normalize("NFD", stem).casefold() for stem in stems.values()}) == len(names)
    assert all(len(f"{part}.mp4".encode()) <= NAME_BYTES for stem in stems.values() for part in stem.split("/"))


@pytest.mark.parametrize("clip_id", ["set/../../a", "../a", "/a", "set//a", "set/.", ".."])
def test_an_id_cannot_lead_out_of_the_folder(clip_id: str) -> None:
    with pytest.raises(SpaceError, match="leads out of the folder"):
        file_stems(["set/b", clip_id], ".mp4")
