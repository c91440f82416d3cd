"""The fault drill: ``python -m benchmarks.faults DIR [--kills 20] [--only FAULT]``.

Curates a folder of clips undisturbed, then disturbed by every fault, with ``space data curate``: what status does it end with,
is a clip blamed, and does the next run end with the bytes of the undisturbed one? ``--only "disk full"`` needs root, for a small
file system of its own (a tmpfs), and is left out for others. Needs Linux.
"""

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from space_data.manifest import MANIFEST, read_manifest
from space_data.schema import KEPT
from space_data.store import Place

Content = dict[str, str]
"""SHA-256 of the files of a run, by path."""
ENDS_WITHIN_S = 3.0
"""So long after its driver no process of a run may be alive."""


def stages_of(out: Path) -> list[Path]:
    """Folders of the stages that have committed tables."""
    return sorted(path.parent for path in out.glob(f"*/{MANIFEST}"))


def content_of(out: Path) -> Content:
    """Everything that lies in the stages' folders, half-written files included, and the whole ledger, if there is one."""
    files = [path for stage in stages_of(out) for path in stage.rglob("*") if path.is_file()]
    files += [path for path in [out / "ledger.parquet"] if path.is_file()]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def blamed(out: Path) -> set[tuple[str, str]]:
    """Stage and id of what the committed ledgers call rejected or failed."""
    found = set()
    for folder in stages_of(out):
        manifest = read_manifest(Place.of(folder))
        for shard in manifest.shards("ledger") if manifest else []:
            rows = pq.read_table(folder / shard.file, partitioning=None).to_pylist()
            found |= {(folder.name, row["clip_id"]) for row in rows if row["status"] != KEPT}
    return found


def half_done(out: Path) -> list[str]:
    """What manifests name that is not there, or is not what they say."""
    wrong = []
    for folder in stages_of(out):
        manifest = read_manifest(Place.of(folder))
        for shard in (shard for shards in manifest.tables.values() for shard in shards) if manifest else []:
            file = folder / shard.file
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != shard.sha256:
                wrong.append(str(file))
    return wrong


def left_over(out: Path) -> list[str]:
    """Half-written files, results on their way, and notes of runs: what no ended run may leave after the next one."""
    cache = out / ".cache"
    files = [*out.rglob(".*.part"), *cache.glob("*/scratch/**/*"), *cache.glob("*/runs/**/*")]
    return sorted(str(path) for path in files if path.is_file())


def processes_of(session: int) -> list[str]:
    """Living processes of the session that a process began, by their command lines."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state not in "ZX":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended meanwhile
            continue
    return found


@dataclass
class Drill:
    """Folders of the drill, and what an undisturbed run gave."""

    raw: Path
    out: Path
    whole: Path
    kills: int
    random: random.Random

    def start(self, *changes: str) -> "subprocess.Popen[str]":
        """``space data curate`` in a session of its own."""
        settings = ("job.workers=2", "job.keep_every_s=0", *changes)
        command = [sys.executable, "-m", "pipelines.cli", "data", "curate", str(self.raw), "--out", str(self.out), "--quiet"]
        words = [word for setting in settings for word in ("--set", setting)]
        return subprocess.Popen(command + words, start_new_session=True, stderr=subprocess.PIPE, text=True)

    def finish(self) -> int:
        """An undisturbed run to the end; its status."""
        return ended(self.start())[0]

    def wait_for(self, run: "subprocess.Popen[str]", stage: str) -> None:
        """Wait until workers are at a stage, or the run has ended."""
        while run.poll() is None and not any((self.out / ".cache" / stage / "scratch").glob("*/*")):
            time.sleep(0.05)

    def after_a_run(self) -> None:
        """Begin with the output of an undisturbed run."""
        shutil.copytree(self.whole, self.out)


def ended(run: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its status and what it said, with what was wrong: a traceback, or processes that outlive it."""
    error = run.communicate()[1]
    time.sleep(ENDS_WITHIN_S)
    orphans = processes_of(run.pid)
    told = "Traceback! " if "Traceback" in error else ""
    return run.returncode, told + (f"{len(orphans)} ORPHANS! " if orphans else "") + " ".join(error.split())[-160:]


def stopped(drill: Drill, number: int, at_s: Callable[[], float] | None = None) -> tuple[int, str]:
    """A run that gets a signal while it measures, or at a moment of its own."""
    run = drill.start()
    if at_s is None:
        drill.wait_for(run, "measure")
    else:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(at_s())
    run.send_signal(number)
    return ended(run)


def killed(drill: Drill) -> tuple[int, str]:
    """``kill -9`` at random moments, of runs that go on where the one before was killed, and begin anew once one is through."""
    wrong, began_s, through = [], time.monotonic(), 0
    drill.finish()
    whole_s = time.monotonic() - began_s
    shutil.rmtree(drill.out)
    status = 0
    for _ in range(drill.kills):
        status, told = stopped(drill, signal.SIGKILL, lambda: drill.random.uniform(1.0, whole_s / 2))
        wrong += [told] if "!" in told else []
        wrong += half_done(drill.out)
        if status == 0:
            through += 1
            wrong += [] if content_of(drill.out) == content_of(drill.whole) else ["other bytes"]
            shutil.rmtree(drill.out)
    found = "; ".join(wrong) or "no orphans, no half tables"
    return status, f"{drill.kills} kills, {through} runs were through before theirs; {found}"


