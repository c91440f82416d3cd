"""Segments of made-up tracks: what each score is made of, and that every clip and every second stays accounted for."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from made_up_measures import CLIP
from tiny_clips import folder_params

from pipelines.layout import Layout
from pipelines.stages import filter, segment
from pipelines.stages.segment import measures_of, missing_share
from space_data.errors import SpaceError
from space_data.landmarks import MESH_TO_78, PoseTrack, posed, template_mesh
from space_data.schema import Clip, ClipMeasure, FrameRow, LedgerRow, Measure, SoundRow
from space_data.tables import columns_to_arrow, merge_shards, read_table, write_table

SETTINGS = folder_params(Path()).segment
FACTS = ClipMeasure(
    clip_id=CLIP.clip_id, screened="", decoded_frames=200, decode_error="", video_packets=200, damaged_video_packets=0,
    sound_packets=400, damaged_sound_packets=0, interlaced_frames=0, picture_sizes=1, sound_gaps_s=0.0, bad_sample_share=0.0,
    sound_scale=1.0, sound_channel=None, width_px=256, height_px=256, video_s=8.0, audio_s=8.0, border_share=0.0,
)  # fmt: skip


def frames(n: int = 200, clip_id: str = CLIP.clip_id, **changed: np.ndarray) -> pa.Table:
    """A face of the template's shape that does not move, 100 px between the outer eye corners, counted once a second."""
    points = np.concatenate([template_mesh(), template_mesh()[:10]])[MESH_TO_78]
    pose = np.tile(np.array([5, 0, 0, 100, 128, 128, 0], np.float32), (n, 1))
    landmarks = posed(np.broadcast_to(points, (n, 78, 3)), PoseTrack.from_array(pose))
    counting = np.arange(n) % 25 == 0
    columns = {
        "clip_id": clip_id, "frame": np.arange(n), "pts_s": np.arange(n) / 25, "shot": np.zeros(n, int),
        "damaged": np.zeros(n, bool),
        "width_px": np.full(n, 256), "height_px": np.full(n, 256),
        "found": np.ones(n, bool), "landmarks_px": landmarks.reshape(n, -1), "pose": pose,
        "box": np.tile(np.array([60, 60, 190, 200], np.float32), (n, 1)), "faces": np.where(counting, 1, -1),
        "second_face": np.where(counting, 0.0, np.nan), "detector_score": np.where(counting, 0.9, np.nan),
        "photo_score": np.full(n, np.nan), "reblur_ratio": np.full(n, 0.15), "reblur_coarse": np.full(n, 0.1),
        "luma_mean": np.full(n, 120.0), "luma_sd": np.full(n, 40.0), "frame_difference": np.ones(n),
    }  # fmt: skip
    return columns_to_arrow(columns | changed, FrameRow)


def sound(seconds: float = 8.0, clip_id: str = CLIP.clip_id, silent_s: tuple[float, float] = (0, 0)) -> pa.Table:
    """Speech at -20 dB, silence at -60."""
    n = round(seconds * 100)
    speech = np.ones(n, bool)
    speech[round(silent_s[0] * 100) : round(silent_s[1] * 100)] = False
    columns = {"clip_id": clip_id, "feature": np.arange(n), "log_mel": np.zeros((n, 40)), "speech": speech,
               "loudness_db": np.where(speech, -20.0, -60.0), "clipped_share": np.where(np.arange(n) < 100, 0.5, 0)}  # fmt: skip
    return columns_to_arrow(columns, SoundRow)


def test_a_clip_without_cuts_is_one_segment_with_the_clip_s_id() -> None:
    (row,) = measures_of(CLIP, FACTS, frames(), sound(silent_s=(3, 4)), SETTINGS)
    assert (row.clip_id, row.first_frame, row.end_frame, row.length_s) == (CLIP.clip_id, 0, 200, 8.0)
    assert (row.lost_share, row.unseen_share, row.several_faces_share, row.track_jump) == (0, 0, 0, 0)
    assert row.face_width_px == pytest.approx(130) and row.yaw_median_deg == pytest.approx(5)
    assert row.speech_share == pytest.approx(0.875) and row.silence_s == pytest.approx(1)
    assert row.speech_over_noise_db == pytest.approx(40, abs=0.1)
    assert row.clipped_share == pytest.approx(0.5 / 8) and row.detector_score == pytest.approx(0.9)
    assert row.lip_motion == pytest.approx(0, abs=1e-6) and row.landmark_jitter == pytest.approx(0, abs=1e-6)
    assert row.duplicate_share == 0 and row.frozen_s == 0 and row.photo_score is None


def test_damage_costs_its_own_length() -> None:
    """From the damaged picture to the next key picture; not by the file's count of packets, 1 of 200."""
    damaged = (np.arange(200) >= 60) & (np.arange(200) < 90)
    rows = measures_of(CLIP, replace(FACTS, damaged_video_packets=1), frames(damaged=damaged), sound(), SETTINGS)
    assert [(row.first_frame, row.end_frame, row.damaged_share) for row in rows] == [(0, 60, 0), (60, 90, 1), (90, 200, 0)]


