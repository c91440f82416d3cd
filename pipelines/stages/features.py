"""Stage ``features``: normalised landmarks, pose, gaze, eye opening and speech features per 25 fps frame of every kept segment.

Faces come from the tracks that ``measure`` stored (``segment_features``), and no pixels are made. The default corpus also has
speech with exact landmark tracks but no pictures; it joins the same tables as ``kind = speech_only``.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.job.ledger import ledger_rows
from pipelines.job.run import run_stage
from pipelines.job.stage import Context, Files, Made, Stage
from pipelines.job.unit import Outcome, Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.ingest import inputs_of, located_clip
from pipelines.stages.segment_features import (
    FATES_FILE,
    FRAMES_FILE,
    Source,
    crop_row,
    features_of_segments,
    read_fates,
    sources_of,
)  # fmt: skip
from space_data.features import FaceTrack, canonical_pose, feature_rows, speech_track
from space_data.landmarks import N_LANDMARKS
from space_data.media.sound import decode_audio
from space_data.params import FeatureRules, Params
from space_data.schema import (
    KEPT,
    REJECTED,
    SPLITS,
    Clip,
    Decision,
    FeatureClip,
    FeatureFrame,
    SegmentCrop,
    Utterance,
    UtteranceFrame,
    emotion_vector,
)  # fmt: skip
from space_data.store import Place, local_file, located
from space_data.tables import parse_arrow, read_table, write_table
from space_data.timebase import samples_to_frames

NAME = "features"
START_S, FEATURES_PER_S = 0.3, 0.05
"""Seconds that a clip takes, and each second of it."""
TRAIN = "train"
"""Split of the speech-only part: nobody is seen in it, so nothing can be tested on it."""


@dataclass(frozen=True)
class Spoken:
    """An utterance with its landmark track."""

    utterance: Utterance
    size_px: int


def features_of(value: Source | Spoken, settings: FeatureRules, folder: Path) -> None:
    """Unit function: write ``frames.arrow`` of a filmed clip's segments or of an utterance."""
    if isinstance(value, Source):
        features_of_segments(value, settings, folder)
    else:
        features_of_utterance(value, folder)


def features_of_utterance(value: Spoken, folder: Path) -> None:
    """Write ``frames.arrow`` of an utterance: its exact track, as a face that looks straight ahead."""
    audio, rows = decode_audio(local_file(value.utterance.audio)), read_table(Place(value.utterance.track), UtteranceFrame)
    normalised = np.stack([row.normalised for row in rows]).reshape(len(rows), N_LANDMARKS, 3)
    n_frames = min(len(normalised), samples_to_frames(len(audio)))
    pose = canonical_pose(n_frames, value.size_px)
    face = FaceTrack(normalised[:n_frames], pose, interpolated=np.zeros(n_frames, bool))
    write_table(folder / FRAMES_FILE, feature_rows(value.utterance.clip_id, face, speech_track(audio, n_frames)), FeatureFrame)


def clip_row(clip_id: str, source: Clip | Utterance, split: str, n_frames: int) -> FeatureClip:
    """The line a loader reads."""
    return FeatureClip(
        clip_id=clip_id, kind="video" if isinstance(source, Clip) else "speech_only", dataset=source.dataset,
        subject=source.subject, language=source.language, split=split,
        emotion=emotion_vector(source.emotion, source.intensity), n_frames=n_frames,
    )  # fmt: skip


def items(context: Context, part: int) -> Iterator[Unit]:
    """The clips of one shard that have kept segments, and its utterances."""
    size_px = context.params.align.size_px
    clips = {clip.clip_id: clip for clip in read_table(context.shard("ingest", "clips", part), Clip)}
    decisions = [d for d in read_table(context.shard("filter", "decisions", part), Decision) if d.status == KEPT]
    for source, tracks in sources_of(decisions, clips, context.shard("measure", "frames", part), size_px):
        clip, what = source.clip, [dataclasses.asdict(segment) for segment in source.segments]
        of_file = (clip.part_start_s, clip.part_end_s, clip.part_crop_px.tolist())
        content = content_hash(clip.sha256, of_file, clip.audio_track, what, tracks, size_px)
        source = dataclasses.replace(source, clip=located_clip(clip, context))
        yield Unit(
            clip.clip_id, content, source, inputs_of(source.clip), START_S + FEATURES_PER_S * clip.duration_s,
            tuple(segment.clip_id for segment in source.segments), partition=f"split={clip.split}",
        )  # fmt: skip
    for utterance in read_table(context.shard("ingest", "utterances", part), Utterance):
        content = content_hash(utterance.audio_sha256, utterance.track_sha256, size_px)
        utterance = located(utterance, context.raw, "audio", "track")
        inputs = ((utterance.audio, utterance.audio_sha256), (utterance.track, utterance.track_sha256))
        value = Spoken(utterance, size_px)
        yield Unit(utterance.clip_id, content, value, inputs, START_S, enters_here=True, partition=f"split={TRAIN}")


def finish(unit: Unit, files: Files, context: Context) -> Made:
    """The rows of a clip's segments or of an utterance, with what became of each segment."""
    (fate,) = ledger_rows(NAME, [Outcome(unit.unit_id)])
    if isinstance(unit.value, Spoken):
        n_frames = parse_arrow(files(FRAMES_FILE) or b"").num_rows
        return Made({"clips": [clip_row(unit.unit_id, unit.value.utterance, TRAIN, n_frames)]})
    source: Source = unit.value
    clips, crops, ledger = [], [], []
    for segment, found in zip(source.segments, read_fates(files(FATES_FILE) or b"[]"), strict=True):
        kept = dataclasses.replace(fate, clip_id=segment.clip_id)
        if found.reason:
            why = dataclasses.replace(kept, status=REJECTED, reason=found.reason, detail=found.detail)
            ledger.append(dataclasses.replace(why, value=found.value, threshold=found.threshold))
            continue
        ledger.append(kept)
        clips.append(clip_row(segment.clip_id, source.clip, source.clip.split, found.piece.n_frames))
        crops.append(crop_row(source, segment, found.piece))
    return Made({"clips": clips, "crops": crops}, ledger)


STAGE = Stage(
    NAME, features_of, {"frames": FeatureFrame}, items, ("filter", "ingest", "measure"), lambda params: params.features.rules,
    continues="filter", derived={"clips": FeatureClip, "crops": SegmentCrop}, finish=finish,
    partitions={"frames": tuple(f"split={split}" for split in SPLITS)}, outputs="crops",
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Write the tables ``frames`` (a folder per split: a loader reads only its own), ``clips``, ``crops``, and the ledger."""
    run_stage(STAGE, params, layout)
