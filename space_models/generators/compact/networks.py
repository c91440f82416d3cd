"""The networks of the `compact` generator: canvas -> latents -> keypoints -> backward flow -> repaired canvas.

A relative of face-vid2vid (arXiv 2011.15126, sections 3.1-3.2) and of LivePortrait (arXiv 2407.03168, eq. 2), cut down to what one
CPU core can train. Departures, all for the sake of little training (`docs/departures.md`):

* pose is given exactly (``PoseTrack``), not estimated; keypoints are ``s R (c + o + delta) + t`` with learnt canonical points c,
  offsets o of the source and expression ``delta = z B``. The latents z (D,) are read from the driving picture's pixels;
* the head turns as an *ellipsoid* of learnt size: one exact rigid candidate motion in place of a feature volume;
* everything is computed on the head-fixed canvas (``canvas``), and the photo is warped at full size (``composite``).

"Head's plane" q: x, y of ``Ry Rx n`` for a point n of the head frame, IOD; roll, scale and translation are out of it. Shape legend: B
batch, K keypoints, D latents, S = 128 side of the canvas, F = 64 side of the flow.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from space_models.generators.compact.canvas import SIZE_PX, cells, fold, to_pixels, to_plane, unfold

MODEL = "compact"
KEYPOINT_LANDMARKS: dict[str, tuple[int, ...]] = {
    "jaw_left": (0,),
    "jaw_right": (16,),
    "jaw_lower_left": (5,),
    "jaw_lower_right": (11,),
    "chin": (8,),
    "brow_left_outer": (17, 18, 19),
    "brow_left_inner": (20, 21),
    "brow_right_inner": (22, 23),
    "brow_right_outer": (24, 25, 26),
    "nose_tip": (30,),
    "lid_left_upper": (37, 38),
    "lid_right_upper": (43, 44),
    "iris_left": (68,),
    "iris_right": (73,),
    "mouth_left": (48,),
    "mouth_right": (54,),
    "lip_upper_outer": (50, 51, 52),
    "lip_lower_outer": (56, 57, 58),
    "lip_upper_inner": (61, 62, 63),
    "lip_lower_inner": (65, 66, 67),
}
"""The landmarks (of the 78) at whose mean each keypoint starts, and whose motion guides the encoder early in training."""

NAMES = tuple(KEYPOINT_LANDMARKS)
N_KEYPOINTS = len(NAMES)
RIGID = tuple(NAMES.index(name) for name in ("jaw_left", "jaw_right", "nose_tip"))
"""Keypoints that no expression moves: what moves them is pose, which has no place in the latents."""
LIPS = tuple(i for i, name in enumerate(NAMES) if name.startswith(("mouth", "lip", "chin")))

FLOW_SIDE = SIZE_PX // 2
HEAT_SIGMA = 0.12  # IOD, of the keypoint heat maps
START_SIGMA = {"lid": 0.07, "iris": 0.07, "mouth": 0.10, "lip": 0.10}  # IOD, starting reach of a keypoint's shift; others:
START_SIGMA_REST = 0.18
HEAD_LOGIT = -1.0
STILL_SLOPE, STILL_RADIUS = 3.0, 1.3  # starting logit of stillness: SLOPE (r - RADIUS), r the elliptic radius
FACE_CENTRE, FACE_RADII = (0.0, 0.2), (0.95, 1.25)  # IOD, of that ellipse
HEAD_CENTRE, HEAD_RADII = (0.0, 0.15, 0.85), (0.95, 1.3, 1.1)  # IOD, of the ellipsoid before training: an adult's head
MAX_RESIDUAL_FLOW = 0.2  # IOD
MAX_OFFSET = 0.15  # IOD, of a person's keypoints from the canonical ones
GATE_IOD = 0.015
"""A frame whose keypoints have all moved less than this against the source is shown as the source."""
CODE_GAIN, CODE_ANGLE_DEG = 8.0, 15.0  # bring delta and angles to about 1
NARROW_MASK, MASK_BIAS = 4.0, 0.25  # bound the mask's logit to +-4: an open one ran to "all warp" within 150 steps
EYES_ROWS, EYES_COLUMNS = (16, 64), (12, 116)
MOUTH_ROWS, MOUTH_COLUMNS = (66, 122), (20, 108)
"""Of the canvas: what the eyes' and the mouth's trunk of the encoder see."""


@dataclass(frozen=True)
class CompactConfig:
    """Size of the networks; stored in the weights' card."""

    latent_size: int
    """D, numbers per frame"""
    width: int
    """channels of the first layer of each network; the others are multiples of it"""


