"""Stage ``segment``: cut every clip into segments and give each all its scores, from the stored tracks; nothing is decoded.

Where to cut says ``space_data.segmentation``. A segment's scores are sums, medians and percentiles of what ``measure`` stored per
frame and per 10 ms, so other cuts, too, cost no decoding. The unit of work is a shard of ``measure``'s tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.job.ledger import all_kept
from pipelines.job.run import run_stage
from pipelines.job.stage import Context, Stage
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from space_data import measures as m
from space_data.clip_media import has_sound
from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS, PoseTrack, lip_height_outer, normalise
from space_data.params import Params, SegmentStage
from space_data.schema import Clip, ClipMeasure, FrameRow, Measure, SoundRow
from space_data.segmentation import CutRules, Span, Timeline, cut, face_steps
from space_data.tables import from_arrow, read_arrow, read_table, stream_clips, stream_pairs, vectors, write_arrow, write_table
from space_data.timebase import features_before
from space_data.turn import turn_deg

NAME, MEASURE = "segment", "measure"
TABLES = ("clips", "frames", "sound")
"""Of ``measure``."""
SECONDS_PER_CLIP = 0.05
ROUNDING_S = 0.1
"""Headers, sound and pictures may end so far apart without anything missing: sound is padded to whole packets."""
FRAME_COLUMNS = [
    "clip_id", "pts_s", "width_px", "height_px", "shot", "damaged", "found", "landmarks_px", "pose", "box", "faces",
    "second_face", "detector_score", "photo_score", "reblur_ratio", "reblur_coarse", "luma_mean", "luma_sd", "frame_difference",
]  # fmt: skip


@dataclass(frozen=True)
class Shard:
    """The files of one shard of ``measure``, and the table of all clips."""

    clips: str
    facts: str
    frames: str
    sound: str


@dataclass(frozen=True)
class SoundTrack:
    """A clip's sound per 10 ms, (n,) each."""

    speech: NDArray[np.bool_]
    loudness_db: NDArray[np.float32]
    clipped_share: NDArray[np.float32]

    @staticmethod
    def of(rows: pa.Table | None) -> "SoundTrack":
        """From ``SoundRow`` rows; empty without any."""
        if rows is None:
            return SoundTrack(np.zeros(0, bool), np.zeros(0, np.float32), np.zeros(0, np.float32))
        columns = (np.asarray(rows.column(name)) for name in ("speech", "loudness_db", "clipped_share"))
        speech, loudness, clipped = columns
        return SoundTrack(speech.astype(bool), loudness, clipped)

    def between(self, start_s: float, end_s: float) -> "SoundTrack":
        """Of the part from ``start_s`` to ``end_s``."""
        a, b = (int(i) for i in features_before(np.array([start_s, end_s])))
        part = slice(max(a, 0), max(b, 0))
        return SoundTrack(self.speech[part], self.loudness_db[part], self.clipped_share[part])


