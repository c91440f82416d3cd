"""Channels of sound to one or two, and what would spoil that.

Samples that are not numbers, float samples in the range of integers, and channels of opposite sign, whose mix would be silence.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Layout = Literal["mono", "stereo"]

LOUD = 16.0
"""Float samples beyond this are not loud (24 dB over full scale) but in another scale, or damaged."""
INTEGER_SCALES = (2.0**15, 2.0**23, 2.0**31)
CANCELLED = 0.1
"""Channels cancel where the power of their sum is so small a share of the sum of their powers; 1 for unrelated channels."""
AUDIBLE = 1e-3
"""Windows whose power is a smaller share of the loudest one's say nothing about the channels."""


@dataclass(frozen=True)
class Treatment:
    """How decoded samples become mono."""

    scale: float = 1.0
    """by which samples are divided"""
    channel: int | None = None
    """the only one that is used; None: the mix of all"""


class Mixer:
    """Blocks of samples to mono or stereo, bad samples taken out, and what is learnt of the file on the way."""

    def __init__(self, treatment: Treatment, layout: Layout = "mono") -> None:
        self._treatment, self.layout = treatment, layout
        self.samples = self.bad_samples = self.channels = 0
        self._peaks: list[float] = []
        self._powers: list[NDArray[np.float64]] = []
        """per block: of the plain sum of the channels, then of each channel"""

    def mixed(self, samples: NDArray[np.float32], layout: Any, is_telling: bool) -> NDArray[np.float32]:
        """One channel or two, (1 or 2, n), of ``samples`` (channels, n) in PyAV's ``layout``; ``is_telling``: of the channels."""
        treatment, channels = self._treatment, len(samples)
        self.channels = max(self.channels, channels)
        self.samples += samples.size
        magnitude = np.abs(samples)
        is_bad = ~(magnitude <= LOUD * treatment.scale)
        self._peaks.append(float(np.max(magnitude, initial=0.0, where=np.isfinite(magnitude))))
        if is_bad.any():
            self.bad_samples += int(is_bad.sum())
            samples = np.where(is_bad, np.float32(0), samples)
        samples = samples / np.float32(treatment.scale) if treatment.scale != 1 else samples
        if self.layout == "stereo":
            return np.asarray(_stereo_weights(layout) @ samples, np.float32)
        if channels == 1:
            return samples
        if treatment.channel is not None:
            return samples[min(treatment.channel, channels - 1)][None]
        if is_telling:
            self._powers.append(np.array([np.square(x).mean() for x in (samples.sum(axis=0), *samples)], np.float64))
        return np.asarray(_mono_weights(layout) @ samples, np.float32)[None]

    def treatment(self) -> Treatment:
        """What the file needs, now that all of it was seen."""
        scale, channel = 1.0, None
        loud = [peak for peak in self._peaks if peak > LOUD]
        if len(loud) > sum(peak > 0 for peak in self._peaks) / 2:
            scale = next((s for s in INTEGER_SCALES if np.percentile(loud, 95) <= s), INTEGER_SCALES[-1])
        if self._powers and len({len(row) for row in self._powers}) == 1:
            power = np.array(self._powers)
            total = power[:, 1:].sum(axis=1)
            audible = total > AUDIBLE * total.max()
            if (power[audible, 0] < CANCELLED * total[audible]).any():
                channel = int(power[:, 1:].sum(axis=0).argmax())
        return Treatment(scale, channel)


def _mono_weights(layout: Any) -> NDArray[np.float32]:
    """Share of each channel in the mix: ITU-R BS.775's coefficients as in FFmpeg, which leaves the bass channel out, with sum 1.

    FFmpeg's own mix of float samples has a larger sum and clips.
    """
    share = {"FC": 1.0, "LFE": 0.0, "BL": 0.5, "BR": 0.5, "SL": 0.5, "SR": 0.5, "BC": 0.5}
    weights = np.array([share.get(channel.name, np.sqrt(0.5)) for channel in layout.channels], np.float32)
    return weights / weights.sum() if weights.sum() else np.full(len(weights), 1 / len(weights), np.float32)


def _stereo_weights(layout: Any) -> NDArray[np.float32]:
    """Share of each channel left and right, (2, channels), likewise; what is on both sides or in the middle goes to both."""
    if len(layout.channels) <= 2:  # which some files leave unnamed
        return np.eye(2, dtype=np.float32) if len(layout.channels) == 2 else np.ones((2, 1), np.float32)
    sides, share = {"L": (1.0, 0.0), "R": (0.0, 1.0)}, {"FL": 1.0, "FR": 1.0, "LFE": 0.0}
    rows = [np.array(sides.get(c.name[-1], (1.0, 1.0))) * share.get(c.name, np.sqrt(0.5)) for c in layout.channels]
    weights = np.array(rows, np.float32).T
    return weights / max(1.0, float(weights.sum(axis=1).max()))
