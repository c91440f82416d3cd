"""Bits flipped inside packets, ours against FFmpeg's: ``python -m benchmarks.fuzz --packets CLIP...``.

Each clip (with sound) is looped to 30 s in every form of ``FORMS``, by FFmpeg's program, which must be installed. Then, file
after file (``--files 1000``), 1 to 64 bits are flipped in the data of its packets, never in what the container says of them, and
both decoders read it. Counted: crashes, hangs, and the share whose pictures and sound both end within one packet of where
FFmpeg's end. Exit status 1 below ``GOAL``. ``--only N`` makes file N again and keeps it.
"""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipelines.job.pool import Answer, Died, IsolatedPool, TimedOut
from pipelines.job.unit import FunctionName
from pipelines.job.worker import Raised, Returned
from space_data import progress
from space_data.media.container import MediaError
from space_data.media.probe import probe
from space_data.media.sound import decode_sound
from space_data.media.video import decode_video

LENGTH_S, SIZE, FPS, HZ = 30, "160:120", 25, 16_000
FORMS = {
    "h264_aac.mp4": "-c:v libx264 -preset veryfast -c:a aac",
    "h264_aac.mkv": "-c:v libx264 -preset veryfast -c:a aac",
    "h264_aac.ts": "-c:v libx264 -preset veryfast -c:a aac",
    "hevc_aac.mp4": "-c:v libx265 -preset ultrafast -x265-params log-level=error:info=0 -c:a aac",
    "vp9_opus.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus",
    "mpeg4_mp3.avi": "-c:v mpeg4 -q:v 4 -c:a libmp3lame",
    "mpeg2_mp2.ts": "-c:v mpeg2video -q:v 4 -c:a mp2",
}
FLIPS_LOG2 = 6
GOAL = 0.99
ROUNDING_S = 2e-3
TIME_LIMIT_S = 60.0
MEMORY_GB = 4.0
WORST = 12
TS_PACKET, TS_SYNC, FIRST_STREAM_PID = 188, 0x47, 0x100


@dataclass(frozen=True)
class Base:
    """An undamaged file: its bytes and where the data of its packets lie, (packets, 2) start and end."""

    path: Path
    content: bytes
    spans: NDArray[np.int64]


@dataclass(frozen=True)
class Lengths:
    """Where pictures and sound end, seconds; 0 without any."""

    pictures_s: float
    sound_s: float


def make_bases(clips: list[Path], folder: Path) -> list[Base]:
    """Every clip in every form."""
    bases = []
    for clip in clips:
        for form, options in FORMS.items():
            target = folder / f"{clip.stem}.{form}"
            command = ["ffmpeg", "-y", "-v", "error", "-stream_loop", "-1", "-i", str(clip), "-t", str(LENGTH_S)]
            command += [
                "-map",
                "0:v:0",
                "-map",
                "0:a:0",
                "-vf",
                f"scale={SIZE}",
                "-r",
                str(FPS),
                "-pix_fmt",
                "yuv420p",
                "-g",
                "50",
            ]
            subprocess.run([*command, *options.split(), "-b:a", "64k", "-ac", "1", str(target)], check=True)
            content = target.read_bytes()
            bases.append(Base(target, content, ts_spans(content) if target.suffix == ".ts" else packet_spans(target, content)))
    return bases


def packet_spans(path: Path, content: bytes) -> NDArray[np.int64]:
    """Start and end of the data of each packet, found by its bytes at or shortly after the position that the demuxer tells."""
    spans = []
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size and packet.pos is not None and packet.pos >= 0:
                start = content.find(bytes(packet)[:32], packet.pos, packet.pos + 128)
                if start >= 0:
                    spans.append((start, start + packet.size))
    return np.array(spans, np.int64)


def ts_spans(content: bytes) -> NDArray[np.int64]:
    """The same of an MPEG-TS (ISO/IEC 13818-1, 2.4.3): what follows the headers of its packets of 188 bytes."""
    spans = []
    for at in range(0, len(content) - TS_PACKET + 1, TS_PACKET):
        sync, high, low, flags = content[at : at + 4]
        if sync != TS_SYNC or (high & 0x1F) << 8 | low < FIRST_STREAM_PID or not flags & 0x10:
            continue
        start = at + 4 + (1 + content[at + 4] if flags & 0x20 else 0)
        if high & 0x40:  # begins with a header of its own
            start += 9 + content[start + 8]
        if start < at + TS_PACKET:
            spans.append((start, at + TS_PACKET))
    return np.array(spans, np.int64)


def flipped(base: Base, seed: int) -> bytes:
    """The file with 1 to 64 bits flipped, each in a packet drawn by chance."""
    rng = np.random.default_rng(seed)
    count = int(2 ** rng.uniform(0, FLIPS_LOG2))
    starts, ends = base.spans[rng.integers(0, len(base.spans), count)].T
    changed = np.frombuffer(base.content, np.uint8).copy()
    np.bitwise_xor.at(changed, rng.integers(starts, ends), (1 << rng.integers(0, 8, count)).astype(np.uint8))
    return changed.tobytes()


