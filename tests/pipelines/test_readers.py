"""Readers: what is a clip, what it is called, and labels that are checked."""

import os
import socket
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.readers import READERS, Listing, list_sources, synthetic
from pipelines.readers import tree as tree_module
from pipelines.readers.listing import FINDINGS, suffix_of
from space_data.errors import SpaceError
from space_data.schema import UNKNOWN
from space_data.store import Place


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
        ("set/ann/2.MOV", "set/ann"),
        ("set/bob.webm", "set/bob"),
    ]
    assert listing.ignored == {".jpg": 1, ".wav": 2}


def test_no_two_clips_are_called_the_same_and_none_is_renamed_by_another(tmp_path: Path) -> None:
    expected = {
        "v.mp4": "v", "v.webm": "v.webm", "v.mp4.webm": "v.mp4.webm", "w.mov.mp4": "w.mov.mp4", "w.mov": "w.mov",
        "x.MP4": "x.MP4", "x.mp4": "x", "x#1.mp4": "x#1.mp4", "x.mp4.mp4": "x.mp4.mp4",
    }  # fmt: skip
    root = tmp_path / "set"
    for name in expected:  # one by one: the id of each is what it is with all of them
        listing = list_sources("folder", touch(root, name))
        found = {Path(s.path).name: s.clip_id.removeprefix("set/") for s in listing.sources}
        assert found == {known: expected[known] for known in found} and name in found
        assert len(set(found.values())) == len(found)


def test_a_copy_in_another_format_shows_the_same_person(tmp_path: Path) -> None:
    listing = list_sources("folder", touch(tmp_path / "set", "v.mp4", "v.webm", "v.mp4.webm", "w.mp4", "w.mp4.webm", "x.mp4"))
    assert [s.subject for s in listing.sources] == ["set/v"] * 3 + ["set/w"] * 2 + ["set/x"]


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


GOOD = {
    "folder": "a.mp4", "hdtf": "AdamSchiff_0.mp4", "mead": "M002/video/top/sad/level_1/001.mp4",
    "ravdess": "Actor_01/01-01-03-01-01-01-01.mp4", "voxceleb2": "mp4/id00012/21Uxsk56VDQ/00001.mp4",
}  # fmt: skip


def corpus(reader: str, root: Path) -> Path:
    """One good clip in the layout that the reader knows."""
    if reader == "synthetic":
        touch(root, "a.mp4")
        (root / "manifest.csv").write_text("clip,subject,emotion,intensity,language,defect\na,synthetic/p,sad,1.0,en,\n")
        return root
    return touch(root, GOOD[reader])


