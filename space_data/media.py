"""The only caller of the codecs (PyAV, which brings FFmpeg): probe, decode, encode, mux.

Times come from presentation time stamps, never from ``index / nominal fps``: variable rates, edit lists and streams that
start late are real. Pictures come out upright (rotation metadata applied) and with square pixels. Decoding uses one thread,
so that the number of worker processes alone decides how many cores are busy; encoding does too, because x264 output depends
on its thread count.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.files import atomic_file, make_folder
from space_data.native_noise import quiet_stderr
from space_data.timebase import AUDIO_HZ, CLOCK_SLACK_S, VIDEO_FPS

av.logging.set_level(av.logging.PANIC)
logger = logging.getLogger(__name__)

RgbImage = NDArray[np.uint8]
"""Height x width x 3, red first."""

AUDIO_GAP_S = 0.04
"""Holes between audio frames longer than this are filled with silence; shorter ones are rounding of time stamps."""
RESAMPLER_REACH_S = 0.5
"""Sound so far beyond a sample cannot change it."""


class MediaError(SpaceError):
    """A file that cannot be opened, has no stream of the kind asked for, or breaks off while being decoded."""


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


@dataclass(frozen=True)
class Frame:
    """One decoded picture: ``pts_s`` seconds after the container's start, ``rgb`` uint8 (height, width, 3)."""

    pts_s: float
    rgb: RgbImage


def _open(path: Path | str) -> Any:
    path = Path(path)
    if not path.exists():
        raise MediaError(f"{path}: no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise MediaError(f"{path}: empty file (0 bytes)")
    try:
        return av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: not a readable media file ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)


def _first(streams: Any) -> Any | None:
    """The first stream that there is a decoder for; a damaged header may name a codec that does not exist."""
    return next((stream for stream in streams if stream.codec_context is not None), None)


def _zero_s(container: Any) -> float:
    """The container's own start, seconds: the common zero of all its streams."""
    return container.start_time / av.time_base if container.start_time is not None else 0.0


def _start_s(stream: Any, zero_s: float) -> float:
    return float(stream.start_time * stream.time_base) - zero_s if stream.start_time is not None else 0.0


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


