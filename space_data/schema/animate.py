"""Rows of ``space animate --tracks``."""

from dataclasses import dataclass

from space_data.schema.columns import Landmarks, PoseVector


@dataclass(frozen=True)
class TrackFrame:
    """``space animate --tracks``: one frame of the motion that was rendered, in pixels of the 512-pixel crop."""

    frame: int
    normalised: Landmarks
    pose: PoseVector