def found(listing: Listing) -> list[tuple[str, str]]:
    assert listing.unaccounted() == 0
    return sorted((f.kind, f.path) for f in listing.findings if f.kind in ("not_a_file", "not_entered", "collision", "lost"))


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_costs_itself_and_is_never_opened(reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = corpus(reader, tmp_path / "set")
    before = list_sources(reader, root)
    (root / "loop").symlink_to("loop")
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    os.mkfifo(root / "pipe.mp4")
    (root / "to_pipe.mp4").symlink_to("pipe.mp4")
    (root / "zero.mp4").symlink_to("/dev/zero")
    (root / "gone.txt").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(root)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.mp4")
        listing = list_sources(reader, root)
    odd = ["loop", "loop.mp4", "pipe.mp4", "socket.mp4", "to_pipe.mp4", "zero.mp4"]
    assert found(listing) == [("lost", "gone.txt"), *(("not_a_file", name) for name in odd)]
    assert listing.sources == before.sources and listing.ignored["not a file"] == 6


def test_a_pipe_that_the_default_corpus_names_is_no_clip(tmp_path: Path) -> None:
    root = corpus("synthetic", tmp_path / "set")
    with (root / "manifest.csv").open("a") as file:
        file.write("b,synthetic/p,sad,1.0,en,\n")
    os.mkfifo(root / "b.mp4")
    listing = list_sources("synthetic", root)
    assert [s.clip_id for s in listing.sources] == ["synthetic/a"] and found(listing) == [("not_a_file", "b.mp4")]


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_that_may_not_be_read_costs_itself(reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = corpus(reader, tmp_path / "set")
    before = list_sources(reader, root)
    touch(root, "lost+found/x.mp4", "vanished/y.mp4")
    scandir = os.scandir

    def forbidding(path: Any) -> Any:  # the tests may run as root, who may read everything
        if str(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", path)
        if str(path).endswith("vanished"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return scandir(path)

    monkeypatch.setattr(tree_module.os, "scandir", forbidding)
    listing = list_sources(reader, root)
    assert found(listing) == [("not_entered", "lost+found"), ("not_entered", "vanished")]
    assert listing.sources == before.sources and listing.ignored["unreadable folder"] == 2
    assert FINDINGS["not_entered"][0] == "warning"  # every ext4 disk has a lost+found


def test_a_root_that_may_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidding(path: Any) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(tree_module.os, "scandir", forbidding)
    with pytest.raises(SpaceError, match="folder cannot be listed \\(Permission denied\\)"):
        list_sources("folder", tmp_path)


def test_a_file_that_vanishes_during_the_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touch(tmp_path / "set", "a.mp4")
    scandir = os.scandir

    class Vanished:
        """An entry of a file system that does not tell types, whose file is gone."""

        name = "b.mp4"

        def is_dir(self) -> bool:
            return False

        is_file = is_symlink = is_dir

        def stat(self) -> os.stat_result:
            raise FileNotFoundError(2, "No such file or directory")

    class Listed:
        def __init__(self, path: Any) -> None:
            self.path = path

        def __enter__(self) -> Iterator[Any]:
            return iter([*scandir(self.path), Vanished()])

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(tree_module.os, "scandir", Listed)
    listing = list_sources("folder", root)
    assert [s.clip_id for s in listing.sources] == ["set/a"] and found(listing) == [("not_a_file", "b.mp4")]


@pytest.mark.parametrize("reader", READERS)
def test_names_that_are_not_utf8_are_findings(reader: str, tmp_path: Path) -> None:
    root = corpus(reader, tmp_path / "set")
    before = list_sources(reader, root)
    for name in (b"b\xff.mp4", b"c.\xffmp4"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(b"x")
    listing = list_sources(reader, root)
    assert listing.sources == before.sources and listing.unaccounted() == 0
    assert listing.ignored == before.ignored + Counter({".mp4": 1, ".\\udcffmp4": 1})
    assert {"b\\udcff.mp4", "c.\\udcffmp4"} == {f.path for f in listing.findings if f.detail.startswith("the name is not UTF-8")}


def test_a_root_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff"))
    with pytest.raises(SpaceError, match="the path is not UTF-8"):
        list_sources("folder", touch(root, "a.mp4"))


@pytest.mark.parametrize("reader", READERS)
def test_names_in_two_unicode_forms_cost_only_those(reader: str, tmp_path: Path) -> None:
    root = corpus(reader, tmp_path / "set")
    before = list_sources(reader, root)
    composed, decomposed = (unicodedata.normalize(form, "é.mp4") for form in ("NFC", "NFD"))
    touch(root, composed, decomposed)
    listing = list_sources(reader, root)
    assert listing.sources == before.sources and listing.ignored[".mp4"] == 2
    assert found(listing) == [("collision", decomposed), ("collision", composed)]
    assert {f.detail.split()[1] for f in listing.findings if f.kind == "collision"} == {"\\xe9.mp4", "e\\u0301.mp4"}


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_labels_find_names_in_either_unicode_form(on_disk: str, in_table: str, tmp_path: Path) -> None:
    root = touch(tmp_path / "set", unicodedata.normalize(on_disk, "Zoë/é.mp4"), "b.mp4")
    (root / "labels.csv").write_text(unicodedata.normalize(in_table, "clip,subject,emotion\nZoë/é.mp4,Zoë,happy\nb.mp4,Zoë,\n"))
    listing = list_sources("folder", root)
    assert [(s.clip_id, s.subject, s.emotion) for s in listing.sources] == [
        ("set/Zoë/é", "set/Zoë", "happy"), ("set/b", "set/Zoë", UNKNOWN),
    ]  # fmt: skip
    assert [(root / s.path).is_file() for s in listing.sources] == [True, True] and not listing.findings


@pytest.mark.parametrize("clip", ["./sub/a.mp4", "sub\\a.mp4", ".\\sub\\a.mp4", "sub//a.mp4", "x/../sub/a.mp4"])
def test_labels_find_paths_as_other_systems_write_them(clip: str, tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "sub/a.mp4")
    (root / "labels.csv").write_text(f"clip,emotion\n{clip},happy\n")
    listing = list_sources("folder", root)
    assert [s.emotion for s in listing.sources] == ["happy"] and not listing.findings
    (root / "labels.csv").write_text(f"clip,emotion\nsub/a.mp4,happy\n{clip},happy\n")
    with pytest.raises(SpaceError, match="row 3: clip .* has two rows .the first: row 2"):
        list_sources("folder", root)


def test_a_row_without_a_clip_is_lost_with_a_near_miss(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "interview_01.mp4", "b.mp4", "s.wav")
    (root / "labels.csv").write_text("clip,emotion\nInterview_01.MP4,sad\ninterview_01,sad\ns.wav,sad\nq.mov,sad\n")
    assert {f.path: f.detail for f in list_sources("folder", root).findings if f.kind == "lost"} == {
        "Interview_01.MP4": "labels.csv has a row for it (is interview_01.mp4 meant?)",
        "interview_01": "labels.csv has a row for it (is interview_01.mp4 meant?)",
        "s.wav": "labels.csv has a row for it, and it is no clip",
        "q.mov": "labels.csv has a row for it",
    }


def test_the_split_of_a_row_is_that_of_the_person(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "a.mp4", "b.mp4", "c.mp4")
    (root / "labels.csv").write_text("clip,subject,split\na.mp4,ann,test\nb.mp4,ann,\n")
    assert [s.split for s in list_sources("folder", root).sources] == ["test", "test", ""]
    (root / "labels.csv").write_text("clip,subject,split\na.mp4,ann,test\nb.mp4,ann,train\n")
    with pytest.raises(SpaceError, match="row 3: subject 'ann' in split train, but in test by row 2"):
        list_sources("folder", root)


def test_labels_choose_the_sound_track(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "a.mp4", "b.mp4")
    (root / "labels.csv").write_text("clip,audio_track\na.mp4,1\nb.mp4,\n")
    assert [s.audio_track for s in list_sources("folder", root).sources] == [1, None]
    (root / "labels.csv").write_text("clip,audio_track\na.mp4,1\nb.mp4,-1\n")
    with pytest.raises(SpaceError, match="row 3: audio_track '-1'"):
        list_sources("folder", root)


@pytest.mark.parametrize(
    ("names", "people"),
    [
        (["id00012_21Uxsk56VDQ_00001", "x/id00012-_1Uxsk-6VDQ-00002", "id00017#01dfn2spqyE#1"], ["id00012"] * 2 + ["id00017"]),
        (["dev/id00012/21Uxsk56VDQ/00001", "test/id00012/21Uxsk56VDQ/00002"], ["id00012", "id00012"]),
        (["M003_front_angry_level_1_001", "more/M003_sad_3_001", "train/W011/sad/y", "W011/x"], ["M003", "M003", "W011", "W011"]),
        (["01-01-03-01-01-01-05", "x/02-01-03-01-01-01-05", "Actor_05/y"], ["Actor_05", "Actor_05", "Actor_05"]),
        (["WDA_BarackObama_000", "x/WDA_BarackObama1_001", "RD_Radio11_000", "RD_Radio12_000"], ["BarackObama"] * 2 + ["RD"] * 2),
        (["ann/M003", "ann/M004_x", "ann/1", "bob", "AM003_sad", "id000123_x"], ["ann"] * 3 + ["bob", "AM003_sad", "id000123_x"]),
    ],
)
def test_a_person_whom_names_tell_is_one_subject(names: list[str], people: list[str], tmp_path: Path) -> None:
    root = touch(tmp_path / "set", *(f"{name}.mp4" for name in names))
    subjects = {s.path: s.subject for s in list_sources("folder", root).sources}
    assert [subjects[f"{name}.mp4"] for name in names] == [f"set/{person}" for person in people]


@pytest.mark.parametrize("level", ["id00012", "id00012/21Uxsk56VDQ", "M003", "M003/video", "M003/video/front", "Actor_05"])
def test_a_folder_opened_at_a_person_is_one_subject(level: str, tmp_path: Path) -> None:
    listing = list_sources("folder", touch(tmp_path / level, "a/sad_1.mp4", "b/happy_2.mp4", "angry_3.mp4"))
    assert {s.subject.partition("/")[2] for s in listing.sources} == {level.partition("/")[0]}


def test_nobody_is_neutral_who_is_not_said_to_be(tmp_path: Path) -> None:
    for reader in ("folder", "voxceleb2", "hdtf"):
        (source,) = list_sources(reader, corpus(reader, tmp_path / reader)).sources
        assert (source.emotion, source.intensity) == (UNKNOWN, 0.0)
    for reader in ("mead", "ravdess", "voxceleb2"):
        (source,) = list_sources(reader, touch(tmp_path / f"{reader}_odd", "holiday.mp4")).sources
        assert source.emotion == UNKNOWN


def test_a_wrong_row_of_the_default_corpus_is_named(tmp_path: Path) -> None:
    root = corpus("synthetic", tmp_path / "set")
    (root / "manifest.csv").write_text("clip,subject,emotion,intensity\na,p,sad,1\nb,p,joyful,1\n")
    with pytest.raises(SpaceError, match="manifest.csv row 3: emotion 'joyful'"):
        list_sources("synthetic", root)
    (root / "speech_only.csv").write_text("clip,subject,emotion,intensity,language\ns,p,sad,1,en\nt,p,sad,2,en\n")
    with pytest.raises(SpaceError, match="speech_only.csv row 3: intensity '2'"):
        synthetic.list_utterances(Place.of(root))


def test_no_table_of_the_default_corpus_leads_out_of_it(tmp_path: Path) -> None:
    root = corpus("synthetic", tmp_path / "set")
    (tmp_path / "outside.mp4").write_bytes(b"x")
    for clip in ("../outside", str(tmp_path / "outside")):
        (root / "manifest.csv").write_text(f"clip,subject,emotion,intensity\n{clip},p,sad,1\n")
        with pytest.raises(SpaceError, match="manifest.csv row 2: clip .*, need a path below the folder"):
            list_sources("synthetic", root)
        (root / "speech_only.csv").write_text(f"clip,subject,emotion,intensity\n{clip},p,sad,1\n")
        with pytest.raises(SpaceError, match="speech_only.csv row 2: clip .*, need a path below the folder"):
            synthetic.list_utterances(Place.of(root))


def test_lists_of_other_corpora_only_name_what_is_there(tmp_path: Path) -> None:
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(b"x")
    folder = touch(tmp_path / "set", "a.mp4")
    (folder / "labels.csv").write_text(f"clip,emotion\n../outside.mp4,sad\n{outside},sad\na.mp4,sad\n")
    hdtf = touch(tmp_path / "hdtf", "RD_Radio1_000.mp4")
    (hdtf / "RD_annotion_time.txt").write_text("../outside.mp4 00:00-00:05\nRadio1.mp4 00:00-00:05\n")
    for reader, root, name in (("folder", folder, "a.mp4"), ("hdtf", hdtf, "RD_Radio1_000.mp4")):
        assert [source.path for source in list_sources(reader, root).sources] == [name]


def test_a_table_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "mp4/id00001/abcdefghijk/00001.mp4")
    (root / "vox2_meta.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(SpaceError, match="vox2_meta.csv: cannot be read"):
        list_sources("voxceleb2", root)


def test_hidden_suffixes_and_names_without_one() -> None:
    assert [suffix_of(name) for name in ("a/b.MP4", "a.b/c", "a/.hidden", "x.tar.gz")] == [".mp4", "", "", ".gz"]
