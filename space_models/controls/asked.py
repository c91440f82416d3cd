"""What is asked for, in flags, in Python or in a timeline, as columns of tracks."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.params import Animate
from space_models.controls.blinks import BLINK_RANGE_S, USUAL_BLINK_S, blink_times, blinks_at, parse_blinks
from space_models.controls.driving_video import DrivingVideo, read_driving_video
from space_models.controls.gaze import CAMERA, GENERATED, PHOTO, gaze_track, parse_gaze, to_camera_deg
from space_models.controls.head import STILL, TABLES
from space_models.controls.timeline import Timeline, sampled
from space_models.portrait import Portrait

Array = NDArray[np.float32]

MOST_GAIN, MOST_OFFSET_DEG, MOST_STRENGTH = 3.0, 45.0, 3.0


@dataclass(frozen=True)
class Controls:
    """What the user names; None: the default, or what the tracks hold that are rendered again. Checked when made.

    Raises:
        SpaceError: a value that is out of range or cannot be read, or a control that flag and timeline both name.
    """

    emotion: Array | None = None
    """mixture (9,), or one per frame (T, 9)"""
    pose: str | None = None
    """``still``, ``generated``, or a file: .csv, .parquet, or a video"""
    pose_strength: float | None = None
    """factor on the head's motion"""
    pose_offset_deg: tuple[float, float, float] | None = None
    """yaw, pitch, roll, added"""
    blinks: str | None = None
    """``off``, per minute, times in s with a comma, or a video"""
    blink_s: float | None = None
    """how long one lasts"""
    gaze: str | None = None
    """``generated``, ``camera``, ``photo`` or ``YAW,PITCH`` in degrees"""
    mouth_gain: float | None = None
    mouth_closure: float | None = None
    timeline: Timeline | None = None

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("pose strength", self.pose_strength, 0.0, MOST_STRENGTH), ("mouth gain", self.mouth_gain, 0.0, MOST_GAIN),
            ("mouth closure", self.mouth_closure, 0.0, 1.0), ("blink duration", self.blink_s, *BLINK_RANGE_S),
        ):  # fmt: skip
            if value is not None and not low <= value <= high:
                raise SpaceError(f"{name} {value:g}: need {low:g} to {high:g}")
        if self.pose_offset_deg is not None and not max(map(abs, self.pose_offset_deg)) <= MOST_OFFSET_DEG:
            raise SpaceError(f"pose offset {self.pose_offset_deg}: need {-MOST_OFFSET_DEG:g} to {MOST_OFFSET_DEG:g} degrees")
        if self.blinks is not None and not Path(self.blinks).is_file():
            parse_blinks(self.blinks)
        if self.gaze is not None:
            parse_gaze(self.gaze)
        if self.pose not in (None, STILL, GENERATED) and not Path(self.pose or "").is_file():
            raise SpaceError(f"pose {self.pose!r}: no such file, need 'generated', 'still', a .csv or .parquet, or a video")
        mouth = self.mouth_closure if self.mouth_gain is None else self.mouth_gain
        flags = {"emotion": self.emotion, "blinks": self.blinks, "gaze": self.gaze, "mouth": mouth}
        for name in sorted(self.timeline.named if self.timeline else ()):
            if flags.get(name) is not None:
                raise SpaceError(f"{name}: named by a flag and in the timeline, need one of the two")

    @property
    def named(self) -> bool:
        """Whether anything is."""
        return any(getattr(self, f.name) is not None for f in fields(self))

    @property
    def names_pose(self) -> bool:
        """Whether the head's motion is to change."""
        in_line = self.timeline is not None and self.timeline.pose is not None
        return in_line or any(value is not None for value in (self.pose, self.pose_strength, self.pose_offset_deg))

    def added_pose(self, n_frames: int) -> Array:
        """Offset and timeline, (n_frames, 6)."""
        added = np.zeros((n_frames, 6), np.float32)
        added[:, :3] += self.pose_offset_deg or (0.0, 0.0, 0.0)
        if self.timeline is not None and self.timeline.pose is not None:
            points = sampled(self.timeline.pose, n_frames)
            points[:, 5] = np.log(points[:, 5])
            added += points
        return added

    def columns(
        self, portrait: Portrait, n_frames: int, seed: int, settings: Animate, videos: "DrivingVideos", complete: bool
    ) -> dict[str, Array]:
        """Columns of ``Tracks`` by name, n_frames each: of what is named, and with ``complete`` the defaults of the rest.

        Sub-seeds keep the parts independent: without head motion the blinks stay where they were.
        """
        line = self.timeline or Timeline()
        found: dict[str, Array] = {}
        if line.emotion is not None:
            found["emotion"] = sampled(line.emotion, n_frames)
        elif self.emotion is not None:
            found["emotion"] = np.broadcast_to(np.asarray(self.emotion, np.float32), (n_frames, self.emotion.shape[-1])).copy()
        lids = self._blinks(n_frames, seed, settings, videos, complete)
        if line.lids is not None:
            held = sampled(line.lids, n_frames)[:, 0]
            lids = held if lids is None else np.maximum(lids, held)
        if lids is not None:
            found["lids"] = lids
        if line.gaze is not None:
            found["gaze_deg"] = sampled(line.gaze, n_frames) + to_camera_deg(portrait)
        elif self.gaze is not None or complete:
            found["gaze_deg"] = self._gaze(portrait, n_frames, seed, settings)
        if line.mouth is not None:
            found["mouth_gain"], found["closure"] = sampled(line.mouth, n_frames).T
        for name, value in (("mouth_gain", self.mouth_gain), ("closure", self.mouth_closure)):
            if value is not None:
                found[name] = np.full(n_frames, value, np.float32)
        if line.face is not None:
            found |= dict(zip(("brow_up", "corner_up", "corner_out", "jaw_down"), sampled(line.face, n_frames).T, strict=True))
        return found

    def _blinks(self, n_frames: int, seed: int, settings: Animate, videos: "DrivingVideos", complete: bool) -> Array | None:
        line, duration_s = self.timeline, self.blink_s or USUAL_BLINK_S
        if line is not None and line.blinks is not None:
            return blinks_at([b.time_s for b in line.blinks], n_frames, [b.duration_s for b in line.blinks])
        if self.blinks is None and self.blink_s is None and not complete:
            return None
        if self.blinks is not None and Path(self.blinks).is_file():
            return videos.of(self.blinks).lids(n_frames)
        asked = settings.blinks_per_min if self.blinks is None else parse_blinks(self.blinks)
        drawn = blink_times(np.random.default_rng([seed, 1]), n_frames, asked) if isinstance(asked, float) else asked
        return blinks_at(drawn, n_frames, duration_s)

    def _gaze(self, portrait: Portrait, n_frames: int, seed: int, settings: Animate) -> Array:
        asked = parse_gaze(self.gaze or GENERATED)
        if asked == GENERATED:
            return gaze_track(n_frames, np.random.default_rng([seed, 2]), settings.at_camera_share)
        if asked == PHOTO:
            return np.zeros((n_frames, 2), np.float32)
        direction = (0.0, 0.0) if asked == CAMERA else np.array(asked, np.float32)
        return np.tile(to_camera_deg(portrait) + direction, (n_frames, 1)).astype(np.float32)


class DrivingVideos:
    """Videos that drive, each followed once however many controls take after it."""

    def __init__(self) -> None:
        self._read: dict[str, DrivingVideo] = {}

    def of(self, path: str) -> DrivingVideo:
        """The video at ``path``."""
        if path not in self._read:
            self._read[path] = read_driving_video(Path(path))
        return self._read[path]


def is_table(path: str) -> bool:
    """Whether a file of head motion is a table, and not a video."""
    return Path(path).suffix.lower() in TABLES
