"""Head motion with known laws, as PoseGen's moments take it."""

import numpy as np
from numpy.typing import NDArray

from space_data.params import PoseGenStage
from space_models.posegen.fit import empty_moments
from space_models.posegen.moments import PersonMoments
from space_models.posegen.pose import N_POSE
from space_models.posegen.speech import n_rises

LAST, BEFORE = np.array([1.6, 1.2, 1.4, 1.5, 1.3, 1.0]), np.array([-0.7, -0.4, -0.5, -0.6, -0.4, -0.2])
NOISE = np.array([1.2, 1.0, 0.8, 0.01, 0.01, 0.005])
WARM_UP = 60


def recursion_clip(
    rng: np.random.Generator, n_keys: int, push: NDArray[np.floating] | None = None, noise: NDArray[np.floating] = NOISE
) -> NDArray[np.float64]:
    """Key poses (n_keys, 6) of the recursion above, after it has settled; ``push`` (n_keys, 6) is added to the noise."""
    driven = rng.standard_normal((WARM_UP + n_keys, N_POSE)) * noise
    if push is not None:
        driven[WARM_UP:] += push
    keys = np.zeros((WARM_UP + n_keys, N_POSE))
    for k in range(2, len(keys)):
        keys[k] = LAST * keys[k - 1] + BEFORE * keys[k - 2] + driven[k]
    return keys[WARM_UP:]


def person_of(
    clips: list[NDArray[np.floating]], sounds: list[NDArray[np.floating]] | None, settings: PoseGenStage
) -> PersonMoments:
    """Moments of one person's ``clips``, each with its ``sounds`` (K, rises), or silent."""
    moments = empty_moments(settings)
    silent = [np.zeros((len(clip), n_rises(settings.memory_frames))) for clip in clips]
    for clip, sound in zip(clips, sounds or silent, strict=True):
        moments.add(clip, sound, np.ones(len(clip), bool))
    return moments
