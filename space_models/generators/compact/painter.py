"""The painter of `compact`: what the moved source cannot show, and where to show it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from space_models.generators.compact.canvas import cells, unfold
from space_models.generators.compact.keypoints import N_KEYPOINTS, Face
from space_models.generators.compact.layers import FilmConv, Residual, conv, heat_maps, look_up, resize, up
from space_models.generators.compact.motion import HEAT_SIGMA


class Painter(nn.Module):
    """Warped source features + driving keypoints -> what the warp cannot show (mouth, lids, uncovered places) and where."""

    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        w = width
        self.encode = nn.ModuleList(
            [
                conv(3, w, 2),
                nn.Sequential(conv(w, 3 * w, 2), Residual(3 * w)),
                nn.Sequential(conv(3 * w, 4 * w, 2), Residual(4 * w)),
            ]
        )
        self.low_film = FilmConv(4 * w + N_KEYPOINTS, 4 * w, code)
        self.low = nn.Sequential(Residual(4 * w), Residual(4 * w))
        self.middle_in = conv(7 * w + N_KEYPOINTS, 4 * w, kernel=1)
        self.middle_film = FilmConv(4 * w, 3 * w, code)
        self.middle = Residual(3 * w)
        self.narrow = conv(3 * w, 2 * w, kernel=1)
        self.high_film = FilmConv(3 * w + 12, 2 * w, code)
        self.out_conv = nn.Conv2d(2 * w, 4 * 4, 3, 1, 1)

    def features(self, canvas: Tensor) -> list[Tensor]:
        """Appearance of a source (B, 3, S, S): maps at S/2, S/4 and S/8. Needed once per portrait."""
        x = canvas * 2 - 1
        maps = []
        for layer in self.encode:
            x = layer(x)
            maps.append(x)
        return maps

    def forward(self, features: list[Tensor], u: Tensor, warped: Tensor, driving: Face, code: Tensor) -> tuple[Tensor, Tensor]:
        """Painted colours (B, 3, S, S) in [0, 1] and the logit of the share of the warped source to show, (B, 1, S, S).

        ``u`` (B, S, S, 2): canvas coordinates of the source, per pixel of the driving canvas.
        """
        flow = u.permute(0, 3, 1, 2)
        high, middle, low = (look_up(f, resize(flow, f.shape[-1]).permute(0, 2, 3, 1)) for f in features)
        heat = heat_maps(driving.in_head_plane(), unfold(cells(middle.shape[-1], u.device)), HEAT_SIGMA)
        x = self.low(self.low_film(torch.cat([low, F.avg_pool2d(heat, 2)], 1), code))
        x = self.middle(self.middle_film(self.middle_in(torch.cat([up(x), middle, heat], 1)), code))
        x = self.high_film(torch.cat([up(self.narrow(x)), high, F.pixel_unshuffle(warped * 2 - 1, 2)], 1), code)
        painted = F.pixel_shuffle(self.out_conv(x), 2)
        return torch.sigmoid(painted[:, :3]), painted[:, 3:]
