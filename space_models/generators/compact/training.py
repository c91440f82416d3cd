"""Trains `compact` on pairs of frames of a clip, the one drawn from the other: first the encoder alone, then everything.

The encoder alone learns in two minutes to follow the landmarks' differences; everything together then learns from pictures, and
the landmarks' pull fades away. The recipe was measured before it was built: docs/compact.md.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from space_data.errors import SpaceError
from space_data.params import CompactStage
from space_models.generators.compact.losses import (
    ABSOLUTE_SHARE,
    absolute_loss,
    detail,
    drawing_losses,
    landmark_loss,
    latent_losses,
)
from space_models.generators.compact.networks import N_KEYPOINTS, NAMES, CompactConfig, CompactNet
from space_models.generators.compact.sampling import Batch, Footage, draw_pairs
from space_models.trainer import Result, Schedule, train

VALIDATION_PAIRS, VALIDATION_CHUNK = 96, 16
LEAST_SPREAD = 0.006
"""IOD: rigid groups move by the tracker's noise only, which nothing should be divided by."""
BASIS_LIDS = 2.0
"""How much more lids and irises count when the basis is first chosen: they are small, but eyes are looked at."""
PERCENT = 255.0


class _Footage:
    """What both tasks share: the clips, how far landmark groups move, how pairs are drawn."""

    def __init__(self, clips: Sequence[Footage], held_out: Sequence[Footage], settings: CompactStage) -> None:
        self.clips = [clip for clip in clips if len(clip.canvases) >= 2]
        self.held_out = [clip for clip in held_out if len(clip.canvases) >= 2]
        if not self.clips:
            raise SpaceError(f"generator: {len(clips)} clips, none of two frames or more (are there aligned clips in split train?)")
        self.settings = settings
        self.spread = torch.from_numpy(group_spread(self.clips))

    def pairs(self, batch: int, rng: np.random.Generator) -> Batch:
        return draw_pairs(self.clips, batch, rng, self.settings.sampling, shake=True)


class EncoderTask:
    """The encoder and the basis alone, on landmark groups."""

    def __init__(self, footage: _Footage, fingerprint: str) -> None:
        self._footage, self.fingerprint = footage, fingerprint

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Pairs; the encoder does not see the pictures to be drawn."""
        pairs = self._footage.pairs(self._footage.settings.encoder_batch, rng)
        return {name: values for name, values in pairs.items() if name not in ("source", "driving")}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Differences, and where the points are."""
        own, driving = model(batch["source_view"], batch["source_pose"], batch["driving_view"], batch["driving_pose"])
        groups = batch["source_groups"], batch["driving_groups"]
        spread = self._footage.spread.to(groups[0].device)
        parts = {
            "landmarks": landmark_loss(own, driving, *groups, spread).mean(),
            "absolute": ABSOLUTE_SHARE * absolute_loss((own, driving), groups, spread),
        }
        return torch.stack(list(parts.values())).sum(), parts

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Share of the held-out landmark differences' variance that is explained, mean over lips and lids."""
        held_out = self._footage.held_out
        if not held_out:
            return {}
        device = next(model.parameters()).device
        pairs = draw_pairs(held_out, VALIDATION_PAIRS, np.random.default_rng(0), self._footage.settings.sampling, shake=False)
        t = {name: torch.from_numpy(values).to(device) for name, values in pairs.items()}
        own, driving = model(t["source_view"], t["source_pose"], t["driving_view"], t["driving_pose"])
        wanted = t["driving_groups"] - t["source_groups"]
        error = driving.delta - own.delta - wanted
        rows = {"lips": "lip_lower_inner", "lids": "lid_left_upper"}
        at = {name: NAMES.index(row) for name, row in rows.items()}
        return {f"val_r2_{n}": float(1 - error[:, i, 1].square().sum() / wanted[:, i, 1].square().sum()) for n, i in at.items()}


class _EncoderOnly(nn.Module):
    """The part of the network that the first leg trains."""

    def __init__(self, net: CompactNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, source_view: Tensor, source_pose: Tensor, driving_view: Tensor, driving_pose: Tensor):  # type: ignore[no-untyped-def]
        z, offset = self.net.encoder(torch.cat([source_view, driving_view]))
        batch = len(source_view)
        return (
            self.net.face(z[:batch], offset[:batch], source_pose),
            self.net.face(z[batch:], offset[:batch], driving_pose),
        )


