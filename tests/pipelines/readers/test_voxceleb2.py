"""The VoxCeleb2 reader on trees in the published layout."""

import tracemalloc
from pathlib import Path

import pytest
from corpora import assert_accounted, clip, kinds, probed, sound, touch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.readers import list_sources, voxceleb2
from pipelines.readers.tree import Tree
from pipelines.readers.voxceleb2 import PUBLISHED, Annotation, annotated_frames, read_annotation
from space_data import schema
from space_data.store import Place

DEV, TEST = "id00012/21Uxsk56VDQ", "id00017/01dfn2spqyE"
HEAD = (
    "Identity  : \t{}\nReference : \t{}\nOffset    : \t{}\nFV Conf   : \t20.230 (1)\nASD Conf  : \t2.765\n\n"
    "FRAME \tX \tY \tW \tH \n\n"
)
META = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set\nid00012 ,n000012 ,m ,dev\nid00017 ,n000017 ,f ,test\n"


def annotate(path: Path, speaker: str, youtube_id: str, offset: int, rows: int = 10) -> None:
    """An annotation in the published form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    boxes = "".join(f"{349 + i:06d} \t0.319 \t0.067 \t0.424 \t0.753 \n" for i in range(rows))
    path.write_text(HEAD.format(speaker, youtube_id, offset) + boxes)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two speakers in two sets, with every gap and slip that occurs."""
    root = tmp_path_factory.mktemp("voxceleb2")
    for name in (f"dev/mp4/{DEV}/00001", f"dev/mp4/{DEV}/00002", f"test/mp4/{TEST}/00001"):
        clip(root / f"{name}.mp4", sound_s=0.4)
    sound(root / f"dev/aac/{DEV}/00001.m4a")
    sound(root / f"dev/wav/{DEV}/00001.wav")
    sound(root / f"test/aac/{TEST}/00001.m4a")
    sound(root / f"test/aac/{TEST}/00003.m4a")
    annotate(root / f"dev/txt/{DEV}/00001.txt", "id00012", "21Uxsk56VDQ", 2)
    annotate(root / f"dev/txt/{DEV}/00002.txt", "id00012", "21Uxsk56VDQ", -3, rows=12)
    annotate(root / f"dev/txt/{DEV}/00009.txt", "id00012", "21Uxsk56VDQ", 0)
    clip(root / f"dev/mp4/{DEV}/1.mp4")
    (root / "vox2_meta.csv").write_text("\ufeff" + META)
    return touch(root, "README.md", ".hidden.mp4", f"dev/txt/{DEV}/._00001.txt")


def test_clips_have_their_sound_labels_and_evidence(corpus: Path) -> None:
    listing = list_sources("voxceleb2", corpus)
    assert_accounted(listing, corpus)
    first, second, test, odd = (listing.sources[i] for i in (1, 2, 3, 0))
    assert first.clip_id == f"vox2/{DEV}/00001" and first.path == f"dev/mp4/{DEV}/00001.mp4"
    assert first.audio == f"dev/aac/{DEV}/00001.m4a"  # not the converted copy
    assert (first.subject, first.sex, first.split, first.recording) == ("vox2/id00012", "m", "", "21Uxsk56VDQ")
    # SyncNet prints + where the sound leads; ours is + where it is late.
    assert (first.annotated_offset_frames, second.annotated_offset_frames) == (-2.0, 3.0)
    assert (first.annotated_speaker_confidence, first.annotated_face_confidence) == (2.765, 20.23)
    assert second.audio == "" and second.files == (second.path,)
    assert (test.clip_id, test.split, test.sex, test.annotated_offset_frames) == (f"vox2/{TEST}/00001", "test", "f", None)
    # A video with a name of its own is a clip of the speaker whose folder it lies in.
    assert (odd.clip_id, odd.subject) == (f"vox2/dev/mp4/{DEV}/1.mp4", "vox2/id00012")


