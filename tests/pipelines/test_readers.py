"""Readers: what is a clip, what it is called, and labels that are checked."""

import os
from pathlib import Path

import pytest

from pipelines.readers import list_sources
from pipelines.readers.listing import suffix_of
from space_data.errors import SpaceError
from space_data.schema import UNKNOWN


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_folder_finds_videos_and_counts_the_rest(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "ann/1.mp4", "ann/2.MOV", "bob.webm", "photo.jpg", "s.wav", "t.wav", ".trash/x.mp4", ".y.mp4")
    listing = list_sources("folder", root)
    assert [(s.clip_id, s.subject) for s in listing.sources] == [
        ("set/ann/1", "set/ann"),
        ("set/ann/2", "set/ann"),
        ("set/bob", "set/bob"),
    ]
    assert listing.ignored == {".jpg": 1, ".wav": 2}


def test_same_name_with_other_suffix_is_another_clip(tmp_path: Path) -> None:
    listing = list_sources("folder", touch(tmp_path / "set", "a.mp4", "a.mov", "b.mp4"))
    assert [s.clip_id for s in listing.sources] == ["set/a.mov", "set/a.mp4", "set/b"]


def test_links_are_listed_or_counted(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "a.mp4")
    (root / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (root / "more").symlink_to(touch(tmp_path / "other", "b.mp4"), target_is_directory=True)
    listing = list_sources("folder", root)
    assert [s.clip_id for s in listing.sources] == ["set/a", "set/gone"] and listing.ignored == {"linked folder": 1}




def test_labels_in_another_encoding(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "a.mp4")
    (root / "labels.csv").write_bytes("clip,subject\na.mp4,Zoë\n".encode("latin-1"))
    with pytest.raises(SpaceError, match="labels.csv row 2: byte 21 is not UTF-8"):
        list_sources("folder", root)


def test_labels(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "a.mp4", "b.mp4")
    (root / "labels.csv").write_text("clip,subject,emotion,intensity,split\na.mp4,ann,happy,0.5,test\n")
    a, b = list_sources("folder", root).sources
    assert (a.subject, a.emotion, a.intensity, a.split) == ("set/ann", "happy", 0.5, "test")
    assert (b.subject, b.emotion, b.intensity, b.split) == ("set/b", UNKNOWN, 0.0, "")


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("clip,emotion\na.mp4,joyful\n", "emotion 'joyful', need one of neutral"),
        ("clip,intensity\na.mp4,1.5\n", "intensity '1.5', need a number from 0 to 1"),
        ("clip,split\na.mp4,training\n", "split 'training'"),
        ("clip,mood\na.mp4,happy\n", "unknown column 'mood'"),
        ("file,emotion\na.mp4,happy\n", "column 'clip' is missing"),
        ("clip\na.mp4\na.mp4\n", "'a.mp4' has two rows"),
    ],
)
def test_bad_labels_are_named(tmp_path: Path, csv: str, message: str) -> None:
    root = touch(tmp_path / "set", "a.mp4")
    (root / "labels.csv").write_text(csv)
    with pytest.raises(SpaceError, match=message):
        list_sources("folder", root)


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="no such folder"):
        list_sources("folder", tmp_path / "none")
    with pytest.raises(SpaceError, match="no video in this folder \\(2 .jpg\\)"):
        list_sources("folder", touch(tmp_path / "set", "a.jpg", "b.jpg"))
    with pytest.raises(SpaceError, match="data.reader: 'voxceleb'"):
        list_sources("voxceleb", tmp_path)
    with pytest.raises(SpaceError, match="manifest.csv: no such list"):
        list_sources("synthetic", tmp_path)


def test_linked_folders_of_a_corpus_are_entered_once_and_circles_end(tmp_path: Path) -> None:
    store = touch(tmp_path / "store", "M001/video/top/sad/level_1/001.mp4")
    root = touch(tmp_path / "set", "M002/video/top/sad/level_1/001.mp4")
    (root / "M001").symlink_to(store / "M001", target_is_directory=True)
    (root / "again").symlink_to(store / "M001", target_is_directory=True)
    (root / "M002/circle").symlink_to(root, target_is_directory=True)
    (root / "M002/inside").symlink_to(root / "M002/video", target_is_directory=True)
    listing = list_sources("mead", root)
    assert [source.subject for source in listing.sources] == ["mead/M001", "mead/M002"]
    assert listing.ignored == {"linked folder": 3} and listing.unaccounted() == 0


def test_names_of_a_corpus_that_are_not_utf8_are_findings(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "M002/video/top/sad/level_1/001.mp4")
    Path(os.fsdecode(os.fsencode(root) + b"/b\xff.mp4")).write_bytes(b"x")
    listing = list_sources("mead", root)
    assert len(listing.sources) == 1 and listing.ignored == {".mp4": 1} and listing.unaccounted() == 0
    assert [finding.path for finding in listing.findings if finding.kind == "misnamed"] == ["b\\udcff.mp4"]


def test_a_table_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "mp4/id00001/abcdefghijk/00001.mp4")
    (root / "vox2_meta.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(SpaceError, match="vox2_meta.csv: cannot be read"):
        list_sources("voxceleb2", root)


def test_hidden_suffixes_and_names_without_one() -> None:
    assert [suffix_of(name) for name in ("a/b.MP4", "a.b/c", "a/.hidden", "x.tar.gz")] == [".mp4", "", "", ".gz"]
