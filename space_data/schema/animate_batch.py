"""Rows of the ledger of ``space animate-batch``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnimationRow:
    """``space animate-batch``: what became of one row of its table; status and reasons are those of the curation's ledger."""

    out: str
    """the video, as the table names it"""
    status: str
    reason: str
    detail: str
    seconds: float
    """it took; of the first row that needs them, with the models to load"""
    content: str
    """hash of the files that it is made of, models included"""
    config: str
    """hash of its options and of the settings"""
    version: str
    """hash of the code that made it"""
    made: str
    """hash of the video and of the tracks, if they are asked for; empty: not made"""
