"""How fast ``measure`` is against what it cannot do without: ``python -m benchmarks.measure CLIP...``.

Runs, in one process and on the same files, (a) a bare loop that decodes a clip, turns every frame into RGB and hands it to
FaceMesh, and (b) the whole unit of the stage: decoding, mesh, poses, sharpness, light, cuts, thumbnails, counting faces, decoding
the sound, mel bands, voice activity and the tables. Times are CPU seconds of the process, all threads together, the least of
several rounds in which the two take turns, so that other work on the machine weighs on both alike. A clip that the screen would
pass over is measured without it. The last line extrapolates to the 2,442 hours of VoxCeleb2 at 25 frames per second: give it
clips of VoxCeleb2's own size (224x224) for a figure that means something.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
from mediapipe.python.solutions.face_mesh import FaceMesh

from pipelines.job.worker import ONE_THREAD
from pipelines.readers import Source
from pipelines.stages.ingest import clip_row, read_facts, task_of
from pipelines.stages.measure import measure_clip
from space_data.params import load_params
from space_data.schema import Clip, ClipMeasure
from space_data.tables import read_table

VOXCELEB2_H = 2442
VOXCELEB2_FPS = 25
HOUR_S = 3600.0
GOAL = 0.8


@dataclass(frozen=True)
class Timing:
    """One clip: its frames and seconds, and the CPU seconds that each way took."""

    name: str
    frames: int
    video_s: float
    bare_s: float
    measure_s: float


def bare_loop(path: Path) -> int:
    """Decode, convert and mesh every frame of ``path``; the number of frames."""
    frames = 0
    with (
        FaceMesh(max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.5, min_tracking_confidence=0.5) as mesh,
        av.open(str(path)) as container,
    ):
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            mesh.process(frame.to_ndarray(format="rgb24"))
            frames += 1
    return frames


def cpu_seconds(function: Callable[[], object]) -> float:
    """CPU seconds of this process that a call takes, its threads included."""
    began_s = time.process_time()
    function()
    return time.process_time() - began_s


def clip_of(path: Path) -> Clip:
    """The row that ``ingest`` would make of a file."""
    source = Source(clip_id=path.stem, path=str(path), dataset="benchmark", subject=path.stem)
    return clip_row(source, read_facts(task_of(source)), {"train": 1.0, "val": 0.0})


def time_clip(path: Path, rounds: int, folder: Path) -> Timing:
    """Least CPU seconds of both ways over ``rounds`` rounds."""
    settings, clip = load_params(Path("params.yaml")).measure, clip_of(path)
    frames = bare_loop(path)
    measure_clip(clip, settings, folder)
    if read_table(folder / "clips.arrow", ClipMeasure)[0].screened:  # else there would be nothing to time
        settings = settings.model_copy(update={"screen": settings.screen.model_copy(update={"enabled": False})})
    pairs = [
        (cpu_seconds(lambda: bare_loop(path)), cpu_seconds(lambda: measure_clip(clip, settings, folder)))
        for _ in range(rounds)
    ]
    return Timing(path.name, frames, clip.duration_s, min(bare for bare, _ in pairs), min(whole for _, whole in pairs))


def main() -> None:
    """Time all clips and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--rounds", type=int, default=3, help="each way is run so often, in turn (default: 3)")
    arguments = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):  # as in the stage's worker processes
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.measure", *sys.argv[1:]], os.environ | ONE_THREAD)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        measure_clip(clip_of(arguments.clips[0]), load_params(Path("params.yaml")).measure, Path(folder))  # imports, caches
        timings = [time_clip(path, arguments.rounds, Path(folder)) for path in arguments.clips]
    print(f"{'clip':36} {'frames':>6} {'bare, frames/CPU s':>19} {'measure, frames/CPU s':>22} {'share':>6}")
    for t in timings:
        rates = f"{t.frames / t.bare_s:19.1f} {t.frames / t.measure_s:22.1f}"
        print(f"{t.name[:36]:36} {t.frames:6d} {rates} {t.bare_s / t.measure_s:6.1%}")
    bare_s, measure_s = sum(t.bare_s for t in timings), sum(t.measure_s for t in timings)
    video_s = sum(t.video_s for t in timings)
    share = bare_s / measure_s
    speed = f"{video_s / measure_s:.1f} s of video per CPU second"
    print(f"all clips: {share:.1%} of the bare loop's speed (goal {GOAL:.0%}), {speed}")
    per_frame_s = measure_s / sum(t.frames for t in timings)
    core_h = VOXCELEB2_H * VOXCELEB2_FPS * per_frame_s
    print(f"VoxCeleb2, {VOXCELEB2_H:,} h of pictures like these at {VOXCELEB2_FPS} fps: {core_h:,.0f} core-hours")
    sys.exit(0 if share >= GOAL else 1)


if __name__ == "__main__":
    main()
