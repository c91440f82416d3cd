"""Lists of test clips: a stratified choice, frozen, named by what they really are."""

from collections import Counter
from dataclasses import replace

import pytest

from evaluation.lists.choose import Candidate, candidate, choose
from evaluation.lists.clip_list import (
    ClipList,
    Resolved,
    Rule,
    by_rule,
    find_list,
    freeze,
    read_list,
    resolve,
    shipped_lists,
    write_list,
)
from pipelines.benchmark.choice import clips_to_score
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.params import Synthesize
from space_data.schema import AlignedClip, Measure
from space_data.tables import write_sharded


def clip(subject: str, number: int, split: str = "test", n_frames: int = 40) -> AlignedClip:
    return AlignedClip(
        clip_id=f"set/{subject}/{number}", source_clip_id=f"set/{subject}/{number}", dataset="set", subject=subject,
        emotion="happy", intensity=0.5, language="en", split=split, video="a.mp4", audio="a.wav",
        n_frames=n_frames, size_px=64, start_s=0.0, crop_x0_px=0.0, crop_y0_px=0.0, crop_side_px=64.0, applied_offset_frames=0.0,
        video_sha256=f"v{subject}{number}", audio_sha256=f"a{subject}{number}",
    )  # fmt: skip


def one(subject: str, number: int, *strata: str) -> Candidate:
    return Candidate(f"set/{subject}/{number}", subject, strata)


def test_identities_take_turns():
    clips = [one("a", i, "happy") for i in range(5)] + [one("b", 0, "happy")]
    chosen = choose(clips, 3, 1)
    assert len(chosen) == 3 and "set/b/0" in chosen, "the one clip of b before the second and third of a"
    assert choose(clips[::-1], 3, 1) == chosen, "the order of the table does not matter"
    assert len(choose(clips, 99, 1)) == 6 and choose(clips, 0, 1) == []


def test_the_choice_is_no_matter_of_the_alphabet():
    clips = [one("a", i, "happy") for i in range(20)]
    first = [choose(clips, 1, seed)[0] for seed in range(12)]
    assert len(set(first)) > 6, "another seed chooses another clip"
    assert choose([*clips, one("b", 0, "sad")], 2, 3)[0] == choose(clips, 1, 3)[0], "and another identity changes nothing for a"


def test_strata_are_filled_evenly():
    moods = ("neutral", "happy", "sad", "angry")
    clips = [one(subject, i, moods[min(i // 5, 3)], "long" if i % 5 else "short") for subject in "abcdef" for i in range(20)]
    chosen = {clip.clip_id: clip for clip in clips if clip.clip_id in choose(clips, 12, 1)}
    assert Counter(c.subject for c in chosen.values()) == dict.fromkeys("abcdef", 2)
    assert Counter(c.strata[0] for c in chosen.values()) == dict.fromkeys(moods, 3)
    assert Counter(c.strata[1] for c in chosen.values()) == {"long": 6, "short": 6}, "though four of five clips are long"


def test_strata_of_a_clip():
    at = {n: candidate(clip("a", 1, n_frames=n), None).strata[2] for n in (74, 75, 125, 250)}
    assert at == {74: "0", 75: "1", 125: "3", 250: "4"}
    assert [candidate(clip("a", 1), yaw).strata[3] for yaw in (None, 0.0, 10.0, 45.0)] == ["?", "0", "1", "3"]
    assert candidate(clip("a", 1), None).strata[:2] == ("happy", "set")


CLIPS = [clip(subject, i) for subject in "abc" for i in range(4)]


def listed(at_most: int = 6) -> Resolved:
    return by_rule("set/v1", CLIPS, {}, at_most, 30, 1)


def test_a_frozen_list_gives_the_same_clips_and_label(tmp_path):
    write_list(tmp_path / "mine.yaml", freeze("set/v1", "three people", listed()))
    found = find_list(str(tmp_path / "mine.yaml"))
    assert found.kind == "frozen" and found.max_frames == 30
    again = resolve(found, CLIPS[::-1], {})
    assert again == listed() and again.label == listed().label and again.identities == 3
    assert {c.n_frames for c in again.chosen} == {30}


def test_other_files_have_another_label(caplog):
    frozen = freeze("set/v1", "", listed())
    other = [replace(c, video_sha256="coded elsewhere") if c.clip_id == frozen.clips[0].clip_id else c for c in CLIPS]
    label = resolve(frozen, other, {}).label
    assert label != listed().label and label.startswith("set/v1@")
    assert "1 of 6 recordings are other files" in caplog.text
    assert by_rule("set/v1", CLIPS, {}, 6, 31, 1).label != listed().label, "another span is another list"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda clips: clips[:-6], r"clips are not among the 6 aligned ones"),
        (lambda clips: [replace(c, split="train") for c in clips], r"is of a training identity \(a"),
        (lambda clips: [replace(c, n_frames=29) for c in clips], "has 29 frames, the list wants 30"),
    ],
)
def test_a_list_that_does_not_fit_is_an_error(spoil, message):
    with pytest.raises(SpaceError, match=message):
        resolve(freeze("set/v1", "", listed()), spoil(CLIPS), {})


def test_a_rule_takes_what_fits_it():
    taken = Rule(splits=["test"], only="set/?/[01]", at_most=9, seed=1)
    rule = ClipList(name="set/v2", about="", dataset="set", max_frames=25, rule=taken)
    others = [*CLIPS, clip("d", 0, split="train"), replace(clip("e", 0), dataset="other")]
    assert {c.clip.clip_id for c in resolve(rule, others, {}).chosen} == {f"set/{s}/{i}" for s in "abc" for i in range(2)}
    with pytest.raises(SpaceError, match="no aligned clip fits"):
        resolve(rule, others[-2:], {})


NEITHER = "name: set/v1\nabout: x\ndataset: set\nmax_frames: 99\n"


CLIP = "{clip_id: set/a/0, n_frames: 30, video_sha256: v, audio_sha256: a}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: set", "not a test list .name: String should match"),
        ("- 1", "not a test list"),
        (NEITHER, "0 clips and no rule, need one"),
        ("a: [", "not YAML"),
        ("name: {x: 1}", "not a test list"),
        (f"{NEITHER}clips: [{CLIP.replace('30', '0')}]", r"not a test list .clips\.0\.n_frames: Input should be greater"),
        (f"{NEITHER}clips: [{CLIP}, {CLIP}]", "1 clips stand in it more than once, first set/a/0"),
    ],
)
def test_a_file_that_is_no_list_is_named(tmp_path, text, message):
    (tmp_path / "list.yaml").write_text(text)
    with pytest.raises(SpaceError, match=rf"list\.yaml: {message}"):
        read_list(tmp_path / "list.yaml")


