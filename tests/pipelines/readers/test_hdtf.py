"""The HDTF reader: clips that were cut, whole downloads with the text files, and both."""

from pathlib import Path

import pytest
from corpora import assert_accounted, clip, kinds, probed, touch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.readers import list_sources

TABLES = {
    "RD_annotion_time.txt": "Radio11.mp4 00:30-01:00 01:30-02:30 \nRadio15.mp4 00:00-00:01\nRadio9.mp4 01:00:05-01:00:10\n",
    "RD_crop_wh.txt": "Radio11_0.mp4 412 599 10 599\nRadio11_1.mp4 557 778 0 778\n",
    "RD_resolution.txt": "Radio11.mp4 720\nRadio15.mp4 720\n",
    "RD_video_url.txt": "Radio11 https://www.youtube.com/watch?v=abcdefghijk&t=6s\nRadio24 https://www.youtube.com/watch?v=cU0JPT3n9B4\n",
    "WDA_annotion_time.txt": "".join(
        f"{name}.mp4 00:00-00:02\n" for name in ("WhipJimClyburn", "JamesClyburn1", "LucilleRoybal-Allard")
    ),
    "WDA_crop_wh.txt": "WhipJimClyburn_0.mp4 0 16 0 16\n",
    "WDA_resolution.txt": "WhipJimClyburn.mp4 16\n",
    "WDA_video_url.txt": "\ufeffWhipJimClyburn https://youtu.be/gh3YqnvNdio\nJamesClyburn1 https://youtu.be/gh3YqnvNdio\n",
}


def with_tables(root: Path) -> Path:
    """``root`` with the published text files' like."""
    (root / "HDTF_dataset").mkdir(parents=True)
    for name, text in TABLES.items():
        (root / "HDTF_dataset" / name).write_text(text)
    return root


def test_whole_downloads_are_cut_and_cropped_by_the_tables(tmp_path: Path) -> None:
    root = touch(
        with_tables(tmp_path / "hdtf"), "_videos_raw/RD_Radio11.mp4", "_videos_raw/Radio15.mp4", "_videos_raw/Radio9.mp4"
    )
    listing = list_sources("hdtf", root)
    assert_accounted(listing, root)
    first, second, third, fourth = listing.sources
    assert (first.clip_id, first.part_s, first.recording) == ("hdtf/Radio11_0", (30.0, 60.0), "abcdefghijk")
    # x, width, y, height in the file; corners here
    assert (first.part_crop_px, first.part_crop_height_px) == ((412, 10, 1011, 609), 720)
    # line 778 of 720: drawn in another size than the table says
    assert (second.part_s, second.part_crop_px, second.part_crop_height_px) == ((90.0, 150.0), (557, 0, 1335, 778), 0)
    assert (third.clip_id, third.part_crop_px) == ("hdtf/Radio15_0", (0, 0, 0, 0))
    assert fourth.part_s == (3605.0, 3610.0)
    assert {source.subject for source in listing.sources} == {"hdtf/RD"}  # speakers of RD are not named
    found = kinds(listing)
    assert found["size_mismatch"] == ["hdtf/Radio11_1"]
    assert found["missing"] == ["hdtf/Radio15_0", "hdtf/Radio9_0", "JamesClyburn1", "LucilleRoybal-Allard", "WhipJimClyburn"]
    assert listing.counts == {"videos": 3, "clips": 4} and listing.companions == len(TABLES)


def test_clips_that_are_there_are_not_cut_again(tmp_path: Path) -> None:
    root = with_tables(tmp_path / "hdtf")
    touch(
        root,
        "Radio11.mp4",
        "clips/Radio11_0.mp4",
        "clips/RD_Radio15_000.mp4",
        "clips/Radio15_1.mp4",
        "Radio15.mp4",
        "Radio24.mp4",
    )
    listing = list_sources("hdtf", root)
    assert_accounted(listing, root)
    by_id = {source.clip_id: source for source in listing.sources}
    assert set(by_id) == {f"hdtf/{name}" for name in ("Radio11_0", "Radio11_1", "Radio15_0", "Radio15_1", "Radio24")}
    assert by_id["hdtf/Radio11_0"].part_s == (0.0, None) and by_id["hdtf/Radio11_1"].part_s == (90.0, 150.0)
    assert by_id["hdtf/Radio15_0"].path == "clips/RD_Radio15_000.mp4"
    assert listing.companions == len(TABLES) + 1  # Radio15.mp4: its clip is there
    found = kinds(listing)
    assert found["impossible"] == ["Radio15_1"] and found["unmatched"] == ["Radio24.mp4"]


