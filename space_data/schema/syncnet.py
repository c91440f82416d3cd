"""Rows of stage ``syncnet``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SyncNetScore:
    """``syncnet``: a segment's offset by the published SyncNet, where its weights are present. Offset + = audio late (ours)."""

    clip_id: str
    windows: int
    offset_frames: int
    confidence: float
    """median distance - least distance (LSE-C's form)"""
    distance: float
    """least mean distance (LSE-D's form)"""
