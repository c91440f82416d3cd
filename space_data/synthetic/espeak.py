"""Speech with known phoneme times from espeak-ng (through ctypes; library and data come with ``espeakng-loader``).

espeak-ng keeps global state: many processes may speak at once, threads of one process may not. Every utterance runs in a
freshly loaded library, so that its samples do not depend on what was said before it.
"""

import ctypes
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from space_data.errors import SpaceError
from space_data.timebase import AUDIO_HZ

# From espeak-ng/speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS = 1
_EVENT_LIST_TERMINATED, _EVENT_PHONEME = 0, 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_POSITION_CHARACTER = 1
_TEXT_UTF8 = 1

NOISE_SEED = 1
"""Of espeak-ng's breath and fricative noise."""
STRESS_AND_LENGTH = "',_:;%=|^-~\"!* "
"""Marks in espeak-ng's phoneme mnemonics that are not part of the sound's identity."""
MAIN_STRESS = "'"


class EspeakError(SpaceError):
    """espeak-ng cannot start, or does not know the voice."""


@dataclass(frozen=True)
class Voice:
    """What speaks: ``language`` (espeak-ng code), ``variant`` (file of ``voices/!v``, or empty); pitch and its range are 0-99."""

    language: str
    variant: str = ""
    rate_wpm: int = 165
    pitch: int = 50
    pitch_range: int = 50

    @property
    def name(self) -> str:
        """espeak-ng's name of language and variant, e.g. ``en-US+f3``."""
        return f"{self.language}+{self.variant}" if self.variant else self.language


@dataclass(frozen=True)
class Phoneme:
    """One sound: espeak-ng mnemonic without stress and length marks (empty: a pause), when it begins and ends, seconds, and
    whether it bears the main stress of a word."""

    symbol: str
    start_s: float
    end_s: float
    stressed: bool = False


@dataclass(frozen=True)
class Utterance:
    """``audio`` float32 (samples,) at 16 kHz in [-1, 1], and its phonemes in time, without gaps."""

    audio: NDArray[np.float32]
    phonemes: tuple[Phoneme, ...]


class _EventName(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventName),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Library:
    """One load of espeak-ng: collects what the callback hands over during one synchronous call."""

    def __init__(self) -> None:
        import espeakng_loader

        self._espeak = ctypes.CDLL(espeakng_loader.get_library_path())
        self._data_path = espeakng_loader.get_data_path().encode()
        self._callback = _Callback(self._receive)  # kept: ctypes does not hold a reference
        self._audio: list[NDArray[np.int16]] = []
        self._events: list[tuple[int, str]] = []

    def _receive(self, wav: "ctypes._Pointer[ctypes.c_short]", samples: int, events: "ctypes._Pointer[_Event]") -> int:
        if wav and samples > 0:
            self._audio.append(np.ctypeslib.as_array(wav, (samples,)).copy())
        i = 0
        while events[i].type != _EVENT_LIST_TERMINATED:
            if events[i].type == _EVENT_PHONEME:
                self._events.append((events[i].sample, events[i].id.string.decode("utf-8", "replace")))
            i += 1
        return 0

    def say(self, text: str, voice: Voice) -> tuple[NDArray[np.int16], list[tuple[int, str]], int]:
        """Samples, (first sample, mnemonic) of each phoneme, and the rate in Hz."""
        rate_hz = self._espeak.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, self._data_path, _PHONEME_EVENTS)
        if rate_hz <= 0:
            raise EspeakError(f"espeak-ng: start failed with code {rate_hz} (data expected in {self._data_path.decode()})")
        self._espeak.espeak_ng_SetRandSeed(ctypes.c_long(NOISE_SEED))
        self._espeak.espeak_SetSynthCallback(self._callback)
        if self._espeak.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise EspeakError(
                f"espeak-ng: unknown voice {voice.name!r}, need a language code, optionally + a variant (as en-us+f3)"
            )
        for parameter, value in ((_RATE, voice.rate_wpm), (_VOLUME, 100), (_PITCH, voice.pitch), (_RANGE, voice.pitch_range)):
            self._espeak.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._espeak.espeak_Synth(data, len(data) + 1, 0, _POSITION_CHARACTER, 0, _TEXT_UTF8, None, None)
        self._espeak.espeak_Synchronize()
        audio = np.concatenate(self._audio) if self._audio else np.zeros(0, np.int16)
        return audio, self._events, rate_hz

    def close(self) -> None:
        """Unload the library and with it all of its global state."""
        self._espeak.espeak_Terminate()
        ctypes.CDLL(None).dlclose(ctypes.c_void_p(self._espeak._handle))


def _say_from_scratch(text: str, voice: Voice) -> tuple[NDArray[np.int16], list[tuple[int, str]], int]:
    # Filter and flutter state of espeak-ng survives even espeak_Terminate, its noise is seeded by the clock, and libc's rand()
    # has a part too: only a fresh load (13 ms) with fixed seeds makes an utterance independent of what was said before it.
    ctypes.CDLL(None).srand(NOISE_SEED)
    library = _Library()
    try:
        return library.say(text, voice)
    finally:
        library.close()


def bare_symbol(mnemonic: str) -> str:
    """espeak-ng mnemonic without stress, length and pause marks; empty for a pause."""
    return mnemonic.strip(STRESS_AND_LENGTH)


def speak(text: str, voice: Voice) -> Utterance:
    """Say ``text``; deterministic, also across processes.

    Raises:
        EspeakError: unknown voice, or nothing was said.
    """
    samples, events, rate_hz = _say_from_scratch(text, voice)
    if not len(samples) or not any(bare_symbol(mnemonic) for _, mnemonic in events):
        raise EspeakError(f"espeak-ng: voice {voice.name!r} says nothing for {text!r}")
    common = gcd(AUDIO_HZ, rate_hz)
    audio = resample_poly(samples.astype(np.float32) / 32768.0, AUDIO_HZ // common, rate_hz // common)
    starts_s = [sample / rate_hz for sample, _ in events] + [len(samples) / rate_hz]
    phonemes = tuple(
        Phoneme(bare_symbol(mnemonic), start_s, max(start_s, end_s), mnemonic.startswith(MAIN_STRESS))
        for (_, mnemonic), start_s, end_s in zip(events, starts_s[:-1], starts_s[1:], strict=True)
    )
    return Utterance(audio.astype(np.float32), phonemes)
