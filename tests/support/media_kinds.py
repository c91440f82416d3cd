"""The shelf: what each kind of file is and what a player shows of it, known from how it was made.

Time and choice of streams are here; colours, turns and formats of samples stand in the tests that look at them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition
from media_shelf import (
    FPS,
    Pictures,
    Samples,
    Sound,
    boxes,
    clip,
    jpeg,
    moved,
    numbered,
    spoiling,
    sweep,
    write,
)  # fmt: skip

NOT, DEFAULT, COVER = Disposition(0), Disposition.default, Disposition.attached_pic
PACKET_S = 1024 / 44_100
B_FRAMES = {"preset": "veryfast", "bf": "2", "g": "25", "x264-params": "scenecut=0"}
MANY_B_FRAMES = {"preset": "veryfast", "bf": "5", "x264-params": "b-pyramid=normal:b-adapt=0"}


@dataclass(frozen=True)
class Truth:
    """What a player shows and plays."""

    numbers: list[int]
    """of the pictures in their order"""
    times_s: list[float]
    sounds: tuple[tuple[float, Samples], ...]
    """stretches of sound at 44.1 kHz and when they begin; silence between them"""
    lossy_frames: int = 0
    """so many pictures may be missing or show something else"""
    holes_s: tuple[tuple[float, float], ...] = ()
    """stretches of silence or noise in the sound, where packets were damaged"""
    slack_s: float = 0.001
    """pictures and sound may be so much off: rounding of the container's clock, and delays of codecs it does not tell"""
    missing_s: float = 0.0
    """so much of the end of the sound may be missing"""
    unlike_ffmpeg: str = ""
    """where FFmpeg's program gives another result, why ours is right nevertheless"""

    @property
    def sound_s(self) -> float:
        return max((at_s + len(samples) / 44_100 for at_s, samples in self.sounds), default=0.0)


def plain(count: int = 50, first: int = 0, at_s: float = 0.0, **more: Any) -> Truth:
    """``count`` pictures at the nominal rate from ``at_s`` on, and as much sound."""
    times_s = [at_s + n / FPS for n in range(count)]
    return Truth(list(range(first, first + count)), times_s, **{"sounds": ((0.0, sweep(count / FPS)),), **more})


def ordinary(path: Path, muxing: Mapping[str, str] | None = None, **options: Any) -> Truth:
    write(path, clip(**options), **(muxing or {}))
    return plain(slack_s=0.025 if muxing else 0.001)  # fragments come before anyone knows of the priming


def copy_cut(path: Path, options: dict[str, str], from_s: float = 1.32, until_s: float = 9.0) -> Truth:
    """Cut without encoding: the packets since the last key frame stay, hidden by an edit list; likewise one of sound."""
    begin = round(from_s * FPS) // 25
    kept: list[float] = []

    def cut(packet: av.Packet, index: int, number: int) -> list[av.Packet]:
        pts_s, dts_s = float(packet.pts * packet.time_base), float(packet.dts * packet.time_base)
        if dts_s >= until_s or pts_s < (begin - 1e-6 if index == 0 else from_s - 0.06):
            return []
        if index == 0 and pts_s > from_s - 1e-6:
            kept.append(pts_s)
        return [moved(packet, -from_s)]

    streams = clip(100, options={"preset": "veryfast", "g": "25", "x264-params": "scenecut=0", **options})
    write(path, streams, cut)
    sound = sweep(4.0)[round(from_s * 44_100) :]
    sound = sound[: round((until_s - from_s) * 44_100)]
    return Truth([round(t * FPS) for t in sorted(kept)], [t - from_s for t in sorted(kept)], ((0.0, sound),))


def shifted(path: Path, video_s: float = 0.0, sound_s: float = 0.0, base_s: float = 0.0, **options: Any) -> Truth:
    """One of the streams begins late (positive) or its beginning is cut off (negative)."""
    streams = clip(**options)
    if path.suffix in (".mkv", ".ts"):  # no word on AAC's priming there: FLAC and MP2 of whole frames have none that matters
        streams[1] = Sound(sweep(2.0), codec="flac" if path.suffix == ".mkv" else "mp2")
    write(path, streams, lambda packet, index, _: [moved(packet, base_s + (video_s, sound_s)[index])])
    first = max(0, round(-video_s * FPS))
    return Truth(
        list(range(first, 50)), [video_s + n / FPS for n in range(first, 50)],
        ((max(0.0, sound_s), sweep(2.0)[max(0, round(-sound_s * 44_100)) :]),), slack_s=0.02 if path.suffix == ".ts" else 0.001,
    )  # fmt: skip


