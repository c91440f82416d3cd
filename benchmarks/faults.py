"""The fault drill: ``python -m benchmarks.faults DIR [--kills 20] [--only FAULT]``.

Curates a folder of clips undisturbed, then disturbed by every fault, with ``space data curate``: what status does it end with
(0 only if everything is there), is a clip blamed, and does the next run end with the bytes of the undisturbed one? The full disks
need root, for a small file system of their own (a tmpfs), and are left out for others. Needs Linux.
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
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.cluster.keeper import children_of
from space_data.manifest import MANIFEST, read_manifest
from space_data.schema import KEPT
from space_data.store import Place

Content = dict[str, str]
"""SHA-256 of the files of a run, by path."""
PACKS, SHARDS = ".cache/*/*/*.pack", "[!.]*/**/*.parquet"
AGAIN = "tried again in"
"""What a run says when the environment stops it for the first time."""
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


def processes_of(session: int) -> dict[int, str]:
    """Living processes of the session that a process began, with their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state not in "ZX":
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
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
    whole_s: float = 0.0
    """duration of an undisturbed run"""

    def start(self, *changes: str) -> "subprocess.Popen[str]":
        """``space data curate``."""
        settings = ("job.workers=2", "job.keep_every_s=0", *changes)
        words = [word for setting in settings for word in ("--set", setting)]
        return self.begin("curate", str(self.raw), "--out", str(self.out), "--quiet", *words)

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """``space data`` in a session of its own."""
        command = [sys.executable, "-m", "pipelines.cli", "data", *arguments]
        return subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )  # fmt: skip

    def finish(self) -> int:
        """An undisturbed run to the end; its status."""
        return ended(self.start())[0]

    def is_at(self, stage: str) -> bool:
        """Whether workers are at a stage (``*``: at any)."""
        return any(self.out.glob(f".cache/{stage}/scratch/*/*"))

    def wait_for(self, run: "subprocess.Popen[str]", stage: str) -> None:
        """Wait until workers are at a stage, or the run has ended."""
        while run.poll() is None and not self.is_at(stage):
            time.sleep(0.05)

    def after_a_run(self) -> None:
        """Begin with the output of an undisturbed run."""
        shutil.copytree(self.whole, self.out)


def told(run: "subprocess.Popen[str]", words: str) -> None:
    """Wait until the run says ``words``, or has ended."""
    assert run.stderr is not None
    while words not in (run.stderr.readline() or words):
        pass


