"""Stage ``syncnet``: how far sound and lips are apart by the published SyncNet, where its weights are present.

    python -m pipelines.syncnet      # segments, frames, raw video -> data/syncnet.parquet

Every segment is cropped around the measured face boxes as the published pipeline does (``space_models.syncnet``), at 25 frames
per second, and scored as a whole. A source is decoded once, and a few frames are in memory at a time. Without the weights the
table is empty, and one line says what is missing: offsets then rest on the stage ``sync`` alone.
"""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pipelines.align import Playhead
from pipelines.job import Layout, Unit, content_hash, ledger_rows, run_units, stage_clock, stage_main, write_ledger
from space_data import clip_media, weights
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.media import Frame, MediaError
from space_data.params import Params
from space_data.schema import KEPT, Clip, FrameRow, Measure, SyncNetScore
from space_data.tables import by_clip, read_arrow, read_table, vectors, write_table
from space_data.timebase import (
    frame_centre_s,
    frames_in,
    frames_to_samples,
    nearest_frames,
    samples_to_frames,
    seconds_to_samples,
)
from space_models.syncnet import (
    LEAST_WINDOWS,
    WINDOW_FRAMES,
    SyncNet,
    as_int16,
    crop_track,
    face_crop,
    lip_embeddings,
    load_syncnet,
    score,
    sound_embeddings,
    windows_of,
)

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


def pictures(clip: Clip) -> Iterator[Frame]:
    """The clip's frames as far as they decode: ``measure`` has noted where the data break off, and its segments end there."""
    try:
        yield from clip_media.pictures(clip)
    except MediaError as error:
        logger.info("%s", error)


def sound(clip: Clip) -> NDArray[np.float32]:
    """The clip's sound: 16 kHz mono (samples,); empty without any."""
    return clip_media.sound(clip) if clip_media.has_sound(clip) else np.zeros(0, np.float32)


@lru_cache(maxsize=1)
def _network(path: str, sha256: str) -> SyncNet:
    """The network, once per process, on a GPU if there is one."""
    if sha256_of(path) != sha256:
        raise SpaceError(f"{path}: changed since the stage began")
    net = load_syncnet(Path(path))
    if not torch.cuda.is_available():
        return net
    # The same scores in every run, and those that other machines give.
    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, False
    return net.to("cuda")


def boxes_at(rows: pa.Table, start_s: float, n_frames: int) -> NDArray[np.float32]:
    """Face boxes (n_frames, 4) px of a clip's frame rows at 25 per second from ``start_s``; NaN where no face was found."""
    return vectors(rows, "box")[nearest_frames(np.asarray(rows.column("pts_s")), start_s, n_frames)]


def score_source(source: Source, settings: tuple[str, int], folder: Path) -> None:
    """Unit function: write ``scores.parquet``, one row per segment that has 1.5 s of face and sound.

    Args:
        settings: SHA-256 of the weights, and how many frames go through the network at a time.
    """
    sha256, batch = settings
    net = _network(source.weights, sha256)
    audio = sound(source.clip)
    rows = read_arrow(source.frames, FrameRow, COLUMNS, [source.clip.clip_id])
    playhead = Playhead(pictures(source.clip))
    scores = []
    for segment in source.segments:
        begin, wanted = seconds_to_samples(segment.start_s), frames_in(segment.end_s - segment.start_s)
        samples = as_int16(audio[begin : begin + frames_to_samples(wanted)])
        n_frames = samples_to_frames(len(samples))
        windows = windows_of(n_frames)
        track = crop_track(boxes_at(rows, segment.start_s, n_frames)) if windows >= LEAST_WINDOWS else None
        if track is None:
            continue
        times_s = (segment.start_s + frame_centre_s(i) for i in range(windows + WINDOW_FRAMES - 1))
        crops = (face_crop(playhead.at(time_s), place) for time_s, place in zip(times_s, track, strict=False))
        lips = lip_embeddings(net, crops, batch)
        voice = sound_embeddings(net, samples[: frames_to_samples(n_frames)], windows, batch)
        found = score(lips, voice)
        scores.append(SyncNetScore(segment.clip_id, found.windows, found.offset_frames, found.confidence, found.distance))
    write_table(folder / "scores.parquet", scores, SyncNetScore)


def plan(layout: Layout, clips: dict[str, Clip], measures: list[Measure], weights_file: Path) -> list[Unit]:
    """One unit per clip with measured segments; reads the frame table one shard at a time."""
    segments: dict[str, list[Segment]] = defaultdict(list)
    for row in measures:
        if row.source_clip_id not in clips:
            raise SpaceError(f"{layout.measures}: clip {row.source_clip_id} is not in {layout.clips} (stale? `dvc repro`)")
        if not row.screened:
            segments[row.source_clip_id].append(Segment(row.clip_id, row.start_s, row.end_s))
    units = []
    for shard in sorted(layout.frames.glob("*.parquet")):
        for clip_id, rows in by_clip(read_arrow(shard, FrameRow, COLUMNS)):
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
