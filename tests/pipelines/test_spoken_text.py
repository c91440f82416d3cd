"""Text instead of a sound file."""

from pathlib import Path

import pytest

from pipelines.spoken_text import say, speech_of
from space_data.errors import SpaceError
from space_data.media.sound import decode_audio


def test_text_is_said_and_gone_after_the_block() -> None:
    with speech_of(None, "Good morning.", "en-us") as path:
        assert 0.4 < len(decode_audio(path)) / 16_000 < 2
    assert not path.parent.exists()


def test_voices_have_variants(tmp_path: Path) -> None:
    for voice in ("en-us", "en-us+f3", "de"):
        say("hello", voice, tmp_path / f"{voice}.wav")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 3


def test_one_of_sound_and_text_is_needed_and_the_voice_must_be_known() -> None:
    with speech_of(Path("a.wav"), None, "en-us") as path:
        assert path == Path("a.wav")
    for audio, text, voice, words in (
        (None, None, "en-us", "neither --audio nor --text"),
        (Path("a.wav"), "hello", "en-us", "both --audio and --text"),
        (None, "hello", "klingonese", "unknown voice"),
        (None, " ", "en-us", "says nothing"),
    ):
        with pytest.raises(SpaceError, match=words), speech_of(audio, text, voice):
            pass
