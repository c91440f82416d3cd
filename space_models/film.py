"""FiLM: feature-wise linear modulation (Perez et al., AAAI 2018), how SPACE conditions on emotion."""

from torch import Tensor, nn


class FiLM(nn.Module):
    """Scale and shift each channel by a linear function of the condition; the identity for a condition of zeros."""

    def __init__(self, n_condition: int, n_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_condition, 2 * n_channels, bias=False)
        nn.init.normal_(self.linear.weight, std=0.02)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(batch, channels, time) modulated by condition (batch, n)."""
        gain, shift = self.linear(condition).chunk(2, -1)
        return x * (1 + gain[..., None]) + shift[..., None]
