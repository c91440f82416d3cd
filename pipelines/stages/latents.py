"""Stage ``latents``: each generator's latents for every frame of the aligned video; what L2L learns to predict.

Beside the rows stands what they mean, ``latents/<generator>.json``: `LatentSpec` with the training set's statistics and, for
generators with a pose of their own, the fitted map from ours.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.job.clock import stage_clock
from pipelines.job.ledger import ledger_rows, write_ledger
from pipelines.job.run import Result, run_units
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.landmarks import N_LANDMARKS, PoseTrack, posed
from space_data.media.video import decode_video
from space_data.params import Params
from space_data.schema import AlignedClip, FeatureFrame, LatentFrame
from space_data.store import local_file
from space_data.tables import merge_shards, stream_clips, table_files, vectors, write_table
from space_models.generators import GENERATORS, KeypointGenerator, LatentSpec, find, pose_at, settings_of

STAGE = "latents"
LATENTS_FILE = "latents.parquet"
COLUMNS = ["clip_id", "normalised", "pose"]
LEAST_SD_SHARE = 1e-3
"""Of the largest s.d. of a latent: what varies less counts as varying so much, or noise would be learnt at the weight of lips."""


@dataclass(frozen=True)
class LatentUnit:
    """One aligned video, the shard with its features, and the generator that looks at it, in its folder."""

    generator: str
    clip_id: str
    video: str
    size_px: int
    features: str
    folder: str
    params_json: str


@lru_cache(maxsize=1)
def _generator(name: str, folder: str, params_json: str) -> KeypointGenerator[Any]:
    """Loaded once per process; the weights never change, so no state passes from clip to clip."""
    return find(GENERATORS, name, "generator").load(Path(folder), Params.model_validate_json(params_json), None)


def landmarks_of(table: pa.Table) -> tuple[NDArray[np.float32], PoseTrack]:
    """Landmarks (T, 78, 3) and pose in pixels of the aligned video, from the rows of one clip in the feature table."""
    normalised = vectors(table, "normalised").reshape(-1, N_LANDMARKS, 3)
    pose = PoseTrack.from_array(vectors(table, "pose"))
    return posed(normalised, pose), pose


def units_of(layout: Layout, params: Params) -> list[Unit]:
    """One unit per generator and aligned clip that has features."""
    videos = {clip.clip_id: clip for clip in aligned_clips(layout)}
    folders = {name: folder_of(name, layout, params) for name in params.latents.generators}
    weights = {name: GENERATORS[name].weights_sha256(folder) for name, folder in folders.items()}
    params_json, units = params.model_dump_json(), []
    for shard in table_files(layout.feature_frames):
        for clip_id, table in stream_clips(shard, FeatureFrame, COLUMNS):
            clip = videos.get(clip_id)
            if clip is None:
                continue
            seen = hashlib.sha256(landmarks_of(table)[0].tobytes()).hexdigest()
            for name, sha256 in weights.items():
                value = LatentUnit(name, clip_id, clip.video, clip.size_px, shard.uri, str(folders[name]), params_json)
                content = content_hash(clip.video_sha256, seen, name, sha256, settings_of(GENERATORS[name].section, params))
                units.append(Unit(f"{name}/{clip_id}", content, value, ((clip.video, clip.video_sha256),)))
    return units


def folder_of(name: str, layout: Layout, params: Params) -> Path:
    """Where a generator's weights lie."""
    folder: Path = find(GENERATORS, name, "generator").folder(name, layout.models.local(), params)
    return folder


def latents_of(unit: LatentUnit, settings: None, folder: Path) -> None:
    """Write ``latents.parquet`` of one clip.

    Raises:
        SpaceError: a latent is no finite number, which would spoil the statistics of all.
    """
    table = pq.read_table(unit.features, columns=COLUMNS, filters=[("clip_id", "=", unit.clip_id)], partitioning=None)
    generator = _generator(unit.generator, unit.folder, unit.params_json)
    frames = (frame.rgb for frame in decode_video(local_file(unit.video)))
    landmarks, pose = landmarks_of(table)
    factor = CROP_SIZE_PX / unit.size_px
    found = generator.extract(frames, (landmarks * factor).astype(np.float32), pose_at(pose, factor))
    are_numbers = np.isfinite(np.column_stack([found.z, found.own_pose])).all(axis=1)
    if not are_numbers.all():
        slip = "half precision? set its precision to bf16 or fp32"
        raise SpaceError(f"{unit.video}: {unit.generator}'s latents of frame {int(are_numbers.argmin())} are no numbers ({slip})")
    rows = [LatentFrame(unit.clip_id, i, z, own) for i, (z, own) in enumerate(zip(found.z, found.own_pose, strict=True))]
    write_table(folder / LATENTS_FILE, rows, LatentFrame)


