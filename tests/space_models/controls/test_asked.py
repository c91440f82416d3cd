"""What is asked for, in flags and timelines, becomes columns of tracks."""

from pathlib import Path

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.params import load_params
from space_data.schema import EMOTIONS
from space_models.controls.asked import Controls, DrivingVideos
from space_models.controls.blinks import blink_times, blinks_at
from space_models.controls.emotion import parse_emotion
from space_models.controls.gaze import AVERTED_FROM_DEG, gaze_track, to_camera_deg
from space_models.controls.head import read_pose_file
from space_models.controls.timeline import read_timeline
from space_models.portrait import Portrait

TASTE = load_params(Path(__file__).resolve().parents[3] / "params.yaml").animate
N_FRAMES = 100


def columns(controls: Controls, portrait: Portrait, complete: bool = False, seed: int = 1) -> dict[str, np.ndarray]:
    return controls.columns(portrait, N_FRAMES, seed, TASTE, DrivingVideos(), complete)


def timeline_of(folder: Path, text: str) -> Controls:
    (folder / "t.yaml").write_text(text)
    return Controls(timeline=read_timeline(folder / "t.yaml"))


def test_what_is_not_named_is_not_touched(astronaut_portrait: Portrait) -> None:
    assert columns(Controls(), astronaut_portrait) == {}
    assert columns(Controls(pose="still"), astronaut_portrait) == {}
    assert set(columns(Controls(blinks="off"), astronaut_portrait)) == {"lids"}
    assert set(columns(Controls(), astronaut_portrait, complete=True)) == {"lids", "gaze_deg"}


def test_blinks_come_at_the_asked_rate_and_repeat_with_the_seed() -> None:
    n_frames = 25 * 600
    first = blink_times(np.random.default_rng(1), n_frames, 15)
    assert first == blink_times(np.random.default_rng(1), n_frames, 15)
    assert 110 <= len(first) <= 190  # 15 a minute for ten minutes
    assert min(np.diff(first)) >= 0.6 and min(first) > 1
    assert blink_times(np.random.default_rng(0), n_frames, 0) == []


@pytest.mark.parametrize("duration_s", [0.16, 0.28, 1.0])
def test_eyes_are_shut_at_the_asked_times_for_as_long_as_asked(duration_s: float, astronaut_portrait: Portrait) -> None:
    lids = columns(Controls(blinks="1,3.52", blink_s=duration_s), astronaut_portrait)["lids"]
    assert lids[25] == lids[88] == 1.0 and lids[60] == 0
    assert (lids[:60] > 0).sum() / 25 == pytest.approx(duration_s, abs=0.05)
    assert columns(Controls(blinks="off"), astronaut_portrait, complete=True)["lids"].max() == 0


def test_blinks_at_the_ends_are_cut_and_those_that_meet_do_not_add() -> None:
    assert blinks_at([0.0, 0.04], 10).max() == 1.0
    assert blinks_at([50.0], 10).max() == 0 and len(blinks_at([0.36], 10)) == 10


def test_the_blinks_of_an_hour_are_all_there() -> None:
    hour = 25 * 3600
    times_s = blink_times(np.random.default_rng(0), hour, 15)
    lids, one = blinks_at(times_s, hour), blinks_at(times_s[-1:], hour)
    assert len(times_s) > 700 and (lids >= one).all() and lids[round(times_s[-1] * 25)] == 1
    assert (lids > 0).sum() <= 7 * len(times_s)


def test_gaze_begins_and_mostly_stays_at_the_camera() -> None:
    gaze = gaze_track(25 * 300, np.random.default_rng(2), 0.6)
    assert (gaze[:10] == 0).all()
    assert 0.45 < (gaze == 0).all(1).mean() < 0.8


def test_gaze_is_against_the_camera_also_of_a_photo_that_looks_away(astronaut_portrait: Portrait) -> None:
    own = to_camera_deg(astronaut_portrait)
    assert own[1] == 0 and (own[0] == 0 or abs(own[0]) > AVERTED_FROM_DEG)
    away = astronaut_portrait.normalised.copy()
    away[68:, 0] += 0.1 * np.linalg.norm(away[39, :2] - away[36, :2])  # to the image right: yaw -19 degrees
    averted = Portrait(**{**vars(astronaut_portrait), "normalised": away})
    moved = to_camera_deg(averted)[0] - (to_camera_deg(astronaut_portrait)[0] if own[0] else 0)
    assert moved == pytest.approx(19, abs=AVERTED_FROM_DEG)
    asked = columns(Controls(gaze="10,-5"), averted)["gaze_deg"]
    assert asked[0] == pytest.approx(to_camera_deg(averted) + [10, -5]) and np.ptp(asked, axis=0).max() == 0
    assert columns(Controls(gaze="photo"), averted)["gaze_deg"].max() == 0


