"""L2L: posed landmarks, speech and emotion to the generator's latent keypoints (the paper's second stage), causal.

    keypoints = load_l2l(folder).predict(landmarks_px, log_mel, emotion, portrait, source_keypoints)

An LSTM over what the landmarks say (change against the portrait) and what is heard, FiLM-conditioned on the emotion; it corrects
a starting point: the portrait's keypoints moved as their landmark anchors move. Three switches are the paper's ablations
(supplement): ``use_audio``; ``use_landmarks`` (without: S2Latents, which must find the head's pose in the sound); and
``normalise``: with it network and keypoints live in the head's own frame and the pose is put back exactly afterwards.
Layer sizes are ours; the paper gives none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS, PoseTrack, estimate_pose_78, normalise, posed
from space_data.schema import EMOTIONS
from space_data.speech import MEL_BANDS
from space_data.timebase import FEATURES_PER_FRAME
from space_models.checkpoints import load_card, load_weights
from space_models.film import condition_of, learnt_emotion
from space_models.generators.compact_nets import DETAIL_KEYPOINTS, N_KEYPOINTS, anchor_matrix, anchors_of
from space_models.portrait import Portrait

MODEL = "l2l"
SOUND_WIDTH = FEATURES_PER_FRAME * MEL_BANDS
LANDMARK_GAIN, SOUND_GAIN, OUTPUT_GAIN = 5.0, 0.3, 0.1  # bring inputs and corrections to order 1
DETAIL_WEIGHT = 3.0  # of eyes and mouth in the loss
HALF_CROP_PX = CROP_SIZE_PX / 2

Array = NDArray[np.float32]


@dataclass(frozen=True)
class L2LConfig:
    """Constructor arguments; stored in the card."""

    hidden: int
    use_audio: bool
    use_landmarks: bool
    normalise: bool
    labelled: bool = True
    unlabelled: bool = False
    """as in ``S2LConfig``"""

    @property
    def in_head_frame(self) -> bool:
        """Without landmarks the pose is not known, so it cannot be removed."""
        return self.normalise and self.use_landmarks


@dataclass(frozen=True)
class HeadFrame:
    """A clip as the network sees it: ``landmarks`` (T, 78, 3) and ``keypoints`` (T, K, 3) in the head's frame (IOD), or in
    half crops where the pose is left in; ``pose`` puts it back (None in the latter case)."""

    landmarks: Array
    keypoints: Array
    pose: PoseTrack | None


def to_head_frame(landmarks_px: Array, keypoints: Array, config: L2LConfig) -> HeadFrame:
    """Landmarks (T, 78, 3) in pixels of the 512 crop and keypoints (T, K, 3) in [-1, 1], with the pose removed (or not)."""
    if not config.in_head_frame:
        return HeadFrame((landmarks_px / HALF_CROP_PX - _CENTRE).astype(np.float32), keypoints, None)
    pose = estimate_pose_78(landmarks_px)
    return HeadFrame(normalise(landmarks_px, pose), normalise((keypoints + _CENTRE) * HALF_CROP_PX, pose), pose)


def from_head_frame(keypoints: Array, pose: PoseTrack | None) -> Array:
    """Keypoints (T, K, 3) back in [-1, 1] of the crop: the inverse of `to_head_frame`."""
    if pose is None:
        return keypoints
    return (posed(keypoints, pose) / HALF_CROP_PX - _CENTRE).astype(np.float32)


_CENTRE = np.array([1.0, 1.0, 0.0], np.float32)


class L2L(nn.Module):
    """See the module's docstring. Shapes: B clips, T frames."""

    anchors: Tensor

    def __init__(self, config: L2LConfig) -> None:
        super().__init__()
        self.config = config
        flat_landmarks, flat_keypoints = N_LANDMARKS * 3, N_KEYPOINTS * 3
        inputs = flat_landmarks * config.use_landmarks + SOUND_WIDTH * config.use_audio
        if not inputs:
            raise SpaceError("l2l: use_audio and use_landmarks are both false, at least one needed")
        self.enter = nn.Linear(inputs, config.hidden)
        self.portrait = nn.Linear(flat_keypoints, config.hidden)
        self.film = nn.Linear(len(EMOTIONS) + config.unlabelled, 2 * config.hidden)
        self.memory = nn.LSTM(config.hidden, config.hidden, batch_first=True)
        self.leave = nn.Linear(2 * config.hidden, flat_keypoints)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.register_buffer("anchors", torch.from_numpy(anchor_matrix()), persistent=False)

    def forward(
        self, landmarks: Tensor, sound: Tensor, emotion: Tensor, source_landmarks: Tensor, source_keypoints: Tensor
    ) -> Tensor:
        """Landmarks (B, T, 78, 3), sound (B, T, 160), emotion (B, 9), all NaN where unknown, the portrait's landmarks
        (B, 78, 3) and keypoints (B, K, 3), all in the network's frame: keypoints (B, T, K, 3)."""
        change = landmarks - source_landmarks[:, None]
        heard = SOUND_GAIN * sound
        parts = [LANDMARK_GAIN * change.flatten(2)] * self.config.use_landmarks + [heard] * self.config.use_audio
        # Of the portrait only its own offset from the anchors: given whole faces, few training identities are learnt by heart.
        offset = LANDMARK_GAIN * (source_keypoints - self.anchors @ source_landmarks).flatten(1)
        x = self.enter(torch.cat(parts, -1)) + self.portrait(offset)[:, None]
        scale, shift = self.film(condition_of(emotion, self.config.unlabelled))[:, None].chunk(2, -1)
        x = torch.relu(x * (1 + scale) + shift)
        remembered, _ = self.memory(x)
        correction = OUTPUT_GAIN * self.leave(torch.cat([x, remembered], -1)).unflatten(-1, (N_KEYPOINTS, 3))
        start = source_keypoints[:, None]
        if self.config.use_landmarks:
            start = start + self.anchors @ change
        return start + correction

    def predict(
        self,
        landmarks_px: Array,
        log_mel: Array,
        emotion: NDArray[np.floating],
        portrait: Portrait,
        source_keypoints: Array,
    ) -> Array:
        """Driving keypoints (T, K, 3) of a portrait.

        Args:
            landmarks_px: posed landmarks in pixels of the portrait's 512 crop, (T, 78, 3).
            log_mel: mean-normalised, (T, 160).
            emotion: intensities, (9,); all NaN: unknown.
            source_keypoints: of the portrait, (K, 3): ``CompactGenerator.prepare(portrait).keypoints``.

        Raises:
            SpaceError: landmarks and speech of different length.
        """
        return self.drive(landmarks_px, log_mel, emotion, portrait.landmarks, source_keypoints)

    def drive(
        self, landmarks_px: Array, log_mel: Array, emotion: NDArray[np.floating], source_px: Array, source_keypoints: Array
    ) -> Array:
        """As `predict`, with the portrait's landmarks (78, 3) in pixels of its crop."""
        if len(landmarks_px) != len(log_mel):
            raise SpaceError(f"l2l: {len(landmarks_px)} frames of landmarks against speech for {len(log_mel)}, need the same")
        emotion = learnt_emotion(emotion, self.config.labelled, self.config.unlabelled, MODEL)
        source = to_head_frame(source_px[None], source_keypoints[None], self.config)
        filler = np.broadcast_to(source_keypoints, (len(landmarks_px), N_KEYPOINTS, 3))
        target = to_head_frame(landmarks_px, filler, self.config)
        arrays = (target.landmarks, log_mel, np.asarray(emotion, np.float32), source.landmarks[0], source.keypoints[0])
        device = next(self.parameters()).device
        tensors = [torch.from_numpy(np.array(a, np.float32))[None].to(device) for a in arrays]
        with torch.inference_mode():
            return from_head_frame(self(*tensors)[0].float().cpu().numpy(), target.pose)


