"""How likely PoseGen finds real motion, and how lively its own is: the figures on its card, from people it was not fitted on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from space_data.params import PoseGenStage
from space_data.timebase import frames_in
from space_models.posegen.fit import (
    LEAST_SD,
    Fit,
    autocovariance,
    gain_interval,
    gain_of,
    negative_log_likelihood,
    residual_covariance,
)
from space_models.posegen.model import PoseGen
from space_models.posegen.moments import PersonMoments, variogram
from space_models.posegen.pose import FRAMES_PER_KEY, N_ANGLES, N_POSE, to_keys
from space_models.posegen.stream import generate

Array = NDArray[np.float64]

SAMPLE_S, SAMPLES = 60.0, 48
"""Length of a generated sample and how many there are."""
ACF_LAGS_S = (1.0, 2.5, 5.0)
UNBOUNDED = np.full(N_POSE, 1e6)


def autocorrelation(track: NDArray[np.floating], lag: int) -> float:
    """Of a track (T,) about its mean, ``lag`` samples apart."""
    centred = track - track.mean()
    return float((centred[lag:] * centred[:-lag]).mean() / max(float(centred.var()), 1e-12))


def samples(model: PoseGen, speech: Sequence[NDArray[np.floating]], seed: int) -> list[Array]:
    """Generated motion (T, 6) of ``SAMPLE_S`` each, to ``speech`` (log-mel (T, 160) of some clips), joined and repeated."""
    joined = np.concatenate(speech)
    frames = frames_in(SAMPLE_S)
    sound = np.resize(joined, (frames, joined.shape[1]))
    return [generate(model, sound, np.random.default_rng([seed, i]), UNBOUNDED).astype(np.float64) for i in range(SAMPLES)]


def figures(
    fitted: Fit, train: Sequence[PersonMoments], held_out: Sequence[PersonMoments], speech: Sequence[NDArray[np.floating]],
    settings: PoseGenStage,
) -> dict[str, float]:
    """Figures on ``held_out`` people, with the sound of some of their clips.

    ``nll``, and without speech, and of "no change of pose" with the training steps' s.d. (nats per key and column);
    ``speech_gain`` with its interval over people; ``yaw_acf_*`` of generated motion, and of the held-out people's as far as clips
    reach; ``sd_ratio``, ``speed_ratio``: generated over recorded spread and speed, mean of yaw, pitch and roll;
    ``diversity``: distance between two seeds over the spread of one.
    """  # fmt: skip
    people = [person for person in held_out if person.steps > 0]
    if not people or not speech:
        return {}
    model = fitted.model
    unit = np.maximum(np.sqrt(2 * variogram(list(train))[0][1]), LEAST_SD)

    def nll(of: PoseGen) -> float:
        return float(np.mean([negative_log_likelihood(of, person, unit) for person in people]))

    still = PoseGen(model.config)
    still.last.fill_(1.0)
    no_change = np.mean([np.diag(residual_covariance(still, person)) / unit**2 for person in people]) / 2
    result = {"nll": nll(model), "nll_without_speech": nll(fitted.without_speech), "nll_mean_predictor": float(no_change)}
    gain = gain_interval(gain_of(model, fitted.without_speech, people))
    if gain is not None and model.hears:
        result |= {"speech_gain": gain.mean, "speech_gain_low": gain.low, "speech_gain_high": gain.high}
    made = samples(model, speech, settings.seed)
    covariance, pairs = autocovariance(people, settings)
    for lag_s in ACF_LAGS_S:
        result[f"yaw_acf_{lag_s:g}s"] = float(np.mean([autocorrelation(m[:, 0], frames_in(lag_s)) for m in made]))
        lag = frames_in(lag_s) / FRAMES_PER_KEY
        if lag < len(pairs) and pairs[int(np.ceil(lag))]:
            result[f"yaw_acf_{lag_s:g}s_recorded"] = float(np.interp(lag, range(len(pairs)), covariance[:, 0] / covariance[0, 0]))
    angles = [to_keys(m)[:, :N_ANGLES] for m in made]
    spread = np.sqrt(np.mean([(a**2).mean(0) for a in angles], 0))
    speed = np.sqrt(np.mean([(np.diff(a, axis=0) ** 2).mean(0) for a in angles], 0))
    recorded_speed = np.sqrt(2 * variogram(people)[0][1, :N_ANGLES])
    return result | {
        "sd_ratio": float((spread / np.sqrt(covariance[0, :N_ANGLES])).mean()),
        "speed_ratio": float((speed / np.maximum(recorded_speed, 1e-9)).mean()),
        "diversity": float(np.mean([np.abs(a - b).mean(0) / a.std(0) for a, b in zip(angles[1:], angles[:-1], strict=True)])),
    }
