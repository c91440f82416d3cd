"""Speech features whose answers are known by hand, and voice activity on real and made-up sound."""

from pathlib import Path

import numpy as np

from space_data import speech
from space_data.media.sound import decode_audio


def tone(hz: float, duration_s: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(16_000 * duration_s)) / 16_000)).astype(np.float32)


def test_one_feature_per_160_samples() -> None:
    assert speech.log_mel(tone(440)).shape == (100, speech.MEL_BANDS)
    assert speech.mfcc(tone(440)[:1599]).shape == (9, speech.MFCC_COEFFICIENTS)
    assert speech.log_mel(np.zeros(100, np.float32)).shape == (0, speech.MEL_BANDS)


def test_a_tone_lights_the_band_that_holds_it() -> None:
    low, high = speech.log_mel(tone(300)).mean(0), speech.log_mel(tone(3000)).mean(0)
    assert int(np.argmax(low)) < int(np.argmax(high))
    mel = 2595 * np.log10(1 + 3000 / 700)
    first, last = (2595 * np.log10(1 + hz / 700) for hz in speech.MEL_RANGE_HZ)
    assert abs(int(np.argmax(high)) - (round((mel - first) / (last - first) * (speech.MEL_BANDS + 1)) - 1)) <= 1


def test_a_click_is_seen_in_the_feature_whose_interval_holds_it() -> None:
    audio = np.zeros(16_000, np.float32)
    audio[50 * 160 + 80] = 1.0  # the middle of feature 50
    assert int(np.argmax(speech.mel_power(audio).sum(1))) == 50


def test_gain_moves_every_log_mel_value_by_the_same_amount_and_normalisation_removes_it(rng: np.random.Generator) -> None:
    audio = rng.normal(0, 0.1, 16_000).astype(np.float32)
    quiet, loud = speech.log_mel(audio), speech.log_mel(audio * 2)
    assert np.allclose(loud - quiet, 2 * np.log(2), atol=1e-3)
    assert np.allclose(speech.mean_normalise(quiet), speech.mean_normalise(loud), atol=1e-3)


def test_the_floor_is_60_db_below_the_peak() -> None:
    audio = np.concatenate([tone(500), np.zeros(16_000, np.float32)])
    features = speech.log_mel(audio)
    assert np.isclose(np.percentile(features, 99.5) - features.min(), 6 * np.log(10), atol=0.05)


def test_runs_are_half_open_ranges() -> None:
    assert speech.runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert speech.runs(np.zeros(3, bool)) == []


def test_loudness_of_a_full_scale_square_wave_is_0_db() -> None:
    assert np.allclose(speech.loudness_db(np.ones(320, np.float32)), 0.0)
    assert np.allclose(speech.loudness_db(np.zeros(320, np.float32)), -100.0)


def test_silence_and_noise_are_not_speech(rng: np.random.Generator) -> None:
    assert not speech.speech_mask(np.zeros(16_000, np.float32)).any()
    assert speech.speech_mask(rng.normal(0, 0.01, 32_000).astype(np.float32)).mean() < 0.1


def test_real_speech_is_found_and_repeats_exactly(shared_media: Path) -> None:
    audio = decode_audio(shared_media / "libri_16k.wav")
    mask = speech.speech_mask(audio)
    assert len(mask) == len(audio) // 160
    assert 0.6 < mask.mean() < 1.0
    other = decode_audio(shared_media / "noisy_cafeteria_snr0.wav")
    speech.speech_mask(other)  # the network is kept loaded, its state is not
    assert (speech.speech_mask(audio) == mask).all()
