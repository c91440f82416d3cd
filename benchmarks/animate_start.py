"""How long `space animate` takes to its first frame: ``python -m benchmarks.animate_start --image FILE --audio FILE``.

Each round begins a new process, as the shell does, with Python's and numba's caches on a warm disk. Printed are medians, of the
time until the first frame is handed to the encoder and until the process has ended, and the processor time of it and of the
process that it forks. ``--against CHECKOUT``: the two take turns, so that other work on the machine weighs on both alike; then
also the ratio of each pair. ``--help`` commands are timed likewise.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
TOLD = """
import sys, time
from space_data.media.encode import VideoWriter
write = VideoWriter.write
def told(self, *arguments):
    if not self.frames:
        print(time.monotonic(), flush=True)
    write(self, *arguments)
VideoWriter.write = told
from pipelines.cli import main
main()
"""
"""`space`, which says when it has its first frame."""


@dataclass(frozen=True)
class Run:
    """One timed process, seconds; `first_s` is NaN where there is no frame."""

    first_s: float
    whole_s: float
    cpu_s: float


def timed(checkout: Path, *arguments: str) -> Run:
    """Run `space` of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", TOLD, *arguments], cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    said = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    ended = time.monotonic()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{checkout}: space {' '.join(arguments)}: status {process.returncode}")
    first = float(said.split()[0]) - began if arguments[-1] != "--help" else float("nan")
    return Run(first, ended - began, usage.ru_utime + usage.ru_stime)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, help="another checkout")
    arguments = parser.parse_args()
    checkouts = [ROOT] if arguments.against is None else [arguments.against.resolve(), ROOT]
    with tempfile.TemporaryDirectory() as scratch:
        inputs = ("--image", str(arguments.image.resolve()), "--audio", str(arguments.audio.resolve()))
        commands = {
            "animate": ("animate", *inputs, "--out", f"{scratch}/a.mp4", "-q"),
            "animate --help": ("animate", "--help"),
            "--help": ("--help",),
        }
        for name, command in commands.items():
            for checkout in checkouts:
                timed(checkout, *command)  # fills the caches
            rounds = [[timed(checkout, *command) for checkout in checkouts] for _ in range(arguments.rounds)]
            print(f"{name}, {arguments.rounds} rounds, load {os.getloadavg()[0]:.1f}")
            values = np.array([[(run.first_s, run.whole_s, run.cpu_s) for run in each] for each in rounds])
            for checkout, (first_s, whole_s, cpu_s) in zip(checkouts, np.median(values, axis=0), strict=True):
                first = "" if np.isnan(first_s) else f"first frame {first_s:5.2f} s   "
                print(f"  {checkout.name:12} {first}end {whole_s:5.2f} s   CPU {cpu_s:5.2f} s")
            if len(checkouts) == 2:
                first_s, whole_s, cpu_s = np.median(values[:, 1] / values[:, 0], axis=0)
                first = "" if np.isnan(first_s) else f"first frame x{first_s:.2f}    "
                print(f"  pairs        {first}end x{whole_s:.2f}    CPU x{cpu_s:.2f}")


if __name__ == "__main__":
    main()
