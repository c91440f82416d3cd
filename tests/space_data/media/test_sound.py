"""Sound: what would spoil a plain conversion is found, mended and told."""

import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from space_data.media.container import MediaError
from space_data.media.encode import write_video, write_wav
from space_data.media.mixing import Treatment
from space_data.media.sound import decode_audio, decode_sound, decode_stereo

RATE_HZ = 16_000


def tone(hz: float = 220, seconds: float = 2.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write(path: Path, samples: np.ndarray, codec: str = "pcm_f32le", layout: str = "") -> Path:
    """``samples`` (channels, n) as a file of one track."""
    with av.open(str(path), "w") as container:
        layout = layout or {1: "mono", 2: "stereo"}[len(samples)]
        stream: Any = container.add_stream(codec, rate=RATE_HZ, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T.reshape(1, -1)), format="flt", layout=layout)
        frame.sample_rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_nothing_is_said_of_ordinary_sound(tmp_path: Path) -> None:
    sound = decode_sound(write(tmp_path / "a.wav", np.stack([tone(), tone(330)])))
    assert sound.facts.warnings() == [] and sound.facts.treatment == Treatment()
    assert np.abs(sound.samples - (tone() + tone(330)) / 2).max() < 1e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_numbers_are_silence(tmp_path: Path, bad: float) -> None:
    samples = tone()
    samples[1000:1400] = bad
    sound = decode_sound(write(tmp_path / "a.wav", samples[None]))
    assert (sound.facts.bad_samples, sound.facts.treatment) == (400, Treatment())
    assert np.isfinite(sound.samples).all() and not sound.samples[1000:1400].any()
    assert (sound.samples[:1000] == tone()[:1000]).all() and "silence instead" in sound.facts.warnings()[0]


@pytest.mark.parametrize("full_scale", [2.0**15, 2.0**23, 2.0**31])
def test_floats_in_the_range_of_integers_are_scaled(tmp_path: Path, full_scale: float) -> None:
    sound = decode_sound(write(tmp_path / "a.wav", (tone() * full_scale)[None]))
    assert sound.facts.treatment.scale == full_scale and np.abs(sound.samples - tone()).max() < 1e-5
    assert sound.facts.bad_samples == 0 and "divided by" in sound.facts.warnings()[0]


def test_hot_floats_are_left_as_they_are(tmp_path: Path) -> None:
    sound = decode_sound(write(tmp_path / "a.wav", (tone() * 6)[None]))
    assert sound.facts.warnings() == [] and np.abs(sound.samples).max() == pytest.approx(3, rel=1e-3)


def test_channels_of_opposite_sign_do_not_cancel(tmp_path: Path) -> None:
    sound = decode_sound(write(tmp_path / "a.wav", np.stack([-0.5 * tone(), tone()])))
    assert sound.facts.treatment.channel is None, "6 dB apart: the mix has a quarter of the louder one"
    sound = decode_sound(write(tmp_path / "b.wav", np.stack([-0.9 * tone(), tone()])))
    assert sound.facts.treatment.channel == 1 and np.abs(sound.samples - tone()).max() < 1e-6


