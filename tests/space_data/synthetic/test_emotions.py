"""What an emotion adds to the face."""

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.schema import EMOTIONS
from space_data.synthetic.emotions import FACE, VOICE, add_emotion
from space_data.synthetic.head import CONTROL_RANGES

OPEN = np.zeros(5)


def test_every_emotion_has_a_face_a_voice_and_known_controls_in_range() -> None:
    assert set(FACE) == set(VOICE) == set(EMOTIONS)
    for offsets in FACE.values():
        for name, value in offsets.items():
            low, high = CONTROL_RANGES[name]
            assert low <= value <= high


def test_neutral_and_intensity_zero_change_nothing() -> None:
    speech = {"jaw": np.linspace(0, 1, 5)}
    for emotion, intensity in (("neutral", 1.0), ("happy", 0.0)):
        result = add_emotion(speech, emotion, intensity, OPEN)
        assert np.array_equal(result["jaw"], speech["jaw"])
        assert not any(np.any(track) for name, track in result.items() if name != "jaw")


def test_effect_grows_in_proportion_to_intensity() -> None:
    half, full = (add_emotion({}, "happy", intensity, OPEN)["smile_left"][0] for intensity in (0.5, 1.0))
    assert full == pytest.approx(FACE["happy"]["smile_left"]) and half == pytest.approx(full / 2)


def test_closed_lips_stay_closed() -> None:
    shut = add_emotion({"jaw": np.zeros(5)}, "surprised", 1.0, np.ones(5))
    assert not shut["jaw"].any()
    assert add_emotion({"jaw": np.zeros(5)}, "surprised", 1.0, OPEN)["jaw"].min() > 0.1


def test_smile_gives_way_to_rounded_lips() -> None:
    rounded = add_emotion({"pucker": np.ones(5)}, "happy", 1.0, OPEN)["smile_left"][0]
    assert rounded < 0.6 * add_emotion({}, "happy", 1.0, OPEN)["smile_left"][0]


def test_contempt_is_one_sided() -> None:
    face = add_emotion({}, "contempt", 1.0, OPEN)
    assert face["smile_left"][0] > 0.5 and "smile_right" not in face


def test_the_speech_controls_are_not_changed_in_place() -> None:
    speech = {"jaw": np.zeros(5)}
    add_emotion(speech, "surprised", 1.0, OPEN)
    assert not speech["jaw"].any()


@pytest.mark.parametrize(("emotion", "intensity", "message"), [("joyful", 0.5, "unknown"), ("happy", 1.5, "need 0 to 1")])
def test_bad_input_is_named(emotion: str, intensity: float, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        add_emotion({}, emotion, intensity, OPEN)