def test_the_order_of_a_lists_clips_is_no_matter():
    frozen = freeze("set/v1", "", listed())
    turned = frozen.model_copy(update={"clips": frozen.clips[::-1]})
    assert resolve(turned, CLIPS, {}) == resolve(frozen, CLIPS, {}), "the same clips have the same label"


def test_unknown_lists_are_named():
    with pytest.raises(SpaceError, match="need one of default/v1, hdtf/v1, mead/v1, ravdess/v1, vox2/v1"):
        find_list("default/v2")
    with pytest.raises(SpaceError, match="no such file, need a test list"):
        find_list("nowhere.yaml")


def test_shipped_lists_are_sound():
    lists = shipped_lists()
    assert set(lists) == {"default/v1", "ravdess/v1", "mead/v1", "hdtf/v1", "vox2/v1"}
    frozen = lists["default/v1"]
    assert len({one.clip_id for one in frozen.clips}) == len(frozen.clips)
    assert all(len(one.video_sha256) == len(one.audio_sha256) == 64 for one in frozen.clips)
    assert all(25 <= one.n_frames <= frozen.max_frames for one in frozen.clips)


def test_auto_takes_the_frozen_list_that_is_here_else_none(tmp_path):
    settings = Synthesize(test_list="auto", max_clips=3, max_frames=30, seed=1)
    layout = Layout.in_folder(tmp_path)
    frozen = shipped_lists()["default/v1"]
    there = [
        replace(clip(one.clip_id.split("/")[2], i, n_frames=one.n_frames), clip_id=one.clip_id, source_clip_id=one.clip_id,
                video_sha256=one.video_sha256, audio_sha256=one.audio_sha256)
        for i, one in enumerate(frozen.clips)
    ]  # fmt: skip
    write_sharded(layout.aligned_clips, [*there, *CLIPS], AlignedClip, 1)
    found = clips_to_score("auto", settings, layout)
    assert [c.clip.clip_id for c in found.chosen] == [one.clip_id for one in frozen.clips]
    assert found.label == Resolved("default/v1", found.chosen).label
    write_sharded(layout.aligned_clips, [*there[1:], *CLIPS], AlignedClip, 1)
    write_sharded(layout.measures, [], Measure, 1)
    chosen = clips_to_score("auto", settings, layout)
    assert chosen.name == "unlisted" and len(chosen.chosen) == 3
