"""How well the photo score separates photographed people from everything else: ROC per kind, false rejects per group, a drawing.

    python -m benchmarks.photo_roc TABLE.csv [--png docs/img/photo_roc.png] [--threshold 0.1]

``TABLE.csv`` has the columns ``path,label,kind,source`` and perhaps ``group`` (see ``benchmarks.photo_faces``). With a column
``score`` (what ``benchmarks.photo_fit --scores`` writes: each face scored by a network that has not seen its source) the scores
are taken from it; without one the pictures, or the faces of an .npz of ``benchmarks.photo_faces``, are scored by the scorer that
ships. Non-photos are what is looked for: *caught* is the share of them below the threshold that 1 % of the photos are below.
Intervals are 95 % of 1,000 bootstrap draws of faces; faces of one source resemble each other: the true uncertainty is larger.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.photo_faces import Faces, collect, read_list
from space_data.errors import SpaceError
from space_data.photographed import default_scorer

FALSE_REJECTS = 0.01
DRAWS = 1000
LEAST_IN_GROUP = 30

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """N scored faces: ``score`` (N,) in [0, 1], ``photo`` (N,) bool, ``kind`` and ``group`` (N,) texts."""

    score: Scores
    photo: NDArray[np.bool_]
    kind: NDArray[np.str_]
    group: NDArray[np.str_]


def auc(photos: Scores, others: Scores) -> float:
    """Probability that a photo scores higher than a non-photo, ties count half (Mann-Whitney); NaN when one side is empty."""
    if len(photos) == 0 or len(others) == 0:
        return float("nan")
    ranked = np.sort(others)
    below = np.searchsorted(ranked, photos, "left")
    up_to = np.searchsorted(ranked, photos, "right")
    return float((below + up_to).mean() / 2 / len(others))


def threshold_at(photos: Scores, false_rejects: float = FALSE_REJECTS) -> float:
    """The highest threshold below which at most the share ``false_rejects`` of the photos lie."""
    return float(np.sort(photos)[int(np.floor(false_rejects * len(photos)))])


def caught(photos: Scores, others: Scores, false_rejects: float = FALSE_REJECTS) -> float:
    """Share of the non-photos below ``threshold_at``."""
    return float((others < threshold_at(photos, false_rejects)).mean())


def interval(photos: Scores, others: Scores, rng: np.random.Generator, draws: int = DRAWS) -> tuple[float, float]:
    """Bootstrap 95 % interval of the AUC, photos and non-photos drawn apart."""
    values = [auc(rng.choice(photos, len(photos)), rng.choice(others, len(others))) for _ in range(draws)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def read_scored(path: Path) -> Scored:
    """A table with scores; or a list of pictures, or collected faces (.npz), scored now by the scorer that ships."""
    if path.suffix == ".npz":
        return scored(Faces.load(path))
    rows = read_list(path)
    if not rows:
        raise SpaceError(f"{path}: no rows")
    if "score" in rows[0]:
        score = np.array([float(row["score"]) for row in rows])
        photo = np.array([row["label"] == "1" for row in rows])
        return Scored(score, photo, *(np.array([row.get(name) or "" for row in rows]) for name in ("kind", "group")))
    faces, without = collect(rows)
    if without:
        print(f"{len(without)} pictures without a face left out, the first {without[0]}")
    return scored(faces)


def scored(faces: Faces) -> Scored:
    """Scores of collected faces by the scorer that ships."""
    scorer = default_scorer()
    return Scored(np.array([scorer.score(face) for face in faces.tight]), faces.label == 1, faces.kind, faces.group)


def kinds_table(data: Scored) -> Table:
    """AUC with its interval and the share caught at 1 % of false rejects, per kind of non-photo and in all."""
    rng = np.random.default_rng(0)
    photos = data.score[data.photo]
    table = Table("kind", "faces", "AUC", "95 %", "caught at 1 % false rejects", "at 0.2 %")
    kinds = sorted(set(data.kind[~data.photo].tolist()))
    for name in ["all", *kinds]:
        others = data.score[~data.photo & ((data.kind == name) | (name == "all"))]
        low, high = interval(photos, others, rng)
        shares = (f"{caught(photos, others, share):.1%}" for share in (FALSE_REJECTS, FALSE_REJECTS / 5))
        table.add_row(name, str(len(others)), f"{auc(photos, others):.4f}", f"{low:.4f}-{high:.4f}", *shares)
    return table


def groups_table(data: Scored, threshold: float) -> Table:
    """Share of the photos of each group below the threshold: nobody's group should carry the errors."""
    photos, groups = data.score[data.photo], data.group[data.photo]
    table = Table("group", "photos", f"below {threshold:.3f}", "median score")
    table.add_row("all", str(len(photos)), f"{(photos < threshold).mean():.2%}", f"{np.median(photos):.3f}")
    for name in sorted({part for group in groups.tolist() for part in group.split()}):
        of = np.array([name in group.split() for group in groups.tolist()])
        if of.sum() >= LEAST_IN_GROUP:
            row = (f"{(photos[of] < threshold).mean():.2%}", f"{np.median(photos[of]):.3f}")
            table.add_row(name, str(of.sum()), *row)
    return table


def draw(data: Scored, path: Path) -> None:
    """ROC curves per kind, false rejects on a logarithmic axis, and the two distributions of scores."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    photos = np.sort(data.score[data.photo])
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    rejects = np.geomspace(1 / len(photos), 1.0, 200)
    cuts = photos[np.minimum((rejects * len(photos)).astype(int), len(photos) - 1)]
    for name in sorted(set(data.kind[~data.photo].tolist())):
        others = np.sort(data.score[data.kind == name])
        left.plot(rejects, np.searchsorted(others, cuts) / len(others), label=f"{name} ({len(others)})")
    left.axvline(FALSE_REJECTS, color="grey", linewidth=0.8, linestyle=":")
    left.set(xscale="log", xlabel="photographed people rejected", ylabel="non-photos caught", ylim=(0, 1.02))
    left.legend(fontsize=8)
    for chosen, name in ((data.photo, "photographed"), (~data.photo, "everything else")):
        right.hist(data.score[chosen], bins=np.linspace(0, 1, 51), density=True, alpha=0.6, label=name)
    right.set(yscale="log", xlabel="photo score", ylabel="density")
    right.legend(fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="CSV, or .npz of benchmarks.photo_faces")
    parser.add_argument("--png", type=Path)
    parser.add_argument("--threshold", type=float, help="of the table of groups; else the one that rejects 1 % of the photos")
    args = parser.parse_args(argv)
    data = read_scored(args.table)
    if data.photo.all() or not data.photo.any():
        raise SpaceError(f"{args.table}: photos and non-photos needed, found {data.photo.sum()} and {(~data.photo).sum()}")
    console = Console()
    cut = threshold_at(data.score[data.photo])
    console.print(f"{data.photo.sum()} photos, {(~data.photo).sum()} others; 1 % of the photos are below {cut:.4f}")
    console.print(kinds_table(data))
    console.print(groups_table(data, cut if args.threshold is None else args.threshold))
    if args.png is not None:
        draw(data, args.png)


if __name__ == "__main__":
    main()
