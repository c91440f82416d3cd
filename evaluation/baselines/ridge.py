"""Linear regression from log-mel to lips: the simplest system that listens, and the trap for metrics that prefer averages.

Its lips are (a linear estimate of) the mean of all lips that a sound may go with. On a judge of lips against sound alone they
score above recorded lips (docs/benchmark.md), which do more than the sound tells; so no such judge may rank upwards unless
recorded lips beat these.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.baselines.drawn import drawn, held
from evaluation.ours import Models
from evaluation.systems import RIDGE, Assignment, Rendering
from space_data.avsync import mel_context, mel_frames
from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.landmarks import JAW, MOUTH
from space_data.speech import log_mel
from space_models.portrait import portrait_of_crop

POINTS = np.concatenate([MOUTH, JAW[4:13]])
"""Both lip outlines and the lower jaw, of the 78."""
RIDGE_FRAMES = 1e4
"""Ridge in units of the summed squares, so about as if so many frames of unit loudness said that lips rest."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class LipRidge:
    """``map`` (440, 87): 11 frames of 40 log-mel bands, centred over the clip, to x, y, z of `POINTS`, in IOD."""

    map: NDArray[np.float64]

    def lips(self, mel: Array, rest: Array) -> Array:
        """Normalised landmarks (T, 78, 3) of frame-wise log-mel (T, 40) for a face that is ``rest`` (78, 3) in frame 0."""
        moved = (mel_context(mel) @ self.map).reshape(len(mel), len(POINTS), 3)
        landmarks = np.repeat(rest[None].astype(np.float32), len(mel), 0)
        landmarks[:, POINTS] += (moved - moved[:1]).astype(np.float32)
        return landmarks

    def save(self, path: Path) -> None:
        """Write to an .npz file."""
        with atomic_file(path) as part, part.open("wb") as file:
            np.savez(file, map=self.map)

    @staticmethod
    def load(path: Path | str) -> "LipRidge":
        """Inverse of `save`."""
        with np.load(path) as arrays:
            return LipRidge(arrays["map"])


def fit(clips: Iterable[tuple[Array, Array]]) -> LipRidge:
    """Fit on clips, each as normalised landmarks (T, 78, 3) and frame-wise log-mel (T, 40); read one by one.

    Raises:
        SpaceError: there are none.
    """
    gram: NDArray[np.float64] | None = None
    cross = np.zeros(0)
    for normalised, mel in clips:
        sound = mel_context(mel)
        lips = normalised[:, POINTS].reshape(len(normalised), -1).astype(np.float64)
        lips -= lips.mean(axis=0)
        if gram is None:
            gram, cross = np.zeros((sound.shape[1],) * 2), np.zeros((sound.shape[1], lips.shape[1]))
        gram += sound.T @ sound
        cross += sound.T @ lips
    if gram is None:
        raise SpaceError("ridge: no training clip to fit lips on (are there training identities? see data.splits)")
    return LipRidge(np.linalg.solve(gram + RIDGE_FRAMES * np.eye(len(gram)), cross))


class Ridge:
    """Moves the portrait's lips by a fitted `LipRidge`; head, eyes and lids are still."""

    name = RIDGE.name

    def __init__(self, fitted: LipRidge, models: Models) -> None:
        self._fitted, self._models = fitted, models

    def render(self, assignment: Assignment) -> Rendering:
        """The portrait with predicted lips."""
        portrait = portrait_of_crop(assignment.portrait, assignment.clip_id)
        landmarks = self._fitted.lips(mel_frames(log_mel(assignment.speech)), portrait.normalised)
        return drawn(assignment, portrait, landmarks, held(portrait.pose, assignment.n_frames), self._models)