class Face(NamedTuple):
    """What is known of one picture's face: points of the head frame (B, K, 3), delta (B, K, 3), pose (B, 7)."""

    points: Tensor
    delta: Tensor
    pose: Tensor

    def in_head_plane(self) -> Tensor:
        """Keypoints ``Ry Rx n`` (B, K, 3): x, y of the head's plane and depth, IOD."""
        return self.points @ turn(self.pose).mT


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


def turn(pose: Tensor) -> Tensor:
    """``Ry(yaw) Rx(pitch)`` of poses (B, 7): (B, 3, 3)."""
    yaw, pitch = torch.deg2rad(pose[:, 0]), torch.deg2rad(pose[:, 1])
    cy, sy, cp, sp, zero = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin(), torch.zeros_like(yaw)
    rows = [(cy, sy * sp, sy * cp), (zero, cp, -sp), (-sy, cy * sp, cy * cp)]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def heat_maps(points: Tensor, plane: Tensor, sigma: Tensor | float) -> Tensor:
    """Gaussians around points (B, K, 2+) on a separable grid (H, W, 2): (B, K, H, W), 1 at the centre; sigma scalar or (K, 1)."""
    reach = 2 * sigma * sigma
    dx = plane[0, :, 0] - points[:, :, None, 0]
    dy = plane[:, 0, 1] - points[:, :, None, 1]
    return torch.exp(-dy * dy / reach)[..., :, None] * torch.exp(-dx * dx / reach)[..., None, :]


def look_up(maps: Tensor, u: Tensor) -> Tensor:
    """Sample maps (B, C, H, W) at canvas coordinates (B, h, w, 2)."""
    return F.grid_sample(maps, u, mode="bilinear", padding_mode="border", align_corners=False)


def resize(maps: Tensor, side: int) -> Tensor:
    """Bilinear resize of maps (B, C, H, W) to a square; averages when shrinking by a power of two."""
    if maps.shape[-1] == side:
        return maps
    if maps.shape[-1] > side:
        return F.avg_pool2d(maps, maps.shape[-1] // side)
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)


