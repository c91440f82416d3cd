"""PoseGen's fit: known laws are found again, means bend nothing, and speech is believed only where it helps."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from head_motion import BEFORE, LAST, NOISE, person_of, recursion_clip
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.params import load_params
from space_data.speech import log_mel, mean_normalise
from space_data.synthetic.performance import people as people_of_the_corpus
from space_data.synthetic.performance import perform
from space_models.posegen.figures import autocorrelation, figures
from space_models.posegen.fit import (
    autocovariance,
    empty_moments,
    fit,
    gain_interval,
    gain_of,
    negative_log_likelihood,
    recursion,
    residual_covariance,
)
from space_models.posegen.model import stationary_sd
from space_models.posegen.moments import PersonMoments
from space_models.posegen.pose import FRAMES_PER_KEY, MIRRORED, key_frames, to_keys
from space_models.posegen.speech import loudness, n_rises, rises

SETTINGS = load_params(Path(__file__).resolve().parents[2] / "params.yaml").posegen
N_RISES = n_rises(SETTINGS.memory_frames)
TRUE_SD = stationary_sd(LAST, BEFORE, NOISE)


def people(rng: np.random.Generator, n: int, takes: int = 6, keys: int = 22) -> list[PersonMoments]:
    """People who sit differently and move by the known recursion."""
    made = []
    for _ in range(n):
        seat = np.concatenate([rng.normal(0, 8, 3), np.zeros(3)])
        clips = [recursion_clip(rng, keys) + seat for _ in range(takes)]
        made.append(person_of(clips, None, SETTINGS))
    return made


def test_short_clips_give_the_variance_about_a_persons_mean_not_about_the_clips(rng: np.random.Generator) -> None:
    covariance, _ = autocovariance(people(rng, 60), SETTINGS)
    assert np.sqrt(covariance[0, :3]) == pytest.approx(TRUE_SD[:3], rel=0.1)
    clips = [recursion_clip(rng, 22) for _ in range(360)]
    about_own_mean = np.sqrt(np.mean([clip[:, 0].var() for clip in clips]))
    assert about_own_mean < 0.9 * TRUE_SD[0]  # what a clip's own mean would have made of it


def test_the_recursion_is_found_again_from_short_clips(rng: np.random.Generator) -> None:
    fitted = fit(people(rng, 60), SETTINGS)
    # Several (last, before) have nearly one autocorrelation: that is what must agree.
    last, before = fitted.model.last.numpy(), fitted.model.before.numpy()
    for column in range(3):
        true, found = (_correlations(a[column], b[column]) for a, b in ((LAST, BEFORE), (last, before)))
        assert found == pytest.approx(true, abs=0.08)
    noise_sd = np.sqrt((fitted.model.noise.numpy() ** 2).sum(1))
    assert stationary_sd(last, before, noise_sd)[:3] == pytest.approx(TRUE_SD[:3], rel=0.1)


def _correlations(last: float, before: float) -> NDArray[np.float64]:
    """Of an AR(2) at lags 1 .. 12, by the Yule-Walker recursion."""
    values = [1.0, last / (1 - before)]
    for _ in range(11):
        values.append(last * values[-1] + before * values[-2])
    return np.array(values[1:])


def test_poles_beyond_the_bound_are_drawn_in() -> None:
    walk = 100.0 - np.arange(13.0)[:, None] ** 2 * np.ones(6) * 0.1  # smoother than any stable recursion
    last, before = recursion(walk, np.full(13, 99), 12, max_pole=0.9)
    for a, b in zip(last, before, strict=True):
        assert np.abs(np.roots([1, -a, -b])).max() <= 0.9 + 1e-9


def test_correlated_columns_stay_correlated_and_sides_do_not_mix(rng: np.random.Generator) -> None:
    mix = np.eye(6)
    mix[5, 1] = 0.004  # nodding makes the face larger
    mix[1, 0] = 0.8  # and these people turn as they nod: to one side, which a mirror undoes
    still = 0 * NOISE
    clips = [[recursion_clip(rng, 22, rng.standard_normal((22, 6)) * NOISE @ mix.T, still) for _ in range(6)] for _ in range(30)]
    noise = fit([person_of(c, None, SETTINGS) for c in clips], SETTINGS).model.noise.numpy()
    covariance = noise @ noise.T
    sd = np.sqrt(np.diag(covariance))
    assert (covariance / np.outer(sd, sd))[1, 5] > 0.4
    assert (covariance[np.ix_(MIRRORED, ~MIRRORED)] == 0).all()


def _heard(level: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rises before each key pose of sound as loud as ``level`` (T,)."""
    channels, frames = loudness(np.repeat(level[:, None], 160, 1)), key_frames(len(level) // FRAMES_PER_KEY)
    return rises(channels, frames, SETTINGS.lookahead_frames, SETTINGS.memory_frames)


def listeners(rng: np.random.Generator, n: int, strength: float, mismatched: bool = False) -> list[PersonMoments]:
    """People whose pitch answers to how loudness rose, by ``strength`` degrees per neper; or to sound that is not the clip's."""
    made = []
    for _ in range(n):
        clips, sounds = [], []
        for _ in range(6):
            heard, other = (_heard(rng.normal(size=110)) for _ in range(2))
            push = np.zeros((22, 6))
            push[:, 1] = strength * heard[:, 2]
            clips.append(recursion_clip(rng, 22, push))
            sounds.append(other if mismatched else heard)
        made.append(person_of(clips, sounds, SETTINGS))
    return made


def test_speech_that_moves_heads_is_learnt_and_helps_people_never_seen(rng: np.random.Generator) -> None:
    train, held_out = listeners(rng, 12, 0.5), listeners(rng, 6, 0.5)
    fitted = fit(train, SETTINGS)
    assert fitted.model.hears and fitted.gain is not None and fitted.gain.low > 0
    weights = fitted.model.speech.numpy()
    assert weights[1, 2] == pytest.approx(0.5, abs=0.12)
    assert (weights[MIRRORED] == 0).all() and np.abs(np.delete(weights[1], 2)).max() < 0.15
    speech = [np.repeat(rng.normal(size=(500, 1)), 160, 1).astype(np.float32)]
    found = figures(fitted, train, held_out, speech, SETTINGS)
    assert found["speech_gain_low"] > 0
    assert found["nll"] < found["nll_without_speech"] < found["nll_mean_predictor"]


@lru_cache(maxsize=1)
def corpus_clips() -> list[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
    """(person, key poses (K, 6), rises (K, n)) of a small default corpus: its motion and its sound, not rendered."""
    clips = []
    for number, person in enumerate(people_of_the_corpus(7, 18, "f")):
        for take in range(4):
            film = perform(person, "neutral", 0.0, np.random.default_rng([number, take]))
            motion, still = film.motion, np.zeros(film.n_frames)
            angles = [motion.yaw_deg, motion.pitch_deg, motion.roll_deg]
            keys = to_keys(np.stack([*angles, still, still, still], 1))
            sound = loudness(mean_normalise(log_mel(film.audio)).reshape(film.n_frames, -1))
            heard = rises(sound, key_frames(len(keys)), SETTINGS.lookahead_frames, SETTINGS.memory_frames)
            clips.append((number, keys, heard))
    return clips


def corpus_people(wrong_by: int = 0) -> list[PersonMoments]:
    """Moments of these people; each clip beside the sound of the one ``wrong_by`` further on."""
    clips, made = corpus_clips(), {}
    for i, (number, keys, _) in enumerate(clips):
        heard = clips[(i + wrong_by) % len(clips)][2]
        length = min(len(keys), len(heard))
        made.setdefault(number, empty_moments(SETTINGS)).add(keys[:length], heard[:length], np.ones(length, bool))
    return list(made.values())


def test_key_poses_that_are_interpolated_count_nowhere(rng: np.random.Generator) -> None:
    keys, sound, found = rng.normal(size=(40, 6)), rng.normal(size=(40, n_rises(SETTINGS.memory_frames))), np.ones(40, bool)
    found[[11, 12, 39]] = False
    made = []
    for wild in (0.0, 1e3):
        keys[~found] = wild
        made.append(empty_moments(SETTINGS))
        made[-1].add(keys, sound, found)
    assert all(np.array_equal(a, b) for a, b in zip(*(vars(m).values() for m in made), strict=True))
    pieces = empty_moments(SETTINGS)
    for piece in (slice(0, 11), slice(13, 39)):
        pieces.add(keys[piece], sound[piece], found[piece])
    assert np.allclose(made[0].products, pieces.products), "steps lie within what was found in a row"
    assert made[0].pairs[5] == 6 + 21 + 3, "a pair may lie across what was lost"


def test_what_the_default_corpus_says_with_its_stresses_is_learnt() -> None:
    people = corpus_people()
    fitted = fit(people[:12], SETTINGS)
    assert fitted.model.hears
    unseen = gain_interval(gain_of(fitted.model, fitted.without_speech, people[12:]))
    assert unseen is not None and unseen.low > 0
    assert not any(fit(corpus_people(wrong_by)[:12], SETTINGS).model.hears for wrong_by in (5, 9))


def test_mismatched_speech_is_not_believed(rng: np.random.Generator) -> None:
    fitted = fit(listeners(rng, 12, 0.5, mismatched=True), SETTINGS)
    assert fitted.gain is not None and fitted.gain.low <= 0
    assert not fitted.model.hears


def test_two_people_are_too_few_to_believe_in_speech(rng: np.random.Generator) -> None:
    fitted = fit(listeners(rng, 2, 0.5), SETTINGS)
    assert fitted.gain is None and not fitted.model.hears
    assert gain_interval([0.1, 0.2]) is None


def test_the_interval_is_students() -> None:
    gain = gain_interval([1.0, 2.0, 3.0])
    assert gain is not None
    assert (gain.mean, gain.low, gain.high) == pytest.approx((2.0, 2 - 4.303 / np.sqrt(3), 2 + 4.303 / np.sqrt(3)), abs=1e-3)


def test_the_likelihood_is_that_of_the_gaussian_counted_step_by_step(rng: np.random.Generator) -> None:
    clip = recursion_clip(rng, 40)
    person = person_of([clip], None, SETTINGS)
    model = fit(people(rng, 10), SETTINGS).model
    about = clip - person.mean_pose()
    left = about[2:] - model.last.numpy() * about[1:-1] - model.before.numpy() * about[:-2]
    noise = model.noise.numpy()
    by_hand = np.mean([0.5 * e @ np.linalg.inv(noise @ noise.T) @ e for e in left]) + np.log(np.linalg.det(noise))
    assert negative_log_likelihood(model, person, np.ones(6)) == pytest.approx(by_hand / 6)
    assert residual_covariance(model, person) == pytest.approx(left.T @ left / len(left))


def test_generated_motion_is_as_lively_as_the_recorded(rng: np.random.Generator) -> None:
    train = people(rng, 40)
    found = figures(fit(train, SETTINGS), train, people(rng, 40), [np.zeros((1500, 160), np.float32)], SETTINGS)
    assert 0.85 < found["sd_ratio"] < 1.2 and 0.85 < found["speed_ratio"] < 1.2 and found["diversity"] > 0.9
    minutes = [recursion_clip(rng, 300)[:, 0] for _ in range(40)]
    for lag_s, lag in ((1, 5), (5, 25)):
        assert found[f"yaw_acf_{lag_s}s"] == pytest.approx(np.mean([autocorrelation(m, lag) for m in minutes]), abs=0.15)
    assert found["yaw_acf_1s_recorded"] == pytest.approx(_correlations(LAST[0], BEFORE[0])[4], abs=0.15)


def test_no_held_out_people_no_figures(rng: np.random.Generator) -> None:
    train = people(rng, 3)
    assert figures(fit(train, SETTINGS), train, [], [np.zeros((500, 160), np.float32)], SETTINGS) == {}


def test_order_of_clips_and_parts_does_not_matter(rng: np.random.Generator) -> None:
    clips = [recursion_clip(rng, 15) for _ in range(5)]
    one, other = person_of(clips, None, SETTINGS), person_of(clips[::-1], None, SETTINGS)
    assert one.products == pytest.approx(other.products) and one.differences == pytest.approx(other.differences)


def test_hostile_tracks(rng: np.random.Generator) -> None:
    still = person_of([np.full((20, 6), 3.0)] * 4, None, SETTINGS)
    model = fit([still], SETTINGS).model
    assert np.isfinite(model.noise.numpy()).all() and np.abs(model.noise.numpy()).max() < 0.05
    short = empty_moments(SETTINGS)
    short.add(np.zeros((2, 6)), np.zeros((2, N_RISES)), np.ones(2, bool))
    assert short.steps == 0
    with pytest.raises(SpaceError, match="three key poses"):
        fit([short], SETTINGS)
    assert fit([person_of([recursion_clip(rng, 4)], None, SETTINGS), short], SETTINGS).model is not None  # 0.8 s in all


def test_a_single_take_each_still_has_the_right_spread(rng: np.random.Generator) -> None:
    one_take = [person_of([recursion_clip(rng, 60) + rng.normal(0, 8)], None, SETTINGS) for _ in range(80)]
    covariance, _ = autocovariance(one_take, SETTINGS)
    assert np.sqrt(covariance[0, :3]) == pytest.approx(TRUE_SD[:3], rel=0.15)
