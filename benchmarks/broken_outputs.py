"""Broken outputs among good ones: ``python -m benchmarks.broken_outputs`` (200 clips, a broken one of each kind).

A made-up system hands in a nodding face per clip, first all of them good, then one broken of every kind. Counted are the clips
whose row has the kind's reason, and what else changed: rows, scores and traces of the other clips must be the very same, and
coverage must say how many are left. The tests of `evaluation.canonical` go through the same `KINDS`, one by one.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import skimage
from numpy.typing import NDArray

from evaluation.external.card import Card
from evaluation.lists.clip_list import Chosen, Resolved
from pipelines.benchmark.add import add
from pipelines.layout import Layout
from pipelines.stages import evaluate
from space_data.files import sha256_of
from space_data.media.encode import write_video, write_wav
from space_data.params import Params, load_params
from space_data.schema import (
    FAILED,
    Aggregate,
    AlignedClip,
    FeatureClip,
    FeatureFrame,
    Score,
    SynthesizedClip,
    SynthesizedFrame,
    TraceFrame,
)
from space_data.tables import read_table, write_table
from space_data.timebase import VIDEO_FPS, frames_to_samples

RgbImage = NDArray[np.uint8]
SYSTEM = "theirs"
FACE = (slice(0, 256), slice(96, 352))
"""Of scikit-image's portrait of an astronaut."""


@dataclass(frozen=True)
class Good:
    """A good output: its file, its pictures ``picture(i, width, height)``, how many, how large, and its sound."""

    path: Path
    picture: Callable[[int, int, int], RgbImage]
    n_frames: int
    side: int
    speech: NDArray[np.float32]

    def frames(self, count: int | None = None) -> list[RgbImage]:
        """The first ``count``."""
        return [self.picture(i, self.side, self.side) for i in range(count or self.n_frames)]


Spoil = Callable[[Path, Good], object]


def pictures(make: Callable[[int, Good], RgbImage], more_frames: int = 0, fps: Fraction = Fraction(VIDEO_FPS)) -> Spoil:
    """A silent video of other pictures, or of more or fewer, or faster."""
    return lambda path, good: write_video(path, [make(i, good) for i in range(good.n_frames + more_frames)], fps=fps)


def own(i: int, good: Good) -> RgbImage:
    """The picture that it should be."""
    return good.picture(i, good.side, good.side)


