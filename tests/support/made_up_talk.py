"""A made-up talking face and small S2L networks, untrained, whose output is large enough to compare."""

import numpy as np
import torch

from space_data import landmarks as lm
from space_data.schema import UNKNOWN, FeatureClip, emotion_vector
from space_data.speech_encoder import LOG_MEL, WHISPER_TINY_EN, spec_of
from space_models.dataset import TrackClip
from space_models.s2l.augment import Augmentation
from space_models.s2l.features import N_BAND_GROUPS
from space_models.s2l.loss import LossWeights
from space_models.s2l.model import S2L
from space_models.s2l.network import S2LConfig
from space_models.s2l.task import TaskSettings

AUGMENTATION = Augmentation((36.0, 66.0), 0.15, 0.1)
WEIGHTS = LossWeights(mouth=6.0, velocity=2.0, lips=3.0, lids=0.02, irises=1.0, contact=5.0, contact_gap_iod=0.02)
UPPER, LOWER = (np.array(side) for side in zip(*lm.INNER_LIP_PAIRS, strict=True))


def template_face() -> np.ndarray:
    """The template's landmarks with pupils in the middle of the eyes, (78, 3)."""
    points = np.vstack([lm.template_mesh(), np.zeros((10, 3))])[lm.MESH_TO_78].astype(np.float32)
    points[lm.IRIS_LEFT] = points[[36, 39]].mean(0)
    points[lm.IRIS_RIGHT] = points[[42, 45]].mean(0)
    return points


def config(encoder: str = LOG_MEL, lookahead_frames: int = 2, unlabelled: bool = False, share: float = 0.4) -> S2LConfig:
    """A small network."""
    spec = spec_of(encoder)
    n_channels = N_BAND_GROUPS if encoder == LOG_MEL else 16
    return S2LConfig(
        spec.name, "", spec.per_frame, spec.width, n_channels, 16, 24, lookahead_frames, 0.25, share, True, unlabelled
    )


def loud_network(of: S2LConfig) -> S2L:
    """Untrained, with displacements of some hundredths of an IOD, a gap map, and neutral speech."""
    torch.manual_seed(0)
    model = S2L(of).eval()
    with torch.no_grad():
        for last in (model.network.out_proj, model.network.filter_proj):
            torch.nn.init.normal_(last.weight, std=0.05)
        torch.nn.init.normal_(model.network.baseline.weight, std=0.02)
        model.neutral_speech.normal_()
        if of.encoder == WHISPER_TINY_EN:
            model.speech_input.projection.normal_(std=0.05)
        model.gap_knots.copy_(torch.stack([torch.linspace(-0.2, 0.3, 41), torch.linspace(-0.25, 0.4, 41)]))
    return model


def made_up_speech(encoder: str, n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """(T, P, W)."""
    spec = spec_of(encoder)
    return rng.normal(0, 2, (n_frames, spec.per_frame, spec.width)).astype(np.float32)


def task_settings(batch: int, frames: int, filmed_share: float = 0.5, lookahead_frames: int = 2) -> TaskSettings:
    """Of a small task."""
    return TaskSettings(batch, frames, filmed_share, lookahead_frames, AUGMENTATION, WEIGHTS)


def talking_clips(face: np.ndarray, n: int, rng: np.random.Generator, emotion: str = "neutral") -> list[TrackClip]:
    """Utterances in which the lower lip drops with the loudness of the same frame, and a smile widens the mouth."""
    found = []
    for i in range(n):
        loud = np.clip(np.convolve(rng.normal(size=64), np.ones(5) / 2, "same"), 0, None).astype(np.float32)[2:62]
        points = np.repeat(face[None], 60, 0)
        points[:, LOWER, 1] = points[:, UPPER, 1] + 0.2 * loud[:, None]
        points[:, 54, 0] += 0.1 * (emotion in ("happy", UNKNOWN))
        log_mel = (np.repeat(loud, 4)[:, None] * np.linspace(1, 3, 40) + rng.normal(0, 0.1, (240, 40))).astype(np.float32)
        row = FeatureClip(f"{emotion}{i}", "video", "made", f"s{i % 3}", "en", "train", emotion_vector(emotion, 1.0), 60)
        states = (np.repeat(loud, 2)[:, None] * np.linspace(-1, 1, 384) + rng.normal(0, 0.1, (120, 384))).astype(np.float16)
        pose, lost, speaking = np.zeros((60, 7), np.float32), np.zeros(60, bool), np.ones(60, bool)
        found.append(TrackClip(row, points, pose, log_mel, lost, speaking, states.reshape(60, 2, 384)))
    return found
