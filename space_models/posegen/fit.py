"""Fitting PoseGen in closed form from ``moments``: the recursion, what speech adds, the noise that is left.

Whether speech helps is asked of people left out, never of those it was fitted on: both are fitted on the others, and speech
stays only if the likelihood of the people left out grows by a margin that is above zero at 95 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student

from space_data.errors import SpaceError
from space_data.params import PoseGenStage
from space_data.timebase import frames_in
from space_models.posegen.model import PoseGen, PoseGenConfig, stationary_sd
from space_models.posegen.moments import PersonMoments, between_takes, variogram
from space_models.posegen.pose import FRAMES_PER_KEY, MIRRORED, N_ANGLES, N_POSE
from space_models.posegen.speech import n_rises

Array = NDArray[np.float64]

FOLDS = 10
CONFIDENCE = 0.95
SETTLED_LAGS = 4
"""Over so many lags the variance of poses far apart in a clip is averaged."""
LEAST_SD = np.array([0.01, 0.01, 0.01, 1e-4, 1e-4, 1e-4])
"""Of a column: a head that never moves is no singular matrix."""


@dataclass(frozen=True)
class Gain:
    """Nats per key and column by which speech makes the motion of people left out likelier: mean, and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """The model, the same without speech, and what speech gained on training people left out (None: fewer than three)."""

    model: PoseGen
    without_speech: PoseGen
    gain: Gain | None


def keys_in(duration_s: float) -> int:
    """Key intervals in ``duration_s`` seconds."""
    return frames_in(duration_s) // FRAMES_PER_KEY


def largest_lag(settings: PoseGenStage) -> int:
    """Lags that moments must hold, keys."""
    return keys_in(settings.independent_s) + SETTLED_LAGS - 1


def empty_moments(settings: PoseGenStage) -> PersonMoments:
    """Sums for one more person."""
    return PersonMoments.empty(n_rises(settings.memory_frames), largest_lag(settings))


def autocovariance(people: Sequence[PersonMoments], settings: PoseGenStage) -> tuple[Array, NDArray[np.int64]]:
    """Of key poses about a person's mean, by lag, (L + 1, 6), and the pairs behind each lag.

    The variance is half the squared difference of poses that do not know of each other: angles of different takes of a person,
    or, where nobody has two, poses ``independent_s`` apart, as travel and scale always (a camera frames each take anew).
    """
    half_differences, pairs = variogram(list(people))
    settled = np.arange(len(pairs)) >= keys_in(settings.independent_s)
    if not pairs[settled].any():  # every clip is shorter than that
        settled = np.arange(len(pairs)) == np.flatnonzero(pairs).max(initial=0)
    variance = np.average(half_differences[settled], axis=0, weights=np.maximum(pairs[settled], 1))
    takes = between_takes(list(people))
    if takes is not None:
        variance[:N_ANGLES] = takes[:N_ANGLES]
    variance = np.maximum(variance, LEAST_SD**2)
    return variance - half_differences, pairs


def recursion(covariance: Array, pairs: NDArray[np.int64], max_lag: int, max_pole: float) -> tuple[Array, Array]:
    """``last`` and ``before``, (6,) each, whose autocovariance fits best at lags 1 .. ``max_lag`` (least-squares Yule-Walker).

    Least squares on the next pose alone fits the shortest lag, noise of the tracker included, at the expense of how motion looks
    over seconds. Poles beyond ``max_pole`` are drawn in to it.
    """
    lags = np.array([lag for lag in range(1, max_lag + 1) if pairs[lag]])
    last, before = np.zeros(N_POSE), np.zeros(N_POSE)
    for column in range(N_POSE):
        c = covariance[:, column]
        (a, b), *_ = np.linalg.lstsq(np.stack([c[lags - 1], c[abs(lags - 2)]], 1), c[lags], rcond=None)
        largest = float(np.abs(np.roots([1.0, -a, -b])).max(initial=0.0))
        shrink = min(1.0, max_pole / largest) if largest > 0 else 1.0
        last[column], before[column] = a * shrink, b * shrink**2
    return last, before


def residual_map(model: PoseGen, mean_pose: Array) -> Array:
    """The matrix (M, 6) that turns a row of ``PersonMoments.products`` into what the model leaves unexplained."""
    last, before, speech = model.last.numpy(), model.before.numpy(), model.speech.numpy()
    constant = (1 - last - before) * mean_pose
    return np.concatenate([np.eye(N_POSE), -np.diag(last), -np.diag(before), -speech.T, -constant[None]])


def residual_covariance(model: PoseGen, person: PersonMoments) -> Array:
    """Mean product (6, 6) of what the model leaves unexplained of one person's steps, about that person's mean pose."""
    back = residual_map(model, person.mean_pose())
    return np.asarray(back.T @ person.products @ back / person.steps)


