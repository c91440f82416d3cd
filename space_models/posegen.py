"""PoseGen: head pose from speech, one-to-many. Same seed, same motion; another seed, another plausible motion.

SPACE says only that pose is either generated or transferred (paper, section 3); the network is ours. Heads move slowly, so the
model works on key poses 0.2 s apart: an autoregressive GRU reads the sound of the interval and the last two key poses and gives a
Gaussian over the next change of pose. Sampling it, with the noise from a seed, gives motion; a cubic through the keys gives 25
frames a second. Noise at the frame rate instead would be jitter.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from torch import Tensor, nn

from space_data.landmarks import PoseTrack, posed, rotation_matrix
from space_data.speech import MEL_BANDS
from space_data.timebase import FEATURES_PER_FRAME
from space_models.checkpoints import load_card, load_weights
from space_models.retarget import HEAD_PIVOT

FRAMES_PER_KEY = 5
POSE_COLUMNS = ("yaw_deg", "pitch_deg", "roll_deg", "x_iod", "y_iod", "log_scale")
N_POSE = len(POSE_COLUMNS)
SOUND_BANDS = 8
"""Mel bands, pooled to octave-like groups: rhythm and loudness, not phonemes."""
LEAST_LOG_SD, LARGEST_LOG_SD = -4.0, 2.0


@dataclass(frozen=True)
class PoseGenConfig:
    """Size of the network and the units in which it sees pose (standard deviations of the training set)."""

    hidden: int
    pose_sd: tuple[float, ...]
    step_sd: tuple[float, ...]


def _pivot(pose: PoseTrack) -> NDArray[np.float64]:
    """Where the middle of the head lies, (T, 3) pixels: a head that turned about its eyes would swing like a mask."""
    return posed(np.broadcast_to(HEAD_PIVOT, (len(pose), 1, 3)), pose)[:, 0].astype(np.float64)


def relative_pose(pose: PoseTrack) -> NDArray[np.float32]:
    """Poses of one clip as departures from their mean, (T, 6) in ``POSE_COLUMNS``; lengths in units of the mean scale."""
    angles = np.stack([pose.yaw_deg, pose.pitch_deg, pose.roll_deg], 1).astype(np.float64)
    pivot, scale = _pivot(pose)[:, :2], pose.scale.astype(np.float64)
    travel = (pivot - pivot.mean(0)) / scale.mean()
    return np.concatenate([angles - angles.mean(0), travel, np.log(scale / scale.mean())[:, None]], 1).astype(np.float32)


def apply_pose(offsets: NDArray[np.floating], start: PoseTrack) -> PoseTrack:
    """Pose track of a portrait whose own pose is ``start`` (one frame), moved by ``offsets`` (T, 6)."""
    o = np.asarray(offsets, np.float64)
    own_scale = float(start.scale[0])
    scale = own_scale * np.exp(o[:, 5])
    pivot = np.tile(_pivot(start), (len(o), 1))
    pivot[:, :2] += o[:, 3:5] * own_scale
    angles = [float(own[0]) + o[:, i] for i, own in enumerate((start.yaw_deg, start.pitch_deg, start.roll_deg))]
    translation = pivot - scale[:, None] * (rotation_matrix(*angles) @ HEAD_PIVOT)
    return PoseTrack(*(np.asarray(a, np.float32) for a in (*angles, scale, translation)))


def to_keys(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over each group of ``FRAMES_PER_KEY`` frames, (T, C) -> (T // 5, C)."""
    n = len(frames) // FRAMES_PER_KEY
    return frames[: n * FRAMES_PER_KEY].reshape(n, FRAMES_PER_KEY, -1).mean(1)


