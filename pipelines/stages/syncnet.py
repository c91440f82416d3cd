"""Stage ``syncnet``: how far sound and lips are apart by the published SyncNet, where its weights are present.

    python -m pipelines.stages syncnet      # segments, frames, raw video -> data/syncnet

Every segment is cropped around the measured face boxes as the published pipeline does (``space_models.syncnet``), at 25 frames
per second, and scored as a whole. A source is decoded once, and a few frames are in memory at a time. Without the weights the
table is empty, and one line says what is missing: offsets then rest on the stage ``sync`` alone.
"""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.job.run import run_stage
from pipelines.job.stage import Context, Stage
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.ingest import inputs_of, located_clip
from space_data import weights
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.params import Params
from space_data.schema import Clip, FrameRow, Measure, SyncNetScore
from space_data.tables import read_arrow, read_table, stream_clips, vectors, write_table

logger = logging.getLogger(__name__)

SYNCNET_PER_S = 2.0
"""Seconds that a second of video takes on one core."""
COLUMNS = ["clip_id", "pts_s", "box"]


@dataclass(frozen=True)
class Segment:
    """What to score, on the clock of its clip."""

    clip_id: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Source:
    """A clip with its segments in order of time: the unit of work. The frame rows stay in their shard until they are needed."""

    clip: Clip
    segments: tuple[Segment, ...]
    frames: str
    """the shard of ``FrameRow`` that holds the clip"""
    weights: str
    """file of the published weights"""
    weights_sha256: str


def score_source(source: Source, batch: int, folder: Path) -> None:
    """Unit function: write ``scores.arrow``; ``batch`` frames go through the network at a time."""
    from pipelines.stages.syncnet_score import score_segments

    rows = read_arrow(source.frames, FrameRow, COLUMNS, [source.clip.clip_id])
    write_table(folder / "scores.arrow", score_segments(source, rows, source.weights_sha256, batch), SyncNetScore)


def prepare(context: Context) -> dict[str, str]:
    """Look for the weights."""
    folder = Path(context.params.syncnet.weights)
    path = weights.find(weights.SYNCNET, folder)
    if path is None:
        logger.info("%s; the table of its scores is empty", weights.absence(weights.SYNCNET, folder))
        return {"weights": "", "weights_sha256": ""}
    return {"weights": str(path), "weights_sha256": sha256_of(path)}


def items(context: Context, part: int) -> Iterator[Unit]:
    """The clips of one shard that have measured segments; none without the weights. Of the frames one row group is in memory."""
    if not context.extra["weights"]:
        return
    clips = {clip.clip_id: clip for clip in read_table(context.shard("ingest", "clips", part), Clip)}
    segments: dict[str, list[Segment]] = defaultdict(list)
    for row in read_table(context.shard("segment", "segments", part), Measure):
        if not row.screened:
            segments[row.source_clip_id].append(Segment(row.clip_id, row.start_s, row.end_s))
    frames = context.shard("measure", "frames", part)
    for clip_id, rows in stream_clips(frames, FrameRow, COLUMNS):
        if clip_id not in segments:
            continue
        clip, ordered = clips[clip_id], tuple(sorted(segments.pop(clip_id), key=lambda s: s.start_s))
        seen = hashlib.sha256(np.asarray(rows.column("pts_s")).tobytes() + vectors(rows, "box").tobytes()).hexdigest()
        spans = [(s.clip_id, s.start_s, s.end_s) for s in ordered]
        part_of_file = (clip.part_start_s, clip.part_end_s, clip.part_crop_px.tolist())
        content = content_hash(clip.sha256, part_of_file, clip.audio_track, spans, seen, context.extra["weights_sha256"])
        clip = located_clip(clip, context)
        source = Source(clip, ordered, frames.uri, context.extra["weights"], context.extra["weights_sha256"])
        yield Unit(clip_id, content, source, inputs_of(clip), cost_s=SYNCNET_PER_S * clip.duration_s)
    if segments:
        raise SpaceError(f"{frames}: no frames of clip {min(segments)} (stale? `dvc repro`)")


STAGE = Stage(
    "syncnet", score_source, {"scores": SyncNetScore}, items, ("ingest", "measure", "segment"),
    lambda params: params.syncnet.batch, prepare, modules=("pipelines.stages.syncnet_score",),
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Write the table ``scores`` and the stage's ledger; both empty without the weights."""
    run_stage(STAGE, params, layout)
