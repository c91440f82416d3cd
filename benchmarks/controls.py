"""Do the controls of `space animate` do what they say? Every one is commanded, rendered, and measured again in the pictures.

    python -m benchmarks.controls [--portraits FOLDER] [--audio FILE] [--generator warp] [--plot docs/img/controls.png]

A control runs from 0 to one end, to the other and back in four seconds of speech, all else at rest; the face is then followed in
the rendered frames, and what the same video shows without the control is taken off. Per control: correlation and slope of the
response, mean distance, and what 90 % of the frames stay within, over all portraits. Blinks are found as frames with the least
eye opening; a head at rest is compared with how far the tracker's pose moves while only the lips do.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from space_data import landmarks as lm
from space_data.closures import CLOSED_GAP_IOD
from space_data.errors import SpaceError
from space_data.features import FaceTrack, face_track
from space_data.params import Params, load_params
from space_data.progress import setup, track
from space_data.synthetic.espeak import Voice, speak
from space_data.timebase import AUDIO_HZ, VIDEO_FPS
from space_models.animate import ASSETS
from space_models.controls.asked import Controls
from space_models.controls.gaze import EYE_WIDTHS_PER_RADIAN
from space_models.controls.timeline import Timeline
from space_models.generators import DEFAULT_RENDERER, RENDERERS, find
from space_models.motion import MotionModels, load_motion_models, make_tracks
from space_models.portrait import Portrait, load_portrait
from space_models.posegen.pose import pose_columns
from space_models.rendering import rendered
from space_models.speech_file import Speech, load_speech, speech_features
from space_models.tracks import Tracks

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

Array = NDArray[np.floating]

SECONDS = 4.0
SENTENCE = "We made a bold move about five months before the summer, and people came from everywhere to watch."
REST = {"pose": "still", "blinks": "off", "gaze": "photo"}
BLINK_TIMES_S = (0.8, 1.9, 3.1)


@dataclass(frozen=True)
class Seen:
    """What the pictures show, and the tracks that they were drawn from."""

    face: FaceTrack
    tracks: Tracks
    portrait: Portrait


@dataclass(frozen=True)
class Response:
    """A control that is driven up and down to ``most``: its name in the timeline, its field, and how it is measured."""

    control: str
    field: str
    most: float
    unit: str
    measured: Callable[[Seen], Array]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.control} {self.field.removesuffix('_deg').removesuffix('_iod').replace('_', ' ')}"

    def timeline(self) -> Timeline:
        """0, one end, the other, 0."""
        neutral = 1.0 if self.field in ("scale", "gain") else 0.0
        points = [{"time_s": t, self.field: neutral + self.most * share} for t, share in ((0, 0), (1, 1), (3, -1), (4, 0))]
        return Timeline.model_validate({self.control: points})

    def commanded(self, n_frames: int) -> Array:
        """Against neutral, (n_frames,)."""
        at = np.arange(n_frames) / VIDEO_FPS
        return np.interp(at, [0, 1, 3, 4], [0, self.most, -self.most, 0])


def eye_degrees(seen: Seen, axis: int) -> Array:
    """Of the eyes in the head, as much as the tracker's iris says."""
    return np.rad2deg(lm.gaze(seen.face.normalised)[:, axis] / EYE_WIDTHS_PER_RADIAN) * (-1, 1)[axis]


def corner(seen: Seen, axis: int, sign: int) -> Array:
    """Of the mouth, mean of both sides, IOD."""
    left, right = (seen.face.normalised[:, point, axis] for point in lm.MOUTH_CORNERS)
    return sign * ((right - left) / 2 if axis == 0 else (right + left) / 2)


def pose_column(index: int) -> Callable[[Seen], Array]:
    """One of ``POSE_COLUMNS``."""
    return lambda seen: pose_columns(seen.face.pose)[:, index]


def scale_of(seen: Seen) -> Array:
    """Against the photo's."""
    return np.asarray(seen.face.pose.scale / seen.portrait.pose.scale[0] - 1)