def with_cover(path: Path, is_first: bool = False, has_video: bool = True, codec: str = "aac") -> Truth:
    """A cover picture, of another size and number, beside the recording or alone with the sound."""
    art = numbered(255, 128, 128)
    if path.suffix == ".mkv":
        write(path, clip(), attachments={"cover.jpg": jpeg(art)})
        return plain()
    cover = Pictures([art], "mjpeg", "yuvj420p", disposition=COVER)
    if has_video:
        write(path, [*clip(), cover])
    else:
        write(path, [Sound(sweep(2.0), codec=codec), cover], muxer="mp4" if path.suffix == ".m4a" else None)
    if is_first:
        cover_box_first(path)
    return plain() if has_video else plain(0, sounds=((0.0, sweep(2.0)),))


def cover_box_first(path: Path) -> None:
    """Put the box with the cover before the tracks: it becomes stream 0. The data lie before, so no offset changes."""
    content = path.read_bytes()
    begin, end = next((b, e) for kind, b, e in boxes(content, 0, len(content)) if kind == b"moov")
    inner = list(boxes(content, begin + 8, end))
    order = [inner[0], *(i for i in inner if i[0] == b"udta"), *(i for i in inner[1:] if i[0] != b"udta")]
    path.write_bytes(content[: begin + 8] + b"".join(content[b:e] for _, b, e in order) + content[end:])


def sound_tracks(path: Path, default: int | None) -> Truth:
    """Three tracks of sound; players take the one that is marked, else the first."""
    sounds = [Sound(sweep(2.0, first_hz=300.0 * (n + 1)), disposition=DEFAULT if n == default else NOT) for n in range(3)]
    write(path, [clip()[0], *sounds], default_mode="passthrough") if path.suffix == ".mkv" else write(path, [clip()[0], *sounds])
    return plain(sounds=((0.0, sweep(2.0, first_hz=300.0 * ((default or 0) + 1))),))


def video_tracks(path: Path, default: int | None) -> Truth:
    """Two tracks of pictures of one size, numbers from 0 and from 100."""
    pictures = [
        Pictures([numbered(100 * n + i) for i in range(50)], disposition=DEFAULT if n == default else NOT) for n in range(2)
    ]
    options = {"default_mode": "passthrough"} if path.suffix == ".mkv" else {}
    write(path, [*pictures, clip()[1]], **options)
    return plain(first=100 * (default or 0))


def variable_rate(path: Path) -> Truth:
    times_s = [0.0, 0.04, 0.08, 0.2, 0.5, 0.52, 0.9, 1.4, 1.44, 1.98]
    write(path, [Pictures([numbered(n) for n in range(10)], times_s=times_s), Sound(sweep(2.0))])
    return Truth(list(range(10)), times_s, ((0.0, sweep(2.0)),))


def based(path: Path, base_s: float) -> Truth:
    """Both streams begin at ``base_s`` of the container's clock, which is nobody's business; MPEG-TS counts 26.5 h and wraps."""
    sound = Sound(sweep(2.0), codec="mp2" if path.suffix == ".ts" else "flac")
    write(path, [clip()[0], sound], lambda packet, *_: [moved(packet, base_s)])
    return plain(slack_s=0.02 if path.suffix == ".ts" else 0.001)


def joined_ts(path: Path, longer_s: float = 0.0, codec: str = "libx264", sound: str = "mp2") -> Truth:
    """Two recordings put together with ``cat``; the sound of the first is longer than its pictures."""
    parts = []
    for first, pitch in ((0, 300.0), (50, 800.0)):
        length_s = 2.0 + (longer_s if first == 0 else 0.0)
        track = Sound(sweep(length_s, first_hz=pitch), codec=sound)
        pictures = Pictures(
            [numbered(n) for n in range(first, first + 50)], codec, options={} if codec == "libx264" else {"q:v": "2"}
        )
        write(path, [pictures, track], lambda packet, *_: [moved(packet, 1.4)])
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts))
    begin_s = 2.0 + max(0.0, longer_s)
    times_s = [n / FPS for n in range(50)] + [begin_s + n / FPS for n in range(50)]
    return Truth(
        list(range(100)), times_s, ((0.0, sweep(2.0 + longer_s)), (begin_s, sweep(2.0, first_hz=800.0))), slack_s=0.06,
        unlike_ffmpeg="" if path.suffix == ".mpg" else "what the parser held back at the join makes it move the clock twice",
    )  # fmt: skip


