"""Distances between the frames that a system makes and the recordings' frames, as sets of feature vectors.

Frames of one person resemble each other: intervals are delete-a-group jackknives over identities. Figures carry the name of the
features: ``fid`` belongs to the official Inception alone (`frame_features`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.face_descriptor import NAME
from evaluation.frechet import frechet_distance
from evaluation.metrics.entry import Better, Metric
from evaluation.metrics.identity import ALIGNED, PUBLISHED
from evaluation.statistics import jackknife_interval
from space_data.errors import SpaceError
from space_data.schema import Aggregate

Features = NDArray[np.floating]
GROUPS = 20
"""At most so many groups are left out in turn: a fit of 2048 dimensions takes seconds."""
NEIGHBOURS = 5
"""Of density and coverage, as their authors use them."""
KID_DEGREE = 3


def kid(made: Features, real: Features) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018), sets (n, d) and (m, d).

    Over all pairs at once where the authors average 100 subsets of 1000: no noise of subsets. It can be below zero.
    """
    x, y = _checked(made, real, 2, 2)

    def kernel(a: Features, b: Features) -> NDArray[np.float64]:
        return np.asarray((a @ b.T / a.shape[1] + 1.0) ** KID_DEGREE)

    n, m = len(x), len(y)
    xx, yy = kernel(x, x), kernel(y, y)
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within - 2 * kernel(x, y).mean())


def density(made: Features, real: Features) -> float:
    """How many real neighbourhoods (5 nearest) a made sample lies in, over 5 (Naeem et al. 2020); about 1 for the same set."""
    inside, _ = _neighbourhoods(made, real)
    return float(inside.sum(axis=1).mean() / NEIGHBOURS)


def coverage(made: Features, real: Features) -> float:
    """Share of real neighbourhoods (5 nearest) with a made sample in them (Naeem et al. 2020)."""
    inside, _ = _neighbourhoods(made, real)
    return float(inside.any(axis=0).mean())


def _neighbourhoods(made: Features, real: Features) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each made sample lies within each real one's radius, (n, m), and the radii (m,)."""
    x, y = _checked(made, real, 1, NEIGHBOURS + 1)
    radii = np.sqrt(np.partition(_squared_distances(y, y), NEIGHBOURS, axis=1)[:, NEIGHBOURS])  # the nearest is itself
    return np.sqrt(_squared_distances(x, y)) <= radii[None], radii


