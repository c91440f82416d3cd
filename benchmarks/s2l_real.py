"""How well S2L's lips follow real people it has never seen, on the landmarks, per clip and over all.

    python -m benchmarks.s2l_real ../shared/media [--models models] [--live] [--video] [--only CLIP] [--set KEY=VALUE]

Clips come from ``MANIFEST.csv`` of the folder: videos of one face that speaks, |median yaw| up to 35 degrees. Sound and picture
of public clips are often some frames apart: each clip's offset is found by the shipped audio-visual scorer within +-8 frames, not
by the model, and taken out for every row alike.

Portraits are the clip's first frame and the person's resting face in the clip. Rows: S2L; S2L fed with another clip's sound; the
portrait held still; a jaw that follows loudness. Distances are means over clips, correlations medians, closures (gap below 0.02
of the eye distance, within 2 frames, in frames of speech) from the sums over clips. Intervals: paired bootstrap over people.
``--live``: speech normalised, and heard, as a stream does it (Whisper: 2 s before to 160 ms after each frame).

``--video`` also makes the videos (the clip's first picture and its sound through what `space animate` runs, the head still, no
blinks) and follows the faces in them: what a viewer sees. ``mean of 3``: all tracks, the recordings' and the still photo's too,
averaged over three frames, since a tracker trembles on faces that move alone (``tracker_tremble``).
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from space_data import landmarks as lm
from space_data.features import face_track
from space_data.media.images import write_image
from space_data.media.video import decode_video
from space_data.params import Params, load_params
from space_data.progress import track
from space_data.speech import loudness_db
from space_data.speech_encoder import SpeechEncoder
from space_data.timebase import features_to_frames, frames_in
from space_models.animate import ASSETS, render
from space_models.controls.asked import Controls
from space_models.generators import DEFAULT_RENDERER
from space_models.motion import MotionModels, load_motion_models, make_tracks
from space_models.portrait import load_portrait
from space_models.retarget import neutral_of
from space_models.s2l import stream
from space_models.s2l.metrics import LipFigures, correlation
from space_models.s2l.model import S2L
from space_models.s2l.output import OutputSettings
from space_models.s2l.own_clips import OwnClip, read_own_clip, shipped_scorer
from space_models.speech_encoders import SlidingWhisper, WhisperStates
from space_models.speech_file import speech_features

LARGEST_YAW_DEG = 35.0
BOOTSTRAP_DRAWS, SEED = 10_000, 1
COLUMNS = {
    "lmd_mouth": "LMD", "lvd_mouth": "LVD", "lip_gap_r": "gap r", "lip_width_r": "width r", "lip_velocity_r": "velocity r",
    "lip_gap_sd_ratio": "gap s.d. ratio", "closed_share": "closed", "closed_share_measured": "in truth", "closure_f1": "F1",
}  # fmt: skip
DISTANCES = ("lmd_mouth", "lvd_mouth")
PORTRAITS = ("first frame", "resting face")
MEAN_FRAMES, MEAN = 3, "mean of 3"


def portraits(clip: OwnClip) -> dict[str, NDArray[np.float32]]:
    """Photos from which a clip is spoken."""
    return dict(zip(PORTRAITS, (clip.normalised[0], neutral_of(clip.normalised[~clip.interpolated])), strict=True))


def speak(
    model: S2L,
    heard: Sequence[NDArray[np.float32]],
    clips: Sequence[OwnClip],
    portrait: str,
    settings: OutputSettings,
    live: bool,
) -> list[NDArray[np.float32]]:
    """Landmarks of every clip's person saying the speech beside it, (T, 78, 3) each."""
    return [
        stream.predict(model, speech, portraits(clip)[portrait], settings=settings, known=not live)
        for clip, speech in zip(clips, heard, strict=True)
    ]


def figures_of(tracks: Sequence[NDArray[np.float32]], clips: Sequence[OwnClip]) -> LipFigures:
    """Against the measured landmarks."""
    figures = LipFigures()
    for points, clip in zip(tracks, clips, strict=True):
        figures.add(points, clip.normalised, clip.speaking)
    return figures


def averaged(points: NDArray[np.floating], n_frames: int = MEAN_FRAMES) -> NDArray[np.float32]:
    """Running mean of a track (T, ...) over an odd number of frames; at its ends over those that there are."""
    reach = n_frames // 2
    means = [points[max(0, t - reach) : t + reach + 1].mean(axis=0, dtype=np.float64) for t in range(len(points))]
    return np.array(means, np.float32)


def below(ours: LipFigures, still: LipFigures, metric: str, people: Sequence[str]) -> str:
    """How much smaller our mean distance is than the still portrait's; 95 % bootstrap interval over ``people``, by clip."""
    names, of = np.unique(people, return_inverse=True)
    a, b = (np.bincount(of, figures.rows[metric]) for figures in (ours, still))
    drawn = np.random.default_rng(SEED).integers(0, len(names), (BOOTSTRAP_DRAWS, len(names)))
    low, high = np.percentile(1 - a[drawn].sum(axis=1) / b[drawn].sum(axis=1), [2.5, 97.5])
    return f"{1 - a.sum() / b.sum():.1%} [{low:.1%}, {high:.1%}]"


def loudness_jaw(clip: OwnClip) -> float:
    """Correlation of the measured lip gap with loudness, the folk method."""
    loud = features_to_frames(loudness_db(clip.audio)[:, None]).mean(axis=(1, 2))
    return correlation(np.maximum(loud, np.percentile(loud, 95) - 40.0), lm.lip_gap(clip.normalised))


