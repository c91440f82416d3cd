"""The encoder of OpenAI's Whisper tiny.en: log-mel in, a state of 384 numbers per 20 ms out. 8.2 million parameters.

    log-mel (80, 2 n) -> conv k3 -> conv k3 stride 2 -> + sinusoids -> 4 x (attention, MLP) -> layer norm -> (n, 384)

Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision", §2.2; parameters are named as in
openai/whisper (MIT), so that its checkpoint fits as it is. Departures: any length up to 30 s instead of exactly 30 s; the states
of every layer can be had; the last layer computes only the states that are asked for; positions are computed, not loaded.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from space_data.errors import SpaceError
from space_data.whisper_mel import N_MELS

WIDTH, HEADS, LAYERS, MLP_RATIO = 384, 6, 4, 4
MOST_STATES = 1500
"""The encoder was trained on 30 s; it has no positions beyond."""
LONGEST_PERIOD = 10_000.0


def sinusoids(length: int, width: int) -> Tensor:
    """Position encodings (length, width): sines, then cosines, rounded to half precision as in the published files.

    One in 70 is rounded to the other neighbour there: sines of angles up to 1500 differ in their last bits between libraries.
    """
    steps = math.log(LONGEST_PERIOD) / (width // 2 - 1)
    rates = torch.exp(-steps * torch.arange(width // 2, dtype=torch.float32))
    angles = torch.arange(length, dtype=torch.float32)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).half().float()


class Attention(nn.Module):
    """Multi-head self-attention; keys have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, keep: slice) -> Tensor:
        """(batch, n, width) -> the answers to the states ``keep``, (batch, kept, width)."""
        q, k, v = (self._split(y) for y in (self.query(x[:, keep]), self.key(x), self.value(x)))
        answer = F.scaled_dot_product_attention(q, k, v)
        return self.out(answer.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(batch, n, width) -> (batch, heads, n, width / heads)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class ResidualAttentionBlock(nn.Module):
    """Attention and MLP, each on a layer norm of what it is added to."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn, self.attn_ln = Attention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, MLP_RATIO * width), nn.GELU(), nn.Linear(MLP_RATIO * width, width))
        self.mlp_ln = nn.LayerNorm(width)

    def forward(self, x: Tensor, keep: slice = slice(None)) -> Tensor:
        """(batch, n, width) -> (batch, kept, width)."""
        x = x[:, keep] + self.attn(self.attn_ln(x), keep)
        return x + self.mlp(self.mlp_ln(x))


class WhisperEncoder(nn.Module):
    """See the module. Width, heads and layers are tiny.en's unless a test wants a smaller one."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS, layers: int = LAYERS) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(N_MELS, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.register_buffer("positional_embedding", sinusoids(MOST_STATES, width), persistent=False)
        self.blocks = nn.ModuleList(ResidualAttentionBlock(width, heads) for _ in range(layers))
        self.ln_post = nn.LayerNorm(width)

    def embed(self, log_mel: Tensor) -> Tensor:
        """Layer 0, convolutions and positions: log-mel (batch, 80, 2 n) -> (batch, n, width).

        Raises:
            SpaceError: of another number of bands, or longer than 30 s.
        """
        n_states = (log_mel.shape[2] + 1) // 2
        if log_mel.shape[1] != N_MELS or n_states > MOST_STATES:
            found = f"{log_mel.shape[1]} bands, {n_states} states"
            raise SpaceError(f"Whisper encoder: log-mel of {found}; need {N_MELS} bands and at most {MOST_STATES} states (30 s)")
        x = F.gelu(self.conv2(F.gelu(self.conv1(log_mel))))
        return x.transpose(1, 2) + self.positional_embedding[:n_states]  # type: ignore[index]

    def forward(self, log_mel: Tensor, keep: slice = slice(None), layers: Sequence[int] = ()) -> Tensor:
        """Final states of log-mel (batch, 80, 2 n): (batch, n, width), or only those of ``keep``, at less cost.

        ``layers``: states of these side by side instead, (batch, n, width * len(layers)); numbered as ``self.layers`` lists them.
        """
        last = len(self.blocks)
        states = {0: self.embed(log_mel)}
        for number, block in enumerate(self.blocks[:-1], 1):
            states[number] = block(states[number - 1])
        if last in (layers or (last,)):
            states[last] = self.ln_post(self.blocks[-1](states[last - 1], keep))
        return torch.cat([states[n] if n == last else states[n][:, keep] for n in layers or (last,)], dim=-1)

    def layers(self, log_mel: Tensor) -> list[Tensor]:
        """States of every layer, each (batch, n, width): convolutions and positions, each block; the last one normalised."""
        states = [self.embed(log_mel)]
        for block in self.blocks:
            states.append(block(states[-1]))
        return [*states[:-1], self.ln_post(states[-1])]
