"""How good is the default corpus? Measured with the detector on the encoded clips, against their truth.

    python -m benchmarks.corpus_quality [--corpus data/raw/synthetic] [--workers 2] [--clips 4]

Prints one row per identity, the bounds the corpus has to meet, frames per second of one core, and whether remade clips have
the same bytes. Correlations are per identity over all of its clips; lag is the shift of the measured against the true lip gap.
"""

import argparse
import hashlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from space_data.facemesh import track_faces
from space_data.landmarks import (
    IBUG68,
    STABLE_78,
    estimate_pose,
    eye_aspect_ratio,
    lip_gap,
    lip_width,
    mesh_to_landmarks,
    normalise,
)
from space_data.media.video import decode_video
from space_data.params import Corpus, load_params
from space_data.progress import track
from space_data.synthetic.corpus import CLIP_KIND, make, plans
from space_data.synthetic.performance import TruthFrame
from space_data.tables import read_table

MAX_LAG_FRAMES = 6
BOUNDS = {"found": 0.99, "lip_gap": 0.85, "lip_width": 0.85, "eye_opening": 0.85, "yaw": 0.95}
LEAST_SPREAD = 1.3
LEAST_FPS = 40.0


@dataclass(frozen=True)
class Measured:
    """Truth and measurement of one clip's frames: (T,) per signal; ``shape`` (T, 68, 2) aligned outlines of found frames."""

    subject: str
    true: dict[str, NDArray[np.float64]]
    seen: dict[str, NDArray[np.float64]]
    shape: NDArray[np.float64]


def measure_clip(video: Path) -> Measured:
    """Run the detector over one clip and set its truth beside it; frames without a face are NaN."""
    rows = read_table(video.with_suffix(".parquet"), TruthFrame)
    mesh = track_faces(frame.rgb for frame in decode_video(video))
    pose = estimate_pose(mesh)
    points = normalise(mesh_to_landmarks(mesh), pose)
    seen = {
        "lip_gap": lip_gap(points),
        "lip_width": lip_width(points),
        "eye_opening": eye_aspect_ratio(points).mean(1),
        "yaw": pose.yaw_deg,
    }
    true = {
        "lip_gap": np.array([r.lip_gap for r in rows]),
        "lip_width": np.array([r.lip_width for r in rows]),
        "eye_opening": np.array([(r.eye_opening_left + r.eye_opening_right) / 2 for r in rows]),
        "yaw": np.array([r.yaw_deg for r in rows]),
    }
    found = np.isfinite(points).all(axis=(1, 2))
    outline = points[found][:, IBUG68, :2].astype(np.float64)
    outline -= outline.mean(1, keepdims=True)
    outline /= np.linalg.norm(outline, axis=(1, 2), keepdims=True)
    return Measured(video.parts[-3], true, {k: v.astype(np.float64) for k, v in seen.items()}, outline)


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson r over frames where both are known; NaN if one does not vary."""
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 3 or a[known].std() == 0 or b[known].std() == 0:
        return float("nan")
    return float(np.corrcoef(a[known], b[known])[0, 1])


def lag_frames(true: NDArray[np.float64], seen: NDArray[np.float64]) -> int:
    """Shift at which ``seen`` follows ``true`` best, frames; + = seen is late."""
    best = {
        shift: correlation(true[max(0, -shift) : len(true) - max(0, shift)], seen[max(0, shift) : len(seen) + min(0, shift)])
        for shift in range(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1)
    }
    return max(best, key=lambda shift: (np.nan_to_num(best[shift], nan=-1.0), -abs(shift)))


def spread(shapes: dict[str, NDArray[np.float64]], points: NDArray[np.int64]) -> float:
    """RMS distance of the identities' mean shapes from the grand mean, over that of the frames from their identity's mean."""
    means = {name: shape[:, points].mean(0) for name, shape in shapes.items()}
    grand = np.mean(list(means.values()), axis=0)
    between = np.sqrt(np.mean([((m - grand) ** 2).sum() for m in means.values()]))
    within = np.sqrt(np.mean([((s[:, points] - means[n]) ** 2).sum((1, 2)).mean() for n, s in shapes.items()]))
    return float(between / within)


def rendering_speed(settings: Corpus) -> float:
    """Frames rendered and encoded per CPU second of one core, compilation and the head's construction left out."""
    filmed = [plan for plan in plans(settings) if plan.kind == CLIP_KIND and plan.person == 0][:2]
    with tempfile.TemporaryDirectory() as folder:
        make(filmed[0], settings, Path(folder))
        began_s = time.process_time()
        make(filmed[-1], settings, Path(folder))
        seconds = time.process_time() - began_s
        return len(read_table(Path(folder) / "clip.parquet", TruthFrame)) / seconds