def our_lengths(path: str) -> Lengths:
    """By the media layer."""
    try:
        info = probe(path)
        last_s = max((frame.pts_s for frame in decode_video(path)), default=0.0) if info.has_video else 0.0
        return Lengths(last_s + 1 / FPS, len(decode_sound(path, HZ).samples) / HZ if info.has_audio else 0.0)
    except MediaError:
        return Lengths(0.0, 0.0)


def ffmpegs_lengths(path: str) -> Lengths:
    """By FFmpeg's program: from the stamps of what it decodes, so that gaps count as time."""
    command = ["ffmpeg", "-nostdin", "-v", "quiet", "-threads", "1", "-i", path, "-map", "0:v:0", "-map", "0:a:0"]
    command += ["-fps_mode", "passthrough", "-enc_time_base:v", "-1", "-f", "framecrc", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S)
    units_s = {int(stream): int(a) / int(b) for stream, a, b in re.findall(r"^#tb (\d+): (\d+)/(\d+)", done.stdout, re.M)}
    ends_s = [0.0, 0.0]
    for stream, pts, duration in re.findall(r"^(\d), +-?\d+, +(-?\d+), +(\d+),", done.stdout, re.M):
        unit_s = units_s[int(stream)]
        length_s = 1 / FPS if stream == "0" else int(duration) * unit_s
        ends_s[int(stream)] = max(ends_s[int(stream)], int(pts) * unit_s + length_s)
    return Lengths(*ends_s)


def compare(path: str, content: bytes) -> tuple[Lengths, Lengths]:
    """Write, decode by both, remove: the work of one process for one file."""
    Path(path).write_bytes(content)
    try:
        return our_lengths(path), ffmpegs_lengths(path)
    finally:
        Path(path).unlink()


def packet_s(base: Base) -> float:
    """Length of a packet of sound."""
    with av.open(str(base.path)) as container:
        return next(float(p.duration * p.time_base) for p in container.demux(audio=0) if p.duration)


def run(clips: list[Path], files: int, workers: int, only: int | None, out: Path | None) -> int:
    """Make, damage, compare, print; the exit status."""
    if shutil.which("ffmpeg") is None:
        raise SystemExit("FFmpeg's program is not installed; this benchmark compares with it")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bases = make_bases(clips, folder)
        if only is not None:
            base = bases[only % len(bases)]
            target = (out or Path()) / f"{only}.{base.path.name}"
            target.write_bytes(flipped(base, only))
            print(f"{target}: ours {our_lengths(str(target))}, FFmpeg's {ffmpegs_lengths(str(target))}")
            return 0
        pool = IsolatedPool(FunctionName(__name__, "compare"), workers, MEMORY_GB)
        answers: dict[int, Answer] = {}
        for first in progress.track(range(0, files, 10 * workers), "files (packs)"):
            seeds = range(first, min(files, first + 10 * workers))
            names = {seed: bases[seed % len(bases)] for seed in seeds}
            waiting = {
                seed: pool.submit(str(folder / f"{seed}{base.path.suffix}"), flipped(base, seed), limit_s=TIME_LIMIT_S)
                for seed, base in names.items()
            }
            answers |= {seed: future.result() for seed, future in waiting.items()}
        pool.close()
        return report(answers, bases)


def report(answers: dict[int, Answer], bases: list[Base]) -> int:
    """The table by form, the worst files, and 1 below the goal."""
    counts: dict[str, Counter[str]] = {form: Counter() for form in FORMS}
    worst = []
    packets_s = {base.path: packet_s(base) for base in bases}
    for seed, answer in answers.items():
        base = bases[seed % len(bases)]
        form = base.path.name.split(".", 1)[1]
        counts[form]["files"] += 1
        if not isinstance(answer, Returned):
            fate = {Died: "crashed", TimedOut: "hung", Raised: "raised"}[type(answer)]
            counts[form][fate] += 1
            print(f"file {seed} ({base.path.name}): {fate}: {str(answer)[-300:]}")
            continue
        ours, theirs = answer.value
        off_s = ours.pictures_s - theirs.pictures_s, ours.sound_s - theirs.sound_s
        is_within = abs(off_s[0]) <= 1 / FPS + ROUNDING_S and abs(off_s[1]) <= packets_s[base.path] + ROUNDING_S
        counts[form]["within"] += is_within
        if not is_within:
            worst.append((max(map(abs, off_s)), seed, base.path.name, off_s))
    print(f"{'form':16} {'files':>6} {'crashed':>8} {'hung':>6} {'raised':>7} {'within one packet':>18}")
    total: Counter[str] = sum(counts.values(), Counter())
    for form, row in [*counts.items(), ("all", total)]:
        share = row["within"] / max(1, row["files"])
        print(f"{form:16} {row['files']:6} {row['crashed']:8} {row['hung']:6} {row['raised']:7} {share:18.1%}")
    for _, seed, name, (pictures_s, sound_s) in sorted(worst, reverse=True)[:WORST]:
        print(f"file {seed} ({name}): pictures end {pictures_s:+.3f} s, sound {sound_s:+.3f} s against FFmpeg's (--only {seed})")
    failed = total["crashed"] + total["hung"] + total["raised"]
    return int(failed > 0 or total["within"] < GOAL * total["files"])
