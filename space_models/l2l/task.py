"""What L2L learns, where it starts, and its loss."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from space_data.errors import SpaceError
from space_data.params import L2LStage
from space_models.dataset import by_subject
from space_models.generators import LatentSpec
from space_models.l2l.clips import LatentClip, Portraits, importance
from space_models.l2l.inputs import geometry
from space_models.l2l.metrics import means, model_errors
from space_models.l2l.network import L2L
from space_models.l2l.ridge import LEAST_SCALE, Ridge, Sums, fit_ridge
from space_models.stream import VIDEO, ClipSource

Array = NDArray[np.float32]


def fit_start(clips: Sequence[LatentClip], settings: L2LStage) -> tuple[Ridge, NDArray[np.float64]]:
    """The linear start, people left out in turn to choose its penalties, and the s.d. of its inputs (240,).

    Each clip is seen from ``ridge_portraits`` of its own frames, and from S2L's takes with the weight ``s2l_share``. Other takes
    would add their light and hair, which no landmark explains, to what the penalties are chosen by.
    """
    rng = np.random.default_rng([settings.seed, 1])
    portraits, groups = Portraits(by_subject(clips)), defaultdict[str, list[Sums]](list)
    for clip in clips:
        for _ in range(settings.ridge_portraits):
            landmarks, z = portraits.draw(clip, 0.0, rng)
            groups[clip.subject].append(Sums.of(geometry(clip.landmarks, landmarks)[clip.found], (clip.z - z)[clip.found]))
        for take in clip.takes:
            share = settings.s2l_share / max(1 - settings.s2l_share, 1e-6) * settings.ridge_portraits / len(clip.takes)
            x, y = (geometry(take.landmarks, take.portrait), clip.z - take.portrait_z)
            groups[clip.subject].append(Sums.of(*(each[clip.found] * np.sqrt(share) for each in (x, y))))
    sums = [sum(own[1:], start=own[0]) for _, own in sorted(groups.items())]
    total = sum(sums[1:], start=sums[0])
    return fit_ridge(sums), np.sqrt(np.maximum(np.diag(total.xx) / total.n, LEAST_SCALE**2))


class L2LTask:
    """What the training loop learns: stretches of clips seen from a portrait, landmarks tracked or predicted by S2L."""

    criterion = "val_latent_error_tracked"

    def __init__(
        self, source: ClipSource[LatentClip], held_out: Sequence[LatentClip], settings: L2LStage, spec: LatentSpec
    ) -> None:
        self._source, self._settings = source, settings
        self._importance = torch.from_numpy(importance(spec)).float()
        self.held_out = list(held_out)

    def batch(self, rng: np.random.Generator, draw: int) -> dict[str, Array]:
        """Arrays for `L2L.forward`, ``wanted`` (B, T, D), the changes of z, and ``mask`` (B, T), 0 where the face was lost."""
        block, settings = self._source.block(VIDEO, draw), self._settings
        clips, portraits = [clip for clip in block.clips if len(clip) >= settings.frames], Portraits(block.of_subject)
        if not clips:
            raise SpaceError(f"l2l: {len(block.clips)} clips, none of {settings.frames} frames or more (lower l2l.frames?)")
        rows = [self._window(clips[index], portraits, rng) for index in rng.integers(len(clips), size=settings.batch)]
        names = ("shape", "sound", "emotion", "wanted", "mask")
        return {name: np.stack(column).astype(np.float32) for name, column in zip(names, zip(*rows, strict=True), strict=True)}

    def _window(self, clip: LatentClip, portraits: Portraits, rng: np.random.Generator) -> tuple[Array, ...]:
        settings = self._settings
        begin = int(rng.integers(len(clip) - settings.frames + 1))
        now = slice(begin, begin + settings.frames)
        if clip.takes and rng.uniform() < settings.s2l_share:
            take = clip.takes[int(rng.integers(len(clip.takes)))]
            landmarks, portrait, portrait_z = take.landmarks, take.portrait, take.portrait_z
        else:
            landmarks = clip.landmarks
            portrait, portrait_z = portraits.draw(clip, settings.other_take_share, rng)
        mask = clip.found[now].astype(np.float32)
        return geometry(landmarks[now], portrait), clip.sound[now], clip.emotion, clip.z[now] - portrait_z, mask

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error of z-scores weighted by what they show (a still face has about 1), and the branches' own decay."""
        change, _ = model(batch["shape"], batch["sound"], batch["emotion"])
        network = getattr(model, "module", model)
        assert isinstance(network, L2L) and network.residual is not None
        errors = ((change - batch["wanted"]) / network.sd) ** 2
        residual, settings, mask = network.residual, self._settings, batch["mask"]
        parts = {
            "latents": (errors @ self._importance.to(errors.device) * mask).sum() / mask.sum().clamp(min=1.0),
            "speech_decay": settings.speech_decay * residual.speech_proj.weight.square().sum(),
            "emotion_decay": settings.emotion_decay * residual.film.linear.weight.square().sum(),
        }
        return torch.stack(list(parts.values())).sum(), parts

    def validate(self, model: nn.Module, unit: LatentClip) -> dict[str, float]:
        """Latent errors on a held-out clip, on whatever device the model is."""
        assert isinstance(model, L2L)
        return {f"val_{name}": value for name, value in means(model_errors(model, [unit])).items()}
