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

from pipelines.layout import Layout


def started(source: Path, out: Path) -> subprocess.Popen[bytes]:
    """``space data curate`` in a process group of its own."""
    command = [sys.executable, "-m", "pipelines.cli", "data", "curate", str(source), "--out", str(out), "--quiet"]
    return subprocess.Popen(command, start_new_session=True)


def results(out: Path) -> set[str]:
    """Keys of the finished units of ``measure``."""
    return {path.parent.name for path in (out / ".cache" / "units" / "measure").glob("*/outcome.json")}


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
        computed = json.loads(Layout.in_folder(killed).timing("measure").read_text())["computed"]
        tables = [path.relative_to(whole) for path in whole.rglob("*.parquet") if ".cache" not in path.parts]
        different = [str(path) for path in tables if (whole / path).read_bytes() != (killed / path).read_bytes()
                     and "aligned" not in path.parts and path.name != "clips.parquet"]  # fmt: skip  # these hold paths
    print(f"unbroken run: {unbroken_s:.1f} s, {total} clips measured")
    print(f"killed after {killed_after_s:.1f} s with {len(done)} of {total} clips measured, then {rest_s:.1f} s to the end")
    print(f"the second run measured {computed} clips: {computed - (total - len(done))} more than were left")
    longer_s = killed_after_s + rest_s - unbroken_s
    print(f"its first new result came after {first_new_s:.1f} s; the two took {longer_s:+.1f} s against one")
    print(f"{len(tables)} tables, different: {', '.join(different) or 'none'}")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
