"""Curation on a Flink cluster whose task managers are killed at random moments: what comes out, and what is computed twice.

    python -m benchmarks.cluster_kills DIR [--kills 10] [--pause-s 5 40] [--seed 0]

A local run gives the bytes that are expected. Then the same clips are curated from bucket to bucket on two task managers. After
a random pause one of them is killed (SIGKILL), and another is started; again and again until there were so many kills. A run that
ends with an error is started again. Exit status 1: bytes differ, a result that was in the store was written again, or a
process of a job outlived it.
"""

import argparse
import contextlib
import difflib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipelines.cluster.keeper import KEEPER
from pipelines.cluster.local import LocalCluster
from pipelines.stages import CURATION
from space_data.manifest import MANIFEST
from space_data.store import Place

SETTINGS = ("job.pack_units=1", "job.keep_every_s=0", "job.shards=2", "data.verify=true")
TASK_MANAGERS = 2
END_S = 30.0


def curate(source: str, out: str, *settings: str) -> subprocess.Popen[str]:
    """Start the user's command."""
    command = [sys.executable, "-m", "pipelines.cli", "data", "curate", source, "--out", out, "-q"]
    command += [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def manifests(out: Place) -> dict[str, bytes]:
    """Of every stage: they hold the hash of every shard of every table."""
    return {stage: (out / stage / MANIFEST).read() for stage in CURATION if stage != "align"}


def packs_in(out: Place) -> dict[str, int | None]:
    """Everything that is kept, with the time at which it was put."""
    return {pack.uri: pack.info().mtime_ns for pack in (out / ".cache").files(".pack", below=True)}


def differences(stage: str, expected: bytes, found: bytes) -> list[str]:
    """Lines of a manifest that are not as expected."""
    both = (content.decode().splitlines() for content in (expected, found))
    return [f"{stage}: {line}" for line in difflib.unified_diff(*both, "local", "cluster", n=0, lineterm="")]


def of_jobs(cluster: LocalCluster) -> list[str]:
    """What jobs have started and is still there: all processes of the cluster but its own parts."""
    keeper = int((cluster.folder / KEEPER).read_text().split()[0])
    parts = {keeper, *(status.pid for status in cluster.processes.statuses())}
    found = []
    for pid in cluster.processes.survivors():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if pid not in parts:
                process = Path(f"/proc/{pid}")
                parent, command = (process / "stat").read_text().rpartition(")")[2].split()[1], (process / "cmdline").read_text()
                found.append(f"  {pid}, child of {parent}: {command.replace(chr(0), ' ')}")
    return found


class Kills:
    """Runs the curation to its end, and kills task managers meanwhile."""

    def __init__(self, cluster: LocalCluster, kills: int, pause_s: tuple[float, float], seed: int) -> None:
        self.cluster, self.left, self.pause_s = cluster, kills, pause_s
        self.random = random.Random(seed)
        self.alive = list(range(TASK_MANAGERS))
        self.errors: list[str] = []
        self.seen: dict[str, int | None] = {}
        self.rewritten: set[str] = set()

    def run(self, source: Place, out: Place) -> None:
        """Until a run ends well and all kills are done."""
        beam = f"job.beam={json.dumps(self.cluster.beam_options())}"
        while True:
            run = curate(source.uri, out.uri, beam)
            while run.poll() is None:
                try:
                    run.wait(self.random.uniform(*self.pause_s) if self.left else None)
                except subprocess.TimeoutExpired:
                    self._kill(out)
            told = run.communicate()[0].strip()
            self._look(out)
            if run.returncode == 0:
                return
            self.errors.append(told.splitlines()[-1] if told else f"status {run.returncode}")
            print(f"ended with status {run.returncode}: {self.errors[-1]}", flush=True)

    def _kill(self, out: Place) -> None:
        number = self.alive.pop(self.random.randrange(len(self.alive)))
        self.cluster.kill_task_manager(number)
        self.left -= 1
        time.sleep(1.0)  # its workers are gone: what is kept now, they have not to do again
        self._look(out)
        stages = [stage for stage in CURATION if (out / stage / MANIFEST).is_file()]
        print(f"killed task manager {number}, {len(self.seen)} packs are kept, stages committed: {len(stages)}", flush=True)
        self.alive.append(self.cluster.start_task_manager())

    def _look(self, out: Place) -> None:
        now = packs_in(out)
        self.rewritten |= {pack for pack, put_ns in self.seen.items() if now.get(pack) != put_ns}
        self.seen |= now


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of clips")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--pause-s", type=float, nargs=2, default=(5.0, 40.0), help="between two kills, at least and at most")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, LocalCluster(task_managers=TASK_MANAGERS) as cluster:
        local = curate(str(arguments.clips), f"{folder}/out")
        if local.wait():
            raise SystemExit(local.communicate()[0])
        os.environ |= cluster.store.environment()
        for bucket in ("raw", "out"):
            cluster.store.filesystem().create_dir(bucket)
        source, out = Place.of("s3://raw/clips"), Place.of("s3://out/curated")
        for clip in arguments.clips.iterdir():
            (source / clip.name).put(clip)
        began_s = time.monotonic()
        kills = Kills(cluster, arguments.kills, tuple(arguments.pause_s), arguments.seed)
        kills.run(source, out)
        seconds = time.monotonic() - began_s
        deadline_s = time.monotonic() + END_S
        while (left := of_jobs(cluster)) and time.monotonic() < deadline_s:
            time.sleep(0.5)
        found, expected = manifests(out), manifests(Place.of(f"{folder}/out"))
        other = [line for stage in expected for line in differences(stage, expected[stage], found[stage])]
    print(f"{arguments.kills - kills.left} kills in {seconds:.0f} s; {len(kills.errors)} runs ended with an error and went on")
    print(f"{len(kills.seen)} packs, put again though they were there: {len(kills.rewritten)}")
    print("\n".join(["manifests that differ from the local run's:" if other else "manifests: as the local run's", *other]))
    print("\n".join([f"processes of jobs that are left: {len(left)}", *left]))
    raise SystemExit(bool(other or kills.rewritten or left))


if __name__ == "__main__":
    main()