def ended(run: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its status and what it said, with what was wrong: a traceback, or processes that outlive it."""
    error = run.communicate()[1]
    time.sleep(ENDS_WITHIN_S)
    orphans = processes_of(run.pid)
    wrong = "Traceback! " if "Traceback" in error else ""
    return run.returncode, wrong + (f"{len(orphans)} ORPHANS! " if orphans else "") + " ".join(error.split())[-160:]


def stopped(drill: Drill, number: int) -> tuple[int, str]:
    """A run that gets a signal while it measures."""
    run = drill.start()
    drill.wait_for(run, "measure")
    run.send_signal(number)
    return ended(run)


def killed(drill: Drill) -> tuple[int, str]:
    """``kill -9`` at random moments, of runs that go on where the one before was killed, and begin anew once one is through."""
    wrong, committed, through, status = [], Counter[int](), 0, -signal.SIGKILL
    while committed.total() < drill.kills:
        if status == 0:
            shutil.rmtree(drill.out)
        run = drill.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(drill.random.uniform(1.0, drill.whole_s / 2))
        run.send_signal(signal.SIGKILL)
        status, said = ended(run)
        wrong += [said] if "!" in said else []
        wrong += half_done(drill.out)
        wrong += [f"blamed: {one[1]}" for one in blamed(drill.out) - blamed(drill.whole)]
        if status:
            committed[len(stages_of(drill.out))] += 1
        else:
            through += 1
            wrong += [] if content_of(drill.out) == content_of(drill.whole) else ["other bytes"]
    moments = ", ".join(f"{times} with {stages}" for stages, times in sorted(committed.items()))
    found = f"WRONG! {'; '.join(wrong)}" if wrong else "no orphans, no half tables"
    return status, f"{drill.kills} kills ({moments} stages committed), {through} runs through; {found}"


def raw_away(drill: Drill, comes_back: bool) -> tuple[int, str]:
    """The raw folder is renamed in the middle of measure; and back once the run has met that, or when it has ended."""
    run, elsewhere = drill.start(), drill.raw.with_name("elsewhere")
    drill.wait_for(run, "measure")
    drill.raw.rename(elsewhere)
    told(run, AGAIN) if comes_back else run.wait()
    elsewhere.rename(drill.raw)
    return ended(run)


def disk_full(drill: Drill, is_freed: bool) -> tuple[int, str]:
    """The output folder lies on a disk that is full from measure on; it is freed once the run has met that, or stays full."""
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
    told(run, AGAIN) if is_freed else run.wait()
    filler.unlink()
    return ended(run)


def workers_killed(drill: Drill) -> tuple[int, str]:
    """Every worker process is killed as soon as it is at work, as by a kernel that is out of memory."""
    run = drill.start("job.patience_s=5")
    while run.poll() is None:
        kill_all(process for server in forkservers(run) for process in children_of(server) if drill.is_at("*"))
        time.sleep(0.1)
    return ended(run)


def forkserver_killed(drill: Drill) -> tuple[int, str]:
    """The process that workers are forked from is killed, and they with it, once they measure."""
    run = drill.start()
    drill.wait_for(run, "measure")
    kill_all(forkservers(run))
    return ended(run)


def forkservers(run: "subprocess.Popen[str]") -> list[int]:
    """The run's process that forks workers, once it is there."""
    return [process for process in children_of(run.pid) if "pipelines.job.forkserver" in processes_of(run.pid).get(process, "")]


def kill_all(processes: Iterable[int]) -> None:
    """SIGKILL."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def damaged(drill: Drill, pattern: str, damage: Callable[[Path], object], lost: str = "") -> tuple[int, str]:
    """Files of a run that is done are damaged, and those of ``lost`` deleted; the status is that of the next run."""
    drill.after_a_run()
    for file in list(drill.out.glob(lost)) if lost else []:
        file.unlink()
    for file in list(drill.out.glob(pattern)):
        damage(file)
    return ended(drill.start())


def decayed(drill: Drill, is_used: bool) -> tuple[int, str]:
    """One bit of a table changes without a trace; the status is that of a run that needs it, or of ``space data verify``."""
    drill.after_a_run()
    shard = max(drill.out.glob("measure/frames/*.parquet"), key=lambda file: file.stat().st_size)
    written = shard.stat()
    flip(shard)
    os.utime(shard, ns=(written.st_atime_ns, written.st_mtime_ns))
    if not is_used:
        return ended(drill.begin("verify", str(drill.out), "--quiet"))
    for pack in drill.out.glob(".cache/segment/*/*.pack"):
        pack.unlink()
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
    status, said = ended(drill.start())
    unharmed = first.wait() == 0 and content_of(drill.out) == content_of(drill.whole)
    return status, ("" if unharmed else "the first was HARMED! ") + said


def out_of_memory(drill: Drill) -> tuple[int, str]:
    """Workers may hold less than they need."""
    return ended(drill.start("job.memory_gb=0.3", "job.patience_s=2"))


def no_workers(drill: Drill) -> tuple[int, str]:
    """Workers may not even hold their modules."""
    return ended(drill.start("job.memory_gb=0.05"))


FAULTS: dict[str, Callable[[Drill], tuple[int, str]]] = {
    "raw away, back": lambda drill: raw_away(drill, comes_back=True),
    "raw away": lambda drill: raw_away(drill, comes_back=False),
    "disk full, freed": lambda drill: disk_full(drill, is_freed=True),
    "disk full": lambda drill: disk_full(drill, is_freed=False),
    "packs truncated": lambda drill: damaged(drill, PACKS, truncate, lost=SHARDS),
    "packs flipped": lambda drill: damaged(drill, PACKS, flip, lost=SHARDS),
    "shards deleted": lambda drill: damaged(drill, SHARDS, Path.unlink),
    "shards truncated": lambda drill: damaged(drill, SHARDS, truncate),
    "shards flipped": lambda drill: damaged(drill, SHARDS, flip),
    "decay, used": lambda drill: decayed(drill, is_used=True),
    "decay, verified": lambda drill: decayed(drill, is_used=False),
    "manifests deleted": lambda drill: damaged(drill, "*/manifest.json", Path.unlink),
    "a month ahead": lambda drill: damaged(drill, PACKS, month_old),
    "two runs": two_runs,
    "out of memory": out_of_memory,
    "workers killed": workers_killed,
    "fork server killed": forkserver_killed,
    "workers cannot start": no_workers,
    "SIGTERM": lambda drill: stopped(drill, signal.SIGTERM),
    "Ctrl-C": lambda drill: stopped(drill, signal.SIGINT),
    "kill -9": killed,
}


DAMAGE_STAYS = ("decay, used", "decay, verified")
"""Until the next run, which is to mend it."""


def main() -> None:
    """Run the faults, print a row for each; status 1 if one was untrue, a clip was blamed or a run ended with other bytes."""
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
        began_s = time.monotonic()
        if drill.finish():
            sys.exit("error: the undisturbed run failed")
        drill.whole_s = time.monotonic() - began_s
        drill.out = root / "out"
        whole, bad = content_of(drill.whole), blamed(drill.whole)
        print(f"undisturbed: {drill.whole_s:.0f} s, {len(whole)} files, {len(bad)} clips rejected")
        print(f"{'fault':20} {'status':>6}  {'true':5}  {'blamed':6}  {'equal':5}  said", flush=True)
        for name in arguments.only:
            if name.startswith("disk full") and os.geteuid():
                print(f"{name:20} left out: needs root")
                continue
            status, said = FAULTS[name](drill)
            true = status != 0 or content_of(drill.out) == whole
            extra, half = blamed(drill.out) - bad, half_done(drill.out) if name not in DAMAGE_STAYS else []
            last, equal = drill.finish(), content_of(drill.out) == whole
            wrong = [*half, *left_over(drill.out)] + ([] if last == 0 else [f"the next run ended with {last}"])
            good = good and true and not extra and equal and not wrong and "!" not in said
            print(f"{name:20} {status:6}  {true!s:5}  {len(extra):6}  {equal!s:5}  {said} {wrong or ''}", flush=True)
            if os.path.ismount(drill.out):
                subprocess.run(["umount", str(drill.out)], check=True)
            shutil.rmtree(drill.out)
    sys.exit(not good)


if __name__ == "__main__":
    main()
