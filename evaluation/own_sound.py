"""Whether the sound in a system's file is the sound that drove it, and whether it begins when it should.

Where outputs come from elsewhere only their own sound tells where the pictures' zero is: a file whose sound is late by three
frames has pictures that are late by three frames, or sound that was muxed wrongly; either way its lips cannot be scored.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

from space_data.timebase import AUDIO_HZ

SEARCH_S = 2.0
SILENT_RMS = 1e-3
"""-60 dB of full scale."""
LEAST_CORRELATION = 0.5
"""AAC and MP3 of the same sound stay above 0.9, other volume or polarity changes nothing; other speech is below 0.2."""
LEAST_OVERLAP = 0.5
"""Of the driving sound: a lag that leaves less of it proves nothing."""

Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Lag:
    """How well, and how late, a sound repeats another."""

    correlation: float
    """0 ... 1 at the best lag"""
    seconds: float
    """+ = the file's sound is late"""


def is_silent(sound: Sound) -> bool:
    """Whether there is nothing to compare: no samples, or none to be heard."""
    return not len(sound) or float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) < SILENT_RMS


def lag_between(driving: Sound, own: Sound) -> Lag:
    """The lag at which ``own`` (m,) repeats ``driving`` (n,), both 16 kHz mono, by normalised cross-correlation up to 2 s."""
    a, b = driving.astype(np.float64), own.astype(np.float64)
    products = correlate(b, a, mode="full", method="fft")
    lags = np.arange(-len(a) + 1, len(b))
    begin, end = np.maximum(lags, 0), np.minimum(lags + len(a), len(b))
    energies = [np.concatenate([[0.0], np.cumsum(x**2)]) for x in (a, b)]
    shared = np.sqrt((energies[0][end - lags] - energies[0][begin - lags]) * (energies[1][end] - energies[1][begin]))
    searched = (np.abs(lags) <= SEARCH_S * AUDIO_HZ) & (end - begin >= LEAST_OVERLAP * min(len(a), len(b)))
    values = np.where(searched & (shared > 0), np.abs(products) / np.maximum(shared, 1e-12), 0.0)
    best = int(values.argmax())
    return Lag(float(values[best]), float(lags[best]) / AUDIO_HZ)
