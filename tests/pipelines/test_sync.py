"""The stage's choices: who may be fitted on, which scorer is used, how windows become a segment's row."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from made_up_measures import GOOD
from tiny_clips import folder_params

from pipelines import sync
from space_data.avsync import LIP_POINTS, Track
from space_data.speech import MEL_BANDS

SETTINGS = folder_params(Path(".")).sync

def noise(name: str, n_frames: int, rng: np.random.Generator) -> Track:
    lips = rng.normal(size=(n_frames, len(LIP_POINTS), 2)).astype(np.float32)
    return Track(name, name, lips, rng.normal(size=(n_frames, MEL_BANDS)).astype(np.float32), np.ones(n_frames, bool))


@pytest.mark.parametrize(
    "change",
    [
        {"has_audio": False}, {"length_s": 1.0}, {"lost_share": 0.01}, {"several_faces_share": 0.2}, {"face_width_px": None},
        {"yaw_p95_deg": 60.0}, {"speech_share": 0.2}, {"lip_motion": None}, {"lip_motion": 0.001},
    ],
)  # fmt: skip
def test_only_good_segments_are_fitted_on(change: dict[str, float | None]) -> None:
    assert sync.is_eligible(GOOD, SETTINGS)
    assert not sync.is_eligible(dataclasses.replace(GOOD, **change), SETTINGS)


def test_a_small_set_uses_the_shipped_scorer(rng: np.random.Generator) -> None:
    scorer_of, kept = sync.choose_scorer([noise(f"s{i}", 100, rng) for i in range(8)], SETTINGS)
    assert kept.fitted_on == "shipped" and scorer_of("s0") is kept


def test_no_speaker_is_judged_by_a_scorer_that_has_seen_it(rng: np.random.Generator) -> None:
    tracks = [noise(f"s{i}", 100, rng) for i in range(6)]
    settings = SETTINGS.model_copy(update={"fit_speech_s": 1.0, "folds": 2})
    scorer_of, everything = sync.choose_scorer(tracks, settings)
    assert {scorer_of(t.subject).fitted_on for t in tracks} == {"own set, without fold 0", "own set, without fold 1"}
    assert scorer_of("a stranger") is everything


def test_windows_and_threshold_of_a_segment(rng: np.random.Generator) -> None:
    scorer = sync.shipped_scorer()
    long, short = noise("a", 250, rng), noise("b", 60, rng)
    segment, windows = sync.score_segment(long, scorer, 10.0, SETTINGS)
    assert [(w.start_s, w.length_s) for w in windows] == [(10.0, 5.0), (12.48, 5.0), (14.96, 5.0)]
    assert segment.windows == 3 and segment.threshold == pytest.approx(scorer.null / np.sqrt(249 / 25))
    segment, windows = sync.score_segment(short, scorer, 0.0, SETTINGS)
    assert len(windows) == 1 and windows[0].length_s == pytest.approx(2.4)
    assert segment.threshold == pytest.approx(scorer.null / np.sqrt(2.4))
