"""Draws the pictures of `docs/img`: `python -m docs.make_pictures`, after `dvc repro` (two of them show the default corpus).

They show the public-domain portrait that scikit-image ships and the default corpus, nobody else. `animated`, `talking` and
`landmarks` need no pipeline run; names after the command draw only these: `python -m docs.make_pictures animated`.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut

from pipelines.layout import Layout
from space_data import landmarks as lm
from space_data.facemesh import mesh_of_image
from space_data.media.container import RgbImage
from space_data.media.encode import write_wav
from space_data.media.images import read_image, write_image
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.schema import EMOTIONS
from space_data.synthetic.espeak import Voice, speak
from space_data.timebase import VIDEO_FPS, frame_centre_s
from space_models.animate import animate
from space_models.controls.asked import Controls
from space_models.controls.emotion import parse_emotion
from space_models.tracks import Tracks

HERE = Path(__file__).parent / "img"
SENTENCE = "My brother keeps a blue parrot that whistles whenever the phone rings."
STRIP_MOMENTS = 8
EMOTIONS_SHOWN = ("neutral", "happy:0.8", "sad:0.9", "angry", "surprised:0.8", "disgusted:0.8")
EMOTIONS_MOVING = ("neutral", "happy:0.8", "angry:0.8")
MOVING_SIDE = 280  # pixels
EMOTION_QUANTILE = 0.6  # of the lip opening: the moment in which the emotions are compared
SEED = 3
ENVELOPE_SAMPLES = 80
GROUPS = {
    "jaw 0-16": (lm.JAW, "#4C78A8"), "brows 17-26": (lm.BROWS, "#F58518"), "nose 27-35": (lm.NOSE, "#54A24B"),
    "eyes 36-47": (lm.EYES, "#E45756"), "outer lip 48-59": (lm.MOUTH_OUTER, "#B279A2"),
    "inner lip 60-67": (lm.MOUTH_INNER, "#FF9DA6"), "irises 68-77": (lm.IRISES, "#17BECF"),
}  # fmt: skip


def landmarks_picture() -> None:
    """The 78 points on NASA's portrait of Eileen Collins, and the same face in normalised space with its axes."""
    rgb = astronaut()
    mesh = mesh_of_image(rgb)
    assert mesh is not None
    points = lm.mesh_to_landmarks(mesh[None])
    pose = lm.estimate_pose(mesh[None])
    normalised = lm.normalise(points, pose)[0]
    figure, (left, right) = plt.subplots(1, 2, figsize=(15, 7.6), dpi=110, facecolor="white")
    low, high = points[0, :, :2].min(0) - 18, points[0, :, :2].max(0) + 18
    left.imshow(rgb, interpolation="bicubic")
    left.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]))
    angles = f"yaw {pose.yaw_deg[0]:+.0f}°, pitch {pose.pitch_deg[0]:+.0f}°, roll {pose.roll_deg[0]:+.0f}°"
    left.set_title(f"78 landmarks (pixels)   {angles}")
    left.axis("off")
    for label, (group, colour) in GROUPS.items():
        left.scatter(*points[0, group, :2].T, s=26, color=colour, edgecolors="white", linewidths=0.5, label=label)
        right.scatter(*normalised[group, :2].T, s=22, color=colour)
        for index in group:
            if index not in lm.IRISES or index in (68, 73):
                right.annotate(str(index), normalised[index, :2], textcoords="offset points", xytext=(4, 4), fontsize=7.5)
    left.legend(loc="lower left", fontsize=8, framealpha=0.9)
    for dx, dy, text in ((0.42, 0, "x: image right"), (0, 0.42, "y: down")):
        right.annotate("", xy=(dx, dy), xytext=(0, 0), arrowprops={"arrowstyle": "->", "lw": 2})
        right.annotate(text, (dx, dy), textcoords="offset points", xytext=(6, 4), fontsize=10, weight="bold")
    right.plot(0, 0, "o", mfc="none", mec="black", ms=12)
    right.annotate("z: away from the camera", (0, 0), textcoords="offset points", xytext=(-165, 10), fontsize=10, weight="bold")
    outer = normalised[list(lm.OUTER_EYE_CORNERS)]
    right.annotate("", xy=outer[1, :2] - [0, 0.28], xytext=outer[0, :2] - [0, 0.28], arrowprops={"arrowstyle": "<->"})
    right.annotate("1 = inter-ocular distance", (-0.24, -0.31), fontsize=10)
    right.set_ylim(1.4, -0.38)
    right.set_aspect("equal")
    right.grid(alpha=0.25)
    right.set_title("normalised space: posed = s · R · n + t")
    figure.tight_layout()
    figure.savefig(HERE / "landmarks.png")


