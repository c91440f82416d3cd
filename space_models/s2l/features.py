"""Speech as the network sees it: projected to few channels and normalised, over an utterance that is known or as it runs.

Two kinds of speech features, told apart by ``InputConfig`` alone:

* log-mel (4 x 40 per frame): floored below the loudest band, averaged in 13 groups of bands (espeak-ng's formants are narrower
  than any throat's), each group brought to zero mean and unit s.d.;
* Whisper's states (2 x 768 per frame, of two layers): principal components of the training set, half-whitened; only the mean is
  removed (taking the s.d. too costs .04 of lip-gap correlation on real speech, measured).

A file is normalised by its own statistics (``statistics_of``). A live stream has none yet: it starts from the training set's,
which count as so many seconds of speech, and forgets with a time constant. Both are folds over frames: chunks of any size give
what one call gives.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from space_data.errors import SpaceError
from space_data.speech import MEL_BANDS
from space_data.speech_encoder import LOG_MEL
from space_data.timebase import VIDEO_FPS, features_to_frames
from space_models.dataset import TrackClip

Array = NDArray[np.float64]

BANDS_PER_GROUP = 3
N_BAND_GROUPS = MEL_BANDS // BANDS_PER_GROUP
LEAST_SD = 0.3
"""Channels are not scaled by more than 1 / this: espeak-ng's voices are cleaner than any room (s.d. 3.5-4.0 nepers against
1.5-3.4)."""
NEPERS_PER_DB = np.log(10.0) / 10.0
FLOOR_BELOW_PEAK_DB = 66.0
"""Below the loudest band so far; ``speech.log_mel`` floors 60 dB below the 99.5th percentile, which lies 4-8 dB lower."""
QUIET_START_DB = 30.0
"""A stream's first loudest band is so much below the training set's: what is quieter than that is silence, not speech."""
EIGENVALUE_POWER = -0.25
"""Half-whitening: a component's variance is reduced to its square root."""


@dataclass(frozen=True)
class InputConfig:
    """How a kind of features is normalised."""

    levelled: bool
    """features are log power: floored below the loudest, and the prior mean follows the level"""
    unit_sd: bool
    prior_s: float
    """seconds of speech that the training set's statistics count as, in a live stream"""
    memory_s: float
    """time constant with which a live stream forgets"""


LOG_MEL_INPUT = InputConfig(levelled=True, unit_sd=True, prior_s=0.5, memory_s=5.0)
"""Of prior .25-8 s and memory 5 s to for ever the best on real clips of 4-20 s (gap r .39; whole clip known .43)."""
WHISPER_INPUT = InputConfig(levelled=False, unit_sd=False, prior_s=1.0, memory_s=5.0)


@dataclass(frozen=True)
class Statistics:
    """Of an utterance's speech: what normalisation takes off and divides by, per channel (C,), and its loudest band."""

    mean: Array
    sd: Array
    peak: float


@dataclass(frozen=True)
class InputState:
    """Between two chunks: decayed sums over samples (C,), their weight, that of the prior, and the loudest band so far."""

    total: Array
    total_of_squares: Array
    weight: float
    prior_weight: float
    peak: float
    known: Statistics | None = None
    """of the whole utterance, where somebody has it"""


