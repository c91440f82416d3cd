"""Every usable portrait of a folder with several of its speech files, through `space animate`: one table of what came out.

    python -m benchmarks.animate_media FOLDER [--speech NAME ...] [--page docs/animate.md] [--keep DIR]

Each file is decoded and measured again (``benchmarks.animate_sync``: lips, sound, sharpness). Per portrait, with the first speech
file, also: the whole photo with the face pasted back, its background against the photo's; and the head asked to be still while
the lips speak, against a video that *is* still, the photo with a camera's noise: how far the tracker's landmarks that speech
does not move wander, and how far the picture itself does (phase correlation of the upper face). The tracker moves all of a face
with its lips; so the landmarks are read a second time with all below the nose covered, by what the first frame shows there.
``--page`` puts the table between its marks on a page. Exit status 1 if a file falls short of a limit.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from benchmarks.animate_sync import PICTURES, Written, measure
from space_data import landmarks as lm
from space_data.avsync import Scorer
from space_data.errors import SpaceError
from space_data.features import face_track
from space_data.files import atomic_file, fitting_name
from space_data.media.output import write_titled
from space_data.media.video import decode_video
from space_data.params import Params, load_params
from space_data.progress import setup, track
from space_data.timebase import SAMPLES_PER_FRAME, samples_to_frames
from space_models.animate import ASSETS, PICTURE_SUBQ, LoadedModels, animate, load_models
from space_models.controls.asked import Controls
from space_models.generators import Frame
from space_models.paste import video_size
from space_models.portrait import Portrait, load_portrait
from space_models.speech_file import load_speech

SPEECH = ("mandarin_48k_stereo", "russian_48k_24bit", "lj_22k")
AT_REST = Controls(pose="still", blinks="off", gaze="photo")
STEADY = np.concatenate([lm.NOSE[:4], lm.OUTER_EYE_CORNERS, lm.INNER_EYE_CORNERS])
"""Landmarks that neither speech nor blinks move."""
BELOW_NOSE_PX = 4
CAMERA_NOISE = 2.0
"""Grey levels, standard deviation: a webcam's in room light."""
MOST_OFFSET_FRAMES, LEAST_SHARPNESS, MOST_BACKGROUND = 1.0, 0.8, 2.0
BEGIN, END = "<!-- made by benchmarks.animate_media -->", "<!-- end -->"


@dataclass(frozen=True)
class Whole:
    """Outside the square of the face, a pasted video against the photo: grey levels, mean of the worst frame and of all."""

    worst: float
    mean: float


@dataclass(frozen=True)
class Rest:
    """How far what should be still moves, pixels of 512 (root mean square around its mean)."""

    landmarks: float
    covered: float
    """of the same landmarks, the mouth covered"""
    picture: float


@dataclass(frozen=True)
class Row:
    """One portrait."""

    portrait: str
    written: list[Written]
    whole: Whole | None
    """None: the square is the whole photo"""
    rest: Rest
    noise: Rest
    """of the photo, filmed with a camera's noise"""

    @property
    def offset_frames(self) -> float:
        """Lips against sound, in the written file, the worst."""
        return max(abs(w.lip_lag_frames - w.audio_lag_samples / SAMPLES_PER_FRAME) for w in self.written)

    @property
    def sharpness(self) -> float:
        """The least, against the photo's."""
        return min(w.sharpness for w in self.written)

    @property
    def falls_short(self) -> list[str]:
        """Of which limits."""
        checks = {
            "offset": self.offset_frames > MOST_OFFSET_FRAMES,
            "sharpness": self.sharpness < LEAST_SHARPNESS,
            "background": self.whole is not None and self.whole.worst > MOST_BACKGROUND,
            "still": self.rest.covered > self.noise.covered,
        }
        return [name for name, is_short in checks.items() if is_short]


def background_change(video: Path, portrait: Portrait) -> Whole | None:
    """Of a video of ``--paste-back``."""
    height, width = portrait.picture.shape[:2]
    w, h = video_size(width, height)
    is_reduced = max(height - h, width - w) > 1
    photo = cv2.resize(portrait.picture, (w, h), interpolation=cv2.INTER_AREA) if is_reduced else portrait.picture[:h, :w]
    outside = np.ones((h, w), bool)
    x0, y0, side = (value * w / width if is_reduced else value for value in (portrait.box.x0, portrait.box.y0, portrait.box.side))
    outside[max(0, int(y0)) : int(np.ceil(y0 + side)), max(0, int(x0)) : int(np.ceil(x0 + side))] = False
    if not outside.any():
        return None
    still = photo[outside].astype(np.int16)
    changes = [float(np.abs(frame.rgb[outside] - still).mean()) for frame in decode_video(video)]
    return Whole(max(changes), float(np.mean(changes)))


def noisy(portrait: Portrait, n_frames: int, rng: np.random.Generator) -> Iterator[Frame]:
    """The photo, filmed."""
    for _ in range(n_frames):
        yield np.clip(portrait.rgb + rng.normal(0, CAMERA_NOISE, portrait.rgb.shape), 0, 255).round().astype(np.uint8)