def animated_picture() -> None:
    """`space animate` on the same portrait: moments of a sentence over its sound and lip opening; one moment in emotions."""
    figure = plt.figure(figsize=(15, 7.1), dpi=110, facecolor="white")
    rows = figure.add_gridspec(3, 1, height_ratios=(2.05, 0.8, 2.7), hspace=0.1, left=0.01, right=0.99, top=0.96, bottom=0.0)
    with tempfile.TemporaryDirectory() as folder:
        photo, speech = Path(folder) / "portrait.png", Path(folder) / "speech.wav"
        sound = speak(SENTENCE, Voice("en-us", "f2")).audio
        write_image(photo, astronaut())
        write_wav(speech, sound)
        frames, gap = talking(photo, speech, "neutral", "generated")
        moments = _telling_moments(gap, STRIP_MOMENTS)
        strip = rows[0].subgridspec(1, STRIP_MOMENTS, wspace=0.03)
        for column, frame in enumerate(moments):
            axes = figure.add_subplot(strip[column])
            axes.imshow(_face_of(frames[frame]), interpolation="bicubic")
            axes.set_title(f"{frame_centre_s(frame):.1f} s", fontsize=10)
            axes.axis("off")
        _draw_sound(figure.add_subplot(rows[1]), sound, gap, moments)
        emotions = rows[2].subgridspec(1, len(EMOTIONS_SHOWN), wspace=0.03)
        for column, emotion in enumerate(EMOTIONS_SHOWN):
            frames, gap = talking(photo, speech, emotion, "still")
            axes = figure.add_subplot(emotions[column])
            axes.imshow(_face_of(frames[int(np.argsort(gap)[int(EMOTION_QUANTILE * len(gap))])]), interpolation="bicubic")
            axes.set_title(emotion, fontsize=11)
            axes.axis("off")
    figure.savefig(HERE / "animated.jpg", pil_kwargs={"quality": 90})


def moving_picture() -> None:
    """The same sentence in three emotions, moving, for pages that play no video: an animated WebP."""
    with tempfile.TemporaryDirectory() as folder:
        photo, speech = Path(folder) / "portrait.png", Path(folder) / "speech.wav"
        write_image(photo, astronaut())
        write_wav(speech, speak(SENTENCE, Voice("en-us", "f2")).audio)
        shown = [talking(photo, speech, emotion, "generated")[0] for emotion in EMOTIONS_MOVING]
    rows = [np.concatenate([_face_of(rgb) for rgb in moment], axis=1) for moment in zip(*shown, strict=True)]
    size = (MOVING_SIDE * len(shown), MOVING_SIDE)
    first, *others = (Image.fromarray(row).resize(size, Image.Resampling.LANCZOS) for row in rows)
    moving: dict[str, Any] = {"save_all": True, "append_images": others, "duration": round(1000 / VIDEO_FPS), "loop": 0}
    first.save(HERE / "talking.webp", quality=70, method=6, **moving)


def talking(photo: Path, speech: Path, emotion: str, pose: str) -> tuple[list[RgbImage], NDArray[np.float32]]:
    """Frames of the written video, and its lip gap (frames,) as commanded, IOD."""
    with tempfile.TemporaryDirectory() as folder:
        out, tracks = Path(folder) / "out.mp4", Path(folder) / "tracks.parquet"
        asked = Controls(emotion=parse_emotion(emotion), pose=pose)
        animate(image=photo, audio=speech, out=out, tracks=tracks, params=load_params(), controls=asked, seed=SEED)
        return [frame.rgb for frame in decode_video(out)], lm.lip_gap(Tracks.read(tracks).edited)


