"""How much faster than real time `space animate` renders and encodes: ``python -m benchmarks.animate_speed``.

Speech of a minute (the given file over and over; without one, noise in syllables) drives a portrait; what is timed is rendering,
encoding and writing, from tracks in memory to the finished file. Two ways take turns on the same tracks, so that other work on
the machine weighs on both alike: frame by frame in one thread, with the libraries' own threads, and `space_models.rendering`.
Printed are medians, the ratio of each pair, and the process's peak memory after the first and after the last round.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.media.encode import write_video
from space_data.params import load_params
from space_data.progress import setup
from space_data.timebase import AUDIO_HZ, VIDEO_FPS
from space_models.animate import ASSETS, PICTURE_CRF, PICTURE_SUBQ
from space_models.generators import DEFAULT_RENDERER, RENDERERS, Frame, find
from space_models.motion import load_motion_models, make_tracks
from space_models.portrait import load_portrait
from space_models.rendering import default_threads, rendered
from space_models.speech_file import load_speech, speech_features


@dataclass(frozen=True)
class Run:
    """One timed run."""

    seconds: float
    cpu_s: float
    n_frames: int

    @property
    def times_real_time(self) -> float:
        """Seconds of video per second."""
        return self.n_frames / VIDEO_FPS / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor time of all threads per frame."""
        return 1000 * self.cpu_s / self.n_frames


def timed(frames: Iterator[Frame], audio: NDArray[np.float32], out: Path) -> Run:
    """Take, encode and write all `frames`."""
    began, cpu = time.perf_counter(), time.process_time()
    count = write_video(out, frames, crf=PICTURE_CRF, subq=PICTURE_SUBQ, audio=audio)
    return Run(time.perf_counter() - began, time.process_time() - cpu, count)


def peak_mb() -> float:
    """Largest memory of the process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def speech_of(file: Path | None, seconds: float) -> NDArray[np.float32]:
    """16 kHz sound of that length."""
    n = round(seconds * AUDIO_HZ)
    if file is not None:
        return np.resize(load_speech(file).audio, n)
    syllables = np.clip(np.sin(2 * np.pi * 4 * np.arange(n) / AUDIO_HZ), 0, None)
    return (np.random.default_rng(0).normal(0, 0.1, n) * syllables).astype(np.float32)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--image", type=Path, help="portrait (default: scikit-image's astronaut)")
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--renderer", choices=list(RENDERERS), default=DEFAULT_RENDERER)
    parser.add_argument("--models", type=Path, default=ASSETS)
    arguments = parser.parse_args()
    setup(quiet=True)
    params = load_params()
    if arguments.image is None:
        from skimage.data import astronaut

        portrait = load_portrait(astronaut())
    else:
        portrait = load_portrait(arguments.image)
    speech = speech_features(speech_of(arguments.audio, arguments.seconds))
    driving = make_tracks(load_motion_models(ASSETS, params), portrait, speech, params).driving(portrait)
    renderer = find(RENDERERS, arguments.renderer, "renderer").load(arguments.models, params)
    state = renderer.prepare(portrait)
    threads = arguments.threads or default_threads(renderer)
    for _ in islice(renderer.render(state, driving), 3):  # loads what is compiled
        pass
    before, after, peaks = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out.mp4"
        for _ in range(arguments.rounds):
            before.append(timed(renderer.render(state, driving), speech.audio, out))
            after.append(timed(rendered(renderer, state, driving, threads), speech.audio, out))
            peaks.append(peak_mb())
    print(f"{arguments.renderer}, {len(speech)} frames of 512x512, {arguments.rounds} rounds")
    for name, runs in (("one thread, libraries' own", before), (f"{threads} threads", after)):
        speed, cpu = (float(np.median([getattr(run, key) for run in runs])) for key in ("times_real_time", "cpu_ms"))
        print(f"{name:28} {speed:5.2f} x real time {VIDEO_FPS * speed:6.1f} frames/s {cpu:6.1f} CPU ms/frame")
    gains = [b.seconds / a.seconds for b, a in zip(before, after, strict=True)]
    savings = [a.cpu_s / b.cpu_s for b, a in zip(before, after, strict=True)]
    print(f"pairs: x{np.median(gains):.2f} as fast ({min(gains):.2f}-{max(gains):.2f}), x{np.median(savings):.2f} the CPU time")
    print(f"peak memory {peaks[0]:.0f} MB after the first round, {peaks[-1]:.0f} MB after the last")


if __name__ == "__main__":
    main()
