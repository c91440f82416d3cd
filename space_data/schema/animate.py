"""Rows of ``space animate --tracks``."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from space_data.schema.columns import AnySize, FixedSize, Landmarks
from space_data.schema.features import EmotionVector, FrameMel

GazeAngles = Annotated[NDArray[np.float32], FixedSize(2)]
"""yaw_deg, pitch_deg of the eyes in the picture, against where the photo looks; signs as of the head: yaw + to the image left,
pitch + down."""
PoseOffsets = Annotated[NDArray[np.float32], FixedSize(6)]
"""yaw_deg, pitch_deg, roll_deg, x_iod, y_iod, log_scale against the photo's own pose (``posegen.pose.POSE_COLUMNS``)."""
Latents = Annotated[NDArray[np.float32], AnySize()]
"""Latents of ``latents_of``; none where that is empty."""


@dataclass(frozen=True)
class TrackFrame:
    """``space animate --tracks``: all that drives a face in one frame at 25 Hz, before and after the edits (docs/animate.md)."""

    frame: int
    time_s: float
    """of the frame's start"""
    stage: str
    """what is made: speech, spoken, edited or latents, the same in every row; the rest is made when the file is rendered"""
    portrait: Landmarks
    """the photo's normalised landmarks, the same in every row: these motions are of that face"""
    speech: FrameMel
    """mean-normalised log-mel"""
    emotion: EmotionVector
    spoken: Landmarks
    """what Speech2Landmarks says, normalised"""
    lids: float
    """share by which the lids are closed, 0 ... 1"""
    gaze_deg: GazeAngles
    mouth_gain: float
    """factor on the opening of the lips"""
    closure: float
    """how much nearly closed lips are drawn together, 0 ... 1"""
    brow_up: float
    """IOD, as the next three"""
    corner_up: float
    corner_out: float
    jaw_down: float
    edited: Landmarks
    """normalised landmarks after the edits: what is drawn"""
    pose: PoseOffsets
    latents: Latents
    latents_of: str
    """generator and hash of its weights"""

    VERSION = 5
