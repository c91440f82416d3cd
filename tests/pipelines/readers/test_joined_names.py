"""Names as preprocessings of the corpora join them, and tables as people type them."""

from pathlib import Path

import pytest
from corpora import assert_accounted, touch

from pipelines.readers import list_sources


@pytest.mark.parametrize("join", ["_", "-", "#", "@", "+", " ", "__", "/"])
def test_voxceleb2_joined_by_anything(tmp_path: Path, join: str) -> None:
    """A YouTube id may begin with the separator."""
    names = [join.join(("id00012", youtube_id, "00001")) + ".mp4" for youtube_id in ("21Uxsk56VDQ", "_1Uxsk-6VDQ")]
    listing = list_sources("voxceleb2", touch(tmp_path / "v", *names))
    assert [s.clip_id for s in listing.sources] == ["vox2/id00012/21Uxsk56VDQ/00001", "vox2/id00012/_1Uxsk-6VDQ/00001"]
    assert {s.subject for s in listing.sources} == {"vox2/id00012"} and not any(f.kind == "misnamed" for f in listing.findings)


def test_voxceleb2_cut_again(tmp_path: Path) -> None:
    root = touch(tmp_path / "v", "test/id00012#21Uxsk56VDQ#001093#001192.mp4", "id00012_21Uxsk56VDQ_00006_00000.mp4")
    listing = list_sources("voxceleb2", root)
    assert_accounted(listing, root)
    assert [(s.clip_id, s.split) for s in listing.sources] == [
        ("vox2/id00012/21Uxsk56VDQ/00006_00000", "test"), ("vox2/id00012/21Uxsk56VDQ/001093_001192", "test"),
    ]  # fmt: skip


def test_voxceleb2_opened_at_one_video(tmp_path: Path) -> None:
    (source,) = list_sources("voxceleb2", touch(tmp_path / "id00012/21Uxsk56VDQ", "00001.mp4")).sources
    assert (source.clip_id, source.subject) == ("vox2/id00012/21Uxsk56VDQ/00001", "vox2/id00012")


def test_hdtf_clips_cut_again_are_of_one_person(tmp_path: Path) -> None:
    root = touch(tmp_path / "h", "WDA_BarackObama_000_a.mp4", "WDA_BarackObama_001_b.mp4", "WDA_BarackObama_002.mp4")
    assert {source.subject for source in list_sources("hdtf", root).sources} == {"hdtf/BarackObama"}


def test_a_name_like_a_segment_keeps_its_suffix(tmp_path: Path) -> None:
    sources = list_sources("folder", touch(tmp_path / "set", "v.mp4", "v#1.mp4")).sources
    assert [source.clip_id for source in sources] == ["set/v", "set/v#1.mp4"]


def test_a_table_as_a_spreadsheet_shows_it(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "a.mp4", "b.mp4")
    (root / "labels.csv").write_text("Clip;Emotion;Audio Track\n/a.mp4;Happy;1\nb.mp4;SAD;\n")
    assert [(s.emotion, s.audio_track) for s in list_sources("folder", root).sources] == [("happy", 1), ("sad", None)]


def test_a_numbering_like_mead_s_is_nobody_s_name(tmp_path: Path) -> None:
    """One person's takes in one folder stay one person's; an emotion in the name makes it MEAD."""
    for name in ("alice/M001_take.mp4", "alice/M002_take.mp4", "bob/M003_front_angry_level_1_001.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [s.subject.split("/")[1] for s in list_sources("folder", tmp_path).sources] == ["alice", "alice", "M003"]
