"""How well a keypoint generator draws people it has never seen, driven by the pixels of their own clip: held-out rendered heads.

    python -m benchmarks.generator_heads [--model models/compact] [--l2l models/l2l/compact [--s2l models/s2l]] [--data data]
        [--sheet sheet.png]

Eight clips of split ``test``, at least one per person. Each starts from its first frame; the other frames (at most 100) are
described by the generator's own latents of their pixels and their head pose, and drawn. Pictures are compared with the recording,
and the face mesh measures both again: lip gap, eye opening, gaze, yaw (correlation and slope against the recording), blinks
found. Column ``still`` is the first frame itself. With ``--l2l models/l2l/compact`` one more: the same frames, drawn from the
latents that Landmarks2Latents predicts from the recording's landmarks and sound. With ``--s2l models/s2l``, too: from what S2L
makes of the sound and the first frame; lids, irises and head are the recording's. ``closed``: share of the frames of speech with
shut lips, and their F1 against the recording (`space_data.closures`). ``pooled``: r and slope of all clips' departures from their
means together; a clip in which the eyes stay open has hardly anything to follow, and counts as little.
Below the table: which latents are alive, and how much of them the head's pose explains within a clip.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from space_data import landmarks as lm
from space_data.closures import Closures
from space_data.errors import SpaceError
from space_data.facemesh import track_faces
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.progress import track
from space_data.schema import AlignedClip
from space_data.speech import mean_normalise
from space_data.store import Place, local_file
from space_models.dataset import Features, TrackClip
from space_models.generators import GENERATORS, Driving, KeypointGenerator, find
from space_models.generators.renderers import KeypointRenderer
from space_models.l2l import L2L, load_l2l
from space_models.portrait import portrait_of_crop
from space_models.s2l.features import speech_of
from space_models.s2l.model import S2L, load_s2l
from space_models.s2l.stream import predict

CLIPS, FRAMES = 8, 101
MOST_CLIPS = 500
TURNED_DEG = 12.0
MOUTH_MARGIN, EYE_MARGIN = 0.08, 0.06  # IOD around the landmarks' bounding box
BLINK_SHARE, BLINK_PERCENTILE, LONGEST_BLINK = 0.6, 80, 12
SHEET_PX = 192
CLOSED = ("closed", "closed, recorded", "closure F1")
SERIES = ("lip gap", "eye opening", "gaze x", "yaw")

Frames = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class Clip:
    """Frames (512, 512, 3) of one clip with what the pipeline's tables say of them; `sound` as `Driving.speech`, (T, 160)."""

    clip_id: str
    subject: str
    frames: Frames
    normalised: NDArray[np.float32]
    pose: lm.PoseTrack
    sound: NDArray[np.float32]
    emotion: NDArray[np.float32]
    speaking: NDArray[np.bool_]
    spoken: NDArray[np.float32] | None
    """landmarks as S2L says them (T, 78, 3), where there is one"""


@dataclass(frozen=True)
class Seen:
    """What the face mesh says of frames: landmarks in pixels (T, 78, 3), and the four series."""

    points: NDArray[np.float32]
    series: dict[str, NDArray[np.float32]]
    found_share: float


def choose(clips: list[AlignedClip], count: int) -> list[AlignedClip]:
    """A clip per person in turn, the longest of each first, until there are enough."""
    people: dict[str, list[AlignedClip]] = {}
    for clip in sorted(clips, key=lambda clip: (-clip.n_frames, clip.clip_id)):
        people.setdefault(clip.subject, []).append(clip)
    rounds = [own[i] for i in range(len(clips)) for own in people.values() if i < len(own)]
    return rounds[:count]


def read_clips(data: Path, split: str, count: int, s2l: S2L | None = None) -> list[Clip]:
    """The chosen clips of a finished run."""
    layout = Layout(data=Place.of(data))
    chosen = {clip.clip_id: clip for clip in choose([clip for clip in aligned_clips(layout) if clip.split == split], count)}
    clips = []
    for filmed in Features.read_filmed(layout.feature_frames, layout.feature_clips, [split], MOST_CLIPS).clips:
        row = chosen.get(filmed.clip_id)
        if row is not None:
            frames = [frame.rgb for _, frame in zip(range(FRAMES), decode_video(local_file(row.video)), strict=False)]
            sound = mean_normalise(filmed.log_mel).reshape(len(filmed), -1).astype(np.float32)
            pose, n = lm.PoseTrack.from_array(filmed.pose), len(frames)
            spoken = said(s2l, filmed)[:n] if s2l else None
            tracks = filmed.normalised[:n], pose[:n], sound[:n], filmed.emotion, filmed.speaking[:n], spoken
            clips.append(Clip(row.clip_id, row.subject, frames, *tracks))
    return clips


