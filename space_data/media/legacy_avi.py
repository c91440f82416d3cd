"""What the published SyncNet pipeline does to a video before its network sees it, for comparison with old tables only.

joonson/syncnet_python 6efbb1c, ``run_pipeline.py`` and ``SyncNetInstance.py``, by the same FFmpeg codecs: MPEG-4 at quantiser 2
with MP3 in AVI; JPEG at 2; the face's crops as OpenCV's XVID; JPEG at FFmpeg's default quality. AVI does not say by how much MP3
delays sound: 1105 samples, 69 ms at 16 kHz. Left out: its face detector, its shots, its limit of 100 frames.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.timebase import AUDIO_HZ, VIDEO_FPS

RgbImage = NDArray[np.uint8]
AT_TWO = {"qmin": "2", "qmax": "2"}
"""``-qscale:v 2``."""


def as_avi(frames: Iterable[RgbImage], sound: NDArray[np.float32], path: Path) -> None:
    """Write the first re-encoding: pictures (even sides) and 16 kHz ``sound`` (samples,)."""
    with av.open(str(path), "w", format="avi") as container:
        audio_stream = container.add_stream("libmp3lame", rate=AUDIO_HZ, layout="mono")
        video = None
        for index, rgb in enumerate(frames):
            if video is None:
                video = container.add_stream("mpeg4", rate=VIDEO_FPS, options=AT_TWO)
                video.height, video.width, video.pix_fmt = *rgb.shape[:2], "yuv420p"
                video.codec_context.thread_count = 1
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, VIDEO_FPS)
            container.mux(video.encode(frame))
        if video is not None:
            container.mux(video.encode(None))
        audio = av.AudioFrame.from_ndarray(np.clip(sound, -1, 1)[None].astype(np.float32), format="fltp", layout="mono")
        audio.sample_rate, audio.pts, audio.time_base = AUDIO_HZ, 0, Fraction(1, AUDIO_HZ)
        container.mux([*audio_stream.encode(audio), *audio_stream.encode(None)])


def as_jpegs(frames: Iterable[RgbImage], options: dict[str, str]) -> Iterator[RgbImage]:
    """Each picture as FFmpeg's JPEG, decoded again."""
    for rgb in frames:
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.height, encoder.width, encoder.pix_fmt = *rgb.shape[:2], "yuvj420p"
        encoder.time_base, encoder.options = Fraction(1, VIDEO_FPS), options
        packets = [*encoder.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")), *encoder.encode(None)]
        decoded = cv2.imdecode(np.frombuffer(b"".join(bytes(packet) for packet in packets), np.uint8), cv2.IMREAD_COLOR)
        yield np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def as_published(
    frames: Iterable[RgbImage], sound: NDArray[np.float32], path: Path
) -> tuple[Iterator[RgbImage], NDArray[np.float32]]:
    """Pictures and sound (samples,) as they come out of the AVI, written to ``path``, and the first JPEGs: the sound is late."""
    as_avi(frames, sound, path)
    return as_jpegs((frame.rgb for frame in decode_video(path)), AT_TWO), decode_audio(path)


def as_xvid(crops: Iterable[RgbImage], path: Path) -> Iterator[RgbImage]:
    """Crops (side, side, 3) through OpenCV's XVID in AVI, written to ``path``, and the second JPEGs."""
    writer = None
    for rgb in crops:
        if writer is None:
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), VIDEO_FPS, rgb.shape[1::-1])
        writer.write(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if writer is None:
        return
    writer.release()
    yield from as_jpegs((frame.rgb for frame in decode_video(path)), {})
