"""The rhythm of speech and the head that follows it."""

from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from space_data.speech import log_mel
from space_data.synthetic.espeak import Phoneme, Voice, speak
from space_data.synthetic.motion import draw_motion
from space_data.synthetic.performance import people, perform
from space_data.synthetic.rhythm import (
    BEAT_DEG,
    BEAT_LAG_S,
    CONTOUR_DEG,
    SILENCE,
    Rhythm,
    nodding,
    rhythm_of,
    turning,
)
from space_data.timebase import frame_centre_s, frames_in

FRAMES_PER_KEY = 5
LAGS_FRAMES = range(-10, 5, 2)
RIDGE = 10.0


def test_beats_are_the_middles_of_stressed_vowels_and_pauses_part_phrases() -> None:
    phonemes = (
        Phoneme("m", 0.1, 0.2), Phoneme("A", 0.2, 0.4, stressed=True), Phoneme("", 0.4, 0.45), Phoneme("t", 0.45, 0.5),
        Phoneme("", 0.5, 0.6), Phoneme("", 0.6, 0.7), Phoneme("i", 0.7, 0.9, stressed=True), Phoneme("", 0.9, 1.5),
    )  # fmt: skip
    rhythm = rhythm_of(phonemes)
    assert rhythm.beats_s == pytest.approx((0.3, 0.8))
    assert rhythm.phrases_s == ((0.1, 0.5), (0.7, 0.9))
    assert rhythm_of(()) == SILENCE


def test_espeak_tells_which_vowels_are_stressed() -> None:
    said = speak("banana, butter", Voice("en-us"))
    stressed = [p.symbol for p in said.phonemes if p.stressed]
    assert len(stressed) == 2 and len(rhythm_of(said.phonemes).phrases_s) == 2
    assert all("'" not in p.symbol for p in said.phonemes)


def test_a_lone_beat_is_a_nod_that_ends() -> None:
    track = nodding(np.random.default_rng(0), Rhythm((2.0,), ()), 100)
    lowest = int(track.argmax())
    assert frame_centre_s(lowest) == pytest.approx(2.0 + BEAT_LAG_S, abs=0.021)
    assert 0.4 * BEAT_DEG < track[lowest] < 1.6 * BEAT_DEG
    assert np.abs(track[: frames_in(1.3)]).max() < 0.01 and np.abs(track[frames_in(2.9) :]).max() < 0.01


def test_a_phrase_falls_and_the_pause_settles() -> None:
    track = nodding(np.random.default_rng(0), Rhythm((), ((1.0, 3.0),)), 125)
    assert track[frames_in(1.2)] < -0.5 * CONTOUR_DEG and track[frames_in(2.8)] > 0.5 * CONTOUR_DEG  # nose down is +
    assert (np.diff(track[frames_in(1.3) : frames_in(2.7)]) > 0).all()
    assert np.abs(track[frames_in(3.6) :]).max() < 0.01


def test_each_phrase_turns_the_head_once_and_either_way() -> None:
    two = Rhythm((), ((1.0, 3.0), (4.0, 6.0)))
    tracks = [turning(np.random.default_rng(seed), two, 150) for seed in range(20)]
    for track in tracks:
        assert np.ptp(track[frames_in(1.8) : frames_in(3.2)]) < 0.05
    jumps = np.array([track[frames_in(5.0)] - track[frames_in(3.0)] for track in tracks])
    assert (jumps > 1).any() and (jumps < -1).any()
    assert np.ptp(turning(np.random.default_rng(0), SILENCE, 50)) == 0
    assert (nodding(np.random.default_rng(0), SILENCE, 50) == 0).all()


