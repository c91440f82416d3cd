"""How nearly twice as fast two workers are as one: ``python -m benchmarks.scaling DIR --copies 4 --on local flink``.

Copies the clips of a folder (each copy made another file by 16 bytes of padding at its end, so that no result of one serves
another) and curates them with one worker and with two, in turns. A worker is a process of the local runner, or a task manager
of one slot and one process of a local Flink cluster, from bucket to bucket. Printed are, for `measure`, which is most of the
work, and for the whole curation: seconds by the clock, and t1 / (2 t2). Everything shares the machine: Java, the driver and the
S3 server, too, run on the cores that the workers have.
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.cluster.local import LocalCluster
from pipelines.layout import Layout
from pipelines.stages import CURATION
from space_data.manifest import MANIFEST, Manifest
from space_data.store import Place

GOAL = 0.85


@dataclass(frozen=True)
class Run:
    """Seconds by the clock of the whole curation and of its stages, and the bytes that came out."""

    whole_s: float
    stages_s: dict[str, float]
    digests: dict[str, list[str]]


def lay_out(source: Path, copies: int, root: Path) -> int:
    """The clips of ``source``, each so many times; returns how many files that is."""
    clips = sorted(path for path in source.rglob("*.mp4") if path.is_file())
    for copy in range(copies):
        for clip in clips:
            to = root / f"copy{copy:03d}" / clip.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clip, to)
            with to.open("ab") as file:
                file.write(struct.pack(">I4sQ", 16, b"free", copy))
    return copies * len(clips)


def curate(source: str, out: Place, log: Path, *options: str) -> Run:
    """Run the user's command in an empty output folder.

    Raises:
        SystemExit: it ended with an error.
    """
    command = [sys.executable, "-m", "pipelines.cli", "data", "curate", source, "--dataset", "folder", "--out", out.uri, "-q"]
    began_s = time.monotonic()
    with log.open("wb") as file:
        status = subprocess.run([*command, *options], stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    whole_s = time.monotonic() - began_s
    if status:
        raise SystemExit(f"{' '.join(command)}: status {status}\n{log.read_text()[-2000:]}")
    stages_s = {stage: read_seconds(out, stage) for stage in CURATION if (out / stage / MANIFEST).is_file()}
    return Run(whole_s, stages_s, {stage: hashes(out, stage) for stage in stages_s})


def read_seconds(out: Place, stage: str) -> float:
    """What the stage says that it took."""
    return float(json.loads(Layout.in_folder(out).timing(stage).read())["seconds"])


def hashes(out: Place, stage: str) -> list[str]:
    """Of every shard of a stage's tables."""
    tables = Manifest.from_json((out / stage / MANIFEST).read()).tables
    return [shard.sha256 for name in sorted(tables) for shard in tables[name]]


def on_local(raw: Path, folder: Path, workers: int) -> Run:
    """One run of Beam's local runner."""
    return curate(str(raw), Place.of(folder / "out"), folder / "log", "--workers", str(workers))


def on_flink(raw: Path, folder: Path, workers: int) -> Run:
    """One run on a cluster of its own, from bucket to bucket; neither is in the time."""
    with LocalCluster(task_managers=workers, folder=folder / "cluster") as cluster:
        os.environ |= cluster.store.environment()
        for bucket in ("raw", "out"):
            cluster.store.filesystem().create_dir(bucket)
        options = f"?endpoint_override={cluster.store.endpoint}"  # Arrow's file systems are kept by their options, a port each
        source, out = Place.of(f"s3://raw/{raw.name}{options}"), Place.of(f"s3://out/curated{options}")
        for clip in raw.rglob("*.mp4"):
            (source / str(clip.relative_to(raw))).put(clip)
        return curate(
            source.uri, out, folder / "log", "--workers", "1", "--set", f"job.beam={json.dumps(cluster.beam_options())}"
        )


RUNNERS = {"local": on_local, "flink": on_flink}


def main() -> None:
    """Run all, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of clips (.mp4, in folders below it)")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--on", nargs="+", choices=RUNNERS, default=list(RUNNERS))
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    shares: dict[tuple[str, str], list[float]] = {}
    digests = []
    with tempfile.TemporaryDirectory() as temporary:
        raw = Path(temporary) / "raw"
        n_clips = lay_out(arguments.clips.resolve(), arguments.copies, raw)
        for number in range(arguments.rounds):
            for engine in arguments.on:
                runs = []
                for workers in (1, 2):
                    folder = Path(temporary) / f"{engine}-{number}-{workers}"
                    folder.mkdir()
                    runs.append(RUNNERS[engine](raw, folder, workers))
                    stages = ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in runs[-1].stages_s.items())
                    print(f"{engine}, {workers} x {n_clips} clips: {runs[-1].whole_s:.1f} s ({stages})", flush=True)
                digests += [run.digests for run in runs]
                for part, (one_s, two_s) in {
                    "measure": [run.stages_s["measure"] for run in runs],
                    "whole curation": [run.whole_s for run in runs],
                }.items():
                    shares.setdefault((engine, part), []).append(one_s / two_s / 2)
    for (engine, part), found in shares.items():
        print(f"{engine}, {part}: {', '.join(f'{share:.2f}' for share in found)} of linear (goal {GOAL})")
    same = all(one == digests[0] for one in digests)
    print(f"tables of all runs: {'the same bytes' if same else 'other bytes'}")
    sys.exit(0 if same and min(map(float, map(np.mean, shares.values()))) >= GOAL else 1)


if __name__ == "__main__":
    main()
