"""Speech as the network sees it: normalisation of a known utterance and of a running one, principal components, augmentation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up_talk import AUGMENTATION, config, made_up_speech

from space_data.errors import SpaceError
from space_data.speech_encoder import LOG_MEL, WHISPER_TINY_EN
from space_models.s2l import augment
from space_models.s2l.features import LEAST_SD, SpeechInput, half_whitened_components
from space_models.s2l.model import S2L


def speech_input(encoder: str = LOG_MEL) -> SpeechInput:
    return S2L(config(encoder)).speech_input


def test_a_known_utterance_has_mean_zero_and_unit_sd(rng: np.random.Generator) -> None:
    into, sound = speech_input(), made_up_speech(LOG_MEL, 50, rng).reshape(-1, 40)
    seen = into.step(into.start(into.statistics_of(sound)), sound)[1]
    assert seen.shape == (200, 13) and seen.mean(0) == pytest.approx(0, abs=1e-5) and seen.std(0) == pytest.approx(1, abs=1e-4)
    silence = np.zeros((8, 40), np.float32)
    assert np.isfinite(into.step(into.start(into.statistics_of(silence)), silence)[1]).all()


def test_a_stream_comes_to_the_statistics_of_its_speech(rng: np.random.Generator) -> None:
    """Far from the prior: a mean of 20 where 0 was expected, an s.d. of 2 / sqrt(3) where 1 was."""
    into, sound = speech_input(), made_up_speech(LOG_MEL, 2000, rng).reshape(-1, 40) + 20
    seen = into.step(into.start(), sound)[1][-1000:]
    assert seen.mean() == pytest.approx(0, abs=0.1) and seen.std() == pytest.approx(1, abs=0.05)


def test_a_stream_begins_with_the_prior(rng: np.random.Generator) -> None:
    into = speech_input()
    into.config = replace(into.config, prior_s=1e9, memory_s=1e9)
    into.fit([made_up_speech(LOG_MEL, 200, rng).reshape(-1, 40) * 2 + 3])
    sound = made_up_speech(LOG_MEL, 20, rng).reshape(-1, 40)
    sound[0, 0] = float(into.prior_peak)
    wanted = (into.projected(sound, float(into.prior_peak)) - (into.prior_mean + into.prior_peak).numpy()) / into.prior_sd.numpy()
    assert into.step(into.start(), sound)[1] == pytest.approx(wanted, abs=1e-3)


def test_silence_before_speech_is_not_blown_up(rng: np.random.Generator) -> None:
    """Noise 60 dB below speech, first: it stays far below the mean of speech instead of filling the range."""
    into = speech_input()
    into.fit([made_up_speech(LOG_MEL, 200, rng).reshape(-1, 40)])
    noise = made_up_speech(LOG_MEL, 10, rng).reshape(-1, 40) * 0.1 - 14
    assert into.step(into.start(), noise)[1].mean() < -1


def test_components_are_half_whitened(rng: np.random.Generator) -> None:
    mixing = rng.normal(size=(4, 4)) * np.array([[8.0], [4.0], [1.0], [0.01]])
    utterances = [rng.normal(size=(400, 4)) @ mixing + rng.normal(size=4) * 50 for _ in range(3)]
    centred = np.concatenate([u - u.mean(0) for u in utterances])
    seen = centred @ half_whitened_components(utterances, 2)
    covariance = np.cov(seen.T)
    assert covariance[0, 1] == pytest.approx(0, abs=1e-3), "uncorrelated"
    variance = np.sort(np.linalg.eigvalsh(np.cov(centred.T)))[::-1][:2]
    assert covariance[0, 0] / covariance[1, 1] == pytest.approx(np.sqrt(variance[0] / variance[1]), rel=1e-2)
    assert seen.std(0).mean() == pytest.approx(1, abs=1e-2)


def test_states_keep_their_range(rng: np.random.Generator) -> None:
    into, states = speech_input(WHISPER_TINY_EN), made_up_speech(WHISPER_TINY_EN, 40, rng).reshape(-1, 384)
    into.fit([states])
    once, twice = (into.step(into.start(into.statistics_of(x)), x)[1] for x in (states, 2 * states + 7))
    assert twice == pytest.approx(2 * once, abs=1e-3), "the mean is removed, the s.d. is not"


def test_features_of_another_encoder_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(SpaceError, match=r"speech features \(80, 384\): need \(samples, 40\)"):
        speech_input().statistics_of(made_up_speech(WHISPER_TINY_EN, 40, rng).reshape(-1, 384))


def test_a_shift_of_bands_holds_the_outermost_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    bands = torch.arange(40.0).expand(1, 3, 40) ** 2
    for shift in (-1.5, -0.25, 0.0, 0.75):
        monkeypatch.setattr(augment, "uniform", lambda bounds, like, by=shift: torch.full((len(like), 1), by))
        position = np.clip(np.arange(40) + shift, 0, 39)
        wanted = np.interp(position, np.arange(40), np.arange(40.0) ** 2)
        assert augment.another_voice(bands)[0, 1].numpy() == pytest.approx(wanted, abs=1e-3)


def test_reverberation_is_a_geometric_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    power = torch.full((1, 80, 2), 1e-8)
    power[0, 10] = 1.0
    drawn = {augment.REVERBERATION_S: 0.5, (0.0, augment.MOST_REVERBERANT): 0.25}
    monkeypatch.setattr(augment, "uniform", lambda bounds, like: torch.full((len(like), 1), drawn[bounds]))
    wet = augment.reverberant(power.log(), torch.zeros(1, 1, 1)).exp()[0, :, 0].numpy()
    k = np.arange(1, 40)
    assert wet[10] == pytest.approx(1, rel=1e-4)
    assert wet[10 + k] == pytest.approx(0.25 * 10.0 ** (-6 * (k - 1) / 50), rel=1e-2, abs=1e-7)


def test_windows_are_cut_from_whole_utterances_and_held_at_their_end(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = speech_input()
    sounds = [made_up_speech(LOG_MEL, n, rng).reshape(-1, 40) for n in (50, 30)]
    padded = torch.zeros(2, 200, 40)
    for row, sound in zip(padded, sounds, strict=True):
        row[: len(sound)] = torch.from_numpy(sound)
    for change in ("another_voice", "with_masked_bands"):
        monkeypatch.setattr(augment, change, lambda x: x)
    monkeypatch.setattr(augment, "another_room", lambda x, valid, db: x)
    monkeypatch.setattr(augment, "with_masked_stretch", lambda x, most: x)
    cut = augment.normalised_windows(padded, torch.tensor([200, 120]), torch.tensor([20, 100]), 40, into, AUGMENTATION).numpy()
    whole = [into.step(into.start(into.statistics_of(s)), s)[1] for s in sounds]
    assert cut[0] == pytest.approx(whole[0][20:60], abs=1e-4)
    assert cut[1, :20] == pytest.approx(whole[1][100:], abs=1e-4)
    assert cut[1, 20:] == pytest.approx(np.repeat(whole[1][-1:], 20, 0), abs=1e-4)


def test_augmentation_repeats_with_torchs_seed_and_leaves_numbers(rng: np.random.Generator) -> None:
    for encoder, width in ((LOG_MEL, 40), (WHISPER_TINY_EN, 384)):
        into, sounds = speech_input(encoder), torch.from_numpy(rng.normal(0, 2, (3, 200, width)).astype(np.float32))
        drawn = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            begin, length = torch.zeros(3, dtype=torch.long), torch.tensor([200, 150, 90])
            drawn.append(augment.normalised_windows(sounds, length, begin, 100, into, AUGMENTATION))
        assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
        assert all(torch.isfinite(x).all() for x in drawn)
    assert LEAST_SD > 0
