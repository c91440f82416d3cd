"""Whether a renderer draws the lips that it is told: real people's own landmarks on a frame of theirs, drawn, tracked again.

    python -m benchmarks.warp_lips ../shared/media [--frames 100] [--renderer compact] [--photos clean_f_512.mp4]

Portraits are the first frame of each clip of one face and the frame of the widest mouth, which is the hardest; with ``--photos
CLIP`` the folder's photographs instead, which do what the person of that clip does. Columns: lip gap
of the portrait; frames told to shut (gap < 0.02 IOD) and the share of them that the tracker reads as shut; slope and correlation
of the gap read against the one told (clips whose lips hardly move have none).
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from space_data import landmarks as lm
from space_data.errors import SpaceError
from space_data.facemesh import track_faces
from space_data.features import track_of_meshes
from space_data.landmarks import PoseTrack
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.progress import track
from space_data.schema import NEUTRAL
from space_data.speech import MEL_BANDS
from space_data.timebase import FEATURES_PER_FRAME
from space_models.animate import ASSETS
from space_models.generators import DEFAULT_RENDERER, RENDERERS, Driving, Renderer, find
from space_models.portrait import load_portrait
from space_models.retarget import neutral_of, retarget

SHUT_IOD = 0.02
MOST_FRAMES = 150
LEAST_MOTION_IOD = 0.01


def read(path: Path) -> tuple[list[NDArray[np.uint8]], NDArray[np.float32]]:
    """Up to ``MOST_FRAMES`` frames and their normalised landmarks (T, 78, 3), those without a face left out."""
    frames: list[NDArray[np.uint8]] = []
    for frame in decode_video(path):
        frames.append(frame.rgb)
        if len(frames) == MOST_FRAMES:
            break
    normalised = track_of_meshes(track_faces(iter(frames))).normalised
    seen = np.isfinite(normalised).all(axis=(1, 2))
    return [frame for frame, there in zip(frames, seen, strict=True) if there], normalised[seen]


def drawn(renderer: Renderer[Any], picture: Path | NDArray[np.uint8], landmarks: NDArray[np.float32], n_frames: int) -> list[str]:
    """One row of the table for a portrait that does what ``landmarks`` (T, 78, 3) do."""
    portrait = load_portrait(picture)
    told = retarget(landmarks[:n_frames], neutral_of(landmarks), portrait.normalised)
    pose = PoseTrack.from_array(np.repeat(portrait.pose.as_array(), len(told), 0))
    silence = np.zeros((len(told), FEATURES_PER_FRAME * MEL_BANDS), np.float32)
    frames = renderer.render(renderer.prepare(portrait), Driving(told, pose, silence, NEUTRAL))
    wanted, found = lm.lip_gap(told), lm.lip_gap(track_of_meshes(track_faces(frames)).normalised)
    shut = wanted < SHUT_IOD
    reached = f"{(found[shut] < SHUT_IOD).mean():.2f}" if shut.any() else "-"
    moves = wanted.std() > LEAST_MOTION_IOD
    slope = f"{np.polyfit(wanted, found, 1)[0]:.2f}" if moves else "-"
    r = f"{np.corrcoef(wanted, found)[0, 1]:.2f}" if moves else "-"
    return [f"{float(lm.lip_gap(portrait.normalised)):.3f}", str(int(shut.sum())), reached, slope, r]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--renderer", default=DEFAULT_RENDERER, choices=RENDERERS)
    parser.add_argument("--models", type=Path, default=ASSETS)
    parser.add_argument("--photos", metavar="CLIP", help="the folder's photographs, driven by this clip of it")
    arguments = parser.parse_args()
    with (arguments.folder / "MANIFEST.csv").open() as file:
        manifest = list(csv.DictReader(file))
    renderer = find(RENDERERS, arguments.renderer, "renderer").load(arguments.models, load_params())
    table = Table("clip", "portrait", "its gap", "told to shut", "reached", "slope", "r")

    def add(clip: str, name: str, picture: Path | NDArray[np.uint8], landmarks: NDArray[np.float32]) -> None:
        try:
            table.add_row(clip, name, *drawn(renderer, picture, landmarks, arguments.frames))
        except SpaceError as error:
            table.add_row(clip, name, f"refused: {str(error)[-60:]}", *["-"] * 4)

    if arguments.photos:
        _, landmarks = read(arguments.folder / arguments.photos)
        for row in track([row for row in manifest if row["kind"] == "portrait"], "photos"):
            add(arguments.photos, row["file"], arguments.folder / row["file"], landmarks)
    else:
        for row in track([row for row in manifest if row["kind"] == "video" and row["n_faces"] == "1"], "clips"):
            frames, landmarks = read(arguments.folder / row["file"])
            if not frames:
                table.add_row(row["file"], "no face", *["-"] * 5)
                continue
            for portrait, number in (("first", 0), ("widest", int(np.argmax(lm.lip_gap(landmarks))))):
                add(row["file"], portrait, frames[number], landmarks)
    Console().print(table)


if __name__ == "__main__":
    main()