class CompactTask:
    """Everything, on pictures."""

    def __init__(self, footage: _Footage, fingerprint: str) -> None:
        self._footage, self.fingerprint = footage, fingerprint

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Pairs, and the share of the landmarks' pull that is left."""
        settings = self._footage.settings
        left = max(0.0, 1 - step / (settings.loss.landmarks_until * settings.steps))
        return {**self._footage.pairs(settings.batch, rng), "landmark_share": np.array([left], np.float32)}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """See ``losses``."""
        weights = self._footage.settings.loss
        drawn, own, driving, _ = _draw(model, batch)
        device = batch["driving"].device
        errors = landmark_loss(own, driving, batch["source_groups"], batch["driving_groups"], self._footage.spread.to(device))
        parts = drawing_losses(drawn, batch["driving"], detail(device), weights)
        parts |= latent_losses(own, driving, errors, batch["landmark_share"][0], weights)
        return torch.stack(list(parts.values())).sum(), parts

    def validate(self, model: nn.Module) -> dict[str, float]:
        """On fixed pairs of held-out people: L1 (of 255) of the drawing and of the still source, of mouth and eyes, and how far delta moves."""
        held_out = self._footage.held_out
        if not held_out:
            return {}
        device = next(model.parameters()).device
        spots = detail(device)
        mouth = spots * (torch.arange(spots.shape[-2], device=device) >= spots.shape[-2] // 2)[:, None]
        areas = {"": torch.ones_like(spots), "_mouth": mouth, "_eyes": spots - mouth}
        pairs = draw_pairs(held_out, VALIDATION_PAIRS, np.random.default_rng(0), self._footage.settings.sampling, shake=False)
        sums: dict[str, float] = {}
        for first in range(0, VALIDATION_PAIRS, VALIDATION_CHUNK):
            t = {name: torch.from_numpy(values[first : first + VALIDATION_CHUNK]).to(device) for name, values in pairs.items()}
            drawn, own, driving, _ = _draw(model, t)
            figures = {"val_shown": drawn.shown.mean(), "val_delta_iod": (driving.delta - own.delta).square().mean().sqrt()}
            for area, weight in areas.items():
                for name, picture in (("", drawn.picture), ("_still", t["source"])):
                    error = ((picture - t["driving"]).abs() * weight).mean() / weight.mean()
                    figures[f"val{name}_l1{area}"] = PERCENT * error
            for name, value in figures.items():
                sums[name] = sums.get(name, 0.0) + float(value) * VALIDATION_CHUNK / VALIDATION_PAIRS
        return sums


def _draw(model: nn.Module, batch: dict[str, Tensor]):  # type: ignore[no-untyped-def]
    names = ("source", "source_view", "source_pose", "driving_view", "driving_pose")
    return model(*(batch[name] for name in names))


def group_spread(clips: Sequence[Footage]) -> np.ndarray:
    """Standard deviation within a clip of every coordinate of the landmark groups, (K, 3), IOD."""
    centred = np.concatenate([clip.groups - clip.groups.mean(0) for clip in clips])
    return np.maximum(centred.std(0), LEAST_SPREAD).astype(np.float32)


def start_basis(clips: Sequence[Footage], latent_size: int) -> np.ndarray:
    """The first principal components (D, 3 K) of the landmark groups' motion, each for one standard deviation of its latent."""
    centred = np.concatenate([clip.groups - clip.groups.mean(0) for clip in clips])
    weight = np.ones((N_KEYPOINTS, 3))
    weight[[i for i, name in enumerate(NAMES) if name.startswith(("lid", "iris"))]] = BASIS_LIDS
    flat = (centred * weight).reshape(len(centred), -1)
    _, singular, rows = np.linalg.svd(flat, full_matrices=False)
    kept = rows[:latent_size] * (singular[:latent_size, None] / np.sqrt(len(flat)))
    return (kept / weight.ravel()).astype(np.float32)


def data_hash(clips: Sequence[Footage]) -> str:
    """Hash of the pictures, poses and landmark groups trained on."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(clip.clip_id.encode() + clip.canvases.tobytes() + clip.poses.tobytes() + clip.groups.tobytes())
    return digest.hexdigest()


def train_compact(
    clips: Sequence[Footage], held_out: Sequence[Footage], settings: CompactStage, state: Path | None, code: str = ""
) -> tuple[CompactNet, Result]:
    """Train a generator on `clips`; the same clips and settings give the same weights on one machine.

    Args:
        clips, held_out: footage of different people.
        settings: section ``generator`` of ``params.yaml``.
        state: file in which the training keeps its state; the encoder's leg keeps its own beside it. None keeps nothing.
        code: version of the code that learns.

    Raises:
        SpaceError: no clip of two frames or more.
    """
    footage = _Footage(clips, held_out, settings)
    fingerprint = hashlib.sha256(
        json.dumps([data_hash([*clips, *held_out]), settings.model_dump(mode="json")]).encode()
    ).hexdigest()
    torch.manual_seed(settings.seed)
    net = CompactNet(CompactConfig(settings.latent_size, settings.width))
    with torch.no_grad():
        net.canonical.copy_(torch.from_numpy(np.concatenate([clip.groups for clip in footage.clips]).mean(0)))
        net.basis.copy_(torch.from_numpy(start_basis(footage.clips, settings.latent_size)))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def schedule(steps: int, rate: float) -> Schedule:
        return Schedule(
            steps=steps, learning_rate=rate, weight_decay=settings.weight_decay, rise_share=settings.rise_share,
            gradient_clip=settings.gradient_clip, interval_steps=settings.interval_steps, seed=settings.seed,
        )  # fmt: skip

    first = schedule(settings.encoder_steps, settings.encoder_learning_rate)
    encoder_state = state.with_stem(f"{state.stem}-encoder") if state else None
    train("compact's encoder", _EncoderOnly(net), EncoderTask(footage, fingerprint), first, encoder_state, code=code)
    second = schedule(settings.steps, settings.learning_rate)
    return net, train("compact", net, CompactTask(footage, fingerprint), second, state, code=code)
