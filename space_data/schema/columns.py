"""Types of vector columns that the tables of several stages share: lists of float32, most of a fixed size."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from space_data.landmarks import N_LANDMARKS


@dataclass(frozen=True)
class FixedSize:
    """Annotation of a float32 vector column with ``size`` elements."""

    size: int


@dataclass(frozen=True)
class AnySize:
    """Annotation of a float32 vector column whose size another file says; it is one size throughout a table."""


Landmarks = Annotated[NDArray[np.float32], FixedSize(N_LANDMARKS * 3)]
"""(78 * 3,): x, y, z of point 0, then of point 1, ..."""
PoseVector = Annotated[NDArray[np.float32], FixedSize(7)]
"""yaw_deg, pitch_deg, roll_deg, scale (px per IOD), tx, ty, tz (px): ``PoseTrack.as_array``."""
Box = Annotated[NDArray[np.float32], FixedSize(4)]
"""x0, y0, x1, y1 in pixels."""