def _conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution, group norm (8 channels a group: batches are small), ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.GroupNorm(max(1, outputs // 8), outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(width, width), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.GroupNorm(max(1, width // 8), width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class _FilmConv(nn.Module):
    """``_conv`` whose norm is scaled and shifted by the code (FiLM, arXiv 1709.07871), by nothing at first."""

    def __init__(self, inputs: int, outputs: int, code: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.GroupNorm(max(1, outputs // 8), outputs)
        self.film = _zero_linear(code, 2 * outputs)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        scale, shift = self.film(code)[:, :, None, None].chunk(2, 1)
        return F.relu(self.norm(self.conv(x)) * (1 + scale) + shift)


def _zero_linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Encoder(nn.Module):
    """Canvases (B, 3, S, S) in [0, 1] -> latents z (B, D) and the person's offsets o (B, K, 3).

    Three trunks of the same shape: the whole canvas at half size, the eyes and the mouth at full size. One trunk over the whole canvas
    reads the gaze with half the R2.
    """

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        w = config.width
        sides = (
            (FLOW_SIDE, FLOW_SIDE),
            (EYES_ROWS[1] - EYES_ROWS[0], EYES_COLUMNS[1] - EYES_COLUMNS[0]),
            (MOUTH_ROWS[1] - MOUTH_ROWS[0], MOUTH_COLUMNS[1] - MOUTH_COLUMNS[0]),
        )
        self.trunks = nn.ModuleList(
            nn.Sequential(_conv(3, w, 2), _conv(w, 2 * w, 2), _conv(2 * w, 3 * w, 2), _Residual(3 * w), nn.Conv2d(3 * w, w, 1))
            for _ in sides
        )
        seen = sum(w * (rows // 8) * (columns // 8) for rows, columns in sides)
        self.hidden = nn.Sequential(nn.Linear(seen, 8 * w), nn.SiLU())
        self.latents = nn.Linear(8 * w, config.latent_size)
        self.offset = _zero_linear(8 * w, N_KEYPOINTS * 3)

    def forward(self, canvas: Tensor) -> tuple[Tensor, Tensor]:
        mean = canvas.mean((2, 3), keepdim=True)
        seen = (canvas - mean) / canvas.std((1, 2, 3), keepdim=True).clamp_min(1e-3)
        eyes = seen[:, :, slice(*EYES_ROWS), slice(*EYES_COLUMNS)]
        mouth = seen[:, :, slice(*MOUTH_ROWS), slice(*MOUTH_COLUMNS)]
        views = (resize(seen, FLOW_SIDE), eyes, mouth)
        hidden = self.hidden(torch.cat([trunk(view).flatten(1) for trunk, view in zip(self.trunks, views, strict=True)], 1))
        offset = MAX_OFFSET * torch.tanh(self.offset(hidden).unflatten(1, (N_KEYPOINTS, 3)))
        return self.latents(hidden), offset


class MotionField(nn.Module):
    """Source and driving face -> where to look at the source, in its head's plane.

    Candidates per cell (first-order motion model, arXiv 2003.00196, eq. 4, without Jacobians): the head's rigid motion shifted to agree
    with each keypoint, that motion itself, and stillness. Their weights start as Gaussians around the driving keypoints; an hourglass
    that sees the source so warped corrects them and adds a bounded residual.
    """

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        w, code = config.width, CODE_SIZE
        sigma = [next((s for part, s in START_SIGMA.items() if name.startswith(part)), START_SIGMA_REST) for name in NAMES]
        self.log_sigma = nn.Parameter(torch.tensor(sigma).log()[:, None])
        self.bias = nn.Parameter(torch.tensor([0.0] * N_KEYPOINTS + [HEAD_LOGIT, 0.0]))
        self.head_centre = nn.Parameter(torch.tensor(HEAD_CENTRE))
        self.head_log_radii = nn.Parameter(torch.tensor(HEAD_RADII).log())
        self.in_conv = _conv(N_KEYPOINTS + 6, 2 * w, 2)
        self.down = nn.ModuleList([_FilmConv(2 * w, 3 * w, code, 2), _FilmConv(3 * w, 4 * w, code, 2), _FilmConv(4 * w, 4 * w, code, 2)])
        self.up = nn.ModuleList([_FilmConv(4 * w, 4 * w, code), _FilmConv(4 * w, 3 * w, code), _FilmConv(3 * w, 2 * w, code)])
        self.out_conv = nn.Conv2d(2 * w, N_KEYPOINTS + 4, 3, 1, 1)
        nn.init.zeros_(self.out_conv.weight)
        nn.init.zeros_(self.out_conv.bias)  # type: ignore[arg-type]

    def forward(self, canvas: Tensor, source: Face, driving: Face, code: Tensor, gate: Tensor) -> Tensor:
        """Displacement (B, 2, F, F), see ``Drawn``, for source canvases (B, 3, F, F)."""
        plane = unfold(cells(FLOW_SIDE, canvas.device))
        q = plane.expand(len(canvas), -1, -1, -1)
        still = still_motion(q, source.pose, driving.pose)
        head = self.head_motion(q, source.pose, driving.pose)
        ours, theirs = source.in_head_plane(), driving.in_head_plane()
        shifts = ours[..., :2] - self.head_motion(theirs[..., :2], source.pose, driving.pose)  # (B, K, 2)

        distance = heat_maps(theirs, plane, self.log_sigma.exp()).clamp_min(1e-12).log()
        centre, radii = (torch.tensor(v, device=q.device) for v in (FACE_CENTRE, FACE_RADII))
        radius = ((plane - centre) / radii).norm(dim=-1)
        rest = torch.stack([torch.zeros_like(radius), STILL_SLOPE * (radius - STILL_RADIUS)])
        prior = torch.cat([distance, rest.expand(len(q), -1, -1, -1)], 1) + self.bias[:, None, None]
        first = _mix(prior, head, still, shifts)

        heat = heat_maps(theirs, plane, HEAT_SIGMA)
        nearer = ((ours - theirs)[..., 2, None, None] * heat).sum(1, keepdim=True)
        warped = look_up(canvas, fold(first))
        x = self.in_conv(torch.cat([heat, nearer, (first - q).permute(0, 3, 1, 2), warped * 2 - 1], 1))
        skips = []
        for layer in self.down:
            skips.append(x)
            x = layer(x, code)
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            x = layer(_up(x), code) + skip
        correction = resize(self.out_conv(x), FLOW_SIDE)
        residual = gate * MAX_RESIDUAL_FLOW * torch.tanh(correction[:, -2:])
        looked_at = _mix(prior + correction[:, :-2], head, still, shifts)
        return (looked_at - still).permute(0, 3, 1, 2) + residual

    def head_motion(self, q: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        """Driving to source positions (B, ..., 2) in the head's plane for poses (B, 7): a turned ellipsoid seen from the front.

        A line of sight that misses it carries the ellipsoid's mid-plane, so that hair and neck turn with the head.
        """
        flat = q.flatten(1, -2)
        back, forth, radii = turn(driving), turn(source), self.head_log_radii.exp()  # n = back^T seen
        start = (F.pad(flat, (0, 1)) @ back - self.head_centre) / radii  # (B, N, 3), the ray's foot at depth 0
        along = back[:, 2:3] / radii  # (B, 1, 3), its direction: away from the camera
        a, b, c = (along * along).sum(-1), (start * along).sum(-1), (start * start).sum(-1) - 1
        depth = (-b - ((b * b - a * c).relu() + 1e-4).sqrt()) / a
        seen = torch.cat([flat, depth[..., None]], -1)
        return (seen @ back @ forth.mT)[..., :2].reshape(q.shape)


def still_motion(q: Tensor, source: Tensor, driving: Tensor) -> Tensor:
    """``T_source^-1 T_driving``: where a point of the driving picture lies in the source's head's plane if it has not moved."""
    return to_plane(to_pixels(q, driving), source)


def _mix(logits: Tensor, head: Tensor, still: Tensor, shifts: Tensor) -> Tensor:
    """Mix the candidates by softmax of logits (B, K + 2, F, F): (B, F, F, 2)."""
    share = logits.softmax(1)
    unmoved = share[:, -1, :, :, None]
    return (1 - unmoved) * head + unmoved * still + torch.einsum("bkhw,bkc->bhwc", share[:, :-2], shifts)


class Painter(nn.Module):
    """Warped source features + driving keypoints -> what the warp cannot show (mouth, lids, uncovered places) and where."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        w, code = config.width, CODE_SIZE
        self.encode = nn.ModuleList(
            [
                _conv(3, w, 2),
                nn.Sequential(_conv(w, 3 * w, 2), _Residual(3 * w)),
                nn.Sequential(_conv(3 * w, 4 * w, 2), _Residual(4 * w)),
            ]
        )
        self.low_film = _FilmConv(4 * w + N_KEYPOINTS, 4 * w, code)
        self.low = nn.Sequential(_Residual(4 * w), _Residual(4 * w))
        self.middle_in = _conv(7 * w + N_KEYPOINTS, 4 * w, kernel=1)
        self.middle_film = _FilmConv(4 * w, 3 * w, code)
        self.middle = _Residual(3 * w)
        self.narrow = _conv(3 * w, 2 * w, kernel=1)
        self.high_film = _FilmConv(3 * w + 12, 2 * w, code)
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
        x = self.middle(self.middle_film(self.middle_in(torch.cat([_up(x), middle, heat], 1)), code))
        x = self.high_film(torch.cat([_up(self.narrow(x)), high, F.pixel_unshuffle(warped * 2 - 1, 2)], 1), code)
        painted = F.pixel_shuffle(self.out_conv(x), 2)
        return torch.sigmoid(painted[:, :3]), painted[:, 3:]


CODE_INPUTS, CODE_SIZE = 6 * N_KEYPOINTS + 4, 96
POSE_TERMS = 4
"""yaw, pitch and their squares"""


class CompactNet(nn.Module):
    """Encoder, keypoints, motion field and painter together."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.canonical = nn.Parameter(torch.zeros(N_KEYPOINTS, 3))
        self.basis = nn.Parameter(torch.randn(config.latent_size, N_KEYPOINTS * 3) * 0.01)
        self.code = nn.Sequential(nn.Linear(CODE_INPUTS, CODE_SIZE), nn.SiLU(), nn.Linear(CODE_SIZE, CODE_SIZE), nn.SiLU())
        self.motion = MotionField(config)
        self.painter = Painter(config)
        self.register_buffer("pose_share", torch.zeros(POSE_TERMS, config.latent_size))

    def pose_part(self, pose: Tensor) -> Tensor:
        """What of the latents follows from poses (B, 7): (B, D). Latents are handed out without it, and composed with it again.

        A picture of a turned head tells the encoder its direction whatever the losses say. The coefficients are fitted on the
        training set within clips (``training.fit_pose_share``); with the same pose nothing that is drawn depends on them.
        """
        angles = pose[:, :2] / CODE_ANGLE_DEG
        part: Tensor = torch.cat([angles, angles**2], 1) @ self.pose_share
        return part

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
        code = self.code(_code(source.face, driving))
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


def moved(source: Face, driving: Face) -> Tensor:
    """0 where a frame's keypoints stand where the source's stand, in the picture, 1 where any has moved by more than noise: (B,)."""
    ours, theirs = source.in_head_plane(), driving.in_head_plane()
    there = to_plane(to_pixels(theirs[..., :2], driving.pose), source.pose)
    depth = theirs[..., 2:] * (driving.pose[:, 3] / source.pose[:, 3])[:, None, None]
    change = (torch.cat([there, depth], -1) - ours).square().sum(-1).amax(1)
    return 1 - torch.exp(-change / GATE_IOD**2)


def _code(source: Face, driving: Face) -> Tensor:
    """Input of the FiLM code: both expressions and both directions, (B, 124)."""
    angles = torch.cat([source.pose[:, :2], driving.pose[:, :2]], 1) / CODE_ANGLE_DEG
    return torch.cat([CODE_GAIN * driving.delta.flatten(1), CODE_GAIN * source.delta.flatten(1), angles], 1)