def _square_width(frame: Any, stream: Any) -> int:
    """Width in square pixels: the stored width times the sample aspect ratio, even."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return frame.width if aspect in (0, 1) else int(round(frame.width * aspect / 2)) * 2


def _display_shape(frame: Any, stream: Any, rotation_deg: int) -> tuple[int, int]:
    """Height and width of the upright picture with square pixels."""
    width, height = _square_width(frame, stream), frame.height
    return (width, height) if rotation_deg % 180 == 90 else (height, width)


def decode_video(
    path: Path | str, start_s: float = 0.0, end_s: float | None = None, at_most_hz: float | None = None
) -> Iterator[Frame]:
    """Stream the first video stream of ``path`` as upright RGB frames with square pixels.

    Args:
        path: the file.
        start_s, end_s: the part to give, half-open, seconds of the container's clock; found by seeking. ``pts_s`` then counts
            from ``start_s``.
        at_most_hz: give a frame only when so much time has passed since the last one given; the others are decoded, not
            converted.

    Frames without a time stamp and frames that do not advance the clock are given the time one nominal frame later, so
    ``pts_s`` always increases.

    Raises:
        MediaError: no video stream, or the data break off; the message says after how many frames.
    """
    with _open(path) as container:
        stream = _first(container.streams.video)
        if stream is None:
            raise MediaError(f"{path}: no video stream")
        stream.codec_context.thread_count = 1
        convert = _Converter(stream)
        zero_s = _zero_s(container)
        step_s = 1.0 / float(stream.average_rate or VIDEO_FPS)
        last_s, next_s, count = -np.inf, start_s if start_s > 0 else -np.inf, 0
        try:
            if start_s > 0:
                container.seek(int((start_s + zero_s) / stream.time_base), stream=stream, backward=True)
            for frame in container.decode(stream):
                pts_s = float(frame.pts * frame.time_base) - zero_s if frame.pts is not None else last_s + step_s
                if not pts_s > last_s:
                    pts_s = last_s + step_s if np.isfinite(last_s) else 0.0
                last_s, count = pts_s, count + 1
                if end_s is not None and pts_s >= end_s - CLOCK_SLACK_S:
                    return
                if pts_s >= next_s - CLOCK_SLACK_S:
                    next_s = pts_s + 1.0 / at_most_hz if at_most_hz else next_s
                    yield Frame(pts_s - start_s, convert(frame))
        except av.FFmpegError as error:
            raise MediaError(f"{path}: video breaks off after {count} frames ({_reason(error)})") from error


def picture_at(path: Path | str, time_s: float) -> RgbImage:
    """The picture on screen at ``time_s`` (the last one of the video beyond its end), found by seeking: cheap in long files.

    Raises:
        MediaError: no video stream, or nothing can be decoded there.
    """
    with _open(path) as container:
        stream = _first(container.streams.video)
        if stream is None:
            raise MediaError(f"{path}: no video stream")
        stream.codec_context.thread_count = 1
        target_s = time_s + _zero_s(container)
        shown = None
        try:
            if time_s > 0:
                container.seek(int(target_s / stream.time_base), stream=stream, backward=True)
            for frame in container.decode(stream):
                if shown is not None and frame.pts is not None and float(frame.pts * frame.time_base) > target_s:
                    break
                shown = frame
        except av.FFmpegError as error:
            if shown is None:
                raise MediaError(f"{path}: no picture at {time_s:.2f} s ({_reason(error)})") from error
        if shown is None:
            raise MediaError(f"{path}: no picture at {time_s:.2f} s")
        return _Converter(stream)(shown)


class _Converter:
    """Turns a stream's frames into upright RGB with square pixels.

    One reformatter for all frames: FFmpeg's conversion is set up once, not per frame; one thread, as for the decoding.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._reformatter = VideoReformatter()

    def __call__(self, frame: Any) -> RgbImage:
        turns = int(round(frame.rotation)) // 90
        width = _square_width(frame, self._stream)
        converted = self._reformatter.reformat(frame, width, frame.height, "rgb24", threads=1)
        rgb = np.asarray(converted.to_ndarray(), np.uint8)
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns % 4 else rgb


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


def decode_audio(
    path: Path | str, rate_hz: int = AUDIO_HZ, part_s: tuple[float, float | None] = (0.0, None)
) -> NDArray[np.float32]:
    """Decode the first audio stream to mono float32 in [-1, 1] at ``rate_hz``, shape (samples,); of it only ``part_s``.

    Sample 0 is the container's time 0, the zero that ``decode_video`` uses too (of a part: where it begins): a stream that
    starts late is padded with silence, samples before zero are cut, holes are filled.

    Raises:
        MediaError: no audio stream, or the data break off before the first sample.
    """
    pieces: list[NDArray[np.float32]] = []
    with _open(path) as container:
        stream = _first(container.streams.audio)
        if stream is None:
            raise MediaError(f"{path}: no audio stream")
        stream.codec_context.thread_count = 1
        zero_s = _zero_s(container)
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate_hz)
        position = 0  # next output sample to be written
        expected_s: float | None = None
        try:
            for frame in container.decode(stream):
                pts_s = float(frame.pts * frame.time_base) - zero_s if frame.pts is not None else expected_s
                if expected_s is None or (pts_s is not None and abs(pts_s - expected_s) > AUDIO_GAP_S):
                    position += _append(pieces, resampler.resample(None) if expected_s is not None else [])
                    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate_hz)
                    position += _move_to(pieces, position, round((pts_s or 0.0) * rate_hz))
                if part_s[1] is not None and (pts_s or 0.0) > part_s[1] + RESAMPLER_REACH_S:
                    break
                expected_s = (pts_s or 0.0) + frame.samples / frame.sample_rate
                frame.pts = None
                position += _append(pieces, resampler.resample(frame))
            if expected_s is not None:
                _append(pieces, resampler.resample(None))
        except av.FFmpegError as error:
            if not pieces:
                raise MediaError(f"{path}: audio cannot be decoded ({_reason(error)})") from error
            logger.warning("%s: audio breaks off after %.2f s (%s)", path, position / rate_hz, _reason(error))
    whole = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if part_s == (0.0, None):
        return whole
    start_s, end_s = part_s
    return whole[round(start_s * rate_hz) : None if end_s is None else round(end_s * rate_hz)].copy()


