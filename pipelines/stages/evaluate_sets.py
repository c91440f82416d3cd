"""Distances between a system's frames and the recordings' as sets: a unit per system and kind of features.

Frames stay where they were measured; what comes back is a row per figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation import face_descriptor
from evaluation.distributions import SetMetric, face_set_metric, set_aggregates, set_metrics
from evaluation.frame_features import INCEPTION_NAMES
from evaluation.measured_video import read_features
from evaluation.paired_sets import Features
from space_data.params import Evaluate
from space_data.schema import Aggregate
from space_data.tables import write_table

FIGURES_FILE = "figures.arrow"


@dataclass(frozen=True)
class SetUnit:
    """What a worker needs to compare the frames of one system with the recordings'."""

    system: str
    features: str
    """by the name of what made them"""
    clips: tuple[tuple[str, str, str, str], ...]
    """id, identity, and the files of the measured video and of the measured recording, of clips that have both"""
    n_total: int
    """clips of the test list"""


def metrics_on(features: str, settings: Evaluate) -> Sequence[SetMetric]:
    """Those that are taken on features of that name."""
    if features == face_descriptor.NAME:
        return [face_set_metric(settings.frechet_every_frames)]
    return set_metrics(features, features in INCEPTION_NAMES.values(), settings.frechet_every_frames)


def compare_sets(unit: SetUnit, settings: Evaluate, folder: Path) -> None:
    """Unit function: ``figures.arrow``, ``Aggregate`` rows of one system."""
    subjects = {clip_id: subject for clip_id, subject, _, _ in unit.clips}
    files = {clip_id: both for clip_id, _, *both in unit.clips}

    def features(clip_id: str) -> tuple[Features, Features]:
        """Of frames that have such features."""
        made, real = (read_features(Path(file), unit.features) for file in files[clip_id])
        return made[np.isfinite(made).all(axis=1)], real[np.isfinite(real).all(axis=1)]

    metrics = metrics_on(unit.features, settings)
    write_table(folder / FIGURES_FILE, set_aggregates(unit.system, metrics, subjects, features, unit.n_total), Aggregate)
