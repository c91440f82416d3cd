"""How fast a training set of 1,000 hours is streamed, and in how much memory: ``python -m benchmarks.training_stream FOLDER``.

The set is simulated: 511 files, all hard links to four that are written, so that it takes 1.2 GB of disk and not 150. Row groups,
columns and compression are those of stage ``features``, the numbers random (they compress worse than tracks do); the table of
clips has a line for each clip of the whole set. What this flatters: files come from the page cache; a disk would have to give
1.7 GB per million frames, 35 MB/s for 20,000 frames/s.

Memory is what the process has allocated (``RssAnon``); beside it stand 0.5 GB of torch's libraries, which ranks share.

Windows are drawn as S2L's task draws them: 32 of 80 frames, here without a portrait and a network.
"""

import argparse
import os
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.layout import Layout
from space_data.manifest import MANIFEST, Manifest, Shard, read_manifest
from space_data.params import load_params
from space_data.schema import FeatureClip, FeatureFrame, emotion_vector
from space_data.tables import columns_to_arrow, merge_shards, to_arrow, write_arrow
from space_models.stream import BlockPlan, ClipStream, as_read
from space_models.trainer import generator_for

CLIP_FRAMES, GROUP_CLIPS, GROUPS_PER_SHARD = 200, 20, 44
FRAMES_PER_SHARD = CLIP_FRAMES * GROUP_CLIPS * GROUPS_PER_SHARD
HOUR_FRAMES = 90_000
WRITTEN = 4
BATCH, WINDOW = 32, 80


def write_set(layout: Layout, hours: float) -> int:
    """Write the simulated set; returns its number of frames."""
    rng = np.random.default_rng(0)
    n_shards = max(WRITTEN, round(hours * HOUR_FRAMES / FRAMES_PER_SHARD))
    clips_per_shard, frames = GROUP_CLIPS * GROUPS_PER_SHARD, layout.feature_split("train")

    def table(clip_id: str) -> pa.Table:
        n = CLIP_FRAMES
        return columns_to_arrow(
            {
                "clip_id": clip_id, "frame": np.arange(n), "interpolated": np.zeros(n, bool), "speech": np.ones(n, bool),
                "normalised": rng.normal(size=(n, 234)), "pose": rng.normal(size=(n, 7)), "log_mel": rng.normal(size=(n, 160)),
                "mfcc": rng.normal(size=(n, 52)), **{k: np.zeros(n) for k in ("eye_opening_left", "eye_opening_right")},
                "gaze_x": np.zeros(n), "gaze_y": np.zeros(n),
            },
            FeatureFrame,
        )  # fmt: skip

    written = []
    for number in range(WRITTEN):
        ids = [f"vox2/id{number:05d}/{i:05d}/00001" for i in range(clips_per_shard)]
        folder = layout.features / f"written-{number}"
        merge_shards(folder, {clip_id: partial(table, clip_id) for clip_id in ids}, FeatureFrame, 1)
        written.append((folder.local() / "part-00000.parquet", ids))
    shards = []
    first = read_manifest(layout.features)
    assert first is not None
    for number in range(n_shards):
        source, _ = written[number % WRITTEN]
        target = frames.local() / f"part-{number:05d}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
        of = first.tables[f"written-{number % WRITTEN}"][0]
        shards.append(Shard(f"frames/split=train/{target.name}", of.sha256, of.size, of.rows, number))
    lines = [
        FeatureClip(clip_id, "video", "vox2", clip_id.split("/")[1] + clip_id.split("/")[2][-2:], "en", "train",
                    emotion_vector("unknown", 1.0), CLIP_FRAMES)
        for n in range(n_shards) for clip_id in (written[n][1] if n < WRITTEN else
                                                 [f"vox2/id{n:05d}/{i:05d}/00001" for i in range(clips_per_shard)])
    ]  # fmt: skip
    clip_file = layout.feature_clips / "part-00000.parquet"
    write_arrow(clip_file, to_arrow(lines, FeatureClip))
    clip_shard = Shard("clips/part-00000.parquet", clip_file.sha256(), clip_file.info().size, len(lines), 0)
    manifest = Manifest("features", n_shards, {"frames/split=train": shards, "clips": [clip_shard]})
    (layout.features / MANIFEST).put(manifest.to_json())
    return n_shards * FRAMES_PER_SHARD


def memory_gb() -> float:
    """What this process has allocated and holds."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1e6


def main() -> None:
    """Stream some blocks and say how fast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the simulated set; written if it is not there")
    parser.add_argument("--hours", type=float, default=1000)
    parser.add_argument("--draws", type=int, default=640, help="micro-batches to draw")
    parser.add_argument("--micro-batches", type=int, default=8)
    parser.add_argument("--ranks", type=int, default=1, help="draw only what rank 0 of so many would")
    arguments = parser.parse_args()
    layout = Layout.in_folder(arguments.folder)
    if not (layout.features / MANIFEST).is_file():
        print(f"writing {write_set(layout, arguments.hours):,} frames")
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    print(f"before: {memory_gb():.2f} GB")
    began, cpu = time.perf_counter(), time.process_time()
    training = load_params().training
    plan = BlockPlan(training.stream_groups, training.stream_draws, arguments.micro_batches, seed=1)
    stream = ClipStream(layout.feature_split("train"), layout.feature_clips, plan, as_read)
    opened_s, opened_cpu_s = time.perf_counter() - began, time.process_time() - cpu
    began = time.perf_counter()
    stream.data_hash  # noqa: B018
    print(
        f"opened {len(stream):,} clips, {stream.n_frames / HOUR_FRAMES:,.0f} h in {opened_s:.1f} s "
        f"({opened_cpu_s:.1f} s of CPU); hash in {time.perf_counter() - began:.2f} s; {memory_gb():.2f} GB"
    )
    began, cpu, read, drawn, most_gb, blocks = time.perf_counter(), time.process_time(), 0, 0, 0.0, set()
    for draw in range(arguments.draws):
        if draw % arguments.micro_batches % arguments.ranks:
            continue
        rng = generator_for(1, draw % arguments.micro_batches, draw // arguments.micro_batches)
        block = stream.block("video", draw)
        if block.clips[0].clip.clip_id + str(draw // plan.stay) not in blocks:
            blocks.add(block.clips[0].clip.clip_id + str(draw // plan.stay))
            read += sum(map(len, block.clips))
            most_gb = max(most_gb, memory_gb())
        windows = []
        for index in rng.integers(len(block.clips), size=BATCH):
            clip = block.clips[index]
            begin = int(rng.integers(len(clip) - WINDOW + 1))
            windows.append((clip.normalised[begin : begin + WINDOW], clip.log_mel.reshape(len(clip), -1)[begin : begin + WINDOW]))
        batch = [np.stack(column) for column in zip(*windows, strict=True)]
        drawn += batch[0].shape[0] * batch[0].shape[1]
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    print(
        f"read {read:,} frames, drew {drawn:,} in windows, in {wall_s:.1f} s ({cpu_s:.1f} s of CPU): {read / cpu_s:,.0f} "
        f"frames read and {drawn / cpu_s:,.0f} drawn per second of CPU ({read / wall_s:,.0f} and {drawn / wall_s:,.0f} by the "
        f"clock); {most_gb:.2f} GB at most"
    )


if __name__ == "__main__":
    main()