def test_what_is_wrong_is_named(corpus: Path) -> None:
    listing = list_sources("voxceleb2", corpus)
    assert kinds(listing) == {
        "misnamed": [f"dev/mp4/{DEV}/1.mp4"],
        "unmatched": [f"dev/txt/{DEV}/00009.txt", f"test/aac/{TEST}/00003.m4a", "vox2/id00012", "vox2/id00017"],
    }
    assert listing.ignored == {".md": 1, ".m4a": 1, ".txt": 1}
    assert listing.companions == 4  # two annotations, the converted sound, the table of speakers
    assert listing.counts == {
        "speakers": 2, "videos": 2, "utterances": 3, "dev speakers": 1, "dev utterances": 2, "test speakers": 1,
        "test utterances": 1,
    }  # fmt: skip


def test_published_totals_add_up() -> None:
    for what in ("speakers", "utterances"):
        assert PUBLISHED[f"dev {what}"].number + PUBLISHED[f"test {what}"].number == PUBLISHED[what].number


@pytest.mark.parametrize("level", ["dev", "dev/mp4", ""])
def test_the_root_may_lie_at_any_level(corpus: Path, level: str) -> None:
    ids = {source.clip_id for source in list_sources("voxceleb2", corpus / level).sources}
    assert {f"vox2/{DEV}/00001", f"vox2/{DEV}/00002"} <= ids


def test_the_set_comes_from_the_path_the_root_or_the_table(tmp_path: Path) -> None:
    plain = touch(tmp_path / "plain", f"mp4/{TEST}/00001.mp4")
    assert list_sources("voxceleb2", plain).sources[0].split == ""
    (plain / "vox2_meta.csv").write_text(META)
    assert list_sources("voxceleb2", plain).sources[0].split == "test"
    for name in ("test/mp4", "vox2_test_mp4"):
        root = touch(tmp_path / name, f"{TEST}/00001.mp4")
        assert list_sources("voxceleb2", root.parent if name == "test/mp4" else root).sources[0].split == "test"
    # "dev" within a YouTube id is no set
    assert list_sources("voxceleb2", touch(tmp_path / "odd", "mp4/id00001/ab_test_cde/00001.mp4")).sources[0].split == ""


@pytest.mark.parametrize("separator", "_-#@/")
@pytest.mark.parametrize("youtube_id", ["21Uxsk56VDQ", "_1Uxs-56VD_", "-_-_-_-_-_-", "ab_test_cde", "x_id00099_x"])
def test_levels_may_be_joined_to_one_name(separator: str, youtube_id: str, tmp_path: Path) -> None:
    stem = separator.join(("id00012", youtube_id, "00001"))
    root = touch(tmp_path / "v", f"{stem}.mp4", f"{stem}.m4a", f"id00012/{youtube_id}{separator}00002.mp4", "sub/id00017/odd.mp4")
    listing = list_sources("voxceleb2", root)
    assert_accounted(listing, root)
    first, second, odd = listing.sources
    assert [s.clip_id for s in (first, second)] == [f"vox2/id00012/{youtube_id}/0000{n}" for n in (1, 2)]
    assert {(s.subject, s.recording, s.emotion, s.split) for s in (first, second)} == {
        ("vox2/id00012", youtube_id, schema.UNKNOWN, "")
    }
    assert first.audio == f"{stem}.m4a" and odd.subject == "vox2/id00017"
    assert kinds(listing) == {"misnamed": ["sub/id00017/odd.mp4"], "unmatched": ["vox2/id00012"]}


def test_joined_names_know_their_set_and_their_double(tmp_path: Path) -> None:
    root = touch(tmp_path / "v", "test/id00012_21Uxsk56VDQ_00001.mp4", f"{DEV}/00001.mp4", "test_id00017_01dfn2spqyE_00001.mp4",
                 "id00012_holiday.mp4")  # fmt: skip
    listing = list_sources("voxceleb2", root)
    assert_accounted(listing, root)
    assert {s.subject: s.split for s in listing.sources} == {"vox2/id00012": "test", "vox2/id00017": "test"}
    assert kinds(listing)["duplicate"] == ["test/id00012_21Uxsk56VDQ_00001.mp4"]
    assert len(listing.sources) == 3  # and the holiday, in the set of its speaker


