"""Stage ``features``: normalised landmarks, pose, gaze, eye opening and speech features per 25 fps frame of every kept segment.

Faces come from the tracks that ``measure`` stored (``segment_features``), and no pixels are made. The default corpus also has
speech with exact landmark tracks but no pictures; it joins the same tables as ``kind = speech_only``.
"""

import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pipelines.job import Layout, Outcome, Unit, content_hash, ledger_rows, run_units, stage_clock, stage_main, write_ledger
from pipelines.readers import list_utterances
from pipelines.readers.listing import Utterance
from pipelines.segment_features import FRAMES_FILE, Source, crop_row, features_of_segments, read_fates, sources_of
from space_data.features import FaceTrack, canonical_pose, feature_rows, speech_track
from space_data.files import sha256_of
from space_data.landmarks import N_LANDMARKS
from space_data.media.sound import decode_audio
from space_data.params import FeaturesStage, Params
from space_data.schema import (
    KEPT,
    REJECTED,
    SPLITS,
    Clip,
    Decision,
    FeatureClip,
    FeatureFrame,
    LedgerRow,
    SegmentCrop,
    UtteranceFrame,
    emotion_vector,
)  # fmt: skip
from space_data.tables import merge_shards, read_table, write_table
from space_data.timebase import samples_to_frames

STAGE = "features"
TRAIN = "train"
"""Split of the speech-only part: nobody is seen in it, so nothing can be tested on it."""


@dataclass(frozen=True)
class Spoken:
    """An utterance with its landmark track."""

    utterance: Utterance
    size_px: int


def features_of(value: Source | Spoken, settings: FeaturesStage, folder: Path) -> None:
    """Unit function: write ``frames.parquet`` of a filmed clip's segments or of an utterance."""
    if isinstance(value, Source):
        features_of_segments(value, settings, folder)
    else:
        features_of_utterance(value, folder)


def features_of_utterance(value: Spoken, folder: Path) -> None:
    """Write ``frames.parquet`` of an utterance: its exact track, as a face that looks straight ahead."""
    audio, rows = decode_audio(value.utterance.audio), read_table(value.utterance.track, UtteranceFrame)
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


def units_of(params: Params, layout: Layout, decisions: Iterable[Decision]) -> list[Unit]:
    """Clips with kept segments, then utterances."""
    clips, size_px = {clip.clip_id: clip for clip in read_table(layout.clips, Clip)}, params.align.size_px
    filmed = []
    for source, tracks in sources_of(decisions, clips, layout.frames, size_px):
        clip, what = source.clip, [dataclasses.asdict(segment) for segment in source.segments]
        part = (clip.part_start_s, clip.part_end_s, clip.part_crop_px.tolist())
        content = content_hash(clip.sha256, part, clip.audio_track, what, tracks, size_px)
        filmed.append(Unit(clip.clip_id, content, source))
    spoken = [
        Unit(u.clip_id, content_hash(sha256_of(u.audio), sha256_of(u.track), size_px), Spoken(u, size_px))
        for u in list_utterances(params.data.reader, Path(params.data.raw))
    ]
    return filmed + spoken


def _split(value: Source | Spoken) -> str:
    return value.clip.split if isinstance(value, Source) else TRAIN


@dataclass(frozen=True)
class Results:
    """Rows of the finished units."""

    clips: list[FeatureClip] = dataclasses.field(default_factory=list)
    crops: list[SegmentCrop] = dataclasses.field(default_factory=list)
    ledger: list[LedgerRow] = dataclasses.field(default_factory=list)

    def add(self, outcome: Outcome, value: Source | Spoken) -> None:
        """What became of a unit, per segment."""
        (fate,) = ledger_rows(STAGE, [outcome])
        if isinstance(value, Spoken):
            self.ledger.append(fate)
            if outcome.folder is not None and outcome.status == KEPT:
                n_frames = pq.read_metadata(outcome.folder / FRAMES_FILE).num_rows
                self.clips.append(clip_row(outcome.unit_id, value.utterance, TRAIN, n_frames))
            return
        if outcome.folder is None or outcome.status != KEPT:
            self.ledger.extend(dataclasses.replace(fate, clip_id=segment.clip_id) for segment in value.segments)
            return
        for segment, found in zip(value.segments, read_fates(outcome.folder), strict=True):
            kept = dataclasses.replace(fate, clip_id=segment.clip_id)
            if found.reason:
                why = dataclasses.replace(kept, status=REJECTED, reason=found.reason, detail=found.detail)
                self.ledger.append(dataclasses.replace(why, value=found.value, threshold=found.threshold))
                continue
            self.ledger.append(kept)
            self.clips.append(clip_row(segment.clip_id, value.clip, value.clip.split, found.piece.n_frames))
            self.crops.append(crop_row(value, segment, found.piece))


def run(params: Params, layout: Layout) -> None:
    """Write ``features/frames/split=*/``, ``features/clips.parquet``, ``features/crops.parquet`` and the stage's ledger."""
    with stage_clock(layout, STAGE) as clock:
        decisions = [d for d in read_table(layout.decisions, Decision) if d.status == KEPT]
        units = {unit.unit_id: unit for unit in units_of(params, layout, decisions)}
        outcomes = run_units(STAGE, units.values(), features_of, params.features, layout, params.job)
        results = Results()
        for outcome in outcomes:
            results.add(outcome, units[outcome.unit_id].value)
        files = {o.unit_id: o.folder / FRAMES_FILE for o in outcomes if o.status == KEPT and o.folder is not None}
        shutil.rmtree(layout.feature_frames, ignore_errors=True)
        for split in SPLITS:  # a loader reads only its own
            own = {unit_id: file for unit_id, file in files.items() if _split(units[unit_id].value) == split}
            merge_shards(layout.feature_split(split), own, FeatureFrame, params.job.shards)
        write_table(layout.feature_clips, results.clips, FeatureClip)
        write_table(layout.segment_crops, results.crops, SegmentCrop)
        clock.notes = {kind: str(n) for kind, n in sorted(Counter(row.kind for row in results.clips).items())}
        inputs = [d.clip_id for d in decisions] + [unit_id for unit_id, u in units.items() if isinstance(u.value, Spoken)]
        clock.counts = write_ledger(layout, STAGE, inputs, results.ledger)
        clock.clips, clock.computed = len(outcomes), sum(outcome.computed for outcome in outcomes)


if __name__ == "__main__":
    stage_main(run)
