"""Making small media files of every awkward kind, in milliseconds, with known content.

Pictures carry their number (``numbered``, ``number_of``) and sounds are a rising tone (``sweep``): what a decoder gives can be
held against what went in, frame by frame and sample by sample. ``write`` encodes and muxes; its ``each`` sees every packet and
may move, drop or damage it. ``tests/support/media_kinds.py`` makes the shelf out of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.stream import Disposition
from numpy.typing import NDArray

WIDTH, HEIGHT, FPS, BITS = 96, 64, 25, 8
DARK, BRIGHT = 40, 200

Image = NDArray[np.uint8]
Samples = NDArray[np.float32]
Each = Callable[[av.Packet, int, int], Iterable[av.Packet]]
"""packet, number of its stream, number of the packet in it → the packets to write"""


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    """A picture of eight upright bars that spell ``number`` in binary, bright for 1."""
    bars = [BRIGHT if number >> bit & 1 else DARK for bit in range(BITS)]
    row = np.array([bars[x * BITS // width] for x in range(width)], np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def number_of(rgb: Image) -> int:
    """What ``numbered`` wrote."""
    height, width = rgb.shape[:2]
    middle = rgb[height // 4 : height - height // 4].mean(axis=(0, 2))
    return sum(1 << bit for bit in range(BITS) if middle[int((bit + 0.5) * width / BITS)] > (DARK + BRIGHT) / 2)


def sweep(seconds: float, hz: int = 44_100, first_hz: float = 300.0) -> Samples:
    """A tone that rises by 400 Hz per second, (n,): like itself at no other lag."""
    t = np.arange(round(seconds * hz)) / hz
    return (0.5 * np.sin(2 * np.pi * (first_hz * t + 200 * t * t))).astype(np.float32)


@dataclass(frozen=True)
class Pictures:
    """A stream of pictures: RGB arrays or frames ready for the encoder."""

    frames: Sequence[Image | av.VideoFrame]
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    fps: int = FPS
    times_s: Sequence[float] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    disposition: Disposition | None = None

    def add_to(self, out: Any) -> tuple[Any, list[av.Packet]]:
        """The new stream and its packets."""
        stream = out.add_stream(self.codec, rate=self.fps)
        first = self.frames[0]
        stream.width, stream.height = (first.width, first.height) if isinstance(first, av.VideoFrame) else first.shape[1::-1]
        stream.pix_fmt = self.pix_fmt
        fine = Fraction(1, 1000) if self.times_s is not None else Fraction(1, self.fps)
        context = stream.codec_context
        context.time_base, context.thread_count = fine, 1
        x264 = {"preset": "ultrafast", "crf": "12"} if self.codec == "libx264" else {}
        stream.options = x264 | dict(self.options)
        for name, value in self.context.items():
            setattr(context, name, value)
        if self.disposition is not None:
            stream.disposition = self.disposition
        packets = []
        for number, picture in enumerate(self.frames):
            frame = picture if isinstance(picture, av.VideoFrame) else self._frame(picture)
            frame.pts = number if self.times_s is None else round(self.times_s[number] * 1000)
            frame.time_base = fine
            packets += stream.encode(frame)
        return stream, packets + stream.encode(None)

    def _frame(self, rgb: Image) -> av.VideoFrame:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        return frame if self.pix_fmt == "rgb24" else frame.reformat(format=self.pix_fmt)


@dataclass(frozen=True)
class Sound:
    """A stream of sound: samples (n,) or (channels, n)."""

    samples: NDArray[Any]
    hz: int = 44_100
    codec: str = "aac"
    layout: str = "mono"
    options: Mapping[str, str] = field(default_factory=dict)
    disposition: Disposition | None = None

    def add_to(self, out: Any) -> tuple[Any, list[av.Packet]]:
        """The new stream and its packets."""
        stream = out.add_stream(self.codec, rate=self.hz, layout=self.layout)
        stream.codec_context.options = dict(self.options)
        if self.disposition is not None:
            stream.disposition = self.disposition
        planes = np.atleast_2d(self.samples)
        names = {"float32": "flt", "float64": "dbl", "int16": "s16", "int32": "s32", "uint8": "u8"}
        packets = []
        step = self.hz // 10
        for begin in range(0, planes.shape[1], step):
            part = np.ascontiguousarray(planes[:, begin : begin + step].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format=names[planes.dtype.name], layout=self.layout)
            frame.sample_rate, frame.pts, frame.time_base = self.hz, begin, Fraction(1, self.hz)
            packets += stream.encode(frame)
        return stream, packets + stream.encode(None)


def clip(frames: int = 50, sound_s: float | None = None, first: int = 0, **pictures: Any) -> list[Pictures | Sound]:
    """``frames`` numbered pictures from number ``first`` on, and as much sound (or ``sound_s`` of it)."""
    sound = sweep(frames / FPS if sound_s is None else sound_s)
    return [Pictures([numbered(n) for n in range(first, first + frames)], **pictures), Sound(sound)]


def write(
    path: Path,
    streams: Sequence[Pictures | Sound],
    each: Each | None = None,
    attachments: Mapping[str, bytes] | None = None,
    muxer: str | None = None,
    **options: str,
) -> Path:
    """Encode ``streams`` and mux them in the order of their clocks."""
    with av.open(str(path), "w", format=muxer, options={"fflags": "+bitexact", **options}) as out:
        packets = []
        added = [stream.add_to(out) for stream in streams]
        for name, content in (attachments or {}).items():
            out.add_attachment(name, "image/jpeg", content)
        for index, (stream, encoded) in enumerate(added):
            for number, packet in enumerate(encoded):
                packet.stream = stream
                for kept in each(packet, index, number) if each else [packet]:
                    kept.stream = stream
                    packets.append((float(kept.dts * kept.time_base), index, number, kept))
        for *_, packet in sorted(packets, key=lambda item: item[:3]):
            out.mux(packet)
    return path


def moved(packet: av.Packet, by_s: float) -> av.Packet:
    """The packet, later by ``by_s``."""
    ticks = round(by_s / packet.time_base)
    packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
    return packet


def spoilt(packet: av.Packet, keep: int = 0) -> av.Packet:
    """The packet with all bytes after the first ``keep`` overwritten: nothing in it decodes."""
    other = av.Packet(bytes(packet)[:keep] + b"\xfe" * (packet.size - keep))
    other.pts, other.dts, other.duration, other.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    other.is_keyframe = packet.is_keyframe
    return other


def spoiling(stream: int, *numbers: int, keep: int = 0) -> Each:
    """An ``each`` that spoils packets of one stream."""
    return lambda packet, index, n: [spoilt(packet, keep) if index == stream and n in numbers else packet]


def filtered(frames: Iterable[av.VideoFrame], *filters: tuple[str, str]) -> Iterator[av.VideoFrame]:
    """Frames through FFmpeg's filters, one in, one out."""
    graph: Graph | None = None
    for frame in frames:
        if graph is None:
            graph = Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format.name, time_base=Fraction(1, FPS)
            )
            graph.link_nodes(source, *(graph.add(*step) for step in filters), graph.add("buffersink")).configure()
        graph.push(frame)
        yield graph.pull()


LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
"""Share of red and of blue in the luma of each standard (ITU-R BT.601, BT.709, BT.2020)."""


def yuv_frame(rgb: NDArray[np.float64], pix_fmt: str, matrix: str, is_full: bool) -> av.VideoFrame:
    """A frame of flat patches by the definition of Y'CbCr; ``rgb`` (height, width, 3) in [0, 1], patches of even sides."""
    red, blue = LUMA[matrix]
    luma = rgb @ np.array([red, 1 - red - blue, blue])
    chroma = (rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], pix_fmt)
    bits = frame.format.components[0].bits
    step, top = 2 ** (bits - 8), 2**bits - 1
    planes = [luma * top if is_full else (16 + 219 * luma) * step]
    planes += [c * top + 128 * step if is_full else (128 + 224 * c) * step for c in chroma]
    for plane, values in zip(frame.planes, planes, strict=True):
        fewer = values[:: rgb.shape[0] // plane.height, :: rgb.shape[1] // plane.width]
        kind = np.dtype(np.uint16 if bits > 8 else np.uint8)
        rows = np.zeros((plane.height, plane.line_size // kind.itemsize), kind)
        rows[:, : plane.width] = np.clip(np.round(fewer), 0, top)
        plane.update(rows.tobytes())
    return frame


def boxes(content: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the boxes of an MP4 between two positions (ISO/IEC 14496-12, 4.2)."""
    while begin + 8 <= end:
        size = int.from_bytes(content[begin : begin + 4], "big")
        yield content[begin + 4 : begin + 8], begin, begin + size
        begin += size


def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write the display matrix ``a b c d`` (x' = a x + c y, y' = b x + d y) into the header of an MP4's first track."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    a, b, c, d = matrix
    content[at : at + 24] = b"".join((v * 0x10000).to_bytes(4, "big", signed=True) for v in (a, b, 0, c, d, 0))
    path.write_bytes(content)
    return path


def jpeg(rgb: Image) -> bytes:
    """One picture as JPEG."""
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt, context.time_base = rgb.shape[1], rgb.shape[0], "yuvj420p", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuvj420p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
