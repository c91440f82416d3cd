"""Speech synthesis: phoneme times, determinism, and errors."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from space_data.synthetic.espeak import EspeakError, Utterance, Voice, bare_symbol, speak
from space_data.synthetic.sentences import LANGUAGES, SENTENCES, WORDS, random_words
from space_data.timebase import samples_to_seconds, seconds_to_samples

BREATHY = Voice("en-us", "f3")  # its breath noise is what espeak-ng seeds by the clock
TEXT = "Mama buys five books."


def _speak_after_something_else(voice: Voice) -> Utterance:
    speak("Something quite different.", Voice("de", "m2"))
    return speak(TEXT, voice)


def test_phonemes_come_in_order_without_gaps_and_cover_the_sound() -> None:
    said = speak(TEXT, Voice("en-us"))
    symbols = [p.symbol for p in said.phonemes if p.symbol]
    assert symbols[:4] == ["m", "A", "m", "a#"]
    assert [s for s in symbols if s in "fvb"] == ["b", "f", "v", "b"]
    starts = np.array([p.start_s for p in said.phonemes])
    ends = np.array([p.end_s for p in said.phonemes])
    assert starts[0] == 0 and (starts[1:] == ends[:-1]).all() and (ends >= starts).all()
    assert ends[-1] == pytest.approx(samples_to_seconds(len(said.audio)), abs=1e-3)


def test_phoneme_times_agree_with_the_sound() -> None:
    said = speak("Pack a sack.", Voice("en-us"))

    def crossings(symbol: str) -> float:
        phoneme = next(p for p in said.phonemes if p.symbol == symbol)
        begin, end = (seconds_to_samples(t) for t in (phoneme.start_s, phoneme.end_s))
        return float((np.diff(np.sign(said.audio[begin:end])) != 0).mean())

    assert crossings("s") > 3 * crossings("a")  # a hiss changes sign far more often than a vowel


def test_audio_is_float_at_16_khz_within_full_scale() -> None:
    audio = speak(TEXT, Voice("en-us")).audio
    assert audio.dtype == np.float32 and 0.05 < np.abs(audio).max() <= 1.0
    assert 0.8 < samples_to_seconds(len(audio)) < 3.0


def test_an_utterance_does_not_depend_on_what_was_said_before() -> None:
    first = speak(TEXT, BREATHY)
    again = _speak_after_something_else(BREATHY)
    assert np.array_equal(first.audio, again.audio) and first.phonemes == again.phonemes


def test_processes_agree() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        other = pool.submit(speak, TEXT, BREATHY).result()
    assert np.array_equal(speak(TEXT, BREATHY).audio, other.audio)


def test_rate_and_variant_change_the_sound() -> None:
    slow, fast = (speak(TEXT, Voice("en-us", rate_wpm=rate)) for rate in (120, 220))
    assert len(slow.audio) > 1.3 * len(fast.audio)
    assert not np.array_equal(speak(TEXT, Voice("en-us", "m1")).audio[:8000], speak(TEXT, Voice("en-us", "f2")).audio[:8000])


@pytest.mark.parametrize("language", sorted({*LANGUAGES, *SENTENCES}))
def test_every_language_of_the_corpus_is_spoken(language: str) -> None:
    said = speak(WORDS[language][0] if language in WORDS else SENTENCES[language][0], Voice(language))
    assert sum(bool(p.symbol) and not p.symbol.startswith("(") for p in said.phonemes) >= 2


def test_random_words_are_of_the_language_and_as_many_as_asked() -> None:
    text = random_words(np.random.default_rng(0), "de", 7)
    words = text.rstrip(".").replace(",", "").split()
    assert len(words) == 7 and set(words) <= set(WORDS["de"])


@pytest.mark.parametrize(("mnemonic", "bare"), [("'aI", "aI"), ("_:", ""), ("s;", "s"), ("a#", "a#")])
def test_marks_are_stripped(mnemonic: str, bare: str) -> None:
    assert bare_symbol(mnemonic) == bare


def test_unknown_voice_and_empty_text_are_errors_that_say_so() -> None:
    with pytest.raises(EspeakError, match="unknown voice 'xx'"):
        speak(TEXT, Voice("xx"))
    with pytest.raises(EspeakError, match="says nothing"):
        speak("", Voice("en-us"))
