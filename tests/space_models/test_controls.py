"""Controls: parsing, and edits whose effect on the landmarks is known."""

import numpy as np
import pytest

from space_data import landmarks as lm
from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, emotion_known
from space_models import controls


@pytest.fixture
def face() -> np.ndarray:
    """The template's landmarks with pupils in the middle of the eyes, (78, 3)."""
    points = np.vstack([lm.template_mesh(), np.zeros((10, 3))])[lm.MESH_TO_78].astype(np.float32)
    points[lm.IRIS_LEFT] = points[[36, 39]].mean(0)
    points[lm.IRIS_RIGHT] = points[[42, 45]].mean(0)
    return points


def test_emotions_parse_with_and_without_intensity() -> None:
    vector = controls.parse_emotion("happy:0.6 + surprised:0.3")
    assert vector[EMOTIONS.index("happy")] == pytest.approx(0.6)
    assert vector[EMOTIONS.index("surprised")] == pytest.approx(0.3)
    assert controls.parse_emotion("Sad")[EMOTIONS.index("sad")] == 1.0
    assert not emotion_known(controls.parse_emotion("Unknown")) and emotion_known(controls.parse_emotion("neutral"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("joyful:0.5", "not a label, need one of neutral, calm, happy"),
        ("unknown:0.5", r"not a label.*\(or unknown, by itself\)"),
        ("happy:0.5+unknown", "or unknown, by itself"),
        ("happy:1.5", "intensity 1.5, need 0 to 1"),
        ("happy:-0.1", "need 0 to 1"),
        ("happy:much", "is not a number"),
        ("happy:", "is not a number"),
        ("", "not a label, need one of"),
        ("happy:0.2+happy:0.3", "stands twice"),
        ("happy:nan", "need 0 to 1"),
    ],
)
def test_bad_emotions_are_named(text: str, words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        controls.parse_emotion(text)


def test_blinks_come_at_the_asked_rate_and_repeat_with_the_seed() -> None:
    n = 25 * 600
    first = controls.blink_track(n, np.random.default_rng(1), 15)
    assert (first == controls.blink_track(n, np.random.default_rng(1), 15)).all()
    blinks = int(((first[1:] > 0) & (first[:-1] == 0)).sum())
    assert 110 <= blinks <= 190  # 15 a minute for ten minutes
    assert first[:12].max() == 0
    assert controls.blink_track(100, np.random.default_rng(0), 0).max() == 0


def test_a_full_blink_shuts_the_eyes_and_leaves_the_rest(face: np.ndarray) -> None:
    track = np.repeat(face[None], 3, 0)
    shut = controls.with_blinks(track, np.array([0.0, 0.5, 1.0], np.float32))
    opening = lm.eye_aspect_ratio(shut).mean(1)
    assert opening[0] == pytest.approx(lm.eye_aspect_ratio(track).mean(1)[0])
    assert opening[1] == pytest.approx(opening[0] / 2, rel=0.05)
    assert opening[2] < 1e-5
    untouched = np.setdiff1d(np.arange(78), [37, 38, 40, 41, 43, 44, 46, 47])
    assert (shut[:, untouched] == track[:, untouched]).all()


def test_gaze_moves_the_measured_gaze_by_what_was_asked(face: np.ndarray) -> None:
    track = np.repeat(face[None], 2, 0)
    moved = lm.gaze(controls.with_gaze(track, np.array([[0, 0], [0.1, -0.05]], np.float32)))
    assert moved[1] - moved[0] == pytest.approx([0.1, -0.05], abs=1e-5)


def test_gaze_begins_and_mostly_stays_at_the_camera() -> None:
    gaze = controls.gaze_track(25 * 300, np.random.default_rng(2), 0.6)
    assert (gaze[:10] == 0).all()
    assert 0.45 < (gaze == 0).all(1).mean() < 0.8