def bytes_differ(settings: Corpus, corpus: Path, stems: Sequence[str]) -> list[str]:
    """Files of ``stems`` that come out with other bytes than they have in ``corpus`` when made again, last one first."""
    todo = {plan.stem: plan for plan in plans(settings)}
    differing = []
    for stem in reversed(stems):
        with tempfile.TemporaryDirectory() as folder:
            make(todo[stem], settings, Path(folder))
            for file in sorted(Path(folder).glob("clip.*")):
                old = corpus / f"{stem}{file.suffix}"
                if hashlib.sha256(file.read_bytes()).digest() != hashlib.sha256(old.read_bytes()).digest():
                    differing.append(str(old))
    return differing


def report(clips: Sequence[Measured]) -> tuple[Table, bool]:
    """The table of identities, and whether every bound is met."""
    by_subject: dict[str, list[Measured]] = defaultdict(list)
    for clip in clips:
        by_subject[clip.subject].append(clip)
    table = Table("identity", "clips", "frames", *BOUNDS, "lags")
    good = True
    for subject, own in sorted(by_subject.items()):
        seen_gap = np.concatenate([c.seen["lip_gap"] for c in own])
        values = {"found": float(np.isfinite(seen_gap).mean())}
        for name in list(BOUNDS)[1:]:
            values[name] = correlation(np.concatenate([c.true[name] for c in own]), np.concatenate([c.seen[name] for c in own]))
        lags = [lag_frames(c.true["lip_gap"], c.seen["lip_gap"]) for c in own]
        met = {name: values[name] >= bound for name, bound in BOUNDS.items()}
        good = good and all(met.values()) and not any(lags)
        cells = [f"{values[n]:.3f}{'' if met[n] else ' <'}" for n in BOUNDS]
        table.add_row(subject, str(len(own)), str(len(seen_gap)), *cells, " ".join(map(str, lags)))
    return table, good


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print; exit code 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpus", type=Path, default=Path("data/raw/synthetic"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clips", type=int, default=4, help="clips to make again for the comparison of bytes and the speed")
    arguments = parser.parse_args(argv)
    settings = load_params(arguments.params).corpus
    videos = sorted(arguments.corpus.glob("clips/*/*/*.mp4"))
    if not videos:
        raise SystemExit(f"error: {arguments.corpus}: no clips (make the corpus: `python -m pipelines.stages corpus`)")
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        clips = list(track(pool.map(measure_clip, videos), "measure", len(videos)))
    table, good = report(clips)
    console = Console()
    console.print(table)
    subjects = sorted({c.subject for c in clips})
    shapes = {s: np.concatenate([c.shape for c in clips if c.subject == s]) for s in subjects}
    whole, rigid = spread(shapes, IBUG68), spread(shapes, STABLE_78)
    console.print(f"between / within identity: {whole:.2f} (68 points), {rigid:.2f} (stable points); needed {LEAST_SPREAD}")
    fps = rendering_speed(settings)
    console.print(f"rendering + encoding: {fps:.1f} frames per CPU second of one core; needed {LEAST_FPS:g}")
    step = max(1, len(videos) // max(1, arguments.clips))
    stems = [str(v.relative_to(arguments.corpus).with_suffix("")) for v in videos[::step][: arguments.clips]]
    differing = bytes_differ(settings, arguments.corpus, stems)
    console.print(f"made again: {len(stems)} clips, files with other bytes: {differing or 'none'}")
    if not (good and whole >= LEAST_SPREAD and fps >= LEAST_FPS and not differing):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
