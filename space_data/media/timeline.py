"""One time line for a whole file, found by reading its packets once without decoding them.

Recordings joined end to end restart their time stamps, broken clocks jump ahead by hours, damaged headers give single packets
absurd stamps. FFmpeg's program mends this while it reads, stream by stream, which can move sound against picture. Here the whole
file is seen first, so that each part keeps its own sound and picture together: it goes on where the part before ended, both
streams moved by the same amount. Reading the packets costs 0.01 ms each, decoding them hundreds of times that.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np

from space_data.media.container import may_restart, open_media, zero_s

BACKWARD_S = 0.1
"""A stamp so far before the one it follows is a restart (as in FFmpeg's program); less is jitter."""
JUMP_S, HELD_S = 10.0, 60.0
"""A time without any packet of any stream that is longer is a broken clock and is closed up. The first holds for formats whose
clock may restart (as in FFmpeg's program, ``-dts_delta_threshold``); in others a long standstill may be meant: the second."""
STRAY_PACKETS = 2
"""So few packets off the clock, between others that follow each other, are damaged stamps and not a part of their own."""


@dataclass
class _Run:
    """Packets of one stream whose stamps follow each other, seconds of the container's clock."""

    first: int
    """number of its first packet within the stream"""
    position: int
    """and within the file"""
    jumped_s: float
    """how far its stamps jump ahead of the run before; negative: they restart"""
    start_s: float = np.inf
    end_s: float = -np.inf
    """of what is shown"""
    last_s: float = -np.inf
    expected_s: float = -np.inf
    """when the last packet is decoded, and ends"""
    packets: int = 0

    def add(self, decoded_at_s: float | None, shown_at_s: float | None, length_s: float) -> None:
        """The next packet."""
        self.packets += 1
        if decoded_at_s is not None:
            self.last_s, self.expected_s = decoded_at_s, decoded_at_s + length_s
        if shown_at_s is not None:
            self.start_s, self.end_s = min(self.start_s, shown_at_s), max(self.end_s, shown_at_s + length_s)


@dataclass
class _Track:
    """One stream as the packets come."""

    runs: list[_Run] = field(default_factory=list)
    strays: list[tuple[int, int]] = field(default_factory=list)
    packets: int = 0
    shown: int = 0


@dataclass(frozen=True)
class Placement:
    """Of one stream: ``(first packet, seconds)`` to add from there on, and packets whose stamps are void."""

    shifts: tuple[tuple[int, float], ...] = ()
    strays: tuple[tuple[int, int], ...] = ()

    def placed(self, packets: Iterator[Any], stream: Any) -> Iterator[Any]:
        """The packets of all streams; those of ``stream`` get their stamps on the time line."""
        if not self.shifts and not self.strays:
            yield from packets
            return
        number, ticks = -1, 0
        shifts, strays = deque(self.shifts), deque(self.strays)
        for packet in packets:
            if packet.size and packet.stream_index == stream.index:
                number += 1
                while shifts and shifts[0][0] <= number:
                    ticks = round(shifts.popleft()[1] / stream.time_base)
                while strays and strays[0][1] <= number:
                    strays.popleft()
                if strays and strays[0][0] <= number:
                    packet.pts = packet.dts = None
                packet.pts = None if packet.pts is None else packet.pts + ticks
                packet.dts = None if packet.dts is None else packet.dts + ticks
            yield packet


@dataclass(frozen=True)
class Timeline:
    """Where every packet of a file belongs; times are seconds from ``zero_s`` of the container's clock."""

    zero_s: float
    placements: dict[int, Placement]
    """by stream index"""
    parts_s: tuple[float, ...]
    """where each part after the first begins"""
    restarts: int
    jumped_s: float
    """time that was closed up, in all"""
    shown: dict[int, int]
    """packets per stream that are meant to be shown (an edit list hides the others)"""
    hidden: dict[int, int]
    ends_s: dict[int, float]

    @staticmethod
    def plain(zero_s: float) -> "Timeline":
        """Of a file that is not read through: its stamps are taken as they are."""
        return Timeline(zero_s, {}, (), 0, 0.0, {}, {}, {})


def is_flush(packet: Any) -> bool:
    """Whether a packet only says that its stream has ended."""
    return packet.size == 0 and packet.dts is None and packet.pts is None


def is_empty(packet: Any) -> bool:
    """Whether a packet in the middle of its stream holds nothing: a decoder would take it for the end."""
    return packet.size == 0 and not is_flush(packet)


def scan(container: Any, streams: Sequence[Any]) -> Timeline:
    """Read all packets of ``streams`` from a container just opened, and lay them on one time line."""
    jump_s = JUMP_S if may_restart(container) else HELD_S
    found = {stream.index: _Track() for stream in streams}
    with suppress(av.FFmpegError):  # decoding meets it again, and tells it
        for position, packet in enumerate(container.demux(streams)):
            if packet.size:
                _take(packet, position, found, jump_s)
    return _laid_out(zero_s(container, streams), found)


def _take(packet: Any, position: int, found: dict[int, _Track], jump_s: float) -> None:
    """The next packet in the order of the file."""
    track, number = found[packet.stream_index], found[packet.stream_index].packets
    track.packets += 1
    track.shown += not packet.is_discard
    if packet.dts is None and packet.pts is None:
        return
    unit_s = float(packet.time_base)
    length_s = (packet.duration or 0) * unit_s
    if length_s > jump_s:  # a jump may be told as the length of what lies before it, which is as long as the one before that
        before = track.runs[-1] if track.runs else None
        length_s = before.expected_s - before.last_s if before is not None and np.isfinite(before.last_s) else 0.0
    # Only these come in order; Matroska's first pictures have none where they are stored out of order.
    at_s = packet.dts * unit_s if packet.dts is not None else None
    runs = track.runs
    if not runs:
        runs.append(_Run(number, position, 0.0))
    elif at_s is not None:
        # The file's clock is where its furthest stream is: one stream may rest for minutes while another goes on.
        expected_s = max(t.runs[-1].expected_s for t in found.values() if len(t.runs) == len(runs))
        restarts, jumps = at_s < runs[-1].last_s - BACKWARD_S, np.isfinite(expected_s) and at_s > expected_s + jump_s
        if restarts or jumps:
            if len(runs) > 1 and runs[-1].packets <= STRAY_PACKETS and 0 <= at_s - runs[-2].last_s <= jump_s:
                track.strays.append((runs.pop().first, number))
            else:
                runs.append(_Run(number, position, at_s - expected_s if jumps else -1.0))
    shown_at = packet.pts if packet.pts is not None else packet.dts
    runs[-1].add(at_s, None if packet.is_discard else shown_at * unit_s, length_s)


def _laid_out(zero: float, found: dict[int, _Track]) -> Timeline:
    """Join the runs of all streams to parts, and put the parts one after the other."""
    parts: list[dict[int, _Run]] = []
    for _, index, run in sorted((run.position, index, run) for index, track in found.items() for run in track.runs):
        if not parts or index in parts[-1]:
            parts.append({})
        parts[-1][index] = run
    shifts: dict[int, list[tuple[int, float]]] = {index: [] for index in found}
    ends_s, begins_s = dict.fromkeys(found, 0.0), []
    for number, part in enumerate(parts):
        start_s = min(run.start_s for run in part.values())
        jumped_alone = len(part) == 1 and next(iter(part.values())).jumped_s > 0  # the other stream just goes on
        begin_s = max(ends_s[index] for index in (part if jumped_alone else ends_s))
        shift_s = begin_s - (start_s - zero) if number and np.isfinite(start_s) else 0.0
        begins_s.append(begin_s)
        for index, run in part.items():
            if number:
                shifts[index].append((run.first, shift_s))
            if np.isfinite(run.end_s):
                ends_s[index] = run.end_s - zero + shift_s
    causes = [next(iter(part.values())).jumped_s for part in parts[1:]]
    return Timeline(
        zero, {index: Placement(tuple(shifts[index]), tuple(track.strays)) for index, track in found.items()},
        tuple(begins_s[1:]), sum(jumped < 0 for jumped in causes), sum(max(0.0, jumped) for jumped in causes),
        {index: track.shown for index, track in found.items()},
        {index: track.packets - track.shown for index, track in found.items()}, ends_s,
    )  # fmt: skip


def timeline_of(path: os.PathLike[str] | str, opened: Any, streams: Sequence[Any]) -> Timeline:
    """``scan`` of a second handle on the file, whose streams are those of ``opened`` by number."""
    with open_media(path) as again:
        return scan(again, [again.streams[stream.index] for stream in streams])
