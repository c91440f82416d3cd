"""Pictures: decoded packet by packet, upright, square pixels, sRGB-like colours.

Times come from presentation time stamps, never from ``index / nominal fps``. A packet that does not decode costs its own picture:
the one before stays on screen. Decoding uses one thread, so that the number of worker processes alone decides how many cores are
busy.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.filter import Graph
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorTrc, VideoReformatter
from numpy.typing import NDArray

from space_data.media.container import (
    LARGEST_PX,
    MediaError,
    RgbImage,
    default_track,
    may_restart,
    open_media,
    reason,
    timed_streams,
    zero_s,
)
from space_data.media.damage import DamageTrail
from space_data.media.timeline import Placement, Timeline, is_empty, is_flush, timeline_of
from space_data.timebase import CLOCK_SLACK_S, VIDEO_FPS

LEAST_STEP_S = 1e-3
"""Between a picture and one whose stamp lies before it: where two parts overlap by a fraction of a frame."""
LEAST_RATE_HZ = 1.0
HDR = {ColorTrc.SMPTE2084.value: "pq", ColorTrc.ARIB_STD_B67.value: "hlg"}
WIDE_GAMUTS = {ColorPrimaries.BT2020.value, ColorPrimaries.SMPTE431.value, ColorPrimaries.SMPTE432.value}
"""Primaries whose colours look pale if they are taken for BT.709's."""


@dataclass(frozen=True)
class Frame:
    """One decoded picture: ``pts_s`` seconds after the container's start, ``rgb`` uint8 (height, width, 3)."""

    pts_s: float
    rgb: RgbImage
    begins_part: bool = False
    """the recording begins anew here: another picture size, or time stamps that restart"""
    is_damaged: bool = False
    """made from damaged data: its own, or that of a picture on which it may rest (``space_data.media.damage``)"""
    damaged_before: int = 0
    """so many of the pictures just before are damaged, too, as this one tells"""


@dataclass
class VideoFacts:
    """What one decoding of the pictures met; complete when the last frame was given."""

    packets: int = 0
    """that are meant to be shown"""
    damaged: int = 0
    """of them, that did not decode, and pictures that the decoder calls corrupt"""
    interlaced: int = 0
    """pictures that were deinterlaced"""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """width and height of every stretch of pictures of one size"""
    error: str = ""
    """why reading ended before the end of the file"""


