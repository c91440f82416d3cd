"""Files that would cost more than they hold: sizes, stamps and streams that a few bytes can claim."""

import struct
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from media_shelf import Pictures, Sound, clip, moved, numbered, sweep, write

from space_data.media import container, video
from space_data.media.container import MediaError, open_media
from space_data.media.probe import probe
from space_data.media.sound import decode_sound
from space_data.media.video import VideoFacts, decode_video, square_width

PEAK_MB = 150
"""What refusing a file may cost at most; a picture that is not refused costs more than that."""


def peak_mb() -> float:
    """Largest resident memory of this process so far since ``forget_peak``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


@pytest.fixture(autouse=True)
def forgotten_peak() -> None:
    """Start to measure anew."""
    Path("/proc/self/clear_refs").write_text("5")


def still(path: Path, codec: str, width: int, height: int, pix_fmt: str, options: dict[str, str]) -> Path:
    """A video of one black picture."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        frame = av.VideoFrame(width, height, pix_fmt)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts = 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def claiming(path: Path, side: int) -> Path:
    """A small PNG in a QuickTime file that is said to be ``side`` pixels wide and high, by both of them."""
    content = bytearray(still(path, "png", 64, 64, "gray", {}).read_bytes())
    header, entry = content.index(b"IHDR"), content.index(b"png ", content.index(b"stsd"))
    content[header + 4 : header + 12] = struct.pack(">II", side, side)
    content[entry + 28 : entry + 32] = struct.pack(">HH", side, side)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("side", [30_000, 65_000])
def test_a_header_that_claims_a_huge_picture(tmp_path: Path, side: int) -> None:
    path = claiming(tmp_path / "a.mov", side)
    before = peak_mb()
    with pytest.raises(MediaError, match="a.mov: .*100 megapixels"):
        probe(path)
    with pytest.raises(MediaError, match="a.mov: "):
        next(decode_video(path))
    assert peak_mb() - before < PEAK_MB


def test_a_huge_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = still(tmp_path / "a.mp4", "libx264", 16_384, 8192, "yuv420p", {"preset": "ultrafast"})
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mb()
    for look in (probe, lambda file: next(decode_video(file))):
        with pytest.raises(MediaError, match="a.mp4: picture of 16384x8192 px, need 100 megapixels or fewer"):
            look(path)
    assert peak_mb() - before < PEAK_MB


def test_pixels_that_are_not_square_cannot_make_it_huge() -> None:
    def stream(*aspect: int) -> SimpleNamespace:
        return SimpleNamespace(sample_aspect_ratio=av.utils.Fraction(*aspect), container=SimpleNamespace(name="file:a.mp4"))

    frame = SimpleNamespace(width=1000, height=1000)
    assert square_width(frame, stream(4, 3)) == 1334
    with pytest.raises(MediaError, match="a.mp4: picture of 65535000x1000 px"):
        square_width(frame, stream(65535, 1))
    with pytest.raises(MediaError, match="a.mp4: pixels of 1:65535 leave no picture"):
        square_width(frame, stream(1, 65535))


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
@pytest.mark.parametrize("gap_s", [3000, 93_600])
def test_one_packet_far_ahead_costs_nothing(tmp_path: Path, suffix: str, gap_s: int) -> None:
    sound = Sound(sweep(2.0), codec="mp2") if suffix == ".ts" else Sound(sweep(2.0, 8000), 8000, "flac")
    write(tmp_path / f"a{suffix}", [clip()[0], sound], lambda p, index, n: [moved(p, gap_s if (index, n) == (1, 10) else 0)])
    before = peak_mb()
    heard = decode_sound(tmp_path / f"a{suffix}")
    assert len(heard.samples) < 4 * 16_000 and peak_mb() - before < PEAK_MB


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_silence_is_not_put_in_by_the_day(tmp_path: Path, suffix: str) -> None:
    """Sound that begins a day late, and sound whose packets all lie just so far apart that each gap may be meant."""
    hz, codec, step_s = (44_100, "mp2", 9) if suffix == ".ts" else (8000, "flac", 50)
    day, holes = tmp_path / f"day{suffix}", tmp_path / f"holes{suffix}"
    write(day, [clip()[0], Sound(sweep(2.0, hz), hz, codec)], lambda p, index, _: [moved(p, 86_400 * index)])
    write(holes, [Sound(sweep(30.0, hz), hz, codec)], lambda p, _, n: [moved(p, step_s * n)])
    before = peak_mb()
    for path in (day, holes):
        with pytest.raises(MediaError, match=rf"{path.name}: time stamps put .* s of sound into \d+ s"):
            decode_sound(path)
    assert peak_mb() - before < PEAK_MB


def test_a_pause_of_half_an_hour_may_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write(path, [clip()[0], Sound(sweep(2.0, 8000), 8000, "flac")], lambda p, index, _: [moved(p, 1800 * index)])
    assert len(decode_sound(path).samples) == pytest.approx(1802 * 16_000, abs=400)


@pytest.mark.parametrize(("rate_hz", "is_fine"), [(1, False), (999, False), (8000, True), (2**31 - 1, False)])
def test_an_absurd_sample_rate(tmp_path: Path, rate_hz: int, is_fine: bool) -> None:
    """20 kB of sound at 1 Hz would be five hours."""
    head = struct.pack("<HHIIHH", 1, 1, rate_hz, rate_hz, 1, 8)
    content = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", 20_000) + bytes([127, 129] * 10_000)
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(content)) + content)
    if is_fine:
        assert len(decode_sound(tmp_path / "a.wav").samples) == pytest.approx(16_000 / rate_hz * 20_000, abs=100)
    else:
        with pytest.raises(MediaError, match=f"a.wav: {rate_hz} samples a second, need 1000 to 4000000"):
            decode_sound(tmp_path / "a.wav")


def test_too_many_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.mkv", [*clip(5), *[Sound(sweep(0.2)) for _ in range(6)]])
    with open_media(path) as opened:
        assert len(opened.streams) == 8
    monkeypatch.setattr(container, "MOST_STREAMS", 7)
    with pytest.raises(MediaError, match="a.mkv: 8 streams, need 7 or fewer"):
        open_media(path)


def test_a_size_that_grows_in_mid_stream_costs_those_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder is told the bound, too: the header has the size of the first pictures only."""
    parts = []
    for count, side in ((200, 64), (5, 256)):  # 8 s: the second size is not yet seen when the file is opened
        write(tmp_path / "p.ts", [Pictures([numbered(n, side, side) for n in range(count)])])
        parts.append((tmp_path / "p.ts").read_bytes())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    assert [frame.rgb.shape[0] for frame in decode_video(tmp_path / "a.ts")] == [64] * 200 + [256] * 5
    monkeypatch.setattr(video, "LARGEST_PX", 256 * 256 - 1)
    facts = VideoFacts()
    assert [frame.rgb.shape[0] for frame in decode_video(tmp_path / "a.ts", facts=facts)] == [64] * 200
    assert facts.damaged == 5
