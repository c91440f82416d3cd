"""L2L itself. Causal, frame by frame; ``step`` carries the LSTM's state and equals the whole-clip call.

    latents = load_l2l(folder).predict(normalised, log_mel, emotion, portrait_normalised, portrait_z)

``z = z_portrait + W geometry + sd * residual``: W is ridge regression (`ridge`), fitted before training and kept in the weights;
the residual is an LSTM over geometry and speech, FiLM-conditioned on the emotion, and starts at zero. It stays only where it
beats ridge on the validation identities (``residual``). Layer sizes are ours; the paper gives none. Where we depart from it
(docs/departures.md): the head's pose is not in the latents but put in exactly afterwards, and the start is linear.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack
from space_data.schema import EMOTIONS
from space_models.checkpoints import from_config, load_card, load_weights
from space_models.film import FiLM, condition_of, learnt_emotion
from space_models.generators import LatentSpec
from space_models.l2l.inputs import GEOMETRY, SOUND, geometry, in_crop

MODEL = "l2l"
SOUND_GAIN = 0.3
"""Brings mean-normalised log-mel to order 1."""

Array = NDArray[np.float32]
Memory = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class L2LConfig:
    """Constructor arguments; stored in the card."""

    spec: LatentSpec
    hidden: int
    use_audio: bool
    use_landmarks: bool
    normalise: bool
    use_emotion: bool
    labelled: bool = True
    unlabelled: bool = False
    """whether it learnt from clips with and without a label of their emotion"""
    residual: bool = True
    """false: ridge alone, because the network did not beat it"""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @staticmethod
    def of(spec: dict[str, Any], **others: Any) -> "L2LConfig":
        """Of what `to_json` gives."""
        return L2LConfig(LatentSpec.from_json(spec), **others)


class Residual(nn.Module):
    """The network beside the linear start. B clips, T frames, H units, D latents."""

    def __init__(self, config: L2LConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        self.in_proj = nn.Linear(GEOMETRY, hidden)
        self.speech_proj = nn.Linear(SOUND, hidden, bias=False)
        self.film = FiLM(len(EMOTIONS) + config.unlabelled, hidden)
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        self.out_proj = nn.Linear(2 * hidden, config.spec.size)
        if config.use_landmarks:  # speech must find something that landmarks do not say; alone it must start somewhere
            nn.init.zeros_(self.speech_proj.weight)
        for zero in (self.film.linear.weight, self.out_proj.weight, self.out_proj.bias):
            nn.init.zeros_(zero)

    def forward(self, shape: Tensor, sound: Tensor, condition: Tensor, memory: Memory | None) -> tuple[Tensor, Memory]:
        """Scaled geometry (B, T, 240), sound (B, T, 160), condition (B, E) or (B, T, E): change of z in s.d. (B, T, D)."""
        x = self.in_proj(shape * self.config.use_landmarks)
        if self.config.use_audio:
            x = x + self.speech_proj(SOUND_GAIN * sound)
        if self.config.use_emotion:
            x = self.film(x.transpose(1, 2), condition).transpose(1, 2)
        x = torch.relu(x)
        recurrent, memory = self.lstm(x, memory)
        return self.out_proj(torch.cat([x, recurrent], -1)), memory


class L2L(nn.Module):
    """See the module's docstring."""

    weight: Tensor
    sd: Tensor
    shape_scale: Tensor

    def __init__(self, config: L2LConfig) -> None:
        super().__init__()
        if not (config.use_audio or config.use_landmarks):
            raise SpaceError("l2l: use_audio and use_landmarks are both false, at least one needed")
        self.config = config
        self.register_buffer("weight", torch.zeros(GEOMETRY, config.spec.size))
        self.register_buffer("shape_scale", torch.ones(GEOMETRY))
        self.register_buffer("sd", torch.tensor(config.spec.sd, dtype=torch.float32))
        self.residual = Residual(config) if config.residual else None

    @property
    def spec(self) -> LatentSpec:
        """What its latents are."""
        return self.config.spec

    def set_start(self, weight: NDArray[np.floating], shape_scale: NDArray[np.floating]) -> None:
        """Put in the linear start (240, D), and the s.d. of the inputs (240,) that the network sees them in units of."""
        self.weight.copy_(torch.from_numpy(np.asarray(weight, np.float32)))
        self.shape_scale.copy_(torch.from_numpy(np.asarray(shape_scale, np.float32)))

    def forward(
        self, shape: Tensor, sound: Tensor, emotion: Tensor, memory: Memory | None = None
    ) -> tuple[Tensor, Memory | None]:
        """Changes of z against the portrait, (B, T, D), and the memory after the last frame.

        Args:
            shape: `inputs.geometry`, (B, T, 240).
            sound: mean-normalised log-mel, (B, T, 160).
            emotion: mixtures, (B, 9) or (B, T, 9); NaN where unknown.
            memory: of the frames before, None at the start.
        """
        start = shape @ self.weight if self.config.use_landmarks else shape.new_zeros(*shape.shape[:2], self.spec.size)
        if self.residual is None:
            return start, None
        condition = condition_of(emotion, self.config.unlabelled)
        correction, memory = self.residual(shape / self.shape_scale, sound, condition, memory)
        return start + self.sd * correction, memory

    def seen(self, normalised: Array, pose: PoseTrack, portrait_scale: float) -> Array:
        """Normalised landmarks (T, 78, 3) as this model takes them: as they are, or posed, in units of the portrait's scale."""
        return normalised if self.config.normalise else in_crop(normalised, pose, portrait_scale)

    def predict(
        self, landmarks: Array, log_mel: Array, emotion: NDArray[np.floating], portrait: Array, portrait_z: Array
    ) -> Array:
        """Latents (T, D) of a portrait that is driven.

        Args:
            landmarks: (T, 78, 3) as `seen` gives them.
            log_mel: mean-normalised, (T, 160).
            emotion: intensities, (9,) or (T, 9); all NaN: unknown.
            portrait: landmarks, (78, 3), likewise.
            portrait_z: its own latents, (D,).

        Raises:
            SpaceError: landmarks and speech of different length.
        """
        return self.step(self.start(emotion, portrait, portrait_z), landmarks, log_mel)[1]

    def start(self, emotion: NDArray[np.floating], portrait: Array, portrait_z: Array) -> "L2LState":
        """The state before the first frame; ``emotion`` is (9,), or (T, 9) for one call of `step` with all T frames."""
        config = self.config
        learnt = learnt_emotion(emotion, config.labelled, config.unlabelled, MODEL)
        return L2LState(portrait, portrait_z, np.asarray(learnt, np.float32), None)

    def step(self, state: "L2LState", landmarks: Array, log_mel: Array) -> tuple["L2LState", Array]:
        """The next frames of a stream: the new state, and their latents (T, D); any cut of a clip gives the same."""
        if len(landmarks) != len(log_mel):
            raise SpaceError(f"l2l: {len(landmarks)} frames of landmarks against speech for {len(log_mel)}, need the same")
        arrays = geometry(landmarks, state.portrait), np.asarray(log_mel, np.float32), state.emotion
        device = self.weight.device
        tensors = [torch.from_numpy(np.array(a))[None].to(device) for a in arrays]  # tables are read-only
        with torch.inference_mode():
            change, memory = self(*tensors, state.memory)
        latents = state.portrait_z + change[0].float().cpu().numpy()
        return L2LState(state.portrait, state.portrait_z, state.emotion, memory), latents.astype(np.float32)


@dataclass(frozen=True)
class L2LState:
    """Where a stream stands: the portrait's landmarks (78, 3) and latents (D,), the emotion, and the LSTM's memory."""

    portrait: Array
    portrait_z: Array
    emotion: Array
    memory: Memory | None


def load_l2l(folder: Path) -> L2L:
    """The model whose weights and card lie in ``folder`` (``models/l2l/<generator>``).

    Raises:
        SpaceError: nothing there, another model, or weights that are not those the card describes.
    """
    card = load_card(folder, f"{MODEL}/{folder.name}")
    model = L2L(from_config(folder, card, L2LConfig.of))
    load_weights(folder, card, model)
    return model.eval()
