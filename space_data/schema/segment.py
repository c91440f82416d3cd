"""Rows of stage ``segment``."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Measure:
    """``segment``: every score of one segment, before anything is decided.

    A segment is a stretch of 2-10 s within one shot, with one face throughout and without long silence.

    ``None`` = cannot be measured here (no face, no sound).
    """

    VERSION: ClassVar[int] = 6

    clip_id: str
    """the segment's id: source clip id, + ``#n`` when a clip has several segments"""
    source_clip_id: str
    segment: int
    dataset: str
    subject: str
    screened: str
    """as in ``ClipMeasure``"""
    first_frame: int
    end_frame: int
    """one past the last source frame"""
    start_s: float
    end_s: float
    length_s: float
    frame_rate_hz: float
    """of the decoded time stamps: 1 / median interval"""
    mean_rate_hz: float | None
    """frames per second of the segment's length"""
    irregular_share: float
    """intervals between frames more than a quarter off the median"""
    header_fps: float
    missing_share: float | None
    """of the time that the file promises, by its header or by packets that are to be shown: not there when decoded"""
    damaged_share: float
    """of its pictures made from damaged data, or of the file's packets of sound that do not decode, whichever is more"""
    restarts: int
    jumped_s: float
    picture_sizes: int
    interlaced_share: float
    colours_mapped: bool
    """HDR or a wide gamut"""
    is_mirrored: bool
    tracks: int
    """of pictures or of sound, whichever has more"""
    sound_gaps_s: float
    bad_sample_share: float
    sound_rescaled: bool
    channels_cancel: bool
    """all of the whole clip, from ``missing_share`` to here: see ``Clip`` and ``ClipMeasure``"""
    has_audio: bool
    audio_s: float
    video_s: float
    width_px: int
    height_px: int
    lost_share: float | None
    """frames without a face mesh"""
    track_jump: float | None
    """largest step of the face between two frames, in face widths: above 0.5 another face was taken for the first"""
    face_width_px: float | None
    outside_share: float | None
    """frames whose face box leaves the picture"""
    detector_score: float | None
    """median score of the full-range detector"""
    landmark_jitter: float | None
    """of the rigid points after pose removal, frame to frame, IOD"""
    photo_score: float | None
    """evidence of a photographed person, 0 (drawn, painted, an animal) ... 1; median over the scored frames"""
    several_faces_share: float | None
    """sampled frames with a second face of at least ``measure.second_face_share`` of the first one's width"""
    unseen_share: float | None
    """sampled frames in which the full-range detector sees no face at all"""
    yaw_p95_deg: float | None
    yaw_median_deg: float | None
    pitch_p95_deg: float | None
    roll_p95_deg: float | None
    """95th percentile of the absolute value, median of it, and the 95th for pitch and roll; of yaw the larger of two readings,
    the pose fit's and that of the picture plane alone (``space_data.turn``)"""
    yaw_range_deg: float | None
    pitch_range_deg: float | None
    roll_range_deg: float | None
    """between the 5th and the 95th percentile"""
    reblur_ratio: float | None
    reblur_coarse: float | None
    """the larger of the re-blur ratios at half and at quarter resolution"""
    luma_mean: float | None
    luma_sd: float | None
    frame_difference: float | None
    """median; grey levels at 64x64"""
    duplicate_share: float | None
    """frames that equal the one before"""
    frozen_s: float | None
    """longest time without any change"""
    border_share: float | None
    """as in ``ClipMeasure``"""
    lip_motion: float | None
    """standard deviation of the outer lip height while there is speech, IOD"""
    speech_share: float
    speech_s: float
    silence_s: float
    """longest stretch without speech"""
    speech_level_db: float | None
    speech_over_noise_db: float | None
    """median level of the speech over the noise: the 10th percentile of all the sound, or what lies in pauses, if louder"""
    peak_level_db: float
    clipped_share: float
