"""Stage ``measure``: one streaming decode per clip gives every score a later decision may want; nothing is decided here.

Per frame: face mesh (78 landmarks, pose), sharpness and light of the face, difference to the frame before, shot. Twice a
second: how many faces the full-range detector sees. Per 10 ms: mel bands, voice activity, loudness. Per segment, that is
between two hard cuts: the scores of ``schema.Measure`` and one thumbnail. Memory holds a fixed number of small pictures, so
it grows by about 1 kB per frame.
"""

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.job import Layout, Rejected, Unit, content_hash, ledger_rows, run_units, stage_clock, stage_main, write_ledger
from space_data import measures as m
from space_data.errors import SpaceError
from space_data.facemesh import FaceFinder, FaceMeshTracker
from space_data.landmarks import (
    N_LANDMARKS,
    N_MESH,
    PoseTrack,
    estimate_pose,
    lip_height_outer,
    mesh_to_landmarks,
    normalise,
)  # fmt: skip
from space_data.media import MediaError, decode_audio, decode_video
from space_data.params import MeasureStage, Params
from space_data.schema import KEPT, Clip, FrameRow, Measure, SoundRow, Thumbnail
from space_data.speech import log_mel, loudness_db, speech_mask
from space_data.tables import merge_shards, read_table, write_table
from space_data.thumbnails import Picked, ThumbnailPicker
from space_data.timebase import features_before, samples_to_seconds, seconds_to_samples

logger = logging.getLogger(__name__)

STAGE = "measure"
POSE_BATCH_FRAMES = 256
"""Meshes are kept only until their pose is fitted, this many at a time."""


@dataclass
class Pictures:
    """What one pass over a clip's frames found; one entry per frame, except where another unit is named."""

    width_px: int = 0
    height_px: int = 0
    error: str = ""
    pts_s: list[float] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    boxes: list[NDArray[np.float32]] = field(default_factory=list)
    reblur: list[tuple[float, float]] = field(default_factory=list)
    """native, coarse"""
    luma: list[tuple[float, float]] = field(default_factory=list)
    difference: list[float] = field(default_factory=list)
    landmarks: list[NDArray[np.float32]] = field(default_factory=list)
    """batches (T, 78, 3)"""
    poses: list[NDArray[np.float32]] = field(default_factory=list)
    """batches (T, 7)"""
    counted: list[tuple[int, int, float]] = field(default_factory=list)
    """frame, number of faces, second face's share of the first one's width; per sampled frame"""
    cuts: list[int] = field(default_factory=list)
    thumbnails: list[Picked] = field(default_factory=list)
    """one per shot"""


UNKNOWN = (float("nan"), float("nan"))
NO_BOX = np.full(4, np.nan, np.float32)
NO_MESH = np.full((N_MESH, 3), np.nan, np.float32)


def look(path: Path, settings: MeasureStage) -> Pictures:
    """Decode the video of ``path`` once and measure every frame; a stream that breaks off is measured up to there."""
    seen = Pictures()
    cuts, thumbnails = m.CutFinder(settings.cut_threshold), ThumbnailPicker()
    waiting: list[NDArray[np.float32]] = []
    last_grey: NDArray[np.float32] | None = None
    next_count_s = -np.inf
    with FaceMeshTracker() as tracker, FaceFinder() as finder:
        try:
            for index, frame in enumerate(decode_video(path)):
                seen.height_px, seen.width_px = frame.rgb.shape[:2]
                mesh = tracker(frame.rgb)
                small = m.small_picture(frame.rgb)
                thumbnails.feed(index, frame.rgb)
                for cut in cuts.feed(small):
                    thumbnails.cut(cut)
                grey = m.tiny_grey(small)
                seen.difference.append(0.0 if last_grey is None else float(np.abs(grey - last_grey).mean()))
                last_grey = grey
                seen.pts_s.append(frame.pts_s)
                _look_at_face(seen, mesh, frame.rgb, index, settings.picture_every_frames)
                if frame.pts_s >= next_count_s:
                    faces = finder.boxes(frame.rgb)
                    seen.counted.append((index, len(faces), m.second_face_share(faces)))
                    next_count_s = frame.pts_s + 1.0 / settings.face_count_hz
                waiting.append(NO_MESH if mesh is None else mesh)
                if len(waiting) == POSE_BATCH_FRAMES:
                    _fit_poses(seen, waiting)
        except MediaError as error:
            seen.error = str(error)
    _fit_poses(seen, waiting)
    seen.cuts, seen.thumbnails = cuts.cuts, thumbnails.finish()
    return seen


def _look_at_face(seen: Pictures, mesh: NDArray[np.float32] | None, rgb: m.Rgb, index: int, every: int) -> None:
    """Box, sharpness and light of one frame's face; the last two on every ``every``-th frame, held in between."""
    seen.found.append(mesh is not None)
    box = NO_BOX if mesh is None else m.face_box(mesh)
    seen.boxes.append(box)
    held = index % every and mesh is not None and np.isfinite(seen.reblur[-1][0])
    grey = None if mesh is None or held else m.face_grey(rgb, box)
    if held:
        seen.reblur.append(seen.reblur[-1])
        seen.luma.append(seen.luma[-1])
    else:
        seen.reblur.append(UNKNOWN if grey is None else (m.reblur_ratio(grey), m.coarse_reblur_ratio(grey)))
        seen.luma.append(UNKNOWN if grey is None else m.luma(grey))


