"""Whisper's log-mel: a tone in its band, the floor, alignment, and the reference's values where the fixture is at hand."""

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.whisper_mel import N_MELS, mel_filters, whisper_log_mel

SECOND = 16_000


def test_filters_are_triangles_of_unit_area_on_slaneys_scale():
    filters = mel_filters()
    assert filters.shape == (N_MELS, 201)
    # In bands of many bins the area under each is 1 (40 Hz per bin); the narrow low ones are sampled too coarsely for that.
    area = filters.sum(axis=1) * 40.0
    assert np.allclose(area[40:], 1.0, atol=0.1) and np.allclose(area[60:], 1.0, atol=0.02)
    # 81 equal steps from 0 to 8 kHz = 15 + 27 ln(8) / ln(6.4) mel of 66.7 Hz: bands 0 and 1 peak at 37.2 and 74.4 Hz
    step_hz = (15 + 27 * np.log(8) / np.log(6.4)) / 81 * 1000 / 15
    assert filters[0, 1] == pytest.approx((2 - 40 / step_hz) / step_hz, rel=1e-6)
    assert np.all(np.diff(filters.argmax(axis=1)) >= 0) and filters.argmax(axis=1)[-1] < 200


@pytest.mark.parametrize("hz", [300, 1000, 3000, 6000])
def test_a_tone_is_loudest_in_the_band_around_it(hz):
    tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(SECOND) / SECOND).astype(np.float32)
    found = whisper_log_mel(tone)
    assert found.shape == (N_MELS, 100)
    assert np.unique(found[:, 10:90].argmax(axis=0)) == mel_filters()[:, hz // 40].argmax()


def test_quiet_parts_are_floored_two_units_below_the_loudest():
    sound = np.zeros(SECOND, np.float32)
    sound[: SECOND // 2] = np.random.default_rng(1).standard_normal(SECOND // 2) * 0.1
    found = whisper_log_mel(sound)
    assert found.max() - found[:, 90:].max() == pytest.approx(2.0), "8 decades, divided by 4"
    assert whisper_log_mel(np.zeros(SECOND, np.float32)).max() == pytest.approx((-10 + 4) / 4)


def test_windows_are_centred_on_multiples_of_10_ms():
    click = np.zeros(SECOND, np.float32)
    click[5 * 160] = 1.0
    power = 10 ** (4 * whisper_log_mel(click)[40] - 4)
    assert power.argmax() == 5 and power[4] == pytest.approx(power[6], rel=1e-3) and power[7] < 1e-3 * power[5]


def test_too_little_sound_is_an_error_in_words():
    with pytest.raises(SpaceError, match="200 samples at 16 kHz, need more than 200"):
        whisper_log_mel(np.zeros(200, np.float32))


def test_equals_whispers_own(whisper_parity):
    difference = np.abs(whisper_log_mel(whisper_parity["audio"]) - whisper_parity["log_mel"])
    assert difference.max() < 2e-5
