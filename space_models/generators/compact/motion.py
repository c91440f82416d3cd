"""The motion field of `compact`: source and driving face → where to look at the source."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from space_models.generators.compact.canvas import SIZE_PX, cells, fold, unfold
from space_models.generators.compact.keypoints import N_KEYPOINTS, NAMES, Face, still_motion, turn
from space_models.generators.compact.layers import FilmConv, conv, heat_maps, look_up, resize, up

FLOW_SIDE = SIZE_PX // 2
HEAT_SIGMA = 0.12  # IOD, of the keypoint heat maps
START_SIGMA = {"lid": 0.07, "iris": 0.07, "mouth": 0.10, "lip": 0.10}  # IOD, starting reach of a keypoint's shift; others:
START_SIGMA_REST = 0.18
HEAD_LOGIT = -1.0
STILL_SLOPE, STILL_RADIUS = 3.0, 1.3  # starting logit of stillness: SLOPE (r - RADIUS), r the elliptic radius
FACE_CENTRE, FACE_RADII = (0.0, 0.2), (0.95, 1.25)  # IOD, of that ellipse
HEAD_CENTRE, HEAD_RADII = (0.0, 0.15, 0.85), (0.95, 1.3, 1.1)  # IOD, of the ellipsoid before training: an adult's head
RIM = 1e-4  # rounds the ellipsoid's rim, where its depth has no slope
MAX_RESIDUAL_FLOW = 0.2  # IOD


class MotionField(nn.Module):
    """Source and driving face -> where to look at the source, in its head's plane.

    Candidates per cell (first-order motion model, arXiv 2003.00196, eq. 4, without Jacobians): the head's rigid motion shifted to
    agree with each keypoint, that motion itself, and stillness. Their weights start as Gaussians around the driving keypoints; an
    hourglass that sees the source so warped corrects them and adds a bounded residual.
    """

    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        w = width
        sigma = [next((s for part, s in START_SIGMA.items() if name.startswith(part)), START_SIGMA_REST) for name in NAMES]
        self.log_sigma = nn.Parameter(torch.tensor(sigma).log()[:, None])
        self.bias = nn.Parameter(torch.tensor([0.0] * N_KEYPOINTS + [HEAD_LOGIT, 0.0]))
        self.head_centre = nn.Parameter(torch.tensor(HEAD_CENTRE))
        self.head_log_radii = nn.Parameter(torch.tensor(HEAD_RADII).log())
        self.in_conv = conv(N_KEYPOINTS + 6, 2 * w, 2)
        down, rise = ((2 * w, 3 * w), (3 * w, 4 * w), (4 * w, 4 * w)), ((4 * w, 4 * w), (4 * w, 3 * w), (3 * w, 2 * w))
        self.down = nn.ModuleList(FilmConv(inputs, outputs, code, 2) for inputs, outputs in down)
        self.up = nn.ModuleList(FilmConv(inputs, outputs, code) for inputs, outputs in rise)
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
            x = layer(up(x), code) + skip
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
        depth = (-b - ((b * b - a * c).relu() + RIM).sqrt()) / a
        seen = torch.cat([flat, depth[..., None]], -1)
        return (seen @ back @ forth.mT)[..., :2].reshape(q.shape)


def _mix(logits: Tensor, head: Tensor, still: Tensor, shifts: Tensor) -> Tensor:
    """Mix the candidates by softmax of logits (B, K + 2, F, F): (B, F, F, 2)."""
    share = logits.softmax(1)
    unmoved = share[:, -1, :, :, None]
    return (1 - unmoved) * head + unmoved * still + torch.einsum("bkhw,bkc->bhwc", share[:, :-2], shifts)