def sound_keys(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sound per key, (T // 5, 8), from mean-normalised log-mel features grouped by frame, (T, 4 * 40)."""
    pooled = log_mel.reshape(len(log_mel), FEATURES_PER_FRAME, SOUND_BANDS, MEL_BANDS // SOUND_BANDS).mean((1, 3))
    return to_keys(pooled.astype(np.float32))


class PoseGen(nn.Module):
    """Gaussian over the next change of key pose.

    Shapes: sound (batch, keys, 8), pose (batch, keys, 6) in ``POSE_COLUMNS``.
    """

    pose_sd: Tensor
    step_sd: Tensor

    def __init__(self, config: PoseGenConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("pose_sd", torch.tensor(config.pose_sd, dtype=torch.float32))
        self.register_buffer("step_sd", torch.tensor(config.step_sd, dtype=torch.float32))
        self.gru = nn.GRU(SOUND_BANDS + 2 * N_POSE, config.hidden, batch_first=True)
        self.head = nn.Linear(config.hidden, 2 * N_POSE)

    def forward(
        self, sound: Tensor, pose: Tensor, before: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and log s.d. (batch, keys, 6) of the step to the next key, in units of ``step_sd``, and the GRU's state.

        Args:
            sound: of the interval that the step spans.
            pose: at its beginning.
            before: the step that led there.
        """
        inputs = torch.cat([sound, pose / self.pose_sd, before / self.step_sd], -1)
        hidden, state = self.gru(inputs, state)
        mean, log_sd = self.head(hidden).chunk(2, -1)
        return mean, log_sd.clamp(LEAST_LOG_SD, LARGEST_LOG_SD), state

    @torch.no_grad()
    def generate(
        self, log_mel: NDArray[np.float32], rng: np.random.Generator, limits: NDArray[np.floating], strength: float = 1.0
    ) -> NDArray[np.float32]:
        """Draw pose offsets for sound of T frames.

        Args:
            log_mel: mean-normalised, grouped by frame, (T, 160).
            rng: the noise; equal generators give equal motion.
            limits: largest absolute offset per column, (6,); approached softly.
            strength: 0 = still, 1 = as in the training data.

        Returns:
            (T, 6) in ``POSE_COLUMNS``; frame 0 is (nearly) at rest.
        """
        n_frames = len(log_mel)
        padded = np.concatenate([log_mel, np.repeat(log_mel[-1:], 2 * FRAMES_PER_KEY, 0)])
        sound = torch.from_numpy(sound_keys(padded))
        pose = torch.zeros(1, 1, N_POSE)
        before, state, keys = torch.zeros_like(pose), None, [np.zeros(N_POSE)]
        for key in range(1, len(sound)):
            mean, log_sd, state = self(sound[None, key : key + 1], pose, before, state)
            noise = torch.from_numpy(rng.standard_normal((1, 1, N_POSE)).astype(np.float32))
            before = (mean + log_sd.exp() * noise) * self.step_sd
            pose = pose + before
            keys.append(pose[0, 0].double().numpy())
        times = np.arange(len(keys)) * FRAMES_PER_KEY
        smooth = CubicSpline(times, np.stack(keys), bc_type="clamped")(np.arange(n_frames)) * strength
        bound = np.asarray(limits, np.float64)
        return (bound * np.tanh(smooth / bound)).astype(np.float32)


def negative_log_likelihood(model: Any, sound: Tensor, pose: Tensor) -> Tensor:
    """Mean per key and column, nats, of the steps within ``pose`` (batch, keys, 6) given ``sound`` (batch, keys, 8).

    Steps count in units of the model's ``step_sd``; the constant of the Gaussian is left out.
    """
    steps = pose[:, 1:] - pose[:, :-1]
    before = torch.cat([torch.zeros_like(steps[:, :1]), steps[:, :-1]], 1)
    mean, log_sd, _ = model(sound[:, 1:], pose[:, :-1], before)
    return (0.5 * ((steps / model.step_sd - mean) / log_sd.exp()) ** 2 + log_sd).mean()


@dataclass(frozen=True)
class PoseClip:
    """What PoseGen learns from: one clip's key poses (K, 6), relative to the clip's mean, and sound per key (K, 8)."""

    subject: str
    pose: NDArray[np.float32]
    sound: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.pose)


def pose_clip(subject: str, pose: NDArray[np.float32], log_mel: NDArray[np.float32]) -> PoseClip:
    """Key poses and sound of a clip: pose track (T, 7), mean-normalised log-mel by frame (T, 160)."""
    return PoseClip(subject, to_keys(relative_pose(PoseTrack.from_array(pose))), sound_keys(log_mel))


def units_of(clips: list[PoseClip]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Standard deviations over ``clips`` of the poses and of their steps, per column."""
    pose = np.concatenate([clip.pose for clip in clips]).std(0)
    step = np.concatenate([np.diff(clip.pose, axis=0) for clip in clips]).std(0)
    return tuple(float(v) for v in np.maximum(pose, 1e-3)), tuple(float(v) for v in np.maximum(step, 1e-3))


class PoseTask:
    """Next-step prediction on random stretches of key poses (``trainer.Task``)."""

    criterion = "val_nll"

    def __init__(self, train: list[PoseClip], held_out: list[PoseClip], batch: int, keys: int) -> None:
        self._train, self.held_out, self._batch, self._keys = train, held_out, batch, keys

    def batch(self, rng: np.random.Generator, draw: int) -> dict[str, NDArray[np.float32]]:
        """``sound`` (batch, keys, 8) and ``pose`` (batch, keys, 6); mirrored left-right half of the time."""
        chosen = [self._train[i] for i in rng.integers(0, len(self._train), self._batch)]
        sound, pose = [], []
        for clip in chosen:
            begin = int(rng.integers(0, max(1, len(clip.pose) - self._keys + 1)))
            piece = clip.pose[begin : begin + self._keys]
            short = self._keys - len(piece)
            mirror = np.array([-1, 1, -1, -1, 1, 1] if rng.random() < 0.5 else [1] * N_POSE, np.float32)
            pose.append(np.pad(piece * mirror, ((0, short), (0, 0)), mode="edge"))
            sound.append(np.pad(clip.sound[begin : begin + self._keys], ((0, short), (0, 0)), mode="edge"))
        return {"sound": np.stack(sound).astype(np.float32), "pose": np.stack(pose).astype(np.float32)}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log likelihood of the steps."""
        return negative_log_likelihood(model, batch["sound"], batch["pose"]), {}

    def validate(self, model: nn.Module, unit: PoseClip) -> dict[str, float]:
        """Negative log likelihood of a held-out clip."""
        return {"val_nll": held_out_nll(model, [unit])}  # type: ignore[arg-type]


@torch.no_grad()
def held_out_nll(model: PoseGen, clips: list[PoseClip]) -> float:
    """Negative log likelihood per key and column, nats, averaged over clips."""
    device = model.step_sd.device
    values = [
        float(negative_log_likelihood(model, *(torch.from_numpy(a)[None].to(device) for a in (clip.sound, clip.pose))))
        for clip in clips
    ]
    return float(np.mean(values))


def evaluate(model: PoseGen, held_out: list[PoseClip], seed: int) -> dict[str, float]:
    """How likely, and how lively, generated motion is, against held-out clips.

    ``nll`` against ``nll_mean_predictor`` (a Gaussian with the training set's s.d. around "no change of pose"); ``sd_ratio`` and
    ``speed_ratio``: generated over real spread and speed, averaged over yaw, pitch and roll (1 = as lively as real heads);
    ``diversity``: distance between two seeds over the spread of one (0 = always the same).
    """
    steps = np.concatenate([np.diff(clip.pose, axis=0) for clip in held_out])
    unit = model.step_sd.numpy()
    mean_predictor = float((0.5 * (steps / unit) ** 2).mean())
    wide = np.full(N_POSE, 1e6)
    made, real, other = [], [], []
    for number, clip in enumerate(held_out):
        bands = np.repeat(clip.sound, FRAMES_PER_KEY, 0)[:, None, :, None]
        log_mel = np.broadcast_to(bands, (len(bands), FEATURES_PER_FRAME, SOUND_BANDS, MEL_BANDS // SOUND_BANDS))
        flat = np.ascontiguousarray(log_mel.reshape(len(bands), -1))
        first, second = (model.generate(flat, np.random.default_rng([seed, number, k]), wide) for k in (0, 1))
        made.append(to_keys(first)[:, :3])
        other.append(to_keys(second)[:, :3])
        real.append(clip.pose[:, :3])
    spread = float(np.mean([m.std(0).mean() for m in made]))
    return {
        "nll": held_out_nll(model, held_out),
        "nll_mean_predictor": mean_predictor,
        "sd_ratio": spread / float(np.mean([r.std(0).mean() for r in real])),
        "speed_ratio": float(np.mean([np.abs(np.diff(m, axis=0)).mean() for m in made]))
        / float(np.mean([np.abs(np.diff(r, axis=0)).mean() for r in real])),
        "diversity": float(np.mean([np.abs(a - b).mean() for a, b in zip(made, other, strict=True)])) / max(spread, 1e-9),
    }


def load_posegen(folder: Path) -> PoseGen:
    """The trained model in ``folder``, ready to generate."""
    card = load_card(folder, "posegen")
    config = card.config
    model = PoseGen(PoseGenConfig(config["hidden"], tuple(config["pose_sd"]), tuple(config["step_sd"])))
    load_weights(folder, card, model)
    return model.eval()