def negative_log_likelihood(model: PoseGen, person: PersonMoments, unit: Array) -> float:
    """Mean per key and column, nats, of a person's steps counted in ``unit`` (6,); the Gaussian's constant is left out."""
    noise = model.noise.numpy()
    whitened = np.linalg.solve(noise, residual_covariance(model, person))
    squares = np.trace(np.linalg.solve(noise, whitened.T))
    return float((squares / 2 + np.log(np.diag(noise) / unit).sum()) / N_POSE)


def _plain(people: Sequence[PersonMoments], settings: PoseGenStage) -> tuple[PoseGen, Array]:
    """The recursion without speech, and the factors (6,) that bring its noise to the variance of ``autocovariance``."""
    covariance, pairs = autocovariance(people, settings)
    model = PoseGen(PoseGenConfig(settings.lookahead_frames, settings.memory_frames))
    last, before = recursion(covariance, pairs, keys_in(settings.fit_lag_s), settings.max_pole)
    model.last.copy_(torch.from_numpy(last))
    model.before.copy_(torch.from_numpy(before))
    wanted = np.sqrt(covariance[0]) / stationary_sd(last, before, np.ones(N_POSE))
    left = np.sqrt(np.maximum(np.diag(_left(model, people)), 0.0))  # of still heads, rounding may leave less than 0
    scale = wanted / np.maximum(left, LEAST_SD * 1e-3)
    _set_noise(model, people, scale)
    return model, scale


def _left(model: PoseGen, people: Sequence[PersonMoments]) -> Array:
    """``residual_covariance`` of all, as if each had also been filmed in a mirror."""
    shares = [person.steps for person in people]
    left = np.average([residual_covariance(model, person) for person in people], axis=0, weights=shares)
    return np.where(MIRRORED[:, None] == MIRRORED, left, 0.0)


def _set_noise(model: PoseGen, people: Sequence[PersonMoments], scale: Array) -> None:
    covariance = _left(model, people) * np.outer(scale, scale) + np.diag((1e-3 * LEAST_SD) ** 2)
    model.noise.copy_(torch.from_numpy(np.linalg.cholesky(covariance)))


def _with_speech(plain: PoseGen, scale: Array, people: Sequence[PersonMoments], ridge: float) -> PoseGen:
    """``plain`` with what speech explains of its residuals: one way to nod, which unmirrored columns share.

    Sound has no left and right. Ridge regression for each column alone, then the one combination of columns in which it explains
    most for their noise (reduced-rank regression, Izenman 1975): a nod is pitch with its travel, not three motions.
    """
    sound = slice(3 * N_POSE, -1)
    against = np.sum([residual_map(plain, p.mean_pose()).T @ p.products[:, sound] for p in people], 0)
    own = np.sum([p.products[sound, sound] for p in people], 0)
    steps = sum(person.steps for person in people)
    damped = own + np.diag(ridge * np.diag(own) / steps + 1e-9)
    model = PoseGen(plain.config)
    model.load_state_dict(plain.state_dict())
    free = np.where(MIRRORED[:, None], 0.0, np.linalg.solve(damped, against.T).T)
    root = np.linalg.cholesky(_left(plain, people) + np.diag((1e-3 * LEAST_SD) ** 2))
    whitened = np.linalg.solve(root, free)
    nod = np.linalg.eigh(whitened @ own @ whitened.T)[1][:, -1]
    model.speech.copy_(torch.from_numpy(root @ np.outer(nod, nod @ whitened)))
    _set_noise(model, people, scale)
    return model


def gain_of(model: PoseGen, without: PoseGen, people: Sequence[PersonMoments]) -> list[float]:
    """How much likelier ``model`` finds each person's motion than ``without`` does, nats per key and column."""
    unit = np.ones(N_POSE)
    return [negative_log_likelihood(without, p, unit) - negative_log_likelihood(model, p, unit) for p in people]


def gain_interval(gains: Sequence[float]) -> Gain | None:
    """Mean over people and Student's 95 % interval; None for fewer than three people."""
    if len(gains) < 3:
        return None
    mean, error = float(np.mean(gains)), float(np.std(gains, ddof=1) / np.sqrt(len(gains)))
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(gains) - 1)) * error
    return Gain(mean, mean - half, mean + half)


def fit(people: Sequence[PersonMoments], settings: PoseGenStage) -> Fit:
    """Fit on ``people``; speech only if it helps on those of them that are left out in turn.

    Raises:
        SpaceError: nobody with three key poses in a row.
    """
    seen = [person for person in people if person.steps > 0]
    if not seen:
        raise SpaceError(f"posegen: none of {len(people)} people has a clip of three key poses (0.6 s), need at least one")
    gains = []
    for fold in range(min(FOLDS, len(seen))) if len(seen) >= 3 else ():
        left_out = seen[fold::FOLDS]
        others = [person for i, person in enumerate(seen) if i % FOLDS != fold]
        plain, scale = _plain(others, settings)
        gains += gain_of(_with_speech(plain, scale, others, settings.ridge), plain, left_out)
    plain, scale = _plain(seen, settings)
    gain = gain_interval(gains)
    hears = gain is not None and gain.low > 0
    return Fit(_with_speech(plain, scale, seen, settings.ridge) if hears else plain, plain, gain)