def said(s2l: S2L, clip: TrackClip) -> NDArray[np.float32]:
    """S2L's landmarks (T, 78, 3) of a clip's sound on its first frame, with the recording's lids and irises."""
    emotion, own = np.nan_to_num(clip.emotion), np.concatenate([lm.EYES, lm.IRISES])
    face = predict(s2l, speech_of(clip, s2l.config.encoder), clip.normalised[0], emotion, emotion).copy()
    face[:, own] = clip.normalised[:, own]
    return face


def look(frames: Frames) -> Seen:
    """Follow the face through frames; gaps are filled with the last face seen."""
    meshes = track_faces(frames)
    found = np.isfinite(meshes[:, 0, 0])
    last = np.maximum.accumulate(np.where(found, np.arange(len(found)), 0))
    meshes = meshes[last]
    pose, points = lm.estimate_pose(meshes), lm.mesh_to_landmarks(meshes)
    n = lm.normalise(points, pose)
    values = (lm.lip_gap(n), lm.eye_aspect_ratio(n).mean(-1), lm.gaze(n)[:, 0], pose.yaw_deg)
    return Seen(points, dict(zip(SERIES, values, strict=True)), float(found.mean()))


def blinks(opening: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Stretches (first, last) of shut eyes."""
    shut = opening < BLINK_SHARE * np.percentile(opening, BLINK_PERCENTILE)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shut.astype(int), [0]])))
    return [(a, b - 1) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a <= LONGEST_BLINK]


def boxes(points: NDArray[np.float32], group: NDArray[np.int64], margin_px: float) -> tuple[slice, slice]:
    """Rows and columns of the box around landmarks (78, 3)."""
    low, high = points[group, :2].min(0) - margin_px, points[group, :2].max(0) + margin_px
    (x0, y0), (x1, y1) = np.maximum(low, 0).astype(int), np.ceil(high).astype(int)
    return slice(y0, y1), slice(x0, x1)


def still(truth: Seen) -> Seen:
    """What the face mesh says of the first frame, as often as there are frames."""
    first = {name: np.full_like(values, values[0]) for name, values in truth.series.items()}
    return Seen(np.broadcast_to(truth.points[:1], truth.points.shape), first, truth.found_share)


def scores(clip: Clip, drawn: Frames, seen: Seen, truth: Seen, start: int = 1) -> dict[str, float]:
    """Figures of one clip; the first frame, which is the source, is left out."""
    error = [np.abs(a.astype(np.float32) - b) for a, b in zip(drawn, clip.frames, strict=True)][start:]
    square = [float(((a.astype(np.float32) - b) ** 2).mean()) for a, b in zip(drawn, clip.frames, strict=True)][start:]
    row = {"PSNR dB": float(np.mean([10 * np.log10(255**2 / max(s, 1e-6)) for s in square]))}
    row["L1"] = float(np.mean([e.mean() for e in error]))
    scale = float(clip.pose.scale.mean())
    areas = {"mouth": ((lm.MOUTH, MOUTH_MARGIN),), "eyes": ((lm.EYE_LEFT, EYE_MARGIN), (lm.EYE_RIGHT, EYE_MARGIN))}
    for name, groups in areas.items():
        values = [
            np.mean([e[boxes(truth.points[t + start], group, margin * scale)].mean() for group, margin in groups])
            for t, e in enumerate(error)
        ]
        row[f"L1 {name}"] = float(np.mean(values))
    turned = np.abs(clip.pose.yaw_deg - clip.pose.yaw_deg[0])[start:] > TURNED_DEG
    row["L1 face, turned"] = float(
        np.mean([e[boxes(truth.points[t + start], lm.FACE, 0.2 * scale)].mean() for t, e in enumerate(error) if turned[t]])
        if turned.any()
        else np.nan
    )
    mouth = np.linalg.norm(seen.points[start:, lm.MOUTH, :2] - truth.points[start:, lm.MOUTH, :2], axis=-1).mean() / scale
    row["mouth off, IOD"] = float(mouth)
    wanted = blinks(truth.series["eye opening"])
    own = blinks(seen.series["eye opening"])
    hit = sum(any(a <= last + 1 and b >= first - 1 for a, b in own) for first, last in wanted)
    row |= {"blinks": float(len(wanted)), "blinks found": float(hit), "faces found": seen.found_share}
    row["false blinks"] = float(sum(not any(a <= last + 1 and b >= first - 1 for a, b in wanted) for first, last in own))
    for name in SERIES:
        a, b = truth.series[name][start:], seen.series[name][start:]
        a, b = a - a.mean(), b - b.mean()
        row[f"{name} r"] = float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-9))
        row[f"{name} slope"] = float((a * b).sum() / max((a * a).sum(), 1e-9))
    return row


def pooled(name: str, seen: list[Seen], truths: list[Seen], start: int = 1) -> tuple[float, float]:
    """Correlation and slope of a series' departures from each clip's mean, all clips together."""
    own, true = (np.concatenate([(v := one.series[name][start:]) - v.mean() for one in side]) for side in (seen, truths))
    product, square = float((own * true).sum()), float((true * true).sum())
    return product / max(np.sqrt(float((own * own).sum()) * square), 1e-9), product / max(square, 1e-9)


def closed(seen: list[Seen], clips: list[Clip], truths: list[Seen], start: int = 1) -> tuple[float, float, float]:
    """Of all clips' frames of speech: the share with shut lips, the recording's share, and the closures' F1."""
    gaps = [[each.series["lip gap"][start:] for each in side] for side in (seen, truths)]
    counts = map(Closures.of, *gaps, [clip.speaking[start:] for clip in clips])
    total = sum(counts, start=Closures())
    return total.share, total.measured_share, total.f1


@dataclass(frozen=True)
class Drawn:
    """What a generator made of one clip: frames from the latents of its pixels, those latents (T, D), CPU milliseconds per frame,
    and frames by L2L from its landmarks and from S2L's, as far as there are those models."""

    frames: Frames
    z: NDArray[np.float32]
    ms: float
    by_l2l: list[Frames]


def draw(generator: KeypointGenerator[Any], clip: Clip, l2l: L2L | None) -> Drawn:
    """Draw a clip from its first frame."""
    z = generator.extract(clip.frames, lm.posed(clip.normalised, clip.pose), clip.pose).z
    portrait = portrait_of_crop(clip.frames[0], clip.clip_id)
    state = generator.prepare(portrait)
    begun = time.process_time()
    frames = list(generator.render(state, generator.compose(state, z, clip.pose)))
    ms = 1000 * (time.process_time() - begun) / len(frames)
    if l2l is None:
        return Drawn(frames, z, ms, [])
    renderer = KeypointRenderer(generator, l2l)
    prepared = renderer.prepare(portrait)
    faces = [clip.normalised] if clip.spoken is None else [clip.normalised, clip.spoken]
    driven = [Driving(face, clip.pose, clip.sound, clip.emotion) for face in faces]
    return Drawn(frames, z, ms, [list(renderer.render(prepared, each)) for each in driven])


def pose_share(latents: list[NDArray[np.float32]], poses: list[lm.PoseTrack]) -> NDArray[np.float64]:
    """Share of each latent's variance within clips that yaw, pitch and their squares explain, one fit for all clips: (D,)."""
    z = np.concatenate([one - one.mean(0) for one in latents]).astype(np.float64)
    angles = [np.stack([p.yaw_deg, p.pitch_deg], 1) / 10 for p in poses]
    inputs = np.concatenate([(x := np.concatenate([a, a**2], 1)) - x.mean(0) for a in angles])
    fitted = inputs @ np.linalg.lstsq(inputs, z, rcond=None)[0]
    return 1 - ((z - fitted) ** 2).sum(0) / (z**2).sum(0)


def sheet(clips: list[Clip], drawn: list[Frames], truths: list[Seen]) -> NDArray[np.uint8]:
    """Per clip: source, and recording beside drawing for the widest mouth, the most shut eyes, the largest turn."""
    rows = []
    for clip, frames, truth in zip(clips, drawn, truths, strict=True):
        yaw = np.abs(clip.pose.yaw_deg - clip.pose.yaw_deg[0])
        moments = truth.series["lip gap"].argmax(), truth.series["eye opening"].argmin(), yaw.argmax()
        cells = [clip.frames[0]] + [one for t in moments for one in (clip.frames[int(t)], frames[int(t)])]
        rows.append(np.hstack([cv2.resize(cell, (SHEET_PX, SHEET_PX), interpolation=cv2.INTER_AREA) for cell in cells]))
    return np.vstack(rows)


def report(generator: KeypointGenerator[Any], l2l: L2L | None, clips: list[Clip], name: str, sheet_file: Path | None) -> None:
    """Draw, score, print; write the sheet if one is wanted."""
    by_l2l = [] if l2l is None else ["by L2L"] if clips[0].spoken is None else ["by L2L", "by S2L, L2L"]
    columns: dict[str, list[Seen]] = {column: [] for column in ("still", name, *by_l2l)}
    rows: dict[str, list[dict[str, float]]] = {column: [] for column in columns}
    drawings, truths = [], []
    for clip in track(clips, "heads"):
        truth, drawn = look(clip.frames), draw(generator, clip, l2l)
        shown = [[clip.frames[0]] * len(clip.frames), drawn.frames, *drawn.by_l2l]
        for column, frames in zip(columns, shown, strict=True):
            seen = still(truth) if column == "still" else look(frames)
            columns[column].append(seen)
            rows[column].append(scores(clip, frames, seen, truth))
        drawings.append(drawn)
        truths.append(truth)
    table = Table("", *columns, title=f"{len(clips)} clips of {len({clip.subject for clip in clips})} people")
    for figure in rows[name][0]:
        combine = np.nansum if "blinks" in figure else np.nanmean
        table.add_row(figure, *(f"{combine([row[figure] for row in of_column]):.4g}" for of_column in rows.values()))
    for series in SERIES:
        found = [pooled(series, seen, truths) for seen in columns.values()]
        table.add_row(f"{series}, pooled: r, slope", *(f"{r:.3g}, {slope:.3g}" for r, slope in found))
    for of_column, text in zip(zip(*(closed(c, clips, truths) for c in columns.values()), strict=True), CLOSED, strict=True):
        table.add_row(text, *(f"{value:.3f}" for value in of_column))
    console = Console()
    console.print(table)
    latents = [drawn.z for drawn in drawings]
    variance = np.mean([z.var(0) for z in latents], 0)
    effect = np.array(generator.spec.weight) * variance
    explained = pose_share(latents, [clip.pose for clip in clips])
    weakest = np.sqrt(effect.min() / effect.max()), np.sqrt(variance.min() / variance.max())
    console.print(f"{np.mean([drawn.ms for drawn in drawings]):.0f} ms of CPU per frame")
    console.print(f"weakest latent: {weakest[0]:.3f} of the strongest in effect, {weakest[1]:.3f} in standard deviation")
    share = float((explained * effect).sum() / effect.sum())
    console.print(f"pose explains {100 * share:.1f} % of the latents' effect, {100 * explained.max():.0f} % of one of them")
    if sheet_file:
        cv2.imwrite(str(sheet_file), sheet(clips, [drawn.frames for drawn in drawings], truths)[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--generator", default="compact", help=f"one of {', '.join(GENERATORS)}")
    parser.add_argument("--model", type=Path, help="folder of its weights (default: models/<generator>)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of a finished run, with align/ and features/")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--l2l", type=Path, help="folder of its Landmarks2Latents: one more column, drawn from landmarks")
    parser.add_argument("--s2l", type=Path, help="with --l2l, folder of an S2L: one more column, drawn from what it hears")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet (PNG)")
    arguments = parser.parse_args()
    name = arguments.generator
    folder = arguments.model or Path("models") / name
    l2l = load_l2l(arguments.l2l) if arguments.l2l else None
    generator = find(GENERATORS, name, "generator").load(folder, load_params(), l2l.spec if l2l else None)
    declared = find(GENERATORS, name, "generator").weights_sha256(folder)
    if l2l and l2l.spec.weights_sha256 != declared:
        raise SpaceError(f"{arguments.l2l}: learnt the latents of other weights than {folder} (run `dvc repro train_l2l`)")
    s2l = load_s2l(arguments.s2l) if arguments.s2l and l2l else None
    report(generator, l2l, read_clips(arguments.data, arguments.split, arguments.clips, s2l), name, arguments.sheet)


if __name__ == "__main__":
    main()