def clips_of(folder: Path, only: str = "") -> list[OwnClip]:
    """The usable clips that the folder's manifest lists; those whose name holds ``only``."""
    with (folder / "MANIFEST.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["kind"] == "video" and r["has_speech"].startswith("yes")]
    names, scorer = [r["file"] for r in rows if r["n_faces"] == "1" and only in r["file"]], shipped_scorer()
    clips = [read_own_clip(folder / name, scorer) for name in track(names, "clips")]
    return [c for c in clips if abs(float(np.median(c.pose.yaw_deg))) <= LARGEST_YAW_DEG]


def first_picture(folder: Path, clip: OwnClip, out: Path) -> Path:
    """The clip's first frame as a file; ``animate`` begins with one, too."""
    path = next(path for path in folder.iterdir() if path.stem == clip.name)
    skipped = max(0, -clip.offset_frames)
    picture = next(f.rgb for f in decode_video(path) if frames_in(f.pts_s) >= skipped)
    write_image(out / f"{clip.name}.png", picture)
    return out / f"{clip.name}.png"


def seen(models: MotionModels, params: Params, picture: Path, clip: OwnClip) -> NDArray[np.float32]:
    """Landmarks (T, 78, 3) that are found in the video of a clip's first picture saying its sound."""
    portrait, speech = load_portrait(picture), speech_features(clip.audio)
    lips_only = Controls(pose="still", blinks="off", gaze="photo")
    driving = make_tracks(models, portrait, speech, params, lips_only, SEED).driving(portrait)
    return face_track(render(DEFAULT_RENDERER, portrait, driving, params, ASSETS)).normalised


def report(model: S2L, encoder: SpeechEncoder, clips: list[OwnClip], settings: OutputSettings, live: bool) -> list[Table]:
    """A table of systems and one of clips."""
    hears = SlidingWhisper(encoder) if live and isinstance(encoder, WhisperStates) else encoder
    heard, names = [hears.encode(clip.audio) for clip in clips], [clip.name for clip in clips]  # each of another person
    others = [np.resize(heard[i - 1], own.shape) for i, own in enumerate(heard)]
    first_columns = list(COLUMNS)[:6]
    systems = Table("portrait", "row", *COLUMNS.values())
    per_clip = Table("clip", "frames", "offset", *(COLUMNS[k] for k in first_columns), "jaw r")
    for portrait in PORTRAITS:
        still = figures_of([np.repeat(portraits(c)[portrait][None], len(c), 0) for c in clips], clips)
        ours = figures_of(speak(model, heard, clips, portrait, settings, live), clips)
        shuffled = figures_of(speak(model, others, clips, portrait, settings, live), clips)
        for name, figures in (("S2L", ours), ("S2L, another's sound", shuffled), ("still", still)):
            middle = figures.summary(np.median) | {k: v for k, v in figures.summary().items() if k in DISTANCES}
            systems.add_row(portrait, name, *(f"{middle[k]:.{4 if k in DISTANCES else 3}f}" for k in COLUMNS))
        for metric in DISTANCES:
            systems.add_row(portrait, f"{COLUMNS[metric]} below still", below(ours, still, metric, names))
        if portrait == PORTRAITS[0]:
            for i, clip in enumerate(clips):
                values = [ours.rows[k][i] for k in first_columns]
                per_clip.add_row(
                    clip.name, str(len(clip)), str(clip.offset_frames), *(f"{v:.3f}" for v in values), f"{loudness_jaw(clip):.2f}"
                )
    return [per_clip, systems]


def video_table(models: MotionModels, params: Params, folder: Path, clips: list[OwnClip]) -> Table:
    """What is found in the videos, against the recordings and against the first frame held still."""
    with TemporaryDirectory() as made:
        pictures = [first_picture(folder, clip, Path(made)) for clip in clips]
        found = [seen(models, params, p, c) for p, c in zip(track(pictures, "videos", len(clips)), clips, strict=True)]
    shown = {"S2L": found, "still": [np.repeat(c.normalised[:1], len(c), 0) for c in clips]}
    table, people = Table("on the video", *COLUMNS.values()), [clip.name for clip in clips]
    figures = {name: figures_of(tracks, clips) for name, tracks in shown.items()}
    calm = [replace(clip, normalised=averaged(clip.normalised)) for clip in clips]
    smooth = {name: figures_of([averaged(points) for points in tracks], calm) for name, tracks in shown.items()}
    for name, own in figures.items():
        middle = own.summary(np.median) | {k: v for k, v in own.summary().items() if k in DISTANCES}
        table.add_row(name, *(f"{middle[k]:.{4 if k in DISTANCES else 3}f}" for k in COLUMNS))
    for name, own in smooth.items():
        table.add_row(f"{name}, {MEAN}", *(f"{own.summary()[k]:.4f}" for k in DISTANCES))
    for means, of in (("", figures), (f", {MEAN}", smooth)):
        table.add_row(f"below still{means}", *(below(of["S2L"], of["still"], metric, people) for metric in DISTANCES))
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=Path, default=ASSETS)
    parser.add_argument("--live", action="store_true", help="hear and normalise as a stream does")
    parser.add_argument("--video", action="store_true", help="also on rendered video (some minutes)")
    parser.add_argument("--only", default="", help="clips whose name holds this")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of params.yaml")
    arguments = parser.parse_args()
    params = load_params(None, arguments.set)
    models = load_motion_models(arguments.models, params)
    clips = clips_of(arguments.folder, arguments.only)
    settings = OutputSettings(params.animate.articulation, params.animate.fade_s)
    tables = report(models.s2l, models.encoder, clips, settings, arguments.live)
    if arguments.video:
        tables.append(video_table(models, params, arguments.folder, clips))
    for table in tables:
        Console(width=180).print(table)


if __name__ == "__main__":
    main()
