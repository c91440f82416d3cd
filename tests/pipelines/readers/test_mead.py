"""The MEAD reader on trees in the published layout."""

from pathlib import Path

import pytest
from corpora import assert_accounted, clip, kinds, sound, touch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.check_headers import probe_clip
from pipelines.readers import list_sources
from pipelines.readers.mead import EMOTIONS, VIEWS
from space_data import schema


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One take from two sides with one sound, one sound without video, one video without sound."""
    root = tmp_path_factory.mktemp("mead")
    for view in ("front", "left_30"):
        clip(root / f"M003/video/{view}/fear/level_2/007.mp4", sound_s=0.4)
    sound(root / "M003/audio/fear/level_2/007.m4a", seconds=0.36)  # a little shorter, as published
    sound(root / "M003/audio/fear/level_2/008.m4a")
    clip(root / "MEAD/W009/video/down/neutral/level_1/001.mp4")
    return root


def test_views_share_the_sound_and_the_recording(corpus: Path) -> None:
    listing = list_sources("mead", corpus)
    assert_accounted(listing, corpus)
    front, left, neutral = listing.sources
    assert [front.clip_id, left.clip_id] == ["mead/M003/front/fear/level_2/007", "mead/M003/left_30/fear/level_2/007"]
    assert front.audio == left.audio == str(corpus / "M003/audio/fear/level_2/007.m4a")
    assert front.recording == left.recording == "M003/fear/level_2/007" and front.statement == "fear/level_2/007"
    assert (front.view, left.view, front.sex, front.emotion) == ("front", "left_30", "m", "fearful")
    assert front.intensity == pytest.approx(2 / 3)
    assert (neutral.subject, neutral.sex, neutral.emotion, neutral.intensity) == ("mead/W009", "f", "neutral", 0.0)
    assert kinds(listing)["unmatched"] == ["M003/audio/fear/level_2/008.m4a", "W009"]
    assert listing.counts == {"actors": 2, "views": 3, "emotions": 2, "takes": 2, "videos": 3, "sound files": 2}
    assert probe_clip("mead", str(corpus), front).findings == []


def test_what_is_missing_is_told_per_view_and_group(corpus: Path) -> None:
    missing = {f.path: f.detail for f in list_sources("mead", corpus).findings if f.kind == "missing"}
    assert missing["M003"] == "no view down, top, left_60, right_30, right_60"
    assert missing["M003/video/front/fear/level_2"] == "1 of 30 takes"
    assert missing["W009/video/down/neutral/level_1"] == "1 of 40 takes"
    assert "W009/video/down/neutral/level_2" not in missing  # which does not exist


def test_a_known_gap_is_said_to_be_one(tmp_path: Path) -> None:
    listing = list_sources("mead", touch(tmp_path, "W017/video/down/happy/level_1/001.mp4"))
    assert listing.findings[0].detail.endswith("(as released: almost only view down)")


def test_a_complete_actor_is_not_missing_anything(tmp_path: Path) -> None:
    names = [
        f"W011/video/{view}/{emotion}/level_{level}/{number:03d}.mp4"
        for view in VIEWS
        for emotion in EMOTIONS
        for level in ((1,) if emotion == "neutral" else (1, 2, 3))
        for number in range(1, 41 if emotion == "neutral" else 31)
    ]
    listing = list_sources("mead", touch(tmp_path, *names))
    assert len(listing.sources) == 7 * (40 + 7 * 3 * 30) == 4690
    assert listing.findings == []
    assert {source.emotion for source in listing.sources} == set(schema.EMOTIONS) - {"calm"}


def test_slips(tmp_path: Path) -> None:
    good = "M005/video/front/sad/level_3/001"
    root = touch(
        tmp_path / "m", f"{good}.mp4", f"{good}.mkv", "again/M005/video/front/sad/level_3/001.mp4",
        "M005/video/front/neutral/level_2/001.mp4", "M005/video/back/sad/level_1/001.mp4",
        "M005/video/front/gloomy/level_1/001.mp4", "M005/audio/sad/level_3/001.m4a", "M005/audio/sad/level_3/001.wav",
        "M005/audio/sad/001.m4a", "M005/readme.pdf",
    )  # fmt: skip
    listing = list_sources("mead", root)
    assert_accounted(listing, root)
    found = kinds(listing)
    assert found["duplicate"] == [f"{good}.mp4", "again/M005/video/front/sad/level_3/001.mp4"]  # after .mkv
    assert found["impossible"] == ["M005/video/front/neutral/level_2/001.mp4"]
    assert found["misnamed"] == [
        "M005/audio/sad/001.m4a", "M005/video/back/sad/level_1/001.mp4", "M005/video/front/gloomy/level_1/001.mp4",
    ]  # fmt: skip
    assert {source.subject for source in listing.sources} == {"mead/M005"}
    assert listing.companions == 1  # the converted sound


NAMES = [
    f"{actor}/{kind}/level_{level}/00{number}.{suffix}"
    for actor in ("M003", "x/W004", "B01")
    for kind, suffix in (("video/front/sad", "mp4"), ("video/top/sad", "mkv"), ("audio/sad", "m4a"), ("audio/sad", "wav"),
                         ("video/sad", "mp4"), ("audio/sad", "mp4"), ("video/front/sad", "wav"))
    for level in (1, 4)
    for number in (1, 2)
]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(names=st.sets(st.sampled_from(NAMES)))
def test_no_file_is_lost_whatever_is_there(names: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = touch(tmp_path_factory.mktemp("m"), "x/y.mp4", *names)
    assert_accounted(list_sources("mead", root), root)
