"""Scoring one system on one clip: statistics of its video against the recording, each with its reason where it is missing.

A statistic that could not be measured is a row with a status, never an omission, so that every figure can say how much it rests
on. Nothing here knows of other clips or systems.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaluation.detected_face import DetectedFace, LengthMismatch, NoFace, check_lengths, paired
from evaluation.face_descriptor import NAME as DESCRIPTOR
from evaluation.measured_video import MeasuredVideo, frames_of
from evaluation.metrics import Judge, MeanStatistics, Need, Pair, measures_of
from evaluation.metrics import pictures as pixel
from evaluation.reasons import REASONS
from space_data.avsync import SyncScore
from space_data.errors import SpaceError
from space_data.landmarks import MOUTH, eye_aspect_ratio, lip_gap, posed
from space_data.media.container import MediaError
from space_data.params import Evaluate
from space_data.schema import ClipStatistic, TraceFrame

if TYPE_CHECKING:
    from space_models.syncnet import SyncNetResult  # which imports PyTorch

OK, NO_FACE, DECODE_ERROR, LENGTH_MISMATCH, SIZE_MISMATCH, NOT_AVAILABLE, CRASHED = MEASURED = (
    "ok", "no_face", "decode_error", "length_mismatch", "size_mismatch", "not_available", "crashed",
)  # fmt: skip
STATUSES = tuple(dict.fromkeys([*MEASURED, *REASONS]))
"""What became of a statistic; a video that could not be brought into its canonical form has the reason for that."""
# The second detector finds faces of its own.
FACES_NEEDED: tuple[Need, ...] = ("faces", "syncnet", "identity", "whisper")
REFERENCE = "reference"
"""The recording itself, scored as a system of its own: what `recording` metrics are near to. No system may be called so."""

SyncScorer = Callable[[DetectedFace], SyncScore | None]
PictureDistance = Callable[[NDArray[np.uint8], NDArray[np.uint8]], MeanStatistics]
SyncNetScorer = Callable[[Path, NDArray[np.float32]], "SyncNetResult | None"]
"""Scores a video with its face boxes (T, 4), S3FD's where these are; None where it is too short."""


@dataclass(frozen=True)
class ClipToScore:
    """A system's video of a clip and the recording, of which the first ``n_frames`` count."""

    system: str
    clip_id: str
    subject: str
    reference: Path
    video: Path
    n_frames: int


def score_clip(
    clip: ClipToScore,
    reference: MeasuredVideo,
    candidate: MeasuredVideo,
    speaking: NDArray[np.bool_],
    sync: SyncScorer,
    syncnet: SyncNetScorer | None,
    settings: Evaluate,
    perceptual: PictureDistance | None = None,
    whisper: SyncScorer | None = None,
) -> list[ClipStatistic]:
    """All statistics of one system on one clip; of a recording without a face those that need none.

    Args:
        speaking: (T,), voice activity of the clip's sound.
        sync: scores a face track against the clip's sound.
        syncnet: the same for pictures; None without the weights.
        perceptual: distance of two pictures; None without the weights.
        whisper: as ``sync``, on Whisper's states; None without the weights.
    """
    both = reference.features.get(DESCRIPTOR), candidate.features.get(DESCRIPTOR)
    descriptors = None if both[0] is None or both[1] is None else (both[0], both[1])
    both_seen = (reference.second, candidate.second) if reference.second and candidate.second else None
    there: dict[Judge, object] = {
        "syncnet": syncnet, "identity": descriptors, "lpips": perceptual, "whisper": whisper, "second": both_seen,
    }  # fmt: skip
    judges = [name for name, judge in there.items() if judge is not None]
    try:
        check_lengths(clip.n_frames, len(candidate.face))
        pixels = pixel_sums(clip, settings, perceptual) | {pixel.EDGES: candidate.edges}
    except (MediaError, LengthMismatch, pixel.SizeMismatch) as error:
        return failed_clip(clip.system, clip.clip_id, clip.subject, _status_of(error), str(error), judges)
    n_frames = min(len(reference.face), len(candidate.face))
    pair = Pair(reference.face.first(n_frames), candidate.face.first(n_frames), speaking[:n_frames], pixels=pixels)
    missing: dict[Need, tuple[str, str]] = {}
    if both_seen:
        try:
            both_seen = paired(*both_seen, settings.min_found_share)
        except NoFace as error:
            missing["second"] = (NO_FACE, f"second detector: {error}")
    pair = replace(pair, second=both_seen)
    try:
        faces = paired(reference.face, candidate.face, settings.min_found_share)
        boxes = candidate.boxes if candidate.second_boxes is None else candidate.second_boxes
        lse = syncnet(clip.video, boxes) if syncnet else None
        states = whisper(faces[1]) if whisper else None
        pair = Pair(*faces, pair.speaking, sync(faces[1]), lse, states, both_seen, descriptors, pixels)
    except NoFace as error:
        missing |= {need: (NO_FACE, str(error)) for need in FACES_NEEDED}
    rows = []
    for measure in measures_of(judges):
        status, detail = missing.get(measure.need, (OK, ""))
        found = measure.of(pair) if status == OK else {}
        for name in measure.names:
            rows.append(_row(clip, name, found.get(name, MeanStatistics()), status, detail))
    return rows


