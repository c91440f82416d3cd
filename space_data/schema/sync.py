"""Rows of stage ``sync``."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class SyncWindow:
    """``sync``: one window of a segment, scored on its own. Offset + = audio late."""

    clip_id: str
    window: int
    start_s: float
    length_s: float
    speech_share: float
    offset_frames: int
    confidence: float


@dataclass(frozen=True)
class SegmentSync:
    """``sync``: a segment's offset (+ = audio late) from the mean lag curve of its windows, how sure, its recording's."""

    VERSION: ClassVar[int] = 6

    clip_id: str
    scorer: str
    """``own set, fold k`` or ``shipped``"""
    windows: int
    agreeing: int
    """windows whose own offset is within one frame of the segment's"""
    offset_frames: int
    """as the scorer reads it: a segment in sync has ``zero_frames``"""
    confidence: float
    """peak of the lag curve - its median"""
    threshold: float
    """what mismatched sound of this length exceeds in 5 % of cases"""
    at_zero: float
    """the curve at lag 0 +- 1"""
    chance: float
    """share of mismatched sound of this length that scores as high: the smaller, the surer that this mouth speaks this voice"""
    recording_offset_frames: float | None = None
    """of the whole recording, from all its segments and a search over +-``sync.search_s``, counted from ``sync.zero_frames``"""
    recording_confidence: float | None = None
    recording_threshold: float | None = None
    """as ``confidence`` and ``threshold``, of the recording's curve; one figure for all segments of a recording"""
    recording_lead: float | None = None
    """how far the peak of that curve stands above the best of the usual lags, -15 ... +15 frames; 0 if it is that"""
    zero_frames: float = 0.0
    """``sync.zero_frames`` of the data set: what ``offset_frames`` is counted from where an offset is corrected"""
