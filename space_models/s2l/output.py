"""From what the network says to the landmarks that are shown: lips that meet, the portrait's own state, a start from the photo.

Measured on held-out people and real clips, each against doing without it (docs/s2l.md):

* ``GapMap``: a network trained on squared error predicts averages, and averaged lips never meet. A monotone map, fitted on
  validation speech, gives the lip gap its distribution back: closed frames 2 % -> 18 % (truth 18 %), closure F1 .36 -> .75.
* emotions that part the lips: the gap that an emotion adds is taken off before the map, and put back where the lips are open.
* the network's own constant: what it adds to the portrait on average, under the emotion that the portrait wears, is half taken
  off. The constant and the photo are both right on average, with independent errors.
* the fade: frame 0 is the photo; a fifth of a second later nothing of it is left but the identity.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from space_data import landmarks as lm
from space_data.closures import CLOSED_GAP_IOD
from space_data.schema import EMOTIONS
from space_data.timebase import frames_to_seconds
from space_models.retarget import with_lip_gap

Points = NDArray[np.float32]
Values = NDArray[np.floating]

N_QUANTILES = 41
CONSTANT_SHARE = 0.5
"""Of the network's constant that is taken off. Validation people's mouth distance from first frame, rest, another take: at 0
.0259 .0248 .0287, at .5 .0229 .0245 .0287, at 1 .0219 .0249 .0303."""
OPENING_SHARE = 0.75
"""Of the gap that an emotion adds and that is taken off before the map. People of training and validation, at .5, .75, 1: closure
F1 of neutral words told disgusted and surprised, as a share of neutral's, .83 .85, .91 .93, 1.01 .99; of their own emotional
clips .875, .879, .872, where the two close 12 15, 15 17, 20 20 % of the frames (recorded 10 16)."""
OPEN_GAP_IOD = 0.05
"""From this gap on all of the emotion's opening is back."""
UNKNOWN_EMOTION = len(EMOTIONS)
"""Index of the null condition behind the emotions."""


@dataclass(frozen=True)
class GapMap:
    """Monotone piecewise linear map of the network's lip gap to a gap as it is measured, IOD; of slope 1 above its last knot."""

    predicted: NDArray[np.float32]
    measured: NDArray[np.float32]

    @staticmethod
    def identity() -> "GapMap":
        """Leaves gaps between closed and wide open as they are."""
        ends = np.array([-1.0, 1.0], np.float32)
        return GapMap(ends, ends)

    @staticmethod
    def fit(predicted: Values, measured: Values, n_quantiles: int = N_QUANTILES) -> "GapMap":
        """Between equal quantiles of gaps in the same frames, (F,) each."""
        levels = np.linspace(0.0, 1.0, n_quantiles)
        knots = np.maximum.accumulate(np.quantile(predicted, levels) + 1e-7 * np.arange(n_quantiles))
        return GapMap(knots.astype(np.float32), np.quantile(measured, levels).astype(np.float32))

    def __call__(self, gap: Values) -> NDArray[np.float64]:
        """Mapped gaps, any shape."""
        above = np.maximum(np.asarray(gap, np.float64) - self.predicted[-1], 0.0)
        return np.asarray(np.interp(gap, self.predicted, self.measured) + above)

    def opened(self, gap: Values, opening: Values) -> NDArray[np.float64]:
        """Mapped gaps of speech whose emotion adds ``opening``: without it where the lips meet, with it where they are open."""
        bare = self(gap - opening)
        return np.asarray(bare + opening * np.clip(bare / OPEN_GAP_IOD, 0.0, 1.0))


def fit_gap_map(predicted: Values, opening: Values, measured: Values, n_quantiles: int = N_QUANTILES) -> GapMap:
    """The map for which ``opened`` meets the measured gaps (F,) of speech; see ``opened`` for the others, (F,)."""
    bare = np.where(measured > CLOSED_GAP_IOD, np.maximum(measured - opening, CLOSED_GAP_IOD), measured)
    return GapMap.fit(predicted - opening, bare, n_quantiles)


@dataclass(frozen=True)
class Speaker:
    """A portrait that is to speak, and what the network says of it on average."""

    portrait: Points
    """as it is in the photo, (78, 3)"""
    face: Points
    """brought to rest, (78, 3): what the network sees"""
    constant: Points
    """mean displacement under the portrait's own emotion, (78, 3)"""
    openings: NDArray[np.float32]
    """lip gap to take off before the map, IOD, at intensity 1 of each emotion and of the null condition, (10,)"""

    def opening(self, emotion: NDArray[np.floating]) -> NDArray[np.float64]:
        """Of mixtures (T, 9), by their intensities: (T,)."""
        unknown = np.isnan(emotion).any(axis=-1)
        known = np.where(unknown[:, None], 0.0, emotion) @ self.openings[:UNKNOWN_EMOTION].astype(np.float64)
        return np.where(unknown, self.openings[UNKNOWN_EMOTION], known)


@dataclass(frozen=True)
class Fade:
    """Where a stream's start from the photo stands: frames shown, and the photo less what would have been frame 0."""

    shown: int = 0
    offset: Points | None = None


@dataclass(frozen=True)
class OutputSettings:
    """Taste: ``params.animate``."""

    articulation: float
    """share of the gap map: 0 as the network averages, 1 natural"""
    fade_s: float
    """time constant of the start from the photo; 0: none"""


def spoken(
    displacement: Points, emotion: NDArray[np.floating], speaker: Speaker, gap_map: GapMap, settings: OutputSettings
) -> Points:
    """Landmarks (T, 78, 3) for predicted displacements (T, 78, 3) under mixtures (T, 9)."""
    said = speaker.face + displacement
    gap = lm.lip_gap(said)
    mapped = gap_map.opened(gap, speaker.opening(emotion))
    return with_lip_gap(said - CONSTANT_SHARE * speaker.constant, gap + settings.articulation * (mapped - gap))


def faded(points: Points, speaker: Speaker, fade: Fade, settings: OutputSettings) -> tuple[Points, Fade]:
    """``points`` (T, 78, 3) that go on from where ``fade`` stands, begun at the photo."""
    if settings.fade_s <= 0 or not len(points):
        return points, replace(fade, shown=fade.shown + len(points))
    offset = speaker.portrait - points[0] if fade.offset is None else fade.offset
    time_s = frames_to_seconds(1.0) * (fade.shown + np.arange(len(points)))
    left = np.exp(-time_s / settings.fade_s).astype(np.float32)
    return points + left[:, None, None] * offset, Fade(fade.shown + len(points), offset)