def test_cut_clips_need_no_tables(tmp_path: Path) -> None:
    root = touch(tmp_path / "hdtf", "AdamSchiff_0.mp4", "WDA_AdamSchiff1_002.mp4", "Radio3_0.mp4", "LucilleRoybal-Allard_0.mp4")
    listing = list_sources("hdtf", root)
    assert_accounted(listing, root)
    assert [(source.clip_id, source.subject) for source in listing.sources] == [
        ("hdtf/AdamSchiff1_2", "hdtf/AdamSchiff"), ("hdtf/AdamSchiff_0", "hdtf/AdamSchiff"),
        ("hdtf/LucilleRoybal-Allard_0", "hdtf/LucilleRoybal-Allard"), ("hdtf/Radio3_0", "hdtf/RD"),
    ]  # fmt: skip
    assert listing.findings == []


def test_one_person_under_two_names_is_one_subject(tmp_path: Path) -> None:
    root = touch(with_tables(tmp_path / "hdtf"), "WhipJimClyburn.mp4", "JamesClyburn1.mp4")
    sources = list_sources("hdtf", root).sources
    assert {(source.subject, source.recording) for source in sources} == {("hdtf/JamesClyburn", "gh3YqnvNdio")}


def test_slips(tmp_path: Path) -> None:
    root = with_tables(tmp_path / "hdtf")
    (root / "WRA_crop_wh.txt").write_text("PeterKing_0.mp4 178 872 0\n")
    (root / "WRA_annotion_time.txt").write_text("PeterKing.mp4 00:30-00:10\n\n")
    touch(root, "Radio11.mp4", "more/Radio11.mp4", "holiday.mp4", "holiday_3.mp4", "Radio11.m4a", "Radio11_download_log.txt")
    listing = list_sources("hdtf", root)
    assert_accounted(listing, root)
    found = kinds(listing)
    assert found["duplicate"] == ["more/Radio11.mp4"]
    assert found["misnamed"] == ["holiday.mp4", "holiday_3.mp4"]  # no table knows them
    assert found["annotation"] == ["WRA_annotion_time.txt", "WRA_crop_wh.txt"]
    assert found["unmatched"] == ["Radio11.m4a"]
    assert {"hdtf/holiday.mp4", "hdtf/holiday_3.mp4"} <= {source.clip_id for source in listing.sources}


def test_headers_tell_a_part_beyond_the_end_and_another_size(tmp_path: Path) -> None:
    root = with_tables(tmp_path / "hdtf")
    clip(root / "WhipJimClyburn.mp4", n_frames=25, sound_s=1.0)
    clip(root / "Radio11.mp4", n_frames=25, sound_s=1.0)
    first, second, fine = list_sources("hdtf", root).sources
    headers = probed("hdtf", root, fine)
    assert fine.clip_id == "hdtf/WhipJimClyburn_0" and [f.kind for f in headers.findings] == ["size_mismatch"]  # 32 lines, not 16
    assert headers.seconds == pytest.approx(1.0)  # stamps are whole seconds: 2 s of a 1 s file
    assert [f.kind for f in probed("hdtf", root, second).findings] == ["truncated"]


NAMES = [
    f"{folder}{name}.{suffix}"
    for folder in ("", "raw/")
    for name in ("Radio11", "RD_Radio11", "Radio11_0", "RD_Radio11_000", "Radio24", "Radio15_7", "other", "other_1")
    for suffix in ("mp4", "mkv", "txt", "m4a")
]


@settings(max_examples=40, deadline=None)
@given(names=st.sets(st.sampled_from(NAMES)), tables=st.booleans())
def test_no_file_is_lost_whatever_is_there(names: set[str], tables: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = touch(tmp_path_factory.mktemp("h"), "x/y.mp4", *names)
    assert_accounted(list_sources("hdtf", with_tables(root) if tables else root), root)
