"""The packet fuzz changes data and nothing that the container says of them."""

from pathlib import Path

import av
import numpy as np
import pytest
from media_shelf import Pictures, Sound, clip, sweep, write

from benchmarks.fuzz_packets import Base, Lengths, flipped, our_lengths, packet_spans, ts_spans


def made(path: Path) -> Base:
    pictures = Pictures(clip()[0].frames, "mpeg2video", options={"q:v": "4"})
    content = write(path, [pictures, Sound(sweep(2.0), codec="mp2")]).read_bytes()
    return Base(path, content, ts_spans(content) if path.suffix == ".ts" else packet_spans(path, content))


def stamps(path: Path) -> list[tuple[int | None, int | None]]:
    with av.open(str(path)) as container:
        return [(packet.pts, packet.dts) for packet in container.demux() if packet.size]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_only_the_data_of_packets_change(tmp_path: Path, suffix: str) -> None:
    base = made(tmp_path / f"a.{suffix}")
    with av.open(str(base.path)) as container:
        data = sum(packet.size for packet in container.demux())
    assert 0.95 * data < np.diff(base.spans, axis=1).sum() < 1.1 * data  # MPEG-TS stuffs its packets
    before, target = stamps(base.path), tmp_path / f"b.{suffix}"
    for seed in range(5):
        content = flipped(base, seed)
        places = np.flatnonzero(np.frombuffer(content, np.uint8) != np.frombuffer(base.content, np.uint8))
        assert len(content) == len(base.content) and 1 <= len(places) <= 64
        assert all(((base.spans[:, 0] <= place) & (place < base.spans[:, 1])).any() for place in places)
        target.write_bytes(content)
        if suffix != "ts":  # there a parser finds the packets in the data themselves
            assert stamps(target) == before
    assert flipped(base, 3) == flipped(base, 3) != flipped(base, 4)


def test_lengths_of_a_whole_file_and_of_none(tmp_path: Path) -> None:
    lengths = our_lengths(str(made(tmp_path / "a.mp4").path))
    assert lengths.pictures_s == pytest.approx(2.0, abs=0.02) and lengths.sound_s == pytest.approx(2.0, abs=0.05)
    (tmp_path / "b.mp4").write_text("no video")
    assert our_lengths(str(tmp_path / "b.mp4")) == Lengths(0.0, 0.0)
