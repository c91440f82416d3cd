"""S2L's figures: answers known by hand."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_talk import config, loud_network, talking_clips, template_face

from space_data import landmarks as lm
from space_models.s2l.metrics import (
    Baseline,
    LipFigures,
    correlation,
    evaluate,
    mouth_distance,
    mouth_velocity_distance,
)

FACE = template_face()


def test_mouth_distance_is_that_of_the_shift() -> None:
    track = np.repeat(FACE[None], 4, 0)
    moved = track.copy()
    moved[:2, lm.MOUTH, 0] += 0.1  # half of the frames
    moved[:, lm.JAW] += 1.0  # is not the mouth
    assert mouth_distance(moved, track) == pytest.approx(0.05, abs=1e-6)
    assert mouth_velocity_distance(moved, track) == pytest.approx(0.1 / 3, abs=1e-6)
    assert mouth_velocity_distance(track[:1], track[:1]) == 0


def test_correlation_of_what_does_not_move_is_zero() -> None:
    assert correlation(np.full(5, 0.3), np.arange(5.0)) == 0
    assert correlation(np.arange(5.0), 2 * np.arange(5.0)) == pytest.approx(1)


def test_a_perfect_track_scores_perfectly(rng: np.random.Generator) -> None:
    clip = talking_clips(FACE, 1, rng)[0]
    figures = LipFigures()
    figures.add(clip.normalised, clip.normalised, clip.speaking)
    found = figures.summary()
    assert found["lmd_mouth"] == found["lvd_mouth"] == 0
    assert found["lip_gap_r"] == pytest.approx(1) and found["lip_gap_sd_ratio"] == 1 and found["closure_f1"] == 1
    assert found["closed_share"] == found["closed_share_measured"] > 0


def test_baselines_of_a_track_whose_distances_are_known(rng: np.random.Generator) -> None:
    closed = FACE.copy()
    closed[[65, 66, 67], 1] = closed[[61, 62, 63], 1]
    clip = talking_clips(closed, 1, rng)[0]
    track = np.repeat(closed[None], 60, 0)
    track[:, lm.MOUTH, 0] += np.where(np.arange(60) < 30, 0.0, 0.1)[:, None]  # the mouth is elsewhere in half of the frames
    figures = evaluate(loud_network(config()), [replace(clip, normalised=track)], Baseline(np.zeros((78, 3), np.float32), closed))
    assert figures["first_lmd_mouth_still"] == pytest.approx(0.05, abs=1e-6)
    assert figures["lmd_mouth_mean_face"] == pytest.approx(0.05, abs=1e-6)
    assert figures["first_lmd_mouth_mean"] == pytest.approx(0.05, abs=1e-6)
    assert figures["first_lvd_mouth_still"] == pytest.approx(0.1 / 59, abs=1e-6)
