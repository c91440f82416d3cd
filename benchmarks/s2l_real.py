"""How well S2L's lips follow real people it has never seen: predicted against measured lip gap and width, per clip and median.

    python -m benchmarks.s2l_real ../shared/media [--model models/s2l]

Clips come from ``MANIFEST.csv`` of the folder: videos of one face that speaks, |median yaw| up to 35 degrees. Sound and picture
of public clips are often some frames apart: each clip's offset is found by the shipped audio-visual scorer within +-8 frames, not
by the model, and taken out for every row alike. Rows: S2L; a jaw that follows loudness; S2L fed with another clip's sound.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from space_data import landmarks as lm
from space_data.avsync import LAGS, Scorer, lip_points, mel_frames
from space_data.facemesh import track_faces
from space_data.features import FaceTrack, track_of_meshes
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.progress import track
from space_data.speech import log_mel, loudness_db
from space_data.timebase import features_to_frames, fit_samples, frames_in, nearest_frames, samples_to_frames
from space_models.animate import ASSETS, speech_features
from space_models.retarget import neutral_of
from space_models.s2l import S2L, correlation, load_s2l, relaxed

LARGEST_YAW_DEG = 35.0
LARGEST_OFFSET_FRAMES = 8
NO_EMOTION = np.zeros(9, np.float32)


@dataclass(frozen=True)
class RealClip:
    """Measured face and 16 kHz sound of T frames; ``offset`` is how many frames the sound is late."""

    name: str
    face: FaceTrack
    audio: NDArray[np.float32]
    offset: int


def read_clip(path: Path, scorer: Scorer) -> RealClip:
    """Decode, follow the face on the 25 fps clock, and find the offset."""
    times_s: list[float] = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for frame in decode_video(path):
            times_s.append(frame.pts_s)
            yield frame.rgb

    meshes = track_faces(pictures())
    sound = decode_audio(path)
    n_frames = min(samples_to_frames(len(sound)), frames_in(times_s[-1]) + 1)
    face = track_of_meshes(meshes[nearest_frames(np.array(times_s), 0.0, n_frames)])
    audio = fit_samples(sound, n_frames)
    curve = scorer.curve(lip_points(face.normalised), mel_frames(log_mel(audio)))
    near = np.abs(LAGS) <= LARGEST_OFFSET_FRAMES
    return RealClip(path.stem, face, audio, int(LAGS[near][curve[near].argmax()]))


def aligned(clip: RealClip, track_of_sound: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.float32]]:
    """Per-frame values (T, ...) made from the sound, and the normalised landmarks (T, 78, 3), with the offset taken out."""
    n, late = min(len(track_of_sound), len(clip.face)), clip.offset
    return track_of_sound[max(0, late) : n + min(0, late)], clip.face.normalised[max(0, -late) : n - max(0, late)]


def scores(clip: RealClip, heard: RealClip, model: S2L) -> dict[str, float]:
    """Correlations of ``clip``'s lips with those predicted from the sound of ``heard``."""
    rest = relaxed(neutral_of(clip.face.normalised))
    predicted, measured = aligned(clip, model.predict(speech_features(heard.audio).features, rest, NO_EMOTION))
    gap, true_gap = lm.lip_gap(predicted), lm.lip_gap(measured)
    return {
        "gap r": correlation(gap, true_gap),
        "width r": correlation(lm.lip_width(predicted), lm.lip_width(measured)),
        "gap s.d. ratio": float(gap.std() / true_gap.std()),
    }


def loudness_jaw(clip: RealClip) -> float:
    """Correlation of the measured lip gap with loudness, the folk method."""
    loud = features_to_frames(loudness_db(clip.audio)[:, None]).mean(axis=(1, 2))
    jaw, measured = aligned(clip, np.maximum(loud, np.percentile(loud, 95) - 40.0))
    return correlation(jaw, lm.lip_gap(measured))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, default=ASSETS / "s2l")
    arguments = parser.parse_args()
    model, scorer = load_s2l(arguments.model), Scorer.load(Path(str(files("space_data") / "assets" / "sync_scorer.npz")))
    with (arguments.folder / "MANIFEST.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["kind"] == "video" and r["has_speech"].startswith("yes")]
    names = [r["file"] for r in rows if r["n_faces"] == "1"]
    clips = [read_clip(arguments.folder / name, scorer) for name in track(names, "clips")]
    clips = [c for c in clips if abs(float(np.median(c.face.pose.yaw_deg))) <= LARGEST_YAW_DEG]
    table = Table("clip", "frames", "offset", "gap r", "width r", "gap s.d. ratio", "loudness r", "shuffled r")
    figures = []
    for i, clip in enumerate(clips):
        own, other = scores(clip, clip, model), scores(clip, clips[i - 1], model)["gap r"]
        figures.append([*own.values(), loudness_jaw(clip), other])
        table.add_row(clip.name, str(len(clip.face)), str(clip.offset), *(f"{v:.2f}" for v in figures[-1]))
    table.add_row(f"median of {len(clips)}", "", "", *(f"{v:.2f}" for v in np.median(figures, axis=0)))
    Console().print(table)


if __name__ == "__main__":
    main()
