"""Rows of stage ``speech``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SpeechFrame:
    """``speech``: what the speech encoder says of one frame of ``features``; same rows, order and row groups as that table.

    Empty with ``log-mel``, which is in that table.
    """

    clip_id: str
    frame: int
    states: bytes
    """the encoder's vectors of this frame in half precision, little endian, oldest first: of whisper-tiny.en 2 x 384 a layer"""
