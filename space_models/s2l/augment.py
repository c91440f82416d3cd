"""Training speech as another room, voice or encoding would give it: batched, on the device, from torch's generator.

The trainer seeds torch's generator for every step, so what is drawn here is a function of (seed, rank, step).

Shapes: B utterances of up to F samples, of which ``length`` (B,) count; W numbers per sample; C channels after ``projected``.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from space_data.timebase import FEATURE_HZ
from space_models.s2l.features import FLOOR_BELOW_PEAK_DB, LEAST_SD, NEPERS_PER_DB, SpeechInput

LARGEST_SHIFT_BANDS = 1.5
REVERBERATION_S = (0.2, 0.6)
MOST_REVERBERANT = 0.25
"""Power of the tail's first sample against the sound's."""
TAPS_LOG2 = 6
"""A room's tail is followed for 2 ** 6 samples of 10 ms."""
COLOUR_KNOTS = 4
NOISE_SD_NEPERS = 0.4
MASKED_BANDS = (2, 3)
"""Most channels in each of two masks (SpecAugment, Park et al. 2019)"""
MASKED_STRETCH_S = 0.12


@dataclass(frozen=True)
class Augmentation:
    """How much training speech is changed."""

    noise_below_peak_db: tuple[float, float]
    """log power: level of added noise"""
    component_noise: float
    """Whisper: s.d. of noise added to each component (whose mean s.d. is 1)"""
    component_dropout: float
    """Whisper: share of the components left out of a window"""


def normalised_windows(
    speech: Tensor, length: Tensor, begin: Tensor, n_samples: int, speech_input: SpeechInput, change: Augmentation
) -> Tensor:
    """Windows (B, n_samples, C) from sample ``begin`` (B,) of augmented utterances ``speech`` (B, F, W), normalised by utterance.

    Beyond its end an utterance holds its last sample, as at the end of a file.
    """
    valid = torch.arange(speech.shape[1], device=speech.device) < length[:, None]
    if speech_input.config.levelled:
        speech = another_room(another_voice(speech), valid, change.noise_below_peak_db)
        peak = speech.masked_fill(~valid[..., None], -torch.inf).amax((1, 2), keepdim=True)
        speech = torch.maximum(speech, peak - FLOOR_BELOW_PEAK_DB * NEPERS_PER_DB)
    channels = speech @ speech_input.projection
    weight = valid[..., None] / length[:, None, None]
    channels = channels - (channels * weight).sum(1, keepdim=True)
    if speech_input.config.unit_sd:
        channels = channels / (channels**2 * weight).sum(1, keepdim=True).sqrt().clamp(min=LEAST_SD)
    index = begin[:, None] + torch.arange(n_samples, device=speech.device)
    index = torch.minimum(index, length[:, None] - 1)
    windows = channels.gather(1, index[..., None].expand(-1, -1, channels.shape[-1]))
    if speech_input.config.levelled:
        windows = with_masked_bands(windows)
    else:
        windows = windows + change.component_noise * torch.randn_like(windows)
        kept = torch.rand(windows.shape[0], 1, windows.shape[2], device=windows.device) >= change.component_dropout
        windows = windows * kept
    return with_masked_stretch(windows, round(MASKED_STRETCH_S * speech_input.rate_hz))


def another_voice(log_power: Tensor) -> Tensor:
    """Log power (B, F, W) with its bands shifted by up to 1.5, as by another vocal tract; the outermost ones are held."""
    n_bands = log_power.shape[-1]
    shift = uniform((-LARGEST_SHIFT_BANDS, LARGEST_SHIFT_BANDS), log_power)
    position = (torch.arange(n_bands, device=log_power.device) + shift).clamp(0, n_bands - 1)
    low = position.floor()
    part = (position - low)[:, None]
    low = low.long()
    high = (low + 1).clamp(max=n_bands - 1)

    def bands(index: Tensor) -> Tensor:
        return log_power.gather(2, index[:, None].expand(-1, log_power.shape[1], -1))

    return bands(low) * (1 - part) + bands(high) * part


def another_room(log_power: Tensor, valid: Tensor, noise_below_peak_db: tuple[float, float]) -> Tensor:
    """Log power (B, F, W) with steady coloured noise (half of the utterances) and with a reverberant tail (likewise)."""
    peak = log_power.masked_fill(~valid[..., None], -torch.inf).amax((1, 2), keepdim=True)
    level = peak - uniform(noise_below_peak_db, log_power)[..., None] * NEPERS_PER_DB
    knots = torch.randn(len(log_power), 1, COLOUR_KNOTS, device=log_power.device)
    colour = torch.nn.functional.interpolate(knots, log_power.shape[-1], mode="linear", align_corners=True)
    noisy = torch.logaddexp(log_power, level + colour + NOISE_SD_NEPERS * torch.randn_like(log_power))
    log_power = torch.where(half_of(log_power), noisy, log_power)
    return torch.where(half_of(log_power), reverberant(log_power, peak), log_power)


def reverberant(log_power: Tensor, peak: Tensor) -> Tensor:
    """Log power (B, F, W) with the exponential tail of a room: 60 dB per reverberation time, in the power domain."""
    samples = FEATURE_HZ * uniform(REVERBERATION_S, log_power)[..., None]
    decay = 10.0 ** (-6.0 / samples)
    power = (log_power - peak).exp()
    tail = _later(power, 1)
    # The geometric kernel 1, d, d^2 ... d^63 is the product of (1 + d^(2^k) shift^(2^k)).
    for k in range(TAPS_LOG2):
        tail = tail + decay ** (2**k) * _later(tail, 2**k)
    share = uniform((0.0, MOST_REVERBERANT), log_power)[..., None]
    return (power + share * tail + 1e-9).log() + peak


def with_masked_bands(windows: Tensor) -> Tensor:
    """Windows (B, n, C) with two stretches of channels at their mean."""
    channel = torch.arange(windows.shape[-1], device=windows.device)
    for most in MASKED_BANDS:
        begin = torch.rand(len(windows), 1, device=windows.device) * (windows.shape[-1] - most)
        width = torch.randint(0, most + 1, (len(windows), 1), device=windows.device)
        masked = (channel >= begin.floor()) & (channel < begin.floor() + width)
        windows = windows.masked_fill(masked[:, None], 0.0)
    return windows


def with_masked_stretch(windows: Tensor, most: int) -> Tensor:
    """Windows (B, n, C) with up to ``most`` neighbouring samples at their mean."""
    time = torch.arange(windows.shape[1], device=windows.device)
    begin = torch.randint(0, max(1, windows.shape[1] - most), (len(windows), 1), device=windows.device)
    width = torch.randint(0, most + 1, (len(windows), 1), device=windows.device)
    return windows.masked_fill(((time >= begin) & (time < begin + width))[..., None], 0.0)


def uniform(bounds: tuple[float, float], like: Tensor) -> Tensor:
    """One number per utterance, (B, 1)."""
    return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(len(like), 1, device=like.device)


def half_of(like: Tensor) -> Tensor:
    """True for about half of the utterances, (B, 1, 1)."""
    return torch.rand(len(like), 1, 1, device=like.device) < 0.5


def _later(x: Tensor, by: int) -> Tensor:
    """(B, F, W) ``by`` samples later; zeros come in."""
    return torch.nn.functional.pad(x, (0, 0, by, 0))[:, : x.shape[1]] if by < x.shape[1] else torch.zeros_like(x)