@dataclass(frozen=True)
class Orientation:
    """How the stored picture is turned for display: mirrored left to right first, then turned."""

    clockwise_deg: int
    """0, 90, 180 or 270"""
    is_mirrored: bool

    @staticmethod
    def of(frame: Any) -> "Orientation":
        """From the display matrix ``a b u c d v x y w`` (ISO/IEC 14496-12, 8.3.2): x' = a x + c y, y' = b x + d y.

        One of the eight that keep the picture a rectangle, the nearest; FFmpeg's program turns by any angle.
        """
        found = frame.side_data.get("DISPLAYMATRIX")
        if found is None:
            return Orientation(0, False)
        a, b, _, c, d = np.frombuffer(bytes(found), "=i4")[:5].astype(float)
        is_mirrored = a * d - b * c < 0
        # The image of the x axis, which the mirror has turned round.
        x, y = (-a, -b) if is_mirrored else (a, b)
        return Orientation(int(round(np.degrees(np.arctan2(y, x)) / 90)) % 4 * 90, bool(is_mirrored))

    @property
    def is_on_its_side(self) -> bool:
        """Whether width and height change places."""
        return self.clockwise_deg % 180 == 90

    def apply(self, rgb: RgbImage) -> RgbImage:
        """The upright picture."""
        if not self.clockwise_deg and not self.is_mirrored:
            return rgb
        mirrored: NDArray[np.uint8] = rgb[:, ::-1] if self.is_mirrored else rgb
        return np.ascontiguousarray(np.rot90(mirrored, -self.clockwise_deg // 90))


def decode_video(
    path: os.PathLike[str] | str,
    start_s: float = 0.0,
    end_s: float | None = None,
    at_most_hz: float | None = None,
    facts: VideoFacts | None = None,
) -> Iterator[Frame]:
    """Stream the pictures of ``path`` as upright RGB frames with square pixels: of its default video track, cover art never.

    Args:
        path: the file.
        start_s, end_s: the part to give, half-open, seconds of the file's time line; found by seeking where that is safe.
            ``pts_s`` then counts from ``start_s``.
        at_most_hz: give a frame only when so much time has passed since the last one given; the others are decoded, not
            converted.
        facts: filled in on the way.

    HDR (PQ, HLG) and wide gamuts are mapped to BT.709 and interlaced pictures deinterlaced, all by FFmpeg. ``pts_s`` always
    increases: frames without a stamp follow one nominal frame after the one before.

    Raises:
        MediaError: no video stream, or nothing of it decodes.
    """
    facts = facts if facts is not None else VideoFacts()
    with open_media(path) as container:
        stream = default_track(container.streams.video)
        if stream is None:
            raise MediaError(f"{path}: no video stream")
        _set_up(stream)
        streams = timed_streams(container)
        is_sought = start_s > 0 and not may_restart(container)
        line = Timeline.plain(zero_s(container, streams)) if is_sought else timeline_of(path, container, streams)
        if is_sought:
            container.seek(int((start_s + line.zero_s) / stream.time_base), stream=stream, backward=True)
        placement = line.placements.get(stream.index, Placement())
        nominal_hz = float(stream.average_rate or 0)  # frames by duration, which a broken clock makes nonsense
        clock = _Clock(line.zero_s, 1.0 / (nominal_hz if nominal_hz >= LEAST_RATE_HZ else VIDEO_FPS), line.parts_s)
        convert = _Converter(stream)
        next_s = start_s if start_s > 0 else -np.inf
        decoded = _filtered(_decoded(placement.placed(container.demux(streams), stream), stream, facts), facts)
        count = 0
        for frame in decoded:
            pts_s, begins_part = clock.time_of(frame)
            count += 1
            if end_s is not None and pts_s >= end_s - CLOCK_SLACK_S:
                return
            if pts_s >= next_s - CLOCK_SLACK_S:
                next_s = pts_s + 1.0 / at_most_hz if at_most_hz else next_s
                rgb = convert(frame)
                size = (rgb.shape[1], rgb.shape[0])
                changes = bool(facts.sizes) and size != facts.sizes[-1]
                if changes or not facts.sizes:
                    facts.sizes.append(size)
                yield Frame(pts_s - start_s, rgb, begins_part or changes, *frame.opaque)
        if not count:
            raise MediaError(f"{path}: no frame of the video decodes ({facts.damaged} of {facts.packets} packets damaged)")


def _set_up(stream: Any) -> None:
    """One thread, bounded size; pictures of H.265 whose references are lost are given, marked as corrupt, as before FFmpeg 7."""
    _check_size(stream, stream.codec_context.width, stream.codec_context.height)
    stream.codec_context.options = {"max_pixels": str(LARGEST_PX)}
    stream.codec_context.thread_count = 1
    stream.codec_context.flags |= Flags.copy_opaque
    if stream.codec_context.name == "hevc":
        stream.codec_context.flags |= Flags.output_corrupt


def _decoded(packets: Iterator[Any], stream: Any, facts: VideoFacts) -> Iterator[Any]:
    """The frames of ``stream``; a packet that does not decode is counted and passed over."""
    stamps, damage = _Stamps(stream.container), DamageTrail()
    try:
        for number, packet in enumerate(packets):
            if packet.stream.index != stream.index or is_empty(packet):  # ``stream_index`` of a flush is not set
                continue
            facts.packets += not (packet.is_discard or is_flush(packet))
            packet.opaque = number, packet.is_keyframe  # comes back with its picture
            for frame in _frames(packet, number, damage, facts):
                facts.damaged += frame.is_corrupt
                is_intra = frame.key_frame or frame.pict_type == PictureType.I
                frame.opaque = damage.judge(frame.is_corrupt, is_intra, *(frame.opaque or (number, packet.is_keyframe)))
                frame.pts = stamps.best(frame.pts, frame.dts)
                yield frame
    except av.FFmpegError as error:
        facts.error = reason(error)


def _frames(packet: Any, number: int, damage: DamageTrail, facts: VideoFacts) -> list[Any]:
    try:
        return packet.decode()
    except MemoryError:
        raise
    except av.FFmpegError:
        facts.damaged += 1
        damage.lose(number)
        return []


class _Stamps:
    """FFmpeg's best effort (``guess_correct_pts`` of libavcodec): presentation stamps, or decoding stamps where those fail less.

    AVI has no presentation stamps; those that FFmpeg makes up are out of order where pictures are stored so, hence not trusted.
    A departure: where they have failed and there are no others (the last pictures), there is no stamp.
    """

    def __init__(self, container: Any) -> None:
        self._last_pts = self._last_dts = -np.inf
        self._faults = int(container.format.name == "avi")
        """of presentation stamps, less those of decoding stamps"""

    def best(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp of the next frame."""
        if dts is not None:
            self._faults -= dts <= self._last_dts
        if pts is not None:
            self._faults += pts <= self._last_pts
        self._last_dts = dts if dts is not None else pts if pts is not None else self._last_dts
        self._last_pts = pts if pts is not None else dts if dts is not None else self._last_pts
        return pts if pts is not None and self._faults <= 0 else dts


class _Clock:
    """Seconds of the file's time line for each frame in turn."""

    def __init__(self, zero_s: float, step_s: float, parts_s: tuple[float, ...]) -> None:
        self._zero_s, self._step_s, self._parts_s = zero_s, step_s, list(parts_s)
        self._last_s = self._last_stamp_s = -np.inf

    def time_of(self, frame: Any) -> tuple[float, bool]:
        """The time of the next frame, and whether it is the first of a part."""
        stamp_s = float(frame.pts * frame.time_base) - self._zero_s if frame.pts is not None else self._last_stamp_s
        if stamp_s > self._last_s:
            at_s = stamp_s
        elif stamp_s == self._last_stamp_s:  # no stamp, or a clock that stands still
            at_s = self._last_s + self._step_s if np.isfinite(self._last_s) else 0.0
        else:
            at_s = self._last_s + LEAST_STEP_S
        self._last_s, self._last_stamp_s = at_s, stamp_s
        begins_part = bool(self._parts_s) and at_s >= self._parts_s[0] - CLOCK_SLACK_S
        if begins_part:
            self._parts_s.pop(0)
        return at_s, begins_part


def _filtered(frames: Iterator[Any], facts: VideoFacts) -> Iterator[Any]:
    """The frames, through those of FFmpeg's filters that they need, if any."""
    graph: Graph | None = None
    kind: tuple[Any, ...] = ()
    is_interlaced = False  # once is always: the filter looks at each frame
    for frame in frames:
        facts.interlaced += frame.interlaced_frame
        is_interlaced |= frame.interlaced_frame
        found = (is_interlaced, bool(colours(frame)), frame.width, frame.height, frame.format.name)
        if found != kind:
            if graph is not None:
                yield from _pulled(graph, None)
            graph, kind = _graph(frame, is_interlaced, bool(colours(frame))), found
        if graph is None:
            yield frame
        else:
            yield from _pulled(graph, frame)
    if graph is not None:
        yield from _pulled(graph, None)


def _graph(frame: Any, is_interlaced: bool, is_mapped: bool) -> Graph | None:
    """What frames like ``frame`` go through; None: nothing.

    Fields: bwdif, a picture for each frame, only where it is marked. Colours that are mapped to BT.709 lose what their file says
    of the studio's screen and of the brightest light, for whose sake swscale would darken all below it: skin of 100 nits to half.
    """
    filters = [("bwdif", "mode=send_frame:parity=auto:deint=interlaced")] if is_interlaced else []
    if is_mapped:
        kinds = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS")
        filters += [("sidedata", f"mode=delete:type={kind}") for kind in kinds]
    if not filters:
        return None
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base)
    graph.link_nodes(source, *(graph.add(name, options) for name, options in filters), graph.add("buffersink")).configure()
    return graph


def _pulled(graph: Graph, frame: Any | None) -> Iterator[Any]:
    """What the graph gives after one more frame; None: the end."""
    graph.push(frame)
    with suppress(av.BlockingIOError, av.EOFError):
        while True:
            yield graph.pull()


class _Converter:
    """Turns a stream's frames into upright RGB with square pixels.

    One reformatter for all frames: FFmpeg's conversion is set up once, not per frame; one thread, as for the decoding. It honours
    the frame's matrix and range; what the file does not say is BT.601, as in FFmpeg's program. HDR and wide gamuts: swscale's own
    mapping to BT.709 (a table, made in 2 s, then 5 ms a picture).
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._reformatter = VideoReformatter()
        self._orientation, self._told = Orientation(0, False), np.nan

    def __call__(self, frame: Any) -> RgbImage:
        width = square_width(frame, self._stream)
        to_bt709 = {"dst_color_trc": ColorTrc.BT709, "dst_color_primaries": ColorPrimaries.BT709} if colours(frame) else {}
        converted = self._reformatter.reformat(frame, width, frame.height, "rgb24", threads=1, **to_bt709)
        # PyAV's side data and their frame hold each other until the garbage collector comes: hundreds of frames. So only where
        # the angle changes, which costs nothing to ask; nobody mirrors in mid-stream.
        if frame.rotation != self._told:
            self._orientation, self._told = Orientation.of(frame), frame.rotation
        return self._orientation.apply(np.asarray(converted.to_ndarray(), np.uint8))


def colours(frame: Any) -> str:
    """``pq``, ``hlg`` or ``wide`` (gamut) where the colours are mapped to BT.709; empty where they are not."""
    return HDR.get(frame.color_trc, "wide" if frame.color_primaries in WIDE_GAMUTS else "")


def square_width(frame: Any, stream: Any) -> int:
    """Width in square pixels: the stored width times the sample aspect ratio, even.

    Raises:
        MediaError: a ratio that makes too large a picture of it, or none.
    """
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width = frame.width if aspect in (0, 1) else int(round(frame.width * aspect / 2)) * 2
    _check_size(stream, width, frame.height)
    if not width:
        raise MediaError(f"{_path(stream)}: pixels of {aspect.numerator}:{aspect.denominator} leave no picture")
    return width


def _check_size(stream: Any, width: int, height: int) -> None:
    """Raise MediaError if a picture is too large."""
    if width * height > LARGEST_PX:
        limit = f"need {LARGEST_PX // 10**6} megapixels or fewer"
        raise MediaError(f"{_path(stream)}: picture of {width}x{height} px, {limit}")


def _path(stream: Any) -> str:
    return stream.container.name.removeprefix("file:")


def first_frame(container: Any, stream: Any, path: os.PathLike[str] | str) -> Any:
    """The first frame of ``stream`` that decodes, as FFmpeg gives it.

    Raises:
        MediaError: none of its first packets decodes.
    """
    _set_up(stream)
    facts = VideoFacts()
    for frame in _decoded(container.demux(stream), stream, facts):
        return frame
    refused = f"{facts.damaged} of {facts.packets} packets damaged, or pictures of more than {LARGEST_PX // 10**6} megapixels"
    why = facts.error or refused
    raise MediaError(f"{path}: video stream without a decodable frame ({why})")
