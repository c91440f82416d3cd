"""Rows of stage ``evaluate``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TraceFrame:
    """``evaluate``: what the detector saw in one frame of a system's video (system ``reference``: in the recording)."""

    system: str
    clip_id: str
    frame: int
    found: bool
    lip_gap: float | None
    """IOD"""
    eye_opening: float | None
    """mean eye aspect ratio of both eyes"""
    yaw_deg: float | None
    pitch_deg: float | None
    roll_deg: float | None
    mouth_x_px: float | None
    """middle of the mouth"""
    mouth_y_px: float | None
    iod_px: float | None
    """size of the face: pixels per inter-ocular distance"""


@dataclass(frozen=True)
class Score:
    """``evaluate``: one metric of one system on one clip, or why there is none."""

    system: str
    clip_id: str
    subject: str
    metric: str
    value: float | None
    n_frames: int
    status: str
    """of ``evaluation.score_clip.STATUSES``: ok, no_face, decode_error, length_mismatch, size_mismatch, not_available"""
    detail: str


@dataclass(frozen=True)
class Aggregate:
    """``evaluate``: one metric of one system over all test clips, with what it rests on."""

    system: str
    metric: str
    mean: float | None
    low: float | None
    """95 % interval: bootstrap over identities, or jackknife over clips for Fréchet distances"""
    high: float | None
    n_ok: int
    n_total: int
    n_identities: int
