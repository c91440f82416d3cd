"""Trains `compact` on pairs of frames of a clip, the one drawn from the other; landmarks guide it at first.

The recipe was measured before it was built: docs/compact-experiments.md.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from space_data.errors import SpaceError
from space_data.params import CompactStage
from space_models.checkpoints import load_card, load_weights
from space_models.generators.compact.canvas import detail
from space_models.generators.compact.keypoints import N_KEYPOINTS, NAMES, Face, pose_terms
from space_models.generators.compact.losses import absolute_loss, drawing_losses, landmark_errors, latent_losses
from space_models.generators.compact.networks import MODEL, CompactConfig, CompactNet, Drawn
from space_models.generators.compact.sampling import Batch, Footage, draw_pairs

VALIDATION_UNITS, VALIDATION_PAIRS = 6, 16
LEAST_SPREAD = 0.006
"""IOD: rigid groups move by the tracker's noise only, which nothing should be divided by."""
BASIS_LIDS = 2.0
"""How much more lids and irises count when the basis is first chosen: they are small, but eyes are looked at."""
GREY_LEVELS = 255.0
FIT_BATCH = 32
PICTURES = ("source", "source_view", "source_pose", "driving_view", "driving_pose")


class CompactTask:
    """What the training loop (`space_models.trainer.Task`) learns: pairs of frames of the training clips.

    Raises:
        SpaceError: no clip of two frames or more.
    """

    criterion = "val_l1"

    def __init__(self, clips: Sequence[Footage], held_out: Sequence[Footage], settings: CompactStage, micro_batches: int) -> None:
        self._clips = [clip for clip in clips if len(clip) >= 2]
        if not self._clips:
            raise SpaceError(f"generator: {len(clips)} clips, none of two frames or more (are there clips in split train?)")
        watched = [clip for clip in held_out if len(clip) >= 2]
        units = VALIDATION_UNITS if watched else 0
        rngs = (np.random.default_rng(unit) for unit in range(units))
        self.held_out = [draw_pairs(watched, VALIDATION_PAIRS, rng, settings.sampling, shake=False) for rng in rngs]
        self._settings, self._micro_batches = settings, micro_batches
        self._spread = torch.from_numpy(group_spread(self._clips))

    def batch(self, rng: np.random.Generator, draw: int) -> Batch:
        """Pairs, and the share of the landmarks' pull that is left: it fades to nothing."""
        settings = self._settings
        left = max(0.0, 1 - draw / self._micro_batches / (settings.loss.landmarks_until * settings.steps)) ** 2
        pairs = draw_pairs(self._clips, settings.batch, rng, settings.sampling, shake=True)
        return {**pairs, "landmark_share": np.full(settings.batch, left, np.float32)}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """See ``losses``."""
        weights = self._settings.loss
        drawn, own, driving = _drawn(model, batch)
        device = batch["driving"].device
        groups, spread = (batch["source_groups"], batch["driving_groups"]), self._spread.to(device)
        parts = drawing_losses(drawn, batch["driving"], detail(device), weights)
        parts |= latent_losses(own, driving, landmark_errors(own, driving, *groups, spread), weights)
        share = batch["landmark_share"][0]
        parts["landmarks"] = share * (parts["landmarks"] + weights.absolute * absolute_loss((own, driving), groups, spread))
        return torch.stack(list(parts.values())).sum(), parts

    def validate(self, model: nn.Module, unit: Batch) -> dict[str, float]:
        """On fixed pairs of held-out people: L1 (of 255) of the drawing and of the still source, everywhere, at mouth and eyes;
        how much of the photo is shown; how far keypoints move between the frames, IOD (0: the latents have collapsed)."""
        device = next(model.parameters()).device
        spots = detail(device)
        mouth = spots * (torch.arange(spots.shape[-2], device=device) >= spots.shape[-2] // 2)[:, None]
        areas = {"": torch.ones_like(spots), "_mouth": mouth, "_eyes": spots - mouth}
        pairs = {name: torch.from_numpy(values).to(device) for name, values in unit.items()}
        drawn, own, driving = _drawn(model, pairs)
        change = (driving.delta - own.delta).float()
        figures = {"val_shown": drawn.shown.float().mean(), "val_moved": change.square().mean().sqrt()}
        for area, weight in areas.items():
            for name, picture in (("", drawn.picture.float()), ("_still", pairs["source"])):
                error = ((picture - pairs["driving"]).abs() * weight).mean() / weight.mean()
                figures[f"val{name}_l1{area}"] = GREY_LEVELS * error
        return {name: float(value.detach()) for name, value in figures.items()}


def _drawn(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Drawn, Face, Face]:
    result: Any = model(*(batch[name] for name in PICTURES))
    return result


def new_net(clips: Sequence[Footage], settings: CompactStage) -> CompactNet:
    """A network to train on `clips`: from ``generator.start``, or new, with keypoints and basis where landmarks say.

    Raises:
        SpaceError: the weights to start from are absent, damaged or of another size.
    """
    config = CompactConfig(settings.latent_size, settings.width)
    net = CompactNet(config)
    if settings.start is not None:
        folder = Path(settings.start)
        card = load_card(folder, MODEL)
        if card.config != vars(config):
            raise SpaceError(f"{folder}: weights for {card.config}, params.yaml asks for {vars(config)} (see generator.start)")
        load_weights(folder, card, net)
    else:
        with torch.no_grad():
            net.canonical.copy_(torch.from_numpy(np.concatenate([clip.groups for clip in clips]).mean(0)))
            net.basis.copy_(torch.from_numpy(start_basis(clips, settings.latent_size)))
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


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


def fit_pose_share(net: CompactNet, clips: Sequence[Footage]) -> None:
    """Set ``net.pose_share``: least squares of the latents' departures from their clip's mean on those of the pose's terms."""
    latents, terms = [], []
    with torch.no_grad():
        for clip in clips:
            canvases = torch.from_numpy(clip.canvases).permute(0, 3, 1, 2)
            z = torch.cat([net.encoder(part.float() / GREY_LEVELS)[0] for part in canvases.split(FIT_BATCH)])
            inputs = pose_terms(torch.from_numpy(clip.poses))
            latents.append(z - z.mean(0))
            terms.append(inputs - inputs.mean(0))
        found = torch.linalg.lstsq(torch.cat(terms).double(), torch.cat(latents).double(), driver="gelsd").solution
        net.pose_share.copy_(found.float())
