"""Writing."""

import os
import platform
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.files import atomic_file, make_folder, part_of
from space_data.media.container import RgbImage, reason
from space_data.timebase import AUDIO_HZ, VIDEO_FPS

# With AVX-512, x264's macroblock tree reads memory that nobody wrote where a picture is no multiple of 128 pixels wide: one and
# the same video then has one of several encodings, by what the heap held before. Its older code gives one, at the same speed.
REPEATABLE = {"x264-params": "asm=SSE4.2"} if platform.machine() == "x86_64" else {}


class VideoWriter:
    """Write H.264 (yuv420p) with optional AAC audio to an MP4 that appears by atomic rename when the block ends well.

    Args:
        path: the file to make; its folder is created.
        width, height: picture size in pixels, both even (H.264 with 4:2:0 chroma needs it).
        fps: nominal frames per second.
        crf, preset: x264's quality (lower is better) and speed.
        subq: x264's sub-pixel refinement, 0 to 11; None: the preset's.
        audio: mono samples (n,) or channels-first (channels, n), float32 in [-1, 1]; more may come by ``add_audio``.
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
        subq: int | None = None,
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
        self._audio_hz, self._audio_done, self._audio_first = audio_hz, 0, 0
        self._part = part_of(self.path)
        make_folder(self.path.parent)
        try:
            self._container = av.open(str(self._part), "w", format="mp4", container_options={"fflags": "+bitexact"})
        except (av.FFmpegError, OSError) as error:
            raise SpaceError(f"{self.path}: cannot be written ({reason(error)})") from error
        if comment:
            self._container.metadata["comment"] = comment
        self._video = self._container.add_stream("libx264", rate=self._fps)
        self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
        self._video.codec_context.thread_count = 1
        # A fine clock leaves room for variable frame rates; at a constant one it changes nothing.
        self._video.codec_context.time_base = Fraction(1, 512) / self._fps
        refined = {} if subq is None else {"subq": str(subq)}
        self._video.options = {"crf": str(crf), "preset": preset, "flags": "+bitexact", **refined, **REPEATABLE}
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

    def add_audio(self, samples: NDArray[np.float32]) -> None:
        """More sound, as ``audio``, which was given; what has been written of it is forgotten."""
        assert self._audio is not None
        self._audio = np.concatenate([self._audio[:, self._audio_done - self._audio_first :], np.atleast_2d(samples)], axis=1)
        self._audio_first = self._audio_done

    def _feed_audio(self, until_s: float | None) -> None:
        if self._audio is None:
            return
        there = self._audio_first + self._audio.shape[1]
        end = there if until_s is None else min(there, int(until_s * self._audio_hz))
        chunk = self._audio[:, self._audio_done - self._audio_first : end - self._audio_first]
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
            raise SpaceError(f"{self.path}: writing failed after {self.frames} frames ({reason(error)})") from error

    def _close(self, failed: bool) -> None:
        """Write the trailer and close; after a failure that is only tidying up, and what went wrong first is what counts."""
        try:
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            if not failed:
                raise SpaceError(f"{self.path}: writing failed after {self.frames} frames ({reason(error)})") from error

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
            raise SpaceError(f"{self.path}: cannot be written ({reason(error)})") from error
        finally:
            self._part.unlink(missing_ok=True)


def write_video(path: Path | str, frames: Iterable[RgbImage], writer: type[VideoWriter] = VideoWriter, **options: Any) -> int:
    """Write all ``frames`` with ``writer(path, width, height, **options)``; returns how many there were.

    Raises:
        SpaceError: there are no frames, or writing fails.
    """
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise SpaceError(f"{path}: no frames to write")
    with writer(path, first.shape[1], first.shape[0], **options) as video:
        for rgb in chain([first], iterator):
            video.write(rgb)
    return video.frames


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


def to_pcm16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """16-bit samples of ``audio`` (samples,), clipped to [-1, 1]."""
    return (np.clip(audio, -1, 1) * 32767).round().astype("<i2")


def as_16_bit(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """What reading a file that ``write_wav`` made of ``audio`` (samples,) gives."""
    return to_pcm16(audio).astype(np.float32) / 32768


def write_wav(path: Path | str, audio: NDArray[np.float32], rate_hz: int = AUDIO_HZ) -> None:
    """Write mono ``audio`` (samples,) in [-1, 1] as 16-bit PCM, atomically."""
    import wave

    with atomic_file(path) as part, wave.open(str(part), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(to_pcm16(audio).tobytes())
