"""Whisper's log-mel front end (Radford et al. 2022, §2.2; reference: ``whisper/audio.py`` of openai/whisper), in NumPy.

16 kHz sound; windows of 25 ms (periodic Hann) every 10 ms, centred on multiples of 10 ms, the sound reflected at both ends; 80
triangular filters on Slaney's mel scale, each of unit area; log10 of the power, floored 8 decades below the loudest value of what
is given, then brought to about -1 ... 1. Unlike ``speech.log_mel``, whose 10 ms begin where the windows here have their centre.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from space_data.errors import SpaceError
from space_data.timebase import AUDIO_HZ, SAMPLES_PER_FEATURE

N_MELS = 80
FFT_SIZE = AUDIO_HZ // 40
SMALLEST_POWER = 1e-10
DECADES = 8.0
"""Range below the loudest value."""
LINEAR_HZ, LINEAR_MELS, MELS_PER_NEPER = 1000.0, 15.0, 27.0 / np.log(6.4)
"""Slaney's scale: linear up to 1 kHz, 15 mels there, logarithmic above."""


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * LINEAR_HZ / LINEAR_MELS
    return np.where(mel < LINEAR_MELS, linear, LINEAR_HZ * np.exp((mel - LINEAR_MELS) / MELS_PER_NEPER))


@lru_cache(maxsize=1)
def mel_filters() -> NDArray[np.float32]:
    """The filter bank (80, 201) on bins of 40 Hz; equal to the file that Whisper carries (made by librosa) in float32."""
    highest = LINEAR_MELS + MELS_PER_NEPER * np.log(AUDIO_HZ / 2 / LINEAR_HZ)
    edges = _mel_to_hz(np.linspace(0.0, highest, N_MELS + 2))
    bins = np.fft.rfftfreq(FFT_SIZE, 1.0 / AUDIO_HZ)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    area = 2.0 / (edges[2:] - edges[:-2])
    return (np.clip(np.minimum(rising, falling), 0.0, None) * area[:, None]).astype(np.float32)


def whisper_log_mel(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel of 16 kHz mono ``audio`` (samples,): (80, samples // 160).

    Raises:
        SpaceError: shorter than half a window, which cannot be reflected.
    """
    half = FFT_SIZE // 2
    if len(audio) <= half:
        raise SpaceError(f"Whisper's log-mel: {len(audio)} samples at 16 kHz, need more than {half}")
    padded = np.pad(np.asarray(audio, np.float32), half, mode="reflect")
    n_features = len(audio) // SAMPLES_PER_FEATURE
    windows = np.lib.stride_tricks.sliding_window_view(padded, FFT_SIZE)[::SAMPLES_PER_FEATURE][:n_features]
    taper = np.hanning(FFT_SIZE + 1)[:-1].astype(np.float32)
    spectrum = rfft(windows * taper, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    log_power = np.log10(np.maximum(power @ mel_filters().T, SMALLEST_POWER))
    floored = np.maximum(log_power, log_power.max() - DECADES)
    return np.ascontiguousarray(((floored + 4.0) / 4.0).T, np.float32)
