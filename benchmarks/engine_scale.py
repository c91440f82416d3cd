"""What the engine itself costs: stages of made-up units that only write a row, at any number of clips.

    python -m benchmarks.engine_scale --clips 50000 [--out DIR]

Two stages, shards of 2200 clips each (a corpus of 1.1 million in 500): ``toy_ingest`` makes its units from a generator,
``toy_measure`` reads the shards of the one before. Both run, run again with nothing to do, and again with ten clips more. Printed
for each: wall time, processor time of the driver and of its worker processes, the driver's peak memory, and what was written.
"""

import argparse
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipelines.job.packs import SUFFIX
from pipelines.job.run import run_stage
from pipelines.job.stage import Context, Stage
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from space_data import progress
from space_data.params import load_params
from space_data.tables import read_arrow, write_table

CLIPS_PER_SHARD = 2200
TARGET_CLIPS = 1_100_000
ADDED = 10
POLL_S = 0.1


@dataclass(frozen=True)
class Row:
    """A made-up clip."""

    clip_id: str
    path: str
    value: float


def write_row(clip: Row, settings: None, folder: Path) -> None:
    """Write one row to ``folder/clips.arrow``: the smallest unit that is like those of a real stage."""
    write_table(folder / "clips.arrow", [clip], Row)


def listed(context: Context, part: int) -> Iterator[Unit]:
    """The clips of one shard, made up one after the other."""
    for number in range(part, int(os.environ["ENGINE_SCALE_CLIPS"]), context.parts):
        clip = Row(f"id{number:08d}/clip", f"corpus/id{number:08d}/clip.mp4", number / 7)
        yield Unit(clip.clip_id, content_hash(clip.path), clip, cost_s=0.05)


def read(context: Context, part: int) -> Iterator[Unit]:
    """The clips of one shard of the stage before."""
    for row in read_arrow(context.shard("toy_ingest", "clips", part), Row).to_pylist():
        yield Unit(row["clip_id"], content_hash(row["path"], row["value"]), Row(**row), cost_s=1.0 + row["value"] * 7919 % 9)


STAGES = (
    Stage("toy_ingest", write_row, {"clips": Row}, listed),
    Stage("toy_measure", write_row, {"clips": Row}, read, ("toy_ingest",), continues="toy_ingest"),
)


class PeakMemory(threading.Thread):
    """The driver's resident memory, looked at ten times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb, self._ended = 0.0, threading.Event()

    def run(self) -> None:
        """Look until told to end."""
        while not self._ended.wait(POLL_S):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.peak_mb = max(self.peak_mb, pages * resource.getpagesize() / 1e6)

    def end(self) -> float:
        """The most there was, in MB."""
        self._ended.set()
        self.join()
        return self.peak_mb


def files_below(folder: Path, pattern: str) -> set[str]:
    """Paths of the files of one kind."""
    return {str(path) for path in folder.rglob(pattern)}


def measured(name: str, run: Callable[[], None], folder: Path, clips: int) -> None:
    """Run, and print what it cost, as measured and reckoned for the whole corpus."""
    packs, shards = files_below(folder, f"*{SUFFIX}"), files_below(folder, "part-*.parquet")
    memory = PeakMemory()
    memory.start()
    wall_s, own_s = time.perf_counter(), time.process_time()
    workers = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    wall_s, own_s = time.perf_counter() - wall_s, time.process_time() - own_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    workers_s = after.ru_utime + after.ru_stime - workers.ru_utime - workers.ru_stime
    new_packs, new_shards = files_below(folder, f"*{SUFFIX}") - packs, files_below(folder, "part-*.parquet") - shards
    scaled = own_s * TARGET_CLIPS / clips / 60
    print(
        f"{name:<24} {clips:>9} clips: wall {wall_s:7.1f} s ({clips / wall_s:6.0f}/s), driver {own_s:7.1f} s CPU "
        f"({1e6 * own_s / clips:5.0f} us a clip, {scaled:5.1f} min for 1.1 M), workers {workers_s:7.1f} s CPU, "
        f"peak {memory.end():5.0f} MB; wrote {len(new_packs)} packs, {len(new_shards)} shards",
        flush=True,
    )


def main() -> None:
    """Run both stages three times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--out", type=Path, help="folder to work in; kept (default: a temporary one)")
    arguments = parser.parse_args()
    progress.setup(quiet=True)
    params = load_params()
    shards = max(1, round(arguments.clips / CLIPS_PER_SHARD))
    params = params.model_copy(update={"job": params.job.model_copy(update={"shards": shards})})
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        layout = Layout.in_folder(folder)
        for name, more in (("first", 0), ("again", 0), ("ten clips more", ADDED)):
            clips = arguments.clips + more
            os.environ["ENGINE_SCALE_CLIPS"] = str(clips)
            for stage in STAGES:
                measured(f"{name}, {stage.name}", partial(run_stage, stage, params, layout), folder, clips)


if __name__ == "__main__":
    main()
