"""Stage ``features``: normalised landmarks, pose, gaze, eye opening and speech features per 25 fps frame.

Aligned clips go through the same functions as ``space animate`` (``space_data.features``). The default corpus also has speech
with exact landmark tracks but no pictures; it joins the same tables as ``kind = speech_only``.
"""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pipelines.job.engine import (
    Layout,
    Rejected,
    Unit,
    content_hash,
    ledger_rows,
    run_units,
    stage_clock,
    stage_main,
    write_ledger,
)
from pipelines.readers import list_utterances
from pipelines.readers.listing import Utterance
from space_data.facemesh import track_faces
from space_data.features import FaceTrack, canonical_pose, feature_rows, speech_track, track_of_meshes
from space_data.files import sha256_of
from space_data.landmarks import N_LANDMARKS
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import FeaturesStage, Params
from space_data.schema import KEPT, SPLITS, AlignedClip, FeatureClip, FeatureFrame, UtteranceFrame, emotion_vector
from space_data.tables import merge_shards, read_table, write_table
from space_data.timebase import samples_to_frames

STAGE = "features"
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


def units_of(params: Params, layout: Layout) -> list[Unit]:
    """Aligned clips, then utterances."""
    clips = [
        Unit(
            clip.clip_id,
            content_hash(sha256_of(clip.video), sha256_of(clip.audio)),
            FeatureUnit(clip, None, clip.split, clip.size_px),
        )
        for clip in read_table(layout.aligned_clips, AlignedClip)
    ]
    spoken = [
        Unit(
            u.clip_id,
            content_hash(sha256_of(u.audio), sha256_of(u.track), params.align.size_px),
            FeatureUnit(None, u, TRAIN, params.align.size_px),
        )
        for u in list_utterances(params.data.reader, Path(params.data.raw))
    ]
    return clips + spoken


def run(params: Params, layout: Layout) -> None:
    """Write ``features/frames/split=*/``, ``features/clips.parquet`` and the stage's ledger."""
    with stage_clock(layout, STAGE) as clock:
        units = units_of(params, layout)
        outcomes = run_units(STAGE, units, features_of, params.features, layout, params.job)
        files = {o.unit_id: o.folder / FRAMES_FILE for o in outcomes if o.status == KEPT and o.folder is not None}
        shutil.rmtree(layout.feature_frames, ignore_errors=True)
        for split in SPLITS:  # a loader reads only its own
            ids = [unit.unit_id for unit in units if unit.unit_id in files and unit.value.split == split]
            merge_shards(layout.feature_split(split), {i: files[i] for i in ids}, FeatureFrame, params.job.shards)
        lengths = frame_counts(files)
        rows = [clip_row(unit.value, lengths[unit.unit_id]) for unit in units if unit.unit_id in files]
        write_table(layout.feature_clips, rows, FeatureClip)
        clock.notes = {kind: str(n) for kind, n in sorted(Counter(row.kind for row in rows).items())}
        clock.counts = write_ledger(layout, STAGE, [unit.unit_id for unit in units], ledger_rows(STAGE, outcomes))
        clock.clips, clock.computed = len(outcomes), sum(outcome.computed for outcome in outcomes)


def frame_counts(files: dict[str, Path]) -> dict[str, int]:
    """Number of frames per unit, from the files' own metadata."""
    return {unit_id: pq.read_metadata(file).num_rows for unit_id, file in files.items()}


if __name__ == "__main__":
    stage_main(run)
