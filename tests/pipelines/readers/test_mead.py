"""The MEAD reader on trees in the published layout."""

from pathlib import Path

import pytest
from corpora import assert_accounted, clip, kinds, probed, sound, touch
from hypothesis import given, settings
from hypothesis import strategies as st

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
    assert front.audio == left.audio == "M003/audio/fear/level_2/007.m4a"
    assert front.recording == left.recording == "M003/fear/level_2/007" and front.statement == "fear/level_2/007"
    assert (front.view, left.view, front.sex, front.emotion) == ("front", "left_30", "m", "fearful")
    assert front.intensity == pytest.approx(2 / 3)
    assert (neutral.subject, neutral.sex, neutral.emotion, neutral.intensity) == ("mead/W009", "f", "neutral", 0.0)
    assert kinds(listing)["unmatched"] == ["M003/audio/fear/level_2/008.m4a", "W009"]
    assert listing.counts == {"actors": 2, "views": 3, "emotions": 2, "takes": 2, "videos": 3, "sound files": 2}
    assert probed("mead", corpus, front).findings == []


@pytest.mark.parametrize(
    ("name", "clip_id"),
    [
        ("M003_front_angry_level_1_001", "M003/front/angry/level_1/001"),
        ("M030_sad_3_001", "M030/sad/level_3/001"),
        ("M030_front_surprised_level3_001", "M030/front/surprised/level_3/001"),
        ("W011_happy_level2_003", "W011/happy/level_2/003"),
        ("W011-left_30-fear-level_2-003", "W011/left_30/fear/level_2/003"),
        ("W011#right-60#fear#2#003", "W011/right_60/fear/level_2/003"),
        ("M003@neutral@001", "M003/neutral/level_1/001"),
        ("M003/front_contempt_level_1_001", "M003/front/contempt/level_1/001"),
        ("x/M003_video_top_disgusted_level_3_030", "M003/top/disgusted/level_3/030"),
        ("mead_M003_down_sad_1_001", "M003/down/sad/level_1/001"),
    ],
)
def test_levels_may_be_joined_to_one_name(name: str, clip_id: str, tmp_path: Path) -> None:
    root = touch(tmp_path / "m", f"{name}.mp4")
    listing = list_sources("mead", root)
    assert_accounted(listing, root)
    (source,) = listing.sources
    actor, *view, emotion, level, number = clip_id.split("/")
    assert (source.clip_id, source.subject) == (f"mead/{clip_id}", f"mead/{actor}")
    assert (source.view, source.emotion) == ("".join(view), EMOTIONS[emotion])
    assert source.intensity == (0.0 if emotion == "neutral" else int(level[-1]) / 3)
    assert (source.recording, source.statement) == (f"{actor}/{emotion}/{level}/{number}", f"{emotion}/{level}/{number}")
    assert set(kinds(listing)) == {"missing"}


def test_views_that_are_not_said_are_not_missing(tmp_path: Path) -> None:
    listing = list_sources("mead", touch(tmp_path, "M030_sad_3_001.mp4", "M030_sad_3_001.wav"))
    assert listing.counts["views"] == 0 and listing.sources[0].audio.endswith("M030_sad_3_001.wav")
    assert {"M030/video/sad/level_3"} == {f.path for f in listing.findings if f.detail == "1 of 30 takes"}
    assert "M030" not in {f.path for f in listing.findings}


@pytest.mark.parametrize("name", ["M003_happy_001", "M003_front_gloomy_level_1_001", "M003_front_happy_level_4_001", "M003/x"])
def test_names_that_say_only_the_actor(name: str, tmp_path: Path) -> None:
    listing = list_sources("mead", touch(tmp_path / "m", f"{name}.mp4"))
    assert [(s.subject, s.emotion) for s in listing.sources] == [("mead/M003", schema.UNKNOWN)]
    assert kinds(listing)["misnamed"] == [f"{name}.mp4"]


@pytest.mark.parametrize("level", ["M003", "M003/video", "M003/video/front", "M003/video/front/fear/level_2"])
def test_the_root_may_lie_at_or_below_an_actor(level: str, tmp_path: Path) -> None:
    touch(tmp_path, "M003/video/front/fear/level_2/007.mp4", "M003/audio/fear/level_2/007.m4a")
    (tmp_path / level / "odd.mp4").touch()
    listing = list_sources("mead", tmp_path / level)
    assert_accounted(listing, tmp_path / level)
    clip_ids = {s.clip_id: s for s in listing.sources}
    assert set(clip_ids) == {"mead/M003/front/fear/level_2/007", "mead/odd.mp4"}
    assert {s.subject for s in listing.sources} == {"mead/M003"}
    assert bool(clip_ids["mead/M003/front/fear/level_2/007"].audio) == (level == "M003")


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