def failed_clip(
    system: str, clip_id: str, subject: str, status: str, detail: str, judges: Collection[str] = ()
) -> list[ClipStatistic]:
    """A row per statistic for a video that could not be scored at all."""
    names = (name for measure in measures_of(judges) for name in measure.names)
    return [ClipStatistic(system, clip_id, subject, name, 0.0, 0, status, detail) for name in names]


def _row(clip: ClipToScore, name: str, found: MeanStatistics, status: str, detail: str) -> ClipStatistic:
    if status == OK and not found.count:
        status, detail = NOT_AVAILABLE, "nothing of it in this clip"
    return ClipStatistic(clip.system, clip.clip_id, clip.subject, name, found.total, found.count, status, detail)


def pixel_sums(clip: ClipToScore, settings: Evaluate, perceptual: PictureDistance | None) -> dict[str, MeanStatistics]:
    """One pass over both videos' pictures: memory does not grow with their number.

    Raises:
        SizeMismatch: they are not of one size.
    """
    if clip.system == REFERENCE:
        nothing = MeanStatistics(0.0, 1)
        return {pixel.SQUARED_ERROR: nothing, pixel.SIMILARITY: MeanStatistics(1.0, 1), pixel.PERCEPTUAL: nothing}
    error, similarity, distance = MeanStatistics(), MeanStatistics(), MeanStatistics()
    for index, (truth, rgb) in enumerate(_together(clip)):
        error += pixel.squared_error(truth, rgb)
        if index % settings.ssim_every_frames == 0:
            similarity += pixel.ssim(truth, rgb)
            distance += perceptual(truth, rgb) if perceptual else MeanStatistics()
    return {pixel.SQUARED_ERROR: error, pixel.SIMILARITY: similarity, pixel.PERCEPTUAL: distance}


def _together(clip: ClipToScore) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    both = zip_longest(frames_of(clip.reference, clip.n_frames), frames_of(clip.video, clip.n_frames))
    return ((truth, rgb) for truth, rgb in both if truth is not None and rgb is not None)


def _status_of(error: SpaceError) -> str:
    match error:
        case LengthMismatch():
            return LENGTH_MISMATCH
        case pixel.SizeMismatch():
            return SIZE_MISMATCH
    return DECODE_ERROR


def traces(system: str, clip_id: str, track: DetectedFace) -> list[TraceFrame]:
    """What the detector saw, frame by frame, for the page's plots."""
    gaps, eyes = lip_gap(track.normalised), eye_aspect_ratio(track.normalised).mean(-1)
    mouth = posed(track.normalised[:, MOUTH], track.pose).mean(axis=1)
    pose, rows = track.pose, []
    for frame, found in enumerate(track.found()):
        angles = (pose.yaw_deg[frame], pose.pitch_deg[frame], pose.roll_deg[frame])
        values = (gaps[frame], eyes[frame], *angles, mouth[frame, 0], mouth[frame, 1], pose.scale[frame])
        rows.append(TraceFrame(system, clip_id, frame, bool(found), *(float(v) if found else None for v in values)))
    return rows
