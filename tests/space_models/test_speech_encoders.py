"""Speech encoders by name; whole clips in blocks with fixed borders; streams that give the same however sound is cut."""

from pathlib import Path

import numpy as np
import pytest
import torch
from declared_weights import declared_as, declared_file
from numpy.typing import NDArray
from whisper_files import seeded_encoder, write_ctranslate2

from space_data import weights
from space_data.errors import SpaceError
from space_data.speech import log_mel
from space_data.speech_encoder import SPEECH_ENCODERS, LogMel, spec_of
from space_data.timebase import VIDEO_FPS, fit_samples, frames_to_samples
from space_data.whisper_mel import whisper_log_mel
from space_models.speech_encoders import (
    BLOCK_FRAMES,
    CONTEXT_FRAMES,
    SILENCE_SAMPLES,
    SlidingWhisper,
    WhisperStates,
    chosen_encoder,
    load_speech_encoder,
)  # fmt: skip


@pytest.fixture(scope="module")
def whisper() -> WhisperStates:
    return WhisperStates(seeded_encoder())


def noise(n_frames: int, seed: int = 1) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal(frames_to_samples(n_frames)) * 0.1).astype(np.float32)


def test_log_mel_is_the_one_of_the_tables() -> None:
    audio = noise(30)
    found = LogMel().encode(audio)
    assert found.shape == (30, 4, 40) and (found.reshape(-1, 40) == log_mel(audio)).all() and LogMel.spec == spec_of("log-mel")


@pytest.mark.parametrize("n_frames", [0, 1, 2, 38])
def test_two_states_per_frame_of_any_length(whisper: WhisperStates, n_frames: int) -> None:
    found = whisper.encode(noise(n_frames))
    assert found.shape == (n_frames, *SPEECH_ENCODERS["whisper-tiny.en"]) and found.dtype == np.float32
    assert np.isfinite(found).all()
    assert whisper.spec.per_frame == 2 and len(whisper.spec.weights_sha256) == 64


def test_a_short_clip_is_heard_whole_with_half_a_second_of_silence_after_it(whisper: WhisperStates) -> None:
    audio = noise(20)
    wanted = whisper.window(np.pad(audio, (0, 8000)), 0, 20)
    assert (whisper.encode(audio) == wanted).all()
    assert np.abs(whisper.window(audio, 0, 20) - wanted).max() > 1e-3, "the silence is heard"


def test_a_state_depends_on_no_sound_beyond_its_blocks_context(whisper: WhisperStates) -> None:
    n_frames = 2 * BLOCK_FRAMES + 40
    audio = noise(n_frames)
    found = whisper.encode(audio)
    longer = whisper.encode(np.concatenate([audio, noise(700, 2)]))
    assert (found[:BLOCK_FRAMES] == longer[:BLOCK_FRAMES]).all(), "the first block ends 25 s before the sound does"
    assert np.abs(found[BLOCK_FRAMES:] - longer[BLOCK_FRAMES:n_frames]).max() > 1e-3, "the second hears what follows"
    changed = audio.copy()
    changed[: frames_to_samples(BLOCK_FRAMES - CONTEXT_FRAMES)] = 0.0
    assert (whisper.encode(changed)[BLOCK_FRAMES:] == found[BLOCK_FRAMES:]).all(), "nor does a block hear what was 5 s before it"


@pytest.mark.parametrize(("past", "lookahead", "hop"), [(25, 4, 1), (25, 4, 2), (3, 0, 1), (0, 2, 5)])
def test_a_stream_gives_the_same_however_sound_is_cut(whisper: WhisperStates, past: int, lookahead: int, hop: int) -> None:
    sliding, audio = SlidingWhisper(whisper, past, lookahead, hop), noise(33)
    whole = sliding.encode(audio)
    assert whole.shape == (33, 2, 384)
    rng, heard, given, position = np.random.default_rng(3), sliding.start(), [], 0
    while position < len(audio):
        n_samples = int(rng.integers(1, 3000))
        heard, states = sliding.step(heard, audio[position : position + n_samples])
        position = min(position + n_samples, len(audio))
        given.append(states)
        n_given, n_heard = sum(map(len, given)), position // 640
        assert n_heard - n_given < lookahead + hop, "no state waits longer than is stated"
        assert len(heard.audio) <= frames_to_samples(past + lookahead + hop + 1) + 3000, "what is kept of the sound is bounded"
    given.append(sliding.step(heard, np.zeros(0, np.float32), ends=True)[1])
    assert (np.concatenate(given) == whole).all()
    assert sliding.delay_ms == (lookahead + hop - 1) * 1000 / VIDEO_FPS


def test_a_stream_hears_no_further_than_it_says(whisper: WhisperStates) -> None:
    sliding, audio = SlidingWhisper(whisper), noise(30)
    changed = audio.copy()
    changed[frames_to_samples(20) :] = 0.0
    before, after = sliding.encode(audio), sliding.encode(changed)
    assert (before[:16] == after[:16]).all() and np.abs(before[16] - after[16]).max() > 1e-4, "frame 16 hears up to frame 20"