def wander(video: Path, portrait: Portrait) -> Rest:
    """How far the steady landmarks and the picture of the upper face move in a video."""
    frames = [frame.rgb for frame in decode_video(video)]
    below = int(portrait.landmarks[lm.NOSE, 1].max()) + BELOW_NOSE_PX
    covered = [np.concatenate([frame[:below], frames[0][below:]]) for frame in frames]
    seen, hidden = (_spread(face_track(shown).landmarks_px[:, STEADY, :2]) for shown in (frames, covered))
    x0, x1 = (int(x) for x in (portrait.landmarks[lm.BROWS, 0].min(), portrait.landmarks[lm.BROWS, 0].max()))
    y0, y1 = int(portrait.landmarks[lm.BROWS, 1].min()), int(portrait.landmarks[lm.NOSE[3], 1])
    views = [cv2.cvtColor(frame[max(0, y0) : y1, max(0, x0) : x1], cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in frames]
    window = cv2.createHanningWindow(views[0].shape[::-1], cv2.CV_32F)
    return Rest(seen, hidden, _spread(np.array([cv2.phaseCorrelate(views[0], view, window)[0] for view in views])))


def _spread(points: np.ndarray) -> float:
    """Root mean square distance of points (T, ..., 2) from their mean over time."""
    return float(np.sqrt(np.square(points - points.mean(0)).sum(-1).mean()))


@dataclass(frozen=True)
class Bench:
    """What every portrait goes through."""

    folder: Path
    params: Params
    loaded: LoadedModels
    scorer: Scorer

    def row(self, image: Path, sounds: list[Path]) -> Row | str:
        """Animate one portrait and measure the files; why it is refused."""
        try:
            portrait = load_portrait(image)
        except SpaceError as error:
            return f"refused: {error}"
        written = []
        for seed, sound in enumerate(sounds):
            out = self._animated(image, sound, "", seed=seed)
            written.append(measure(out, load_speech(sound).audio, out.with_suffix(".parquet"), portrait, self.scorer))
        pasted = self._animated(image, sounds[0], "-whole", paste_back=True)
        rest = self._animated(image, sounds[0], "-rest", controls=AT_REST)
        filmed = self.folder / fitting_name(f"{image.stem}-filmed", ".mp4")
        n_frames = samples_to_frames(len(load_speech(sounds[0]).audio))
        write_titled(filmed, noisy(portrait, n_frames, np.random.default_rng(0)), title="", subq=PICTURE_SUBQ)
        return Row(image.stem, written, background_change(pasted, portrait), wander(rest, portrait), wander(filmed, portrait))

    def _animated(self, image: Path, sound: Path, what: str, **asked: object) -> Path:
        tracks = self.folder / fitting_name(f"{image.stem}-{sound.stem}{what}", ".parquet")
        out = tracks.with_suffix(".mp4")
        animate(image=image, audio=sound, out=out, tracks=tracks, params=self.params, loaded=self.loaded, **asked)  # type: ignore[arg-type]
        return out


def row_of(image: Path, folder: Path, sounds: list[Path]) -> Row | str:
    """``Bench.row`` with the shipped models, in a process of its own."""
    setup(quiet=True)
    logging.getLogger().setLevel(logging.ERROR)  # portraits are loaded many times, with the same warnings
    params, scorer = load_params(), Scorer.load(Path(str(files("space_data") / "assets" / "sync_scorer.npz")))
    return Bench(folder, params, load_models(ASSETS, params), scorer).row(image, sounds)


def table(rows: Iterable[Row], speech: list[str]) -> str:
    """As Markdown."""
    lines = [
        "| portrait | files | A/V offset (scorer) | sharpness | lips closed: told, found | background | still | lips in sight "
        "| picture |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        told, found = (np.mean([getattr(w.closures, name) for w in row.written]) for name in ("share", "measured_share"))
        heard = max((w.scorer_offset_frames for w in row.written), key=abs)
        whole = "-" if row.whole is None else f"{row.whole.worst:.2f}"
        cells = (
            row.portrait, str(len(row.written)), f"{row.offset_frames:.0f} ({heard})", f"{row.sharpness:.2f}",
            f"{told:.0%}, {found:.0%}", whole, f"{row.rest.covered:.2f} ({row.noise.covered:.2f})",
            f"{row.rest.landmarks:.2f} ({row.noise.landmarks:.2f})", f"{row.rest.picture:.3f} ({row.noise.picture:.3f})",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + f"\n\nSpeech: {', '.join(speech)}."


def put_on(page: Path, text: str) -> None:
    """Between the marks of a page.

    Raises:
        SpaceError: it has no such marks.
    """
    before, mark, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SpaceError(f"{page}: has no marks {BEGIN!r} and {END!r}")
    with atomic_file(page) as part:
        part.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--speech", nargs="+", default=SPEECH, help="names of .wav files of the folder, without suffix")
    parser.add_argument("--portraits", nargs="+", help="the same of pictures (default: all that can be used)")
    parser.add_argument("--jobs", type=int, default=2, help="portraits at a time")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--keep", type=Path, help="leave the videos and tracks there")
    arguments = parser.parse_args()
    setup()
    sounds = [arguments.folder / f"{name}.wav" for name in arguments.speech]
    images = [path for path in sorted(arguments.folder.iterdir()) if path.suffix in PICTURES]
    images = [path for path in images if arguments.portraits is None or path.stem in arguments.portraits]
    with tempfile.TemporaryDirectory() as scratch:
        one = partial(row_of, folder=arguments.keep or Path(scratch), sounds=sounds)
        with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:  # MediaPipe does not survive a fork
            made = list(track(pool.map(one, images), "animate and measure", len(images)))
    print("\n".join(row for row in made if isinstance(row, str)))
    rows = [row for row in made if isinstance(row, Row)]
    text = table(rows, arguments.speech)
    print(text)
    if arguments.page is not None:
        put_on(arguments.page, text)
    short = {row.portrait: row.falls_short for row in rows if row.falls_short}
    for name, limits in short.items():
        print(f"{name} falls short: {', '.join(limits)}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