def test_scores_are_those_of_the_segment_alone() -> None:
    shot = np.repeat([0, 1], [100, 100])
    second = np.where(np.arange(200) % 25 == 0, np.where(np.arange(200) < 100, 0.0, 0.7), np.nan)
    still = np.where(np.arange(200) > 150, 0.0, 1.0)
    one, two = measures_of(CLIP, FACTS, frames(shot=shot, second_face=second, frame_difference=still), sound(), SETTINGS)
    assert [one.clip_id, two.clip_id] == ["set/c#0", "set/c#1"] and (two.start_s, two.end_s) == (4, 8)
    assert (one.several_faces_share, two.several_faces_share) == (0, 1)
    assert (one.duplicate_share, two.duplicate_share) == (0, pytest.approx(49 / 99))
    assert two.frozen_s == pytest.approx(49 / 25) and one.clipped_share > 0 == two.clipped_share


def test_a_face_that_leaves_and_one_that_jumps() -> None:
    boxes = np.tile(np.array([60, 60, 190, 200], np.float32), (200, 1))
    boxes[80:110] = np.nan
    boxes[150:] += 90
    rows = measures_of(CLIP, FACTS, frames(box=boxes, found=np.isfinite(boxes[:, 0])), sound(), SETTINGS)
    assert [(row.first_frame, row.end_frame) for row in rows] == [(0, 80), (80, 110), (110, 150), (150, 200)]
    assert [row.lost_share for row in rows] == [0, 1, 0, 0]
    assert rows[1].face_width_px is None and rows[1].track_jump is None
    assert sum(row.length_s for row in rows) == pytest.approx(8)


def test_a_screened_clip_is_one_segment_that_says_what_is_known() -> None:
    facts = replace(FACTS, screened="no_face", decoded_frames=0)
    (row,) = measures_of(CLIP, facts, None, sound(), SETTINGS)
    assert (row.screened, row.unseen_share, row.lost_share, row.length_s) == ("no_face", 1.0, None, 8.0)
    assert row.speech_share == 1.0 and row.face_width_px is None
    (mute,) = measures_of(replace(CLIP, audio_codec=""), replace(facts, screened="no_audio"), None, None, SETTINGS)
    assert (mute.has_audio, mute.unseen_share, mute.speech_s) == (False, None, 0.0)


def test_each_part_of_a_picture_that_changes_its_size_is_judged_in_its_own() -> None:
    part = np.repeat([0, 1], 100)
    size = np.where(part == 0, 256, 180)
    one, two = measures_of(CLIP, FACTS, frames(shot=part, width_px=size, height_px=size), sound(), SETTINGS)
    assert [(row.width_px, row.height_px, row.outside_share) for row in (one, two)] == [(256, 256, 0.0), (180, 180, 1.0)]


@pytest.mark.parametrize(
    ("clip", "facts", "share"),
    [
        ({}, {}, 0.0),
        ({"header_frames": 300}, {}, 0.0),  # an edit list hides a third of what the header counts
        ({"promised_video_s": 8.05, "duration_s": 8.05}, {}, 0.0),  # sound is padded to whole packets
        ({"promised_video_s": 10.0}, {}, 0.19),
        ({"packets_end_s": 10.0}, {}, 0.19),  # they are there and give no picture
        ({"promised_video_s": 0.0, "duration_s": 10.0}, {}, 0.19),
        ({"promised_video_s": 0.0, "duration_s": 10.0}, {"audio_s": 10.0}, 0.0),  # the file is as long as its sound
        ({"promised_video_s": 0.0, "duration_s": 10.0, "audio_path": "a.m4a"}, {"audio_s": 10.0}, 0.19),
    ],
)
def test_what_is_missing_is_judged_by_time(clip: dict[str, Any], facts: dict[str, Any], share: float) -> None:
    assert missing_share(replace(CLIP, **clip), replace(FACTS, **facts)) == pytest.approx(share)


def layout_of(tmp_path: Path, clip_ids: list[str]) -> Layout:
    """The tables that ``measure`` would leave for those clips, in one shard."""
    layout = Layout.in_folder(tmp_path)
    write_table(layout.clips, [replace(CLIP, clip_id=clip_id) for clip_id in clip_ids], Clip)
    write_table(layout.clip_measures, [replace(FACTS, clip_id=i) for i in clip_ids], ClipMeasure)
    merge_shards(layout.frames, {i: partial(frames, clip_id=i) for i in clip_ids}, FrameRow, 1)
    merge_shards(layout.sound, {i: partial(sound, clip_id=i) for i in clip_ids[:1]}, SoundRow, 1)
    return layout


def test_the_stage_gives_every_clip_a_segment(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, ["set/a", "set/b"])
    segment.run(folder_params(tmp_path), layout)
    rows = read_table(layout.measures, Measure)
    assert [(row.clip_id, row.speech_share) for row in rows] == [("set/a", 1.0), ("set/b", 0.0)]
    assert {row.status for row in read_table(layout.ledger("segment"), LedgerRow)} == {"kept"}


def test_two_segments_with_one_id_are_an_error(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, ["set/a", "set/a#0"])
    cut_in_two = partial(frames, clip_id="set/a", shot=np.repeat([0, 1], 100))
    merge_shards(layout.frames, {"set/a": cut_in_two, "set/a#0": partial(frames, clip_id="set/a#0")}, FrameRow, 1)
    segment.run(folder_params(tmp_path), layout)
    with pytest.raises(SpaceError, match="'set/a#0' occurs twice"):  # they may lie in two shards, which no worker sees together
        filter.run(folder_params(tmp_path), layout)
