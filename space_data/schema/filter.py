"""Rows of stage ``filter``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """``filter``: what becomes of a segment. Reasons and warnings: space-separated codes of ``pipelines.job.reasons.REASONS``."""

    clip_id: str
    source_clip_id: str
    segment: int
    status: str
    reasons: str
    warnings: str
    first_frame: int
    end_frame: int
    start_s: float
    end_s: float
    offset_frames: float
    """audio-visual offset to remove, + = audio late"""
    sync_confidence: float | None
