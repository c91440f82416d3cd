"""The Speech2Landmarks network: causal convolutions, an LSTM, FiLM on the emotion (paper, section 3.1), and a linear filter.

As far as the paper's design is known: short unidirectional temporal convolutions, an LSTM, FiLM conditioning on the emotion.
Our choices (docs/departures.md): the output is a *displacement* from the portrait's resting face, which the network sees; and a
linear temporal filter, trained on the same windows, is mixed in. Trained on espeak-ng, the deep branch knows its voices too well:
on real speakers the filter follows the lips better, on espeak-ng much worse, and a mixture has most of either's strength
(docs/s2l.md).

Shapes: B batch, n video frames, P samples of speech per frame, C channels of speech, N landmarks. The network sees no later than
its own last frame: look-ahead is made by whoever calls it, who takes the answer of frame t + lookahead for frame t (``stream``,
``task``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from space_data.landmarks import N_LANDMARKS
from space_data.schema import EMOTIONS
from space_models.film import FiLM, condition_of

N_OUT = N_LANDMARKS * 3
FACE_CODE = 32
FILTER_FRAMES, FILTER_RANK = 8, 32
"""Video frames that the linear filter spans, look-ahead included, and the number of temporal patterns that it is made of."""
STRIDES = {1: (1, 1, 1), 2: (2, 1, 1), 4: (2, 2, 1)}
"""Of the three convolutions, by samples of speech per video frame: the LSTM runs at the rate of the video."""
KERNELS = (5, 5, 3)


@dataclass(frozen=True)
class S2LConfig:
    """What the network is made of; written to the card."""

    encoder: str
    """name of the speech features (``SpeechSpec.name``)"""
    encoder_sha256: str
    """of the encoder's weights; empty for log-mel, which has none"""
    per_frame: int
    """samples of speech per video frame"""
    speech_width: int
    """numbers per sample, as the encoder gives them"""
    speech_channels: int
    """what the network sees of them (``SpeechInput``)"""
    channels: int
    hidden: int
    lookahead_frames: int
    dropout: float
    linear_share: float
    """of the linear filter in the prediction"""
    labelled: bool = True
    """some training clips had an emotion"""
    unlabelled: bool = False
    """some had none: these make the null condition, never neutral"""
    encoder_layers: Sequence[int] = ()
    """whose states the encoder gave (``SpeechSpec.layers``)"""


class NetworkState(NamedTuple):
    """What the network remembers between two chunks of a stream."""

    conv_tails: tuple[Tensor, ...]
    lstm: tuple[Tensor, Tensor]
    filter_tail: Tensor


class Output(NamedTuple):
    """Displacement of normalised landmarks, IOD, of n frames: by the deep branch and by the linear filter, (B, n, N, 3) each.

    ``hidden`` (B, n, hidden) and ``patterns`` (B, n, FILTER_RANK) are what the last layers of both see.
    """

    deep: Tensor
    linear: Tensor
    hidden: Tensor
    patterns: Tensor
    state: NetworkState


class CausalConv(nn.Module):
    """Convolution over time that sees no later than its own last sample: (B, in, time) -> (B, out, time / stride)."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.n_in, self.tail_length = n_in, kernel - stride
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride)

    def initial_tail(self, batch: int, like: Tensor) -> Tensor:
        """What precedes the first sample: zeros."""
        return like.new_zeros(batch, self.n_in, self.tail_length)

    def forward(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Output of ``x`` that follows ``tail`` (B, in, kernel - stride), and the tail for what comes next."""
        joined = torch.cat([tail, x], -1)
        return self.conv(joined), joined[..., joined.shape[-1] - self.tail_length :]


