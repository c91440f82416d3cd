"""Rows of the ledger that every stage writes, and what can become of a unit."""

from dataclasses import dataclass

KEPT, REJECTED, FAILED = "kept", "rejected", "failed"
STATUSES = (KEPT, REJECTED, FAILED)


@dataclass(frozen=True)
class LedgerRow:
    """What became of one unit at one stage. Reason codes are a closed list (``pipelines.job.reasons.REASONS``)."""

    clip_id: str
    stage: str
    status: str
    reason: str
    value: float | None
    threshold: float | None
    detail: str
    content: str = ""
    """hash of what the decision rests on: the unit's files or rows"""
    config: str = ""
    """hash of the settings it was made with"""
    version: str = ""
    """hash of the code that made it"""