@dataclass(frozen=True)
class LatentClip:
    """One clip to learn from: landmarks in pixels of a 512 crop, speech, and the keypoints the generator found."""

    subject: str
    landmarks_px: Array
    sound: Array
    emotion: Array
    keypoints: Array

    def __len__(self) -> int:
        return len(self.sound)


class L2LTask:
    """What the training loop learns: stretches of clips, each with a random frame of its clip as the portrait."""

    criterion = "val_keypoint_error_px"

    def __init__(self, clips: Sequence[LatentClip], held_out: Sequence[LatentClip], batch: int, frames: int, config: L2LConfig):
        self._clips = [clip for clip in clips if len(clip) >= frames]
        if not self._clips:
            raise SpaceError(f"l2l: {len(clips)} training clips, none of {frames} frames or more (lower l2l.frames?)")
        self._frames = [to_head_frame(clip.landmarks_px, clip.keypoints, config) for clip in self._clips]
        self.held_out, self._batch, self._length = held_out, batch, frames

    def batch(self, rng: np.random.Generator, draw: int) -> dict[str, Array]:
        """Arrays for `L2L.forward`, and ``wanted`` (B, T, K, 3)."""
        rows = []
        for index in rng.integers(len(self._clips), size=self._batch):
            clip, frame = self._clips[index], self._frames[index]
            begin = int(rng.integers(len(clip) - self._length + 1))
            portrait = int(rng.integers(len(clip)))
            now = slice(begin, begin + self._length)
            rows.append(
                (frame.landmarks[now], clip.sound[now], clip.emotion, frame.landmarks[portrait], frame.keypoints[portrait],
                 frame.keypoints[now])
            )  # fmt: skip
        names = ("landmarks", "sound", "emotion", "source_landmarks", "source_keypoints", "wanted")
        return {name: np.stack(column).astype(np.float32) for name, column in zip(names, zip(*rows, strict=True), strict=True)}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted L1 of the keypoints."""
        inputs = {name: value for name, value in batch.items() if name != "wanted"}
        weight = torch.ones(N_KEYPOINTS, 1, device=batch["wanted"].device)
        weight[DETAIL_KEYPOINTS] = DETAIL_WEIGHT
        loss = ((model(**inputs) - batch["wanted"]).abs() * weight).mean()
        return loss, {"keypoints": loss}

    def validate(self, model: nn.Module, unit: LatentClip) -> dict[str, float]:
        """Error on a held-out clip, pixels of the 512 crop."""
        assert isinstance(model, L2L)
        return {"val_keypoint_error_px": _error_px(_redrawn(model, unit), unit)}


def _redrawn(model: L2L, clip: LatentClip) -> Array:
    """A clip's keypoints predicted from its first frame."""
    return model.drive(clip.landmarks_px, clip.sound, clip.emotion, clip.landmarks_px[0], clip.keypoints[0])


