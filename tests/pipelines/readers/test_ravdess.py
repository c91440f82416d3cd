"""The RAVDESS reader on trees in the published layout."""

from pathlib import Path

import pytest
from corpora import assert_accounted, clip, kinds, probed, sound, touch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.readers import list_sources
from pipelines.readers.ravdess import EMOTIONS, PUBLISHED, TRIALS
from space_data import schema


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Zips of two actors as they unpack, with every slip that occurs."""
    root = tmp_path_factory.mktemp("ravdess")
    clip(root / "Video_Speech_Actor_01/Actor_01/01-01-06-02-01-02-01.mp4", sound_s=0.4)
    clip(root / "Video_Speech_Actor_01/Actor_01/02-01-06-02-01-02-01.mp4")
    sound(root / "Audio_Speech_Actors_01-24/Actor_01/03-01-06-02-01-02-01.wav")
    clip(root / "Video_Song_Actor_02/Actor_02/02-02-01-01-02-01-02.mp4")
    sound(root / "Audio_Song_Actors_01-24/Actor_02/03-02-01-01-02-01-02.wav")
    sound(root / "Audio_Song_Actors_01-24/Actor_02/03-02-03-01-02-01-02.wav")
    return root


def test_three_modalities_are_one_clip(corpus: Path) -> None:
    listing = list_sources("ravdess", corpus)
    assert_accounted(listing, corpus)
    spoken, sung = listing.sources
    assert spoken.clip_id == "ravdess/Actor_01/01-06-02-01-02-01"
    assert Path(spoken.path).name.startswith("01-") and Path(spoken.audio).name.startswith("03-")
    assert (spoken.subject, spoken.sex, spoken.emotion, spoken.intensity) == ("ravdess/Actor_01", "m", "fearful", 1.0)
    assert (spoken.statement, spoken.view, spoken.language) == ("Kids are talking by the door", "front", "en")
    # The video without sound and the sound make a clip where the file with both is missing.
    assert Path(sung.path).name.startswith("02-") and Path(sung.audio).name.startswith("03-")
    assert (sung.sex, sung.emotion, sung.intensity, sung.statement) == (
        "f",
        "neutral",
        0.0,
        "Dogs are sitting by the door (sung)",
    )
    assert listing.companions == 1 and listing.ignored == {".wav": 1}
    assert kinds(listing) == {
        "unmatched": ["Audio_Song_Actors_01-24/Actor_02/03-02-03-01-02-01-02.wav"],
        "missing": ["Actor_01 speech", "Actor_02 song"],
    }
    assert listing.counts == {
        "actors": 2, "trials": 3, "speech trials": 1, "song trials": 2, "full-AV files": 1, "video-only files": 2,
        "audio-only files": 3,
    }  # fmt: skip
    for source in listing.sources:
        assert probed("ravdess", corpus, source).findings == []


def test_all_files_in_one_folder(tmp_path: Path) -> None:
    trials = ("01-03-01-01-01-05", "01-01-01-01-01-05", "02-04-02-02-01-06")
    names = [f"{kind}-{trial}.{suffix}" for trial in trials for kind, suffix in (("01", "mp4"), ("02", "mp4"), ("03", "wav"))]
    root = touch(tmp_path / "r", *names, "01-01-03-01-01-01-05 copy.mp4")
    listing = list_sources("ravdess", root)
    assert_accounted(listing, root)
    assert [(s.clip_id, s.subject, s.emotion, s.intensity) for s in listing.sources] == [
        ("ravdess/01-01-03-01-01-01-05 copy.mp4", "ravdess/Actor_05", schema.UNKNOWN, 0.0),
        ("ravdess/Actor_05/01-01-01-01-01-05", "ravdess/Actor_05", "neutral", 0.0),
        ("ravdess/Actor_05/01-03-01-01-01-05", "ravdess/Actor_05", "happy", 0.5),
        ("ravdess/Actor_06/02-04-02-02-01-06", "ravdess/Actor_06", "sad", 1.0),
    ]
    assert all(s.audio for s in listing.sources[1:]) and listing.companions == 3


def test_the_root_may_be_an_actor(tmp_path: Path) -> None:
    root = touch(tmp_path / "Actor_05", "01-01-03-01-01-01-05.mp4", "odd.mp4")
    assert {s.subject for s in list_sources("ravdess", root).sources} == {"ravdess/Actor_05"}


def test_published_totals_add_up() -> None:
    assert PUBLISHED["speech trials"].number == 24 * TRIALS["01"] and PUBLISHED["song trials"].number == 23 * TRIALS["02"]
    assert 3 * PUBLISHED["trials"].number == 7356
    assert set(EMOTIONS.values()) == set(schema.EMOTIONS) - {"contempt"}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("01-02-02-01-01-01-18", "actor 18 has no song"),
        ("01-01-01-02-01-01-03", "neutral is never strong"),
        ("01-02-07-01-01-01-03", "nobody sings disgusted"),
    ],
)
def test_takes_that_do_not_exist_are_named(tmp_path: Path, name: str, wrong: str) -> None:
    listing = list_sources("ravdess", touch(tmp_path, f"{name}.mp4"))
    assert [(finding.kind, finding.path, finding.detail) for finding in listing.findings if finding.kind == "impossible"] == [
        ("impossible", f"{name}.mp4", wrong)
    ]
    assert len(listing.sources) == 1


def test_misnamed_doubled_and_misplaced_files(tmp_path: Path) -> None:
    good = "01-01-03-01-01-01-05"
    root = touch(
        tmp_path / "r", f"Actor_05/{good}.mp4", f"copy/Actor_05/{good}.mp4", "Actor_05/01-01-03-01-01-02-06.mp4",
        "Actor_05/01-01-09-01-01-01-05.mp4", "Actor_05/03-01-03-01-01-01-05.mp4", "Actor_05/take.wav", "notes.txt",
    )  # fmt: skip
    listing = list_sources("ravdess", root)
    assert_accounted(listing, root)
    found = kinds(listing)
    assert found["duplicate"] == [f"copy/Actor_05/{good}.mp4"]
    assert found["misnamed"] == [
        "Actor_05/01-01-03-01-01-02-06.mp4", "Actor_05/01-01-09-01-01-01-05.mp4", "Actor_05/03-01-03-01-01-01-05.mp4",
        "Actor_05/take.wav",
    ]  # fmt: skip
    odd = {source.clip_id: source for source in listing.sources}["ravdess/Actor_05/01-01-09-01-01-01-05.mp4"]
    assert (odd.subject, odd.emotion, odd.intensity) == ("ravdess/Actor_05", schema.UNKNOWN, 0.0)


def test_a_complete_actor_is_not_missing_anything(tmp_path: Path) -> None:
    names = [
        f"Actor_07/01-01-{emotion}-{intensity}-{statement}-{repetition}-07.mp4"
        for emotion in EMOTIONS
        for intensity in (("01",) if emotion == "01" else ("01", "02"))
        for statement in ("01", "02")
        for repetition in ("01", "02")
    ]
    listing = list_sources("ravdess", touch(tmp_path, *names))
    assert len(listing.sources) == 60 and listing.findings == []


NAMES = [
    f"{folder}Actor_0{actor}/{modality}-0{channel}-03-01-01-01-01.{suffix}"
    for folder in ("", "Video_Speech_Actor_01/")
    for actor in (1, 2)
    for channel in (1, 2)
    for modality, suffix in (("01", "mp4"), ("02", "mp4"), ("03", "wav"), ("04", "mp4"), ("03", "mp4"), ("01", "wav"))
] + ["a.mp4", "b.txt", "c.wav"]


@settings(max_examples=40, deadline=None)
@given(names=st.sets(st.sampled_from(NAMES)))
def test_no_file_is_lost_whatever_is_there(names: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = touch(tmp_path_factory.mktemp("r"), "x/y.mp4", *names)
    assert_accounted(list_sources("ravdess", root), root)
