"""Rows of stage ``corpus``."""

from dataclasses import dataclass

from space_data.schema.columns import Landmarks


@dataclass(frozen=True)
class UtteranceFrame:
    """``corpus``: exact normalised landmarks of one frame of a speech-only utterance."""

    frame: int
    normalised: Landmarks
