"""Draws the pictures of `docs/`: `python docs/make_pictures.py`, after `dvc repro` (one of them shows the default corpus)."""

import tempfile
from pathlib import Path

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from skimage.data import astronaut

from space_data import landmarks as lm
from space_data.facemesh import mesh_of_image
from space_data.media import decode_video, picture_at, write_image, write_wav
from space_data.params import load_params
from space_data.synthetic.espeak import Voice, speak
from space_models.animate import animate

HERE = Path(__file__).parent / "img"
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
    """Frames of `space animate` on the same portrait, saying an English sentence neutrally, happily and sadly."""
    sentence = "My brother keeps a blue parrot that whistles whenever the phone rings."
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        photo, speech = Path(folder) / "portrait.png", Path(folder) / "speech.wav"
        write_image(photo, astronaut())
        write_wav(speech, speak(sentence, Voice("en-us", "f2")).audio)
        for emotion in ("neutral", "happy:1.0", "sad:1.0"):
            out = Path(folder) / "out.mp4"
            animate(image=photo, audio=speech, out=out, params=load_params(), emotion=emotion, seed=3)
            frames = [frame.rgb for frame in decode_video(out)]
            shown = np.linspace(6, len(frames) - 8, 7).astype(int)
            rows.append(np.concatenate([cv2.resize(frames[i], (220, 220), interpolation=cv2.INTER_AREA) for i in shown], 1))
    write_image(HERE / "animated.jpg", np.concatenate(rows))


def corpus_picture() -> None:
    """A frame of each of twelve people of the default corpus, under different emotions."""
    clips = sorted(Path("data/raw/synthetic/clips").glob("*/*/*.mp4"))
    people = sorted({clip.parts[-3] for clip in clips})[:12]
    chosen = [[c for c in clips if c.parts[-3] == person][i % 6] for i, person in enumerate(people)]
    tiles = [picture_at(clip, 1.6) for clip in chosen]
    write_image(HERE / "corpus.jpg", np.concatenate([np.concatenate(tiles[i : i + 6], 1) for i in (0, 6)]))


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    np.set_printoptions(precision=3)
    landmarks_picture()
    animated_picture()
    corpus_picture()
