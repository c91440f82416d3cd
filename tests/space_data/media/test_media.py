"""Codecs: round trips with known answers, awkward containers, and broken files."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.media.container import MediaError
from space_data.media.encode import VideoWriter, write_video, write_wav
from space_data.media.probe import probe
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video


def grey_steps(n: int, size: int = 64) -> list[np.ndarray]:
    return [np.full((size, size, 3), 20 + 5 * i, np.uint8) for i in range(n)]


def click(at_s: float, duration_s: float, rate_hz: int = 16_000) -> np.ndarray:
    audio = np.zeros(int(duration_s * rate_hz), np.float32)
    begin = int(at_s * rate_hz)
    audio[begin : begin + 200] = np.sin(2 * np.pi * 800 * np.arange(200) / rate_hz)
    return audio


def test_round_trip_keeps_frames_times_and_audio_position(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, grey_steps(40), audio=click(0.8, 1.6))
    frames = list(decode_video(path))
    assert [round(f.pts_s * 25) for f in frames] == list(range(40))
    assert all(abs(float(f.rgb.mean()) - (20 + 5 * i)) < 3 for i, f in enumerate(frames))
    audio = decode_audio(path)
    assert abs(int(np.argmax(np.abs(audio) > 0.3)) - 0.8 * 16_000) < 40
    info = probe(path)
    assert (info.width, info.height, info.header_frames, info.fps) == (64, 64, 40, 25.0)
    assert info.has_audio and info.audio_hz == 16_000


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, grey_steps(10), audio=click(0.1, 0.4))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


HEAP_CONTENT = """
import hashlib, sys, tempfile
from pathlib import Path
import numpy as np
from space_data.media.encode import write_video
rng, hashes = np.random.default_rng(0), []
for side in (64, 160, 224, 444):
    y, x = np.mgrid[:side, :side] / side
    flat = [128 + 90 * np.sin(9 * x + i / 7) * np.cos(7 * y - i / 9) + rng.normal(0, 5, (side, side)) for i in range(50)]
    file = Path(tempfile.mkdtemp(dir=sys.argv[1])) / "clip.mp4"
    write_video(file, [np.repeat(picture.clip(0, 255)[..., None], 3, -1).astype(np.uint8) for picture in flat])
    hashes.append(hashlib.sha256(file.read_bytes()).hexdigest())
