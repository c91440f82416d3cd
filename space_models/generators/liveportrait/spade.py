"""G, the decoder: features to a frame, by SPADE normalisation (arXiv 1903.07291).

The published weights are spectrally normalised; `weights` folds that into plain convolutions, which is what it amounts to once
training is over.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from space_models.generators.liveportrait.config import LivePortraitConfig

SLOPE = 0.2


class Spade(nn.Module):
    """Instance normalisation, then scale and shift per pixel from the features: x (B, C, H, W), features (B, E, h, w)."""

    def __init__(self, width: int, n_features: int, hidden: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(n_features, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, width, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, width, 3, padding=1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """See the class."""
        if features.shape[-2:] != x.shape[-2:]:
            features = F.interpolate(features, size=x.shape[-2:])
        shared = self.mlp_shared(features)
        return F.instance_norm(x) * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)


class SpadeBlock(nn.Module):
    """Residual block whose normalisations are SPADE's."""

    def __init__(self, n_in: int, n_out: int, n_features: int, hidden: int) -> None:
        super().__init__()
        middle = min(n_in, n_out)
        self.norm_0, self.conv_0 = Spade(n_in, n_features, hidden), nn.Conv2d(n_in, middle, 3, padding=1)
        self.norm_1, self.conv_1 = Spade(middle, n_features, hidden), nn.Conv2d(middle, n_out, 3, padding=1)
        self._changes_width = n_in != n_out
        if self._changes_width:
            self.norm_s, self.conv_s = Spade(n_in, n_features, hidden), nn.Conv2d(n_in, n_out, 1, bias=False)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """x (B, C, H, W), features (B, E, h, w)."""
        residual = self.conv_0(F.leaky_relu(self.norm_0(x, features), SLOPE))
        residual = self.conv_1(F.leaky_relu(self.norm_1(residual, features), SLOPE))
        return residual + (self.conv_s(self.norm_s(x, features)) if self._changes_width else x)


class SpadeDecoder(nn.Module):
    """(B, 256, H, W) → frames (B, 3, 8 H, 8 W) in 0..1."""

    def __init__(self, config: LivePortraitConfig) -> None:
        super().__init__()
        n_features, hidden, width = config.feature_width, config.spade_hidden, config.max_width
        self.fc = nn.Conv2d(n_features, width, 3, padding=1)
        for i in range(config.decoder_blocks):
            setattr(self, f"G_middle_{i}", SpadeBlock(width, width, n_features, hidden))
        self._middle = [f"G_middle_{i}" for i in range(config.decoder_blocks)]
        self.up_0 = SpadeBlock(width, n_features, n_features, hidden)
        self.up_1 = SpadeBlock(n_features, config.width, n_features, hidden)
        self.conv_img = nn.Sequential(nn.Conv2d(config.width, 3 * 4, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        x = self.fc(features)
        for name in self._middle:
            x = getattr(self, name)(x, features)
        for block in (self.up_0, self.up_1):
            x = block(F.interpolate(x, scale_factor=2), features)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, SLOPE)))