@dataclass(frozen=True)
class FaceTrack:
    """A clip's frame rows as arrays, with what follows from them."""

    starts_s: NDArray[np.float64]
    """(T + 1,) the last entry is the clip's end"""
    shot: NDArray[np.int64]
    sizes_px: NDArray[np.int64]
    """(T, 2) width and height of the picture; one size throughout a shot"""
    damaged: NDArray[np.bool_]
    boxes: NDArray[np.float32]
    steps: NDArray[np.float64]
    pose: NDArray[np.float32]
    turn_deg: NDArray[np.float64]
    normalised: NDArray[np.float32]
    scores: dict[str, NDArray[np.float64]]
    """the frame table's scalar columns"""

    @staticmethod
    def of(rows: pa.Table, end_s: float) -> "FaceTrack":
        """From ``FrameRow`` rows of one clip that ends at ``end_s``."""
        pose, boxes = vectors(rows, "pose"), vectors(rows, "box")
        landmarks = vectors(rows, "landmarks_px").reshape(-1, N_LANDMARKS, 3)
        scalars = ("faces", "second_face", "detector_score", "photo_score", "reblur_ratio", "reblur_coarse", "luma_mean",
                   "luma_sd", "frame_difference")  # fmt: skip
        return FaceTrack(
            np.append(np.asarray(rows.column("pts_s"), np.float64), end_s), np.asarray(rows.column("shot"), np.int64),
            np.stack([np.asarray(rows.column(name), np.int64) for name in ("width_px", "height_px")], axis=1),
            np.asarray(rows.column("damaged"), bool), boxes,
            face_steps(boxes), pose, turn_deg(pose[:, 0], landmarks), normalise(landmarks, PoseTrack.from_array(pose)),
            {name: np.asarray(rows.column(name), np.float64) for name in scalars},
        )  # fmt: skip

    @property
    def found(self) -> NDArray[np.bool_]:
        """Frames with a face, (T,)."""
        return np.isfinite(self.boxes[:, 0])

    def speaking(self, speech: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A 100 Hz mask at the time of each frame, (T,); False beyond its end."""
        index = features_before(self.starts_s[:-1])
        inside = (index >= 0) & (index < len(speech))
        return inside & (speech[np.clip(index, 0, max(len(speech) - 1, 0))] if len(speech) else False)


def measures_of(clip: Clip, facts: ClipMeasure, frames: pa.Table | None, sound: pa.Table | None, settings: SegmentStage
                ) -> list[Measure]:  # fmt: skip
    """The segments of one clip; of a screened one, or one without frames, a single segment that is the whole clip."""
    audio = SoundTrack.of(sound)
    if frames is None or not len(frames):
        return [_measure(clip, facts, None, audio, None, (0, 0), (0, 1), settings)]
    track = FaceTrack.of(frames, facts.video_s)
    speaking = track.speaking(audio.speech) if len(audio.speech) else None
    rules = CutRules(
        settings.shortest_s, settings.longest_s, settings.lost_s, settings.track_jump, settings.silence_s, settings.margin_s
    )
    spans = cut(Timeline(track.starts_s, track.shot, track.found, track.steps, speaking, track.damaged), rules)
    return [
        _measure(clip, facts, track, audio, speaking, span, (number, len(spans)), settings) for number, span in enumerate(spans)
    ]


def _measure(
    clip: Clip, facts: ClipMeasure, track: FaceTrack | None, audio: SoundTrack, speaking: NDArray[np.bool_] | None, span: Span,
    number_of: tuple[int, int], settings: SegmentStage,
) -> Measure:  # fmt: skip
    """All scores of frames ``span``."""
    (first, end), (number, of) = span, number_of
    start_s, end_s = (float(track.starts_s[first]), float(track.starts_s[end])) if track is not None else (0.0, facts.video_s)
    width_px, height_px = track.sizes_px[first] if track is not None else (facts.width_px, facts.height_px)
    part = audio.between(start_s, end_s)
    levels = m.sound_measures(part.speech, part.loudness_db)
    pictures = _picture_scores(track, span, speaking, settings) if track is not None else _no_picture_scores(facts)
    lost_share = facts.damaged_video_packets / max(1, facts.video_packets)
    damaged = float(track.damaged[first:end].mean()) if track is not None else lost_share
    return Measure(
        clip_id=clip.clip_id if of == 1 else f"{clip.clip_id}#{number}", source_clip_id=clip.clip_id, segment=number,
        dataset=clip.dataset, subject=clip.subject, screened=facts.screened, first_frame=first, end_frame=end, start_s=start_s,
        end_s=end_s, length_s=end_s - start_s, header_fps=clip.fps, **_file_scores(clip, facts, damaged),
        has_audio=has_sound(clip),
        audio_s=facts.audio_s, video_s=facts.video_s, width_px=int(width_px), height_px=int(height_px),
        border_share=facts.border_share,
        speech_share=levels.speech_share, speech_s=levels.speech_s, silence_s=levels.silence_s,
        speech_level_db=levels.speech_level_db, speech_over_noise_db=levels.speech_over_noise_db,
        peak_level_db=levels.peak_level_db, clipped_share=float(part.clipped_share.mean()) if len(part.speech) else 0.0,
        **pictures,
    )  # fmt: skip


def _file_scores(clip: Clip, facts: ClipMeasure, damaged_pictures: float) -> dict[str, Any]:
    """What is told of the whole file: how much of it is there, and in what state; only damaged pictures are the segment's."""
    return {
        "missing_share": None if facts.screened else missing_share(clip, facts),
        "damaged_share": max(damaged_pictures, facts.damaged_sound_packets / max(1, facts.sound_packets)),
        "restarts": clip.restarts, "jumped_s": clip.jumped_s, "picture_sizes": facts.picture_sizes,
        "interlaced_share": facts.interlaced_frames / max(1, facts.decoded_frames), "colours_mapped": bool(clip.colours),
        "is_mirrored": clip.is_mirrored, "tracks": max(clip.video_tracks, clip.audio_tracks),
        "sound_gaps_s": facts.sound_gaps_s, "bad_sample_share": facts.bad_sample_share,
        "sound_rescaled": facts.sound_scale != 1.0, "channels_cancel": facts.sound_channel is not None,
    }  # fmt: skip


def missing_share(clip: Clip, facts: ClipMeasure) -> float:
    """Share of the promised time that is not there when decoded, up to ``ROUNDING_S`` being none.

    Pictures are promised by their packets, and by a header that says where they end; without one by the length of the file, which
    is that of its longer stream. The header's count of frames is no promise: it includes those that an edit list hides.
    """
    lasting_s = facts.video_s if clip.audio_path else max(facts.video_s, facts.audio_s)
    promises = [(clip.packets_end_s, facts.video_s)]
    promises.append((clip.promised_video_s, facts.video_s) if clip.promised_video_s else (clip.duration_s, lasting_s))
    return max(max(0.0, promised_s - there_s - ROUNDING_S) / max(promised_s, ROUNDING_S) for promised_s, there_s in promises)


def _no_picture_scores(facts: ClipMeasure) -> dict[str, Any]:
    """Of a clip whose frames were not measured; without a face in any picture that was looked at, that much is known."""
    names = ("face_width_px", "outside_share", "track_jump", "detector_score", "landmark_jitter", "photo_score", "yaw_p95_deg",
             "yaw_median_deg", "pitch_p95_deg", "roll_p95_deg", "yaw_range_deg", "pitch_range_deg", "roll_range_deg",
             "reblur_ratio", "reblur_coarse", "luma_mean", "luma_sd", "frame_difference", "duplicate_share", "frozen_s",
             "lip_motion", "several_faces_share", "lost_share")  # fmt: skip
    unseen = 1.0 if facts.screened == "no_face" else None
    return {**dict.fromkeys(names), "mean_rate_hz": None, "unseen_share": unseen, "frame_rate_hz": 0.0, "irregular_share": 0.0}


def _picture_scores(
    track: FaceTrack, span: Span, speaking: NDArray[np.bool_] | None, settings: SegmentStage
) -> dict[str, Any]:
    """The scores of frames ``span`` by the name of their column."""
    frames, (first, end) = slice(*span), span
    scores = {name: values[frames] for name, values in track.scores.items()}
    rate_hz, irregular = m.irregular_share(track.starts_s[frames])
    found = track.found[frames]
    boxes = track.boxes[frames][found]
    angles = m.angle_range(PoseTrack.from_array(track.pose[frames]), track.turn_deg[frames])
    counted = scores["faces"] >= 0
    still = scores["frame_difference"][1:] < settings.duplicate_difference  # each frame against the one before
    steps = track.steps[first + 1 : end]
    lips = lip_height_outer(track.normalised[frames])
    speech = speaking[frames] if speaking is not None else np.zeros(end - first, bool)
    outside = [m.is_outside(box, *map(int, track.sizes_px[first])) for box in boxes]

    def middle(name: str) -> float | None:
        finite = scores[name][np.isfinite(scores[name])]
        return float(np.median(finite)) if len(finite) else None

    return {
        "frame_rate_hz": rate_hz, "mean_rate_hz": (end - first) / (track.starts_s[end] - track.starts_s[first]),
        "irregular_share": irregular, "lost_share": float(1 - found.mean()),
        "track_jump": float(np.nanmax(steps)) if np.isfinite(steps).any() else None,
        "face_width_px": float(np.median(boxes[:, 2] - boxes[:, 0])) if len(boxes) else None,
        "outside_share": float(np.mean(outside)) if outside else None, "detector_score": middle("detector_score"),
        "landmark_jitter": m.landmark_jitter(track.normalised[frames]), "photo_score": middle("photo_score"),
        "several_faces_share": _share(scores["second_face"][counted] >= settings.second_face_share),
        "unseen_share": _share(scores["faces"][counted] == 0),
        **{name: getattr(angles, name) if angles else None for name in m.AngleRange.__dataclass_fields__},
        "reblur_ratio": middle("reblur_ratio"), "reblur_coarse": middle("reblur_coarse"), "luma_mean": middle("luma_mean"),
        "luma_sd": middle("luma_sd"),
        "frame_difference": float(np.median(scores["frame_difference"][1:])) if end - first > 1 else None,
        "duplicate_share": _share(still),
        "frozen_s": m.longest_true_s(still, np.diff(track.starts_s[frames])),
        "lip_motion": m.lip_motion(lips, speech),
    }  # fmt: skip


def _share(mask: NDArray[np.bool_]) -> float | None:
    """Share of ``mask`` that is true; None of nothing."""
    return float(mask.mean()) if len(mask) else None


def segment_shard(shard: Shard, settings: SegmentStage, folder: Path) -> None:
    """Unit function: write ``segments.arrow`` and ``ledger.arrow`` of one shard's clips."""
    facts = {row.clip_id: row for row in read_table(shard.facts, ClipMeasure)}
    clips = {row.clip_id: row for row in from_arrow(read_arrow(shard.clips, Clip, clip_ids=facts), Clip)}
    missing = facts.keys() - clips.keys()
    if missing:
        raise SpaceError(f"{shard.facts}: clip {min(missing)} is not in {shard.clips} (stale? `dvc repro`)")
    rows = [
        row
        for clip_id, frames, sound in _tracks(shard, sorted(facts))
        for row in measures_of(clips[clip_id], facts[clip_id], frames, sound, settings)
    ]
    write_table(folder / "segments.arrow", rows, Measure)
    cut = pa.chunked_array([pa.array(sorted({row.source_clip_id for row in rows}), pa.string())])
    write_arrow(folder / "ledger.arrow", all_kept(NAME, cut))


def _tracks(shard: Shard, clip_ids: list[str]) -> Iterator[tuple[str, pa.Table | None, pa.Table | None]]:
    """Frames and sound of every clip, None where there are none; one row group of each in memory."""
    every = ((clip_id, None) for clip_id in clip_ids)
    sound = stream_clips(shard.sound, SoundRow, ["clip_id", "speech", "loudness_db", "clipped_share"])
    with_frames = stream_pairs(every, stream_clips(shard.frames, FrameRow, FRAME_COLUMNS))
    with_both = stream_pairs(((clip_id, frames) for clip_id, _, frames in with_frames), sound)
    yield from with_both


def items(context: Context, part: int) -> Iterator[Unit]:
    """The shard as a whole."""
    clips, files = context.shard("ingest", "clips", part), [context.shard(MEASURE, table, part) for table in TABLES]
    content = content_hash(context.shard_hashes("ingest", ["clips"], part), context.shard_hashes(MEASURE, TABLES, part))
    rows = context.upstream(MEASURE).tables["clips"][part].rows
    yield Unit(f"part-{part:05d}", content, Shard(clips.uri, *(file.uri for file in files)), cost_s=rows * SECONDS_PER_CLIP)


STAGE = Stage(
    NAME, segment_shard, {"segments": Measure}, items, ("ingest", MEASURE), lambda params: params.segment, continues=MEASURE,
    own_ledger=True, outputs="segments",
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Write the table ``segments`` and the stage's ledger, whose units are the clips that were measured."""
    run_stage(STAGE, params, layout)
