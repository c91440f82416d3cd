"""What a container says of itself, and what its packets say, read without decoding more than one picture."""

import os
from dataclasses import dataclass
from typing import Any

import av

from space_data.media.container import MediaError, audio_stream, default_track, may_restart, open_media, timed_streams, tracks
from space_data.media.timeline import timeline_of
from space_data.media.video import Orientation, colours, first_frame, square_width


@dataclass(frozen=True)
class MediaInfo:
    """Of the streams that are used: the default track of each kind, or the track of sound that was asked for."""

    duration_s: float
    """the whole file's by its header, which promises it; 0: it makes no promise"""
    promised_video_s: float
    """end of the pictures by the header, on the file's time line; 0: it says nothing about them alone"""
    packets_end_s: float
    """end of the last packet of pictures that is meant to be shown"""
    has_video: bool
    has_audio: bool
    width: int
    height: int
    """of the upright first picture, in square pixels"""
    rotation_deg: int
    """by which the stored picture is turned clockwise to be upright, after it was mirrored, if it is"""
    is_mirrored: bool
    colours: str
    """``pq``, ``hlg`` (both HDR) or ``wide`` (gamut), which are mapped to BT.709; empty: nothing is"""
    is_interlaced: bool
    """so says the first picture"""
    fps: float
    header_frames: int
    """as the header counts them; 0: it does not"""
    shown_frames: int
    """packets of pictures in the file that are meant to be shown"""
    hidden_frames: int
    """packets that only lead up to the first shown one, after a cut without encoding"""
    restarts: int
    """how often the time stamps start again: recordings joined end to end"""
    jumped_s: float
    """time without any packet that was closed up, because a clock jumped ahead"""
    video_tracks: int
    audio_tracks: int
    """how many there are to choose from; cover art is none"""
    video_codec: str
    pixel_format: str
    video_start_s: float
    audio_codec: str
    audio_hz: int
    audio_channels: int
    audio_start_s: float


def probe(path: os.PathLike[str] | str, audio_track: int | None = None) -> MediaInfo:
    """Read the header of ``path``, all its packets, and the first picture for its turn and shape.

    Args:
        path: the file.
        audio_track: number of the sound track to use, from 0; None: the default one.

    Raises:
        MediaError: the file is missing, empty, not media, has no such track, or has a video stream without a decodable frame.
    """
    with open_media(path) as container:
        video, audio = default_track(container.streams.video), audio_stream(container, path, audio_track)
        if video is None and audio is None:
            raise MediaError(f"{path}: neither pictures nor sound that can be decoded (only cover art or subtitles?)")
        line = timeline_of(path, container, timed_streams(container))
        first = first_frame(container, video, path) if video is not None else None
        turned = Orientation.of(first) if first is not None else Orientation(0, False)
        shape = (square_width(first, video), first.height) if first is not None else (0, 0)
        width, height = shape[::-1] if turned.is_on_its_side else shape
        promises = not may_restart(container)  # else the "duration" is taken from stamps that may lie
        video_start_s, audio_start_s = (_start_s(stream, line.zero_s) for stream in (video, audio))
        return MediaInfo(
            duration_s=container.duration / av.time_base if container.duration and promises else 0.0,
            promised_video_s=video_start_s + float(video.duration * video.time_base)
            if video is not None and video.duration and promises else 0.0,
            packets_end_s=line.ends_s[video.index] if video is not None else 0.0,
            has_video=video is not None,
            has_audio=audio is not None,
            width=width,
            height=height,
            rotation_deg=turned.clockwise_deg,
            is_mirrored=turned.is_mirrored,
            colours=colours(first) if first is not None else "",
            is_interlaced=first.interlaced_frame if first is not None else False,
            fps=float(video.average_rate or 0) if video is not None else 0.0,
            header_frames=video.frames if video is not None else 0,
            shown_frames=line.shown[video.index] if video is not None else 0,
            hidden_frames=line.hidden[video.index] if video is not None else 0,
            restarts=line.restarts,
            jumped_s=line.jumped_s,
            video_tracks=len(tracks(container.streams.video)),
            audio_tracks=len(tracks(container.streams.audio)),
            video_codec=video.codec_context.name if video is not None else "",
            pixel_format=(video.codec_context.pix_fmt or "") if video is not None else "",
            video_start_s=video_start_s,
            audio_codec=audio.codec_context.name if audio is not None else "",
            audio_hz=audio.codec_context.sample_rate if audio is not None else 0,
            audio_channels=audio.codec_context.channels if audio is not None else 0,
            audio_start_s=audio_start_s,
        )  # fmt: skip


def _start_s(stream: Any | None, zero_s: float) -> float:
    """When a stream starts by its header, on the file's time line."""
    return float(stream.start_time * stream.time_base) - zero_s if stream is not None and stream.start_time is not None else 0.0


def stream_lengths(path: os.PathLike[str] | str) -> tuple[float | None, float | None]:
    """Length of the pictures and of the sound by the header, seconds; None: no such stream, or no word on it.

    Raises:
        MediaError: the file is missing, empty or not media.
    """
    with open_media(path) as container:
        chosen = default_track(container.streams.video), default_track(container.streams.audio)
        lengths = [float(s.duration * s.time_base) if s is not None and s.duration else None for s in chosen]
    return lengths[0], lengths[1]


def probe_audio_hz(path: os.PathLike[str] | str, audio_track: int | None = None) -> int:
    """Sample rate that the sound was recorded at.

    Raises:
        MediaError: not media, or no audio stream.
    """
    with open_media(path) as container:
        stream = audio_stream(container, path, audio_track)
        if stream is None:
            raise MediaError(f"{path}: no audio stream")
        return stream.codec_context.sample_rate
