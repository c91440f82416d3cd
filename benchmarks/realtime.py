"""How much faster than speech the motion models are, on one core, and what one frame costs in a live stream.

    python -m benchmarks.realtime PORTRAIT SPEECH [--models models] [--seconds 60] [--set animate.speech_encoder=log-mel]

``whole``: features, speech encoder, S2L, PoseGen and each generator's L2L over the whole sound; seconds of sound per processor
second, each by itself and all together. ``live``: S2L by one frame of speech at a time (its states are there already), processor
time per frame: mean and 95th percentile.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from space_data.params import load_params
from space_data.timebase import frame_start_s, frames_in, frames_to_samples
from space_models.animate import ASSETS
from space_models.generators.renderers import load_keypoint_renderer
from space_models.motion import load_motion_models, make_tracks
from space_models.portrait import load_portrait
from space_models.s2l import stream
from space_models.speech_file import Speech, load_speech, speech_features

ROUNDS = 5


def cpu_s(work: Callable[[], object]) -> float:
    """Processor seconds of this process, the least of a few rounds."""
    work()
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("portrait", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--models", type=Path, default=ASSETS)
    parser.add_argument("--seconds", type=float, default=60.0, help="of speech; a shorter file is repeated")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of params.yaml")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    params = load_params(None, arguments.set)
    models, portrait = load_motion_models(arguments.models, params), load_portrait(arguments.portrait)
    audio = np.resize(load_speech(arguments.speech).audio, frames_to_samples(frames_in(arguments.seconds)))
    speech: Speech = speech_features(audio)
    states = models.encoder.encode(speech.audio)
    parts: dict[str, Callable[[], object]] = {
        "log-mel": lambda: speech_features(audio),
        f"speech encoder: {models.encoder.spec.name}": lambda: models.encoder.encode(speech.audio),
        "S2L": lambda: stream.predict(models.s2l, states, portrait.normalised),
        "S2L + PoseGen + blinks and gaze, as `animate`": lambda: make_tracks(models, portrait, speech, params),
    }
    driving = make_tracks(models, portrait, speech, params).driving(portrait)
    for folder in sorted((arguments.models / "l2l").glob("*/")):
        renderer = load_keypoint_renderer(folder.name, arguments.models, params)
        state = renderer.prepare(portrait)
        parts[f"L2L of {folder.name}"] = lambda renderer=renderer, state=state: renderer.latents(state, driving)  # type: ignore[misc]
    length_s, table = frame_start_s(len(speech)), Table("whole", "x real time", "ms per frame")
    seconds = {name: cpu_s(work) for name, work in parts.items()}
    together = [name for name in seconds if name.startswith(("log-mel", "S2L +", "L2L"))]
    for name, took in (*seconds.items(), (" + ".join(["log-mel", *together[1:]]), sum(seconds[name] for name in together))):
        table.add_row(name, f"{length_s / took:.0f}", f"{1e3 * took / len(speech):.2f}")
    Console(width=140).print(table)

    live, costs = stream.start(models.s2l, portrait.normalised), []
    for frame in states:
        began = time.process_time()
        live, _ = stream.step(models.s2l, live, frame[None])
        costs.append(time.process_time() - began)
    print(f"live: S2L {1e3 * np.mean(costs):.2f} ms per frame, 95th percentile {1e3 * np.percentile(costs, 95):.2f} ms")


if __name__ == "__main__":
    main()