def _squared_distances(x: Features, y: Features) -> NDArray[np.float64]:
    return np.maximum((x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2 * x @ y.T, 0.0)


def _checked(made: Features, real: Features, least_made: int, least_real: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    for name, one, least in (("made", made, least_made), ("real", real, least_real)):
        if one.ndim != 2 or len(one) < least or one.shape[1] != real.shape[1]:
            raise SpaceError(f"{name} set: shape {one.shape}, need ({least} or more, {real.shape[1]})")
        if not np.isfinite(one).all():
            raise SpaceError(f"{name} set holds non-finite values")
    return np.asarray(made, np.float64), np.asarray(real, np.float64)


@dataclass(frozen=True)
class SetMetric:
    """A figure of two sets of features: ``value(made, real)``, sets (n, d) and (m, d) of at least ``least`` samples."""

    column: Metric
    value: Callable[[Features, Features], float]
    least: int


def set_metrics(features: str, is_fid: bool, frame_step: int) -> tuple[SetMetric, ...]:
    """All of them, for features of that name, taken from every ``frame_step``-th frame."""
    stand_in = "" if is_fid else "_standin"
    what = "Inception features (pool 3, 2048-d)" if is_fid else "hand-made frame features (block-DCT energies and colour moments)"
    warning = "" if is_fid else "Stands in while the Inception weights are absent; not comparable with published figures. "
    few = "Frames of one clip are not independent: compare within this table only."

    def metric(name: str, title: str, better: Better, definition: str, source: str, departures: str, digits: int) -> Metric:
        shown = f"{title}, {features.rpartition('-')[2]}" if is_fid else f"{title} stand-in (not {title})"
        return Metric(
            f"{name}{stand_in}/{features}/every{frame_step}/v2", shown, "", better, (), lambda _: None, definition, source,
            warning + departures, digits,
        )  # fmt: skip

    frechet = "fid" if is_fid else "frechet"
    return (
        SetMetric(
            metric(
                frechet, "FID", "lower", f"Fréchet distance between {what} of generated and real crops.",
                "Heusel et al. 2017; our own Fréchet routine.", f"The fewer frames, the larger the bias. {few}", 2,
            ),
            frechet_distance, 2,
        ),
        SetMetric(
            metric(
                "kid", "KID", "lower", f"Unbiased squared MMD, cubic kernel, of {what}.", "Binkowski et al. 2018.",
                f"Over all pairs, not averaged over subsets. {few}", 4,
            ),
            kid, 2,
        ),
        SetMetric(
            metric(
                "density", "density", "recording",
                f"Real neighbourhoods ({NEIGHBOURS} nearest) that a made frame lies in, over {NEIGHBOURS}, on {what}.",
                "Naeem et al. 2020.", few, 2,
            ),
            density, NEIGHBOURS + 1,
        ),
        SetMetric(
            metric(
                "coverage", "coverage", "higher",
                f"Share of real neighbourhoods ({NEIGHBOURS} nearest) with a made frame in them, on {what}.",
                "Naeem et al. 2020.", few, 2,
            ),
            coverage, NEIGHBOURS + 1,
        ),
    )  # fmt: skip


def face_set_metric(every_frames: int) -> SetMetric:
    """Fréchet distance on face descriptors: real features of few dimensions, which a few hundred frames can fill."""
    column = Metric(
        f"frechet_face/{NAME}-facemesh5-every{every_frames}/v1", "Fréchet, face descriptors", "", "lower", (), lambda _: None,
        "Fréchet distance between the face descriptors (dlib, 128-d) of generated and real frames.", f"{PUBLISHED}; as FID.",
        f"Not FID. Who speaks how often counts, too: only for systems on the same clips. {ALIGNED}", 4,
    )  # fmt: skip
    return SetMetric(column, frechet_distance, 2)


def set_aggregate(
    system: str,
    metric: SetMetric,
    made: Mapping[str, Features],
    real: Mapping[str, Features],
    subjects: Mapping[str, str],
    n_total: int,
) -> Aggregate:
    """The figure over the clips that the system has, with a jackknife interval over identities.

    Args:
        made, real: features (frames, d) by clip.
        subjects: who speaks in each clip.
        n_total: number of test clips, for the coverage.
    """
    clips = sorted(made.keys() & real.keys())
    groups = groups_of([subjects[clip] for clip in clips])
    value = _over(metric, made, real, clips)
    if value is None:
        return Aggregate(system, metric.column.metric_id, None, None, None, None, None, None, 0, n_total, 0, 0)
    left = [_over(metric, made, real, [c for c, g in zip(clips, groups, strict=True) if g != out]) for out in sorted(set(groups))]
    known = [one for one in left if one is not None]
    low, high = (jackknife_interval(value, np.array(known)) if len(known) == len(left) else None) or (None, None)
    people = len({subjects[clip] for clip in clips})
    return Aggregate(
        system, metric.column.metric_id, value, low, high, None, None, None, len(clips), n_total, people, 0,
    )  # fmt: skip


def groups_of(subjects: Sequence[str]) -> list[int]:
    """A group per identity, or identities dealt to `GROUPS` groups in turn."""
    order = {subject: index % GROUPS for index, subject in enumerate(sorted(set(subjects)))}
    return [order[subject] for subject in subjects]


def _over(metric: SetMetric, made: Mapping[str, Features], real: Mapping[str, Features], clips: Sequence[str]) -> float | None:
    if not clips:
        return None
    x, y = (np.concatenate([of[clip] for clip in clips]) for of in (made, real))
    return metric.value(x, y) if min(len(x), len(y)) >= metric.least else None
