"""What S2L's training minimises. The paper's loss and weights are not public: both are ours, the weights in ``params.yaml``."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from space_data import landmarks as lm

LIDS = np.array([37, 38, 40, 41, 43, 44, 46, 47])


@dataclass(frozen=True)
class LossWeights:
    """Weights of the parts; squared errors are in IOD^2, mean per landmark, those of the lip gap per frame."""

    mouth: float
    """positions of the mouth's landmarks; the others weigh 1"""
    velocity: float
    """the same errors from frame to frame"""
    lips: float
    """lip gap and its change"""
    lids: float
    """absolute error of the lids"""
    irises: float
    """squared displacement of the irises, of which speech says nothing"""
    contact: float
    """lips that are open where they should meet"""
    contact_gap_iod: float
    """lips meet below this gap"""


def gap_of(points: Tensor) -> Tensor:
    """Mean vertical distance of the inner lips, (..., 78, 3) -> (...)."""
    return points[..., lm.LOWER_INNER_LIP, 1].mean(-1) - points[..., lm.UPPER_INNER_LIP, 1].mean(-1)


def displacement_loss(
    out: Tensor, target: Tensor, face: Tensor, mask: Tensor, weights: LossWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of displacements ``out`` from ``face`` (B, 78, 3), both displacements (B, T, 78, 3), where ``mask`` (B, T) is 1.

    The lids by absolute error, which makes them follow their median: blinks cannot be heard, and their mean would leave the eyes
    half shut. Also returns the parts, unweighted.
    """
    weight = torch.ones(lm.N_LANDMARKS, 1, device=out.device)
    weight[lm.MOUTH], weight[LIDS], weight[lm.IRISES] = weights.mouth, 0.0, 0.0
    both = mask[:, 1:] * mask[:, :-1]
    frames, n_points = mask.sum().clamp(min=1.0), lm.N_LANDMARKS
    error = (out - target) * mask[..., None, None]
    moved = (error[:, 1:] - error[:, :-1]) * both[..., None, None]
    gap, true_gap = gap_of(out), gap_of(target)
    gap_error = (gap - true_gap) * mask
    gap_moved = (gap_error[:, 1:] - gap_error[:, :-1]) * both
    meet = (true_gap + gap_of(face)[:, None] < weights.contact_gap_iod).float() * mask
    parts = {
        "position": (weight * error**2).sum() / (frames * n_points),
        "velocity": (weight * moved**2).sum() / (frames * n_points),
        "lips": ((gap_error**2).sum() + (gap_moved**2).sum()) / frames,
        "lids": error[:, :, LIDS].abs().sum() / (frames * n_points),
        "irises": (out[:, :, lm.IRISES] ** 2 * mask[..., None, None]).sum() / (frames * n_points),
        "contact": (F.relu(gap_error) ** 2 * meet).sum() / frames,
    }
    total = (
        parts["position"] + weights.velocity * parts["velocity"] + weights.lips * parts["lips"] + weights.lids * parts["lids"]
        + weights.irises * parts["irises"] + weights.contact * parts["contact"]
    )  # fmt: skip
    return total, parts