def test_a_timeline_runs_straight_between_its_points_and_is_held_beyond(tmp_path: Path, astronaut_portrait: Portrait) -> None:
    asked = timeline_of(
        tmp_path,
        "emotion: [{time_s: 1, happy: 0}, {time_s: 3, happy: 1, sad: 0.5}]\nmouth: [{time_s: 0, gain: 2}]\n"
        "lids: [{time_s: 0, closed: 0.5}]\nblinks: [{time_s: 2}]\nface: [{time_s: 0}, {time_s: 2, brow_up: 0.04}]\n"
        "pose: [{time_s: 0, yaw_deg: 4}, {time_s: 4, scale: 1.1}]",
    )
    found = columns(asked, astronaut_portrait)
    happy = found["emotion"][:, EMOTIONS.index("happy")]
    assert happy[[0, 25, 50, 75, 99]] == pytest.approx([0, 0, 0.5, 1, 1])
    assert found["emotion"][50, EMOTIONS.index("sad")] == pytest.approx(0.25)
    assert found["mouth_gain"] == pytest.approx(2) and found["brow_up"][25] == pytest.approx(0.02)
    assert found["lids"].min() == 0.5 and found["lids"][50] == 1.0
    assert asked.added_pose(101)[[0, 100]][:, [0, 5]] == pytest.approx(np.array([[4, 0], [0, np.log(1.1)]]), abs=1e-6)


def test_an_emotion_changes_as_a_whole_or_by_frame(astronaut_portrait: Portrait) -> None:
    one = columns(Controls(emotion=parse_emotion("sad:0.3")), astronaut_portrait)["emotion"]
    assert one.shape == (N_FRAMES, 9) and np.ptp(one, axis=0).max() == 0
    unknown = columns(Controls(emotion=parse_emotion("unknown")), astronaut_portrait)["emotion"]
    assert np.isnan(unknown).all()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"blinks": "often"}, "need 'off', a rate per minute"),
        ({"blinks": "90"}, "need 60 or fewer"),
        ({"blinks": "-1"}, "need 'off'"),
        ({"blinks": "1,nan"}, "need 'off'"),
        ({"blink_s": 5.0}, "blink duration 5: need 0.12 to 2"),
        ({"gaze": "left"}, "need YAW,PITCH in degrees, 'camera'"),
        ({"gaze": "60,0"}, "need -40 to 40"),
        ({"gaze": "nan,0"}, "need -40 to 40"),
        ({"mouth_gain": -1.0}, "mouth gain -1: need 0 to 3"),
        ({"mouth_gain": float("nan")}, "mouth gain nan"),
        ({"mouth_closure": 2.0}, "need 0 to 1"),
        ({"pose": "sideways"}, "pose 'sideways': no such file"),
        ({"pose_strength": 9.0}, "need 0 to 3"),
        ({"pose_offset_deg": (0.0, 90.0, 0.0)}, "need -45 to 45"),
    ],
)
def test_what_cannot_be_is_said_when_it_is_asked(asked: dict[str, object], words: str) -> None:
    with pytest.raises(SpaceError, match=words) as caught:
        Controls(**asked)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("emotion: [{time_s: 0, joyful: 1}]", "emotion.0.joyful: Extra inputs"),
        ("emotions: []", "emotions: Extra inputs"),
        ("emotion: []", "emotion has no points"),
        ("emotion: [{happy: 1}]", "emotion.0.time_s: Field required"),
        ("gaze: [{time_s: 1}, {time_s: 1}]", "times of gaze must increase"),
        ("gaze: [{time_s: .nan}]", "gaze.0.time_s"),
        ("mouth: [{time_s: 0, gain: .inf}]", "mouth.0.gain"),
        ("blinks: [{time_s: 1, duration_s: 9}]", "less than or equal to 2"),
        ("- 1", "the whole: Input should be a valid dictionary"),
        ("a: [", "not YAML"),
        ("", "the whole"),
    ],
)
def test_a_timeline_that_is_none_is_named_in_one_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=words) as caught:
        timeline_of(tmp_path, text)
    assert "\n" not in str(caught.value) and "t.yaml" in str(caught.value)


def test_flag_and_timeline_do_not_name_the_same(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"gaze": [{"time_s": 0}], "mouth": [{"time_s": 0}]}')
    line = read_timeline(tmp_path / "t.json")
    for asked in ({"gaze": "camera"}, {"mouth_gain": 0.0}):
        with pytest.raises(SpaceError, match="named by a flag and in the timeline"):
            Controls(timeline=line, **asked)  # type: ignore[arg-type]


def test_a_pose_file_is_read_at_the_frames_times(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("time_s,yaw_deg,pitch_deg,roll_deg,scale\n1,0,2,0,1\n2,10,2,0,1.1\n")
    read = read_pose_file(tmp_path / "p.csv", 80)
    assert read[[0, 25, 30, 50, 79], 0] == pytest.approx([0, 0, 2, 10, 10], abs=1e-5)
    assert read[:, 1] == pytest.approx(2) and read[50, 5] == pytest.approx(np.log(1.1))
