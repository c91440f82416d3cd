"""Lips that a tracker reads as far apart as they were told, whatever draws them: each portrait is tried out once.

A mouth is drawn wider or narrower than it was told, differently for each photo: a mesh leaves a seam of teeth (`warp_lips`), and
Landmarks2Latents, which predicts means, moves lips by .6 to .9 of what it is told, so that those of an open mouth never meet.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from space_data.facemesh import track_faces
from space_data.features import track_of_meshes
from space_data.landmarks import PoseTrack, lip_gap
from space_models.generators import Array, Frame
from space_models.portrait import Portrait
from space_models.retarget import relaxed, with_lip_gap

OWN_WITHIN_IOD = 0.012
"""Gaps nearer to the photo's own are not tried: there it is right."""
TOUCHING_IOD = 0.015
"""Tracked lips of real people that touch are read as 0 to 0.02 apart."""
PRESSED_IOD = 0.005
"""What is to be read where lips are told to be shut, if lips that do not meet may be told to cross."""
GRID_IOD = 0.005
SHUT_IOD, PARTED_IOD = 0.0125, 0.0225
"""Up to the first wanted gap lips that meet when told to are drawn shut, from the second on as the trial says. Lips count as
closed below .02, and what is read of a frame scatters."""
STEEPNESS = (0.5, 1.5)
"""Least and largest slope of the correction above the photo's own gap; where lips may be told to cross, below it too."""
STEEPNESS_BELOW = (0.4, 4.0)
"""Below it, where the trial says how steep a portrait needs it: on many an open mouth nothing is read of lips that are told to be
.03 apart, on others .065 when they are told .01."""
STEEPEST = 3.0
"""Largest mean slope between lips that touch and the photo's own gap: lips that cross to meet must not leap."""
TOLD_IOD = (0.0, 0.01, 0.02, 0.03, 0.045, 0.065, 0.09, 0.13, 0.18, 0.24)
"""Gaps at which a photo is tried; wider ones are corrected as the last."""
BEYOND_IOD = (-0.2, -0.16, -0.12, -0.09, -0.06, -0.04, -0.02, *TOLD_IOD, 0.36, 0.5)
"""The same behind Landmarks2Latents: lips may be told to cross, because they still are apart when told to meet, and to part far
beyond what is wanted: of a photo's shut mouth nothing is seen to open below .1 or .2."""
PRESSED_TO_IOD = -0.06
"""Lips that meet before this are pressed no further."""
SPEAKING_SHARE, STEEPEST_OPENING = 0.6, 4.0
"""Where they may: above the photo's own gap, how much less per IOD than in the trial, and the largest slope there. Of a gap that
is told to lips and chin alone (the trial) L2L passes on .45, of one in speech .7 to .8."""
SPEAKING_IOD, SPEAKING_RISE_IOD = 0.03, 0.015
"""Where they may: by how much more than in the trial lips that speak are told to part, and how far above ``TOUCHING_IOD`` that is
whole; at the photo's own gap it has gone. The trial moves lips and chin of a face at rest; in speech all of the mouth moves, and
what was asked to stay .02-.045 apart was drawn .014 closer (26 clips of ten people of splits train and val)."""
LOOKS = 2
"""At each trial frame: the tracker smooths over time."""


@dataclass(frozen=True)
class GapCorrection:
    """What to tell the renderer so that a tracker reads the gap that was asked for; piecewise linear, IOD."""

    wanted: NDArray[np.float64]
    told: NDArray[np.float64]

    @staticmethod
    def none() -> "GapCorrection":
        """Tells what is wanted."""
        return GapCorrection(np.array([0.0, 1.0]), np.array([0.0, 1.0]))

    @staticmethod
    def measure(
        own_gap: float,
        read: Callable[[NDArray[np.float64]], NDArray[np.floating]],
        tried: Sequence[float] = TOLD_IOD,
    ) -> "GapCorrection":
        """From what ``read`` finds, (N,), when told the gaps ``tried`` (N,). Gaps that cannot be read (NaN) are left out.

        At the photo's ``own_gap`` nothing is corrected, so that the photo's own landmarks give the photo.
        """
        own, told = max(own_gap, 0.0), np.array(tried)
        found = np.asarray(read(told), np.float64)
        return _crossing(own, told, found) if min(tried) < 0 else _inverse(own, told, found)

    def __call__(self, gap: NDArray[np.floating]) -> NDArray[np.float64]:
        """Gaps to tell, any shape; below 0 and beyond the widest one tried by the correction there."""
        gap = np.asarray(gap, np.float64)
        inside = np.clip(gap, self.wanted[0], self.wanted[-1])
        return np.asarray(np.interp(inside, self.wanted, self.told) + (gap - inside))