def _fit_poses(seen: Pictures, waiting: list[NDArray[np.float32]]) -> None:
    if waiting:
        meshes = np.stack(waiting)
        seen.landmarks.append(mesh_to_landmarks(meshes))
        seen.poses.append(estimate_pose(meshes).as_array())
        waiting.clear()


@dataclass(frozen=True)
class Sound:
    """A clip's sound, measured: mono 16 kHz samples (n,) and features (n // 160, ...) of it; all empty without sound."""

    samples: NDArray[np.float32]
    log_mel: NDArray[np.float32]
    speech: NDArray[np.bool_]
    loudness_db: NDArray[np.float32]
    error: str = ""


def listen(path: Path, has_audio: bool) -> Sound:
    """Decode the sound of ``path`` and measure it."""
    samples, error = np.zeros(0, np.float32), ""
    if has_audio:
        try:
            samples = decode_audio(path)
        except MediaError as problem:
            error = str(problem)
    return Sound(samples, log_mel(samples), speech_mask(samples), loudness_db(samples), error)


def segment_measure(clip: Clip, number: int, of: int, span: tuple[int, int], track: "Track", sound: Sound) -> Measure:
    """All scores of one segment: frames ``span`` = (first, end)."""
    first, end = span
    frames = slice(first, end)
    pts_s = track.pts_s[frames]
    start_s = float(track.pts_s[first])
    end_s = float(track.pts_s[end]) if end < len(track.pts_s) else track.end_s
    rate_hz, irregular = m.irregular_share(pts_s)
    found = track.found[frames]
    boxes = track.boxes[frames][found]
    angles = m.angle_range(PoseTrack.from_array(track.pose[frames]))
    counted = [(n, share) for frame, n, share in track.counted if first <= frame < end]
    a, b = (int(i) for i in features_before(np.array([start_s, end_s])))
    heard = m.sound_measures(sound.speech[a:b], sound.loudness_db[a:b])
    speaking = _at_frames(sound.speech, pts_s)
    differences = track.difference[first + 1 : end]

    def middle(values: NDArray[np.floating]) -> float | None:
        finite = values[np.isfinite(values)]
        return float(np.median(finite)) if len(finite) else None

    return Measure(
        clip_id=clip.clip_id if of == 1 else f"{clip.clip_id}#{number}", source_clip_id=clip.clip_id, segment=number,
        subject=clip.subject, first_frame=first, end_frame=end, start_s=start_s, end_s=end_s, length_s=end_s - start_s,
        frame_rate_hz=rate_hz, irregular_share=irregular, header_frames=clip.header_frames,
        decoded_frames=len(track.pts_s), decode_error=" ".join(filter(None, (track.error, sound.error))),
        has_audio=bool(clip.audio_codec), audio_s=samples_to_seconds(len(sound.samples)),
        video_s=track.end_s, width_px=track.width_px, height_px=track.height_px, lost_share=float(1 - found.mean()),
        face_width_px=middle(boxes[:, 2] - boxes[:, 0]),
        outside_share=float(np.mean([m.is_outside(b, track.width_px, track.height_px) for b in boxes])) if len(boxes) else None,
        several_faces_share=float(np.mean([share >= track.second_face_share for _, share in counted])) if counted else 0.0,
        unseen_share=float(np.mean([n == 0 for n, _ in counted])) if counted else 0.0,
        yaw_p95_deg=angles.yaw_p95_deg if angles else None, yaw_median_deg=angles.yaw_median_deg if angles else None,
        pitch_p95_deg=angles.pitch_p95_deg if angles else None, reblur_ratio=middle(track.reblur[frames, 0]),
        reblur_coarse=middle(track.reblur[frames, 1]),
        luma_mean=middle(track.luma[frames, 0]), luma_sd=middle(track.luma[frames, 1]),
        frame_difference=float(np.median(differences)) if len(differences) else 0.0,
        duplicate_share=float((differences < track.duplicate_difference).mean()) if len(differences) else 0.0,
        lip_motion=m.lip_motion(track.lip_height[frames], speaking), speech_share=heard.speech_share, speech_s=heard.speech_s,
        speech_level_db=heard.speech_level_db, speech_over_noise_db=heard.speech_over_noise_db,
        peak_level_db=heard.peak_level_db,
        clipped_share=m.clipped_share(sound.samples[seconds_to_samples(start_s) : seconds_to_samples(end_s)]),
    )  # fmt: skip