def _minute(seed: int) -> NDArray[np.floating]:
    """Yaw, pitch and roll at 0.2 s steps, (300, 3), of a minute of made-up speech: phrases of 1-3 s, two beats a second."""
    rng, phrases, beats, now_s = np.random.default_rng(seed), [], [], 0.3
    while now_s < 60:
        length_s = rng.uniform(1, 3)
        beats += list(now_s + np.arange(0.2, length_s, 0.5) + rng.uniform(-0.12, 0.12, len(np.arange(0.2, length_s, 0.5))))
        phrases.append((now_s, now_s + length_s))
        now_s += length_s + rng.uniform(0.15, 0.9)
    motion = draw_motion(rng, np.ones(frames_in(60.0)), Rhythm(tuple(beats), tuple(phrases)))
    return np.stack([motion.yaw_deg, motion.pitch_deg, motion.roll_deg], 1).reshape(300, FRAMES_PER_KEY, 3).mean(1)


def test_the_process_keeps_its_autocorrelation_spread_and_speed() -> None:
    """The values in the right-hand column are those of smoothed noise alone, the motion that no speech had a part in."""
    minutes = [_minute(seed) for seed in range(12)]

    def correlation(lag: int) -> float:
        tracks = [minute[:, 0] - minute[:, 0].mean() for minute in minutes]
        return float(np.mean([(t[lag:] * t[:-lag]).mean() / t.var() for t in tracks]))

    assert correlation(5) == pytest.approx(0.57, abs=0.1)
    assert correlation(12) == pytest.approx(0.0, abs=0.15)
    assert correlation(25) == pytest.approx(-0.04, abs=0.1)
    assert np.mean([m.std(0) for m in minutes], 0) == pytest.approx([7.2, 3.0, 3.0], rel=0.15)
    speed = 5 * np.mean([np.abs(np.diff(m, axis=0)).mean(0) for m in minutes], 0)
    assert speed == pytest.approx([6.6, 4.5, 4.0], rel=0.15)


@lru_cache(maxsize=1)
def _clips() -> list[tuple[int, NDArray[np.floating], NDArray[np.floating]]]:
    """(person, loudness per frame (T,), key angles (K, 3)) of a small corpus, not rendered."""
    clips = []
    for number, person in enumerate(people(7, 12, "f")):
        for take in range(4):
            film = perform(person, "neutral", 0.0, np.random.default_rng([number, take]))
            loudness = log_mel(film.audio).reshape(film.n_frames, -1).mean(1)
            angles = np.stack([film.motion.yaw_deg, film.motion.pitch_deg, film.motion.roll_deg], 1)
            keys = film.n_frames // FRAMES_PER_KEY
            clips.append((number, loudness, angles[: keys * FRAMES_PER_KEY].reshape(keys, FRAMES_PER_KEY, 3).mean(1)))
    return clips


def _explained(column: int, other_speech: int = 0) -> float:
    """R2, on the last four people, of a ridge from loudness at some lags to the changes of one key angle.

    ``other_speech``: 0 = a clip's own sound, n = that of the clip n places further on.
    """
    clips = _clips()
    inputs, targets, who = [], [], []
    for i, (person, _, keys) in enumerate(clips):
        loudness = clips[(i + other_speech) % len(clips)][1]
        at = np.arange(1, len(keys))[:, None] * FRAMES_PER_KEY + 2 + np.array(LAGS_FRAMES)
        inputs.append(loudness[np.clip(at, 0, len(loudness) - 1)])
        targets.append(np.diff(keys[:, column]))
        who.append(np.full(len(keys) - 1, person))
    x, y, known = np.concatenate(inputs), np.concatenate(targets), np.concatenate(who) < 8
    x = (x - x[known].mean(0)) / x[known].std(0)
    centre = y[known].mean()
    weights = np.linalg.solve(x[known].T @ x[known] + RIDGE * np.eye(x.shape[1]), x[known].T @ (y[known] - centre))
    error = y[~known] - x[~known] @ weights - centre
    return float(1 - (error**2).mean() / y[~known].var())


def test_speech_explains_nods_of_people_never_seen() -> None:
    own, mismatched = _explained(column=1), max(_explained(1, 5), _explained(1, 17))
    assert own > 0.1
    assert own > mismatched + 0.07
    assert _explained(column=2) < 0.03  # roll does not follow it