def _inverse(own: float, told: NDArray[np.float64], found: NDArray[np.float64]) -> GapCorrection:
    """Of lips that meet when told to: the trial's curve, made monotone and inverted. ``told`` and ``found``: (N,)."""
    seen = np.isfinite(found) & (np.abs(told - own) > OWN_WITHIN_IOD)
    told, found = np.append(told[seen], own), np.append(found[seen], own)
    order = np.argsort(told, kind="stable")
    told, found = told[order], np.where(told < own, np.minimum(found, own), np.maximum(found, own))[order]
    read = isotonic_regression(found, weights=np.where(told == own, 1e6, 1.0)).x
    curve = np.stack([told, read + 1e-7 * np.arange(len(read))])  # strictly monotone: it is inverted
    top = max(own, TOLD_IOD[-1]) + GRID_IOD / 2
    if own <= OWN_WITHIN_IOD:  # shut in the photo: it is shown as it is
        wanted, gaps = [own], [own]
        above = np.array([max(own, SHUT_IOD), *np.arange(PARTED_IOD, top, GRID_IOD)])
    else:
        shut, parted = min(SHUT_IOD, own / 2), min(PARTED_IOD, 3 / 4 * own)
        below = np.array([shut, *np.linspace(parted, own, 2 + int((own - parted) / GRID_IOD))])
        least, most = (slope * np.diff(below) for slope in STEEPNESS_BELOW)
        steps = np.clip(np.diff([0.0, *np.interp(below[1:], curve[1], curve[0])]), least, most)
        lack = own - steps.sum()  # of the way to the photo's own gap: shared out by the room within the bounds
        room = most - steps if lack > 0 else steps - least
        steps += lack * room / max(room.sum(), 1e-9)
        wanted, gaps = [0.0, *below[:-1]], [0.0, 0.0, *np.cumsum(steps)[:-1]]
        above = np.arange(own, top, GRID_IOD)
    wider = [own]
    for step, told_gap in zip(np.diff(above), np.interp(above[1:], curve[1], curve[0]), strict=True):
        wider.append(np.clip(told_gap, wider[-1] + STEEPNESS[0] * step, wider[-1] + STEEPNESS[1] * step))
    return GapCorrection(np.array([*wanted, *above]), np.array([*gaps, *wider]))


