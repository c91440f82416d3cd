"""Stage ``syncnet``: how far sound and lips are apart by the published SyncNet, where its weights are present.

    python -m pipelines.stages.syncnet      # segments, frames, raw video -> data/syncnet.parquet

Every segment is cropped around the measured face boxes as the published pipeline does (``space_models.syncnet``), at 25 frames
per second, and scored as a whole. A source is decoded once, and a few frames are in memory at a time. Without the weights the
table is empty, and one line says what is missing: offsets then rest on the stage ``sync`` alone.
"""

import hashlib
import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.job.engine import Layout, Unit, content_hash, ledger_rows, run_units, stage_clock, stage_main, write_ledger
from space_data import weights
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.params import Params
from space_data.schema import KEPT, Clip, FrameRow, Measure, SyncNetScore
from space_data.tables import read_arrow, read_table, stream_clips, table_files, vectors, write_table

logger = logging.getLogger(__name__)

STAGE = "syncnet"
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


def score_source(source: Source, settings: tuple[str, int], folder: Path) -> None:
    """Unit function: write ``scores.parquet``; ``settings`` are the weights' SHA-256 and the batch (``score_segments``)."""
    from pipelines.stages.syncnet_score import score_segments

    rows = read_arrow(source.frames, FrameRow, COLUMNS, [source.clip.clip_id])
    write_table(folder / "scores.parquet", score_segments(source, rows, *settings), SyncNetScore)


def plan(layout: Layout, clips: dict[str, Clip], measures: list[Measure], weights_file: Path) -> list[Unit]:
    """One unit per clip with measured segments; of the frame table one row group is in memory."""
    segments: dict[str, list[Segment]] = defaultdict(list)
    for row in measures:
        if row.source_clip_id not in clips:
            raise SpaceError(f"{layout.measures}: clip {row.source_clip_id} is not in {layout.clips} (stale? `dvc repro`)")
        if not row.screened:
            segments[row.source_clip_id].append(Segment(row.clip_id, row.start_s, row.end_s))
    units = []
    for shard in table_files(layout.frames):
        for clip_id, rows in stream_clips(shard, FrameRow, COLUMNS):
            if clip_id not in segments:
                continue
            clip = clips[clip_id]
            ordered = tuple(sorted(segments.pop(clip_id), key=lambda s: s.start_s))
            seen = hashlib.sha256(np.asarray(rows.column("pts_s")).tobytes() + vectors(rows, "box").tobytes()).hexdigest()
            spans = [(s.clip_id, s.start_s, s.end_s) for s in ordered]
            part = (clip.part_start_s, clip.part_end_s, clip.part_crop_px.tolist())
            source = Source(clip, ordered, str(shard), str(weights_file))
            units.append(Unit(clip_id, content_hash(clip.sha256, part, spans, seen), source))
    if segments:
        raise SpaceError(f"{layout.frames}: no frames of clip {min(segments)} (stale? `dvc repro`)")
    return units


def run(params: Params, layout: Layout) -> None:
    """Write ``syncnet.parquet`` and the stage's ledger; both empty without the weights."""
    settings = params.syncnet
    with stage_clock(layout, STAGE) as clock:
        path = weights.find(weights.SYNCNET, Path(settings.weights))
        units: list[Unit] = []
        if path is None:
            logger.info("%s; the table of its scores is empty", weights.absence(weights.SYNCNET, Path(settings.weights)))
            clock.notes = {"weights": "absent"}
        else:
            clips = {clip.clip_id: clip for clip in read_table(layout.clips, Clip)}
            units = plan(layout, clips, read_table(layout.measures, Measure), path)
        outcomes = run_units(STAGE, units, score_source, (sha256_of(path) if path else "", settings.batch), layout, params.job)
        folders = [o.folder for o in outcomes if o.status == KEPT and o.folder is not None]
        rows = [row for folder in folders for row in read_table(folder / "scores.parquet", SyncNetScore)]
        write_table(layout.syncnet, rows, SyncNetScore)
        clock.counts = write_ledger(layout, STAGE, [unit.unit_id for unit in units], ledger_rows(STAGE, outcomes))
        clock.clips, clock.computed = len(outcomes), sum(outcome.computed for outcome in outcomes)


if __name__ == "__main__":
    stage_main(run)
