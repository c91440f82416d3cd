"""Lips of the `warp` generator that reach what they are told, and shut.

A photo with an open mouth is the hard case. Four things kept its lips apart when real people's own landmarks drove their first
or widest frame (`benchmarks.warp_lips`): the mesh spreads the three pairs of inner-lip landmarks smoothly and leaves the corners
open (`shut_rows`); its inner lip line lies some pixels within the teeth, which then stay as a bright seam (`lip_source`); lips
that touch lie one behind the other in a nodding head (`with_wanted_gap`); and a tracker reads a rendered mouth wider or narrower
than it was told, differently for each photo (`lip_correction`).
"""

import numpy as np
from numpy.typing import NDArray

from space_data.landmarks import LOWER_INNER_LIP, UPPER_INNER_LIP
from space_models.generators.lip_correction import GapCorrection
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


def with_wanted_gap(
    points: NDArray[np.float64],
    photo: NDArray[np.float64],
    lips: GapCorrection,
    iod_px: float,
    down: NDArray[np.float64],
    head_down: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Landmarks (78, 3) in pixels of the photo whose lips and chin are told the gap for which the wanted one is read.

    The wanted gap is that along ``head_down`` (3,), as ``lip_gap`` has it. In the picture, along ``down`` (2,), lips that lie one
    behind the other look apart in a nodding head though they touch: an open lower lip lies .1 IOD behind the upper one, and at 13
    degrees that is .025. So much of it is left as the mouth is open still, all at the photo's own gap.
    """

    def gap_px(of: NDArray[np.float64]) -> float:
        return float(((of[LOWER_INNER_LIP] - of[UPPER_INNER_LIP]) @ head_down).mean())

    wanted, own = gap_px(points), max(gap_px(photo), SEEN_GAP_PX)
    behind_px = (_gap_px(photo, down) - gap_px(photo)) * min(max(wanted / own, 0.0), 1.0)
    surplus_px = _gap_px(points, down) - float(lips(np.array(wanted / iod_px))) * iod_px - behind_px
    points = points.copy()
    for point, share in CLOSING.items():
        points[point, :2] += share * surplus_px * down
    return points
