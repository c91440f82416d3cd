"""Rows of stage ``features``."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from space_data.schema.columns import FixedSize, Landmarks, PoseVector
from space_data.schema.labels import EMOTIONS
from space_data.speech import MEL_BANDS, MFCC_COEFFICIENTS
from space_data.timebase import FEATURES_PER_FRAME

EmotionVector = Annotated[NDArray[np.float32], FixedSize(len(EMOTIONS))]
"""Intensity of each of ``EMOTIONS``, 0 ... 1; all NaN: nobody labelled the clip (``emotion_known``)."""
FrameMel = Annotated[NDArray[np.float32], FixedSize(FEATURES_PER_FRAME * MEL_BANDS)]
"""The frame's 4 features of 10 ms, 40 log-mel bands each."""
FrameMfcc = Annotated[NDArray[np.float32], FixedSize(FEATURES_PER_FRAME * MFCC_COEFFICIENTS)]
"""The same, 13 cepstral coefficients each."""


@dataclass(frozen=True)
class FeatureFrame:
    """``features``: one 25 fps frame of an aligned clip or of a speech-only utterance (then ``pose`` is the canonical one)."""

    clip_id: str
    frame: int
    interpolated: bool
    normalised: Landmarks
    pose: PoseVector
    eye_opening_left: float
    eye_opening_right: float
    gaze_x: float
    gaze_y: float
    log_mel: FrameMel
    mfcc: FrameMfcc
    speech: bool


@dataclass(frozen=True)
class FeatureClip:
    """``features``: one line per clip of the frame table; what a loader needs to choose and to condition."""

    VERSION: ClassVar[int] = 5

    clip_id: str
    kind: str
    """``video`` or ``speech_only``"""
    dataset: str
    subject: str
    language: str
    split: str
    emotion: EmotionVector
    n_frames: int


@dataclass(frozen=True)
class SegmentCrop:
    """``features``: where the 25 fps frames of a segment lie in its source; ``align`` renders them from it."""

    clip_id: str
    """the segment's id: source clip id, + ``#n`` when a clip yields several segments"""
    source_clip_id: str
    start_s: float
    """time of the first frame on the source's clock"""
    n_frames: int
    offset_frames: float
    """audio-visual offset that was removed, + = audio was late"""
    crop_x0_px: int
    crop_y0_px: int
    """upper left corner of the crop in the source picture; may lie outside it"""
    crop_side_px: int
    size_px: int
    """side of the crop that the poses are in pixels of"""
