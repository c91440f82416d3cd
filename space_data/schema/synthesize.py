"""Rows of stage ``synthesize``."""

from dataclasses import dataclass
from typing import ClassVar

from space_data.schema.columns import Landmarks, PoseVector


@dataclass(frozen=True)
class SynthesizedClip:
    """``synthesize`` and ``space benchmark add``: one test clip as one system renders it, or why it cannot be scored."""

    VERSION: ClassVar[int] = 5

    system: str
    clip_id: str
    subject: str
    emotion: str
    intensity: float
    driving_audio: str
    """the sound that moved the lips: the clip's, another one's for ``mismatched_audio``, none for ``still``"""
    reference: str
    """the aligned recording, of which the first ``n_frames`` count"""
    audio: str
    """the sound that is in every system's file and that lips are scored against"""
    video: str
    """what is scored: exactly ``n_frames`` frames of ``size_px`` at 25 per second (docs/benchmark.md)"""
    n_frames: int
    size_px: int
    status: str
    """kept or failed"""
    detail: str
    reason: str = ""
    """of a failed one, one of ``evaluation.reasons.REASONS``"""
    native_video: str = ""
    """the file as the system made it; ``video`` itself where nothing had to be done to it"""
    native_width_px: int = 0
    native_height_px: int = 0
    native_fps: float = 0.0
    """of it; 0: not known"""
    own_sound: str = ""
    """in it: ``same`` as the driving one, ``silent`` or ``none``"""
    held_frames: int = 0
    """frames that are not the system's own: the nearest one is shown again"""
    test_list: str = ""
    """name and hash of the list that the clip was chosen from, ``default/v1@1a2b3c4d``, or of the rule"""


@dataclass(frozen=True)
class SynthesizedFrame:
    """``synthesize``: what a system meant to show; absent for systems without landmarks of their own."""

    system: str
    clip_id: str
    frame: int
    normalised: Landmarks
    pose: PoseVector