def test_layers_side_by_side_are_the_encoders_as_a_file_and_as_a_stream(whisper: WhisperStates) -> None:
    several, audio = WhisperStates(whisper.encoder, (4, 2, 0)), noise(20)
    assert several.spec.width == 3 * 384 and several.spec.weights_sha256 == whisper.spec.weights_sha256
    heard = np.pad(audio, (0, SILENCE_SAMPLES))
    layers = whisper.encoder.layers(torch.from_numpy(whisper_log_mel(heard))[None])
    wanted = torch.cat([layers[4], layers[2], layers[0]], dim=-1)[0, :40].numpy().reshape(20, 2, -1)
    np.testing.assert_allclose(several.encode(audio), wanted, atol=1e-5)
    live, output = SlidingWhisper(several).encode(audio), SlidingWhisper(whisper).encode(audio)
    assert (live[..., :384] == output).all() and live.shape == (20, 2, 3 * 384), "the output comes with it as it is alone"
    assert np.abs(live[..., 384:768] - output).max() > 0.1


@pytest.mark.parametrize("layers", [[5], [-1], [2, 2]])
def test_layers_that_there_are_not_are_refused(layers: list[int]) -> None:
    with pytest.raises(SpaceError, match=r"speech encoder whisper-tiny.en: layers \[.*\], need different ones of 0 ... 4"):
        spec_of("whisper-tiny.en", layers=layers)
    with pytest.raises(SpaceError, match="log-mel: layers .* need none"):
        spec_of("log-mel", layers=layers)


def test_senseless_streams_are_refused(whisper: WhisperStates) -> None:
    with pytest.raises(SpaceError, match="hop 0"):
        SlidingWhisper(whisper, hop_frames=0)


@pytest.fixture
def seeded_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with seeded weights, which the table declares for the time of the test."""
    path = write_ctranslate2(tmp_path / "model.bin", seeded_encoder())
    monkeypatch.setattr(weights, "declared", lambda: {weights.WHISPER: declared_as(declared_file(path), need="one")})
    return tmp_path


def test_encoders_by_name(seeded_weights: Path, whisper: WhisperStates) -> None:
    assert isinstance(load_speech_encoder("log-mel", seeded_weights), LogMel)
    assert load_speech_encoder("whisper-tiny.en", seeded_weights).spec == whisper.spec
    with pytest.raises(SpaceError, match="'hubert': need one of log-mel, whisper-tiny.en"):
        load_speech_encoder("hubert", seeded_weights)


def test_missing_weights_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=f"space weights fetch whisper-tiny.en --folder {tmp_path}"):
        load_speech_encoder("whisper-tiny.en", tmp_path)


BOTH: dict[str, list[int]] = {"log-mel": [], "whisper-tiny.en": [4, 2]}
"""Encoders that a model was trained for, and the layers that it hears."""


def test_auto_takes_the_best_that_can_be_had(seeded_weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    found = chosen_encoder("auto", BOTH, seeded_weights).spec
    assert (found.name, found.layers, found.width) == ("whisper-tiny.en", (4, 2), 768)
    assert chosen_encoder("auto", {"log-mel": []}, seeded_weights).spec.name == "log-mel" and not caplog.messages
    assert chosen_encoder("auto", BOTH, tmp_path / "none").spec.name == "log-mel"
    assert caplog.messages == ["lips follow speech better with whisper-tiny.en: `space weights fetch whisper-tiny.en`"]


def test_what_is_asked_for_by_name_is_had_or_refused(seeded_weights: Path, tmp_path: Path) -> None:
    assert chosen_encoder("log-mel", BOTH, seeded_weights).spec.name == "log-mel"
    assert chosen_encoder("whisper-tiny.en", BOTH, seeded_weights).spec.layers == (4, 2)
    with pytest.raises(SpaceError, match="no model was trained for it, only for log-mel"):
        chosen_encoder("whisper-tiny.en", {"log-mel": []}, seeded_weights)
    with pytest.raises(SpaceError, match="space weights fetch"):
        chosen_encoder("whisper-tiny.en", BOTH, tmp_path / "none")


def test_the_published_encoder_by_blocks_equals_the_whole(published_encoder: object, whisper_parity: dict) -> None:
    """2 s: one block, half a second of silence after it; in the middle that changes little."""
    found = WhisperStates(published_encoder).encode(fit_samples(whisper_parity["audio"], 50))  # type: ignore[arg-type]
    wanted = whisper_parity["layer4"].astype(np.float32).reshape(50, 2, 384)
    r = np.corrcoef(found[5:40].ravel(), wanted[5:40].ravel())[0, 1]
    assert r > 0.98