def _append(pieces: list[NDArray[np.float32]], frames: Iterable[Any]) -> int:
    arrays = [frame.to_ndarray()[0] for frame in frames if frame is not None and frame.samples]
    pieces.extend(arrays)
    return sum(len(array) for array in arrays)


def _move_to(pieces: list[NDArray[np.float32]], position: int, target: int) -> int:
    """Pad with silence up to sample ``target``, or cut what lies beyond it; returns the change in length."""
    if target >= position:
        pieces.append(np.zeros(target - position, np.float32))
        return target - position
    kept = np.concatenate(pieces)[: max(0, target)] if pieces else np.zeros(0, np.float32)
    pieces[:] = [kept]
    return len(kept) - position


class VideoWriter:
    """Write H.264 (yuv420p) with optional AAC audio to an MP4 that appears by atomic rename when the block ends well.

    Args:
        path: the file to make; its folder is created.
        width, height: picture size in pixels, both even (H.264 with 4:2:0 chroma needs it).
        fps: nominal frames per second.
        crf, preset: x264's quality (lower is better) and speed.
        audio: mono samples (n,) or channels-first (channels, n), float32 in [-1, 1].
        audio_hz: their rate.
        comment: free text kept in the container's metadata, e.g. that the picture is generated.
    """

    def __init__(
        self,
        path: Path | str,
        width: int,
        height: int,
        fps: int | Fraction = VIDEO_FPS,
        crf: int = 18,
        preset: str = "veryfast",
        audio: NDArray[np.float32] | None = None,
        audio_hz: int = AUDIO_HZ,
        comment: str = "",
    ) -> None:
        if width % 2 or height % 2:
            raise SpaceError(f"{path}: picture of {width}x{height}, H.264 needs even sides")
        self.path = Path(path)
        self.frames = 0
        self._fps = Fraction(fps)
        self._audio = None if audio is None else np.atleast_2d(np.asarray(audio, np.float32))
        self._audio_hz, self._audio_done = audio_hz, 0
        make_folder(self.path.parent)
        self._part = self.path.with_name(f".{self.path.stem}.{os.getpid()}.part{self.path.suffix}")
        try:
            self._container = av.open(str(self._part), "w", format="mp4", container_options={"fflags": "+bitexact"})
        except (av.FFmpegError, OSError) as error:
            raise SpaceError(f"{self.path}: cannot be written ({_reason(error)})") from error
        if comment:
            self._container.metadata["comment"] = comment
        self._video = self._container.add_stream("libx264", rate=self._fps)
        self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
        self._video.codec_context.thread_count = 1
        # A fine clock leaves room for variable frame rates; at a constant one it changes nothing.
        self._video.codec_context.time_base = Fraction(1, 512) / self._fps
        self._video.options = {"crf": str(crf), "preset": preset, "flags": "+bitexact"}
        if self._audio is not None:
            layout = "mono" if len(self._audio) == 1 else "stereo"
            self._sound = self._container.add_stream("aac", rate=audio_hz, layout=layout)
            self._sound.codec_context.options = {"flags": "+bitexact"}

    def write(self, rgb: RgbImage, pts_s: float | None = None) -> None:
        """Append one picture, uint8 (height, width, 3); ``pts_s`` overrides the constant frame rate."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        time_base = self._video.codec_context.time_base
        frame.pts = self.frames * 512 if pts_s is None else round(pts_s / time_base)
        frame.time_base = time_base
        self._mux(self._video.encode(frame))
        self.frames += 1
        self._feed_audio(float(self.frames / self._fps) if pts_s is None else pts_s)

    def _feed_audio(self, until_s: float | None) -> None:
        if self._audio is None:
            return
        end = self._audio.shape[1] if until_s is None else min(self._audio.shape[1], int(until_s * self._audio_hz))
        chunk = self._audio[:, self._audio_done : end]
        if chunk.shape[1]:
            layout = "mono" if len(chunk) == 1 else "stereo"
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(np.clip(chunk, -1, 1)), format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = self._audio_hz, self._audio_done, Fraction(1, self._audio_hz)
            self._mux(self._sound.encode(frame))
            self._audio_done = end

    def _mux(self, packets: Iterable[Any]) -> None:
        try:
            for packet in packets:
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise SpaceError(f"{self.path}: writing failed after {self.frames} frames ({_reason(error)})") from error

    def _close(self, failed: bool) -> None:
        """Write the trailer and close; after a failure that is only tidying up, and what went wrong first is what counts."""
        try:
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            if not failed:
                raise SpaceError(f"{self.path}: writing failed after {self.frames} frames ({_reason(error)})") from error

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._feed_audio(None)
                self._mux(self._video.encode(None))
                if self._audio is not None:
                    self._mux(self._sound.encode(None))
            self._close(failed=kind is not None)
            if kind is None:
                os.replace(self._part, self.path)
        except OSError as error:
            raise SpaceError(f"{self.path}: cannot be written ({_reason(error)})") from error
        finally:
            self._part.unlink(missing_ok=True)


def write_video(path: Path | str, frames: Iterable[RgbImage], **options: Any) -> int:
    """Write all ``frames`` with ``VideoWriter(path, width, height, **options)``; returns how many there were.

    Raises:
        SpaceError: there are no frames, or writing fails.
    """
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise SpaceError(f"{path}: no frames to write")
    with VideoWriter(path, first.shape[1], first.shape[0], **options) as writer:
        writer.write(first)
        for rgb in iterator:
            writer.write(rgb)
    return writer.frames


def set_rotation(path: Path | str, clockwise_deg: int) -> None:
    """Write a display rotation into the header of an MP4 (the picture's track comes first, as ``VideoWriter`` leaves it).

    The stored picture stays as it is; players, and ``decode_video``, turn it by ``clockwise_deg`` (a multiple of 90).
    """
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise_deg % 360]
    content = bytearray(Path(path).read_bytes())
    # ISO/IEC 14496-12, 8.3.2: after the type, 40 bytes (version 0) to the matrix a b u c d v x y w, 16.16 fixed point.
    matrix = content.index(b"tkhd") + 4 + 40
    values = (cosine, sine, 0, -sine, cosine, 0)
    content[matrix : matrix + 24] = b"".join((value * 0x10000).to_bytes(4, "big", signed=True) for value in values)
    with atomic_file(path) as part:
        part.write_bytes(content)


def write_wav(path: Path | str, audio: NDArray[np.float32], rate_hz: int = AUDIO_HZ) -> None:
    """Write mono ``audio`` (samples,) in [-1, 1] as 16-bit PCM, atomically."""
    import wave

    with atomic_file(path) as part, wave.open(str(part), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes((np.clip(audio, -1, 1) * 32767).round().astype("<i2").tobytes())


def read_image(path: Path | str) -> RgbImage:
    """Read a picture as upright RGB (EXIF orientation applied); transparent parts are laid over mid grey.

    Raises:
        MediaError: missing, empty, or not a picture.
    """
    path = Path(path)
    if not path.exists():
        raise MediaError(f"{path}: no such file")
    try:
        data = np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({_reason(error)})") from error
    if not len(data):
        raise MediaError(f"{path}: {'empty file (0 bytes)' if path.is_file() else 'a folder, need a picture'}")
    try:
        with quiet_stderr():
            upright = cv2.imdecode(data, cv2.IMREAD_COLOR)
            stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise MediaError(f"{path}: not a readable picture ({error.err})") from error
    if upright is None:
        raise MediaError(f"{path}: not a readable picture (need PNG, JPEG, WebP, BMP or TIFF)")
    if stored.ndim == 3 and stored.shape[2] == 4 and stored.dtype == np.uint8:  # PNG and WebP carry no EXIF rotation in practice
        alpha = stored[..., 3:].astype(np.float32) / 255
        upright = np.round(stored[..., :3] * alpha + 127 * (1 - alpha)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(upright, cv2.COLOR_BGR2RGB), np.uint8)


def write_image(path: Path | str, rgb: RgbImage) -> None:
    """Write uint8 RGB (height, width, 3) as the format that the suffix names, atomically."""
    path = Path(path)
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise SpaceError(f"{path}: picture format {path.suffix!r} is not known (use .png or .jpg)")
    with atomic_file(path) as part:
        part.write_bytes(data.tobytes())
