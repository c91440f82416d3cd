"""Scoring one clip: the recording against every system's video of it, streamed, in one decoding pass per video.

What comes back are rows, one per system and metric: a metric that could not be measured is a row with its reason, never an
omission, so that every average can say how much it rests on. Nothing here knows of other clips.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation import image_metrics, landmark_metrics, metrics
from evaluation.frame_features import FrameFeatures
from evaluation.landmark_metrics import DetectedFace, LengthMismatch, NoFace, check_lengths, paired
from evaluation.metrics import MeanStatistics, Metric
from space_data.avsync import SyncScore
from space_data.errors import SpaceError
from space_data.facemesh import FaceMeshTracker
from space_data.landmarks import FACE, MOUTH, N_MESH, eye_aspect_ratio, lip_gap, posed
from space_data.media.container import MediaError
from space_data.media.video import decode_video
from space_data.params import Evaluate
from space_data.schema import Score, TraceFrame

OK, NO_FACE, DECODE_ERROR, LENGTH_MISMATCH, SIZE_MISMATCH, NOT_AVAILABLE = STATUSES = (
    "ok", "no_face", "decode_error", "length_mismatch", "size_mismatch", "not_available",
)  # fmt: skip
REFERENCE = "reference"
"""Name of the recording itself in tables of traces and features; no system may be called so."""

SyncScorer = Callable[[DetectedFace], SyncScore | None]


@dataclass(frozen=True)
class ClipToScore:
    """A recording, of which the first ``n_frames`` count, and the systems' videos of it (None: could not be made)."""

    clip_id: str
    subject: str
    reference: Path
    n_frames: int
    size_px: int
    videos: Mapping[str, Path | None]
    absent: Mapping[str, str] = field(default_factory=dict)
    """why a video could not be made, by system"""


@dataclass(frozen=True)
class ClipScores:
    """All that one clip gives: rows, traces, and frame features (frames, d) by system and `REFERENCE`."""

    rows: list[Score]
    traces: list[TraceFrame]
    features: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class _Video:
    """What one pass over a video found."""

    track: DetectedFace
    features: NDArray[np.float32]
    squared_error: MeanStatistics
    similarity: MeanStatistics


def clip_metrics(size_px: int, settings: Evaluate) -> tuple[Metric, ...]:
    """Every per-clip column, in the order of the tables."""
    images = (metrics.psnr_metric(size_px), metrics.ssim_metric(size_px, settings.ssim_every_frames))
    return (*metrics.LANDMARK_METRICS, *metrics.SYNC_METRICS, *images)


def score_clip(clip: ClipToScore, sync: SyncScorer, features: FrameFeatures, settings: Evaluate) -> ClipScores:
    """Score all systems on one clip.

    Args:
        sync: scores a face track against the clip's sound; None where the clip is too short for it.
        features: for the Fréchet distance, taken from one frame in ``settings.frechet_every_frames``.

    Raises:
        MediaError, NoFace: the recording itself cannot be read or shows no face: then nothing can be compared.
    """
    reference = _measure(_frames(clip.reference, clip.n_frames), None, features, settings)
    if not len(reference.track):
        raise MediaError(f"{clip.reference}: no frames")
    paired(reference.track, reference.track, settings.min_found_share)
    rows: list[Score] = []
    traces = _traces(REFERENCE, clip.clip_id, reference.track)
    frame_features = {REFERENCE: reference.features}
    for system, path in clip.videos.items():
        add = _RowMaker(system, clip, clip_metrics(clip.size_px, settings))
        if path is None:
            rows += add.failures(NOT_AVAILABLE, clip.absent.get(system, "not synthesized"))
            continue
        try:
            video = _measure(_frames(path, None), _frames(clip.reference, clip.n_frames), features, settings)
            check_lengths(clip.n_frames, len(video.track))
        except (MediaError, LengthMismatch, image_metrics.SizeMismatch) as error:
            rows += add.failures(_status_of(error), str(error))
            continue
        rows += _candidate_rows(add, reference, video, sync, clip.size_px, settings)
        traces += _traces(system, clip.clip_id, video.track)
        frame_features[system] = video.features
    return ClipScores(rows, traces, frame_features)


@dataclass(frozen=True)
class _RowMaker:
    """Makes the rows of one system on one clip."""

    system: str
    clip: ClipToScore
    columns: Sequence[Metric]

    def row(self, metric: Metric, value: float | None, n_frames: int, detail: str = "", status: str = OK) -> Score:
        """A row; a value of None becomes ``not_available``."""
        if value is None and status == OK:
            status = NOT_AVAILABLE
        return Score(self.system, self.clip.clip_id, self.clip.subject, metric.metric_id, value, n_frames, status, detail)

    def failures(self, status: str, detail: str, columns: Sequence[Metric] | None = None) -> list[Score]:
        """One failed row per column."""
        return [self.row(metric, None, 0, detail, status) for metric in (columns or self.columns)]


