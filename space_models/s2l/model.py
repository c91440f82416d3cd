"""S2L as it is kept and loaded: the network with all that its answers need beside it.

model = load_s2l(Path("models/s2l"))
landmarks = predict(model, speech, portrait, emotion)        # space_models.s2l.stream
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from space_data.landmarks import lip_gap
from space_data.schema import EMOTIONS, NEUTRAL, NEUTRAL_LABEL
from space_data.speech_encoder import LOG_MEL
from space_data.timebase import VIDEO_FPS
from space_models.checkpoints import from_config, load_card, load_weights
from space_models.film import learnt_emotion
from space_models.retarget import relaxed
from space_models.s2l.features import LOG_MEL_INPUT, WHISPER_INPUT, SpeechInput
from space_models.s2l.network import NetworkState, Output, S2LConfig, S2LNetwork
from space_models.s2l.output import N_QUANTILES, OPENING_SHARE, UNKNOWN_EMOTION, GapMap, Points, Speaker

NEUTRAL_SPEECH_S = 15
"""Of the neutral utterances that tell the network's constant of a portrait."""


class S2L(nn.Module):
    """The network, its input and, fitted after training, its gap map and the utterances that tell its constant.

    Buffers: ``gap_knots`` (2, 41) predicted and measured gaps, IOD; ``neutral_speech`` (15 s of samples, C), normalised.
    """

    gap_knots: Tensor
    neutral_speech: Tensor
    weights_sha256: str
    """of the file it was loaded from; empty for a model that was not"""

    def __init__(self, config: S2LConfig) -> None:
        super().__init__()
        self.config = config
        self.weights_sha256 = ""
        self.network = S2LNetwork(config)
        kind = LOG_MEL_INPUT if config.encoder == LOG_MEL else WHISPER_INPUT
        self.speech_input = SpeechInput(kind, config.per_frame, config.speech_width, config.speech_channels)
        ends = np.linspace(-1.0, 1.0, N_QUANTILES, dtype=np.float32)
        self.register_buffer("gap_knots", torch.from_numpy(np.stack([ends, ends])))
        n_samples = NEUTRAL_SPEECH_S * VIDEO_FPS * config.per_frame
        self.register_buffer("neutral_speech", torch.zeros(n_samples, config.speech_channels))

    def forward(self, speech: Tensor, face: Tensor, emotion: Tensor, state: NetworkState | None = None) -> Output:
        """``S2LNetwork.forward``."""
        return self.network(speech, face, emotion, state)  # type: ignore[no-any-return]

    @property
    def gap_map(self) -> GapMap:
        """As fitted in ``train_s2l``, or by ``space calibrate``."""
        predicted, measured = self.gap_knots.numpy()
        return GapMap(predicted, measured)

    def learnt(self, emotion: NDArray[np.floating]) -> NDArray[np.float32]:
        """Mixtures (..., 9) in terms of what the model has learnt (``film.learnt_emotion``)."""
        return learnt_emotion(emotion, self.config.labelled, self.config.unlabelled, "s2l").astype(np.float32)

    @torch.no_grad()
    def constants(self, face: Points, emotions: NDArray[np.floating]) -> Points:
        """Mean displacement (M, 78, 3) of neutral utterances said by ``face`` (78, 3) with each of ``emotions`` (M, 9)."""
        mixtures = torch.from_numpy(self.learnt(emotions))
        speech = self.neutral_speech[None].expand(len(mixtures), -1, -1)
        shown = torch.from_numpy(face.reshape(1, -1)).expand(len(mixtures), -1)
        return np.asarray(self.network.mixed(self(speech, shown, mixtures)).mean(1).numpy())

    @torch.no_grad()
    def constant_inputs(self, face: Points) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Means of what the last layers see, (hidden,) and (FILTER_RANK,), over neutral utterances said by ``face`` (78, 3)."""
        output = self(self.neutral_speech[None], torch.from_numpy(face.reshape(1, -1)), torch.zeros(1, len(EMOTIONS)))
        return output.hidden[0].mean(0).numpy(), output.patterns[0].mean(0).numpy()

    def speaker(
        self, portrait: Points, portrait_emotion: NDArray[np.floating], shown: NDArray[np.floating] | None = None
    ) -> Speaker:
        """A portrait's normalised face (78, 3), in the state that ``portrait_emotion`` (9,) says, ready to speak.

        ``shown``: the mixtures (..., 9) that it will wear, where they are known: of others no opening is worked out, which is
        most of the work here. None: any.
        """
        face = relaxed(portrait)
        labels = np.concatenate([np.eye(len(EMOTIONS)), np.full((1, len(EMOTIONS)), np.nan)])
        worn = np.ones(len(labels), bool)
        if shown is not None:
            each = shown.reshape(-1, len(EMOTIONS))
            worn = np.append((np.nan_to_num(each) != 0).any(axis=0), np.isnan(each).any())
        worn[NEUTRAL_LABEL], worn[UNKNOWN_EMOTION] = False, worn[UNKNOWN_EMOTION] and self.config.unlabelled
        neutral, constant, *others = self.constants(face, np.stack([NEUTRAL, portrait_emotion, *labels[worn]]))
        openings = np.zeros(len(labels), np.float32)
        if others:
            openings[worn] = OPENING_SHARE * lip_gap(np.stack(others) - neutral)
        return Speaker(np.asarray(portrait, np.float32), face, constant, openings)


def load_s2l(folder: Path) -> S2L:
    """The trained model in ``folder``, ready to predict.

    Raises:
        SpaceError: no such model, or one that is damaged or of another release.
    """
    card = load_card(folder, "s2l")
    model = S2L(from_config(folder, card, S2LConfig))
    load_weights(folder, card, model)
    model.weights_sha256 = card.weights_sha256
    return model.eval()


def config_of(model: S2L) -> dict[str, Any]:
    """Constructor arguments for the card."""
    return asdict(model.config)
