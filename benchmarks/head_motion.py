"""Head motion of PoseGen beside that of the corpus' own process and of real people: autocorrelation, spread, speed, drift.

    python -m benchmarks.head_motion [../shared/media] [--model models/posegen] [--picture docs/img/head_motion.png]

Six people of the corpus speak for ten minutes each (sentences joined, of espeak-ng); their process moves a head to that, and
PoseGen to the sound alone. Clips of real people are too short for long lags, so all three are compared again on pieces as long as
those clips, each about its own mean. Ten minutes are also cut into pieces of 100 s, to see drift.
"""

import argparse
import csv
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from space_data.facemesh import track_faces
from space_data.features import track_of_meshes
from space_data.landmarks import PoseTrack
from space_data.media.video import decode_video
from space_data.progress import track
from space_data.speech import log_mel, mean_normalise
from space_data.synthetic.espeak import Phoneme, Voice, speak
from space_data.synthetic.motion import draw_motion
from space_data.synthetic.performance import Person, people
from space_data.synthetic.rhythm import rhythm_of
from space_data.synthetic.sentences import SENTENCES
from space_data.synthetic.visemes import mouth_track
from space_data.timebase import (
    fit_samples,
    frames_in,
    frames_to_samples,
    frames_to_seconds,
    nearest_frames,
    samples_to_seconds,
    seconds_to_samples,
)
from space_models.animate import ASSETS
from space_models.dataset import by_frame
from space_models.posegen.figures import UNBOUNDED, autocorrelation
from space_models.posegen.model import PoseGen, load_posegen
from space_models.posegen.pose import FRAMES_PER_KEY, N_ANGLES, relative_pose, to_keys
from space_models.posegen.stream import generate

Array = NDArray[np.float64]

PEOPLE, LENGTH_S, PIECE_S, SHOWN_S = 6, 600.0, 100.0, 60.0
PAUSE_S = (0.2, 0.9)
LAGS_S = (1.0, 2.5, 5.0)
CURVE_S = 8.0
SEED = 7
LARGEST_YAW_DEG = 35.0


def long_speech(person: Person, rng: np.random.Generator) -> tuple[tuple[Phoneme, ...], NDArray[np.float32]]:
    """Ten minutes of the person's sentences: phonemes in time, and 16 kHz sound (samples,)."""
    n_frames = frames_in(LENGTH_S)
    audio, phonemes, now_s = np.zeros(frames_to_samples(n_frames), np.float32), [], PAUSE_S[0]
    while now_s < LENGTH_S:
        voice = Voice(person.language, person.variant, person.rate_wpm, person.pitch)
        said = speak(str(rng.choice(SENTENCES[person.language])), voice)
        phonemes += [replace(p, start_s=p.start_s + now_s, end_s=p.end_s + now_s) for p in said.phonemes]
        at = seconds_to_samples(now_s)
        audio[at : at + len(said.audio)] = said.audio[: max(0, len(audio) - at)]
        now_s += samples_to_seconds(len(said.audio)) + float(rng.uniform(*PAUSE_S))
    return tuple(phonemes), audio


def process_and_generated(model: PoseGen) -> tuple[list[Array], list[Array], float]:
    """Angles (T, 3) of the corpus' process and of ``model``, per person; how many times real time the model ran at."""
    process, generated, seconds = [], [], 0.0
    for number, person in enumerate(track(people(SEED, PEOPLE, "f"), "people")):
        rng = np.random.default_rng([SEED, number])
        phonemes, audio = long_speech(person, rng)
        n_frames = frames_in(LENGTH_S)
        motion = draw_motion(rng, mouth_track(phonemes, n_frames).speaking, rhythm_of(phonemes))
        process.append(np.stack([motion.yaw_deg, motion.pitch_deg, motion.roll_deg], 1))
        sound = by_frame(mean_normalise(log_mel(fit_samples(audio, n_frames))))
        began = time.process_time()
        offsets = generate(model, sound, np.random.default_rng([SEED, number, 1]), UNBOUNDED)
        seconds += time.process_time() - began
        generated.append(offsets[:, :N_ANGLES].astype(np.float64))
    return process, generated, PEOPLE * LENGTH_S / seconds


def pose_track(path: Path) -> PoseTrack:
    """The face's pose at 25 fps."""
    frames = [(frame.pts_s, frame.rgb) for frame in decode_video(path)]
    times_s, meshes = np.array([time_s for time_s, _ in frames]), track_faces(rgb for _, rgb in frames)
    return track_of_meshes(meshes[nearest_frames(times_s, 0.0, frames_in(float(times_s[-1])) + 1)]).pose


