"""What `space animate` writes, measured from the written file: is the sound there, in time, and does the face do as told?

    python -m benchmarks.animate_sync [FOLDER] [--speech-per-portrait 2] [--emotion happy:0.8] [--keep DIR]

FOLDER holds pictures (.jpg, .png) and speech (.wav); without it the public-domain portrait of scikit-image speaks an espeak-ng
sentence. Every portrait that `animate` accepts is animated, each with the next few speech files in turn, and each written file is
decoded again: FaceMesh measures lips and eyes, the shipped audio-visual scorer, which has seen neither, judges lips against the
sound of the file, and the sound is laid over the input. Exit status 1 if a file is out of sync.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.signal import correlate

from space_data.avsync import Scorer, lip_points, mel_frames, score_clip
from space_data.closures import Closures
from space_data.errors import SpaceError
from space_data.facemesh import track_faces
from space_data.features import track_of_meshes
from space_data.files import fitting_name
from space_data.landmarks import PoseTrack, eye_aspect_ratio, lip_gap, posed
from space_data.media.encode import write_video, write_wav
from space_data.media.images import write_image
from space_data.media.probe import probe
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import Params, load_params
from space_data.progress import setup, track
from space_data.speech import log_mel, runs
from space_data.timebase import frames_to_seconds, samples_to_seconds
from space_models.animate import animate
from space_models.controls.asked import Controls
from space_models.controls.emotion import parse_emotion
from space_models.generators import DEFAULT_RENDERER, RENDERERS
from space_models.generators.warp import WarpGenerator
from space_models.portrait import Portrait, load_portrait
from space_models.posegen.pose import apply_pose
from space_models.speech_file import load_speech
from space_models.tracks import Tracks

LARGEST_LAG_FRAMES = 10
LARGEST_LAG_SAMPLES = 8000
SHUT_SHARE = 0.72  # of the usual opening: FaceMesh reads a shut eye as 0.4-0.7 of an open one, glances and smiles as 0.8 or more
SHARPNESS_EVERY_FRAMES = 5
SENTENCE = "Please bring the blue umbrella, because my mother thinks that it might rain before the evening."
PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Written:
    """What was measured in one written file; lags + = the file is late against what was commanded or heard."""

    frames: int
    lip_lag_frames: int
    lip_r: float
    lip_slope: float
    audio_lag_samples: int
    audio_r: float
    audio_start_s: float
    audio_surplus_s: float
    scorer_offset_frames: int
    scorer_confidence: float
    blinks_found: int
    blinks_told: int
    yaw_range_deg: float
    sharpness: float
    face_found: float
    closures: Closures
    """told and found again, all frames"""

    @property
    def in_sync(self) -> bool:
        """Sound and lips are where they must be."""
        return self.lip_lag_frames == 0 and self.audio_lag_samples == 0 and abs(self.audio_start_s) < 1e-3


def lag_of(measured: NDArray[np.floating], commanded: NDArray[np.floating], largest: int) -> int:
    """By how many samples ``measured`` (T,) is late against ``commanded`` (T,): where their correlation is largest."""
    n = len(commanded)

    def r(lag: int) -> float:
        a, b = measured[max(0, lag) : n + min(0, lag)], commanded[max(0, -lag) : n - max(0, lag)]
        return float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-9 and b.std() > 1e-9 else -1.0

    lags = np.arange(-largest, largest + 1)
    return int(lags[int(np.argmax([r(int(lag)) for lag in lags]))])


def audio_lag(heard: NDArray[np.float32], said: NDArray[np.float32]) -> tuple[int, float]:
    """Samples by which ``heard`` is late against ``said`` (any lengths), and their correlation there."""
    n = min(len(heard), len(said))
    a, b = heard[:n] - heard[:n].mean(), said[:n] - said[:n].mean()
    product = correlate(a, b, method="fft")
    middle = n - 1
    reach = min(LARGEST_LAG_SAMPLES, middle)
    near = product[middle - reach : middle + reach + 1]
    lag = int(near.argmax()) - reach
    return lag, float(near.max() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-9))


def sharpness(rgb: NDArray[np.uint8], mesh: NDArray[np.float32]) -> float:
    """Variance of the Laplacian of the face above the mouth (what a mouth opens upon would count as detail)."""
    (x0, y0), (x1, y1) = np.maximum(mesh[:, :2].min(axis=0), 0).astype(int), mesh[:, :2].max(axis=0).astype(int)
    grey = cv2.cvtColor(rgb[y0 : y0 + int(0.6 * (y1 - y0)), x0:x1], cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def blink_count(opening: NDArray[np.floating]) -> int:
    """Blinks in a track of eye openings (T,): dips below ``SHUT_SHARE`` of the usual opening."""
    return len(runs(np.asarray(opening < SHUT_SHARE * np.percentile(opening, 75))))


def told_motion(tracks: Path, portrait: Portrait) -> tuple[NDArray[np.float32], PoseTrack]:
    """Normalised landmarks (T, 78, 3) and pose that the renderer was given."""
    told = Tracks.read(tracks)
    return told.edited, apply_pose(told.pose, portrait.pose)


def measure(video: Path, said: NDArray[np.float32], tracks: Path, portrait: Portrait, scorer: Scorer) -> Written:
    """Decode ``video`` and compare it with the speech (16 kHz), the track file of its making, and the portrait."""
    pictures = [frame.rgb for frame in decode_video(video)]
    meshes = track_faces(pictures)
    face = track_of_meshes(meshes)
    told, _ = told_motion(tracks, portrait)
    gap, told_gap = lip_gap(face.normalised), lip_gap(told)
    heard, info = decode_audio(video), probe(video)
    lag, r_sound = audio_lag(heard, said)
    score = score_clip(lip_points(face.normalised), mel_frames(log_mel(heard[: len(said)])), scorer)
    seen = np.flatnonzero(~face.interpolated)[::SHARPNESS_EVERY_FRAMES]
    return Written(
        frames=len(pictures),
        lip_lag_frames=lag_of(gap, told_gap, LARGEST_LAG_FRAMES),
        lip_r=float(np.corrcoef(gap, told_gap)[0, 1]),
        lip_slope=float(np.polyfit(told_gap, gap, 1)[0]),
        audio_lag_samples=lag,
        audio_r=r_sound,
        audio_start_s=info.audio_start_s - info.video_start_s,
        audio_surplus_s=samples_to_seconds(len(heard)) - frames_to_seconds(len(pictures)),
        scorer_offset_frames=score.offset_frames,
        scorer_confidence=score.confidence,
        blinks_found=blink_count(face.eye_opening.mean(axis=1)),
        blinks_told=blink_count(eye_aspect_ratio(told).mean(axis=1)),
        yaw_range_deg=float(np.ptp(face.pose.yaw_deg)),
        sharpness=float(np.median([sharpness(pictures[i], meshes[i]) for i in seen])) / sharpness(portrait.rgb, portrait.mesh),
        face_found=float((~face.interpolated).mean()),
        closures=Closures.of(told_gap, gap, np.ones(len(gap), bool)),
    )


def frames_per_cpu_s(portrait: Portrait, tracks: Path, params: Params, scratch: Path) -> float:
    """Frames drawn by `warp` and encoded per second of one core, the portrait's set-up left out."""
    generator = WarpGenerator(params.warp)
    state = generator.prepare(portrait)
    told, pose = told_motion(tracks, portrait)
    began = time.process_time()
    return write_video(scratch, generator.render(state, posed(told, pose))) / (time.process_time() - began)