@pytest.mark.parametrize(
    ("levels", "names", "split"),
    [
        ("id00012", ["21Uxsk56VDQ/00001", "21Uxsk56VDQ_00002"], ""),
        ("test/mp4/id00012", ["21Uxsk56VDQ/00001", "21Uxsk56VDQ_00002"], "test"),
        ("dev/id00012/21Uxsk56VDQ", ["00001", "00002"], ""),
        ("mp4/id00012/ab_test_cde", ["00001", "00002"], ""),
        ("test/mp4", [f"{DEV}/00001", f"{DEV}/00002"], "test"),
    ],
)
def test_the_root_may_lie_at_or_below_a_speaker(levels: str, names: list[str], split: str, tmp_path: Path) -> None:
    root = touch(tmp_path / levels, *(f"{name}.mp4" for name in names))
    listing = list_sources("voxceleb2", root)
    assert_accounted(listing, root)
    assert [(s.clip_id[:12], s.clip_id[-6:], s.split) for s in listing.sources] == [
        ("vox2/id00012", f"/0000{n}", split) for n in (1, 2)
    ]
    assert not kinds(listing)


def test_the_table_of_speakers_in_other_hands(tmp_path: Path) -> None:
    root = touch(tmp_path / "v", f"mp4/{TEST}/00001.mp4")
    for separator in (",", "\t", ";", " ,\t"):
        table = META.replace(" ,", separator) + f"{separator}\nid00018{separator}n18{separator}x{separator}dev\n"
        (root / "vox2_meta.csv").write_text(table)
        listing = list_sources("voxceleb2", root)
        assert [(s.split, s.sex) for s in listing.sources] == [("test", "f")]
        assert [f.detail[:6] for f in listing.findings if f.kind == "annotation"] == ["row 5:"]


def test_a_speaker_in_both_sets_is_test(tmp_path: Path) -> None:
    root = touch(tmp_path / "v", f"dev/mp4/{DEV}/00001.mp4", f"test/mp4/{DEV}/00001.mp4", f"test/mp4/{DEV}/00002.mp4")
    listing = list_sources("voxceleb2", root)
    assert_accounted(listing, root)
    assert [(s.clip_id, s.split) for s in listing.sources] == [(f"vox2/{DEV}/00001", "test"), (f"vox2/{DEV}/00002", "test")]
    assert kinds(listing) == {"duplicate": [f"test/mp4/{DEV}/00001.mp4"], "misnamed": ["id00012"]}
    assert [f.detail for f in listing.findings if f.kind == "misnamed"] == ["lies in dev and test: taken as test"]


def test_annotations_of_another_file_and_unreadable_ones(tmp_path: Path) -> None:
    root = touch(tmp_path / "v", *(f"mp4/{DEV}/0000{i}.mp4" for i in (1, 2, 3)), f"txt/{DEV}/00002.txt", f"txt/{DEV}/00003.txt")
    annotate(root / f"txt/{DEV}/00001.txt", "id00099", "21Uxsk56VDQ", 1)
    (root / f"txt/{DEV}/00003.txt").write_text("Offset : \tnone\n")
    listing = list_sources("voxceleb2", root)
    assert [source.annotated_offset_frames for source in listing.sources] == [None, None, None]
    assert kinds(listing)["annotation"] == [f"txt/{DEV}/0000{i}.txt" for i in (1, 2, 3)]
    assert listing.findings[0].detail == "says it is of id00099 21Uxsk56VDQ"


