"""W, the warping module: moves the appearance volume as the keypoints moved (face-vid2vid, arXiv 2011.15126, appendix A).

Shape legend: B batch, K keypoints, C channels, D H W the volume; a grid holds x, y, z in [-1, 1].
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from space_models.generators.liveportrait.blocks import ConvBlock2d, ConvBlock3d
from space_models.generators.liveportrait.config import LivePortraitConfig

KEYPOINT_VARIANCE = 0.01


@dataclass(frozen=True)
class Warped:
    """Features for G (B, 256, H, W), and what they come from: ``occlusion`` (B, 1, H, W), ``deformation`` (B, D, H, W, 3)."""

    out: Tensor
    occlusion: Tensor
    deformation: Tensor


def identity_grid(shape: tuple[int, int, int], like: Tensor) -> Tensor:
    """Coordinates of the voxels of a volume (D, H, W), from -1 at the first to 1 at the last: (D, H, W, 3)."""
    lines = [torch.linspace(-1, 1, size, dtype=like.dtype, device=like.device) for size in shape]
    z, y, x = torch.meshgrid(*lines, indexing="ij")
    return torch.stack([x, y, z], -1)


def heat(points: Tensor, grid: Tensor) -> Tensor:
    """Gaussians around points (B, K, 3): (B, K, D, H, W). The exponential falls apart into one factor per axis."""
    near_x, near_y, near_z = (
        torch.exp(-0.5 * (line - points[..., axis, None]) ** 2 / KEYPOINT_VARIANCE)
        for axis, line in enumerate((grid[0, 0, :, 0], grid[0, :, 0, 1], grid[:, 0, 0, 2]))
    )
    return near_z[..., :, None, None] * near_y[..., None, :, None] * near_x[..., None, None, :]


class Encoder(nn.Module):
    """Halves the picture ``flow_blocks`` times; returns every resolution, the largest first."""

    def __init__(self, config: LivePortraitConfig, n_in: int) -> None:
        super().__init__()
        widths = [n_in, *(min(config.flow_max_width, config.flow_width << (i + 1)) for i in range(config.flow_blocks))]
        pairs = zip(widths, widths[1:], strict=False)
        self.down_blocks = nn.ModuleList(ConvBlock3d(before, after, halves=True) for before, after in pairs)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class."""
        found = [x]
        for block in self.down_blocks:
            found.append(block(found[-1]))
        return found


class Decoder(nn.Module):
    """Back to full size, with what the encoder had at each size beside it."""

    def __init__(self, config: LivePortraitConfig, n_in: int) -> None:
        super().__init__()
        def width(i: int) -> int:
            return min(config.flow_max_width, config.flow_width << i)

        n = config.flow_blocks
        self.up_blocks = nn.ModuleList(
            ConvBlock3d((1 if i == n - 1 else 2) * width(i + 1), width(i), doubles=True) for i in reversed(range(n))
        )
        self.n_out = config.flow_width + n_in
        self.conv = nn.Conv3d(self.n_out, self.n_out, 3, padding=1)
        self.norm = nn.BatchNorm3d(self.n_out)

    def forward(self, found: list[Tensor]) -> Tensor:
        """See the class."""
        x = found[-1]
        for block, beside in zip(self.up_blocks, reversed(found[:-1]), strict=True):
            x = torch.cat([block(x), beside], 1)
        return F.relu(self.norm(self.conv(x)))


class Hourglass(nn.Module):
    """Encoder and decoder."""

    def __init__(self, config: LivePortraitConfig, n_in: int) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(config, n_in), Decoder(config, n_in)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) → (B, C + 32, D, H, W)."""
        flow: Tensor = self.decoder(self.encoder(x))
        return flow


class DenseMotion(nn.Module):
    """Where each voxel comes from: a mixture of the K keypoints' shifts and of staying where it is."""

    def __init__(self, config: LivePortraitConfig) -> None:
        super().__init__()
        n_candidates = config.keypoints + 1
        n_in = n_candidates * (config.flow_features + 1)
        self.compress = nn.Conv3d(config.volume_channels, config.flow_features, 1)
        self.norm = nn.BatchNorm3d(config.flow_features)
        self.hourglass = Hourglass(config, n_in)
        n_out = self.hourglass.decoder.n_out
        self.mask = nn.Conv3d(n_out, n_candidates, 7, padding=3)
        self.occlusion = nn.Conv2d(n_out * config.volume_depth, 1, 7, padding=3)

    def forward(self, volume: Tensor, source: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        """Volume (B, C, D, H, W), keypoints (B, K, 3) each: deformation (B, D, H, W, 3), occlusion (B, 1, H, W)."""
        batch = len(driving)
        # positions in full precision: in half of it a voxel's place is off by up to a thousandth of the volume
        with torch.autocast(driving.device.type, enabled=False):
            grid = identity_grid((volume.shape[2], volume.shape[3], volume.shape[4]), driving.float())
            shift = (source - driving).float()[:, :, None, None, None]
            candidates = torch.cat([grid.expand(batch, 1, *grid.shape), grid + shift], 1)
            closer = heat(driving.float(), grid) - heat(source.float(), grid)
        features = F.relu(self.norm(self.compress(volume)))
        n_candidates = candidates.shape[1]
        repeated = features[:, None].expand(-1, n_candidates, -1, -1, -1, -1).flatten(0, 1)
        moved = F.grid_sample(repeated, candidates.flatten(0, 1).to(features.dtype), align_corners=False)
        closer = F.pad(closer, (0, 0, 0, 0, 0, 0, 1, 0)).to(features.dtype)[:, :, None]
        seen = torch.cat([closer, moved.unflatten(0, (batch, n_candidates))], 2).flatten(1, 2)
        flow = self.hourglass(seen)
        share = self.mask(flow).float().softmax(1)
        deformation = torch.einsum("bkdhw,bkdhwc->bdhwc", share, candidates)
        return deformation, torch.sigmoid(self.occlusion(flow.flatten(1, 2)))


class WarpingModule(nn.Module):
    """Volume and keypoints to the features that G draws from."""

    def __init__(self, config: LivePortraitConfig) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotion(config)
        self.third = ConvBlock2d(config.volume_channels * config.volume_depth, config.feature_width, leaky=True)
        self.fourth = nn.Conv2d(config.feature_width, config.feature_width, 1)

    def forward(self, volume: Tensor, source: Tensor, driving: Tensor) -> Warped:
        """Volume (B, 32, 16, H, W), keypoints of the portrait and of the frames (B, K, 3)."""
        deformation, occlusion = self.dense_motion_network(volume, source, driving)
        moved = F.grid_sample(volume, deformation.to(volume.dtype), align_corners=False)
        features = self.fourth(self.third(moved.flatten(1, 2)))
        return Warped(features * occlusion, occlusion, deformation)