def test_a_second_of_opposite_sign_is_enough(tmp_path: Path) -> None:
    left = tone(seconds=6)
    right = left * np.where(np.arange(len(left)) // RATE_HZ == 3, -1, 1).astype(np.float32)
    sound = decode_sound(write(tmp_path / "a.wav", np.stack([left, right])))
    assert sound.facts.treatment.channel == 0 and np.abs(sound.samples - left).max() < 1e-6


def test_unrelated_channels_and_silent_ones_are_mixed(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, (2, 3 * RATE_HZ)).astype(np.float32)
    assert decode_sound(write(tmp_path / "a.wav", noise)).facts.treatment.channel is None
    sound = decode_sound(write(tmp_path / "b.wav", np.stack([tone(), 0 * tone()])))
    assert sound.facts.treatment.channel is None and np.abs(sound.samples - tone() / 2).max() < 1e-6


@pytest.mark.parametrize(("layout", "share"), [("5.1", 1 / 3.414), ("3.0", 1 / 2.414), ("quad", None)])
def test_the_centre_of_many_channels_is_heard(tmp_path: Path, layout: str, share: float | None) -> None:
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    samples = np.stack([tone() if name == "FC" else 0 * tone() for name in names])
    sound = decode_sound(write(tmp_path / "a.wav", samples, layout=layout))
    assert np.abs(sound.samples).max() == pytest.approx(0.5 * share if share else 0, rel=0.01)


def test_equal_channels_do_not_grow_louder(tmp_path: Path) -> None:
    """FFmpeg's mix of float samples does, by 3 dB."""
    write_video(tmp_path / "a.mp4", [np.zeros((64, 64, 3), np.uint8)] * 50, audio=np.stack([tone(), tone()]))
    assert np.abs(decode_audio(tmp_path / "a.mp4")[4000:28000]).max() == pytest.approx(0.5, rel=0.02)


def remuxed(source: Path, target: Path, change: Any) -> Path:
    """A copy of ``source`` whose packets ``change(number, packet)`` gave: a packet, or None to leave it out."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        streams = {s.index: written.add_stream_from_template(s) for s in read.streams}
        numbers = dict.fromkeys(streams, -1)
        for packet in read.demux():
            if packet.dts is None:
                continue
            numbers[packet.stream_index] += 1
            kept = change(packet.stream.type, numbers[packet.stream_index], packet)
            if kept is not None:
                kept.stream = streams[packet.stream_index]
                written.mux(kept)
    return target


def damaged(packet: Any, filling: bytes) -> Any:
    bad = av.Packet(filling * packet.size)
    bad.pts, bad.dts, bad.duration, bad.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    return bad


@pytest.mark.parametrize("filling", [b"\xff", b"\xfe"], ids=["in error", "swallowed by the decoder"])
@pytest.mark.parametrize("numbers", [(20,), (20, 21, 22), (10, 30)])
def test_a_damaged_packet_costs_its_own_length(tmp_path: Path, numbers: tuple[int, ...], filling: bytes) -> None:
    clicks = np.zeros(3 * RATE_HZ, np.float32)
    clicks[[8000, 40_000]] = 0.9
    write_video(tmp_path / "a.mp4", [np.zeros((64, 64, 3), np.uint8)] * 75, audio=clicks)
    hurt = remuxed(
        tmp_path / "a.mp4", tmp_path / "b.mp4", lambda kind, n, p: damaged(p, filling) if kind == "audio" and n in numbers else p
    )
    whole, sound = decode_audio(tmp_path / "a.mp4"), decode_sound(hurt)
    assert (sound.facts.damaged, sound.facts.error) == (len(numbers), "") and len(sound.samples) == len(whole)
    assert sound.facts.gaps_s == pytest.approx(len(numbers) * 1024 / RATE_HZ)
    assert abs(int(np.abs(sound.samples[36_000:44_000]).argmax()) + 36_000 - 40_000) < 20
    assert sound.facts.warnings() == [f"{len(numbers)} of {sound.facts.packets} packets of sound are damaged: silence instead"]


def test_packets_that_are_not_there_leave_silence(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [np.zeros((64, 64, 3), np.uint8)] * 75, audio=tone(seconds=3))
    remuxed(tmp_path / "a.mp4", tmp_path / "a.mkv", lambda kind, n, p: p)
    holed = remuxed(tmp_path / "a.mkv", tmp_path / "b.mkv", lambda kind, n, p: None if kind == "audio" and 15 <= n < 25 else p)
    sound = decode_sound(holed)
    assert len(sound.samples) == pytest.approx(len(decode_audio(tmp_path / "a.mkv")), abs=20)
    assert sound.facts.gaps_s == pytest.approx(10 * 1024 / RATE_HZ, abs=0.002) and not sound.samples[18_000:24_000].any()


def two_tracks(path: Path, default: int) -> Path:
    """Tones of 220 and 880 Hz as two tracks, of which number ``default`` is marked."""
    with av.open(str(path), "w") as container:
        tracks: list[Any] = [container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono") for _ in range(2)]
        tracks[default].disposition = av.stream.Disposition.default
        for track, hz in zip(tracks, (220, 880), strict=True):
            frame = av.AudioFrame.from_ndarray((tone(hz)[None] * 32767).astype(np.int16), format="s16", layout="mono")
            frame.sample_rate = RATE_HZ
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return path


def pitch_hz(samples: np.ndarray) -> int:
    return int(np.abs(np.fft.rfft(samples[:RATE_HZ])).argmax())


@pytest.mark.parametrize(("default", "track", "hz"), [(0, None, 220), (1, None, 880), (1, 0, 220), (0, 1, 880)])
def test_of_several_tracks_the_default_one_or_the_one_asked_for(tmp_path: Path, default: int, track: int | None, hz: int) -> None:
    sound = decode_sound(two_tracks(tmp_path / "a.mkv", default), track=track)
    assert pitch_hz(sound.samples) == hz
    assert bool(sound.facts.warnings()) == (track is None), "a choice that nobody made is told"


def test_whichever_track_is_heard_it_keeps_its_time_against_the_others(tmp_path: Path) -> None:
    """In MPEG-TS the zero is taken from the streams in use: it must not move with the choice."""
    with av.open(str(tmp_path / "a.ts"), "w") as container:
        tracks: list[Any] = [container.add_stream("mp2", rate=48_000, layout="mono") for _ in range(2)]
        packets = []
        for number, track in enumerate(tracks):
            click = np.zeros((1, 96_000), np.int16)
            click[0, 48_000 : 48_200] = 20_000
            frame = av.AudioFrame.from_ndarray(click, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48_000, 24_000 * number  # the second track starts half a second late
            packets += [*track.encode(frame), *track.encode(None)]
        for packet in sorted(packets, key=lambda p: float(p.pts * p.time_base)):
            container.mux(packet)
    first, second = (np.abs(decode_sound(tmp_path / "a.ts", track=n).samples).argmax() / RATE_HZ for n in (0, 1))
    assert second - first == pytest.approx(0.5, abs=0.01)


def test_a_track_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no audio track 2, need one of 0 to 1"):
        decode_sound(two_tracks(tmp_path / "a.mkv", 0), track=2)


def test_recordings_joined_end_to_end_are_heard_one_after_the_other(tmp_path: Path) -> None:
    for name, hz in (("a", 220), ("b", 880)):
        write(tmp_path / f"{name}.mp3", tone(hz)[None], "libmp3lame")
    joined = tmp_path / "joined.mp3"
    joined.write_bytes((tmp_path / "a.mp3").read_bytes() + (tmp_path / "b.mp3").read_bytes())
    samples = decode_audio(joined)
    assert len(samples) / RATE_HZ == pytest.approx(4.1, abs=0.15)
    assert (pitch_hz(samples), pitch_hz(samples[-int(1.5 * RATE_HZ) :])) == (220, 880)


def test_eight_bits_and_a_file_without_sound(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(RATE_HZ)
        file.writeframes((tone() * 127 + 128).astype(np.uint8).tobytes())
    assert np.abs(decode_audio(tmp_path / "a.wav") - tone()).max() < 0.02
    write_wav(tmp_path / "none.wav", np.zeros(0, np.float32))
    with pytest.raises(MediaError, match=r"none\.wav"):
        decode_audio(tmp_path / "none.wav")


def test_as_people_hear_it_both_sides_stay_apart(tmp_path: Path) -> None:
    left, right = tone(), tone(330)
    assert np.abs(decode_stereo(write(tmp_path / "a.wav", np.stack([left, right])), RATE_HZ) - [left, right]).max() < 1e-6
    opposite = decode_stereo(write(tmp_path / "b.wav", np.stack([left, -left])), RATE_HZ)
    assert np.abs(opposite - [left, -left]).max() < 1e-6
    assert decode_stereo(write(tmp_path / "c.wav", left[None]), RATE_HZ) == pytest.approx(left[None])


@pytest.mark.parametrize(
    ("loud", "sides"), [("FC", (True, True)), ("SL", (True, False)), ("FR", (False, True)), ("LFE", (False, False))]
)
def test_many_channels_are_heard_on_their_sides(tmp_path: Path, loud: str, sides: tuple[bool, bool]) -> None:
    names = [channel.name for channel in av.AudioLayout("5.1(side)").channels]
    samples = np.stack([tone() if name == loud else 0 * tone() for name in names])
    heard = decode_stereo(write(tmp_path / "a.wav", samples, layout="5.1(side)"), RATE_HZ)
    assert tuple((np.abs(heard).max(axis=1) > 0.1).tolist()) == sides


def test_a_stereo_file_that_starts_late_keeps_its_time(tmp_path: Path) -> None:
    """Padded with silence, as for models: the zero of the pictures."""
    write_video(tmp_path / "a.mp4", [np.zeros((64, 64, 3), np.uint8)] * 50, audio=np.stack([tone(), tone(330)]))
    late = remuxed(tmp_path / "a.mp4", tmp_path / "b.mkv", lambda kind, number, p: None if kind == "audio" and number < 10 else p)
    mono, both = decode_audio(late), decode_stereo(late, RATE_HZ)
    assert both.shape == (2, len(mono)) and not both[:, :9000].any()
    assert np.abs(both.mean(axis=0) - mono).max() < 1e-5


def test_how_much_is_lost_is_told(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.wav", tone(seconds=4)[None], codec="pcm_s16le")
    (tmp_path / "cut.wav").write_bytes(whole.read_bytes()[:64_044])
    assert decode_sound(tmp_path / "cut.wav").facts.warnings() == ["sound breaks off after 2.0 s of 4.0 s"]
    (tmp_path / "joined.wav").write_bytes(2 * whole.read_bytes())
    (line,) = decode_sound(tmp_path / "joined.wav").facts.warnings()
    assert line == "other recordings of 0.1 MB are joined to its end: they are not heard"
    assert decode_sound(whole, part_s=(0.0, 1.0)).facts.warnings() == []
