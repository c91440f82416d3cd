"""Speech encoders by name, and Whisper's as one of them: whole clips in blocks, or sound as it comes.

State k of Whisper's encoder describes the 20 ms that begin at 20 k ms; video frame f has the states 2 f and 2 f + 1.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from space_data import weights
from space_data.errors import SpaceError
from space_data.speech_encoder import LOG_MEL, SPEECH_ENCODERS, WHISPER_TINY_EN, LogMel, SpeechEncoder, SpeechSpec, spec_of
from space_data.timebase import frames_in, frames_to_ms, frames_to_samples, samples_to_frames, seconds_to_samples
from space_data.whisper_mel import whisper_log_mel
from space_models.whisper import WhisperEncoder
from space_models.whisper_weights import encoder_sha256, load_encoder_file

logger = logging.getLogger(__name__)

AUTO = "auto"
STATES_PER_FRAME = SPEECH_ENCODERS[WHISPER_TINY_EN][0]
BLOCK_FRAMES, CONTEXT_FRAMES = frames_in(20.0), frames_in(5.0)
"""Whole clips are encoded 20 s at a time with 5 s on both sides: 30 s together, what the encoder has positions for."""
SILENCE_SAMPLES = seconds_to_samples(0.5)
"""Zeros after the end of a clip: the last states see that it ends."""
PAST_FRAMES, LOOKAHEAD_FRAMES, HOP_FRAMES = frames_in(2.0), frames_in(0.16), 1
"""Of a stream. S2L looks 80 ms further: 240 ms in all. Validation people's lip gap r .850 with 1 s of past, .865 with 2 s."""


