"""Curation on a Flink cluster whose task managers are killed at random moments: what comes out, and what is computed twice.

    python -m benchmarks.cluster_kills DIR [--kills 10] [--pause-s 5 40] [--seed 0] [--keep DIR]

A local run gives the bytes that are expected. Then the same clips are curated from bucket to bucket on two task managers. After
a random time at which tasks of a job were at work one of them is killed (SIGKILL), and another is started; again and again until
there were so many kills. A run that ends with an error is started again.

Exit status 1: bytes differ, a result that was in the store was written again, or a process of a job outlived it. Differences are
told by table, row and column. With ``--keep`` the logs of the cluster, of each run and both outputs stay.
"""

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.cluster import flink
from pipelines.cluster.keeper import KEEPER
from pipelines.cluster.local import LocalCluster
from pipelines.stages import CURATION
from space_data.manifest import MANIFEST, Manifest
from space_data.store import Place, below

SETTINGS = ("job.pack_units=1", "job.keep_every_s=0", "job.shards=2", "data.verify=true")
TASK_MANAGERS = 2
END_S = 60.0
"""For workers to end with their run (``pipelines.job.job_end``)."""
POLL_S = 0.5
COLUMNS_TOLD = 3


def curate(source: str, out: str, log: Path, *settings: str) -> subprocess.Popen[bytes]:
    """Start the user's command."""
    command = [sys.executable, "-m", "pipelines.cli", "data", "curate", source, "--out", out, "-q"]
    command += [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)


def packs_in(out: Place) -> dict[str, int | None]:
    """Everything that is kept, with the time at which it was put."""
    return {pack.uri: pack.info().mtime_ns for pack in (out / ".cache").files(".pack", below=True)}


def differences(stage: str, local: Place, cluster: Place) -> list[str]:
    """What is not the same in the tables of a stage, and in what its manifest says of them."""
    expected, found = (Manifest.from_json((out / stage / MANIFEST).read()) for out in (local, cluster))
    lines = []
    for fact, wanted in vars(expected).items():
        if fact != "tables" and wanted != getattr(found, fact):
            lines.append(f"{stage}: {fact}: {getattr(found, fact)}, need {wanted}")
    for table, shards in expected.tables.items():
        for wanted, shard in zip(shards, found.tables[table], strict=True):
            if wanted.sha256 != shard.sha256:
                rows = [_rows(out / stage / one.file) for out, one in ((local, wanted), (cluster, shard))]
                lines += [f"{stage}: {shard.file}: {line}" for line in first_difference(*rows)]
    return lines


def _rows(file: Place) -> list[dict[str, object]]:
    with file.open() as opened:
        return pq.read_table(opened).to_pylist()


def first_difference(expected: list[dict[str, object]], found: list[dict[str, object]]) -> list[str]:
    """The columns that differ in the first row that differs, and the numbers of rows if these do."""
    lines = [f"{len(found)} rows, need {len(expected)}"] if len(found) != len(expected) else []
    for number, (wanted, row) in enumerate(zip(expected, found, strict=False)):
        if wanted != row:
            named = f"row {number} ({row.get('clip_id')})"
            other = [name for name in row if str(row[name]) != str(wanted[name])][:COLUMNS_TOLD]
            return lines + [f"{named}: {name} {str(row[name])[:200]}, need {str(wanted[name])[:200]}" for name in other]
    return lines or ["equal rows in other bytes"]


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
        self.wait_s = self.random.uniform(*pause_s)
        self.alive = list(range(TASK_MANAGERS))
        self.errors: list[str] = []
        self.seen: dict[str, int | None] = {}
        self.rewritten: set[str] = set()
        self.began_s = time.monotonic()

    def run(self, source: Place, out: Place, logs: Path) -> None:
        """Until a run ends well and all kills are done."""
        beam = f"job.beam={json.dumps(self.cluster.beam_options())}"
        while True:
            log = logs / f"run-{len(self.errors)}.log"
            run = curate(source.uri, out.uri, log, beam)
            while run.poll() is None:
                time.sleep(POLL_S)
                self.wait_s -= POLL_S if self.left and self._is_at_work() else 0.0
                if self.wait_s <= 0:
                    self._kill(out)
                    self.wait_s = self.random.uniform(*self.pause_s)
            self._look(out)
            if run.returncode == 0:
                return
            self.errors.append((log.read_text().strip().splitlines() or [""])[-1])
            self._tell(f"ended with status {run.returncode}: {self.errors[-1]}")

    def _is_at_work(self) -> bool:
        """Whether a task of a job runs: a kill between two jobs shows little."""
        jobs = flink.ask(f"{self.cluster.web_page}/jobs/overview").get("jobs", [])
        return any(job["tasks"]["running"] for job in jobs)

    def _tell(self, what: str) -> None:
        print(f"{time.monotonic() - self.began_s:4.0f} s: {what}", flush=True)

    def _kill(self, out: Place) -> None:
        number = self.alive.pop(self.random.randrange(len(self.alive)))
        self.cluster.kill_task_manager(number)
        self.left -= 1
        time.sleep(1.0)  # its workers are gone: what is kept now, they have not to do again
        self._look(out)
        stages = [stage for stage in CURATION if (out / stage / MANIFEST).is_file()]
        self._tell(f"killed task manager {number}, {len(self.seen)} packs are kept, stages committed: {len(stages)}")
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
    parser.add_argument("--pause-s", type=float, nargs=2, default=(5.0, 40.0), help="of work between two kills, from and to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a new folder for logs and outputs, which stay")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        raise SystemExit(measure(arguments.clips, folder, arguments.kills, arguments.pause_s, arguments.seed))


def measure(clips: Path, folder: Path, number: int, pause_s: tuple[float, float], seed: int) -> bool:
    """Run it and tell; returns whether anything was wrong."""
    with LocalCluster(task_managers=TASK_MANAGERS, folder=folder / "cluster") as cluster:
        expected = Place.of(folder / "local")
        if curate(str(clips), expected.uri, folder / "local.log").wait():
            raise SystemExit((folder / "local.log").read_text())
        os.environ |= cluster.store.environment()
        for bucket in ("raw", "out"):
            cluster.store.filesystem().create_dir(bucket)
        source, out = Place.of(f"s3://raw/{clips.resolve().name}"), Place.of("s3://out/curated")  # its name is in ids
        for clip in clips.iterdir():
            (source / clip.name).put(clip)
        kills = Kills(cluster, number, pause_s, seed)
        kills.run(source, out, folder)
        seconds = time.monotonic() - kills.began_s
        deadline_s = time.monotonic() + END_S
        while (left := of_jobs(cluster)) and time.monotonic() < deadline_s:
            time.sleep(0.5)
        for file in out.files(below=True):
            Place.of(folder / "found" / below(file.uri, out)).put(file.read())
        other = [line for stage in CURATION if stage != "align" for line in differences(stage, expected, out)]
    print(f"{number - kills.left} kills in {seconds:.0f} s; {len(kills.errors)} runs ended with an error and went on")
    print(f"{len(kills.seen)} packs, put again though they were there: {len(kills.rewritten)}")
    print("\n".join(["tables that differ from the local run's:" if other else "tables: as the local run's", *other]))
    print("\n".join([f"processes of jobs that are left: {len(left)}", *left]))
    return bool(other or kills.rewritten or left)


if __name__ == "__main__":
    main()