print(*hashes)
"""


def test_what_the_heap_held_before_is_not_in_the_bytes(tmp_path: Path) -> None:
    def encoded(fill: int) -> str:
        command = [sys.executable, "-c", HEAP_CONTENT, str(tmp_path)]
        environment = {**os.environ, "MALLOC_PERTURB_": str(fill)}  # glibc's: what freshly allocated memory is filled with
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120).stdout

    assert len(set(encoded(85).split())) == 4
    assert encoded(85) == encoded(170) == encoded(3)


def test_variable_frame_rate_keeps_its_time_stamps(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.12, 0.2, 0.5]
    with VideoWriter(tmp_path / "vfr.mp4", 64, 64) as writer:
        for rgb, pts_s in zip(grey_steps(5), times_s, strict=True):
            writer.write(rgb, pts_s)
    assert [round(f.pts_s, 3) for f in decode_video(tmp_path / "vfr.mp4")] == times_s


def test_decoding_resamples_and_mixes_to_mono(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32) * 0.5
    write_video(tmp_path / "s.mp4", grey_steps(25), audio=np.stack([tone, tone]), audio_hz=44_100)
    audio = decode_audio(tmp_path / "s.mp4")
    spectrum = np.abs(np.fft.rfft(audio[:16_000] * np.hanning(16_000)))
    assert int(np.argmax(spectrum)) == 440
    assert probe(tmp_path / "s.mp4").audio_channels == 2


def test_a_failed_write_leaves_neither_file_nor_part(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "x.mp4", 64, 64) as writer:
        writer.write(grey_steps(1)[0])
        raise RuntimeError("interrupted")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file"), (b"", "empty file"), (b"this is a text file, not a video\n" * 10, "not a readable media file")],
)
def test_unreadable_files_are_told_apart(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    for read in (probe, decode_audio, lambda p: list(decode_video(p))):
        with pytest.raises(MediaError, match=words):
            read(path)


def test_a_truncated_file_is_an_error_not_a_short_clip(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.mp4", grey_steps(50))
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(MediaError):
        probe(tmp_path / "cut.mp4")


def test_asking_for_sound_of_a_silent_container_names_it(tmp_path: Path) -> None:
    write_video(tmp_path / "mute.mp4", grey_steps(5))
    with pytest.raises(MediaError, match=r"mute\.mp4: no audio stream"):
        decode_audio(tmp_path / "mute.mp4")


def test_odd_sides_and_unwritable_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="even sides"):
        VideoWriter(tmp_path / "odd.mp4", 65, 64)
    (tmp_path / "file").write_text("")
    with pytest.raises(SpaceError, match="cannot be written"):
        VideoWriter(tmp_path / "file" / "x.mp4", 64, 64)
    with pytest.raises(SpaceError, match="no frames"):
        write_video(tmp_path / "none.mp4", [])


def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: the same error from the same calls. 60 noisy frames do not fit."""
    script = (
        "import resource, signal, sys, numpy as np\n"
        "from space_data.media.encode import write_video; from space_data.errors import SpaceError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "noise = np.random.default_rng(0).integers(0, 255, (60, 128, 128, 3), np.uint8)\n"
        "try:\n    write_video(sys.argv[1], noise)\nexcept SpaceError as error:\n    sys.exit(str(error))\n"
    )
    write_video(tmp_path / "fits.mp4", np.random.default_rng(0).integers(0, 255, (60, 128, 128, 3), np.uint8))
    size = (tmp_path / "fits.mp4").stat().st_size
    (tmp_path / "fits.mp4").unlink()
    for limit in (size // 2, size - 100):  # in the middle, and while the index is written at the end
        command = [sys.executable, "-c", script, str(tmp_path / f"{'o' * 251}.mp4"), str(limit)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
        assert "o.mp4: writing failed after" in done.stderr and "File too large" in done.stderr
        assert not list(tmp_path.iterdir())


def test_wav_round_trip_is_exact_to_16_bits(tmp_path: Path, rng: np.random.Generator) -> None:
    audio = rng.uniform(-0.9, 0.9, 1600).astype(np.float32)
    write_wav(tmp_path / "a.wav", audio)
    assert np.abs(decode_audio(tmp_path / "a.wav") - audio).max() < 1e-4


def test_real_containers_decode_upright_with_square_pixels(shared_media: Path) -> None:
    expected = {
        "vfr_m_700.mp4": (135, (700, 700)),
        "nearsilent_sar_m_512x480.mp4": (587, (480, 480)),
        "mead_sad_m_1080p_444.mp4": (112, (1080, 1920)),
    }
    for name, (count, shape) in expected.items():
        info = probe(shared_media / name)
        assert (info.height, info.width) == shape
        frames = [(f.pts_s, f.rgb.shape) for f in decode_video(shared_media / name)]
        assert len(frames) == count
        assert frames[0][1] == (*shape, 3)
        assert (np.diff([t for t, _ in frames]) > 0).all()


def test_a_stream_that_starts_late_keeps_its_place(shared_media: Path) -> None:
    first = next(decode_video(shared_media / "stage_cuts_audience_360p.mp4"))
    assert first.pts_s == pytest.approx(0.844, abs=0.01)


def test_a_part_of_a_video_has_its_own_clock(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, grey_steps(40), crf=1)
    part = list(decode_video(path, 0.6, 1.0))
    assert [frame.pts_s for frame in part] == pytest.approx([i / 25 for i in range(10)], abs=1e-6)
    assert abs(float(part[0].rgb.mean()) - (20 + 5 * 15)) < 2


def test_fewer_frames_per_second_are_the_same_frames(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, grey_steps(40), crf=1)
    sampled = list(decode_video(path, at_most_hz=5))
    assert [frame.pts_s for frame in sampled] == pytest.approx([i / 5 for i in range(8)], abs=1e-6)


def test_a_part_of_a_sound(tmp_path: Path, rng: np.random.Generator) -> None:
    audio = rng.uniform(-0.5, 0.5, 16000).astype(np.float32)
    write_wav(tmp_path / "a.wav", audio)
    part = decode_audio(tmp_path / "a.wav", part_s=(0.25, 0.75))
    np.testing.assert_allclose(part, audio[4000:12000], atol=1e-4)
    assert len(decode_audio(tmp_path / "a.wav", part_s=(0.25, None))) == 12000


def test_a_stream_of_an_unknown_codec_is_none(tmp_path: Path) -> None:
    """As a flipped bit in the header leaves it."""
    write_video(tmp_path / "a.mp4", grey_steps(25), audio=np.zeros(16000, np.float32))
    (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes().replace(b"avc1", b"zzzz"))
    info = probe(tmp_path / "b.mp4")
    assert (info.has_video, info.has_audio) == (False, True) and len(decode_audio(tmp_path / "b.mp4")) > 10_000
    with pytest.raises(MediaError, match="no video stream"):
        next(decode_video(tmp_path / "b.mp4"))
