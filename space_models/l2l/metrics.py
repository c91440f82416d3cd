"""How far predicted latents are from those that the generator reads from the frames themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space_models.dataset import by_subject
from space_models.generators import LatentSpec
from space_models.l2l.clips import LatentClip, Portraits, importance
from space_models.l2l.inputs import geometry
from space_models.l2l.network import L2L

Array = NDArray[np.float32]
Predict = Callable[[LatentClip, Array, Array, Array], Array]
"""(clip, landmarks (T, 78, 3), portrait (78, 3), its latents (D,)) → latents (T, D)"""

TRACKED, OTHER_TAKE, ON_S2L = "tracked", "other_take", "on_s2l"
"""Driving landmarks and portrait: of the recording, from its first frame; likewise, the portrait from another take of the person,
with another emotion where there is one; S2L's, from the first frame: what L2L gets in use."""


@dataclass(frozen=True)
class ClipError:
    """One clip under one condition: root mean square error in s.d., weighted by what each latent shows (still: about 1)."""

    clip_id: str
    subject: str
    condition: str
    error: float


def errors_of(predict: Predict, clips: Sequence[LatentClip], spec: LatentSpec) -> list[ClipError]:
    """Errors of a predictor on clips, under each condition that they allow."""
    portraits, rows = Portraits(by_subject(clips)), []
    weight, sd = importance(spec), np.array(spec.sd)
    for clip in clips:
        runs = [(TRACKED, clip.landmarks, clip.landmarks[0], clip.z[0])]
        other = portraits.other(clip)
        if other is not None:
            runs.append((OTHER_TAKE, clip.landmarks, other.landmarks[0], other.z[0]))
        if clip.takes:
            take = clip.takes[0]
            runs.append((ON_S2L, take.landmarks, take.portrait, take.portrait_z))
        for condition, landmarks, portrait, portrait_z in runs:
            squared = ((predict(clip, landmarks, portrait, portrait_z) - clip.z) / sd) ** 2 @ weight
            rows.append(ClipError(clip.clip_id, clip.subject, condition, float(np.sqrt(squared[clip.found].mean()))))
    return rows


def model_errors(model: L2L, clips: Sequence[LatentClip]) -> list[ClipError]:
    """Errors of a model."""

    def predict(clip: LatentClip, landmarks: Array, portrait: Array, portrait_z: Array) -> Array:
        return model.predict(landmarks, clip.sound, clip.emotion, portrait, portrait_z)

    return errors_of(predict, clips, model.spec)


def ridge_errors(model: L2L, clips: Sequence[LatentClip]) -> list[ClipError]:
    """Errors of the linear start alone; of a model without landmarks, that is a still face."""
    weight = model.weight.cpu().numpy() * model.config.use_landmarks

    def predict(clip: LatentClip, landmarks: Array, portrait: Array, portrait_z: Array) -> Array:
        return (portrait_z + geometry(landmarks, portrait) @ weight).astype(np.float32)

    return errors_of(predict, clips, model.spec)


def still_errors(spec: LatentSpec, clips: Sequence[LatentClip]) -> list[ClipError]:
    """Errors of the portrait's own latents, held."""
    return errors_of(lambda clip, landmarks, portrait, portrait_z: np.broadcast_to(portrait_z, clip.z.shape), clips, spec)


def means(rows: Sequence[ClipError], suffix: str = "") -> dict[str, float]:
    """Mean error over clips by condition, ``latent_error_<condition><suffix>``."""
    conditions = dict.fromkeys(row.condition for row in rows)
    by_condition = {name: [row.error for row in rows if row.condition == name] for name in conditions}
    return {f"latent_error_{name}{suffix}": float(np.mean(errors)) for name, errors in by_condition.items()}


def evaluate(model: L2L, clips: Sequence[LatentClip]) -> dict[str, float]:
    """Mean errors of the model, of its linear start and of a still face."""
    return {
        **means(model_errors(model, clips)),
        **means(ridge_errors(model, clips), "_ridge"),
        **means(still_errors(model.spec, clips), "_still"),
    }


def beats_ridge(model: L2L, clips: Sequence[LatentClip]) -> bool:
    """Whether the network is better than its linear start on these clips, under every condition.

    On average over conditions it may win by what it makes of other takes' light, and lose the lips. So it did on validation
    people with principal components of pixels as latents (1.073 against 1.080, but .900 against .875 on tracked landmarks), and
    was worse on test people (1.009 against .958).
    """
    ours, ridge = means(model_errors(model, clips)), means(ridge_errors(model, clips))
    return all(ours[condition] < ridge[condition] for condition in ridge)
