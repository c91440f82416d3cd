"""Building blocks of the networks of `compact`."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def heat_maps(points: Tensor, plane: Tensor, sigma: Tensor | float) -> Tensor:
    """Gaussians around points (B, K, 2+) on a separable grid (H, W, 2): (B, K, H, W), 1 at the centre; sigma scalar or (K, 1)."""
    reach = 2 * sigma * sigma
    dx = plane[0, :, 0] - points[:, :, None, 0]
    dy = plane[:, 0, 1] - points[:, :, None, 1]
    return torch.exp(-dy * dy / reach)[..., :, None] * torch.exp(-dx * dx / reach)[..., None, :]


def look_up(maps: Tensor, u: Tensor) -> Tensor:
    """Sample maps (B, C, H, W) at canvas coordinates (B, h, w, 2)."""
    return F.grid_sample(maps, u, mode="bilinear", padding_mode="border", align_corners=False)


def resize(maps: Tensor, side: int) -> Tensor:
    """Bilinear resize of maps (B, C, H, W) to a square; averages when shrinking by a power of two."""
    if maps.shape[-1] == side:
        return maps
    if maps.shape[-1] > side:
        return F.avg_pool2d(maps, maps.shape[-1] // side)
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)


def conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution, group norm (8 channels a group: batches are small), ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.GroupNorm(max(1, outputs // 8), outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(width, width), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.GroupNorm(max(1, width // 8), width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to maps of the same shape."""
        return F.relu(x + self.body(x))


class FilmConv(nn.Module):
    """``conv`` whose norm is scaled and shifted by the code (FiLM, arXiv 1709.07871), by nothing at first."""

    def __init__(self, inputs: int, outputs: int, code: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.GroupNorm(max(1, outputs // 8), outputs)
        self.film = zero_linear(code, 2 * outputs)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Maps (B, C, H, W) and a code (B, N) to maps (B, C', H / stride, W / stride)."""
        scale, shift = self.film(code)[:, :, None, None].chunk(2, 1)
        return F.relu(self.norm(self.conv(x)) * (1 + scale) + shift)


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that starts at zero: what it steers starts without it."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def up(x: Tensor) -> Tensor:
    """Maps (B, C, H, W) at twice the size, cells repeated."""
    return F.interpolate(x, scale_factor=2, mode="nearest")