def _error_px(found: Array, clip: LatentClip) -> float:
    distance = np.linalg.norm((found - clip.keypoints)[:, DETAIL_KEYPOINTS, :2], axis=-1)
    return float(distance.mean() * HALF_CROP_PX)


def evaluate(model: L2L, held_out: Sequence[LatentClip], training: Sequence[LatentClip]) -> dict[str, float]:
    """Mean distance of eye and mouth keypoints from the generator's own on held-out identities, pixels of the 512 crop.

    Ours, the still first frame, the mean face of training (with the frame's true pose where the model knows it), and the first
    frame's keypoints moved by their landmark anchors, which is where L2L starts: only what is better than that was learnt.
    """
    frames = [to_head_frame(c.landmarks_px, c.keypoints, model.config) for c in training]
    mean = np.mean([f.keypoints.mean(0) for f in frames], axis=0)
    names = ("keypoint_error_px", "keypoint_error_still_px", "keypoint_error_mean_px", "keypoint_error_anchors_px")
    errors: dict[str, list[float]] = {name: [] for name in names}
    for clip in held_out:
        pose = to_head_frame(clip.landmarks_px, clip.keypoints, model.config).pose
        average = np.broadcast_to(mean, clip.keypoints.shape)
        errors["keypoint_error_px"].append(_error_px(_redrawn(model, clip), clip))
        errors["keypoint_error_still_px"].append(_error_px(clip.keypoints[:1], clip))
        anchors = anchors_of(clip.landmarks_px, CROP_SIZE_PX)
        errors["keypoint_error_anchors_px"].append(_error_px(clip.keypoints[:1] + anchors - anchors[:1], clip))
        errors["keypoint_error_mean_px"].append(_error_px(from_head_frame(average, pose), clip))
    return {name: float(np.mean(values)) for name, values in errors.items()}


def load_l2l(folder: Path) -> L2L:
    """The model whose weights and card lie in ``folder``.

    Raises:
        SpaceError: nothing there, another model, or weights that are not those the card describes.
    """
    card = load_card(folder, MODEL)
    model = L2L(L2LConfig(**card.config))
    load_weights(folder, card, model)
    return model.eval()
