"""Pictures: orientation and clock from first principles; what a decoding tells of a file."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from space_data.media.container import MediaError
from space_data.media.encode import set_rotation, write_video
from space_data.media.probe import probe
from space_data.media.video import Orientation, VideoFacts, _Clock, decode_video

PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def frame_with(a: int, b: int, c: int, d: int) -> Any:
    matrix = np.array([a, b, 0, c, d, 0, 0, 0, 1], "=i4") * 0x10000
    return SimpleNamespace(side_data={"DISPLAYMATRIX": matrix.tobytes()})


def drawn(a: int, b: int, c: int, d: int) -> np.ndarray:
    """Each pixel of ``PICTURE`` where the matrix puts it: x' = a x + c y, y' = b x + d y (ISO/IEC 14496-12, 8.3.2)."""
    spots = {(a * x + c * y, b * x + d * y): PICTURE[y, x] for y, x in product(range(2), range(3))}
    xs, ys = sorted({x for x, _ in spots}), sorted({y for _, y in spots})
    return np.array([[spots[x, y] for x in xs] for y in ys])


@pytest.mark.parametrize("signs", list(product((1, -1), repeat=2)))
@pytest.mark.parametrize("is_turned", [False, True])
def test_all_eight_display_matrices(signs: tuple[int, int], is_turned: bool) -> None:
    one, two = signs
    matrix = (0, one, two, 0) if is_turned else (one, 0, 0, two)
    orientation = Orientation.of(frame_with(*matrix))
    assert orientation.is_on_its_side == is_turned and orientation.is_mirrored == (np.linalg.det(np.reshape(matrix, (2, 2))) < 0)
    assert (orientation.apply(PICTURE) == drawn(*matrix)).all()


@pytest.mark.parametrize("clockwise_deg", [0, 90, 180, 270])
def test_a_turn_is_undone_and_told(tmp_path: Path, clockwise_deg: int) -> None:
    """What a phone does: the sensor's picture lies on its side, the header says how to turn it."""
    upright = np.full((64, 96, 3), 30, np.uint8)
    upright[:20] = 220
    stored = np.rot90(upright, clockwise_deg // 90)
    write_video(tmp_path / "a.mp4", [np.ascontiguousarray(stored)] * 10, crf=5)
    set_rotation(tmp_path / "a.mp4", clockwise_deg)
    assert np.abs(next(decode_video(tmp_path / "a.mp4")).rgb.astype(int) - upright).max() < 12
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height, info.rotation_deg, info.is_mirrored) == (96, 64, clockwise_deg, False)


def clock(stamps: list[int | None], parts_s: tuple[float, ...] = ()) -> list[tuple[float, bool]]:
    timed = _Clock(0.0, 0.04, parts_s)
    frames = [SimpleNamespace(pts=stamp, time_base=Fraction(1, 1000)) for stamp in stamps]
    return [(round(at_s, 6), begins) for at_s, begins in map(timed.time_of, frames)]


def test_frames_without_stamps_follow_one_nominal_frame_after_the_one_before() -> None:
    assert [at for at, _ in clock([None, None, 100, None, None])] == [0, 0.04, 0.1, 0.14, 0.18]


def test_a_clock_that_stands_still_and_goes_on() -> None:
    assert [at for at, _ in clock([0, 0, 0, 200, 240])] == [0, 0.04, 0.08, 0.2, 0.24]


def test_a_stamp_that_lies_back_moves_its_own_frame_only() -> None:
    assert [at for at, _ in clock([0, 40, 30, 80, 120])] == [0, 0.04, 0.041, 0.08, 0.12]


def test_the_first_frame_of_a_part_is_known_by_its_time() -> None:
    assert clock([0, 40, 80, 120], (0.08,)) == [(0, False), (0.04, False), (0.08, True), (0.12, False)]


