"""Stage ``latents``: the generator's keypoints for every frame of the aligned video; what L2L learns to predict."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.job.clock import stage_clock
from pipelines.job.ledger import ledger_rows, write_ledger
from pipelines.job.run import run_units
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from space_data.landmarks import N_LANDMARKS, PoseTrack, posed
from space_data.media.video import decode_video
from space_data.params import Params
from space_data.schema import FeatureFrame, FixedSize
from space_data.store import local_file
from space_data.tables import merge_shards, stream_clips, table_files, vectors, write_table
from space_models.checkpoints import load_card
from space_models.generators.compact import MODEL, CompactGenerator, load_compact
from space_models.generators.compact_nets import N_KEYPOINTS

STAGE = "latents"
LATENTS_FILE = "latents.parquet"
COLUMNS = ["clip_id", "normalised", "pose"]


@dataclass(frozen=True)
class LatentFrame:
    """``latents``: the generator's keypoints in one 25 fps frame of an aligned clip."""

    clip_id: str
    frame: int
    keypoints: Annotated[NDArray[np.float32], FixedSize(N_KEYPOINTS * 3)]
    """x, y, z of keypoint 0, then of keypoint 1, ... in [-1, 1] of the crop"""


@dataclass(frozen=True)
class LatentUnit:
    """One aligned video, the shard with its features, and the folder of the generator that looks at it."""

    clip_id: str
    video: str
    features: str
    model: str


@lru_cache(maxsize=1)
def _generator(folder: str, weights_sha256: str) -> CompactGenerator:
    """Loaded once per process; the weights never change, so no state passes from clip to clip."""
    return load_compact(Path(folder))


def landmarks_of(table: pa.Table) -> NDArray[np.float32]:
    """Landmarks (T, 78, 3) in pixels of the aligned video, from the rows of one clip in the feature table."""
    normalised = vectors(table, "normalised").reshape(-1, N_LANDMARKS, 3)
    return posed(normalised, PoseTrack.from_array(vectors(table, "pose")))


def units_of(layout: Layout) -> list[Unit]:
    """One unit per aligned clip that has features."""
    videos = {clip.clip_id: clip for clip in aligned_clips(layout)}
    units = []
    for shard in table_files(layout.feature_frames):
        for clip_id, table in stream_clips(shard, FeatureFrame, COLUMNS):
            if clip_id in videos:
                seen = hashlib.sha256(landmarks_of(table).tobytes()).hexdigest()
                value = LatentUnit(clip_id, videos[clip_id].video, shard.uri, str(layout.model(MODEL)))
                inputs = ((videos[clip_id].video, videos[clip_id].video_sha256),)
                units.append(Unit(clip_id, content_hash(videos[clip_id].video_sha256, seen), value, inputs))
    return units


def latents_of(unit: LatentUnit, settings: str, folder: Path) -> None:
    """Write ``latents.parquet`` of one clip; ``settings`` is the hash of the generator's weights."""
    table = pq.read_table(unit.features, columns=COLUMNS, filters=[("clip_id", "=", unit.clip_id)], partitioning=None)
    generator = _generator(unit.model, settings)
    keypoints = generator.extract((frame.rgb for frame in decode_video(local_file(unit.video))), landmarks_of(table))
    rows = [LatentFrame(unit.clip_id, index, row.ravel()) for index, row in enumerate(keypoints)]
    write_table(folder / LATENTS_FILE, rows, LatentFrame)


def run(params: Params, layout: Layout) -> None:
    """Write the table ``frames`` and the stage's ledger."""
    with stage_clock(layout, STAGE) as clock:
        weights = load_card(layout.model(MODEL), MODEL).weights_sha256
        units = units_of(layout)
        results = run_units(STAGE, units, latents_of, weights, params, layout)
        tables = {r.unit_id: partial(pq.read_table, r.folder / LATENTS_FILE) for r in results if r.folder is not None}
        merge_shards(layout.latents, tables, LatentFrame, params.job.shards)
        clock.counts = write_ledger(layout, STAGE, [unit.unit_id for unit in units], ledger_rows(STAGE, results))
        clock.clips, clock.computed = len(results), sum(result.computed for result in results)

