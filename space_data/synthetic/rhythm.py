"""The rhythm of an utterance, and how a synthetic head follows it: beats at stressed syllables, a contour per phrase.

That heads follow speech is measured: their motion correlates with the pitch and the loudness of the voice (Munhall et al. 2004,
Psychological Science 15(2)), and nods mark prosodic prominence, timed by its pitch peaks (Carignan et al. 2024, JASA 156(3)).
Sizes, shapes and lags below are ours, chosen so that the whole motion keeps the spread and speed of our study of real heads.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from space_data.synthetic.espeak import Phoneme
from space_data.timebase import VIDEO_FPS, frame_centre_s

Track = NDArray[np.float64]

SHORTEST_PAUSE_S = 0.1
"""Shorter ones lie within a phrase."""
BEAT_LAG_S = 0.06
"""From the middle of the stressed vowel to the lowest point of the nod."""
BEAT_DEG = 2.4
"""Mean depth of a nod, nose down."""
BEAT_SPREAD = 0.5
"""Depths are uniform within this share of the mean: not every stress is marked alike."""
BEAT_SIGMA_S = 0.13
CONTOUR_DEG = 1.6
"""The head begins a phrase raised by this and ends it as far lowered; in the pause it goes back to the middle."""
CONTOUR_SIGMA_S = 0.12
TURN_SD_DEG = 3.0
"""Every phrase has its own yaw, taken up at its start."""
TURN_SIGMA_S = 0.2


@dataclass(frozen=True)
class Rhythm:
    """When an utterance beats, seconds: middles of its stressed vowels, and (start, end) of its phrases in order."""

    beats_s: tuple[float, ...]
    phrases_s: tuple[tuple[float, float], ...]


SILENCE = Rhythm((), ())


def rhythm_of(phonemes: tuple[Phoneme, ...]) -> Rhythm:
    """Beats and phrases of phonemes in time; a pause of ``SHORTEST_PAUSE_S`` or more ends a phrase."""
    phrases: list[tuple[float, float]] = []
    for phoneme in phonemes:
        if not phoneme.symbol:
            continue
        if phrases and phoneme.start_s - phrases[-1][1] < SHORTEST_PAUSE_S:
            phrases[-1] = (phrases[-1][0], phoneme.end_s)
        else:
            phrases.append((phoneme.start_s, phoneme.end_s))
    beats_s = tuple((p.start_s + p.end_s) / 2 for p in phonemes if p.stressed)
    return Rhythm(beats_s, tuple(phrases))


def _smooth(track: Track, sigma_s: float) -> Track:
    return gaussian_filter1d(track, sigma_s * VIDEO_FPS, mode="nearest")


def nodding(rng: np.random.Generator, rhythm: Rhythm, n_frames: int) -> Track:
    """What the rhythm adds to the head's pitch, (n_frames,) degrees, nose down +; 0 on average over a beating phrase."""
    times_s = np.array([frame_centre_s(i) for i in range(n_frames)])
    nods, contour = np.zeros(n_frames), np.zeros(n_frames)
    depths = BEAT_DEG * rng.uniform(1 - BEAT_SPREAD, 1 + BEAT_SPREAD, len(rhythm.beats_s))
    for beat_s, depth in zip(rhythm.beats_s, depths, strict=True):
        nods += depth * np.exp(-0.5 * ((times_s - beat_s - BEAT_LAG_S) / BEAT_SIGMA_S) ** 2)
    for start_s, end_s in rhythm.phrases_s:
        inside = (times_s >= start_s) & (times_s < end_s)
        contour[inside] = CONTOUR_DEG * (2 * (times_s[inside] - start_s) / (end_s - start_s) - 1)
        nods[inside] -= nods[inside].mean() if inside.any() else 0.0
    return _smooth(nods, BEAT_SIGMA_S / 2) + _smooth(contour, CONTOUR_SIGMA_S)


def turning(rng: np.random.Generator, rhythm: Rhythm, n_frames: int) -> Track:
    """What the rhythm adds to the head's yaw, (n_frames,) degrees: one direction per phrase, kept until the next one starts."""
    directions = rng.standard_normal(len(rhythm.phrases_s) + 1) * TURN_SD_DEG
    starts_s = [start_s for start_s, _ in rhythm.phrases_s]
    times_s = np.array([frame_centre_s(i) for i in range(n_frames)])
    return _smooth(directions[np.searchsorted(starts_s, times_s, side="right")], TURN_SIGMA_S)
