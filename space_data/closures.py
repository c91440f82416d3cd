"""Closed lips: when a frame counts as closed, and how many closed frames of two tracks answer each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

CLOSED_GAP_IOD = 0.02
"""Lips count as closed below this inner opening."""
CLOSURE_TOLERANCE_FRAMES = 2


@dataclass(frozen=True)
class Closures:
    """Counts of frames with closed lips, of any number of clips: they add up."""

    predicted: int = 0
    predicted_rightly: int = 0
    """with a measured one within the tolerance"""
    measured: int = 0
    measured_found: int = 0
    frames: int = 0

    @staticmethod
    def of(predicted_gap: NDArray[np.floating], measured_gap: NDArray[np.floating], speech: NDArray[np.bool_]) -> "Closures":
        """Of one clip's gaps (T,), among its frames of speech (T,)."""
        predicted, measured = (gap < CLOSED_GAP_IOD for gap in (predicted_gap, measured_gap))
        right, found = (near & own for near, own in ((_near(measured), predicted), (_near(predicted), measured)))
        counts = (int((x & speech).sum()) for x in (predicted, right, measured, found, speech))
        return Closures(*counts)

    def __add__(self, other: "Closures") -> "Closures":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Closures(*(a + b for a, b in pairs))

    @property
    def share(self) -> float:
        """Of the frames of speech that are predicted closed."""
        return self.predicted / max(self.frames, 1)

    @property
    def measured_share(self) -> float:
        """Of those that are closed."""
        return self.measured / max(self.frames, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 without any."""
        precision, recall = self.predicted_rightly / max(self.predicted, 1), self.measured_found / max(self.measured, 1)
        return 2 * precision * recall / max(precision + recall, 1e-9)


def _near(closed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a frame (T,) or one within the tolerance is closed."""
    return maximum_filter1d(closed, 2 * CLOSURE_TOLERANCE_FRAMES + 1, mode="constant")
