"""Distances between the frames that a system makes and the recordings' frames, as sets of feature vectors.

Frames of one person resemble each other: intervals are delete-a-group jackknives over identities. Figures carry the name of the
features: ``fid`` belongs to the official Inception alone (`frame_features`).
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.face_descriptor import NAME
from evaluation.metrics.entry import Better, Metric
from evaluation.metrics.identity import ALIGNED, PUBLISHED
from evaluation.paired_sets import MOST_PAIRED, NEIGHBOURS, Features, Figures, PairedSets, mapped
from evaluation.statistics import jackknife_interval
from space_data.schema import Aggregate

GROUPS = 20
"""At most so many groups are left out in turn: a fit of 2048 dimensions takes seconds."""


@dataclass(frozen=True)
class SetMetric:
    """A figure of two sets of features, whole and without each group in turn."""

    column: Metric
    figures: Callable[[PairedSets], Figures]


def set_metrics(features: str, is_fid: bool, frame_step: int) -> tuple[SetMetric, ...]:
    """All of them, for features of that name, taken from every ``frame_step``-th frame."""
    stand_in = "" if is_fid else "_standin"
    what = "Inception features (pool 3, 2048-d)" if is_fid else "hand-made frame features (block-DCT energies and colour moments)"
    warning = "" if is_fid else "Stands in while the Inception weights are absent; not comparable with published figures. "
    most = f"Of at most {MOST_PAIRED:,} frames a set, evenly spread."
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
            lambda sets: sets.frechet,
        ),
        SetMetric(
            metric(
                "kid", "KID", "lower", f"Unbiased squared MMD, cubic kernel, of {what}.", "Binkowski et al. 2018.",
                f"Over all pairs, not averaged over subsets. {most} {few}", 4,
            ),
            lambda sets: sets.thinned.kid,
        ),
        SetMetric(
            metric(
                "density", "density", "recording",
                f"Real neighbourhoods ({NEIGHBOURS} nearest) that a made frame lies in, over {NEIGHBOURS}, on {what}.",
                "Naeem et al. 2020.", f"{most} {few}", 2,
            ),
            lambda sets: sets.thinned.density,
        ),
        SetMetric(
            metric(
                "coverage", "coverage", "higher",
                f"Share of real neighbourhoods ({NEIGHBOURS} nearest) with a made frame in them, on {what}.",
                "Naeem et al. 2020.", f"{most} {few}", 2,
            ),
            lambda sets: sets.thinned.coverage,
        ),
    )  # fmt: skip


def face_set_metric(every_frames: int) -> SetMetric:
    """Fréchet distance on face descriptors: real features of few dimensions, which a few hundred frames can fill."""
    column = Metric(
        f"frechet_face/{NAME}-facemesh5-every{every_frames}/v1", "Fréchet, face descriptors", "", "lower", (), lambda _: None,
        "Fréchet distance between the face descriptors (dlib, 128-d) of generated and real frames.", f"{PUBLISHED}; as FID.",
        f"Not FID. Who speaks how often counts, too: only for systems on the same clips. {ALIGNED}", 4,
    )  # fmt: skip
    return SetMetric(column, lambda sets: sets.frechet)


def set_aggregates(
    system: str,
    metrics: Sequence[SetMetric],
    subjects: Mapping[str, str],
    features: Callable[[str], tuple[Features, Features]],
    n_total: int,
) -> list[Aggregate]:
    """The figures over the clips that the system has, with jackknife intervals over identities.

    Args:
        subjects: who speaks in each of these clips.
        features: made and real ones (frames, d) of a clip, float32; one that has none of either counts as missing.
        n_total: number of test clips, for the coverage.
    """
    people: list[str] = []
    frames: list[tuple[int, int]] = []
    dimensions = 0
    with tempfile.TemporaryFile() as made, tempfile.TemporaryFile() as real:
        for clip_id in sorted(subjects):
            both = features(clip_id)
            if len(both[0]) and len(both[1]):
                for file, vectors in zip((made, real), both, strict=True):
                    file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
                people.append(subjects[clip_id])
                frames.append((len(both[0]), len(both[1])))
                dimensions = both[1].shape[1]
        if not people:
            return [_aggregate(system, metric, [None], 0, n_total, 0) for metric in metrics]
        groups = [np.repeat(groups_of(people), [pair[i] for pair in frames]) for i in (0, 1)]
        sets = PairedSets(mapped(made, dimensions), mapped(real, dimensions), *groups)
        return [_aggregate(system, metric, metric.figures(sets), len(people), n_total, len(set(people))) for metric in metrics]


def _aggregate(system: str, metric: SetMetric, figures: Figures, n_ok: int, n_total: int, n_people: int) -> Aggregate:
    value, *left = figures
    name = metric.column.metric_id
    if value is None:
        return Aggregate(system, name, None, None, None, None, None, None, 0, n_total, 0, 0)
    known = [one for one in left if one is not None]
    low, high = (jackknife_interval(value, np.array(known)) if len(known) == len(left) else None) or (None, None)
    return Aggregate(system, name, value, low, high, None, None, None, n_ok, n_total, n_people, 0)


def groups_of(subjects: Sequence[str]) -> list[int]:
    """A group per identity, or identities dealt to `GROUPS` groups in turn."""
    order = {subject: index % GROUPS for index, subject in enumerate(sorted(set(subjects)))}
    return [order[subject] for subject in subjects]