def _candidate_rows(
    add: _RowMaker, reference: _Video, video: _Video, sync: SyncScorer, size_px: int, settings: Evaluate
) -> list[Score]:
    """Rows of a video that could be read: pixels always, faces where there are enough of them."""
    rows = [
        add.row(metrics.psnr_metric(size_px), image_metrics.psnr_db(video.squared_error), len(video.track)),
        add.row(metrics.ssim_metric(size_px, settings.ssim_every_frames), video.similarity.mean(), video.similarity.count),
    ]
    try:
        a, b = paired(reference.track, video.track, settings.min_found_share)
    except NoFace as error:
        return rows + add.failures(NO_FACE, str(error), (*metrics.LANDMARK_METRICS, *metrics.SYNC_METRICS))
    return rows + _landmark_rows(add, a, b) + _sync_rows(add, sync(b), int(b.found().sum()))


def _landmark_rows(add: _RowMaker, a: DetectedFace, b: DetectedFace) -> list[Score]:
    n_frames = int((a.found() & b.found()).sum())
    means = {
        metrics.LMD_MOUTH: landmark_metrics.landmark_distance(a, b, MOUTH),
        metrics.LMD_FACE: landmark_metrics.landmark_distance(a, b, FACE),
        metrics.LVD_MOUTH: landmark_metrics.velocity_distance(a, b, MOUTH),
        metrics.LVD_FACE: landmark_metrics.velocity_distance(a, b, FACE),
        metrics.POSE: landmark_metrics.pose_distance(a, b),
    }
    moments = landmark_metrics.lip_gap_moments(a, b)
    correlation = moments.correlation()
    still = "" if correlation is not None else "the lips do not move at all"
    return [
        *(add.row(metric, statistics.mean(), n_frames) for metric, statistics in means.items()),
        add.row(metrics.LIP_CORRELATION, correlation, n_frames, still),
        add.row(metrics.LIP_AMPLITUDE, moments.deviation_ratio(), n_frames),
        add.row(metrics.HEAD_MOTION, landmark_metrics.head_motion_deg(b), n_frames),
        add.row(metrics.BLINKS, landmark_metrics.blinks_per_min(b), n_frames),
    ]


def _sync_rows(add: _RowMaker, score: SyncScore | None, n_frames: int) -> list[Score]:
    if score is None:
        return add.failures(NOT_AVAILABLE, "too short for the lag search", metrics.SYNC_METRICS)
    offset = f"{score.offset_frames:+d} frames (+ = audio late)"
    return [
        add.row(metrics.AV_AT_ZERO, score.at_zero, n_frames),
        add.row(metrics.AV_CONFIDENCE, score.confidence, n_frames),
        add.row(metrics.AV_OFFSET, float(abs(score.offset_frames)), n_frames, offset),
    ]


def _status_of(error: SpaceError) -> str:
    match error:
        case LengthMismatch():
            return LENGTH_MISMATCH
        case image_metrics.SizeMismatch():
            return SIZE_MISMATCH
    return DECODE_ERROR


def _frames(path: Path, n_frames: int | None) -> Iterator[NDArray[np.uint8]]:
    return islice((frame.rgb for frame in decode_video(path)), n_frames)


def _measure(
    frames: Iterator[NDArray[np.uint8]],
    reference: Iterator[NDArray[np.uint8]] | None,
    features: FrameFeatures,
    settings: Evaluate,
) -> _Video:
    """One pass over a video, against the reference's frames where given: memory does not grow with its pictures."""
    meshes: list[NDArray[np.float32]] = []
    vectors: list[NDArray[np.float32]] = []
    squared_error, similarity = MeanStatistics(), MeanStatistics()
    lost = np.full((N_MESH, 3), np.nan, np.float32)
    with FaceMeshTracker() as tracker:
        for index, (rgb, truth) in enumerate(zip_longest(frames, reference or ())):
            if rgb is None:
                break
            mesh = tracker(rgb)
            meshes.append(lost if mesh is None else mesh)
            if index % settings.frechet_every_frames == 0:
                vectors.append(features(rgb[None])[0])
            if truth is not None:
                squared_error += image_metrics.squared_error(truth, rgb)
                if index % settings.ssim_every_frames == 0:
                    similarity += image_metrics.ssim(truth, rgb)
    track = DetectedFace.from_mesh(np.stack(meshes) if meshes else np.zeros((0, N_MESH, 3), np.float32))
    return _Video(track, np.stack(vectors) if vectors else np.zeros((0, 0), np.float32), squared_error, similarity)


def _traces(system: str, clip_id: str, track: DetectedFace) -> list[TraceFrame]:
    gaps, eyes = lip_gap(track.normalised), eye_aspect_ratio(track.normalised).mean(-1)
    mouth = posed(track.normalised[:, MOUTH], track.pose).mean(axis=1)
    pose, rows = track.pose, []
    for frame, found in enumerate(track.found()):
        angles = (pose.yaw_deg[frame], pose.pitch_deg[frame], pose.roll_deg[frame])
        values = (gaps[frame], eyes[frame], *angles, mouth[frame, 0], mouth[frame, 1], pose.scale[frame])
        rows.append(TraceFrame(system, clip_id, frame, bool(found), *(float(v) if found else None for v in values)))
    return rows
