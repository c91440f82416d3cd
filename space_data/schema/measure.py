"""Rows of stage ``measure``."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from space_data.schema.columns import Box, FixedSize, Landmarks, PoseVector
from space_data.speech import MEL_BANDS

MelFrame = Annotated[NDArray[np.float32], FixedSize(MEL_BANDS)]
"""Natural log of power in 40 mel bands, 60-7600 Hz."""


@dataclass(frozen=True)
class FrameRow:
    """``measure``: one decoded source frame (native rate, native pixels)."""

    VERSION: ClassVar[int] = 6

    clip_id: str
    frame: int
    """number of the source frame, from 0"""
    pts_s: float
    """its presentation time, from the clip's start"""
    width_px: int
    height_px: int
    """of the upright picture (of the clip's crop of it): a recording may change its size"""
    shot: int
    """number of the shot, from 0; joined recordings and changes of the picture's size begin one, too"""
    damaged: bool
    """made from damaged data: its own, or that of a picture on which it may rest"""
    found: bool
    """a face mesh was fitted; else landmarks and pose are NaN"""
    landmarks_px: Landmarks
    pose: PoseVector
    box: Box
    """around the face mesh; NaN without a face"""
    faces: int
    """seen by the full-range detector; -1: not looked for in this frame"""
    second_face: float
    """width of the second largest face over that of the largest; NaN if not looked for"""
    detector_score: float
    """of the largest face; NaN if none was looked for or found"""
    photo_score: float
    """evidence of a photographed person, 0 ... 1; NaN if not scored in this frame"""
    reblur_ratio: float
    """sharpness of the face at native pixels: 0 sharp ... 1 blurred (``measures.reblur_ratio``)"""
    reblur_coarse: float
    """the same at half and quarter size, the larger of the two"""
    luma_mean: float
    """brightness of the face, 0 ... 255"""
    luma_sd: float
    """its contrast"""
    frame_difference: float
    """mean absolute grey difference to the frame before at 64x64; 0 for the first"""


@dataclass(frozen=True)
class SoundRow:
    """``measure``: 10 ms of a clip's sound."""

    clip_id: str
    feature: int
    """number of the 10 ms, from 0"""
    log_mel: MelFrame
    speech: bool
    """by Silero's voice detector"""
    loudness_db: float
    """RMS level, dB of full scale"""
    clipped_share: float
    """of its samples, at full scale"""


@dataclass(frozen=True)
class ClipMeasure:
    """``measure``: what is known of a whole clip after its one decode pass (or after the screen that made the pass needless)."""

    VERSION: ClassVar[int] = 6

    clip_id: str
    screened: str
    """why the frames were not measured: a reason of ``pipelines.job.reasons.REASONS``; empty: they were"""
    decoded_frames: int
    decode_error: str
    """why reading ended before the end of the file"""
    video_packets: int
    damaged_video_packets: int
    """packets of pictures that were to be shown, and of them those that do not decode: the picture before stays"""
    sound_packets: int
    damaged_sound_packets: int
    """the same of the sound: silence instead"""
    interlaced_frames: int
    """pictures that were deinterlaced"""
    picture_sizes: int
    """stretches of pictures of one size"""
    sound_gaps_s: float
    """silence put in for sound that is not there, between the first and the last that is"""
    bad_sample_share: float
    """of the samples: not a number, or absurdly large; silence instead"""
    sound_scale: float
    """by which float samples in the range of integers were divided; 1: they were not"""
    sound_channel: int | None
    """the only channel that is used, because the channels cancel each other; None: the mix of all"""
    width_px: int
    height_px: int
    """of the first picture"""
    video_s: float
    audio_s: float
    border_share: float | None
    """of the picture, in bars of one colour at its edges"""


@dataclass(frozen=True)
class Thumbnail:
    """``measure``: small pictures of a clip at even times, for people who look at decisions."""

    clip_id: str
    frame: int
    """of the source"""
    jpeg: bytes
    """a JPEG file, longer side 256 px at most"""
