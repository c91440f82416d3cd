"""What raw clips -> training features cost against what they cannot do without: ``python -m benchmarks.curate CLIP...``.

Scales clips to VoxCeleb2's 224x224 (those that are so large are copied), lays out so many copies of each under names of their
own, and runs ``space data curate`` on a few and on many of them, start-up of all stages and worker processes, ledger and audit
page in; and, in between, a bare loop of decoding and FaceMesh on the same files. Printed are CPU seconds of all processes, so
that other work on the machine weighs less; the two runs give the cost of starting and that of a clip apart. Both use the
shipped scorer of ``sync``: fitting one on the set is done once, on at most ``sync.fit_at_most_s`` of it, so it is no cost per
clip, but it would look like one between a few clips and less than that. Clips of which nothing is kept are named and end the
run: the goal is on kept ones.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import bare_loop, cpu_seconds
from pipelines.job.worker import ONE_THREAD
from pipelines.layout import Layout
from space_data.media.encode import write_video
from space_data.media.probe import probe
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.schema import Clip, FeatureClip
from space_data.tables import read_table
from space_data.timebase import VIDEO_FPS, nearest_frames

SIZE_PX, GOAL = 224, 1.25
DATASET = "vox2"
"""Name of the folder: ``filter.overrides`` has bounds of its own for it."""


@dataclass(frozen=True)
class Run:
    """A run of ``space data curate``: clips, CPU seconds, files of which a segment has features."""

    clips: int
    cpu_s: float
    kept: tuple[Path, ...]
    segments: int


def small_clip(path: Path, out: Path) -> None:
    """``path`` as VoxCeleb2 would hold it: its middle square at 224x224 and 25 frames per second."""
    info = probe(path)
    if (info.width, info.height) == (SIZE_PX, SIZE_PX):
        shutil.copyfile(path, out)
        return
    frames = list(decode_video(path))
    n_frames = int((frames[-1].pts_s - frames[0].pts_s) * VIDEO_FPS)
    shown = nearest_frames(np.array([frame.pts_s for frame in frames]), frames[0].pts_s, n_frames)
    write_video(out, (small(frames[i].rgb) for i in shown), crf=23, audio=decode_audio(path))


def small(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle square of a picture, at 224x224."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    y0, x0 = (height - side) // 2, (width - side) // 2
    square = rgb[y0 : y0 + side, x0 : x0 + side]
    return np.asarray(cv2.resize(square, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def lay_out(clips: Sequence[Path], copies: int, root: Path) -> Path:
    """A folder like the corpus: every clip so many times."""
    for copy in range(copies):
        folder = root / DATASET / f"id{copy:05d}"
        folder.mkdir(parents=True)
        for clip in clips:
            shutil.copyfile(clip, folder / clip.name)
    return root / DATASET


def with_shipped_scorer(params: str) -> str:
    """The text of ``params.yaml`` with more speech wanted than there is for ``sync`` to fit a scorer of its own."""
    return re.sub(r"(?m)^  fit_speech_s: \d+", "  fit_speech_s: 1000000000", params)


def curate(source: Path, out: Path, params: Path, workers: int) -> Run:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "pipelines.cli", "data", "curate", str(source), "--out", str(out), "--quiet"]
    process = subprocess.Popen([*command, "--workers", str(workers), "--params", str(params)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"error: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    layout = Layout.in_folder(out)
    clips = read_table(layout.clips, Clip)
    segments = [row.clip_id.split("#")[0] for row in read_table(layout.feature_clips, FeatureClip)]
    kept = tuple(source / clip.path for clip in clips if clip.clip_id in set(segments))
    return Run(len(clips), usage.ru_utime + usage.ru_stime, kept, len(segments))


def main() -> None:
    """Run all, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--copies", type=int, nargs=2, default=(1, 6), metavar=("FEW", "MANY"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="of the bare loop, before and after each run (default: 2)")
    arguments = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):  # as in the stages' worker processes
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.curate", *sys.argv[1:]], os.environ | ONE_THREAD)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "small").mkdir()
        clips = []
        for path in arguments.clips:
            clips.append(root / "small" / path.name)
            small_clip(path, clips[-1])
            bare_loop(clips[-1])  # imports, caches
        params = root / "params.yaml"
        params.write_text(with_shipped_scorer(Path("params.yaml").read_text()))
        bare_s: dict[str, list[float]] = {clip.name: [] for clip in clips}

        def bare() -> None:
            for _ in range(arguments.rounds):
                for clip in clips:
                    bare_s[clip.name].append(cpu_seconds(lambda clip=clip: bare_loop(clip)))  # type: ignore[misc]

        bare()
        runs = []
        for copies in arguments.copies:
            source = lay_out(clips, copies, root / f"in-{copies}")
            runs.append(curate(source, root / f"out-{copies}", params, arguments.workers))
            bare()
            dropped = {clip.name for clip in clips} - {path.name for path in runs[-1].kept}
            if dropped:
                sys.exit(f"error: nothing is kept of {', '.join(sorted(dropped))}")
        frames = {clip.name: sum(1 for _ in decode_video(clip)) for clip in clips}
    typical_s = {name: float(np.median(times)) for name, times in bare_s.items()}
    for run in runs:
        bare_sum_s, n_frames = (sum(per_clip[path.name] for path in run.kept) for per_clip in (typical_s, frames))
        kept = f"{run.clips} clips ({run.segments} segments, {n_frames} frames)"
        bare_line = f"bare loop {bare_sum_s:.1f} s ({n_frames / bare_sum_s:.0f} frames per CPU s)"
        print(f"{kept}: {run.cpu_s:.1f} CPU s; {bare_line}: {run.cpu_s / bare_sum_s:.2f} x")
    few, many = runs
    clip_s = (many.cpu_s - few.cpu_s) / (many.clips - few.clips)
    start_s = few.cpu_s - few.clips * clip_s
    bare_clip_s = sum(typical_s[path.name] for path in many.kept) / many.clips
    share = clip_s / bare_clip_s
    print(f"start-up {start_s:.1f} CPU s, then {clip_s:.2f} per clip against {bare_clip_s:.2f} of the bare loop: {share:.2f} x")
    if share < GOAL:
        print(f"{GOAL} x is reached from {start_s / (GOAL * bare_clip_s - clip_s):.0f} such clips on")
    sys.exit(0 if share <= GOAL else 1)


if __name__ == "__main__":
    main()
