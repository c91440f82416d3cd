"""What a container says of itself, read without decoding more than one picture."""

from dataclasses import dataclass
from pathlib import Path

import av

from space_data.media.container import MediaError, _first, _open, _reason, _start_s, _zero_s
from space_data.media.video import _display_shape


@dataclass(frozen=True)
class MediaInfo:
    """What the container's header says; nothing here has been checked by decoding except that a first frame exists."""

    duration_s: float
    has_video: bool
    has_audio: bool
    width: int
    height: int
    rotation_deg: int
    fps: float
    header_frames: int
    video_codec: str
    pixel_format: str
    video_start_s: float
    audio_codec: str
    audio_hz: int
    audio_channels: int
    audio_start_s: float


def probe(path: Path | str) -> MediaInfo:
    """Read the header of ``path`` and decode one frame for its rotation and shape.

    Raises:
        MediaError: the file is missing, empty, not media, or has a video stream without a decodable frame.
    """
    with _open(path) as container:
        zero_s = _zero_s(container)
        video, audio = _first(container.streams.video), _first(container.streams.audio)
        duration_s = container.duration / av.time_base if container.duration else 0.0
        width = height = rotation = 0
        if video is not None:
            video.codec_context.thread_count = 1
            try:
                first = next(container.decode(video))
            except (av.FFmpegError, StopIteration) as error:
                raise MediaError(f"{path}: video stream without a decodable frame ({_reason(error)})") from error
            rotation = int(round(first.rotation)) % 360
            height, width = _display_shape(first, video, rotation)
        return MediaInfo(
            duration_s=duration_s,
            has_video=video is not None,
            has_audio=audio is not None,
            width=width,
            height=height,
            rotation_deg=rotation,
            fps=float(video.average_rate or 0) if video is not None else 0.0,
            header_frames=video.frames if video is not None else 0,
            video_codec=video.codec_context.name if video is not None else "",
            pixel_format=(video.codec_context.pix_fmt or "") if video is not None else "",
            video_start_s=_start_s(video, zero_s) if video is not None else 0.0,
            audio_codec=audio.codec_context.name if audio is not None else "",
            audio_hz=audio.codec_context.sample_rate if audio is not None else 0,
            audio_channels=audio.codec_context.channels if audio is not None else 0,
            audio_start_s=_start_s(audio, zero_s) if audio is not None else 0.0,
        )


def stream_lengths(path: Path | str) -> tuple[float | None, float | None]:
    """Length of the first video and of the first audio stream by the header, seconds; None: no such stream, or no word on it.

    Raises:
        MediaError: the file is missing, empty or not media.
    """
    with _open(path) as container:
        lengths = [
            float(streams[0].duration * streams[0].time_base) if streams and streams[0].duration else None
            for streams in (container.streams.video, container.streams.audio)
        ]
    return lengths[0], lengths[1]


def probe_audio_hz(path: Path | str) -> int:
    """Sample rate that the first audio stream was recorded at.

    Raises:
        MediaError: not media, or no audio stream.
    """
    with _open(path) as container:
        stream = _first(container.streams.audio)
        if stream is None:
            raise MediaError(f"{path}: no audio stream")
        return stream.codec_context.sample_rate
