"""LPIPS (Zhang et al. 2018), version 0.1 on AlexNet: how different two pictures look to a network that people taught.

Own code because its authors' package fetches AlexNet by itself, and where it cannot only runs with random weights; here both
files come by `space_data.weights`. Equal to ``lpips`` 0.1.4 on the same weights (a test).
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import alexnet

from evaluation.metrics.entry import MeanStatistics
from evaluation.metrics.pictures import check_pair
from space_data.errors import SpaceError

BACKBONE_FILE, HEADS_FILE = "alexnet-owt-7be5be79.pth", "alex.pth"
SMALLEST_PX = 63
"""AlexNet's second pooling has nothing left of a smaller picture."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""The release's mean and deviation of RGB in [-1, 1]."""
TINY = 1e-10


class Lpips(nn.Module):
    """AlexNet's five rectified layers, each normalised over channels; their squared differences, weighted and averaged."""

    def __init__(self, backbone: dict[str, Tensor], heads: dict[str, Tensor]) -> None:
        """State dicts as they are published: torchvision's AlexNet, and the linear layers ``lin0`` to ``lin4``.

        Raises:
            SpaceError: they are of something else.
        """
        super().__init__()
        whole = alexnet()
        try:
            whole.load_state_dict(backbone)
            self.heads = [heads[f"lin{k}.model.1.weight"] for k in range(5)]
        except (KeyError, RuntimeError) as error:
            raise SpaceError(f"LPIPS: weights of another network ({str(error).splitlines()[0]})") from error
        self.layers = whole.features.eval().requires_grad_(False)

    def _features(self, pictures: Tensor) -> list[Tensor]:
        found, x = [], pictures
        for layer in self.layers:
            x = layer(x.clone() if isinstance(layer, nn.ReLU) else x)
            if isinstance(layer, nn.ReLU):
                found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + TINY))
        return found

    @torch.inference_mode()
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances (n,) of pictures (n, 3, height, width), RGB in [-1, 1]."""
        shift, scale = (torch.tensor(values)[:, None, None] for values in (SHIFT, SCALE))
        layers = zip(*(self._features((pictures - shift) / scale) for pictures in (first, second)), self.heads, strict=True)
        parts = [functional.conv2d((x - y).square(), head).mean(dim=(1, 2, 3)) for x, y, head in layers]
        return torch.stack(parts).sum(dim=0)


def picture_distance(network: Lpips, reference: NDArray[np.uint8], candidate: NDArray[np.uint8]) -> MeanStatistics:
    """LPIPS of one frame, RGB (height, width, 3) each.

    Raises:
        SpaceError: pictures of different sizes, or smaller than 63 px.
    """
    check_pair(reference, candidate)
    if min(reference.shape[:2]) < SMALLEST_PX:
        raise SpaceError(f"lpips: picture {reference.shape[:2]}, at least {SMALLEST_PX} px a side needed")
    both = (torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))) for rgb in (reference, candidate))
    first, second = (rgb[None] / 127.5 - 1 for rgb in both)
    return MeanStatistics(float(network(first, second)[0]), 1)


@lru_cache(maxsize=1)
def load(folder: Path) -> Lpips:
    """The network, once per process, from the folder of both verified files (`weights.find`)."""
    states = [torch.load(folder / name, map_location="cpu", weights_only=True) for name in (BACKBONE_FILE, HEADS_FILE)]
    return Lpips(*states)