RESPONSES = (
    Response("pose", "yaw_deg", 15, "deg", pose_column(0)),
    Response("pose", "pitch_deg", 10, "deg", pose_column(1)),
    Response("pose", "roll_deg", 12, "deg", pose_column(2)),
    Response("pose", "x_iod", 0.1, "IOD", pose_column(3)),
    Response("pose", "y_iod", 0.1, "IOD", pose_column(4)),
    Response("pose", "scale", 0.05, "of 1", scale_of),
    Response("gaze", "yaw_deg", 25, "deg", lambda seen: eye_degrees(seen, 0)),
    Response("gaze", "pitch_deg", 15, "deg", lambda seen: eye_degrees(seen, 1)),
    Response("face", "brow_up", 0.06, "IOD", lambda seen: -seen.face.normalised[:, lm.BROWS, 1].mean(1)),
    Response("face", "corner_up", 0.04, "IOD", lambda seen: corner(seen, 1, -1)),
    Response("face", "corner_out", 0.04, "IOD", lambda seen: corner(seen, 0, 1)),
    Response("face", "jaw_down", 0.06, "IOD", lambda seen: seen.face.normalised[:, 8, 1]),
)


@dataclass(frozen=True)
class Studio:
    """Renders portraits that speak."""

    models: MotionModels
    renderer: str
    speech: Speech
    params: Params

    def seen(self, portrait: Portrait, controls: Controls) -> Seen:
        """Render and follow the face."""
        tracks = make_tracks(self.models, portrait, self.speech, self.params, controls)
        drawing = find(RENDERERS, self.renderer, "renderer").load(ASSETS, self.params)
        frames = rendered(drawing, drawing.prepare(portrait), tracks.driving(portrait))
        return Seen(face_track(frames), tracks, portrait)


def speech_of(audio: Path | None) -> Speech:
    """Four seconds of it."""
    sound = load_speech(audio).audio if audio is not None else speak(SENTENCE, Voice("en-us", "f2")).audio
    return speech_features(np.resize(sound, round(SECONDS * AUDIO_HZ)))


def portraits_in(folder: Path | None) -> Iterator[tuple[str, Portrait]]:
    """Those of a folder that can be used; without one, scikit-image's."""
    if folder is None:
        from skimage.data import astronaut

        yield "astronaut", load_portrait(astronaut())
        return
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".jpg", ".png"):
            try:
                yield path.stem, load_portrait(path)
            except SpaceError as error:
                print(f"refused: {error}")


def errors_of(commanded: Array, measured: Array) -> dict[str, float]:
    """Of a response."""
    off = np.abs(measured - commanded)
    return {
        "r": float(np.corrcoef(commanded, measured)[0, 1]),
        "slope": float(np.polyfit(commanded, measured, 1)[0]),
        "mean": float(off.mean()),
        "most": float(np.quantile(off, 0.9)),
    }


def blink_errors(seen: Seen, times_s: Sequence[float]) -> list[int]:
    """Frames between each asked time and the least opening within half a second of it."""
    opening = seen.face.eye_opening.mean(1)
    errors = []
    for time_s in times_s:
        asked = round(time_s * VIDEO_FPS)
        around = np.arange(max(asked - 12, 0), min(asked + 13, len(opening)))
        errors.append(int(around[opening[around].argmin()] - asked))
    return errors