class S2LNetwork(nn.Module):
    """Displacement of normalised landmarks from a resting face."""

    def __init__(self, config: S2LConfig) -> None:
        super().__init__()
        self.config = config
        c, n_condition = config.channels, len(EMOTIONS) + config.unlabelled
        widths = (config.speech_channels, c, c, c)
        strides = STRIDES[config.per_frame]
        layers = zip(widths[:-1], widths[1:], KERNELS, strides, strict=True)
        self.convs = nn.ModuleList([CausalConv(*layer) for layer in layers])
        self.films = nn.ModuleList([FiLM(n_condition, c) for _ in self.convs])
        self.face_proj = nn.Sequential(nn.Linear(N_OUT, FACE_CODE), nn.GELU())
        self.drop = nn.Dropout(config.dropout)
        self.lstm = nn.LSTM(c + FACE_CODE, config.hidden, batch_first=True)
        self.film_out = FiLM(n_condition, config.hidden)
        self.out_proj = nn.Linear(config.hidden, N_OUT)
        self.baseline = nn.Linear(n_condition + FACE_CODE, N_OUT, bias=False)
        nn.init.zeros_(self.baseline.weight)
        self.filter_conv = CausalConv(config.speech_channels, FILTER_RANK, FILTER_FRAMES * config.per_frame, config.per_frame)
        self.filter_proj = nn.Linear(FILTER_RANK, N_OUT)
        for last in (self.out_proj, self.filter_proj):
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)

    def initial_state(self, batch: int) -> NetworkState:
        """Of a stream that begins."""
        like = self.out_proj.weight
        lstm = (like.new_zeros(1, batch, self.config.hidden), like.new_zeros(1, batch, self.config.hidden))
        tails = tuple(conv.initial_tail(batch, like) for conv in self.convs)  # type: ignore[operator]
        return NetworkState(tails, lstm, self.filter_conv.initial_tail(batch, like))

    def forward(self, speech: Tensor, face: Tensor, emotion: Tensor, state: NetworkState | None = None) -> Output:
        """Displacements of n frames that follow ``state``.

        Args:
            speech: (B, n * P, C), normalised.
            face: the resting face, (B, 3 N).
            emotion: mixture of each frame, (B, n, 9), or of all of them, (B, 9); NaN where it is unknown.
            state: of the frames before; None at the beginning.
        """
        batch, n_frames = speech.shape[0], speech.shape[1] // self.config.per_frame
        state = state or self.initial_state(batch)
        condition = condition_of(emotion, self.config.unlabelled)
        if condition.dim() == 2:
            condition = condition[:, None]
        speech = speech.transpose(1, 2)
        x, tails = speech, []
        for conv, film, tail in zip(self.convs, self.films, state.conv_tails, strict=True):
            x, tail = conv(x, tail)
            tails.append(tail)
            x = self.drop(F.gelu(film(x, condition)))
        x = x.transpose(1, 2)
        code = self.face_proj(face)[:, None]
        hidden, lstm = self.lstm(torch.cat([x, code.expand(-1, n_frames, -1)], -1), state.lstm)
        hidden = self.drop(self.film_out(hidden.transpose(1, 2), condition).transpose(1, 2))
        # The baseline lasts: an emotion's brows, lids and corners, less what the portrait wears already. FiLM then only has to
        # change how speech looks with it.
        baseline = self.baseline(torch.cat([condition, code.expand(-1, condition.shape[1], -1)], -1))
        patterns, filter_tail = self.filter_conv(speech, state.filter_tail)
        patterns = patterns.transpose(1, 2)
        deep, linear = self.out_proj(hidden) + baseline, self.filter_proj(patterns) + baseline
        after = NetworkState(tuple(tails), lstm, filter_tail)
        return Output(
            deep.unflatten(-1, (N_LANDMARKS, 3)), linear.unflatten(-1, (N_LANDMARKS, 3)), hidden, patterns, after
        )

    def mixed(self, output: Output) -> Tensor:
        """The prediction: both branches by the filter's share, (B, n, N, 3)."""
        return torch.lerp(output.deep, output.linear, self.config.linear_share)