def encoded(codec: str, frames: list[np.ndarray], **options: str) -> list[Any]:
    """Packets of ``frames`` at 25 per second."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
    context.time_base, context.framerate, context.options = Fraction(1, 25), Fraction(25), options
    context.thread_count = 1  # libvpx threads wait for each other by spinning
    packets = []
    for number, rgb in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += context.encode(frame)
    return packets + context.encode(None)


def test_a_picture_that_changes_its_size_begins_a_part_in_its_own_size(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.webm"), "w") as container:
        stream: Any = container.add_stream("libvpx", rate=25)
        stream.width = stream.height = 96
        at = 0
        for side in (96, 64, 96):
            for packet in encoded("libvpx", [np.full((side, side, 3), side, np.uint8)] * 10):
                packet.stream, packet.pts, packet.dts, packet.time_base = stream, at, at, Fraction(1, 25)
                at += 1
                container.mux(packet)
    facts = VideoFacts()
    frames = list(decode_video(tmp_path / "a.webm", facts=facts))
    assert [f.rgb.shape[:2] for f in frames] == [(96, 96)] * 10 + [(64, 64)] * 10 + [(96, 96)] * 10
    assert [i for i, f in enumerate(frames) if f.begins_part] == [10, 20]
    assert facts.sizes == [(96, 96), (64, 64), (96, 96)]


def moving(n: int = 60, size: int = 96) -> list[np.ndarray]:
    """Noise that moves, so that every picture differs."""
    noise = np.random.default_rng(1).integers(40, 200, (size, 2 * size, 3), np.uint8)
    return [np.ascontiguousarray(noise[:, i : i + size]) for i in range(n)]


def test_a_damaged_packet_costs_its_own_picture(tmp_path: Path) -> None:
    """Motion JPEG, so that no picture rests on another."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 96
        stream.pix_fmt = "yuvj420p"
        for number, rgb in enumerate(moving(30)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in stream.encode(frame):
                if number in (0, 10, 11, 29):
                    packet.update(bytes(packet.size))
                container.mux(packet)
    facts = VideoFacts()
    shown = [round(frame.pts_s * 25) for frame in decode_video(tmp_path / "a.mkv", facts=facts)]
    assert shown == [i for i in range(30) if i not in (0, 10, 11, 29)]
    assert (facts.packets, facts.damaged, facts.error) == (30, 4, "")


@pytest.mark.parametrize(
    ("codec", "options", "spoilt", "is_lost", "expected"),
    [
        # One picture is shown for as long as the lost one would have been.
        ("mjpeg", {}, 25, True, [24]),
        ("mpeg4", {"g": "20"}, 25, False, range(25, 40)),
        ("libx264", {"g": "20", "bf": "0"}, 25, True, [24, *range(26, 40)]),
        # The key picture itself, without which the decoder gives nothing of the next two; then one with B pictures that are
        # shown before it and made from it.
        ("libx264", {"g": "20", "bf": "0"}, 20, True, [19, *range(23, 40)]),
        ("mpeg2video", {"g": "20", "bf": "2", "sc_threshold": "1000000000"}, 25, False, range(25, 39)),
        # Intra refresh: recovery points at 20, 40, 60; the sweep from the first one after the damage ends with the next.
        ("libx264", {"x264-params": "intra-refresh=1:keyint=20:scenecut=0", "bf": "0"}, 25, True, [24, *range(26, 60)]),
        # No such point, no end.
        ("libx264", {"g": "999", "bf": "0", "x264-params": "scenecut=0"}, 25, True, [24, *range(26, 80)]),
    ],
)
def test_what_rests_on_a_damaged_picture_is_damaged_until_nothing_rests_on_it(
    tmp_path: Path, codec: str, options: dict[str, str], spoilt: int, is_lost: bool, expected: Sequence[int]
) -> None:
    """Up to the next picture coded by itself or, with intra refresh, to the second recovery point."""
    whole, path = tmp_path / "whole.mkv", tmp_path / "a.mkv"
    with av.open(str(whole), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        frames: list[Any] = [av.VideoFrame.from_ndarray(rgb, format="rgb24") for rgb in moving(80)]
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 25)
        for given in [*frames, None]:
            container.mux(stream.encode(given))
    with av.open(str(whole)) as read, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(read.streams.video[0])
        packets = [packet for packet in read.demux(video=0) if packet.size]
        kept = 0 if is_lost else packets[spoilt].size // 2
        packets[spoilt].update(bytes(packets[spoilt])[:kept] + bytes(packets[spoilt].size - kept))
        for packet in packets:
            packet.stream = stream
            container.mux(packet)
    facts = VideoFacts()
    shown: list[int] = []
    damaged: set[int] = set()
    for frame in decode_video(path, facts=facts):
        shown.append(round(frame.pts_s * 25))
        before = len(shown) - 1 - frame.damaged_before
        damaged |= set(shown[before : len(shown) - (not frame.is_damaged)])
    assert (facts.damaged, sorted(damaged)) == (1, list(expected))


def test_interlaced_pictures_lose_their_comb_and_are_counted(tmp_path: Path) -> None:
    """A bar that moves by 4 px from field to field."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream: Any = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 128, 96, "yuv420p", 4_000_000
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        for number in range(20):
            rgb = np.full((96, 128, 3), 30, np.uint8)
            for field in (0, 1):
                left = 8 + 8 * (number % 10) + 4 * field
                rgb[field::2, left : left + 30] = 220
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    facts = VideoFacts()
    frames = list(decode_video(tmp_path / "a.mkv", facts=facts))
    combs = [np.abs(np.diff(f.rgb[..., 0].astype(int), axis=0)).mean() for f in frames]
    assert (facts.interlaced, len(frames)) == (20, 20) and max(combs[2:-2]) < 4
    assert probe(tmp_path / "a.mkv").is_interlaced and [round(f.pts_s * 25) for f in frames] == list(range(20))


def test_nothing_that_decodes_is_said_with_how_much_was_tried(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuvj420p"
        for number in range(5):
            packet = av.Packet(b"\0" * 50)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 25)
            container.mux(packet)
    with pytest.raises(MediaError, match="no frame of the video decodes .5 of 5 packets damaged"):
        list(decode_video(tmp_path / "a.mkv"))
    with pytest.raises(MediaError, match="without a decodable frame"):
        probe(tmp_path / "a.mkv")


def test_pictures_of_avi_that_are_stored_out_of_order_come_at_even_times(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 96
        stream.pix_fmt, stream.codec_context.max_b_frames = "yuv420p", 2
        for number, rgb in enumerate(moving(30)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    times = [frame.pts_s for frame in decode_video(tmp_path / "a.avi")]
    assert len(times) == 30 and np.diff(times)[1:] == pytest.approx(0.04)