def main() -> None:
    """Print the tables, draw the plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--portraits", type=Path, help="folder of pictures (default: scikit-image's astronaut)")
    parser.add_argument("--audio", type=Path, help="speech (default: a sentence by espeak-ng)")
    parser.add_argument("--generator", choices=list(RENDERERS), default=DEFAULT_RENDERER)
    parser.add_argument("--driver", type=Path, help="also a video whose head motion is transferred")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    setup()
    params = load_params()
    studio = Studio(load_motion_models(ASSETS, params), arguments.generator, speech_of(arguments.audio), params)
    n_frames = len(studio.speech)
    found: dict[str, dict[str, Array]] = {response.name: {} for response in RESPONSES}
    people = Table("portrait", "blinks off by", "still", "lips only", "generated yaw r", "transferred r")
    lips = Table("gain", "lip gap", "closed")
    gaps: dict[str, list[tuple[float, float]]] = {}
    for name, portrait in portraits_in(arguments.portraits):
        base = studio.seen(portrait, Controls(**REST))  # type: ignore[arg-type]
        for response in track(RESPONSES, name):
            asked = {key: value for key, value in REST.items() if key != response.control or key == "pose"}
            moved = studio.seen(portrait, Controls(**asked, timeline=response.timeline()))  # type: ignore[arg-type]
            found[response.name][name] = response.measured(moved) - response.measured(base)
        blinking = studio.seen(portrait, Controls(**{**REST, "blinks": ",".join(map(str, BLINK_TIMES_S))}))  # type: ignore[arg-type]
        generated = studio.seen(portrait, Controls(**{**REST, "pose": "generated"}))  # type: ignore[arg-type]
        transferred = "-"
        if arguments.driver is not None:
            driven = studio.seen(portrait, Controls(**{**REST, "pose": str(arguments.driver)}))  # type: ignore[arg-type]
            transferred = " ".join(f"{r:.3f}" for r in yaw_pitch_roll_r(driven))
        people.add_row(
            name, " ".join(map(str, blink_errors(blinking, BLINK_TIMES_S))),
            f"{np.abs(base.tracks.pose).max():.3g}", " ".join(f"{x:.2f}" for x in base.face.pose.as_array()[:, :3].std(0)),
            f"{yaw_pitch_roll_r(generated)[0]:.3f}", transferred,
        )  # fmt: skip
        for label, lips_asked in (
            ("1", {}), ("0.5", {"mouth_gain": 0.5}), ("1.5", {"mouth_gain": 1.5}), ("1, closure 1", {"mouth_closure": 1.0}),
        ):  # fmt: skip
            seen = studio.seen(portrait, Controls(**REST, **lips_asked)) if lips_asked else base  # type: ignore[arg-type]
            gap = lm.lip_gap(seen.face.normalised)
            gaps.setdefault(label, []).append((float(gap.mean()), float((gap < CLOSED_GAP_IOD).mean())))
    table = Table("control", "commanded", "r", "slope", "mean off", "90 % within", "portraits")
    for response in RESPONSES:
        commanded = response.commanded(n_frames)
        each = [errors_of(commanded, measured) for measured in found[response.name].values()]
        mean = {key: float(np.mean([errors[key] for errors in each])) for key in each[0]}
        worst = min(errors["r"] for errors in each)
        table.add_row(
            response.name, f"+-{response.most:g} {response.unit}", f"{mean['r']:.3f} (>= {worst:.3f})", f"{mean['slope']:.2f}",
            f"{mean['mean']:.3g}", f"{mean['most']:.3g}", str(len(each)),
        )  # fmt: skip
    for label, values in gaps.items():
        gap, closed = np.mean(values, axis=0)
        lips.add_row(label, f"{gap:.4f}", f"{closed:.1%}")
    for printed in (table, people, lips):
        Console(width=150).print(printed)
    if arguments.plot is not None:
        draw(found, n_frames, arguments.plot)


def yaw_pitch_roll_r(seen: Seen) -> list[float]:
    """Correlation of the measured head with the tracks', per angle."""
    measured = pose_columns(seen.face.pose)
    return [float(np.corrcoef(seen.tracks.pose[:, i], measured[:, i])[0, 1]) for i in range(3)]


def draw(found: dict[str, dict[str, Array]], n_frames: int, path: Path) -> None:
    """Commanded in grey, each portrait measured."""
    figure, axes = plt.subplots(3, 4, figsize=(13, 7.2), dpi=80, facecolor="white", layout="constrained")
    at_s = np.arange(n_frames) / VIDEO_FPS
    for axis, response in zip(axes.ravel(), RESPONSES, strict=True):
        axis.plot(at_s, response.commanded(n_frames), color="#bbbbbb", linewidth=5, label="commanded")
        for measured in found[response.name].values():
            axis.plot(at_s, measured, linewidth=1, color="#c2447c", alpha=0.7)
        axis.set_title(f"{response.name} ({response.unit})", fontsize=10)
        axis.tick_params(labelsize=8)
    figure.savefig(path)


if __name__ == "__main__":
    main()
