"""What the page takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What the page takes."""

    speech_s: float
    upload_mb: float
