"""Pictures and sound of a clip, wherever its corpus keeps them.

A clip may be a whole file, a part of one (HDTF: time stamps and a crop in a downloaded video), or a video with its sound in a
file of its own (VoxCeleb2, RAVDESS, MEAD), here or in a bucket; its paths are whole (``store.located``). Times count from the
clip's start; both files are taken to start together.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from space_data.errors import SpaceError
from space_data.media.container import RgbImage
from space_data.media.sound import Sound, decode_sound
from space_data.media.video import Frame, VideoFacts, decode_video
from space_data.schema import Clip
from space_data.store import local_file
from space_data.timebase import CLOCK_SLACK_S


def has_sound(clip: Clip) -> bool:
    """Whether the clip has an audio stream, in its own file or beside it."""
    return bool(clip.audio_codec)


def crop_of(clip: Clip) -> tuple[int, int, int, int] | None:
    """The part of the picture that is the clip: x0, y0, x1, y1 in whole pixels; None: the whole."""
    x0, y0, x1, y1 = (int(round(float(edge))) for edge in clip.part_crop_px)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def picture_size(clip: Clip) -> tuple[int, int]:
    """Width and height of the clip's pictures, pixels: of the crop if there is one, else what the container says."""
    crop = crop_of(clip)
    return (crop[2] - crop[0], crop[3] - crop[1]) if crop else (clip.width_px, clip.height_px)


def pictures(clip: Clip, at_most_hz: float | None = None, facts: VideoFacts | None = None) -> Iterator[Frame]:
    """The clip's frames (all, or so many per second), upright, cropped as its corpus says; ``pts_s`` from the clip's start.

    What the decoding met is told in ``facts``.

    Raises:
        MediaError: the file cannot be read, or nothing of it decodes.
        SpaceError: the crop lies outside the picture.
    """
    crop = crop_of(clip)
    for frame in decode_video(local_file(clip.path), clip.part_start_s, clip.part_end_s, at_most_hz, facts):
        if crop is None:
            yield frame
            continue
        x0, y0, x1, y1 = crop
        height, width = frame.rgb.shape[:2]
        if not (x0 >= 0 and x1 <= width and y0 >= 0 and y1 <= height):
            raise SpaceError(f"clip {clip.clip_id}: crop ({x0}, {y0}) to ({x1}, {y1}) in a picture of {width}x{height}")
        yield replace(frame, rgb=np.ascontiguousarray(frame.rgb[y0:y1, x0:x1]))


def sound(clip: Clip) -> Sound:
    """The clip's sound, mono at 16 kHz, and what its decoding met; sample 0 is the clip's start.

    Raises:
        MediaError: no audio stream, or nothing of it decodes.
    """
    file = local_file(clip.audio_path or clip.path)
    return decode_sound(file, part_s=(clip.part_start_s, clip.part_end_s), track=clip.audio_track)


class Playhead:
    """Which decoded frame is on screen at a time that never decreases; holds two frames."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self._shown = next(frames, None)
        self._coming = next(frames, None)

    def at(self, time_s: float) -> RgbImage:
        """The last frame that began by ``time_s`` (the first one before any began), as ``timebase.nearest_frames`` chooses."""
        while self._coming is not None and self._coming.pts_s <= time_s + CLOCK_SLACK_S:
            self._shown, self._coming = self._coming, next(self._frames, None)
        if self._shown is None:
            raise SpaceError("video without frames")
        return self._shown.rgb