def real_heads(folder: Path) -> list[Array]:
    """Angles (T, 3) of the folder's clips of one person who speaks, each about its mean."""
    with (folder / "MANIFEST.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["kind"] == "video" and r["has_speech"].startswith("yes")]
    names = [r["file"] for r in rows if r["n_faces"] == "1" and "generated" not in r["verdict"]]
    poses = [pose_track(folder / name) for name in track(names, "clips")]
    return [relative_pose(pose)[:, :N_ANGLES] for pose in poses if abs(float(np.median(pose.yaw_deg))) <= LARGEST_YAW_DEG]


def correlations(tracks: Sequence[Array], lag_s: float) -> Array:
    """Mean autocorrelation per angle (3,), of tracks longer than twice the lag."""
    lag = frames_in(lag_s)
    values = [[autocorrelation(t[:, c], lag) for c in range(N_ANGLES)] for t in tracks if len(t) > 2 * lag]
    return np.mean(values, 0) if values else np.full(N_ANGLES, np.nan)


def pieces_like(tracks: Sequence[Array], lengths: Sequence[int]) -> list[Array]:
    """Each track cut into pieces as long as the real clips, in turn."""
    cut = []
    for one in tracks:
        begin = 0
        for length in np.resize(lengths, len(one) // min(lengths)):
            if begin + length <= len(one):
                cut.append(one[begin : begin + length])
            begin += length
    return cut


def spread_and_speed(tracks: Sequence[Array]) -> tuple[Array, Array]:
    """S.d. (3,) degrees about the tracks' own means, and speed (3,) degrees per second at key poses."""
    keys = [to_keys(t) for t in tracks]
    key_s = frames_to_seconds(FRAMES_PER_KEY)
    return np.mean([t.std(0) for t in tracks], 0), np.mean([np.abs(np.diff(k, axis=0)).mean(0) for k in keys], 0) / key_s


def row(table: Table, name: str, tracks: Sequence[Array]) -> None:
    """Add a line: autocorrelation of yaw, and of all three, at each lag; spread and speed."""
    by_lag = [correlations(tracks, lag_s) for lag_s in LAGS_S]
    spread, speed = spread_and_speed(tracks)
    triple = (" ".join(f"{v:.1f}" for v in values) for values in (spread, speed))
    table.add_row(name, " ".join(f"{v[0]:+.2f}" for v in by_lag), " ".join(f"{v.mean():+.2f}" for v in by_lag), *triple)


def drift(tracks: Sequence[Array]) -> str:
    """Range over the 100 s pieces: s.d. of yaw in each, averaged over people; the largest departure of a piece's mean."""
    pieces = [t[: frames_in(PIECE_S) * int(LENGTH_S / PIECE_S), 0].reshape(-1, frames_in(PIECE_S)) for t in tracks]
    spread = np.mean([p.std(1) for p in pieces], 0)
    means = np.mean([np.abs(p.mean(1)) for p in pieces], 0)
    return f"s.d. of yaw {spread.min():.1f}-{spread.max():.1f} deg; |mean| first {means[0]:.1f}, last {means[-1]:.1f} deg"


def draw(path: Path, kinds: dict[str, Sequence[Array]], generated: Sequence[Array]) -> None:
    """The picture: autocorrelation of yaw by lag, and a minute of generated yaw for three seeds."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), width_ratios=(2, 3))
    for number, (name, tracks) in enumerate(kinds.items()):
        longest = min(CURVE_S, frames_to_seconds(float(np.median([len(t) for t in tracks]))) / 2)
        lags_s = np.arange(0.2, longest, 0.2)
        curve = [1.0, *(float(correlations(tracks, lag_s)[0]) for lag_s in lags_s)]
        left.plot([0.0, *lags_s], curve, color=f"C{number}", linestyle="-" if number < 2 else ":", label=name)
    left.axhline(0, color="grey", linewidth=0.5)
    left.set(xlabel="lag, s", ylabel="autocorrelation of yaw")
    left.legend(fontsize=8)
    shown = frames_in(SHOWN_S)
    for number, one in enumerate(generated[:3]):
        right.plot(np.arange(shown) / shown * SHOWN_S, one[:shown, 0], linewidth=1, label=f"seed {number + 1}")
    right.set(xlabel="s", ylabel="generated yaw, degrees")
    right.legend(fontsize=8, loc="upper right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the table; draw the picture on request."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("media", type=Path, nargs="?", help="folder of real clips with MANIFEST.csv")
    parser.add_argument("--model", type=Path, default=ASSETS / "posegen")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    process, generated, times_real = process_and_generated(load_posegen(arguments.model))
    table = Table("motion", f"acf yaw at {', '.join(f'{lag:g}' for lag in LAGS_S)} s", "acf mean", "s.d. deg", "speed deg/s")
    kinds: dict[str, Sequence[Array]] = {"corpus' process": process, "PoseGen": generated}
    for name in tuple(kinds):
        row(table, name, kinds[name])
    if arguments.media is not None:
        real = real_heads(arguments.media)
        lengths = [len(t) for t in real]
        kinds |= {f"real people ({len(real)} clips)": real, "process, pieces as long": pieces_like(process, lengths)}
        kinds |= {"PoseGen, pieces as long": pieces_like(generated, lengths)}
        for name in tuple(kinds)[2:]:
            row(table, name, kinds[name])
    console = Console(width=140)
    console.print(table)
    for name in ("corpus' process", "PoseGen"):
        console.print(f"{name}, ten minutes in pieces of {PIECE_S:g} s: {drift(kinds[name])}")
    console.print(f"PoseGen alone: {times_real:,.0f} times real time on one core")
    if arguments.picture is not None:
        draw(arguments.picture, kinds, generated)


if __name__ == "__main__":
    main()
