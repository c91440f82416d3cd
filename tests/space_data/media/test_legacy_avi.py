"""The published SyncNet pipeline's re-encodings: how late its sound is, and that pictures lose what they are known to lose."""

import numpy as np
import pytest

from space_data.media.legacy_avi import AT_TWO, as_jpegs, as_published, as_xvid
from space_data.timebase import AUDIO_HZ

N_FRAMES = 30


def psnr(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    return float(10 * np.log10(255**2 / np.mean((np.stack(first).astype(float) - np.stack(second)) ** 2)))


@pytest.fixture
def frames(astronaut) -> list[np.ndarray]:
    return [np.roll(astronaut, 2 * i, axis=1)[:224, :224] for i in range(N_FRAMES)]


def test_sound_is_late_by_what_was_measured_on_the_release(frames, rng, tmp_path):
    """1105 samples whatever the rate: at 16 kHz 69 ms, 1.7 frames (measured with FFmpeg's command line)."""
    sound = rng.normal(0, 0.1, 640 * N_FRAMES).astype(np.float32)
    seen, heard = as_published(frames, sound, tmp_path / "v.avi")
    assert np.argmax(np.correlate(heard, sound, "full")) - (len(sound) - 1) == 1105
    assert pytest.approx(0.069, abs=1e-3) == 1105 / AUDIO_HZ
    seen = list(seen)
    assert len(seen) == N_FRAMES and 30 < psnr(frames, seen) < 45
    later = psnr(frames[:-1], seen[1:])
    assert later < psnr(frames, seen) - 5, "pictures stay where they are"


def test_crops_are_coded_twice_more_and_stay_in_order(frames, tmp_path):
    seen = list(as_xvid(iter(frames), tmp_path / "c.avi"))
    assert len(seen) == N_FRAMES and seen[0].shape == frames[0].shape
    assert 25 < psnr(frames, seen) < 40 and psnr(frames[:-1], seen[1:]) < psnr(frames, seen) - 5
    assert list(as_xvid(iter([]), tmp_path / "none.avi")) == []


def test_jpeg_at_two_is_better_than_the_default(frames):
    fine, usual = (psnr(frames, list(as_jpegs(frames, options))) for options in (AT_TWO, {}))
    assert fine > usual > 25
