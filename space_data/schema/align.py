"""Rows of stage ``align``."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class AlignedClip:
    """``align``: a kept segment as 25 fps, square video and 16 kHz mono sound of exactly the same length."""

    VERSION: ClassVar[int] = 5

    clip_id: str
    """the segment's id: source clip id, + ``#n`` when a clip yields several segments"""
    source_clip_id: str
    dataset: str
    subject: str
    emotion: str
    intensity: float
    language: str
    split: str
    video: str
    """path as opened from the working directory, as is ``audio``"""
    audio: str
    n_frames: int
    size_px: int
    start_s: float
    """time of the first aligned frame on the source's clock"""
    crop_x0_px: float
    crop_y0_px: float
    crop_side_px: float
    applied_offset_frames: float
    """audio-visual offset that was removed, + = audio was late"""
    video_sha256: str = ""
    audio_sha256: str = ""
    """of the two files"""
