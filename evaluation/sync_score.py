"""Lips against sound for the benchmark: the weightless scorer of `space_data.avsync`, fitted on speakers that are not scored."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SyncScore:
    """What the lag curve of one clip says."""

    offset_frames: float
    """lag of the peak, + = audio late"""
    confidence: float
    """peak - median of the curve"""
    at_zero: float
    """best of the lags -1, 0, +1"""
