"""How much of an emotion shows: what a system's faces do when they are told an emotion, in terms of what the corpus' people do.

A corpus' *direction* of an emotion is the change of the mean face from intensity 0 to 1 over its training people. A run shows
``response`` times that direction: its change of the mean face, against intensity 0 of the same portrait and sound, projected onto
the direction in units of its length; 1 is as strong as the corpus, 0 a still neutral face. Directions are no right angles apart
(happy and contempt .7), so mixtures are read as coordinates on the directions that they are mixed of.

Faces are normalised landmarks, the 68 iBUG points in x and y, unit IOD: the mesh's depth is a guess, and irises are commanded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from space_data import landmarks as lm
from space_data.closures import Closures
from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, NEUTRAL_LABEL, emotion_known

Values = NDArray[np.floating]
Vector = NDArray[np.float64]

LANDMARKS, VIDEO = "landmarks", "video"
"""S2L's own landmarks; the rendered frames, tracked again."""
ADDED, ADDED_VIDEO = "direction", "direction_video"
"""The trivial opponent and ceiling: the corpus' direction added to the neutral landmarks, and the same rendered and tracked."""
RECORDED = "recordings"
"""Recordings of the held-out people with that label: what the tracker sees where people do it."""
MEDIA = (LANDMARKS, VIDEO, ADDED, ADDED_VIDEO, RECORDED)
LEAST_RISE = 1e-4
"""In units of the direction's length: less from one intensity to the next is no rise."""


@dataclass(frozen=True)
class Run:
    """One person under one mixture of emotions, in one medium."""

    subject: str
    medium: str
    mixture: Values
    """(9,)"""
    change: Values
    """(78, 3) of the mean face, against intensity 0 of the same person and sound"""
    closures: Closures | None = None
    """against the recording of that sound; None where not every frame was measured"""
    closures_neutral: Closures | None = None
    """against the same run at intensity 0"""
    lip_gap_r: float | None = None
    """with the run at intensity 0"""
    expressions: Values | None = None
    """(2, 7) probabilities of `evaluation.fer`'s labels, at intensity 0 and here; None where that judge is absent or finds no
    face"""

    @property
    def label(self) -> str:
        """The one emotion of the mixture; empty for neutral and for mixtures of several."""
        worn = np.flatnonzero(self.mixture)
        return EMOTIONS[worn[0]] if len(worn) == 1 else ""

    @property
    def intensity(self) -> float:
        """Of its strongest emotion."""
        return float(np.max(self.mixture))


def mixture_name(mixture: Values) -> str:
    """As ``controls.emotion.parse_emotion`` reads it: ``happy:0.5+sad:0.5``; empty for neutral."""
    return "+".join(f"{EMOTIONS[i]}:{mixture[i]:g}" for i in np.flatnonzero(mixture))


def flat(change: Values) -> Vector:
    """The seen part of changes (..., 78, 3): (..., 136)."""
    seen = np.asarray(change, np.float64)[..., lm.IBUG68, :2]
    return seen.reshape(*seen.shape[:-2], -1)


def corpus_directions(means: Values, subjects: Sequence[str], mixtures: Values) -> Vector:
    """Directions (9, 78, 3) of a corpus from the mean faces of its clips; zeros for an emotion that it does not have.

    Least squares of face = person + sum of intensity x direction: every clip of a person counts, a neutral one or not.

    Args:
        means: mean face of each clip, (C, 78, 3).
        subjects: who it is.
        mixtures: (C, 9); clips with an unknown one are left out. Neutral is the zero vector, whatever stands in its place.

    Raises:
        SpaceError: no clips, or other numbers of them.
    """
    if not len(means) == len(subjects) == len(mixtures):
        numbers = f"{len(means)} faces, {len(subjects)} subjects, {len(mixtures)} mixtures"
        raise SpaceError(f"emotion directions: {numbers}, need one of each per clip")
    known = [i for i, mixture in enumerate(mixtures) if emotion_known(mixture)]
    if not known:
        raise SpaceError(f"emotion directions: none of {len(mixtures)} clips has a known emotion (is the corpus labelled?)")
    worn, faces = np.array(mixtures, np.float64)[known], np.array(means, np.float64)[known]
    worn[:, NEUTRAL_LABEL] = 0.0
    people = np.array([subjects[i] for i in known])
    for person in np.unique(people):
        own = people == person
        worn[own] -= worn[own].mean(0)
        faces[own] -= faces[own].mean(0)
    found, *_ = np.linalg.lstsq(worn, faces.reshape(len(faces), -1), rcond=1e-9)
    return np.asarray(found.reshape(len(EMOTIONS), *faces.shape[1:]))


def response(change: Values, direction: Values) -> float | None:
    """Projection of a change on a direction, (78, 3) each, in units of its length; None where the corpus lacks the direction."""
    d, u = flat(change), flat(direction)
    return float(d @ u / (u @ u)) if u.any() else None


def cosine(change: Values, direction: Values) -> float | None:
    """Of the angle between them; None where one of them is zero."""
    d, u = flat(change), flat(direction)
    lengths = float(np.linalg.norm(d) * np.linalg.norm(u))
    return float(d @ u / lengths) if lengths > 0 else None


def nearest(change: Values, directions: Values) -> str:
    """The emotion whose direction (of (9, 78, 3)) has the largest cosine with a change; empty for no change."""
    cosines = {name: c for name, u in zip(EMOTIONS, directions, strict=True) if (c := cosine(change, u)) is not None}
    return max(cosines, key=lambda name: cosines[name], default="")


def coordinates(change: Values, directions: Values) -> Vector:
    """Coordinates (n,) of a change on n directions (n, 78, 3), by least squares: of a mixture on what it is mixed of."""
    found, *_ = np.linalg.lstsq(flat(directions).T, flat(change), rcond=None)
    return np.asarray(found, np.float64)


def measures(change: Values) -> dict[str, float]:
    """What a change (78, 3) does to the face, in IOD; + is up, wider, more open."""
    c = np.asarray(change, np.float64)
    left, right = lm.MOUTH_CORNERS
    upper, lower = np.transpose(lm.LID_PAIRS)
    return {
        "mouth_corner_height": float(-c[[left, right], 1].mean()),
        "mouth_width": float(c[right, 0] - c[left, 0]),
        "brow_height": float(-c[lm.BROWS, 1].mean()),
        "inner_brow_height": float(-c[[lm.BROW_LEFT[-1], lm.BROW_RIGHT[0]], 1].mean()),
        "eye_opening": float((c[lower, 1] - c[upper, 1]).mean()),
        "lip_gap": float(lm.lip_gap(c)),
    }


def rises(responses: Sequence[float]) -> bool:
    """Whether responses at rising intensities, 0 first, go up at each step."""
    return bool((np.diff(responses) > LEAST_RISE).all()) and len(responses) > 1


def rank_correlation(values: Sequence[float]) -> float:
    """Spearman's rho of values with their order; 0 of a constant or a single one."""
    return float(spearmanr(values, range(len(values))).statistic) if len(set(values)) > 1 else 0.0
