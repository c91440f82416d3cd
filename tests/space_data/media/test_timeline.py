"""One time line for all parts of a file; answers known by hand, from packets that are made up."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from av.format import Flags

from space_data.media.timeline import Placement, Timeline, scan

STEP_S = 0.04


@dataclass
class Packet:
    """What ``scan`` looks at; stamps in milliseconds."""

    stream_index: int
    pts: int | None
    dts: int | None
    duration: int = 40
    is_discard: bool = False
    size: int = 100
    time_base: float = 0.001


class File:
    """A container that gives made-up packets. Stream 0 holds pictures, 1 sound."""

    def __init__(self, packets: list[Packet], may_restart: bool = True) -> None:
        self._packets = packets
        self.format = SimpleNamespace(flags=Flags.ts_discont.value if may_restart else 0)
        self.start_time: int | None = 0
        self.streams = [SimpleNamespace(index=i, start_time=0, time_base=0.001) for i in (0, 1)]

    def demux(self, streams: list[Any]) -> Iterator[Packet]:
        return iter(self._packets)

    def scan(self, *which: int) -> Timeline:
        return scan(self, [self.streams[i] for i in which or (0, 1)])


def part(start_ms: int, n: int = 50, streams: tuple[int, ...] = (0, 1), late_ms: int = 0) -> list[Packet]:
    """``n`` packets of 40 ms of each stream, in turn; the pictures begin ``late_ms`` after the sound."""
    return [Packet(s, at + (late_ms if s == 0 else 0), at + (late_ms if s == 0 else 0))
            for at in range(start_ms, start_ms + 40 * n, 40) for s in streams]  # fmt: skip


def times(line: Timeline, packets: list[Packet], stream: int) -> list[float]:
    """Where the packets of a stream come to lie, seconds."""
    placed = line.placements[stream].placed(iter(packets), SimpleNamespace(index=stream, time_base=0.001))
    return [round(p.pts * 0.001, 3) for p in placed if p.stream_index == stream and p.pts is not None]


def test_an_ordinary_file_is_left_alone() -> None:
    line = File(part(0)).scan()
    assert line.placements == {0: Placement(), 1: Placement()} and (line.restarts, line.jumped_s, line.parts_s) == (0, 0.0, ())
    assert line.ends_s == {0: pytest.approx(2.0), 1: pytest.approx(2.0)} and line.shown == {0: 50, 1: 50}


def test_a_second_recording_follows_the_first_and_keeps_its_own_sound() -> None:
    packets = part(0) + part(500, late_ms=300)
    line = File(packets).scan()
    assert (line.restarts, line.parts_s) == (1, (pytest.approx(2.0),))
    pictures, sound = times(line, packets, 0), times(line, packets, 1)
    assert sound == pytest.approx([i * STEP_S for i in range(100)])
    assert pictures[50] - sound[50] == pytest.approx(0.3) and pictures[:50] == sound[:50]
    assert line.ends_s == {0: pytest.approx(4.3), 1: pytest.approx(4.0)}


def test_each_part_begins_where_the_longer_stream_of_the_one_before_ends() -> None:
    packets = part(0) + part(2000, 20, streams=(1,)) + part(0, 30) + part(0, 10)
    line = File(packets).scan()
    assert (line.restarts, line.parts_s) == (2, (pytest.approx(2.8), pytest.approx(4.0)))
    assert times(line, packets, 0)[50] == times(line, packets, 1)[70] == 2.8


def test_packets_that_come_late_belong_to_their_own_part() -> None:
    """MPEG-TS gives the last picture of a part only after the first sound of the next."""
    first, second = part(0), part(0)
    packets = [*first[:-2], first[-1], second[1], first[-2], second[0], *second[2:]]
    line = File(packets).scan()
    assert times(line, packets, 0) == pytest.approx([i * STEP_S for i in range(100)])
    assert times(line, packets, 1) == pytest.approx([i * STEP_S for i in range(100)])


def test_a_part_without_sound() -> None:
    packets = part(0) + part(0, streams=(0,))
    line = File(packets).scan()
    assert line.restarts == 1 and times(line, packets, 0) == pytest.approx([i * STEP_S for i in range(100)])


@pytest.mark.parametrize(("jump_s", "may_restart", "is_closed"), [(30, True, True), (30, False, False), (108_000, False, True)])
def test_a_clock_that_jumps_ahead_is_closed_up(jump_s: int, may_restart: bool, is_closed: bool) -> None:
    packets = part(0) + part(2000 + 1000 * jump_s)
    line = File(packets, may_restart).scan()
    assert line.jumped_s == pytest.approx(jump_s if is_closed else 0)
    assert times(line, packets, 0)[50] == times(line, packets, 1)[50] == (2.0 if is_closed else 2.0 + jump_s)


def test_a_jump_that_is_told_as_the_length_of_a_packet() -> None:
    """As MP4 does, which has lengths only."""
    packets = part(0) + part(108_000_000)
    packets[98].duration = packets[99].duration = 108_000_000 - 1960
    line = File(packets, may_restart=False).scan()
    assert line.jumped_s > 107_000 and times(line, packets, 0)[50] == times(line, packets, 1)[50] == pytest.approx(2, abs=0.05)


def test_a_stream_that_jumps_alone_goes_on_where_it_ended() -> None:
    packets = [*part(0), *part(2000, streams=(1,)), *part(108_002_000, streams=(0,))]
    line = File(packets, may_restart=False).scan()
    assert times(line, packets, 0)[49:51] == [1.96, 2.0] and times(line, packets, 1)[-1] == pytest.approx(3.96)


def test_one_stream_may_rest_while_the_other_goes_on() -> None:
    packets = part(0) + part(2000, 700, streams=(0,)) + part(30_000)
    line = File(packets).scan()
    assert (line.restarts, line.jumped_s) == (0, 0.0) and times(line, packets, 1)[50] == 30.0


def test_a_stray_stamp_is_void_and_the_others_stay_where_they_are() -> None:
    packets = part(0)
    packets[40].pts = packets[40].dts = 95_443_717
    line = File(packets).scan()
    assert line.restarts == 0 and line.placements[0].strays == ((20, 21),)
    assert times(line, packets, 0) == pytest.approx([i * STEP_S for i in range(50) if i != 20])
    assert times(line, packets, 1) == pytest.approx([i * STEP_S for i in range(50)])


def test_hidden_packets_lead_up_but_do_not_count() -> None:
    packets = part(-800, 20) + part(0)
    for packet in packets[:40]:
        packet.is_discard = True
    line = File(packets, may_restart=False).scan()
    assert line.shown == {0: 50, 1: 50} and line.hidden == {0: 20, 1: 20} and line.ends_s[0] == pytest.approx(2.0)


@pytest.mark.parametrize("is_matroska", [False, True])
def test_pictures_that_are_stored_out_of_order_are_no_restart(is_matroska: bool) -> None:
    order = [0, 7, 3, 1, 2, 5, 4, 6, 14, 10]
    packets = [Packet(0, 40 * shown, None if is_matroska and i < 2 else 40 * (i - 2)) for i, shown in enumerate(order)]
    line = File(packets).scan(0)
    assert line.restarts == 0 and line.ends_s[0] == pytest.approx(0.6)
