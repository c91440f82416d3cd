"""The fitted numbers of PoseGen, as a module whose weights are kept beside a card like those of every model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from space_models.checkpoints import from_config, load_card, load_weights
from space_models.posegen.pose import N_POSE
from space_models.posegen.speech import n_rises


@dataclass(frozen=True)
class PoseGenConfig:
    """How much sound a key pose depends on: up to ``lookahead_frames`` beyond the frame drawn, and ``memory_frames`` back."""

    lookahead_frames: int
    memory_frames: int


class PoseGen(nn.Module):
    """``x[k+1] = last * x[k] + before * x[k-1] + speech @ rises[k+1] + noise @ e``, with e standard normal, per key pose k.

    x are departures (6,) in ``POSE_COLUMNS`` from the person's mean pose. Shapes: last, before (6,); speech (6, rises), zero
    where speech does not help; noise (6, 6), lower triangular. All are zero until filled by ``fit`` or ``load_posegen``.
    """

    def __init__(self, config: PoseGenConfig) -> None:
        super().__init__()
        self.config = config
        self.last, self.before = (nn.Buffer(torch.zeros(N_POSE, dtype=torch.float64)) for _ in range(2))
        self.speech = nn.Buffer(torch.zeros(N_POSE, n_rises(config.memory_frames), dtype=torch.float64))
        self.noise = nn.Buffer(torch.zeros(N_POSE, N_POSE, dtype=torch.float64))

    @property
    def hears(self) -> bool:
        """Whether its motion depends on the speech at all."""
        return bool((self.speech != 0).any())


def stationary_sd(last: NDArray[np.float64], before: NDArray[np.float64], noise_sd: NDArray[np.float64]) -> NDArray[np.float64]:
    """S.d. of what a stable two-lag recursion comes to, per column (Box and Jenkins, AR(2))."""
    return np.asarray(noise_sd / np.sqrt((1 - before**2) - last**2 * (1 + before) / (1 - before)))


def load_posegen(folder: Path) -> PoseGen:
    """The fitted model in ``folder``, ready to generate.

    Raises:
        SpaceError: no such model, or one that is damaged or of another release.
    """
    card = load_card(folder, "posegen")
    model = PoseGen(from_config(folder, card, PoseGenConfig))
    load_weights(folder, card, model)
    return model.eval()
