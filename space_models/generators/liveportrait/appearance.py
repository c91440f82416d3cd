"""F, the appearance feature extractor: a picture to the volume that is warped. Once per portrait."""

from torch import Tensor, nn

from space_models.generators.liveportrait.blocks import ConvBlock2d, ResBlock3d
from space_models.generators.liveportrait.config import LivePortraitConfig


class AppearanceExtractor(nn.Module):
    """(B, 3, S, S) in 0..1 → volume (B, 32, 16, S/4, S/4)."""

    def __init__(self, config: LivePortraitConfig) -> None:
        super().__init__()
        self._shape = (config.volume_channels, config.volume_depth)
        width = config.width
        self.first = ConvBlock2d(3, width)
        self.down_blocks = nn.ModuleList(
            ConvBlock2d(min(config.max_width, width << i), min(config.max_width, width << (i + 1)), halves=True) for i in range(2)
        )
        self.second = nn.Conv2d(min(config.max_width, width << 2), config.volume_channels * config.volume_depth, 1)
        self.resblocks_3d = nn.Sequential()
        for i in range(config.volume_blocks):
            self.resblocks_3d.add_module(f"3dr{i}", ResBlock3d(config.volume_channels))

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        x = self.first(image)
        for block in self.down_blocks:
            x = block(x)
        volume: Tensor = self.resblocks_3d(self.second(x).unflatten(1, self._shape))
        return volume