class SpeechInput(nn.Module):
    """Projection and prior statistics, kept with the weights; no learnt parameters.

    Buffers: ``projection`` (W, C); ``prior_mean``, ``prior_sd`` (C,), for log power relative to ``prior_peak`` ().
    """

    projection: Tensor
    prior_mean: Tensor
    prior_sd: Tensor
    prior_peak: Tensor

    def __init__(self, config: InputConfig, per_frame: int, width: int, n_channels: int) -> None:
        super().__init__()
        self.config, self.per_frame, self.width, self.n_channels = config, per_frame, width, n_channels
        self.register_buffer("projection", torch.from_numpy(band_groups(width, n_channels)))
        self.register_buffer("prior_mean", torch.zeros(n_channels))
        self.register_buffer("prior_sd", torch.ones(n_channels))
        self.register_buffer("prior_peak", torch.zeros(()))

    @property
    def rate_hz(self) -> int:
        """Samples of speech per second."""
        return VIDEO_FPS * self.per_frame

    def projected(self, speech: NDArray[np.floating], peak: float | Array) -> Array:
        """Samples (F, W) in channels (F, C); log power is floored below ``peak``, one for all or (F, 1)."""
        if speech.ndim != 2 or speech.shape[1] != self.width:
            raise SpaceError(f"speech features {speech.shape}: need (samples, {self.width}) (of the other speech encoder?)")
        samples = np.asarray(speech, np.float64)
        if self.config.levelled:
            samples = np.maximum(samples, peak - FLOOR_BELOW_PEAK_DB * NEPERS_PER_DB)
        return np.asarray(samples @ self.projection.double().numpy())

    def statistics_of(self, speech: NDArray[np.floating]) -> Statistics:
        """Of a whole utterance (F, W)."""
        peak = float(speech.max()) if self.config.levelled else 0.0
        channels = self.projected(speech, peak)
        return Statistics(channels.mean(axis=0), channels.std(axis=0), peak)

    def fit(self, utterances: list[NDArray[np.floating]]) -> None:
        """Set the prior and, for features that are no bands of power, the projection from training utterances (F, W)."""
        if not self.config.levelled:
            self.projection.copy_(torch.from_numpy(half_whitened_components(utterances, self.n_channels)))
        found = [self.statistics_of(u) for u in utterances]
        weights = np.array([len(u) for u in utterances], np.float64)
        weights /= weights.sum()
        level = np.array([s.peak for s in found])
        means, sds = np.array([s.mean for s in found]), np.array([s.sd for s in found])
        self.prior_mean.copy_(torch.from_numpy(weights @ (means - level[:, None])))
        self.prior_sd.copy_(torch.from_numpy(np.sqrt(weights @ sds**2)))
        self.prior_peak.copy_(torch.tensor(float(weights @ level)))

    def start(self, known: Statistics | None = None) -> InputState:
        """Before the first frame: with the statistics of the whole utterance, or with none but the training set's."""
        zeros = np.zeros(self.n_channels)
        peak = float(self.prior_peak) - QUIET_START_DB * NEPERS_PER_DB
        return InputState(zeros, zeros, 0.0, self.config.prior_s * VIDEO_FPS * self.per_frame, peak, known)

    def step(self, state: InputState, speech: NDArray[np.floating]) -> tuple[InputState, NDArray[np.float32]]:
        """Normalise n frames of samples (n * P, W): (n * P, C). A frame is normalised by all that was heard up to its end."""
        n_frames = len(speech) // self.per_frame
        if state.known is not None:
            return state, self.scaled(self.projected(speech, state.known.peak), state.known.mean, state.known.sd)
        if n_frames == 0:
            return state, np.zeros((0, self.n_channels), np.float32)
        loudest = np.asarray(speech, np.float64).reshape(n_frames, -1).max(axis=1)
        peaks = np.maximum.accumulate(np.maximum(loudest, state.peak)) if self.config.levelled else np.zeros(n_frames)
        channels = self.projected(speech, np.repeat(peaks, self.per_frame)[:, None])
        frames = channels.reshape(n_frames, self.per_frame, self.n_channels)
        keep = float(np.exp(-1.0 / (self.config.memory_s * VIDEO_FPS)))
        total = _decayed(frames.sum(axis=1), state.total, keep)
        squares = _decayed((frames**2).sum(axis=1), state.total_of_squares, keep)
        decay = keep ** np.arange(1, n_frames + 1)
        prior_weight = state.prior_weight * decay
        weight = _decayed(np.full((n_frames, 1), float(self.per_frame)), np.array([state.weight]), keep)[:, 0]
        prior_mean = self.prior_mean.double().numpy() + peaks[:, None]
        prior_square = self.prior_sd.double().numpy() ** 2 + prior_mean**2
        whole = (prior_weight + weight)[:, None]
        mean = (prior_weight[:, None] * prior_mean + total) / whole
        variance = np.maximum((prior_weight[:, None] * prior_square + squares) / whole - mean**2, 0.0)
        after = replace(
            state, total=total[-1], total_of_squares=squares[-1], weight=float(weight[-1]), prior_weight=float(prior_weight[-1]),
            peak=float(peaks[-1]),
        )  # fmt: skip
        return after, self.scaled(channels, *(np.repeat(x, self.per_frame, axis=0) for x in (mean, np.sqrt(variance))))

    def scaled(self, channels: Array, mean: Array, sd: Array) -> NDArray[np.float32]:
        """Channels (F, C) less ``mean``, by ``sd`` where this kind of features is scaled."""
        centred = channels - mean
        return (centred / np.maximum(sd, LEAST_SD) if self.config.unit_sd else centred).astype(np.float32)


def speech_of(clip: TrackClip, encoder: str) -> NDArray[np.float32]:
    """The speech of a training clip as the named encoder gave it, (T, P, W).

    Raises:
        SpaceError: features that the tables do not hold.
    """
    if encoder == LOG_MEL:
        return features_to_frames(clip.log_mel)
    if clip.states is None:
        raise SpaceError(
            f"{clip.clip_id}: no states of {encoder} (set features.speech_encoder: {encoder}, run stage `speech`)"
        )
    return clip.states.astype(np.float32)


def _decayed(x: Array, before: Array, keep: float) -> Array:
    """Running sums y[t] = keep y[t - 1] + x[t] over (T, C), with y[-1] = ``before`` (C,)."""
    sums, last = np.empty(x.shape), np.asarray(before, np.float64)
    for t, row in enumerate(x):  # a thousandth of the time of what follows; `scipy.signal` takes half a second to import
        sums[t] = last = keep * last + row
    return sums


def band_groups(width: int, n_groups: int) -> NDArray[np.float32]:
    """Projection (width, n_groups) that averages neighbouring bands; those that fill no group are left out."""
    matrix = np.zeros((width, n_groups), np.float32)
    for group in range(n_groups):
        matrix[group * BANDS_PER_GROUP : (group + 1) * BANDS_PER_GROUP, group] = 1.0 / BANDS_PER_GROUP
    return matrix


def half_whitened_components(utterances: list[NDArray[np.floating]], n_channels: int) -> NDArray[np.float32]:
    """Principal directions (W, C) of samples about their utterances' means, half-whitened, with a mean s.d. of 1."""
    width = utterances[0].shape[1]
    scatter, count = np.zeros((width, width)), 0
    for utterance in utterances:
        centred = np.asarray(utterance, np.float64) - utterance.mean(axis=0, dtype=np.float64)
        scatter += centred.T @ centred
        count += len(centred)
    variance, directions = np.linalg.eigh(scatter / max(count, 1))
    largest = np.argsort(variance)[::-1][:n_channels]
    variance = np.maximum(variance[largest], 1e-8)
    scale = variance**EIGENVALUE_POWER
    return np.asarray(directions[:, largest] * scale / np.mean(scale * np.sqrt(variance)), np.float32)