def raw_away(drill: Drill, back_after_s: float | None) -> tuple[int, str]:
    """The raw folder is renamed in the middle of measure, and back."""
    run, elsewhere = drill.start(), drill.raw.with_name("elsewhere")
    drill.wait_for(run, "measure")
    drill.raw.rename(elsewhere)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(back_after_s)
    elsewhere.rename(drill.raw)
    return ended(run)


def disk_full(drill: Drill, freed_after_s: float | None) -> tuple[int, str]:
    """The output folder lies on a disk that is full from measure on; it is freed, or stays full until the run stops."""
    drill.out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(drill.out)], check=True)
    (drill.out / ".cache").mkdir()
    filler = drill.out / ".cache" / "filler"
    run = drill.start()
    drill.wait_for(run, "measure")
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"x" * 4096)
            file.flush()
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(freed_after_s)
    filler.unlink()
    return ended(run)


def damaged(drill: Drill, pattern: str, damage: Callable[[Path], object]) -> tuple[int, str]:
    """Files of a run that is done are damaged; the status is that of the next run."""
    drill.after_a_run()
    for file in drill.out.glob(pattern):
        damage(file)
    return ended(drill.start())


def truncate(file: Path) -> None:
    """Cut off its end."""
    file.write_bytes(file.read_bytes()[:-30])


def flip(file: Path) -> None:
    """Change one bit."""
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def month_old(file: Path) -> None:
    """Written more than ``job.cache_days`` ago."""
    os.utime(file, (time.time() - 32 * 86_400,) * 2)


def two_runs(drill: Drill) -> tuple[int, str]:
    """A second run in the output folder of the first; the status is the second's."""
    first = drill.start()
    drill.wait_for(first, "measure")
    status, told = ended(drill.start())
    unharmed = first.wait() == 0 and content_of(drill.out) == content_of(drill.whole)
    return status, ("" if unharmed else "the first was HARMED! ") + told


def out_of_memory(drill: Drill) -> tuple[int, str]:
    """Workers may hold less than they need."""
    return ended(drill.start("job.memory_gb=0.3", "job.patience_s=2"))


FAULTS: dict[str, Callable[[Drill], tuple[int, str]]] = {
    "raw away 5 s": lambda drill: raw_away(drill, 5.0),
    "raw away": lambda drill: raw_away(drill, None),
    "disk full 5 s": lambda drill: disk_full(drill, 5.0),
    "disk full": lambda drill: disk_full(drill, None),
    "packs truncated": lambda drill: damaged(drill, ".cache/*/*/*.pack", truncate),
    "bits flipped": lambda drill: damaged(drill, ".cache/*/*/*.pack", flip),
    "shards deleted": lambda drill: damaged(drill, "measure/*/*.parquet", Path.unlink),
    "shards truncated": lambda drill: damaged(drill, "*/*/*.parquet", truncate),
    "manifests deleted": lambda drill: damaged(drill, "*/manifest.json", Path.unlink),
    "a month ahead": lambda drill: damaged(drill, ".cache/*/*/*.pack", month_old),
    "two runs": two_runs,
    "out of memory": out_of_memory,
    "SIGTERM": lambda drill: stopped(drill, signal.SIGTERM),
    "Ctrl-C": lambda drill: stopped(drill, signal.SIGINT),
    "kill -9": killed,
}


def main() -> None:
    """Run the faults, print a row for each; status 1 if a clip was blamed or a run ended with other bytes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="some clips; a copy of them is curated")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=FAULTS, default=list(FAULTS))
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background would have its runs ignore it
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        shutil.copytree(arguments.folder, root / "raw")
        drill = Drill(root / "raw", root / "whole", root / "whole", arguments.kills, random.Random(arguments.seed))
        if drill.finish():
            sys.exit("error: the undisturbed run failed")
        drill.out = root / "out"
        bad = blamed(drill.whole)
        print(f"{'fault':18} {'status':>6}  {'blamed':6}  {'equal':5}  said", flush=True)
        for name in arguments.only:
            if name.startswith("disk full") and os.geteuid():
                print(f"{name:18} left out: needs root")
                continue
            status, told = FAULTS[name](drill)
            extra, half = blamed(drill.out) - bad, half_done(drill.out)
            last, equal = drill.finish(), content_of(drill.out) == content_of(drill.whole)
            wrong = [*half, *left_over(drill.out)] + ([] if last == 0 else [f"the next run ended with {last}"])
            good = good and not extra and equal and not wrong and "!" not in told
            print(f"{name:18} {status:6}  {len(extra):6}  {equal!s:5}  {told} {wrong or ''}", flush=True)
            if os.path.ismount(drill.out):
                subprocess.run(["umount", str(drill.out)], check=True)
            shutil.rmtree(drill.out)
    sys.exit(not good)


if __name__ == "__main__":
    main()
