"""Lips of the `warp` generator that reach what they are told, and shut.

A photo with an open mouth is the hard case. Three things kept its lips apart when real people's own landmarks drove their first
or widest frame (`benchmarks.warp_lips`): the mesh spreads the three pairs of inner-lip landmarks smoothly and leaves the corners
open (`shut_rows`); its inner lip line lies some pixels within the teeth, which then stay as a bright seam (`lip_source`); and a
tracker reads a rendered mouth wider or narrower than it was told, differently for each photo (`GapCorrection`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space_data.landmarks import LOWER_INNER_LIP, UPPER_INNER_LIP
from space_models.generators.warp_mesh import LIP_LOWER, LIP_UPPER
from space_models.retarget import CLOSING

# From the inner edge of each lip to its outer edge, row by row of the mesh, corners left out.
UPPER_LIP_ROWS = np.array(
    [LIP_UPPER[1:-1], [183, 42, 41, 38, 12, 268, 271, 272, 407], [184, 74, 73, 72, 11, 302, 303, 304, 408]]
    + [[185, 40, 39, 37, 0, 267, 269, 270, 409]]
)
LOWER_LIP_ROWS = np.array(
    [LIP_LOWER[1:-1], [96, 89, 179, 86, 15, 316, 403, 319, 325], [77, 90, 180, 85, 16, 315, 404, 320, 307]]
    + [[146, 91, 181, 84, 17, 314, 405, 321, 375]]
)
SEEN_GAP_PX = 2.0
"""A mouth less open than this in the photo counts as shut: it has no opening to take back."""
EDGE_SHARE = 0.3
"""Of a lip's thickness, left out on the side of the teeth when it shuts."""
OWN_WITHIN_IOD = 0.012
"""Gaps nearer to the photo's own are not tried: there it is right."""
TOUCHING_IOD = 0.015
"""Tracked lips of real people that touch are read as 0 to 0.02 apart."""
GRID_IOD = 0.005
STEEPNESS = (0.5, 1.5)
"""Least and largest slope of the correction above ``TOUCHING_IOD``."""
TOLD_IOD = (0.0, 0.01, 0.02, 0.03, 0.045, 0.065, 0.09, 0.13, 0.18, 0.24)
"""Gaps at which a photo is tried; wider ones are corrected as the last."""


def _gap_px(points: NDArray[np.float64], down: NDArray[np.float64]) -> float:
    """Mean gap of the inner lips of landmarks (78, 3) along ``down``, signed."""
    return float(((points[LOWER_INNER_LIP, :2] - points[UPPER_INNER_LIP, :2]) @ down).mean())


def open_share(points: NDArray[np.float64], photo: NDArray[np.float64], down: NDArray[np.float64]) -> float:
    """How far the lips of landmarks (78, 3) are open still: 1 = as in the photo (or wider), 0 = shut.

    Told by the mean gap, signed, as ``lip_gap`` has it: where a photo's smile is higher in the middle than beside it, lips that
    are moved together cross there before they meet elsewhere.
    """
    gap, own = (_gap_px(each, down) for each in (points, photo))
    return 1.0 if own < SEEN_GAP_PX else min(max(gap / own, 0.0), 1.0)


def shut_rows(vertices: NDArray[np.float64], photo: NDArray[np.float64], down: NDArray[np.float64], share: float) -> None:
    """Let the whole rows of inner-lip vertices (V, 3) close as far as the landmarks do (``open_share``), in place."""
    if share >= 1:
        return
    gap, own = (((v[LIP_LOWER, :2] - v[LIP_UPPER, :2]) @ down)[1:-1] for v in (vertices, photo))
    surplus = np.maximum(gap - share * np.maximum(own, 0.0), 0.0)[:, None] * down
    for rows, sign in ((UPPER_LIP_ROWS, 0.5), (LOWER_LIP_ROWS, -0.5)):
        for row, part in zip(rows, np.linspace(1, 0, len(rows)), strict=True):
            vertices[row, :2] += sign * part * surplus


def lip_source(vertices: NDArray[np.float64], share: float) -> NDArray[np.float32]:
    """Where in the photo each vertex (V, 2) takes its colour: at its own place, but for lips that close (``open_share``)."""
    source = vertices[:, :2].astype(np.float32)
    for rows in (UPPER_LIP_ROWS, LOWER_LIP_ROWS):
        for row in rows[:-1]:
            source[row] += EDGE_SHARE * (1 - share) * (vertices[rows[-1], :2] - vertices[row, :2])
    return source


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
    def measure(own_gap: float, read: Callable[[NDArray[np.float64]], NDArray[np.floating]]) -> "GapCorrection":
        """From what ``read`` finds, (N,), when told gaps (N,). Gaps that cannot be read (NaN) are left out.

        Below ``TOUCHING_IOD`` lips are shut. At the photo's ``own_gap`` nothing is corrected, so that the photo's own landmarks
        give the photo.
        """
        own, told = max(own_gap, 0.0), np.array(TOLD_IOD)
        found = np.asarray(read(told), np.float64)
        seen = np.isfinite(found) & (found > TOUCHING_IOD) & (np.abs(told - own) > OWN_WITHIN_IOD)
        told, found = told[seen], np.where(told < own, np.minimum(found, own), found)[seen]
        if own <= OWN_WITHIN_IOD:  # shut in the photo: it is shown as it is
            first, wanted, gaps = TOUCHING_IOD, [own], [own]
            known = [(own, TOUCHING_IOD)]
        else:
            first, touching = own, min(TOUCHING_IOD, own / 2)
            known = [(0.0, touching), (own, own)]
        curve = np.array(sorted([*known, *zip(told, found, strict=True)])).T
        curve[1] = np.maximum.accumulate(curve[1]) + 1e-7 * np.arange(curve.shape[1])  # strictly monotone: it is inverted
        if own > OWN_WITHIN_IOD:
            below = np.linspace(touching, own, 2 + int((own - touching) / GRID_IOD))
            steps = _steps(curve, below)
            wanted, gaps = [0.0, *below[:-1]], [0.0, 0.0, *np.cumsum(steps * own / steps.sum())[:-1]]
        above = np.arange(first, max(first, TOLD_IOD[-1]) + GRID_IOD / 2, GRID_IOD)
        return GapCorrection(np.array([*wanted, *above]), np.array([*gaps, own, *own + np.cumsum(_steps(curve, above))]))

    def __call__(self, gap: NDArray[np.floating]) -> NDArray[np.float64]:
        """Gaps to tell, any shape; below 0 and beyond the widest one tried by the correction there."""
        gap = np.asarray(gap, np.float64)
        inside = np.clip(gap, self.wanted[0], self.wanted[-1])
        return np.asarray(np.interp(inside, self.wanted, self.told) + (gap - inside))


def _steps(curve: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steps of the told gap between wanted gaps ``grid``, from ``curve`` (2, N) of told and read ones, within ``STEEPNESS``."""
    return np.clip(np.diff(np.interp(grid, curve[1], curve[0])), *(slope * np.diff(grid) for slope in STEEPNESS))


def with_wanted_gap(
    points: NDArray[np.float64], lips: GapCorrection, iod_px: float, down: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Landmarks (78, 3) in pixels of the photo whose lips and chin are told the gap for which the wanted one is read."""
    gap = _gap_px(points, down) / iod_px
    points = points.copy()
    surplus_px = (gap - float(lips(np.array(gap)))) * iod_px
    for point, share in CLOSING.items():
        points[point, :2] += share * surplus_px * down
    return points
