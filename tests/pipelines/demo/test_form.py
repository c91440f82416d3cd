"""From what stands in the page to a request: known answers, and what visitors get wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from demo_form import UNTOUCHED

from pipelines.animate_request import Request
from pipelines.demo.form import emotion_points, request_of, without_folders
from space_data.errors import SpaceError


def asked(folder: Path, **changes: Any) -> Request:
    return request_of({**UNTOUCHED, **changes}, folder)


def test_what_is_left_as_it_is_is_not_asked_for(tmp_path: Path) -> None:
    plain = Request(
        image=Path("/up/face.png"), audio=Path("/up/speech.wav"), out=tmp_path / "video.mp4", generator="warp", size=512
    )
    assert asked(tmp_path) == plain
    assert not plain.controls().named


def test_every_control_arrives(tmp_path: Path) -> None:
    (tmp_path / "head.csv").touch()
    request = asked(
        tmp_path, pose="file", driving=str(tmp_path / "head.csv"), pose_strength=0.5, pose_pitch=-5.0, blinks="1.2,3",
        blink_duration=0.4, gaze="direction", mouth_gain=1.5, mouth_closure=0.3, portrait_emotion="happy", seed=7, size=256,
        watermark=True, from_tracks="/up/a.parquet",
    )  # fmt: skip
    assert (request.pose, request.pose_strength, request.pose_offset) == (str(tmp_path / "head.csv"), 0.5, "0,-5,0")
    assert (request.blinks, request.blink_duration, request.gaze) == ("1.2,3", 0.4, "10,-5")
    assert (request.mouth_gain, request.mouth_closure, request.portrait_emotion) == (1.5, 0.3, "happy")
    assert (request.seed, request.size, request.watermark) == (7, 256, True)
    assert request.from_tracks == Path("/up/a.parquet")
    assert request.controls().pose_offset_deg == (0, -5, 0)
    whole = asked(tmp_path, paste_back=True)
    assert whole.paste_back and whole.size is None, "it has the photo's size"


def test_one_time_is_an_emotion_throughout_and_several_are_a_timeline(tmp_path: Path) -> None:
    still = asked(tmp_path, emotion=[[0, "happy", 0.5], ["", " Surprised ", "0.25"], [None, None, None]])
    assert still.emotion == "happy:0.5+surprised:0.25" and still.timeline is None
    moving = asked(tmp_path, emotion=[[4, "sad", 1], [0, "happy", ""]], timeline="blinks: [{time_s: 1}]")
    assert moving.emotion is None and moving.timeline is not None
    assert yaml.safe_load(moving.timeline.read_text()) == {
        "blinks": [{"time_s": 1}], "emotion": [{"time_s": 0, "happy": 1}, {"time_s": 4, "sad": 1}]
    }  # fmt: skip
    line = moving.controls().timeline
    assert line is not None and line.named == {"blinks", "emotion"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": None}, "no portrait yet"),
        ({"audio": None}, "no speech yet"),
        ({"pose": "file"}, "pose of a file: no driving file yet"),
        ({"blinks": "file"}, "blinks of a file: no driving file yet"),
        ({"emotion": [[0, "hapy", 1]]}, "emotion row 1: 'hapy' is no emotion"),
        ({"emotion": [[0, "happy", 1], [0, "sad", 2]]}, "emotion row 2: intensity '2', need 0 to 1"),
        ({"emotion": [["soon", "happy", 1]]}, "time 'soon', need 0 or more"),
        ({"emotion": [["nan", "happy", 1]]}, "time 'nan', need 0 or more"),
        ({"emotion": [[-1, "happy", 1]]}, "time '-1', need 0 or more"),
        ({"emotion": [[0, "happy", 1], [0, "happy", 1]]}, "happy stands twice at 0 s"),
        ({"timeline": "blinks: ["}, "timeline: not YAML"),
        ({"timeline": "hello"}, "timeline: 'hello', need lists by control"),
        ({"timeline": "emotion: [{time_s: 0, sad: 1}]", "emotion": [[0, "happy", 1]]}, "in the table and in the timeline"),
        ({"seed": -1}, "seed: "),
    ],
)
def test_what_cannot_be_meant_is_one_line(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=words) as caught:
        asked(tmp_path, **changes)
    assert "\n" not in str(caught.value)


def test_empty_rows_are_nothing_and_not_a_number_of_a_table_is_empty() -> None:
    assert emotion_points([[float("nan"), None, float("nan")], [3, "", ""]]) == {}


def test_messages_for_visitors_have_no_folders() -> None:
    said = "/tmp/x-1/ab0/my face.png: no face (see /tmp/x-1/visit-a_b/12/timeline.yaml, and/or /etc/passwd)"
    assert without_folders(said, Path("/tmp/x-1")) == "my face.png: no face (see timeline.yaml, and/or /etc/passwd)"
