"""The clips that L2L learns from, and the portraits that each may be seen from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from space_models.generators import LatentSpec
from space_models.stream import VIDEO

Array = NDArray[np.float32]


@dataclass(frozen=True)
class S2LTake:
    """A clip's ``landmarks`` (T, 78, 3) as S2L predicts them from its sound for a portrait (78, 3), whose latents are (D,): what
    L2L gets in use."""

    landmarks: Array
    portrait: Array
    portrait_z: Array


@dataclass(frozen=True)
class LatentClip:
    """One clip: tracked ``landmarks`` (T, 78, 3) as the model sees them (`L2L.seen`), ``sound`` (T, 160), ``emotion`` (9,), the
    generator's latents ``z`` (T, D), whether the face was ``found`` (T,), and S2L's takes on it. Elsewhere landmarks and pose are
    interpolated, and latents are of what lies there: no truth to learn, or to be judged by."""

    clip_id: str
    subject: str
    landmarks: Array
    sound: Array
    emotion: Array
    z: Array
    found: NDArray[np.bool_]
    takes: tuple[S2LTake, ...] = field(default=())

    @property
    def kind(self) -> str:
        """Latents are read from pictures."""
        return VIDEO

    def __len__(self) -> int:
        return len(self.sound)


def importance(spec: LatentSpec) -> NDArray[np.float64]:
    """Weight (D,) of squared errors in s.d., with sum 1: what each latent's usual motion shows."""
    shown = np.array(spec.weight) * np.array(spec.sd) ** 2
    return shown / shown.sum()


class Portraits:
    """Frames to start from: of the clip itself, or of another take of the same person, with another emotion where there is one.

    Without the latter neutral-to-neutral is all that is seen, and the emotion cannot show.
    """

    def __init__(self, of_subject: Mapping[str, Sequence[LatentClip]]) -> None:
        """The clips at hand of each subject."""
        self._of_subject = of_subject

    def draw(self, clip: LatentClip, other_share: float, rng: np.random.Generator) -> tuple[Array, Array]:
        """Landmarks (78, 3) and latents (D,) of a portrait for ``clip``, from another take with probability ``other_share``."""
        others = _other_takes(clip, self._of_subject[clip.subject]) if other_share else []
        source = others[int(rng.integers(len(others)))] if others and rng.uniform() < other_share else clip
        frames = np.flatnonzero(source.found)
        frame = int(frames[rng.integers(len(frames))])
        return source.landmarks[frame], source.z[frame]

    def other(self, clip: LatentClip) -> LatentClip | None:
        """The first of the other takes, None if there is none."""
        return next(iter(_other_takes(clip, self._of_subject[clip.subject])), None)


def _other_takes(clip: LatentClip, takes: Sequence[LatentClip]) -> list[LatentClip]:
    others = [take for take in takes if take.clip_id != clip.clip_id]
    return [take for take in others if not np.array_equal(take.emotion, clip.emotion, equal_nan=True)] or others
