"""What ``kill -9`` costs: ``python -m benchmarks.resume DIR``.

Curates a folder once unbroken, then again into another folder, killed without warning in the middle of ``measure`` and restarted.
Prints how many units the second run repeated, the time from its start until its first new result, and whether the tables are the
same bytes as the unbroken run's.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipelines.job.packs import kept_in
from pipelines.layout import Layout
from space_data.files import sha256_of
from space_data.store import Place


def started(source: Path, out: Path) -> subprocess.Popen[bytes]:
    """``space data curate`` in a process group of its own."""
    command = [sys.executable, "-m", "pipelines.cli", "data", "curate", str(source), "--out", str(out), "--quiet"]
    return subprocess.Popen(command, start_new_session=True)


def results(out: Path) -> set[str]:
    """Keys of the units of ``measure`` whose results are kept."""
    return {key for shard in (out / ".cache" / "measure").glob("*-of-*") for key in kept_in(Place.of(shard))}


def tables(out: Path) -> dict[str, str]:
    """Hash of every table's every file, by its path; without those of ``align``, which hold paths that begin with ``out``."""
    files = {path.relative_to(out): path for path in out.rglob("*.parquet")}
    return {str(name): sha256_of(path) for name, path in files.items() if name.parts[0] not in (".cache", "align")}


def main() -> None:
    """Run, kill, run again, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        whole, killed = Path(temporary) / "whole", Path(temporary) / "killed"
        began_s = time.perf_counter()
        if started(arguments.folder, whole).wait():
            sys.exit("error: the unbroken run failed")
        unbroken_s = time.perf_counter() - began_s
        total = len(results(whole))

        run = started(arguments.folder, killed)
        began_s = time.perf_counter()
        while len(results(killed)) < total // 2:
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        killed_after_s, done = time.perf_counter() - began_s, results(killed)

        began_s = time.perf_counter()
        run = started(arguments.folder, killed)
        while not results(killed) - done and run.poll() is None:
            time.sleep(0.05)
        first_new_s = time.perf_counter() - began_s
        if run.wait():
            sys.exit("error: the second run failed")
        rest_s = time.perf_counter() - began_s
        computed = json.loads(Layout.in_folder(killed).timing("measure").read())["computed"]
        one, other = tables(whole), tables(killed)
        different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    print(f"unbroken run: {unbroken_s:.1f} s, {total} clips measured")
    print(f"killed after {killed_after_s:.1f} s with {len(done)} of {total} clips measured, then {rest_s:.1f} s to the end")
    print(f"the second run measured {computed} clips: {computed - (total - len(done))} more than were left")
    longer_s = killed_after_s + rest_s - unbroken_s
    print(f"its first new result came after {first_new_s:.1f} s; the two took {longer_s:+.1f} s against one")
    print(f"{len(one)} files of tables, different: {', '.join(different) or 'none'}")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
