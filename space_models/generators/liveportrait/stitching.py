"""S, three small networks on keypoints: stitching (shoulders stay where the photo has them), and retargeting of lips and eyes.

Only stitching is used here: lips and lids come from Landmarks2Latents. The others are loaded so that a file is used as a whole.
"""

import torch
from torch import Tensor, nn

from space_models.generators.liveportrait.config import LivePortraitConfig

HIDDEN = {"stitching": (128, 128, 64), "lip": (128, 128, 64), "eye": (256, 256, 128, 128, 64)}


class Retargeting(nn.Module):
    """Layers with ReLU between: (B, n_in) → (B, n_out)."""

    def __init__(self, n_in: int, hidden: tuple[int, ...], n_out: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((n_in, *hidden), hidden, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden[-1], n_out))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.mlp(x)
        return found


class StitchingRetargeting(nn.Module):
    """The three of them."""

    def __init__(self, config: LivePortraitConfig) -> None:
        super().__init__()
        points = config.keypoints * 3
        self.stitching = Retargeting(2 * points, HIDDEN["stitching"], points + 2)
        self.lip = Retargeting(points + 2, HIDDEN["lip"], points)
        self.eye = Retargeting(points + 3, HIDDEN["eye"], points)

    def stitched(self, source: Tensor, driving: Tensor) -> Tensor:
        """Driving keypoints (B, K, 3), moved so that the frame's border fits the portrait's, whose own are (B, K, 3)."""
        change = self.stitching(torch.cat([source.flatten(1), driving.flatten(1)], 1))
        own, common = change[:, :-2].unflatten(1, driving.shape[1:]), change[:, None, -2:]
        return driving + own + nn.functional.pad(common, (0, 1))
