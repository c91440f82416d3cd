"""Stage ``features``: normalised landmarks, pose, gaze, eye opening and speech features per 25 fps frame.

Aligned clips go through the same functions as ``space animate`` (``space_data.features``). The default corpus also has speech
with exact landmark tracks but no pictures; it joins the same tables as ``kind = speech_only``.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pipelines.job.run import run_stage
from pipelines.job.stage import Context, Files, Made, Stage
from pipelines.job.unit import Rejected, Unit, content_hash
from pipelines.layout import Layout
from pipelines.readers import list_utterances
from pipelines.readers.listing import Utterance
from space_data.facemesh import track_faces
from space_data.features import FaceTrack, canonical_pose, feature_rows, speech_track, track_of_meshes
from space_data.files import sha256_of
from space_data.landmarks import N_LANDMARKS
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import FeaturesStage, Params
from space_data.schema import SPLITS, AlignedClip, FeatureClip, FeatureFrame, UtteranceFrame, emotion_vector
from space_data.tables import read_table, shard_of, write_table
from space_data.timebase import frames_to_seconds, samples_to_frames

FEATURES_PER_S = 0.4
TRAIN = "train"
"""Split of the speech-only part: nobody is seen in it, so nothing can be tested on it."""
FRAMES_FILE = "frames.parquet"


@dataclass(frozen=True)
class FeatureUnit:
    """An aligned clip, or an utterance with its landmark track."""

    clip: AlignedClip | None
    utterance: Utterance | None
    split: str
    size_px: int


def features_of(unit: FeatureUnit, settings: FeaturesStage, folder: Path) -> None:
    """Write ``frames.parquet`` of one clip or utterance.

    Raises:
        Rejected: ``no_face`` or ``face_lost``, when the tracker loses the face of an aligned clip too often.
    """
    if unit.clip is not None:
        face = aligned_face(unit.clip, settings)
        clip_id, audio = unit.clip.clip_id, decode_audio(unit.clip.audio)
    else:
        assert unit.utterance is not None
        clip_id, audio = unit.utterance.clip_id, decode_audio(unit.utterance.audio)
        rows = read_table(unit.utterance.track, UtteranceFrame)
        normalised = np.stack([row.normalised for row in rows]).reshape(len(rows), N_LANDMARKS, 3)
        n_frames = min(len(normalised), samples_to_frames(len(audio)))
        pose = canonical_pose(n_frames, unit.size_px)
        face = FaceTrack(normalised[:n_frames], pose, interpolated=np.zeros(n_frames, bool))
    write_table(folder / FRAMES_FILE, feature_rows(clip_id, face, speech_track(audio, len(face))), FeatureFrame)


def aligned_face(clip: AlignedClip, settings: FeaturesStage) -> FaceTrack:
    """The face track of an aligned clip, as ``features.face_track`` makes it, unless too much of it would be interpolated."""
    meshes = track_faces(frame.rgb for frame in decode_video(clip.video))
    lost = int(np.isnan(meshes).any(axis=(1, 2)).sum())
    share = lost / max(len(meshes), 1)
    if share > settings.max_lost_share:
        reason = "no_face" if lost == len(meshes) else "face_lost"
        raise Rejected(reason, f"{lost} of {len(meshes)} aligned frames without a face", share, settings.max_lost_share)
    return track_of_meshes(meshes)


def clip_row(unit: FeatureUnit, n_frames: int) -> FeatureClip:
    """The line a loader reads."""
    source = unit.clip or unit.utterance
    assert source is not None
    return FeatureClip(
        clip_id=source.clip_id,
        kind="video" if unit.clip else "speech_only",
        dataset=source.dataset,
        subject=source.subject,
        language=source.language,
        split=unit.split,
        emotion=emotion_vector(source.emotion, source.intensity),
        n_frames=n_frames,
        video=unit.clip.video if unit.clip else "",
        audio=str(source.audio),
    )


def items(context: Context, part: int) -> Iterator[Unit]:
    """The aligned clips of one shard, and the utterances that fall into it."""
    params = context.params
    for clip in read_table(context.shard("align", "clips", part), AlignedClip):
        yield Unit(
            clip.clip_id, content_hash(clip.video_sha256, clip.audio_sha256), FeatureUnit(clip, None, clip.split, clip.size_px),
            ((clip.video, clip.video_sha256), (clip.audio, clip.audio_sha256)), frames_to_seconds(clip.n_frames) * FEATURES_PER_S,
            partition=f"split={clip.split}",
        )  # fmt: skip
    for utterance in list_utterances(params.data.reader, Path(params.data.raw)):
        if shard_of(utterance.clip_id, context.parts) == part:
            yield Unit(
                utterance.clip_id,
                content_hash(sha256_of(utterance.audio), sha256_of(utterance.track), params.align.size_px),
                FeatureUnit(None, utterance, TRAIN, params.align.size_px),
                enters_here=True,
                partition=f"split={TRAIN}",
            )


def finish(unit: Unit, files: Files, context: Context) -> Made:
    """The line that a loader reads."""
    rows = pq.read_metadata(io.BytesIO(files(FRAMES_FILE) or b"")).num_rows
    return Made({"clips": [clip_row(unit.value, rows)]})


STAGE = Stage(
    "features", features_of, {"frames": FeatureFrame}, items, ("align",), lambda params: params.features, continues="align",
    derived={"clips": FeatureClip}, finish=finish, partitions={"frames": tuple(f"split={split}" for split in SPLITS)},
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Write the tables ``frames`` (in a folder per split: a loader reads only its own) and ``clips``, and the stage's ledger."""
    run_stage(STAGE, params, layout)