def joined_clips(path: Path, codec: str, sound: str, hz: int = 44_100) -> Truth:
    """Two Matroska files put together with ``cat``."""
    parts = []
    for first, pitch in ((0, 300.0), (50, 800.0)):
        pictures = Pictures([numbered(n) for n in range(first, first + 50)], codec, options=VP8 if codec == "libvpx" else {})
        write(path, [pictures, Sound(sweep(2.0, hz, pitch), hz, sound)])
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts))
    sounds = (0.0, sweep(2.0)), (2.0, sweep(2.0, first_hz=800.0))
    return plain(100, sounds=sounds, slack_s=0.02, unlike_ffmpeg="lays the second over the first")


def joined_sound(path: Path, codec: str, hz: int = 44_100, unlike_ffmpeg: str = "") -> Truth:
    """Two files of sound put together with ``cat``."""
    parts = []
    for pitch in (300.0, 800.0):
        write(path, [Sound(sweep(2.0, hz, pitch), hz, codec, options={"b": "160k"})])
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts))
    return plain(0, sounds=((0.0, sweep(2.0)), (2.0, sweep(2.0, first_hz=800.0))), slack_s=0.11, unlike_ffmpeg=unlike_ffmpeg)


def jumping(path: Path, by_s: float, shown_s: float, streams: tuple[int, ...] = (0, 1)) -> Truth:
    """The clock of ``streams`` jumps ahead after 1 s; ``shown_s`` of it are time that passes, the rest is a broken clock."""

    def jump(packet: av.Packet, index: int, number: int) -> list[av.Packet]:
        is_after = index in streams and float(packet.pts * packet.time_base) >= 1.0
        return [moved(packet, (by_s if is_after else 0.0) + (1.4 if path.suffix == ".ts" else 0.0))]

    # 8 kHz, for 30 h of them fit into the 32 bits of an MP4's time stamps; FLAC's packets would not end at 1 s.
    sound = Sound(sweep(2.0), codec="mp2") if path.suffix == ".ts" else Sound(sweep(2.0, 8000), 8000, "pcm_s16le")
    write(path, [clip()[0], sound], jump)
    times_s = [n / FPS + (shown_s if n >= 25 else 0.0) for n in range(50)]
    sounds = (0.0, sweep(2.0)[:44_100]), (1.0 + shown_s, sweep(2.0)[44_100:])
    is_held = path.suffix == ".mov"  # there the last picture before the jump says that it lasts 30 hours, and PCM cannot jump
    return Truth(
        list(range(50)), times_s, sounds, slack_s=0.04 if path.suffix == ".ts" else 0.001,
        unlike_ffmpeg="a picture of 30 h is shown for 30 h" if is_held else "",
    )  # fmt: skip


def bare_h264(path: Path) -> Truth:
    """A stream without a container has no stamps; 25 pictures a second are assumed."""
    write(path, clip(options=B_FRAMES)[:1])
    return Truth(list(range(50)), [n / FPS for n in range(50)], ())


def damaged(path: Path, stream: int, numbers: tuple[int, ...], keep: int = 0, sound: str = "aac") -> Truth:
    """Packets overwritten with ones: they cost their own length, nothing else moves."""
    streams = [
        Pictures([numbered(n) for n in range(50)], options={"g": "10", "x264-params": "scenecut=0"}),
        Sound(sweep(2.0), codec=sound),
    ]
    write(path, streams, spoiling(stream, *numbers, keep=keep))
    length_s = (1152 if sound in ("mp2", "libmp3lame") else 1024) / 44_100
    holes = tuple(((n - 3) * length_s, (n + 3) * length_s) for n in numbers) if stream else ()
    late_s = 0.03 if path.suffix == ".ts" else 0.0
    # All pictures until the next key frame lean on the damaged one.
    lossy = sum(10 - n % 10 for n in numbers) if stream == 0 else 0
    return plain(
        lossy_frames=lossy, holes_s=holes, slack_s=0.001 + late_s, unlike_ffmpeg=UNFILLED if stream and sound == "aac" else ""
    )


