"""Draws a contact sheet per control, `docs/img/sheet-*.jpg`: `python -m docs.make_sheets [NAME ...]`.

The public-domain portrait that scikit-image ships says one sentence; a sheet shows one moment of it under several values of a
control, all else at rest.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from skimage.data import astronaut

from space_data import landmarks as lm
from space_data.params import load_params
from space_data.schema import EMOTIONS
from space_data.synthetic.espeak import Voice, speak
from space_data.timebase import VIDEO_FPS, frame_start_s
from space_models.animate import ASSETS, load_models
from space_models.controls.asked import Controls
from space_models.controls.emotion import parse_emotion
from space_models.controls.timeline import Timeline
from space_models.generators import Driving, Frame
from space_models.motion import make_tracks
from space_models.paste import pasted, renderer_for
from space_models.portrait import load_portrait
from space_models.speech_file import speech_features
from space_models.tracks import Tracks
from space_models.views import side_by_side

HERE = Path(__file__).parent / "img"
SENTENCE = "My brother keeps a blue parrot that whistles whenever the phone rings."
AT_REST: dict[str, Any] = {"pose": "still", "blinks": "off", "gaze": "photo"}
WIDTH_IN, DPI, QUALITY = 10, 100, 82
BLINK_S = 1.0
INTENSITIES = (0.33, 0.66, 1.0)
CHANGE_SHOWN = 4
"""Factor by which the picture of what has changed is brightened."""
Cell = tuple[str, Frame]


@dataclass(frozen=True)
class Studio:
    """The portrait and its sentence; `models` and `portrait` as their functions give them."""

    params: Any
    models: Any
    portrait: Any
    speech: Any

    @staticmethod
    def open() -> "Studio":
        """With the shipped models."""
        params = load_params()
        sound = speak(SENTENCE, Voice("en-us", "f2")).audio
        return Studio(params, load_models(ASSETS, params), load_portrait(astronaut(), "astronaut"), speech_features(sound))

    def tracks(self, **controls: Any) -> Tracks:
        """Of the sentence, at rest but for what is named."""
        asked = Controls(**{**AT_REST, **controls})
        return make_tracks(self.models.motion, self.portrait, self.speech, self.params, asked)

    def frames(self, tracks: Tracks, numbers: Sequence[int]) -> list[Frame]:
        """Some of them, drawn."""
        drawing, driving = self.models.drawing, tracks.driving(self.portrait)
        state = drawing.prepare(self.portrait)
        return [next(drawing.render(state, one_frame(driving, number))) for number in numbers]

    def at(self, frame: int, **controls: Any) -> Frame:
        """One, drawn."""
        return self.frames(self.tracks(**controls), [frame])[0]

    def frame_by_opening(self, quantile: float) -> int:
        """The one whose lips are as far open as that share of frames at most."""
        gap = lm.lip_gap(self.tracks().edited)
        return int(np.argsort(gap)[round(quantile * (len(gap) - 1))])


def one_frame(driving: Driving, number: int) -> Driving:
    """Of what drives a face."""
    return driving[number : number + 1]


def line(**controls: dict[str, float]) -> Timeline:
    """Held from the first frame to the last."""
    return Timeline.model_validate({name: [{"time_s": 0, **values}] for name, values in controls.items()})


def head(studio: Studio) -> list[list[Cell]]:
    """Yaw, pitch and roll."""
    frame = studio.frame_by_opening(0.3)
    rows = []
    for axis, most in (("yaw", 15), ("pitch", 10), ("roll", 12)):
        values = np.linspace(-most, most, 5)
        poses = [line(pose={f"{axis}_deg": float(value)}) for value in values]
        rows.append([(f"{axis} {v:+g}°", head_of(studio.at(frame, timeline=t))) for v, t in zip(values, poses, strict=True)])
    return rows


def blinks(studio: Studio) -> list[list[Cell]]:
    """Every frame of one."""
    middle = round(BLINK_S * VIDEO_FPS)
    numbers = range(middle - 4, middle + 8)
    frames = studio.frames(studio.tracks(blinks=f"{BLINK_S},"), numbers)
    cells = [(f"{1000 * (frame_start_s(n) - BLINK_S):+.0f} ms", eyes_of(frame)) for n, frame in zip(numbers, frames, strict=True)]
    return [cells[:6], cells[6:]]


def gaze(studio: Studio) -> list[list[Cell]]:
    """Directions, and the eyes that stay on the camera while the head turns."""
    frame = studio.frame_by_opening(0.3)
    asked = ("-25,0", "-12,0", "0,0", "12,0", "25,0"), ("0,-20", "0,-10", "0,0", "0,10", "0,20")
    rows = [[(f"gaze {value}", eyes_of(studio.at(frame, gaze=value))) for value in row] for row in asked]
    turned = [(-15, "camera"), (-15, "photo"), (0, "camera"), (15, "photo"), (15, "camera")]
    poses = [line(pose={"yaw_deg": yaw}) for yaw, _ in turned]
    held = [
        (f"{gaze}, yaw {yaw:+d}°", eyes_of(studio.at(frame, gaze=gaze, timeline=pose)))
        for (yaw, gaze), pose in zip(turned, poses, strict=True)
    ]
    return [*rows, held]


def emotions(studio: Studio) -> list[list[Cell]]:
    """Every emotion at three intensities, beside the neutral one."""
    frame = studio.frame_by_opening(0.6)
    named = [name for name in EMOTIONS if name != "neutral"]
    neutral = ("neutral", face_of(studio.at(frame)))

    def shown(name: str, intensity: float) -> Cell:
        return f"{name} {intensity:g}", face_of(studio.at(frame, emotion=parse_emotion(f"{name}:{intensity}")))

    return [[neutral, *(shown(name, intensity) for name in named)] for intensity in INTENSITIES]


def mouth(studio: Studio) -> list[list[Cell]]:
    """Gain at a wide moment, closure at a nearly closed one."""
    wide, narrow = studio.frame_by_opening(0.95), studio.frame_by_opening(0.2)
    gains = [(f"gain {gain:g}", face_of(studio.at(wide, mouth_gain=gain))) for gain in (0, 0.5, 1, 1.5, 2)]
    closures = [(f"closure {value:g}", face_of(studio.at(narrow, mouth_closure=value))) for value in (0, 0.25, 0.5, 0.75, 1)]
    return [gains, closures]


def groups(studio: Studio) -> list[list[Cell]]:
    """Brows, corners of the mouth, jaw."""
    frame = studio.frame_by_opening(0.3)
    rows = []
    for name, most in (("brow_up", 0.06), ("corner_up", 0.04), ("corner_out", 0.04), ("jaw_down", 0.06)):
        values = [(value, line(face={name: value})) for value in (-most, 0.0, most)]
        rows.append([(f"{name} {value:+g}", face_of(studio.at(frame, timeline=t))) for value, t in values])
    return [left + right for left, right in zip(rows[::2], rows[1::2], strict=True)]


def paste_back(studio: Studio) -> list[list[Cell]]:
    """The whole photo, with the face in it, and what has changed."""
    moved = studio.tracks(emotion=parse_emotion("happy:0.6"), timeline=line(pose={"yaw_deg": 8, "roll_deg": 6}))
    drawing = renderer_for(studio.models.entry, studio.portrait, ASSETS, studio.params)
    driving = one_frame(moved.driving(studio.portrait), studio.frame_by_opening(0.9))
    [whole] = pasted(drawing.render(drawing.prepare(studio.portrait), driving), studio.portrait)
    photo = studio.portrait.picture
    change = np.abs(whole.astype(np.int16) - photo)
    shown = np.clip(CHANGE_SHOWN * change, 0, 255).astype(np.uint8)
    return [[("photo", photo), ("--paste-back, yaw 8°, roll 6°", whole), (f"difference x {CHANGE_SHOWN}", shown)]]


def compare(studio: Studio) -> list[list[Cell]]:
    """A frame of `--compare`."""
    tracks = studio.tracks(emotion=parse_emotion("happy:0.8"), timeline=line(pose={"yaw_deg": 8}))
    number = studio.frame_by_opening(0.9)
    driving = one_frame(tracks.driving(studio.portrait), number)
    [frame] = side_by_side(studio.portrait, driving, studio.frames(tracks, [number]))
    return [[("photo, landmarks, result", frame)]]


def head_of(rgb: Frame) -> Frame:
    """Head and collar of a frame that the crop rule placed."""
    side = rgb.shape[0]
    return rgb[: int(0.76 * side), int(0.13 * side) : int(0.89 * side)]


def face_of(rgb: Frame) -> Frame:
    """Brows to chin of such a frame."""
    side = rgb.shape[0]
    return rgb[int(0.26 * side) : int(0.74 * side), int(0.28 * side) : int(0.72 * side)]


def eyes_of(rgb: Frame) -> Frame:
    """Both eyes and the brows of such a frame."""
    side = rgb.shape[0]
    return rgb[int(0.27 * side) : int(0.48 * side), int(0.29 * side) : int(0.73 * side)]


SHEETS: dict[str, Callable[[Studio], list[list[Cell]]]] = {
    "head": head, "blinks": blinks, "gaze": gaze, "emotions": emotions, "mouth": mouth, "groups": groups,
    "paste-back": paste_back, "compare": compare,
}  # fmt: skip


def draw(name: str, rows: list[list[Cell]]) -> None:
    """Cells under their labels, `docs/img/sheet-NAME.jpg`."""
    height, width = rows[0][0][1].shape[:2]
    cell_in = WIDTH_IN / len(rows[0])
    size = WIDTH_IN, (cell_in * height / width + 0.2) * len(rows)
    figure, axes = plt.subplots(len(rows), len(rows[0]), figsize=size, dpi=DPI, squeeze=False, facecolor="white")
    for axis, (label, frame) in zip(axes.ravel(), (cell for row in rows for cell in row), strict=True):
        axis.imshow(frame, interpolation="bicubic", aspect="auto")
        axis.set_title(label, fontsize=9, pad=2)
        axis.axis("off")
    figure.subplots_adjust(0, 0, 1, 1 - 0.2 / size[1], 0.02, 0.2 / (cell_in * height / width))
    figure.savefig(HERE / f"sheet-{name}.jpg", pil_kwargs={"quality": QUALITY, "optimize": True})
    plt.close(figure)


if __name__ == "__main__":
    studio = Studio.open()
    for name in sys.argv[1:] or SHEETS:
        draw(name, SHEETS[name](studio))
