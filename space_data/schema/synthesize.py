"""Rows of stage ``synthesize``."""

from dataclasses import dataclass

from space_data.schema.columns import Landmarks, PoseVector


@dataclass(frozen=True)
class SynthesizedClip:
    """``synthesize``: one test clip as one system renders it, or why it could not."""

    system: str
    clip_id: str
    subject: str
    emotion: str
    intensity: float
    driving_audio: str
    """the sound that moved the lips: the clip's, another one's for ``shuffled_audio``, none for ``still``"""
    reference: str
    """the aligned recording, of which the first ``n_frames`` count"""
    audio: str
    """the sound that is in every system's file and that lips are scored against"""
    video: str
    n_frames: int
    size_px: int
    status: str
    """kept or failed"""
    detail: str


@dataclass(frozen=True)
class SynthesizedFrame:
    """``synthesize``: what a system meant to show; absent for systems without landmarks of their own."""

    system: str
    clip_id: str
    frame: int
    normalised: Landmarks
    pose: PoseVector
