"""``space inspect TRACKS``: a page that shows what drives a face, and a video of its landmarks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.blocks import Figure, Gallery, Media, Stat, Stats
from evaluation.html import Page, provenance
from space_data import landmarks as lm
from space_data import progress
from space_data.closures import CLOSED_GAP_IOD
from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack, posed
from space_data.media.encode import write_video
from space_data.media.video import decode_video
from space_data.schema import EMOTIONS, emotion_known
from space_data.timebase import VIDEO_FPS, frame_start_s
from space_models.generators import Frame
from space_models.portrait import load_portrait
from space_models.posegen.pose import POSE_COLUMNS, apply_pose
from space_models.tracks import SCALARS, Tracks
from space_models.views import sketch

PAPER_SCALE_PX, PAPER_CENTRE_PX = 150.0, (256.0, 200.0, 0.0)
"""Of landmarks that are drawn without a photo: pixels per IOD, and where the middle between the eyes lies."""
VIDEO_NAME = "landmarks.mp4"


@dataclass(frozen=True)
class Curves:
    """Lines of one plot over time."""

    title: str
    unit: str
    lines: dict[str, NDArray[np.floating]]

    def figure(self) -> Figure:
        """In seconds."""
        import plotly.graph_objects as go

        plot = go.Figure()
        for name, values in self.lines.items():
            seconds = np.arange(len(values)) / VIDEO_FPS
            plot.add_scatter(x=seconds.round(2), y=np.asarray(values, np.float64).round(4), name=name, mode="lines")
        plot.update_layout(xaxis_title="s", yaxis_title=self.unit, showlegend=len(self.lines) > 1, hovermode="x unified")
        return Figure(plot, title=self.title, height_px=280)


def curves_of(tracks: Tracks) -> list[Curves]:
    """The plots of tracks: what hardly changes has none."""
    gaps = {"spoken": lm.lip_gap(tracks.spoken), "after the edits": lm.lip_gap(tracks.edited)}
    gaze = {"yaw (+ to the image left)": tracks.gaze_deg[:, 0], "pitch (+ down)": tracks.gaze_deg[:, 1]}
    columns = dict(zip(POSE_COLUMNS, tracks.pose.T, strict=True))
    angles = {name.removesuffix("_deg"): values for name, values in columns.items() if name.endswith("_deg")}
    travel = {name: values for name, values in columns.items() if not name.endswith("_deg")}
    known = bool(emotion_known(tracks.emotion[0]))
    emotions = {name: tracks.emotion[:, i] for i, name in enumerate(EMOTIONS) if known and tracks.emotion[:, i].any()}
    others = {name: getattr(tracks, name) for name in SCALARS if name != "lids" and np.ptp(getattr(tracks, name))}
    opening = {"opening": lm.eye_aspect_ratio(tracks.edited).mean(1), "lids (share closed)": tracks.lids}
    found = [
        Curves("Opening of the lips", "IOD", gaps), Curves("Head against the photo", "degrees", angles),
        Curves("Travel and size of the head", "IOD, log", travel), Curves("Eyes", "", opening),
        Curves("Gaze in the picture, against the photo's", "degrees", gaze), Curves("Emotion", "intensity", emotions),
        Curves("Other controls", "", others),
    ]  # fmt: skip
    return [curves for curves in found if any(np.abs(values).max() > 0 for values in curves.lines.values())]


def page_of(tracks: Tracks, source: Path) -> Page:
    """The page; its video lies beside it."""
    gap = lm.lip_gap(tracks.edited)
    page = Page(source.name, "What drives the face, frame by frame", eyebrow="SPACE tracks")
    section = page.section("At a glance")
    section.add(
        Stats(
            [
                Stat("length", f"{frame_start_s(len(tracks)):.2f} s", f"{len(tracks)} frames"),
                Stat("made as far as", tracks.stage, tracks.latents_of or "no latents"),
                Stat("lips closed", f"{(gap < CLOSED_GAP_IOD).mean():.0%}", f"opening up to {gap.max():.2f} IOD"),
                Stat("head turns", f"{np.ptp(tracks.pose[:, 0]):.0f}°", f"pitch {np.ptp(tracks.pose[:, 1]):.0f}°"),
            ]
        ),
        Gallery([Media(VIDEO_NAME, "landmarks")]),
    )
    page.section("Over time").add(*(curves.figure() for curves in curves_of(tracks)))
    page.provenance = provenance({"tracks": str(source)})
    return page


def drawn(tracks: Tracks, image: Path | None, video: Path | None) -> Iterator[Frame]:
    """Landmarks as lines: on paper, as they lie on the photo ``image``, or over the ``video`` that was rendered of it."""
    if image is None:
        scale = np.full(1, PAPER_SCALE_PX, np.float32)
        zero, centre = np.zeros(1, np.float32), np.array([PAPER_CENTRE_PX], np.float32)
        points = posed(tracks.edited, apply_pose(tracks.pose, PoseTrack(zero, zero, zero, scale, centre)))
    else:
        portrait = load_portrait(image)
        points = tracks.for_portrait(portrait).driving(portrait).posed
    if video is None:
        yield from (sketch(each, CROP_SIZE_PX) for each in points)
        return
    for each, frame in zip(points, decode_video(video), strict=False):
        height, width = frame.rgb.shape[:2]
        if height != width:
            raise SpaceError(f"{video}: {width}x{height}, need the square video that `space animate` rendered of the photo")
        yield sketch(each * (width / CROP_SIZE_PX), width, frame.rgb)


def inspect(tracks: Path, out: Path | None, image: Path | None, video: Path | None) -> Path:
    """Write the page and the video into ``out`` (None: a folder beside the tracks); the page.

    Raises:
        SpaceError: no tracks, no photo for a video, or a video that is not square.
    """
    if video is not None and image is None:
        raise SpaceError("inspect: --video needs --image, the photo that it was rendered of")
    read = Tracks.read(tracks)
    folder = out or tracks.with_name(f"{tracks.stem}-inspect")
    write_video(folder / VIDEO_NAME, progress.track(drawn(read, image, video), "landmarks", len(read)))
    page_of(read, tracks).write(folder / "index.html")
    return folder / "index.html"