def inputs_of(folder: Path | None, scratch: Path) -> tuple[list[Path], list[Path]]:
    """Pictures and speech files of a folder; without one, the public-domain pair."""
    if folder is not None:
        found = sorted(folder.iterdir())
        return [f for f in found if f.suffix in PICTURES], [f for f in found if f.suffix == ".wav"]
    from skimage.data import astronaut

    from space_data.synthetic.espeak import Voice, speak

    write_image(scratch / "astronaut.png", astronaut())
    write_wav(scratch / "espeak.wav", speak(SENTENCE, Voice("en-us", "f2")).audio)
    return [scratch / "astronaut.png"], [scratch / "espeak.wav"]


def shown(written: Written, fps: float) -> list[str]:
    """The row of one file."""
    minutes = frames_to_seconds(written.frames) / 60
    return [
        str(written.frames), str(written.lip_lag_frames), f"{written.lip_r:.2f}", f"{written.lip_slope:.2f}",
        str(written.audio_lag_samples), f"{written.audio_r:.3f}", f"{1000 * written.audio_start_s:.0f}",
        f"{1000 * written.audio_surplus_s:+.0f}", str(written.scorer_offset_frames), f"{written.scorer_confidence:.2f}",
        f"{written.blinks_found / minutes:.0f} ({written.blinks_told / minutes:.0f})", f"{written.yaw_range_deg:.0f}",
        f"{written.sharpness:.2f}", f"{100 * written.face_found:.0f}", f"{fps:.0f}",
    ]  # fmt: skip


