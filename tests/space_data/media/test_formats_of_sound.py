"""Sound of every rate, format, layout and header: the same waves at the same time, by definition and by FFmpeg's program."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from media_shelf import Samples, Sound, sweep, write

from space_data.media.sound import decode_audio

HZ = 16_000
WANT = sweep(2.0, HZ)
Play = Callable[[Path], Samples]


@pytest.fixture(scope="session")
def ffmpeg() -> Play:
    """Plays a sound by FFmpeg's program."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("FFmpeg's program is not installed")

    def play(path: Path) -> Samples:
        command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), "-ac", "1", "-ar", str(HZ), "-f", "f32le", "-"]
        return np.frombuffer(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout, np.float32)

    return play


def likeness(got: Samples, want: Samples = WANT) -> float:
    """Correlation at lag 0, of equal lengths to within a sample or two of rounding."""
    assert abs(len(got) - len(want)) <= 2
    a, b = got[: len(want)], want[: len(got)]
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def level(samples: Samples) -> float:
    return float(np.sqrt(np.square(samples[HZ // 10 : -HZ // 10]).mean()))


@pytest.mark.parametrize("hz", [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_every_rate(tmp_path: Path, ffmpeg: Play, hz: int) -> None:
    path = write(tmp_path / "a.wav", [Sound(sweep(2.0, hz), hz, "pcm_f32le")])
    for samples in (decode_audio(path, HZ), ffmpeg(path)):
        assert likeness(samples) > 0.999 and abs(level(samples) / level(WANT) - 1) < 0.02


@pytest.mark.parametrize(
    "codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "adpcm_ima_wav"]
)
def test_every_format_of_samples(tmp_path: Path, ffmpeg: Play, codec: str) -> None:
    path = write(tmp_path / "a.wav", [Sound(sweep(2.0, HZ), HZ, codec)])
    got, theirs = (samples[: len(WANT)] for samples in (decode_audio(path, HZ), ffmpeg(path)))
    assert likeness(got) > 0.999 and likeness(theirs) > 0.999
    assert abs(level(got) / level(WANT) - 1) < 0.01


@pytest.mark.parametrize(
    ("layout", "speaking"),
    [("mono", "0"), ("stereo", "01"), ("stereo", "0"), ("stereo", "1"), ("3.0", "2"), ("3.0", "012"), ("quad", "0123"),
     ("5.1", "2"), ("5.1", "01"), ("5.1", "45"), ("7.1", "2")],
)  # fmt: skip
@pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
def test_whoever_speaks_is_heard(tmp_path: Path, ffmpeg: Play, codec: str, layout: str, speaking: str) -> None:
    channels = {"mono": 1, "stereo": 2, "3.0": 3, "quad": 4, "5.1": 6, "7.1": 8}[layout]
    samples = np.zeros((channels, len(WANT)), np.float32)
    samples[[int(channel) for channel in speaking]] = WANT
    path = write(tmp_path / "a.mov", [Sound(samples, HZ, codec, layout, {"b": "256k"})])
    for got in (decode_audio(path, HZ), ffmpeg(path)):
        assert likeness(got[: len(WANT)]) > (0.999 if codec == "pcm_s16le" else 0.98)


@pytest.mark.parametrize(("layout", "speaking"), [("quad", 0), ("quad", 3), ("3.0", 2), ("5.1", 2)])
def test_channels_without_names_are_all_heard(tmp_path: Path, layout: str, speaking: int) -> None:
    """The mask of WAVE_FORMAT_EXTENSIBLE is 0: which loudspeaker a channel is for is not said. FFmpeg's program guesses."""
    samples = np.zeros(({"quad": 4, "3.0": 3, "5.1": 6}[layout], len(WANT)), np.float32)
    samples[speaking] = WANT
    path = write(tmp_path / "a.wav", [Sound(samples, HZ, "pcm_s16le", layout)])
    content = bytearray(path.read_bytes())
    mask = content.index(b"fmt ") + 8 + 20  # after 16 bytes of WAVEFORMAT, 2 of size, 2 of valid bits
    assert any(content[mask : mask + 4])
    content[mask : mask + 4] = bytes(4)
    path.write_bytes(content)
    assert likeness(decode_audio(path, HZ)) > 0.999


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le", "flac", "aac"])
def test_opposite_channels_do_not_cancel(tmp_path: Path, ffmpeg: Play, codec: str) -> None:
    path = write(tmp_path / "a.mkv", [Sound(np.stack([WANT, -WANT]), HZ, codec, "stereo", {"b": "256k"})])
    assert level(ffmpeg(path)) < 0.1 * level(WANT)  # which is how FFmpeg's program mixes
    got = decode_audio(path, HZ)[: len(WANT)]
    assert abs(likeness(got)) > 0.99 and abs(level(got) / level(WANT) - 1) < 0.05


@pytest.mark.parametrize(
    ("declared", "options"), [(None, {"rf64": "always"}), (0, {}), (0xFFFFFFFF, {}), (1000, {}), (2**31, {})]
)
def test_wrong_lengths_in_the_header(tmp_path: Path, ffmpeg: Play, declared: int | None, options: dict[str, str]) -> None:
    """As a recorder leaves them that was not closed or wrote into a pipe; RF64 keeps them elsewhere. A short one is believed."""
    path = write(tmp_path / "a.wav", [Sound(WANT, HZ, "pcm_s16le")], **options)
    if declared is not None:
        content = bytearray(path.read_bytes())
        data = content.index(b"data") + 4
        content[data : data + 4] = content[4:8] = declared.to_bytes(4, "little")
        path.write_bytes(content)
    want = WANT[: declared // 2] if declared == 1000 else WANT
    assert likeness(decode_audio(path, HZ), want) > 0.999
    assert likeness(ffmpeg(path), want) > 0.999


@pytest.mark.parametrize(("codec", "kind"), [("pcm_f32le", np.float32), ("pcm_f64le", np.float64)])
@pytest.mark.parametrize("full_scale", [2.0**15, 2.0**23, 2.0**31])
def test_floats_in_the_range_of_integers(tmp_path: Path, codec: str, kind: type, full_scale: float) -> None:
    path = write(tmp_path / "a.wav", [Sound((WANT * full_scale).astype(kind), HZ, codec)])
    got = decode_audio(path, HZ)
    assert likeness(got) > 0.999 and abs(level(got) / level(WANT) - 1) < 0.01


@pytest.mark.parametrize("peak", [0.01, 1.5, 4.0])
def test_loud_and_soft_floats_keep_their_level(tmp_path: Path, peak: float) -> None:
    path = write(tmp_path / "a.wav", [Sound(WANT * peak / 0.5, HZ, "pcm_f32le")])
    got = decode_audio(path, HZ)
    assert likeness(got) > 0.999 and abs(level(got) / (level(WANT) * peak / 0.5) - 1) < 0.01


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("hz", [16_000, 44_100])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_what_is_no_number_is_silence(tmp_path: Path, layout: str, hz: int, bad: float) -> None:
    samples = np.stack([sweep(2.0, hz)] * (1 + (layout == "stereo")))
    samples[:, hz // 2 : hz] = bad
    path = write(tmp_path / "a.wav", [Sound(samples, hz, "pcm_f32le", layout)])
    got, want = decode_audio(path, HZ), WANT.copy()
    want[HZ // 2 : HZ] = 0
    assert np.isfinite(got).all() and likeness(got, want) > 0.995
    assert np.abs(got[HZ // 2 + 100 : HZ - 100]).max() < 0.01


def test_a_file_of_nothing_but_nan_is_silence(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", [Sound(np.full(HZ, np.nan, np.float32), HZ, "pcm_f32le")])
    np.testing.assert_array_equal(decode_audio(path, HZ), np.zeros(HZ, np.float32))


@pytest.mark.parametrize("part_s", [(0.5, 1.25), (1.5, None), (0.0, 0.3)])
@pytest.mark.parametrize("codec", ["aac", "flac"])
def test_a_part_is_cut_out_of_the_whole(tmp_path: Path, codec: str, part_s: tuple[float, float | None]) -> None:
    path = write(tmp_path / "a.mp4", [Sound(sweep(2.0), codec=codec)])
    whole, part = decode_audio(path, HZ), decode_audio(path, HZ, part_s)
    begin, end = round(part_s[0] * HZ), len(whole) if part_s[1] is None else round(part_s[1] * HZ)
    np.testing.assert_allclose(part, whole[begin:end], atol=1e-4)
