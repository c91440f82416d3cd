"""Memory of the stages up to ``align`` on a very long clip: ``python -m benchmarks.long_clip CLIP [--minutes 60]``.

Repeats a clip, without encoding it again, until it is so long, and runs the unit functions of the stages on it, each in a
process of its own as the pipeline does. Prints seconds, speed and the most memory each process held at once; the goal is 1.5 GB.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

from benchmarks.measure import clip_of
from pipelines.stages import align
from pipelines.stages.measure import measure_clip
from pipelines.stages.segment import Shard, segment_shard
from pipelines.stages.segment_features import FATES_FILE, Source, crop_row, features_of_segments, read_fates
from space_data.crop import CropBox
from space_data.params import load_params
from space_data.schema import Clip, Measure
from space_data.segments import Segment
from space_data.tables import read_table, write_table
from space_data.timebase import frames_in

GOAL_GB = 1.5
KB_PER_GB = 1e6


def repeated(path: Path, out: Path, minutes: float) -> None:
    """Write ``path`` over and over to ``out``, packets only."""
    with av.open(str(out), "w", format="mp4") as target:
        with av.open(str(path)) as first:
            streams = {s.index: target.add_stream_from_template(s) for s in (first.streams.video[0], first.streams.audio[0])}
            packets = first.demux(first.streams.video[0], first.streams.audio[0])
            times_s = [
                (p.dts * p.time_base, (p.pts + (p.duration or 0)) * p.time_base)
                for p in packets if p.dts is not None and p.pts is not None
            ]  # fmt: skip
            length_s = float(max(end for _, end in times_s) - min(start for start, _ in times_s))  # sound may start below 0
        for copy in range(int(minutes * 60 / length_s) + 1):
            with av.open(str(path)) as source:
                for packet in source.demux(*(source.streams[index] for index in streams)):
                    if packet.dts is None or packet.pts is None:
                        continue
                    shift = int(copy * length_s / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)


def _run(function: Callable[..., object], arguments: tuple[object, ...], answer: Any) -> None:
    began_s = time.perf_counter()
    function(*arguments)
    answer.put((time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KB_PER_GB))


def in_own_process(function: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """Seconds that ``function`` took, and GB that its process held at most."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_run, args=(function, arguments, answer))
    process.start()
    result = answer.get()
    process.join()
    return result


def main() -> None:
    """Make the clip, run the stages, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    params = load_params()
    most_gb = 0.0

    def report(stage: str, took: tuple[float, float]) -> None:
        nonlocal most_gb
        most_gb = max(most_gb, took[1])
        print(f"{stage}: {took[0]:.0f} s, {arguments.minutes * 60 / took[0]:.1f} times real time, {took[1]:.2f} GB", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = folder / "long.mp4"
        repeated(arguments.clip, path, arguments.minutes)
        clip = clip_of(path)
        print(f"{clip.duration_s / 60:.1f} min, {clip.header_frames} frames, {path.stat().st_size / 1e6:.0f} MB", flush=True)
        report("measure", in_own_process(measure_clip, clip, params.measure, folder))
        write_table(folder / "clip.parquet", [clip], Clip)
        measured = (str(folder / f"{name}.arrow") for name in ("clips", "frames", "sound"))
        shard = Shard(str(folder / "clip.parquet"), *measured)
        report("segment", in_own_process(segment_shard, shard, params.segment, folder))
        crop = CropBox(0, 0, min(clip.width_px, clip.height_px))
        segments = tuple(
            Segment(row.clip_id, row.start_s, frames_in(row.length_s), 0.0, crop)
            for row in read_table(folder / "segments.arrow", Measure)
        )
        source = Source(clip, segments, str(folder / "frames.arrow"), params.align.size_px)
        (folder / "features").mkdir()
        report("features", in_own_process(features_of_segments, source, params.features, folder / "features"))
        fates = zip(segments, read_fates((folder / "features" / FATES_FILE).read_bytes()), strict=True)
        crops = tuple(crop_row(source, segment, fate.piece) for segment, fate in fates if not fate.reason)
        report("align", in_own_process(align.align_source, align.Source(clip, crops, "media"), params.align.crf, folder))
        sizes = {name: (folder / f"{name}.arrow").stat().st_size for name in ("frames", "sound", "thumbnails", "segments")}
    hours = clip.duration_s / 3600
    print("per hour of video: " + ", ".join(f"{name} {size / hours / 1e6:.1f} MB" for name, size in sizes.items()))
    print(f"most memory: {most_gb:.2f} GB (goal {GOAL_GB})")
    sys.exit(0 if most_gb <= GOAL_GB else 1)


if __name__ == "__main__":
    main()
