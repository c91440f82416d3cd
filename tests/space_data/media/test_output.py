"""Sound that is copied is heard as its source is, at the same time; what could not be so is not copied."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import correlate

from space_data.media.boxes import joined_s
from space_data.media.container import open_media
from space_data.media.output import CodedSound, coded_sound, write_titled
from space_data.media.probe import probe
from space_data.media.sound import decode_audio, decode_stereo
from space_data.media.video import decode_video

SECONDS = 2.0
FRAMES = [np.full((64, 64, 3), 4 * i, np.uint8) for i in range(50)]
CODED = {  # name: encoder, rate, channels, format
    "aac.m4a": ("aac", 44_100, 2, None),
    "aac16.mp4": ("aac", 16_000, 1, None),
    "raw.aac": ("aac", 44_100, 1, "adts"),
    "broadcast.ts": ("aac", 48_000, 1, "mpegts"),
    "mp3.mp3": ("libmp3lame", 44_100, 1, None),
    "mp3-16.mp3": ("libmp3lame", 16_000, 2, None),
    "opus.ogg": ("libopus", 48_000, 1, None),
    "opus.webm": ("libopus", 48_000, 2, None),
}
MILLISECOND = ("opus.webm",)
"""Stamped so roughly."""


def clicks(hz: int, channels: int) -> NDArray[np.float32]:
    """A hum with a click every 0.2 s, (channels, n)."""
    at_s = np.arange(round(SECONDS * hz)) / hz
    sound = 0.1 * np.sin(2 * np.pi * 180 * at_s) + 0.6 * np.sin(2 * np.pi * 900 * at_s) * (at_s % 0.2 < 0.01)
    return np.stack([sound * (1 - 0.5 * c) for c in range(channels)]).astype(np.float32)


def write_coded(path: Path, codec: str, hz: int, channels: int, form: str | None, first_pts: int = 0) -> None:
    """The clicks as that codec has them."""
    layout = "mono" if channels == 1 else "stereo"
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(clicks(hz, channels), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = hz, first_pts, Fraction(1, hz)
        for part in av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=hz).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def packets(path: Path) -> list[bytes]:
    """Of the sound."""
    with open_media(path) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("name", CODED)
def test_what_is_copied_is_heard_at_the_same_sample(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / "out.mp4"
    write_coded(source, *CODED[name])
    copied = coded_sound(source)
    assert copied is not None
    write_titled(out, FRAMES, title="made", copied=copied)
    had, has = packets(source), packets(out)
    assert len(has) == len(had) and all(a.endswith(b) for a, b in zip(had, has, strict=True)), "an ADTS header may go"
    hz = CODED[name][1]
    before, after = decode_stereo(source, hz)[0], decode_stereo(out, hz)[0]
    n = min(len(before), len(after))
    assert n >= SECONDS * hz
    lag = int(correlate(after[:n], before[:n], method="fft").argmax()) - (n - 1)
    assert abs(lag) <= (0.001 * hz if name in MILLISECOND else 0)
    assert name in MILLISECOND or np.abs(after[:n] - before[:n]).max() < 1e-6
    told = clicks(hz, 1)[0]
    late = int(correlate(after[: len(told)], told, method="fft").argmax()) - (len(told) - 1)
    assert abs(late) < 0.04 * hz, "within a frame of what went into the source"
    info = probe(out)
    assert abs(info.audio_start_s) < 1e-3 and info.video_start_s == 0 and len(list(decode_video(out))) == len(FRAMES)


def test_the_same_input_gives_the_same_bytes_and_a_title(tmp_path: Path) -> None:
    write_coded(tmp_path / "a.m4a", *CODED["aac.m4a"])
    for name in ("a.mp4", "b.mp4"):
        write_titled(tmp_path / name, FRAMES, title="made", copied=coded_sound(tmp_path / "a.m4a"), comment="by us")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with open_media(tmp_path / "a.mp4") as container:
        assert (container.metadata["title"], container.metadata["comment"]) == ("made", "by us")


def test_what_players_may_not_take_is_coded_again(tmp_path: Path) -> None:
    write_coded(tmp_path / "a.wav", "pcm_s16le", 44_100, 1, None)
    write_coded(tmp_path / "a.flac", "flac", 44_100, 1, None)
    assert coded_sound(tmp_path / "a.wav") is None and coded_sound(tmp_path / "a.flac") is None


def test_what_is_damaged_or_late_is_coded_again(tmp_path: Path) -> None:
    write_coded(tmp_path / "a.m4a", *CODED["aac.m4a"])
    content = bytearray((tmp_path / "a.m4a").read_bytes())
    at = content.index(packets(tmp_path / "a.m4a")[30])
    content[at : at + 200] = bytes(255 - b for b in content[at : at + 200])
    (tmp_path / "damaged.m4a").write_bytes(content)
    assert coded_sound(tmp_path / "damaged.m4a") is None
    with av.open(str(tmp_path / "late.mp4"), "w") as container, open_media(tmp_path / "a.m4a") as source:
        video, sound = container.add_stream("mpeg4", rate=25), container.add_stream_from_template(source.streams.audio[0])
        video.width, video.height = 64, 64
        for rgb in FRAMES:
            container.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(video.encode(None))
        for packet in source.demux(audio=0):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts + 22_050, packet.dts + 22_050, sound
                container.mux(packet)
    assert coded_sound(tmp_path / "late.mp4") is None
    assert decode_audio(tmp_path / "late.mp4")[:7000].max() == 0


def test_what_was_cut_away_without_coding_does_not_come_back(tmp_path: Path) -> None:
    write_coded(tmp_path / "a.m4a", *CODED["aac.m4a"])
    write_titled(tmp_path / "cut.mp4", FRAMES[:25], title="", copied=CodedSound(tmp_path / "a.m4a", 0, 1.0))
    assert len(packets(tmp_path / "cut.mp4")) > 0.95 * len(packets(tmp_path / "a.m4a")), "all of it is in the file"
    assert len(decode_audio(tmp_path / "cut.mp4")) < 1.1 * 16_000, "the edit list hides a second"
    assert coded_sound(tmp_path / "cut.mp4") is None


def test_joined_mp4_files_tell_what_is_not_heard(tmp_path: Path) -> None:
    for name in ("aac.m4a", "aac16.mp4", "mp3.mp3"):
        write_coded(tmp_path / name, *CODED[name])
        assert joined_s(tmp_path / name) == 0
    both = (tmp_path / "aac.m4a").read_bytes() + (tmp_path / "aac16.mp4").read_bytes()
    (tmp_path / "joined.mp4").write_bytes(both)
    (tmp_path / "thrice.mp4").write_bytes(both + (tmp_path / "aac.m4a").read_bytes())
    (tmp_path / "broken.mp4").write_bytes(both[: len(both) // 3])
    assert joined_s(tmp_path / "joined.mp4") == pytest.approx(SECONDS, abs=0.1)
    assert joined_s(tmp_path / "thrice.mp4") == pytest.approx(2 * SECONDS, abs=0.2)
    assert joined_s(tmp_path / "broken.mp4") == 0
    assert len(decode_audio(tmp_path / "joined.mp4")) == pytest.approx(SECONDS * 16_000, abs=1600), "why it has to be told"