COLUMNS = (
    "portrait", "speech", "frames", "lip lag\nframes", "lip r", "lip\nslope", "sound lag\nsamples", "sound r", "starts\nms",
    "longer\nms", "scorer\noffset", "scorer\nconf.", "blinks/min\nfound (told)", "yaw\ndeg", "sharp/\nphoto",
    "face\n%", "frames/\nCPU s",
)  # fmt: skip


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--speech-per-portrait", type=int, default=2)
    parser.add_argument("--emotion", default="neutral")
    parser.add_argument("--pose", default="generated")
    parser.add_argument("--renderer", choices=list(RENDERERS), default=DEFAULT_RENDERER)
    parser.add_argument("--keep", type=Path, help="leave the videos and tracks there")
    arguments = parser.parse_args()
    setup(quiet=True)
    params, scorer = load_params(), Scorer.load(Path(str(files("space_data") / "assets" / "sync_scorer.npz")))
    table, rows = Table(*COLUMNS, title=f"emotion {arguments.emotion}, pose {arguments.pose}, {arguments.renderer}"), []
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        portraits, speeches = inputs_of(arguments.folder, Path(scratch))
        count = min(arguments.speech_per_portrait, len(speeches))
        pairs = [(p, speeches[(i * count + k) % len(speeches)]) for i, p in enumerate(portraits) for k in range(count)]
        portraits_of: dict[Path, Portrait] = {}
        for image in portraits:
            try:
                portraits_of[image] = load_portrait(image)
            except SpaceError as error:
                print(f"refused: {error}")
        pairs = [(image, sound) for image, sound in pairs if image in portraits_of]
        for seed, (image, sound) in enumerate(track(pairs, "animate and measure")):
            tracks = folder / fitting_name(f"{image.stem}-{sound.stem}", ".parquet")
            out = tracks.with_suffix(".mp4")
            animate(
                image=image, audio=sound, out=out, params=params, seed=seed, tracks=tracks,
                controls=Controls(emotion=parse_emotion(arguments.emotion), pose=arguments.pose), renderer=arguments.renderer,
            )  # fmt: skip
            portrait = portraits_of[image]
            rows.append(measure(out, load_speech(sound).audio, tracks, portrait, scorer))
            fps = frames_per_cpu_s(portrait, tracks, params, Path(scratch) / "timed.mp4")
            table.add_row(image.stem, sound.stem, *shown(rows[-1], fps))
    Console().print(table)
    late = [row for row in rows if not row.in_sync]
    print(f"in sync: {len(rows) - len(late)} of {len(rows)} files")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