def measured_spec(name: str, layout: Layout, params: Params) -> LatentSpec:
    """The generator's spec with mean, s.d. within clips and pose map of the training set, of frames with a face.

    Raises:
        SpaceError: no training clip has latents.
    """
    generator = GENERATORS[name].load(folder_of(name, layout, params), params, None)
    clips = {clip.clip_id: clip for clip in aligned_clips(layout) if clip.split == "train"}
    found = found_frames(layout)
    step = max(1, -(-sum(clip.n_frames for clip in clips.values()) // params.latents.pose_frames))
    own_pose: dict[str, NDArray[np.float32]] = {}
    total, within, n = np.zeros(()), np.zeros(()), 0
    for clip_id, rows in stream_clips(layout.latents(name), LatentFrame):
        if clip_id in clips:
            kept = found.get(clip_id, slice(None))
            z = vectors(rows, "z").astype(np.float64)[kept]
            if len(z):
                total, within, n = total + z.sum(0), within + ((z - z.mean(0)) ** 2).sum(0), n + len(z)
                own_pose[clip_id] = vectors(rows, "own_pose")[kept][::step]
    if not n:
        raise SpaceError(f"{layout.latents(name)}: no clip of split train, need one (is align.splits without train?)")
    mean, sd = total / n, np.sqrt(within / n)
    pose_map = generator.fit_pose(*_frames_of_poses(own_pose, clips, found, layout, step))
    return generator.spec.measured(mean, np.maximum(sd, max(LEAST_SD_SHARE * float(sd.max()), 1e-12)), pose_map)


def found_frames(layout: Layout) -> dict[str, NDArray[np.intp]]:
    """Numbers of the frames with a face, of each clip in which it was lost: elsewhere latents are of what lies there."""
    found = {}
    for clip_id, rows in stream_clips(layout.feature_frames, FeatureFrame, ["clip_id", "interpolated"]):
        lost = rows.column("interpolated").combine_chunks().to_numpy(zero_copy_only=False)
        if lost.any():
            found[clip_id] = np.flatnonzero(~lost)
    return found


def _frames_of_poses(
    own_pose: Mapping[str, NDArray[np.float32]],
    clips: Mapping[str, AlignedClip],
    found: Mapping[str, NDArray[np.intp]],
    layout: Layout,
    step: int,
) -> tuple[NDArray[np.float32], PoseTrack]:
    """A generator's poses (N, P), every ``step``-th found frame of each clip, and ours of the same in pixels of the 512 crop."""
    theirs, ours = [], []
    for clip_id, table in stream_clips(layout.feature_frames, FeatureFrame, ["clip_id", "pose"]):
        if clip_id in own_pose:
            pose = pose_at(PoseTrack.from_array(vectors(table, "pose")), CROP_SIZE_PX / clips[clip_id].size_px)
            ours.append(pose.as_array()[found.get(clip_id, slice(None))][::step])
            theirs.append(own_pose[clip_id])
    return np.concatenate(theirs), PoseTrack.from_array(np.concatenate(ours))


def write_spec(path: Path, spec: LatentSpec) -> None:
    """Write `LatentSpec` as JSON."""
    with atomic_file(path) as part:
        part.write_text(json.dumps(spec.to_json()) + "\n")


def read_spec(layout: Layout, name: str) -> LatentSpec:
    """What the stage wrote.

    Raises:
        SpaceError: it has not run for this generator.
    """
    path = layout.latent_spec(name)
    if not path.is_file():
        raise SpaceError(f"{path}: no such file (is {name} in latents.generators? then run `dvc repro latents`)")
    return LatentSpec.from_json(json.loads(path.read_text()))


def run(params: Params, layout: Layout) -> None:
    """Write the tables ``frames/generator=...``, what they mean, and the stage's ledger."""
    with stage_clock(layout, STAGE) as clock:
        units = units_of(layout, params)
        results = run_units(STAGE, units, latents_of, None, params, layout)
        sources = {clip.clip_id: clip.source_clip_id for clip in aligned_clips(layout)}
        for name in params.latents.generators:
            merge_shards(layout.latents(name), _tables(name, results, sources), LatentFrame, params.job.shards)
            write_spec(layout.latent_spec(name), measured_spec(name, layout, params))
        clock.counts = write_ledger(layout, STAGE, [unit.unit_id for unit in units], ledger_rows(STAGE, results))
        clock.clips, clock.computed = len(results), sum(result.computed for result in results)


def _tables(name: str, results: list[Result], sources: Mapping[str, str]) -> dict[str, Callable[[], pa.Table]]:
    """Readers of what was made for one generator, by recording: so the rows lie in the shards in which its features lie, and who
    streams these (`space_models.stream`) finds them near each other."""
    files: dict[str, list[Path]] = defaultdict(list)
    for result in sorted(results, key=lambda each: each.unit_id):
        generator, _, clip_id = result.unit_id.partition("/")
        if result.folder is not None and generator == name:
            files[sources[clip_id]].append(result.folder / LATENTS_FILE)
    return {source: partial(_joined, own) for source, own in files.items()}


def _joined(files: Sequence[Path]) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in files])
