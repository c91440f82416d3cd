"""A built study: what raters get tells them nothing, shows the right faces, and is made again to the byte."""

import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
from made_up_study import CLIPS, COLOURS, FRAMES, KEY, RECORDED, SIDE_PX, TEXTS, plan, sources_in

from evaluation.study.build import build, stimuli_of, stimulus_of
from evaluation.study.manifest import FROZEN, MISMATCHED, RECORDING, Question, Study, StudyFolder
from evaluation.study.page import public_plan
from evaluation.study.questions import QUESTIONS, chosen_questions, order_for
from evaluation.study.sources import Sources, chosen_pairs, matched, sounds_in, videos_in
from space_data.errors import SpaceError
from space_data.media.encode import write_video
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video

PAIRS = [("zebra", "quagga"), ("quagga", RECORDED)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return sources_in(tmp_path_factory.mktemp("systems"))


@pytest.fixture(scope="module")
def built(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyFolder, Study]:
    folder = StudyFolder(tmp_path_factory.mktemp("built") / "study")
    return folder, build(folder.root, sources, PAIRS, QUESTIONS, TEXTS, plan(), key=KEY)


def halves(path: Path) -> list[np.ndarray]:
    """Mean colour of each half per frame: left, right, each (frames, 3)."""
    frames = np.stack([frame.rgb for frame in decode_video(path)]).astype(float)
    return [half.mean(axis=(1, 2)) for half in np.split(frames, 2, axis=2)]


def test_no_file_of_a_rater_names_a_system_or_a_clip(built: tuple[StudyFolder, Study]) -> None:
    folder, study = built
    files = [path for path in folder.page.rglob("*") if path.is_file()]
    assert len(files) == 1 + len(stimuli_of(study))
    for path in files:
        content = path.read_bytes().lower() + path.name.encode()
        for secret in (*COLOURS, "ibex", "rendered by", FROZEN, MISMATCHED, KEY):
            assert secret.encode() not in content, f"{path.name} says {secret!r}"


def test_metadata_and_encoding_are_the_same_in_all_files(built: tuple[StudyFolder, Study]) -> None:
    kinds = set()
    for path in built[0].media.iterdir():
        with av.open(str(path)) as container:
            video, sound = container.streams.video[0], container.streams.audio[0]
            facts = (container.metadata, video.metadata, sound.metadata, video.codec_context.name, video.width, video.height)
            kinds.add(json.dumps([str(fact) for fact in facts]) + f"{video.frames} {sound.rate}")
    assert len(kinds) == 1


def test_neither_names_nor_sizes_nor_times_of_files_sort_the_systems(built: tuple[StudyFolder, Study]) -> None:
    folder, study = built
    files = sorted(folder.media.iterdir())
    assert all(re.fullmatch(r"[0-9a-f]{32}\.mp4", path.name) for path in files)
    times = [path.stat().st_mtime_ns for path in files]
    assert times == sorted(times), "written in the order of their names, which the key drew"
    drawn = [(str(i), str(j), str(clip)) for i in range(8) for j in range(i) for clip in range(40)]
    is_first = [stimulus_of(KEY, (i, j), clip).left == j for i, j, clip in drawn]
    assert abs(np.mean(is_first) - 0.5) < 3 * 0.5 / len(is_first) ** 0.5, "either system is in either half equally often"


def test_the_page_knows_no_catch_and_no_side(built: tuple[StudyFolder, Study]) -> None:
    plan_ = public_plan(built[1])
    assert {key for one in plan_["lists"] for trial in one["trials"] for key in trial} == {"id", "media", "swapped"}
    swapped = [trial["swapped"] for one in plan_["lists"] for trial in one["trials"]]
    assert any(swapped) and not all(swapped)
    ids = [trial["id"] for one in plan_["lists"] for trial in one["trials"]]
    assert len(ids) == len(set(ids))


def test_every_trial_shows_the_system_that_the_manifest_names(built: tuple[StudyFolder, Study]) -> None:
    folder, study = built
    for trial in {(t.media, t.is_swapped): t for one in study.lists for t in one.trials}.values():
        left, right = halves(folder.media / trial.media)[:: -1 if trial.is_swapped else 1]
        assert len(left) == FRAMES
        for shown, name in ((left, trial.left), (right, trial.right)):
            colour = np.array(COLOURS[name if name in COLOURS else RECORDED])
            assert np.argmax(shown[0]) == np.argmax(colour)
            growth = shown[-1].max() - shown[0].max()
            assert {FROZEN: abs(growth) < 3, MISMATCHED: growth < -40}.get(name, growth > 40), (name, growth)


def test_both_sides_are_heard_with_the_sound_of_the_clip(built: tuple[StudyFolder, Study], sources: Sources) -> None:
    folder, study = built
    for one in study.lists:
        for trial in one.trials:
            found, wanted = decode_audio(folder.media / trial.media), decode_audio(sources.sound[trial.clip])
            n = min(len(found), len(wanted))
            assert n >= 0.9 * FRAMES * 640
            assert np.corrcoef(found[:n], wanted[:n])[0, 1] > 0.98


def test_the_same_key_gives_the_same_bytes_and_a_fresh_one_other_names(
    built: tuple[StudyFolder, Study], sources: Sources, tmp_path: Path
) -> None:
    build(tmp_path / "again", sources, PAIRS, QUESTIONS, TEXTS, plan(), key=KEY)
    files = {p.relative_to(built[0].root): p.read_bytes() for p in built[0].root.rglob("*") if p.is_file()}
    assert files == {p.relative_to(tmp_path / "again"): p.read_bytes() for p in (tmp_path / "again").rglob("*") if p.is_file()}
    other = build(tmp_path / "other", sources, PAIRS, QUESTIONS, TEXTS, plan())
    assert other.study_id != built[1].study_id and not set(stimuli_of(other)) & set(stimuli_of(built[1]))
    assert [[(t.left, t.clip) for t in one.trials] for one in other.lists] == [
        [(t.left, t.clip) for t in one.trials] for one in built[1].lists
    ]


def test_the_manifest_is_read_as_it_was_written(built: tuple[StudyFolder, Study]) -> None:
    folder, study = built
    assert folder.read() == study
    assert {t.left for one in study.lists for t in one.trials if t.catch} <= {RECORDING, FROZEN, MISMATCHED}
    assert study.systems == tuple(COLOURS)


def test_a_study_is_never_built_over(built: tuple[StudyFolder, Study], sources: Sources) -> None:
    with pytest.raises(SpaceError, match="is there already"):
        build(built[0].root, sources, PAIRS, QUESTIONS, TEXTS, plan())


def test_a_failed_build_leaves_nothing(sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    broken = {**sources.videos, "zebra": {clip: tmp_path / "broken.mp4" for clip in CLIPS}}
    with pytest.raises(SpaceError, match=r"broken\.mp4"):
        build(tmp_path / "study", Sources(broken, sources.sound, RECORDED, {}), PAIRS, QUESTIONS, TEXTS, plan())
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


def test_a_text_that_names_a_system_is_refused(sources: Sources, tmp_path: Path) -> None:
    texts = TEXTS.model_copy(update={"title": "Is Zebra better?"})
    with pytest.raises(SpaceError, match="names the system 'zebra'"):
        build(tmp_path / "study", sources, PAIRS, QUESTIONS, texts, plan())
    texts = TEXTS.model_copy(update={"title": "Zebrafish"})
    (tmp_path / "study").mkdir()
    build(tmp_path / "study", sources, PAIRS[:1], QUESTIONS[:1], texts, plan(1, 1, 0))


def test_hostile_texts_are_escaped(sources: Sources, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>"
    texts = TEXTS.model_copy(update={"title": hostile, "consent": (hostile,)})
    build(tmp_path / "study", sources, PAIRS[:1], (Question(id="q", text=hostile),), texts, plan(1, 1, 0))
    assert "<script>alert" not in (tmp_path / "study" / "page" / "index.html").read_text()


def test_catches_need_recordings_and_a_question_that_has_them(sources: Sources, tmp_path: Path) -> None:
    without = Sources(sources.videos, sources.sound, None, {})
    with pytest.raises(SpaceError, match="catch trials need recordings"):
        build(tmp_path / "study", without, PAIRS, QUESTIONS, TEXTS, plan())
    with pytest.raises(SpaceError, match="no question has catch trials"):
        build(tmp_path / "study", sources, PAIRS, chosen_questions("expression"), TEXTS, plan())


@pytest.mark.parametrize(
    ("shape", "n_frames", "words"),
    [((SIDE_PX, 2 * SIDE_PX), FRAMES, "need one shape"), ((SIDE_PX, SIDE_PX), 6, "in common")],
)
def test_versions_of_a_clip_must_agree(
    shape: tuple[int, int], n_frames: int, words: str, sources: Sources, tmp_path: Path
) -> None:
    write_video(tmp_path / "odd.mp4", [np.zeros((*shape, 3), np.uint8)] * n_frames)
    odd = {**sources.videos, "zebra": {clip: tmp_path / "odd.mp4" for clip in CLIPS}}
    with pytest.raises(SpaceError, match=words):
        build(tmp_path / "study", Sources(odd, sources.sound, RECORDED, {}), PAIRS[:1], QUESTIONS, TEXTS, plan(1, 2, 0))


def test_versions_of_other_sizes_and_lengths_are_shown_alike(sources: Sources, tmp_path: Path) -> None:
    for clip in CLIPS:
        write_video(tmp_path / f"{clip}.mp4", [np.full((32, 32, 3), (200, 40, 40), np.uint8)] * (FRAMES - 1))
    small = Sources({**sources.videos, "zebra": videos_in(tmp_path)}, sources.sound, RECORDED, {})
    study = build(tmp_path / "study", small, PAIRS[:1], QUESTIONS[:1], TEXTS, plan(1, 1, 0))
    (name,) = stimuli_of(study)
    frames = list(decode_video(tmp_path / "study" / "page" / "media" / name))
    assert len(frames) == FRAMES - 1 and frames[0].rgb.shape == (SIDE_PX, 2 * SIDE_PX, 3)


def test_clips_that_a_system_lacks_are_left_out_and_named(sources: Sources) -> None:
    short = {**sources.videos, "zebra": {CLIPS[0]: sources.videos["zebra"][CLIPS[0]]}}
    every, others = chosen_pairs((), list(short)), [name for name in short if name not in ("zebra", RECORDED)]
    found = matched(Sources(short, sources.sound, RECORDED), every)
    assert found.clips == [CLIPS[0]] and found.left_out == {CLIPS[1]: "not in zebra"}
    asked = matched(Sources(short, sources.sound, RECORDED), [(others[0], RECORDED)])
    assert asked.clips == list(CLIPS) and not asked.left_out, "a system that nobody asks about costs no clip"
    assert set(asked.videos) == {others[0], RECORDED}
    with pytest.raises(SpaceError, match="no clip that all of"):
        matched(Sources({**sources.videos, "zebra": {}}, sources.sound, None), every)


def test_folders_are_read_by_clip(sources: Sources, tmp_path: Path) -> None:
    assert set(sounds_in(sources.videos["zebra"][CLIPS[0]].parent)) == {"one", "two"}
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.webm").touch()
    with pytest.raises(SpaceError, match="a second file of clip a"):
        videos_in(tmp_path)
    with pytest.raises(SpaceError, match="no such folder"):
        videos_in(tmp_path / "none")


@pytest.mark.parametrize("choice", [["zebra"], ["zebra:zebra"], ["zebra:lion"], ["zebra:okapi", "okapi:zebra"], ["a:b:c"]])
def test_pairs_that_are_none_are_refused(choice: list[str]) -> None:
    with pytest.raises(SpaceError):
        chosen_pairs(choice, list(COLOURS))


def test_all_pairs_by_default() -> None:
    assert len(chosen_pairs([], list(COLOURS))) == 3
    assert chosen_pairs(["okapi:zebra"], list(COLOURS)) == [("okapi", "zebra")]


def test_questions_from_ids_or_a_file(tmp_path: Path) -> None:
    assert chosen_questions("") == QUESTIONS
    assert [q.id for q in chosen_questions("preference,lip_sync")] == ["preference", "lip_sync"]
    (tmp_path / "q.yaml").write_text("- id: gaze\n  text: Whose eyes?\n  catches: [frozen]\n")
    assert chosen_questions(str(tmp_path / "q.yaml")) == (Question(id="gaze", text="Whose eyes?", catches=("frozen",)),)
    for bad in ("nonsense", "lip_sync,lip_sync", str(tmp_path / "none.yaml")):
        with pytest.raises(SpaceError):
            chosen_questions(bad)
    for number, text in enumerate(("- id: Gaze\n  text: x\n", "gaze: 1\n", "- [\n", "[]\n", "- id: a\n  text: b\n  other: c\n")):
        (tmp_path / f"{number}.yaml").write_text(text)
        with pytest.raises(SpaceError):
            chosen_questions(str(tmp_path / f"{number}.yaml"))


def test_attributes_rotate_and_the_overall_judgement_stays_last() -> None:
    orders = [order_for(rater, QUESTIONS) for rater in range(6)]
    assert {order[-1] for order in orders} == {"preference"}
    assert {order[0] for order in orders} == {"lip_sync", "head_motion", "expression"}
    assert order_for(5, QUESTIONS[:1]) == ("lip_sync",)