def damaged_adts(path: Path, *numbers: int) -> Truth:
    write(path, [Sound(sweep(2.0))], spoiling(0, *numbers))
    holes = tuple(((n - 3) * PACKET_S, (n + 3) * PACKET_S) for n in numbers)
    return plain(0, sounds=((0.0, sweep(2.0)),), holes_s=holes, slack_s=0.03, unlike_ffmpeg=UNFILLED)


def container(path: Path, codec: str, sound: str, hz: int = 44_100, late_s: float = 0.0, **pictures: Any) -> Truth:
    """An ordinary clip in another container or codec."""
    streams = [
        Pictures([numbered(n) for n in range(50)], codec, **pictures),
        Sound(sweep(2.0, hz), hz, sound, options={"b": "192k"}),
    ]
    write(path, streams)
    return plain(slack_s=0.001 + late_s)


def truncated(path: Path, codec: str = "mpeg2video", sound: str = "mp2", **muxing: str) -> Truth:
    """Half of the bytes, which is about half of the time, without a word in the header that would say so."""
    pictures = clip(100, codec=codec, options={"g": "5"} | (Q2 if codec == "mpeg2video" else {}))[0]
    write(path, [pictures, Sound(sweep(4.0), codec=sound)], **muxing)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return plain(100, lossy_frames=60, holes_s=((1.7, 4.0),), missing_s=2.3, slack_s=0.06)


