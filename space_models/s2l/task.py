"""Windows of speech with the landmarks that go with them: what the trainer asks for (``trainer.Task``)."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from space_models.dataset import TrackClip
from space_models.retarget import relaxed
from space_models.s2l.augment import Augmentation, normalised_windows
from space_models.s2l.features import speech_of
from space_models.s2l.loss import LossWeights, displacement_loss
from space_models.s2l.metrics import watched
from space_models.s2l.model import S2L
from space_models.stream import Block, ClipSource


@dataclass(frozen=True)
class TaskSettings:
    """What a batch holds and how it is judged; all from ``params.s2l``."""

    batch: int
    frames: int
    filmed_share: float
    lookahead_frames: int
    augmentation: Augmentation
    loss: LossWeights


class S2LTask:
    """Random windows of the training clips; the model's input buffers must be fitted before."""

    criterion = "lmd_mouth"

    def __init__(self, model: S2L, source: ClipSource[TrackClip], held_out: list[TrackClip], settings: TaskSettings) -> None:
        self._source, self._settings = source, settings
        self._filmed_share = settings.filmed_share if len(source.kinds) == 2 else 1.0
        self.held_out = held_out
        self._input, self._encoder = model.speech_input, model.config.encoder

    def batch(self, rng: np.random.Generator, draw: int) -> dict[str, NDArray[np.float32]]:
        """One batch, B windows of T frames.

        ``speech`` (B, F, W), whole utterances of up to F samples, of which ``length`` (B,) count; ``begin`` (B,), the window's
        first sample; ``face`` (B, 78, 3); ``emotion`` (B, 9); ``target`` displacements (B, T, 78, 3); ``mask`` (B, T), 0 beyond
        the clip's end and where the face was lost.

        The face shown is what ``animate`` would show, given any frame of the subject as portrait. It may wear an emotion already,
        which must be taken off; were it often the one to be put on, the label would count for less.
        """
        rows = []
        for filmed in rng.random(self._settings.batch) < self._filmed_share:
            block = self._source.block(self._source.kinds[0 if filmed else -1], draw)
            rows.append(self._window(block, block.clips[int(rng.integers(len(block.clips)))], rng))
        longest = max(len(row["speech"]) for row in rows)
        for row in rows:
            row["speech"] = np.pad(row["speech"], ((0, longest - len(row["speech"])), (0, 0)))
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def _window(self, block: Block[TrackClip], clip: TrackClip, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        n = self._settings.frames
        begin = int(rng.integers(0, max(1, len(clip) - n + 1)))
        points = clip.normalised[begin : begin + n]
        short = n - len(points)
        takes = block.of_subject[clip.subject]
        seen = takes[int(rng.integers(len(takes)))]
        found = np.flatnonzero(~seen.interpolated)
        face = relaxed(seen.normalised[found[rng.integers(len(found))]])
        speech = speech_of(clip, self._encoder)
        return {
            "speech": speech.reshape(-1, self._input.width),
            "length": np.int64(len(speech) * self._input.per_frame),  # type: ignore[dict-item]
            "begin": np.int64(begin * self._input.per_frame),  # type: ignore[dict-item]
            "face": face,
            "emotion": clip.emotion.astype(np.float32),
            "target": np.pad(points - face, ((0, short), (0, 0), (0, 0))).astype(np.float32),
            "mask": np.pad(~clip.interpolated[begin : begin + n], (0, short)).astype(np.float32),
        }

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """``displacement_loss`` of the deep branch and of the linear filter, which learn side by side; parts of the former."""
        ahead = self._settings.lookahead_frames
        n_samples = (self._settings.frames + ahead) * self._input.per_frame
        speech = normalised_windows(
            batch["speech"], batch["length"], batch["begin"], n_samples, self._input.to(batch["speech"].device),
            self._settings.augmentation,
        )  # fmt: skip
        output = model(speech, batch["face"].flatten(1), batch["emotion"])
        shared = batch["target"], batch["face"], batch["mask"], self._settings.loss
        total, parts = displacement_loss(output.deep[:, ahead:], *shared)
        linear, _ = displacement_loss(output.linear[:, ahead:], *shared)
        return total + linear, {**parts, "linear": linear}

    def validate(self, model: nn.Module, unit: TrackClip) -> dict[str, float]:
        """Mouth distance and lip-gap correlation of a clip of a held-out identity.

        As in use: on the CPU, in single precision, wherever and however it is trained; `predict` is of numpy in half.
        """
        own_device = next(model.parameters()).device
        on_cpu = model if own_device.type == "cpu" else copy.deepcopy(model).to("cpu")
        with torch.autocast("cpu", enabled=False):
            return watched(on_cpu, unit)  # type: ignore[arg-type]
