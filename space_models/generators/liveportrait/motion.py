"""M, the motion extractor: a picture to canonical keypoints, expression, head pose. ConvNeXt V2 (arXiv 2301.00808)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from space_models.generators.liveportrait.config import LivePortraitConfig

EPSILON = 1e-6
DEGREES_PER_BIN, FIRST_BIN_DEG = 3.0, -97.5


@dataclass(frozen=True)
class Motion:
    """What M says of B pictures: angles as bins (B, 66), ``t`` (B, 3), ``exp`` (B, K * 3), ``scale`` (B, 1), canonical ``kp``
    (B, K * 3)."""

    pitch: Tensor
    yaw: Tensor
    roll: Tensor
    t: Tensor
    exp: Tensor
    scale: Tensor
    kp: Tensor


def degrees(bins: Tensor) -> Tensor:
    """Angle (B,) of scores per bin (B, 66): the expectation, in degrees."""
    share = bins.float().softmax(-1)
    return (share * torch.arange(bins.shape[-1], device=bins.device)).sum(-1) * DEGREES_PER_BIN + FIRST_BIN_DEG


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, EPSILON).permute(0, 3, 1, 2)


class ResponseNorm(nn.Module):
    """Global response normalisation of ConvNeXt V2 (section 3.2), on (B, H, W, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.zeros(1, 1, 1, width)), nn.Parameter(torch.zeros(1, 1, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        energy = x.norm(dim=(1, 2), keepdim=True)
        return self.gamma * (x * energy / (energy.mean(-1, keepdim=True) + EPSILON)) + self.beta + x


class Block(nn.Module):
    """Depthwise 7x7, then two layers per pixel, as a residual; (B, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, EPSILON)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.grn = ResponseNorm(4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        residual = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        residual = self.pwconv2(self.grn(F.gelu(self.pwconv1(residual))))
        return x + residual.permute(0, 3, 1, 2)


class Detector(nn.Module):
    """The backbone and its seven heads."""

    def __init__(self, config: LivePortraitConfig) -> None:
        super().__init__()
        widths, points = config.motion_widths, config.keypoints * 3
        self.downsample_layers = nn.ModuleList([nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0]))])
        for before, after in zip(widths, widths[1:], strict=False):
            self.downsample_layers.append(nn.Sequential(ChannelNorm(before), nn.Conv2d(before, after, 2, 2)))
        stages = zip(widths, config.motion_depths, strict=True)
        self.stages = nn.ModuleList(nn.Sequential(*(Block(width) for _ in range(depth))) for width, depth in stages)
        self.norm = nn.LayerNorm(widths[-1], EPSILON)
        self.fc_kp = nn.Linear(widths[-1], points)
        self.fc_scale = nn.Linear(widths[-1], 1)
        self.fc_pitch, self.fc_yaw, self.fc_roll = (nn.Linear(widths[-1], config.angle_bins) for _ in range(3))
        self.fc_t = nn.Linear(widths[-1], 3)
        self.fc_exp = nn.Linear(widths[-1], points)

    def forward(self, image: Tensor) -> Motion:
        """(B, 3, S, S) in 0..1."""
        x = image
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
        x = self.norm(x.mean((-2, -1)))
        heads = (self.fc_pitch, self.fc_yaw, self.fc_roll, self.fc_t, self.fc_exp, self.fc_scale, self.fc_kp)
        return Motion(*(head(x) for head in heads))


class MotionExtractor(nn.Module):
    """(B, 3, S, S) in 0..1 → `Motion`."""

    def __init__(self, config: LivePortraitConfig) -> None:
        super().__init__()
        self.detector = Detector(config)

    def forward(self, image: Tensor) -> Motion:
        """See the class."""
        motion: Motion = self.detector(image)
        return motion
