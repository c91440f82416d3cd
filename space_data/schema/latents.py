"""Rows of the stage ``latents``."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from space_data.schema.columns import AnySize


@dataclass(frozen=True)
class LatentFrame:
    """``latents``: what a generator reads in one 25 fps frame of an aligned clip; a table per generator."""

    VERSION: ClassVar[int] = 5

    clip_id: str
    frame: int
    z: Annotated[NDArray[np.float32], AnySize()]
    """latents without head pose; as many as the generator's spec says (``latents/<generator>.json``)"""
    own_pose: Annotated[NDArray[np.float32], AnySize()]
    """the head's pose in the generator's own terms; empty where it uses ours"""