class WhisperStates:
    """States of Whisper tiny.en: 2 vectors of 384 numbers per frame, of its output or of several layers side by side."""

    def __init__(self, encoder: WhisperEncoder, layers: Sequence[int] = ()) -> None:
        self.encoder = encoder
        self.spec = spec_of(WHISPER_TINY_EN, encoder_sha256(encoder), layers)

    def encode(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """States of 16 kHz mono ``audio`` (640 T,): (T, 2, W), float32.

        The borders of the blocks are fixed, so a state depends on at most 25 s before and after it. Memory does not grow with the
        length but for the result (3 kB per frame and layer).
        """
        n_frames = samples_to_frames(len(audio))
        blocks = [self._block(audio, n_frames, begin) for begin in range(0, n_frames, BLOCK_FRAMES)]
        return np.concatenate([np.zeros((0, STATES_PER_FRAME, self.spec.width), np.float32), *blocks])

    def _block(self, audio: NDArray[np.float32], n_frames: int, begin: int) -> NDArray[np.float32]:
        end, first = min(begin + BLOCK_FRAMES, n_frames), max(0, begin - CONTEXT_FRAMES)
        until = min(frames_to_samples(end + CONTEXT_FRAMES), frames_to_samples(n_frames) + SILENCE_SAMPLES)
        sound = audio[frames_to_samples(first) : min(until, frames_to_samples(n_frames))]
        sound = np.pad(sound, (0, until - frames_to_samples(first) - len(sound)))
        return self.window(sound, begin - first, end - first)

    def window(self, audio: NDArray[np.float32], begin: int, end: int) -> NDArray[np.float32]:
        """States of the frames ``begin`` ... ``end`` - 1 of at most 30 s of sound (samples,), which is heard as a whole."""
        keep = slice(STATES_PER_FRAME * begin, STATES_PER_FRAME * end)
        with torch.inference_mode():
            states = self.encoder(torch.from_numpy(whisper_log_mel(audio))[None], keep, self.spec.layers)[0]
        return states.numpy().reshape(end - begin, STATES_PER_FRAME, self.spec.width)


@dataclass(frozen=True)
class StreamState:
    """State of a stream: what may still be needed of the sound, and how far it has been encoded."""

    audio: NDArray[np.float32]
    """(samples,), from the start of frame ``first`` on"""
    first: int = 0
    done: int = 0
    """frames that have been given out"""


class SlidingWhisper:
    """Whisper's states of sound as it comes: every ``hop_frames`` frames a window around them is encoded anew.

    A state is final when it is given out, ``lookahead_frames`` + ``hop_frames`` - 1 after its sound at the latest, and the same
    however the sound was cut into pieces; ``encode`` is the fold over one piece.
    """

    def __init__(
        self, states: WhisperStates, past_frames: int = PAST_FRAMES, lookahead_frames: int = LOOKAHEAD_FRAMES,
        hop_frames: int = HOP_FRAMES,
    ) -> None:  # fmt: skip
        if past_frames < 0 or lookahead_frames < 0 or hop_frames < 1:
            found = f"past {past_frames}, look-ahead {lookahead_frames}, hop {hop_frames} frames"
            raise SpaceError(f"stream of Whisper's states: {found}; need at least 0, 0 and 1")
        self.states, self.past, self.lookahead, self.hop = states, past_frames, lookahead_frames, hop_frames

    @property
    def spec(self) -> SpeechSpec:
        """Of the encoder."""
        return self.states.spec

    @property
    def delay_ms(self) -> float:
        """Time from the end of a frame's sound to its state, at most; computing comes on top."""
        return frames_to_ms(self.lookahead + self.hop - 1)

    def encode(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """States of 16 kHz mono ``audio`` (640 T,) as a stream gives them: (T, 2, W)."""
        return self.step(self.start(), audio, ends=True)[1]

    def start(self) -> StreamState:
        """Before any sound."""
        return StreamState(np.zeros(0, np.float32))

    def step(self, state: StreamState, audio: NDArray[np.float32], ends: bool = False) -> tuple[StreamState, NDArray[np.float32]]:
        """Hear 16 kHz mono ``audio`` (any number of samples) more.

        Args:
            state: the state before.
            audio: what comes next.
            ends: nothing comes after it: the last frames are given out, as if silence followed.

        Returns:
            The state after it, and the states of the frames that are now final, (n, 2, W); n may be 0.
        """
        audio = np.concatenate([state.audio, np.asarray(audio, np.float32)])
        first, done = state.first, state.done
        there = first + samples_to_frames(len(audio))
        given = []
        while done < there and (ends or done + self.hop + self.lookahead <= there):
            begin, end = max(0, done - self.past), min(done + self.hop, there)
            window = audio[frames_to_samples(begin - first) : frames_to_samples(min(end + self.lookahead, there) - first)]
            window = np.pad(window, (0, frames_to_samples(end + self.lookahead - begin) - len(window)))
            given.append(self.states.window(window, done - begin, end - begin))
            done = end
        kept = max(0, done - self.past)
        rest = StreamState(audio[frames_to_samples(kept - first) :].copy(), kept, done)
        return rest, np.concatenate([np.zeros((0, STATES_PER_FRAME, self.spec.width), np.float32), *given])


def load_speech_encoder(name: str, folder: Path, layers: Sequence[int] = ()) -> SpeechEncoder:
    """The speech encoder called ``name``, with its verified weights in ``folder`` where it has some.

    ``layers``: whose states it gives (``SpeechSpec.layers``); log-mel has none.

    Raises:
        SpaceError: no such encoder; its weights are not there (the message names the command), or are not the declared ones.
    """
    return LogMel() if name == LOG_MEL else WhisperStates(load_encoder_file(weights_file(name, folder)), layers)


def weights_file(name: str, folder: Path) -> Path:
    """The verified weights of a speech encoder that has some.

    Raises:
        SpaceError: as ``load_speech_encoder``.
    """
    spec_of(name)
    path = weights.find(name, folder)
    if path is None:
        raise SpaceError(weights.absence(name, folder))
    return path


def chosen_encoder(wanted: str, trained_for: Mapping[str, Sequence[int]], folder: Path) -> SpeechEncoder:
    """The encoder for a model of which there are versions ``trained_for`` some encoders, each with the layers that it hears.

    ``auto`` is the best one that can be had; if that is not the best there is, one line says what is missing.

    Raises:
        SpaceError: no model for the encoder that is ``wanted``, or as ``load_speech_encoder``.
    """
    if wanted != AUTO:
        spec_of(wanted)
        if wanted not in trained_for:
            raise SpaceError(f"speech encoder {wanted!r}: no model was trained for it, only for {', '.join(sorted(trained_for))}")
        return load_speech_encoder(wanted, folder, trained_for[wanted])
    if WHISPER_TINY_EN in trained_for:
        path = weights.find(WHISPER_TINY_EN, folder)
        if path is not None:
            return WhisperStates(load_encoder_file(path), trained_for[WHISPER_TINY_EN])
        logger.info("lips follow speech better with %s: `space weights fetch %s`", WHISPER_TINY_EN, WHISPER_TINY_EN)
    return load_speech_encoder(LOG_MEL, folder)