def test_annotation_without_colons_and_with_zero_offset(tmp_path: Path) -> None:
    file = tmp_path / "00001.txt"
    file.write_text("Identity\tid00012\nReference\t21Uxsk56VDQ\nOffset\t0\nFV Conf\t20.230\t(1)\nASD Conf\t2.765\n\nFRAME\tX\n")
    annotation = read_annotation(Place.of(file))
    assert annotation is not None and (annotation.identity, annotation.offset_frames) == ("id00012", 0.0)
    assert str(0.0 - annotation.offset_frames) == "0.0"  # not -0.0
    assert read_annotation(Place.of(tmp_path / "none.txt")) is None


def test_frames_are_compared_with_annotated_rows_and_with_the_sound(corpus: Path) -> None:
    first, second = list_sources("voxceleb2", corpus).sources[1:3]
    assert annotated_frames(Place.of(corpus / first.path)) == 10
    good = probed("voxceleb2", corpus, first)
    assert good.findings == [] and good.seconds == pytest.approx(0.4)
    (finding,) = probed("voxceleb2", corpus, second).findings
    assert (finding.kind, finding.detail) == ("frame_mismatch", "10 frames, 12 annotated rows")


def test_sound_of_another_length_is_named(tmp_path: Path) -> None:
    clip(tmp_path / f"mp4/{DEV}/00001.mp4", n_frames=25)
    sound(tmp_path / f"aac/{DEV}/00001.m4a", seconds=2.0)
    (source,) = list_sources("voxceleb2", tmp_path).sources
    found = {finding.kind: finding.detail for finding in probed("voxceleb2", tmp_path, source).findings}
    assert set(found) == {"length_mismatch", "frame_mismatch"} and found["frame_mismatch"].startswith("25 frames, sound for 5")


NAMES = [
    f"{part}/{kind}/{key}.{suffix}"
    for part in ("dev", "test")
    for kind, suffix in (("mp4", "mp4"), ("aac", "m4a"), ("wav", "wav"), ("txt", "txt"))
    for key in (f"{DEV}/00001", f"{TEST}/00002", "id1/x/00001", f"{DEV}/1", "id00012/00001")
] + ["vox2_meta.csv", "sub/vox2_meta.csv", "list.txt", "a.mp4", "b.wav", f"dev/mp4/{DEV}/00001.mkv"]


@settings(max_examples=40, deadline=None)
@given(names=st.sets(st.sampled_from(NAMES), min_size=1))
def test_no_file_is_lost_whatever_is_there(names: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = touch(tmp_path_factory.mktemp("v"), "x/y.mp4", *names)
    assert_accounted(list_sources("voxceleb2", root), root)


def test_a_million_utterances_fit_into_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """VoxCeleb2 has 1.13 million, each of three files: at 560 bytes for each they take 0.6 GB."""
    per_video, videos = 7, 400
    folders = [f"id{video // 20:05d}/{video:011d}" for video in range(videos)]

    def million(root: Place) -> Tree:
        parts = (("aac", "m4a"), ("mp4", "mp4"), ("txt", "txt"))
        names = [f"dev/{kind}/{f}/{n:05d}.{suffix}" for kind, suffix in parts for f in folders for n in range(per_video)]
        return Tree(names, [], [], [], len(names))

    def annotation(file: Place) -> Annotation:
        speaker, youtube_id, number = file.uri.split("/")[-3:]
        return Annotation(speaker, youtube_id, float(number[4]), int(number[4]) / 8, int(number[4]) / 4)

    monkeypatch.setattr(voxceleb2, "walk", million)
    monkeypatch.setattr(voxceleb2, "read_annotation", annotation)
    monkeypatch.setattr(voxceleb2, "BATCH", 64)
    most_bytes = []
    for _ in range(3):  # the interpreter's own table of strings may grow in one of them
        tracemalloc.start()
        try:
            listing = voxceleb2.list_clips(Place.of(tmp_path))
            most_bytes.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert len(listing.sources) == per_video * videos and not listing.findings
    assert min(most_bytes) / len(listing.sources) < 560
