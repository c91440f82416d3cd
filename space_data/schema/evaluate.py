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
class ClipStatistic:
    """``evaluate``: one statistic of one system on one clip: all figures of the benchmark follow from these sums."""

    system: str
    """``reference``: the recording, scored against itself"""
    clip_id: str
    subject: str
    statistic: str
    total: float
    """sum of what was measured"""
    weight: int
    """of how many values; 0: none, and ``status`` says why"""
    status: str
    """of ``evaluation.score_clip.STATUSES``: ok, why it could not be measured, or why there is no canonical video"""
    detail: str


@dataclass(frozen=True)
class Score:
    """``evaluate``: one metric of one system on one clip, or why there is none; follows from the statistics."""

    system: str
    clip_id: str
    subject: str
    metric: str
    value: float | None
    recording: float | None
    """the recording's own value, for metrics that want to be near it"""
    status: str
    detail: str


@dataclass(frozen=True)
class IdentityMean:
    """``evaluate``: one metric of one system over the clips of one identity: what the aggregates are made of."""

    system: str
    metric: str
    subject: str
    n_total: int
    """clips"""
    n_ok: int
    """of them with a value"""
    mean: float | None
    recording: float | None
    """mean of the recordings' own values"""
    distance: float | None
    """mean distance from them, for metrics that want to be near"""
    n_common: int
    """clips with a value of every system that has any of this identity"""
    common_mean: float | None
    """over those"""


@dataclass(frozen=True)
class Aggregate:
    """``evaluate``: one metric of one system over all test clips, with what it rests on."""

    system: str
    metric: str
    mean: float | None
    """over identities, of the mean over each one's clips; of a set's distance the distance itself"""
    low: float | None
    """95 % interval over identities; None with fewer than two"""
    high: float | None
    recording: float | None
    """mean of the recording on the same clips, for metrics that want to be near it"""
    distance: float | None
    """mean distance from the recording's value, clip by clip, for those metrics"""
    common_mean: float | None
    """as ``mean``, over the clips that every system has a value for"""
    n_ok: int
    n_total: int
    n_identities: int
    n_common: int
