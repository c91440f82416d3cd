"""Convolution blocks that F and W share: convolution, batch normalisation, activation. Names are those of the weights."""

from torch import Tensor, nn
from torch.nn import functional as F


class ConvBlock2d(nn.Module):
    """3x3 convolution, normalisation, ReLU (or leaky ReLU); optionally halves the picture. (B, C, H, W) → (B, D, H', W')."""

    def __init__(self, n_in: int, n_out: int, *, leaky: bool = False, halves: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.norm = nn.BatchNorm2d(n_out)
        self._leaky, self._halves = leaky, halves

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.norm(self.conv(x))
        x = F.leaky_relu(x) if self._leaky else F.relu(x)
        return F.avg_pool2d(x, 2) if self._halves else x


class ConvBlock3d(nn.Module):
    """3x3x3 convolution, normalisation, ReLU on (B, C, D, H, W); the picture's size, not the depth, may be halved or doubled."""

    def __init__(self, n_in: int, n_out: int, *, halves: bool = False, doubles: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv3d(n_in, n_out, 3, padding=1)
        self.norm = nn.BatchNorm3d(n_out)
        self._halves, self._doubles = halves, doubles

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self._doubles:
            x = F.interpolate(x, scale_factor=(1, 2, 2))
        x = F.relu(self.norm(self.conv(x)))
        return F.avg_pool3d(x, (1, 2, 2)) if self._halves else x


class ResBlock3d(nn.Module):
    """Pre-activation residual block on (B, C, D, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm3d(width), nn.Conv3d(width, width, 3, padding=1)
        self.norm2, self.conv2 = nn.BatchNorm3d(width), nn.Conv3d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        residual = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(residual)))
