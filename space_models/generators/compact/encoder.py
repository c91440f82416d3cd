"""The encoder of `compact`: canvas → latents and the person's offsets."""

import torch
from torch import Tensor, nn

from space_models.generators.compact.keypoints import N_KEYPOINTS
from space_models.generators.compact.layers import Residual, conv, resize, zero_linear

MAX_OFFSET = 0.15  # IOD, of a person's keypoints from the canonical ones
WHOLE_SIDE = 64  # of the whole canvas, as its trunk sees it
EYES_ROWS, EYES_COLUMNS = (16, 64), (12, 116)
MOUTH_ROWS, MOUTH_COLUMNS = (66, 122), (20, 108)
"""Of the canvas: what the eyes' and the mouth's trunk see."""


class Encoder(nn.Module):
    """Canvases (B, 3, S, S) in [0, 1] -> latents z (B, D) and the person's offsets o (B, K, 3).

    Three trunks of the same shape: the whole canvas at half size, the eyes and the mouth at full size. One trunk over the whole
    canvas reads the gaze with half the R2.
    """

    def __init__(self, width: int, latent_size: int) -> None:
        super().__init__()
        w = width
        sides = (
            (WHOLE_SIDE, WHOLE_SIDE),
            (EYES_ROWS[1] - EYES_ROWS[0], EYES_COLUMNS[1] - EYES_COLUMNS[0]),
            (MOUTH_ROWS[1] - MOUTH_ROWS[0], MOUTH_COLUMNS[1] - MOUTH_COLUMNS[0]),
        )
        self.trunks = nn.ModuleList(
            nn.Sequential(conv(3, w, 2), conv(w, 2 * w, 2), conv(2 * w, 3 * w, 2), Residual(3 * w), nn.Conv2d(3 * w, w, 1))
            for _ in sides
        )
        seen = sum(w * (rows // 8) * (columns // 8) for rows, columns in sides)
        self.hidden = nn.Sequential(nn.Linear(seen, 8 * w), nn.SiLU())
        self.latents = nn.Linear(8 * w, latent_size)
        self.offset = zero_linear(8 * w, N_KEYPOINTS * 3)

    def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        mean = canvas.mean((2, 3), keepdim=True)
        seen = (canvas - mean) / canvas.std((1, 2, 3), keepdim=True).clamp_min(1e-3)
        eyes = seen[:, :, slice(*EYES_ROWS), slice(*EYES_COLUMNS)]
        mouth = seen[:, :, slice(*MOUTH_ROWS), slice(*MOUTH_COLUMNS)]
        views = (resize(seen, WHOLE_SIDE), eyes, mouth)
        hidden = self.hidden(torch.cat([trunk(view).flatten(1) for trunk, view in zip(self.trunks, views, strict=True)], 1))
        offset = MAX_OFFSET * torch.tanh(self.offset(hidden).unflatten(1, (N_KEYPOINTS, 3)))
        return self.latents(hidden), offset
