"""Emotions: mixtures parse, mistakes are named."""

import pytest

from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, emotion_known
from space_models.controls.emotion import parse_emotion


def test_emotions_parse_with_and_without_intensity() -> None:
    vector = parse_emotion("happy:0.6 + surprised:0.3")
    assert vector[EMOTIONS.index("happy")] == pytest.approx(0.6)
    assert vector[EMOTIONS.index("surprised")] == pytest.approx(0.3)
    assert parse_emotion("Sad")[EMOTIONS.index("sad")] == 1.0
    assert not emotion_known(parse_emotion("Unknown")) and emotion_known(parse_emotion("neutral"))


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
        parse_emotion(text)