def sound(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Spoil:
    """The right pictures with another sound."""
    return lambda path, good: write_video(path, good.frames(), audio=change(good.speech))


def late(frames: int) -> Spoil:
    """The right sound, later by so many frames."""
    return sound(lambda speech: np.roll(speech, frames_to_samples(1) * frames))


def noise(speech: NDArray[np.float32]) -> NDArray[np.float32]:
    """Another sound."""
    return np.random.default_rng(9).normal(0, 0.1, len(speech)).astype(np.float32)


def sound_alone(path: Path, good: Good) -> None:
    """WAV by another name."""
    write_wav(path.with_suffix(".wav"), good.speech)
    path.with_suffix(".wav").rename(path)


def damaged(path: Path, good: Good) -> None:
    """3,000 bytes in the middle of the file are others."""
    content = bytearray(good.path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(5).bytes(3000)
    path.write_bytes(content)


def undecodable(path: Path, good: Good) -> None:
    """The right container, of which no picture decodes."""
    with av.open(str(good.path)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                zeros = av.Packet(bytes(packet.size))
                zeros.pts, zeros.dts, zeros.time_base, zeros.stream = packet.pts, packet.dts, packet.time_base, stream
                target.mux(zeros)


def two_sizes(path: Path, good: Good) -> None:
    """Pictures twice as large from the middle on."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=VIDEO_FPS)
        stream.width, stream.height, stream.pix_fmt = good.side, good.side, "yuv420p"
        first = good.n_frames // 2
        for side, begin, end in ((good.side, 0, first), (2 * good.side, first, good.n_frames)):
            part = av.CodecContext.create("mpeg2video", "w")
            part.width, part.height, part.pix_fmt = side, side, "yuv420p"
            part.time_base, part.framerate = Fraction(1, VIDEO_FPS), Fraction(VIDEO_FPS)
            frames = [av.VideoFrame.from_ndarray(good.picture(i, side, side), format="rgb24") for i in range(begin, end)]
            for number, frame in enumerate(frames):
                frame.pts = number
            for packet in [p for frame in frames for p in part.encode(frame)] + list(part.encode(None)):
                packet.stream = stream
                packet.pts = packet.dts = (packet.pts or 0) + begin
                packet.time_base = Fraction(1, VIDEO_FPS)
                container.mux(packet)


def two_faces(path: Path, good: Good) -> None:
    """Two faces side by side in a square picture."""
    face = skimage.data.astronaut()[FACE]
    both = np.zeros((512, 512, 3), np.uint8)
    both[128:384] = np.hstack([face, face])
    write_video(path, [np.roll(both, i % 4, axis=0) for i in range(good.n_frames)])


def flat(*colour: int) -> Spoil:
    """One colour throughout."""
    return pictures(lambda i, good: np.full((good.side, good.side, 3), colour, np.uint8))


KINDS: dict[str, tuple[str, Spoil]] = {
    "missing": ("missing", lambda path, good: None),
    "link to nothing": ("missing", lambda path, good: path.symlink_to("nowhere.mp4")),
    "folder": ("not_a_file", lambda path, good: path.mkdir()),
    "pipe": ("not_a_file", lambda path, good: os.mkfifo(path)),
    "empty": ("empty", lambda path, good: path.write_bytes(b"")),
    "text": ("not_media", lambda path, good: path.write_text("Traceback (most recent call last):\n")),
    "html": ("not_media", lambda path, good: path.write_text("<html>404</html>" * 400)),
    "list of files": ("not_media", lambda path, good: path.write_text("ffconcat version 1.0\nfile good.mp4\n")),
    "cut off": ("not_media", lambda path, good: path.write_bytes(good.path.read_bytes()[: -(good.path.stat().st_size // 3)])),
    "picture": ("not_media", lambda path, good: path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 500)),
    "sound alone": ("no_picture", sound_alone),
    "short": ("frame_count", pictures(own, -3)),
    "long": ("frame_count", pictures(own, 10)),
    "twice as fast": ("frame_count", pictures(own, fps=Fraction(2 * VIDEO_FPS))),
    "wrong sound": ("wrong_sound", sound(noise)),
    "backwards": ("wrong_sound", sound(lambda speech: speech[::-1].copy())),
    "late by 3 frames": ("shifted_sound", late(3)),
    "early by 1 frame": ("shifted_sound", late(-1)),
    "two panels": ("not_square", pictures(lambda i, good: np.hstack([own(i, good)] * 2))),
    "portrait format": ("not_square", pictures(lambda i, good: good.picture(i, good.side, good.side + 32))),
    "tiny": ("too_small", pictures(lambda i, good: good.picture(i, 32, 32))),
    "frozen": ("frozen", pictures(lambda i, good: own(0, good))),
    "black": ("blank", flat(0, 0, 0)),
    "green": ("blank", flat(0, 180, 0)),
    "damaged": ("damaged", damaged),
    "zeros": ("undecodable", undecodable),
    "size changes": ("size_changes", two_sizes),
    "two faces": ("several_faces", two_faces),
}
"""Of a file by itself: the reason that it must be refused for, and what makes it so."""
IN_FOLDER: dict[str, tuple[str, Spoil]] = {
    "outside": ("outside", lambda path, good: path.symlink_to(good.path)),
    "two containers": ("ambiguous", lambda path, good: [shutil.copy(good.path, path.with_suffix(s)) for s in (".mp4", ".mov")]),
}
"""Of a folder of outputs."""
ALL_KINDS = KINDS | IN_FOLDER


@dataclass
class MadeUpRun:
    """A run whose test list has ``clips`` clips of as many people, and a system's outputs."""

    root: Path
    params: Params
    goods: list[Good]
    listed: Resolved

    @property
    def layout(self) -> Layout:
        """Its tables."""
        return Layout.in_folder(self.root / "run")

    def outputs(self, broken: dict[int, str]) -> Path:
        """A new folder with all outputs, those of clips in ``broken`` by their kind."""
        folder = Path(tempfile.mkdtemp(dir=self.root))
        for number, good in enumerate(self.goods):
            path = folder / f"{self.listed.chosen[number].clip.clip_id}.mp4"
            path.parent.mkdir(parents=True)
            if number in broken:
                ALL_KINDS[broken[number]][1](path, good)
            else:
                shutil.copyfile(good.path, path)
        return folder

    def results(self, broken: dict[int, str]) -> "Results":
        """What a benchmark of these outputs says."""
        layout = self.layout
        rows = add(SYSTEM, self.outputs(broken), Card(title="Theirs"), self.listed, self.params, layout)
        evaluate.run(self.params, layout)
        scores, traces = read_table(layout.scores, Score), read_table(layout.traces, TraceFrame)
        return Results(rows, scores, traces, read_table(layout.aggregates, Aggregate))


@dataclass
class Results:
    """Tables of a benchmark."""

    rows: list[SynthesizedClip]
    scores: list[Score]
    traces: list[TraceFrame]
    aggregates: list[Aggregate]

    def of_others(self, clip_ids: set[str]) -> list[SynthesizedClip | Score | TraceFrame]:
        """All that is said of other clips than these."""
        rows: list[SynthesizedClip | Score | TraceFrame] = [*self.rows, *self.scores, *self.traces]
        return [row for row in rows if row.clip_id not in clip_ids]


def made_up_run(root: Path, clips: int, n_frames: int, side: int, workers: int) -> MadeUpRun:
    """Recordings and good outputs of ``clips`` people: a face that nods, in each its own way, a sound that comes and goes."""
    face = cv2.resize(skimage.data.astronaut()[FACE], (2 * side, 2 * side), interpolation=cv2.INTER_AREA)
    goods, chosen = [], []
    for number in range(clips):
        rng = np.random.default_rng(number)
        nods, light = rng.integers(0, side // 12, (2, n_frames + 10)), rng.uniform(0.7, 1.0)

        def nodding(i: int, width: int, height: int, down: NDArray[np.int64] = nods[0], light: float = light) -> RgbImage:
            moved = np.roll(face, int(down[i]), axis=0) * light
            return np.asarray(cv2.resize(moved.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA), np.uint8)

        n = frames_to_samples(n_frames)
        loudness = np.abs(np.sin(np.arange(n) / 2500 + number))
        speech = (0.2 * loudness * rng.normal(size=n)).clip(-1, 1).astype(np.float32)
        folder = root / f"{number:03}"
        folder.mkdir(parents=True)
        video, audio, made = (folder / name for name in ("recording.mp4", "sound.wav", "made.mp4"))
        write_wav(audio, speech)
        write_video(video, [nodding(i, side, side, nods[1]) for i in range(n_frames)])
        good = Good(made, nodding, n_frames, side, speech)
        write_video(made, good.frames(), audio=speech)
        goods.append(good)
        clip_id = f"set/{number:03}/1"
        chosen.append(Chosen(AlignedClip(
            clip_id=clip_id, source_clip_id=clip_id, dataset="set", subject=f"{number:03}", emotion="neutral", intensity=1.0,
            language="en", split="test", video=str(video), audio=str(audio), n_frames=n_frames, size_px=side, start_s=0.0,
            crop_x0_px=0.0, crop_y0_px=0.0, crop_side_px=float(side), applied_offset_frames=0.0, video_sha256=sha256_of(video),
            audio_sha256=sha256_of(audio),
        ), n_frames))  # fmt: skip
    run = MadeUpRun(root, load_params(None, [f"job.workers={workers}"]), goods, Resolved("broken/v1", tuple(chosen)))
    not_rendered = [
        SynthesizedClip(
            system="ground_truth", clip_id=clip.clip_id, subject=clip.subject, emotion="neutral", intensity=1.0, status=FAILED,
            detail="", driving_audio=clip.audio, reference=clip.video, audio=clip.audio, video="", n_frames=n_frames,
            size_px=side, test_list=run.listed.label, reason="not_installed",
        )
        for clip in (one.clip for one in chosen)
    ]  # fmt: skip
    write_table(run.layout.synthesized_clips, not_rendered, SynthesizedClip)
    write_table(run.layout.synthesized_tracks, [], SynthesizedFrame)
    write_table(run.layout.feature_clips, [], FeatureClip)
    write_table(run.layout.feature_frames, [], FeatureFrame)
    return run


def main(argv: list[str] | None = None) -> None:
    """Print what became of the broken ones, and whether anything else changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(argv)
    broken = dict(zip(range(3, options.clips, options.clips // len(ALL_KINDS)), ALL_KINDS, strict=False))
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.monotonic()
        run = made_up_run(Path(folder), options.clips, options.frames, options.side, options.workers)
        before, after = run.results({}), run.results(broken)
        seconds = time.monotonic() - began_s
    said = {kind: after.rows[i].reason for i, kind in broken.items()}
    wrong = {kind: reason for kind, reason in said.items() if reason != ALL_KINDS[kind][0]}
    ids = {run.listed.chosen[i].clip.clip_id for i in broken}
    same = before.of_others(ids) == after.of_others(ids)
    counts = {(row.n_ok, row.n_total) for row in after.aggregates if row.metric.startswith("ld_mouth")}
    refused_before = sum(bool(row.reason) for row in before.rows)
    print(f"{options.clips} clips, {refused_before} refused when all are good")
    print(f"{len(broken)} broken, {len(broken) - len(wrong)} with the right reason {wrong or ''}")
    print(f"everything else {'unchanged' if same else 'CHANGED'}; coverage of the mouth's distance {counts}; {seconds:.0f} s")
    sys.exit(0 if same and not wrong and not refused_before else 1)


if __name__ == "__main__":
    main()