def _crossing(own: float, told: NDArray[np.float64], found: NDArray[np.float64]) -> GapCorrection:
    """Of lips that may have to cross to meet, which are shut below ``TOUCHING_IOD``. ``told`` and ``found``: (N,)."""
    shut, pressed = (_told_to_meet(told, found, gap) for gap in (TOUCHING_IOD, PRESSED_IOD))
    seen = np.isfinite(found) & (found > TOUCHING_IOD) & (np.abs(told - own) > OWN_WITHIN_IOD)
    told, found = told[seen], np.where(told < own, np.minimum(found, own), found)[seen]
    if own <= OWN_WITHIN_IOD:  # shut in the photo: it is shown as it is
        first, wanted, gaps = TOUCHING_IOD, [own], [own]
        known = [(own, TOUCHING_IOD)]
    else:
        first, touching = own, min(TOUCHING_IOD, own / 2)
        shut = max(shut, min(0.0, own - STEEPEST * (own - touching)))
        pressed = min(shut, max(pressed, shut - STEEPEST * touching, PRESSED_TO_IOD if shut > PRESSED_TO_IOD else pressed))
        known = [(shut, touching), (own, own)]
    curve = np.array(sorted([*known, *zip(told, found, strict=True)])).T
    curve[1] = np.maximum.accumulate(curve[1]) + 1e-7 * np.arange(curve.shape[1])  # strictly monotone: it is inverted
    if own > OWN_WITHIN_IOD:
        below = np.linspace(touching, own, 2 + int((own - touching) / GRID_IOD))
        steps = _steps(curve, below)
        parted = shut + np.cumsum([0.0, *(steps * (own - shut) / steps.sum())])
        parted = np.minimum(np.maximum.accumulate(parted + _speaking(below)), own)
        wanted, gaps = [0.0, *below[:-1]], [pressed, *parted[:-1]]
    above = np.arange(first, max(first, TOLD_IOD[-1]) + GRID_IOD / 2, GRID_IOD)
    wider = _opened(own, above, np.interp(above, curve[1], curve[0]))
    return GapCorrection(np.array([*wanted, *above]), np.array([*gaps, *wider]))


def _told_to_meet(told: NDArray[np.float64], found: NDArray[np.float64], gap: float) -> float:
    """The widest gap told, 0 at most, for which ``gap`` is read: between two that were tried; the least one where none is."""
    seen = np.isfinite(found) & (told <= 0)
    told, found = told[seen], found[seen]
    narrow = np.flatnonzero(found <= gap)
    if not len(narrow):
        return float(told.min(initial=0.0))
    around = slice(narrow[-1], narrow[-1] + 2)
    return float(np.interp(gap, found[around], told[around]))


def _speaking(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is told more (``SPEAKING_IOD``) for wanted gaps (N,) from lips that touch to the photo's own; less where near."""
    whole, own = gaps[0] + SPEAKING_RISE_IOD, gaps[-1]
    if own <= whole:
        return np.zeros_like(gaps)
    return min(SPEAKING_IOD, own - whole) * np.interp(gaps, [gaps[0], whole, own], [0.0, 1.0, 0.0])


def _opened(own: float, gaps: NDArray[np.float64], trial: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is told for wanted ``gaps`` (N,) from the photo's ``own`` gap on, where the trial would be told ``trial`` (N,).

    Never less than is wanted: a mean opens no mouth too wide, and the trial ends before the widest are read.
    """
    told = np.maximum(trial - SPEAKING_SHARE * (gaps - gaps[0]), gaps)
    told[0] = own
    for i, step in enumerate(np.diff(gaps)):  # a mouth that opens late catches up, and does not leap
        told[i + 1] = np.clip(told[i + 1], told[i], told[i] + STEEPEST_OPENING * step)
    return told


def _steps(curve: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steps of the told gap between wanted gaps ``grid``, from ``curve`` (2, N) of told and read ones, within ``STEEPNESS``."""
    return np.clip(np.diff(np.interp(grid, curve[1], curve[0])), *(slope * np.diff(grid) for slope in STEEPNESS))


def gaps_read(
    render: Callable[[Array, PoseTrack], Iterator[Frame]], portrait: Portrait, told: NDArray[np.float64]
) -> NDArray[np.floating]:
    """Lip gaps (N,) that the landmark tracker finds where the portrait at rest was told gaps (N,); NaN where it finds no face.

    ``render``: normalised landmarks (N, 78, 3) and their poses → frames.
    """
    faces = with_lip_gap(np.repeat(relaxed(portrait.normalised)[None], len(told), 0), told)
    pose = PoseTrack.from_array(np.repeat(portrait.pose.as_array(), len(told), 0))
    frames = (frame for frame in render(faces, pose) for _ in range(LOOKS))
    meshes = track_faces(frames)[LOOKS - 1 :: LOOKS]
    gaps, found = np.full(len(meshes), np.nan), np.isfinite(meshes).all(axis=(1, 2))
    if found.any():
        gaps[found] = lip_gap(track_of_meshes(meshes[found]).normalised)
    return gaps
