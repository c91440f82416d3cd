"""Opening media files with PyAV (which brings FFmpeg), and choosing their streams as players do."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.format import Flags
from av.stream import Disposition
from numpy.typing import NDArray

from space_data.errors import SpaceError

av.logging.set_level(av.logging.PANIC)

RgbImage = NDArray[np.uint8]
"""Height x width x 3, red first."""

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "flv", "live_flv", "asf", "ogg", "mxf", "nut", "gxf",
    "rm", "dv", "ivf", "wtv", "nsv", "swf", "dhav", "pva", "4xm", "h264", "hevc", "vvc", "obu", "av1", "m4v", "mpegvideo",
    "mjpeg", "h263", "h261", "vc1", "dirac", "yuv4mpegpipe", "gif", "apng", "wav", "w64", "aiff", "au", "caf", "mp3", "aac",
    "flac", "amr", "amrnb", "amrwb", "ac3", "eac3", "dts", "dtshd", "truehd", "mlp", "latm", "loas", "wv", "ape", "tta", "tak",
    "mpc", "mpc8", "shn", "voc", "qcp", "gsm", "spx", "dsf", "ircam", "nistsphere", "sox", "xwma", "iamf", "rso", "avr", "ilbc",
    "adx", "oma", "smjpeg",
)  # fmt: skip
"""Containers and bare streams that hold their own data. Scripts that name other files or addresses (concat, hls, dash, sdp, imf),
devices and single pictures are not among them: a text file called .mp4 must not make us open what it lists."""

LARGEST_PX = 100_000_000
"""Of a picture, still or moving: a few bytes can promise any size, whose memory would then be asked for."""
MOST_STREAMS = 500
"""Of a file, attachments and subtitles included; a whole television multiplex has some 200."""

NOT_A_TRACK = Disposition.attached_pic | Disposition.timed_thumbnails
"""Cover art and preview pictures: streams of pictures that no player plays."""


class MediaError(SpaceError):
    """A file that cannot be opened, has no stream of the kind asked for, or holds nothing that decodes."""


class NotMediaError(MediaError):
    """A file of a known kind that is no recording: a picture, a playlist, a script that names other files."""


class NoTrackError(MediaError):
    """A track of sound that was asked for and is not there."""


def open_media(path: os.PathLike[str] | str) -> Any:
    """The opened container (``av.container.InputContainer``); to be closed.

    Raises:
        MediaError: missing, empty, or not media; ``NotMediaError`` where another kind of file was recognised.
    """
    file = Path(path)
    if not file.exists():
        raise MediaError(f"{path}: no such file")
    if file.is_file() and file.stat().st_size == 0:
        raise MediaError(f"{path}: empty file (0 bytes)")
    if not file.is_file():
        raise MediaError(f"{path}: not a regular file")
    try:
        # "file:" so that a name with a colon is not taken for a protocol. Opening decodes a picture of some codecs.
        options = {"format_whitelist": ",".join(FORMATS), "max_pixels": str(LARGEST_PX)}
        container = av.open(f"file:{file}", metadata_errors="replace", options=options)
    except av.ArgumentError as error:  # not on the list
        raise NotMediaError(f"{path}: holds no sound or video of its own (a picture, a playlist, a script?)") from error
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: not a readable media file ({reason(error)})") from error
    n_streams = len(container.streams)
    if n_streams > MOST_STREAMS:
        container.close()
        raise MediaError(f"{path}: {n_streams} streams, need {MOST_STREAMS} or fewer")
    return container


def reason(error: BaseException) -> str:
    """What FFmpeg says, without the path that our own message names already."""
    return getattr(error, "strerror", None) or str(error)


def tracks(streams: Any) -> list[Any]:
    """The streams of one kind that a player would offer: with a decoder, and no cover art."""
    return [s for s in streams if s.codec_context is not None and not s.disposition & NOT_A_TRACK]


def default_track(streams: Any) -> Any | None:
    """The stream that players take: the first that is marked default, else the first; None without any.

    FFmpeg's own program prefers, among equals, the larger picture and the sound with more channels; players do not.
    """
    found = tracks(streams)
    return next((s for s in found if s.disposition & Disposition.default), found[0] if found else None)


def audio_stream(container: Any, path: os.PathLike[str] | str, track: int | None = None) -> Any | None:
    """The stream of sound to use: number ``track`` of the file (from 0, as FFmpeg's ``0:a:N``), else the default one.

    Raises:
        NoTrackError: there is no such track.
    """
    if track is None:
        return default_track(container.streams.audio)
    streams = container.streams.audio
    if not 0 <= track < len(streams) or streams[track].codec_context is None:
        need = f"need one of 0 to {len(streams) - 1}" if streams else "the file has no sound"
        raise NoTrackError(f"{path}: no audio track {track}, {need}")
    return streams[track]


def may_restart(container: Any) -> bool:
    """Whether the clock of this container's format may start again in mid-file (MPEG-TS and -PS, Ogg)."""
    return bool(container.format.flags & Flags.ts_discont.value)


def timed_streams(container: Any) -> list[Any]:
    """The streams by which a file's time line is laid: the pictures and every track of sound.

    Whichever track is heard, the zero and the places of joined parts are the same for all who read the file.
    """
    video = default_track(container.streams.video)
    return [*([] if video is None else [video]), *tracks(container.streams.audio)]


def zero_s(container: Any, streams: Sequence[Any]) -> float:
    """The common zero of ``streams``, seconds of the container's own clock.

    It is FFmpeg's: the start of the file, so that what starts late stays late; where the clock is a broadcast's, which other
    streams may have begun long before, the start of the earliest of these.
    """
    starts = [float(s.start_time * s.time_base) for s in streams if s.start_time is not None] if may_restart(container) else []
    if starts:
        return min(starts)
    return container.start_time / av.time_base if container.start_time is not None else 0.0