Q2 = {"q:v": "2"}
VP8 = {"crf": "4", "b": "2M", "deadline": "realtime"}
VP9 = {"crf": "10", "b": "0", "deadline": "realtime", "cpu-used": "8"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:info=0:pools=none:frame-threads=1"}
UNFILLED = "its aresample=async=1 fills only gaps of more than 0.1 s; what follows a shorter one comes too early"
CHAINED = "between chained Ogg streams FFmpeg 5.1 puts a gap of up to a second"
KINDS: dict[str, Callable[[Path], Truth]] = {
    "plain.mp4": ordinary,
    "plain.mkv": ordinary,
    "b_frames.mp4": partial(ordinary, options=B_FRAMES),
    "b_frames.mkv": partial(ordinary, options=MANY_B_FRAMES),
    "b_frames.ts": partial(container, codec="libx264", sound="mp2", late_s=0.06, options=MANY_B_FRAMES),
    "b_frames.flv": partial(container, codec="libx264", sound="aac", late_s=0.06, options=MANY_B_FRAMES),
    "xvid.avi": partial(container, codec="mpeg4", sound="libmp3lame", late_s=0.1, options={"q:v": "2", "bf": "2"}),
    "b_frames.avi": partial(container, codec="libx264", sound="pcm_s16le", late_s=0.09, options=B_FRAMES),
    "cut.mp4": partial(copy_cut, options={"bf": "0"}),
    "cut_b_frames.mp4": partial(copy_cut, options={"bf": "2"}),
    "cut_tail.mp4": partial(copy_cut, options={"bf": "2"}, until_s=3.0),
    "cut_at_key.mp4": partial(copy_cut, options={"bf": "0"}, from_s=2.0),
    "late_sound.mp4": partial(shifted, sound_s=0.4),
    "late_video.mp4": partial(shifted, video_s=0.4),
    "late_b_frames.mp4": partial(shifted, video_s=0.4, options=B_FRAMES),
    "early_sound.mp4": partial(shifted, sound_s=-0.3),
    "early_video.mp4": partial(shifted, video_s=-0.4),
    "late_sound.mkv": partial(shifted, sound_s=0.4),
    "late_video.mkv": partial(shifted, video_s=0.4),
    "late_sound.ts": partial(shifted, sound_s=0.4, base_s=1.4),
    "late_video.ts": partial(shifted, video_s=0.4, base_s=1.4),
    "cover_last.mp4": with_cover,
    "cover_first.mp4": partial(with_cover, is_first=True),
    "cover.mkv": with_cover,
    "cover.m4a": partial(with_cover, has_video=False),
    "cover_first.m4a": partial(with_cover, has_video=False, is_first=True),
    "cover.mp3": partial(with_cover, has_video=False, codec="libmp3lame"),
    "cover.flac": partial(with_cover, has_video=False, codec="flac"),
    "sounds_none.mkv": partial(sound_tracks, default=None),
    "sounds_second.mkv": partial(sound_tracks, default=1),
    "sounds_third.mp4": partial(sound_tracks, default=2),
    "sounds_first.mp4": partial(sound_tracks, default=0),
    "videos_second.mkv": partial(video_tracks, default=1),
    "videos_first.mp4": partial(video_tracks, default=0),
    "videos_none.mkv": partial(video_tracks, default=None),
    "variable_rate.mp4": variable_rate,
    "variable_rate.mkv": variable_rate,
    "joined.ts": joined_ts,
    "joined_longer_sound.ts": partial(joined_ts, longer_s=0.3),
    "joined_shorter_sound.ts": partial(joined_ts, longer_s=-0.3),
    "joined.mpg": partial(joined_ts, codec="mpeg2video"),
    "joined.mkv": partial(joined_clips, codec="libx264", sound="flac"),
    "joined.webm": partial(joined_clips, codec="libvpx", sound="libopus", hz=48_000),
    "joined.mp3": partial(joined_sound, codec="libmp3lame"),
    "joined.ogg": partial(joined_sound, codec="flac", unlike_ffmpeg=CHAINED),
    "joined.opus": partial(joined_sound, codec="libopus", hz=48_000, unlike_ffmpeg=CHAINED),
    "joined.aac": partial(joined_sound, codec="aac"),
    "jump_30s.ts": partial(jumping, by_s=30.0, shown_s=0.0),
    "jump_30s.mkv": partial(jumping, by_s=30.0, shown_s=30.0),
    "jump_30h.mkv": partial(jumping, by_s=108_100.0, shown_s=0.0),
    "jump_30h.mov": partial(jumping, by_s=108_100.0, shown_s=0.0),
    "jump_30h_pictures.mkv": partial(jumping, by_s=108_100.0, shown_s=0.0, streams=(0,)),
    "jump_30h_sound.mkv": partial(jumping, by_s=108_100.0, shown_s=0.0, streams=(1,)),
    "bare.h264": bare_h264,
    **{
        f"bad_{kind}_{where}.{suffix}": partial(damaged, stream=stream, numbers=numbers, keep=keep, sound=sound)
        for suffix, keep, sound in (("mp4", 0, "aac"), ("mkv", 0, "aac"), ("ts", 7, "mp2"))
        for stream, kind, last in ((0, "pictures", 49), (1, "sound", 85 if sound == "aac" else 75))
        for where, numbers in (("first", (0,)), ("middle", (25,)), ("key", (30,)), ("last", (last,)), ("many", (13, 14, 15, 33)))
    },
    "bad.aac": lambda path: damaged_adts(path, 20, 21, 50),
    "half.mkv": truncated,
    "half.ts": truncated,
    "half.avi": truncated,
    "half.mpg": truncated,
    "half_faststart.mp4": partial(truncated, codec="libx264", sound="aac", movflags="faststart"),
    "half_fragmented.mp4": partial(truncated, codec="libx264", sound="aac", movflags="frag_keyframe+empty_moov"),
    "fragmented.mp4": partial(ordinary, muxing={"movflags": "frag_keyframe+empty_moov"}),
    "based_5s.mkv": partial(based, base_s=5.0),
    "based_5s.mp4": partial(based, base_s=5.0),
    "based_5h.ts": partial(based, base_s=18_000.0),
    "wraps.ts": partial(based, base_s=2**33 / 90_000 - 1.0),
    "plain.avi": partial(container, codec="mpeg4", sound="pcm_s16le", options=Q2),
    "plain.flv": partial(container, codec="flv", sound="libmp3lame", late_s=0.06, options=Q2),
    "h264.flv": partial(container, codec="libx264", sound="aac", late_s=0.05),
    "plain.wmv": partial(container, codec="wmv2", sound="wmav2", late_s=0.06, options=Q2),
    "plain.mxf": partial(container, codec="mpeg2video", sound="pcm_s16le", hz=48_000, options=Q2),
    "plain.webm": partial(container, codec="libvpx", sound="libopus", hz=48_000, options=VP8),
    "vp9.webm": partial(container, codec="libvpx-vp9", sound="libopus", hz=48_000, options=VP9),
    "hevc.mp4": partial(container, codec="libx265", sound="aac", options=X265),
    "av1.mp4": partial(container, codec="libsvtav1", sound="aac", options={"preset": "12"}),
    "plain.mov": partial(container, codec="prores_ks", sound="pcm_s16le", pix_fmt="yuv422p10le"),
    "plain.3gp": partial(container, codec="mpeg4", sound="aac", options=Q2),
    "plain.mpg": partial(container, codec="mpeg2video", sound="mp2", late_s=0.06, options=Q2),
    "plain.nut": partial(container, codec="ffv1", sound="flac"),
}  # fmt: skip
