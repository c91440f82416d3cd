"""FiLM: feature-wise linear modulation (Perez et al., AAAI 2018), how SPACE conditions on emotion; and on not knowing it.

A mixture of emotions is (9,), all NaN where nobody labelled the clip. Unlabelled clips must not define neutral, so a model that
learns from any has one condition more, *null*, with weights of its own beside those of the emotions; no labelled clip is shown as
null. A model that learns from labelled clips alone is the one without null, bit for bit.
"""

import logging
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from space_data.schema import NEUTRAL_LABEL, UNKNOWN, emotion_vector

logger = logging.getLogger(__name__)


class FiLM(nn.Module):
    """Scale and shift each channel by a linear function of the condition; the identity for a condition of zeros."""

    def __init__(self, n_condition: int, n_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_condition, 2 * n_channels, bias=False)
        nn.init.normal_(self.linear.weight, std=0.02)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(batch, channels, time) modulated by condition (batch, n), or by one that changes over time, (batch, steps, n).

        ``time`` is a multiple of ``steps``: a layer may run faster than its condition, each step of which then holds for a while.
        """
        if condition.dim() == 2:
            condition = condition[:, None]
        gain, shift = self.linear(condition).transpose(1, 2).chunk(2, 1)
        if gain.shape[-1] not in (1, x.shape[-1]):
            hold = x.shape[-1] // gain.shape[-1]
            gain, shift = gain.repeat_interleave(hold, -1), shift.repeat_interleave(hold, -1)
        return x * (1 + gain) + shift


def condition_of(emotion: Tensor, unlabelled: bool) -> Tensor:
    """The condition for mixtures (..., 9): these, and for a model that knows ``unlabelled`` clips a tenth entry, null.

    Neutral is the absence of emotion: mixtures that name it and that leave it out have the same zeros there, so that FiLM is the
    identity for either, and intensity 0 is neutral exactly. An unknown mixture becomes zeros and null 1, a known one has null 0.
    Without null an unknown one stays NaN: training on it stops there, and ``learnt_emotion`` has replaced it for predictions.
    """
    emotion = emotion.clone()
    emotion[..., NEUTRAL_LABEL] = torch.where(emotion[..., NEUTRAL_LABEL].isnan(), torch.nan, 0.0)
    if not unlabelled:
        return emotion
    unknown = emotion.isnan().any(-1, keepdim=True)
    return torch.cat([emotion.masked_fill(unknown, 0.0), unknown.to(emotion.dtype)], -1)


def learnt_emotion(emotion: NDArray[np.floating], labelled: bool, unlabelled: bool, model: str) -> NDArray[np.floating]:
    """The mixture (9,), or one per frame (T, 9), with which to drive ``model``.

    It learnt from ``labelled`` clips, from ``unlabelled`` ones, or both. What it has not learnt becomes what it has: unknown
    neutral, or any emotion unknown. A warning says so, once per process.
    """
    known = ~np.isnan(emotion).any(axis=-1)
    if known.any() and not labelled:
        _warn_once(f"{model}: learnt from unlabelled clips only, every emotion (neutral too) is driven as {UNKNOWN}")
        return np.broadcast_to(emotion_vector(UNKNOWN, 0.0), emotion.shape).copy()
    if not known.all() and not unlabelled:
        _warn_once(f"{model}: learnt from labelled clips only, emotion {UNKNOWN} is driven as neutral")
        return np.where(known[..., None], emotion, emotion_vector("neutral", 1.0))
    return emotion


@cache
def _warn_once(message: str) -> None:
    logger.warning(message)
