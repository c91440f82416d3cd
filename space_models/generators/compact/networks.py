"""The networks of the `compact` generator: canvas -> latents -> keypoints -> backward flow -> repaired canvas.

A relative of face-vid2vid (arXiv 2011.15126, sections 3.1-3.2) and of LivePortrait (arXiv 2407.03168, eq. 2), cut down to what
one CPU core can train. Departures, all for the sake of little training (`docs/departures.md`):

* pose is given exactly (``PoseTrack``), not estimated; keypoints are ``s R (c + o + delta) + t`` with learnt canonical points c,
  offsets o of the source and expression ``delta = z B``. The latents z (D,) are read from the driving picture's pixels;
* the head turns as an *ellipsoid* of learnt size: one exact rigid candidate motion in place of a feature volume;
* everything is computed on the head-fixed canvas (``canvas``), and the photo is warped at full size (``composite``).

``encoder``, ``motion`` and ``painter`` can each be read alone; ``keypoints`` says what they exchange.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from space_models.generators.compact.canvas import SIZE_PX, cells, fold, unfold
from space_models.generators.compact.encoder import Encoder
from space_models.generators.compact.keypoints import (
    CODE_INPUTS,
    N_KEYPOINTS,
    POSE_TERMS,
    Face,
    code_of,
    moved,
    pose_terms,
    still_motion,
)
from space_models.generators.compact.layers import look_up, resize
from space_models.generators.compact.motion import FLOW_SIDE, MotionField
from space_models.generators.compact.painter import Painter

MODEL = "compact"
CODE_SIZE = 96
BASIS_SCALE = 0.01
NARROW_MASK, MASK_BIAS = 4.0, 0.25
"""Bound the mask's logit to +-4: a free one ran to "all warp" within 150 steps."""


@dataclass(frozen=True)
class CompactConfig:
    """Size of the networks; stored in the weights' card."""

    latent_size: int
    """D, numbers per frame"""
    width: int
    """channels of the first layer of each network; the others are multiples of it"""


@dataclass(frozen=True)
class Source:
    """What of a portrait is computed once: canvas (B, 3, S, S) in [0, 1], its appearance maps and its face."""

    canvas: Tensor
    features: list[Tensor]
    face: Face

    def expand(self, batch: int) -> "Source":
        """The same for each of ``batch`` frames."""
        face = Face(*(t.expand(batch, *t.shape[1:]) for t in self.face))
        return Source(self.canvas.expand(batch, -1, -1, -1), [f.expand(batch, -1, -1, -1) for f in self.features], face)


class Drawn(NamedTuple):
    """What one pass of the network gives; pictures (B, 3, S, S), ``shown`` (B, 1, S, S).

    ``displacement`` (B, 2, F, F): where the source is looked at, in its head's plane (IOD), against a picture that stands still.
    """

    picture: Tensor
    warped: Tensor
    painted: Tensor
    shown: Tensor
    displacement: Tensor


class CompactNet(nn.Module):
    """Encoder, keypoints, motion field and painter together."""

    pose_share: Tensor

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.width, config.latent_size)
        self.canonical = nn.Parameter(torch.zeros(N_KEYPOINTS, 3))
        self.basis = nn.Parameter(torch.randn(config.latent_size, N_KEYPOINTS * 3) * BASIS_SCALE)
        self.code = nn.Sequential(nn.Linear(CODE_INPUTS, CODE_SIZE), nn.SiLU(), nn.Linear(CODE_SIZE, CODE_SIZE), nn.SiLU())
        self.motion = MotionField(config.width, CODE_SIZE)
        self.painter = Painter(config.width, CODE_SIZE)
        self.register_buffer("pose_share", torch.zeros(POSE_TERMS, config.latent_size))

    def pose_part(self, pose: Tensor) -> Tensor:
        """What of the latents follows from poses (B, 7): (B, D). Latents are handed out without it, and composed with it again.

        A picture of a turned head tells the encoder its direction whatever the losses say. The coefficients are fitted on the
        training set within clips (``training.fit_pose_share``); with the same pose nothing that is drawn depends on them.
        """
        return pose_terms(pose) @ self.pose_share

    def delta(self, z: Tensor) -> Tensor:
        """Expression (B, K, 3), IOD, of latents (B, D)."""
        return (z @ self.basis).unflatten(-1, (N_KEYPOINTS, 3))

    def face(self, z: Tensor, offset: Tensor, pose: Tensor) -> Face:
        """Keypoints in the head frame from latents (B, D), the person's offsets (B, K, 3) and pose (B, 7)."""
        delta = self.delta(z)
        return Face(self.canonical + offset + delta, delta, pose)

    def source(self, canvas: Tensor, face: Face) -> Source:
        """What of a source canvas (B, 3, S, S) in [0, 1] is needed for drawing."""
        return Source(canvas, self.painter.features(canvas), face)

    def draw(self, source: Source, driving: Face) -> Drawn:
        """Draw the source with the driving face, on the driving face's canvas."""
        gate = moved(source.face, driving)[:, None, None, None]
        code = self.code(code_of(source.face, driving))
        displacement = self.motion(resize(source.canvas, FLOW_SIDE), source.face, driving, code, gate)
        q = unfold(cells(SIZE_PX, source.canvas.device)).expand(len(source.canvas), -1, -1, -1)
        still = still_motion(q, source.face.pose, driving.pose)
        u = fold(still + resize(displacement, SIZE_PX).permute(0, 2, 3, 1))
        warped = look_up(source.canvas, u)
        painted, logit = self.painter(source.features, u, warped, driving, code)
        shown = torch.sigmoid(NARROW_MASK * torch.tanh(logit / NARROW_MASK + MASK_BIAS))
        shown = 1 - gate * (1 - shown)
        return Drawn(shown * warped + (1 - shown) * painted, warped, painted, shown, displacement)

    def forward(
        self, source: Tensor, source_view: Tensor, source_pose: Tensor, driving_view: Tensor, driving_pose: Tensor
    ) -> tuple[Drawn, Face, Face]:
        """For training: draw `source` as the driving picture.

        Args:
            source: canvases (B, 3, S, S) to draw from.
            source_view, driving_view: canvases that the encoder sees (tinted and shaken a little).
            source_pose, driving_pose: (B, 7).

        Returns:
            What was drawn, the source's and the driving face.
        """
        z, offset = self.encoder(torch.cat([source_view, driving_view]))
        batch = len(source)
        own = self.face(z[:batch], offset[:batch], source_pose)
        driving = self.face(z[batch:], offset[:batch], driving_pose)
        return self.draw(self.source(source, own), driving), own, driving
