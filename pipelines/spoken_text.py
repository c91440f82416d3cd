"""Text as speech, for quick trials: espeak-ng says it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from space_data.errors import SpaceError

DEFAULT_VOICE = "en-us"


def say(text: str, voice: str, path: Path) -> None:
    """Write ``text`` to ``path`` (16 kHz WAV), said by an espeak-ng voice: a language code, with a variant if wanted (en-us+f3).

    Raises:
        SpaceError: no such voice, or nothing in the text that it can say.
    """
    from space_data.media.encode import write_wav  # not for the sake of a --help
    from space_data.synthetic.espeak import Voice, speak

    language, _, variant = voice.partition("+")
    write_wav(path, speak(text, Voice(language, variant)).audio)


@contextmanager
def speech_of(audio: Path | None, text: str | None, voice: str) -> Iterator[Path]:
    """The file to hear: ``audio``, or one that says ``text`` and is gone after the block.

    Raises:
        SpaceError: neither is given, or both are; see ``say``.
    """
    if (audio is None) == (text is None):
        raise SpaceError(f"speech: {'neither --audio nor' if audio is None else 'both --audio and'} --text is given, need one")
    if audio is not None:
        yield audio
        return
    with tempfile.TemporaryDirectory(prefix="space-text-") as folder:
        path = Path(folder) / "speech.wav"
        say(str(text), voice, path)
        yield path