def _at_frames(mask: NDArray[np.bool_], pts_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """A 100 Hz mask at the time of each frame; False beyond its end."""
    index = features_before(pts_s)
    inside = (index >= 0) & (index < len(mask))
    return inside & (mask[np.clip(index, 0, max(len(mask) - 1, 0))] if len(mask) else False)


@dataclass(frozen=True)
class Track:
    """``Pictures`` as arrays, with what follows from them."""

    width_px: int
    height_px: int
    error: str
    second_face_share: float
    duplicate_difference: float
    pts_s: NDArray[np.float64]
    end_s: float
    found: NDArray[np.bool_]
    boxes: NDArray[np.float32]
    reblur: NDArray[np.float64]
    luma: NDArray[np.float64]
    difference: NDArray[np.float64]
    landmarks: NDArray[np.float32]
    pose: NDArray[np.float32]
    lip_height: NDArray[np.float32]
    counted: list[tuple[int, int, float]]
    shot: NDArray[np.int64]

    @staticmethod
    def of(seen: Pictures, settings: MeasureStage) -> "Track":
        """Join the batches; the last frame is taken to last as long as the median one."""
        pts_s = np.array(seen.pts_s)
        landmarks, pose = np.concatenate(seen.landmarks), np.concatenate(seen.poses)
        last_s = float(np.median(np.diff(pts_s))) if len(pts_s) > 1 else 0.0
        return Track(
            seen.width_px, seen.height_px, seen.error, settings.second_face_share, settings.duplicate_difference,
            pts_s, float(pts_s[-1]) + last_s, np.array(seen.found), np.stack(seen.boxes), np.array(seen.reblur),
            np.array(seen.luma), np.array(seen.difference), landmarks, pose,
            lip_height_outer(normalise(landmarks, PoseTrack.from_array(pose))), seen.counted,
            m.shot_numbers(seen.cuts, len(pts_s)),
        )  # fmt: skip


def measure_clip(clip: Clip, settings: MeasureStage, folder: Path) -> None:
    """Write ``frames.parquet``, ``sound.parquet``, ``measures.parquet`` and ``thumbnails.parquet`` of one clip.

    Raises:
        Rejected: ``unreadable``, when no frame decodes.
    """
    path = Path(clip.path)
    seen = look(path, settings)
    if not seen.pts_s:
        raise Rejected("unreadable", seen.error or "no frame decodes", value=0.0)
    track = Track.of(seen, settings)
    sound = listen(path, bool(clip.audio_codec))
    spans = m.segments(track.shot)
    rows = [segment_measure(clip, number, len(spans), span, track, sound) for number, span in enumerate(spans)]
    write_table(folder / "measures.parquet", rows, Measure)
    pictures = [
        Thumbnail(row.clip_id, clip.clip_id, picked.frame, picked.jpeg)
        for row, picked in zip(rows, seen.thumbnails, strict=True)
    ]
    write_table(folder / "thumbnails.parquet", pictures, Thumbnail)
    write_table(folder / "frames.parquet", _frame_rows(clip.clip_id, track), FrameRow)
    sound_rows = (
        SoundRow(clip.clip_id, i, sound.log_mel[i], bool(sound.speech[i]), float(sound.loudness_db[i]))
        for i in range(len(sound.log_mel))
    )
    write_table(folder / "sound.parquet", sound_rows, SoundRow)


def _frame_rows(clip_id: str, t: Track) -> list[FrameRow]:
    flat = t.landmarks.reshape(len(t.pts_s), N_LANDMARKS * 3)
    return [
        FrameRow(
            clip_id, i, float(t.pts_s[i]), int(t.shot[i]), bool(t.found[i]), flat[i], t.pose[i], float(t.reblur[i, 0]),
            float(t.reblur[i, 1]), float(t.luma[i, 0]), float(t.luma[i, 1]), float(t.difference[i]),
        )
        for i in range(len(t.pts_s))
    ]  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Write ``frames/``, ``sound/``, ``thumbnails/`` and ``measures.parquet`` in ``measure/``, and the stage's ledger."""
    with stage_clock(layout, STAGE) as clock:
        clips = read_table(layout.clips, Clip)
        units = [Unit(clip.clip_id, content_hash(clip.sha256, clip.path, clip.subject), clip) for clip in clips]
        outcomes = run_units(STAGE, units, measure_clip, params.measure, layout, params.job)
        folders = {o.unit_id: o.folder for o in outcomes if o.status == KEPT and o.folder is not None}
        rows = [row for folder in folders.values() for row in read_table(folder / "measures.parquet", Measure)]
        repeated = [clip_id for clip_id, n in Counter(row.clip_id for row in rows).items() if n > 1]
        if repeated:
            raise SpaceError(f"{STAGE}: segment id {repeated[0]!r} occurs twice (rename the file that ends in # and a number)")
        write_table(layout.measures, rows, Measure)
        for target, row_class in ((layout.frames, FrameRow), (layout.sound, SoundRow), (layout.thumbnails, Thumbnail)):
            files = {clip_id: folder / f"{target.name}.parquet" for clip_id, folder in folders.items()}
            merge_shards(target, files, row_class, params.job.shards)
        clock.counts = write_ledger(layout, STAGE, [clip.clip_id for clip in clips], ledger_rows(STAGE, outcomes))
        clock.clips, clock.computed = len(outcomes), sum(outcome.computed for outcome in outcomes)


if __name__ == "__main__":
    stage_main(run)
