"""From the names of the registry to the systems that come with the package: ours and the controls."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from evaluation.baselines.driven_by import DrivenBy, mismatched, shifted
from evaluation.baselines.ground_truth import GroundTruth
from evaluation.baselines.mean_motion import MeanMotion
from evaluation.baselines.ridge import LipRidge, Ridge
from evaluation.baselines.still import Still
from evaluation.ours import Models, Ours
from evaluation.systems import MEAN_MOTION, MISMATCHED_AUDIO, RIDGE, SHIFTED_AUDIO, System, find_entry, system_of
from space_data.files import sha256_of
from space_models.generators import DEFAULT_RENDERER, RENDERERS, settings_of

HEARD_BY = DEFAULT_RENDERER
"""What draws our system where a control drives it."""
NEEDS_S2L = {MISMATCHED_AUDIO.name: HEARD_BY, SHIFTED_AUDIO.name: HEARD_BY} | {system_of(name): name for name in RENDERERS}
"""Systems made of our trained models, with their renderers."""


@dataclass(frozen=True)
class Resources:
    """What systems are made of: trained models with settings, and the file of the fitted ridge regression."""

    models: Models
    ridge: Path


def content_of(name: str, resources: Resources) -> str:
    """Hash of everything that a system's frames depend on beside its input.

    Raises:
        SpaceError: a model is missing.
    """
    models = resources.models
    if name in NEEDS_S2L:
        return models.content(NEEDS_S2L[name])
    drawn_with = settings_of(RENDERERS[DEFAULT_RENDERER].section, models.params)
    parts = {MEAN_MOTION.name: [drawn_with], RIDGE.name: [drawn_with, sha256_of(resources.ridge)]}.get(name, [])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def system_named(name: str, resources: Resources) -> System:
    """The system behind a name.

    Raises:
        SpaceError: the registry has no such system.
    """
    find_entry(name)
    models = resources.models
    match name:
        case GroundTruth.name:
            return GroundTruth()
        case Still.name:
            return Still()
        case MeanMotion.name:
            return MeanMotion(models)
        case Ridge.name:
            return Ridge(LipRidge.load(resources.ridge), models)
        case MISMATCHED_AUDIO.name:
            return DrivenBy(name, Ours(HEARD_BY, models), mismatched)
        case SHIFTED_AUDIO.name:
            return DrivenBy(name, Ours(HEARD_BY, models), shifted)
    return Ours(NEEDS_S2L[name], models)