def _face_of(rgb: RgbImage) -> RgbImage:
    """Head and shoulders of a frame that the crop rule placed."""
    side = rgb.shape[0]
    return rgb[: int(0.76 * side), int(0.13 * side) : int(0.89 * side)]


def _telling_moments(gap: NDArray[np.float32], count: int) -> list[int]:
    """One frame from each of ``count`` equal stretches, by turns the one with the most open and the most closed mouth."""
    stretches = np.array_split(np.arange(len(gap)), count)
    return [int(s[gap[s].argmax() if i % 2 else gap[s].argmin()]) for i, s in enumerate(stretches)]


def _draw_sound(axes: Axes, sound: NDArray[np.float32], gap: NDArray[np.float32], moments: list[int]) -> None:
    """The waveform, the lip opening over it, and where the frames of the strip lie."""
    seconds = frame_centre_s(len(gap) - 1)
    envelope = np.abs(sound[: len(sound) // ENVELOPE_SAMPLES * ENVELOPE_SAMPLES]).reshape(-1, ENVELOPE_SAMPLES).max(axis=1)
    axes.fill_between(np.linspace(0, seconds, len(envelope)), envelope, -envelope, color="#AEBBD8", linewidth=0)
    times_s = [frame_centre_s(frame) for frame in range(len(gap))]
    lips = axes.twinx()
    lips.plot(times_s, gap, color="#C2447C", linewidth=2)
    lips.set_ylim(-0.02, 1.15 * float(gap.max()))
    for frame in moments:
        axes.axvline(times_s[frame], color="#444444", linewidth=0.8, linestyle=":")
        lips.plot(times_s[frame], gap[frame], "o", color="#C2447C")
    axes.text(0.005, 1.12, "speech", color="#6B7FA8", fontsize=11, transform=axes.transAxes, va="top", weight="bold")
    axes.text(0.06, 1.12, "opening of the lips", color="#C2447C", fontsize=11, transform=axes.transAxes, va="top", weight="bold")
    axes.set(xlim=(0, seconds), ylim=(-1.1 * np.abs(sound).max(), 1.1 * np.abs(sound).max()))
    axes.axis("off")
    lips.axis("off")


def corpus_picture() -> None:
    """A frame of each of twelve people of the default corpus, under different emotions."""
    clips = sorted(Path("data/raw/synthetic/clips").glob("*/*/*.mp4"))
    people = sorted({clip.parts[-3] for clip in clips})[:12]
    chosen = [[c for c in clips if c.parts[-3] == person][i % 6] for i, person in enumerate(people)]
    tiles = [next(decode_video(clip, 1.6)).rgb for clip in chosen]
    write_image(HERE / "corpus.jpg", np.concatenate([np.concatenate(tiles[i : i + 6], 1) for i in (0, 6)]))


def emotion_picture() -> None:
    """The strips of stage ``emotion``, two emotions side by side: one person, one moment, rising intensity."""
    strips = {path.stem.partition("-")[2]: read_image(path) for path in sorted(Layout().emotion_strips.glob("*.jpg"))}
    rising = {name: strip for name, strip in strips.items() if name in EMOTIONS}
    figure, axes = plt.subplots(-(-len(rising) // 2), 2, figsize=(13, 6.1), dpi=100, facecolor="white")
    for axis in axes.ravel():
        axis.axis("off")
    for axis, (name, strip) in zip(axes.T.ravel(), rising.items(), strict=False):
        axis.imshow(strip)
        axis.set_title(name, fontsize=11, pad=3)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.955, bottom=0.005, wspace=0.02, hspace=0.16)
    figure.savefig(HERE / "emotion.jpg", pil_kwargs={"quality": 84})


PICTURES = {
    "landmarks": landmarks_picture, "talking": moving_picture, "animated": animated_picture,
    "corpus": corpus_picture, "emotion": emotion_picture,
}  # fmt: skip

if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    np.set_printoptions(precision=3)
    for name in sys.argv[1:] or PICTURES:
        PICTURES[name]()
