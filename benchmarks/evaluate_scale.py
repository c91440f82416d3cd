"""What figures cost, once videos are measured, at any number of clips and systems: ``python -m benchmarks.evaluate_scale``.

Of every system on every clip there are made-up statistics, traces of 125 frames and features of 25 frames; one in 50 has failed.
Then two processes do what stage ``evaluate`` does behind its detectors: ``rows`` merges them by identity into tables, ``sets``
compares frames and writes aggregates and metrics. Told are processor seconds of each with its workers, and peak memory of the
driver and of the largest process; some seconds, and most of the driver's memory, are imports. Features have the stand-in's 69
dimensions, or with ``--dimensions 2048`` Inception's.
"""

import argparse
import logging
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from evaluation.frame_features import INCEPTION_NAMES, INCEPTION_SIZE, DctColour
from evaluation.measured_video import FEATURES
from evaluation.metrics import measures_of
from evaluation.score_clip import OK, REFERENCE
from pipelines.job.run import Result, merge_units
from pipelines.layout import Layout
from pipelines.stages.evaluate import MEASURED_FILE, MERGING, identity_units, video_id, write_figures
from pipelines.stages.evaluate_merge import STATISTICS, SUFFIX, TRACES
from space_data import progress
from space_data.params import load_params
from space_data.schema import FAILED, KEPT, ClipStatistic, SynthesizedClip, TraceFrame
from space_data.tables import write_table

N_FRAMES, FEATURE_FRAMES, SIZE_PX, CLIPS_OF_ONE, FAILS_OF = 125, 25, 256, 3, 50
NAMES = {69: DctColour.name, INCEPTION_SIZE: INCEPTION_NAMES["clean"]}
GB = 1e9


def rows_of(clips: int, systems: int) -> list[SynthesizedClip]:
    """The clips' table: three clips of each person."""
    people = {f"set/{i // CLIPS_OF_ONE:04d}/{i % CLIPS_OF_ONE}": f"{i // CLIPS_OF_ONE:04d}" for i in range(clips)}
    return [
        SynthesizedClip(f"system{s}", c, p, "neutral", 1.0, "", "", "", f"{s}/{c}", N_FRAMES, SIZE_PX, KEPT, "")
        for s in range(systems)
        for c, p in people.items()
    ]


def results_of(videos: list[SynthesizedClip], folder: Path) -> tuple[dict[str, Result], list[Result]]:
    """Both rounds' results: files in a folder each."""
    both = sorted({(name, video.clip_id) for video in videos for name in (video.system, REFERENCE)})
    measured = {video_id(*one): Result(video_id(*one), content="made up", folder=folder / "/".join(one)) for one in both}
    scores = []
    for number, (system, clip_id) in enumerate(both):
        failed = system != REFERENCE and number % FAILS_OF == 1
        where = {"status": FAILED, "reason": "error", "folder": None} if failed else {"folder": folder / system / clip_id}
        scores.append(Result(f"score/{system}/{clip_id}", content="made up", **where))  # type: ignore[arg-type]
    return measured, scores


def make_up(videos: list[SynthesizedClip], folder: Path, dimensions: int) -> None:
    """The files of all results."""
    names = [name for measure in measures_of(()) for name in measure.names]
    subjects = {video.clip_id: video.subject for video in videos}
    for number, one in enumerate(results_of(videos, folder)[0].values()):
        _, system, clip_id = one.unit_id.split("/", 2)
        rng, level = np.random.default_rng(number), 0.0 if system == REFERENCE else 0.1
        values, gaps = rng.uniform(0.1, 1, len(names)), rng.uniform(0, 0.3, N_FRAMES)
        assert one.folder is not None
        statistics = [
            ClipStatistic(system, clip_id, subjects[clip_id], n, v, 1, OK, "") for n, v in zip(names, values, strict=True)
        ]
        write_table(one.folder / f"{STATISTICS}{SUFFIX}", statistics, ClipStatistic)
        seen = [TraceFrame(system, clip_id, i, True, gap, 0.3, 1.0, 2.0, 0.0, 128.0, 170.0, 45.0) for i, gap in enumerate(gaps)]
        write_table(one.folder / f"{TRACES}{SUFFIX}", seen, TraceFrame)
        features = rng.normal(level, 1, (FEATURE_FRAMES, dimensions)).astype(np.float32)
        np.savez(one.folder / MEASURED_FILE, **{FEATURES + NAMES[dimensions]: features})  # type: ignore[arg-type]


def do(part: str, videos: list[SynthesizedClip], root: Path, dimensions: int, workers: int) -> None:
    """One part of a case; prints the peak memory of this process in GB."""
    params, layout = load_params(None, [f"job.workers={workers}"]), Layout.in_folder(root / "run")
    results, scores = results_of(videos, root / "files")
    if part == "files":
        make_up(videos, root / "files", dimensions)
    elif part == "rows":
        merge_units(MERGING, identity_units(videos, results, scores, ()), params, layout)
    else:
        write_figures(videos, results, (), [NAMES[dimensions]], params, layout)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB)


def case(clips: int, systems: int, dimensions: int, workers: int) -> None:
    """Print one line."""
    found = {}
    with tempfile.TemporaryDirectory() as root:
        for part in ("files", "rows", "sets"):
            numbers = [f"--clips={clips}", f"--systems={systems}", f"--dimensions={dimensions}", f"--workers={workers}"]
            command = [sys.executable, "-m", "benchmarks.evaluate_scale", f"--root={root}", f"--do={part}", *numbers]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                driver = child.stdout.read()
                _, status, usage = os.wait4(child.pid, 0)
                child.returncode = status
            if status:
                sys.exit(1)
            found[part] = usage.ru_utime + usage.ru_stime, float(driver), usage.ru_maxrss * 1024 / GB
    told = (f"{part} {found[part][0]:.1f} s, driver {found[part][1]:.2f} GB" for part in ("rows", "sets"))
    print(f"{clips:5d} clips x {systems} systems: {'; '.join(told)}, largest process {found['sets'][2]:.2f} GB", flush=True)


def main() -> None:
    """Every case, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[12, 48, 192])
    parser.add_argument("--systems", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--dimensions", type=int, choices=NAMES, default=69)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--do", choices=("files", "rows", "sets"), help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        progress.setup(quiet=True, level=logging.ERROR)
        logging.disable(logging.WARNING)  # each failure is told
        do(options.do, rows_of(options.clips[0], options.systems[0]), options.root, options.dimensions, options.workers)
        return
    for systems in options.systems:
        for clips in options.clips:
            case(clips, systems, options.dimensions, options.workers)


if __name__ == "__main__":
    main()
