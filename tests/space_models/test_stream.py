"""Blocks of clips: nothing lost, nothing twice, the same at any step and for any number of ranks, and little in memory."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from made_up_clips import write_clips
from made_up_talk import config, task_settings
from read_tables import read_all

from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.schema import FeatureClip, emotion_vector
from space_data.tables import read_table, write_table
from space_models import stream as streams
from space_models.dataset import TrackClip
from space_models.s2l.model import S2L
from space_models.s2l.task import S2LTask
from space_models.stream import BlockPlan, ClipStream, InMemory, as_read

PLAN = BlockPlan(groups=8, draws=16, micro_batches=4, seed=5)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.in_folder(tmp_path)


def opened(layout: Layout, plan: BlockPlan = PLAN) -> ClipStream:
    return ClipStream(layout.feature_split("train"), layout.feature_clips, plan, as_read)


def ids(stream: ClipStream, draw: int, kind: str = "video") -> list[str]:
    return [clip.clip_id for clip in stream.block(kind, draw).clips]


def test_a_small_set_is_one_block_and_equals_the_set_in_memory(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clips(layout, monkeypatch, 7, 5)
    stream = opened(layout, dataclasses.replace(PLAN, groups=100))
    everything = read_all(layout.feature_frames, layout.feature_clips)
    memory = InMemory(everything.clips)
    assert stream.is_whole and stream.kinds == memory.kinds == ("video", "speech_only")
    for kind in stream.kinds:
        for draw in (0, 3, 1000):
            ours, theirs = stream.block(kind, draw), memory.block(kind, draw)
            assert ours.clips and [c.clip_id for c in ours.clips] == [c.clip_id for c in theirs.clips]
            for a, b in zip(ours.clips, theirs.clips, strict=True):
                for name in ("normalised", "pose", "log_mel", "interpolated", "speaking"):
                    assert np.array_equal(getattr(a, name), getattr(b, name)), name
            assert list(ours.of_subject) == list(theirs.of_subject)
    assert len(stream.sample()) == len(stream) == 12 and stream.n_frames == sum(len(c) for c in everything.clips)


def test_one_kind_alone_is_read_and_made_into_what_is_learnt_from(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clips(layout, monkeypatch, 24, 24)
    made: list[str] = []

    def make(clips: Sequence[TrackClip]) -> list[TrackClip]:
        made.extend(clip.clip_id for clip in clips)
        return [clip for clip in clips if not clip.clip_id.endswith("3")]

    plan = dataclasses.replace(PLAN, groups=2, micro_batches=1)
    frames = layout.feature_split("train")
    stream = ClipStream(frames, layout.feature_clips, plan, make, ("video",))
    assert stream.kinds == ("video",) and len(stream) == len(stream.emotions) == 24 and not stream.is_whole
    seen = {clip.clip_id for draw in range(0, 16 * 40, 16) for clip in stream.block("video", draw).clips}
    assert {clip_id for clip_id in made if not clip_id.endswith("3")} == seen and all("/video/" in clip_id for clip_id in made)
    assert len(seen) > 12 and not any(clip_id.endswith("3") for clip_id in seen)
    whole = ClipStream(frames, layout.feature_clips, dataclasses.replace(plan, groups=99), make, ("video",))
    assert whole.is_whole and len(whole.sample()) == 24 - 3


def test_s2l_draws_equal_batches_from_a_stream_of_one_block_and_from_memory(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clips(layout, monkeypatch, 7, 5)
    stream = opened(layout, dataclasses.replace(PLAN, groups=100))
    memory = InMemory(read_all(layout.feature_frames, layout.feature_clips).clips)
    ours, theirs = (S2LTask(S2L(config()), source, [], task_settings(6, 30)) for source in (stream, memory))
    for draw in (0, 7, 500):
        ours_now, theirs_now = (task.batch(np.random.default_rng(draw), draw) for task in (ours, theirs))
        assert ours_now.keys() == theirs_now.keys()
        assert all(np.array_equal(ours_now[name], theirs_now[name]) for name in ours_now)
        assert 0 < ours_now["mask"].mean() < 1, "every seventh frame is interpolated"


def test_an_epoch_has_every_clip_once_and_micro_batches_share_none(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = write_clips(layout, monkeypatch, 96)
    stream = opened(layout)
    n_groups = len(stream._pools["video"])
    blocks = n_groups // PLAN.groups
    assert not stream.is_whole and blocks >= 2
    for epoch in (0, 1):
        draws = (16 * block + v for block in range(epoch * blocks, (epoch + 1) * blocks) for v in range(4))
        seen = Counter(clip for draw in draws for clip in ids(stream, draw))
        left_over = n_groups - blocks * PLAN.groups
        assert set(seen.values()) == {1} and len(seen) >= len(rows) - 5 * left_over
    assert [ids(stream, v) for v in range(4)] != [ids(stream, 16 * blocks + v) for v in range(4)], "another order in each epoch"


def test_kinds_that_share_row_groups_are_whole_if_these_fit(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clips(layout, monkeypatch, 9, 9, shards=2)
    alone = dataclasses.replace(PLAN, groups=100, micro_batches=1)
    n_groups = len({(g.file.uri, g.number) for pool in opened(layout, alone)._pools.values() for g in pool})
    stream = opened(layout, dataclasses.replace(alone, groups=n_groups))
    assert stream.is_whole and len(ids(stream, 0)) == len(ids(stream, 999, "speech_only")) == 9
    assert not opened(layout, dataclasses.replace(alone, groups=n_groups - 1)).is_whole


def test_any_draw_is_found_without_what_came_before_and_for_any_number_of_ranks(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clips(layout, monkeypatch, 96)
    plan = dataclasses.replace(PLAN, micro_batches=8)
    whole = opened(layout, plan)
    wanted = {draw: ids(whole, draw) for draw in range(160)}
    for ranks in (2, 4, 8):
        streams_of_ranks = [opened(layout, plan) for _ in range(ranks)]
        assert all(ids(streams_of_ranks[draw % 8 % ranks], draw) == wanted[draw] for draw in wanted)
    assert ids(opened(layout, plan), 133) == wanted[133], "resumed"
    assert {draw: ids(opened(layout, dataclasses.replace(plan, seed=6)), draw) for draw in range(8)} != {
        draw: wanted[draw] for draw in range(8)
    }


def test_no_more_than_two_blocks_are_in_memory(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clips(layout, monkeypatch, 96, 96)
    stream, most = opened(layout), 0
    for draw in range(100):
        for kind in stream.kinds:
            held = stream.block(kind, draw)
            assert {clip.kind for clip in held.clips} == {kind}
        clips = [len(each.result().clips) for each in stream._read.values()]
        most = max(most, sum(clips))
    assert most <= 2 * PLAN.groups * 5  # of at least 30 frames, in groups of 150


def test_the_hash_knows_labels_and_does_not_read_a_large_set(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clips(layout, monkeypatch, 96)
    stream = opened(layout)
    monkeypatch.setattr(streams, "read_groups", None)
    before = stream.data_hash
    assert before == opened_quietly(layout, monkeypatch).data_hash
    rows = read_table(layout.feature_clips, FeatureClip)
    write_table(layout.feature_clips, [dataclasses.replace(rows[0], emotion=emotion_vector("sad", 0.5)), *rows[1:]], FeatureClip)
    assert opened_quietly(layout, monkeypatch).data_hash != before


def opened_quietly(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> ClipStream:
    monkeypatch.setattr(ClipStream, "_tell", lambda self: None)  # which reads the first blocks
    return opened(layout)


@pytest.mark.parametrize("column", ["emotion", "subject", "language"])
def test_a_small_set_has_a_hash_of_labels_not_of_shards(column: str, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    small = dataclasses.replace(PLAN, groups=100)
    hashes = []
    for shards in (1, 4):
        write_clips(layout, monkeypatch, 9, shards=shards)
        hashes.append(opened(layout, small).data_hash)
    assert hashes[0] == hashes[1]
    rows = read_table(layout.feature_clips, FeatureClip)
    other = {"emotion": emotion_vector("sad", 0.5), "subject": "somebody", "language": "fr"}
    write_table(layout.feature_clips, [dataclasses.replace(rows[0], **{column: other[column]}), *rows[1:]], FeatureClip)
    assert opened(layout, small).data_hash != hashes[0]


def test_tables_that_do_not_belong_together_are_refused(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = write_clips(layout, monkeypatch, 6)
    write_table(layout.feature_clips, [dataclasses.replace(rows[0], n_frames=31), *rows[1:]], FeatureClip)
    with pytest.raises(SpaceError, match=r"30 rows of clip set/video/0000 .* has 31 frames"):
        opened(layout)
    write_table(layout.feature_clips, rows[1:], FeatureClip)
    with pytest.raises(SpaceError, match="no such clip"):
        opened(layout)


def test_nothing_long_enough_is_an_error(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clips(layout, monkeypatch, 4)
    with pytest.raises(SpaceError, match="no clip of at least 25 frames"):
        ClipStream(layout.feature_split("train"), layout.feature_clips, PLAN, as_read, ("speech_only",))


def test_too_few_groups_for_the_micro_batches_are_refused(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clips(layout, monkeypatch, 40, 40)
    with pytest.raises(SpaceError, match="stream_groups = 7: 4 micro-batches of 2 kinds .* 8 or more"):
        opened(layout, dataclasses.replace(PLAN, groups=7))
