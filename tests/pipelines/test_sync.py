"""The stage's choices: who may be fitted on, which scorer is used, how windows become a segment's row."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_measures import GOOD
from threadpoolctl import threadpool_info, threadpool_limits
from tiny_clips import folder_params

from pipelines.stages import sync
from space_data import avsync
from space_data.avsync import LIP_POINTS, Track
from space_data.schema import Measure
from space_data.speech import MEL_BANDS
from space_data.tables import to_arrow

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
    scorers = sync.choose_scorers([noise(f"s{i}", 100, rng) for i in range(8)], SETTINGS)
    assert scorers.general.fitted_on == "shipped" and scorers.of("s0") is scorers.general


def test_the_number_of_cores_changes_no_scorer(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []

    def watched(*arguments: Any) -> sync.Fit:
        found.extend(int(pool["num_threads"]) for pool in threadpool_info() if pool["user_api"] == "blas")
        return align(*arguments)

    align = sync.align
    monkeypatch.setattr(sync, "align", watched)
    with threadpool_limits(2, user_api="blas"):
        sync.fit_on_set([noise(f"s{i}", 100, rng) for i in range(6)], SETTINGS, "own set", sync.shipped_scorer())
    assert found and set(found) == {1}


def test_no_speaker_is_judged_by_a_scorer_that_has_seen_it(rng: np.random.Generator) -> None:
    tracks = [noise(f"s{i}", 100, rng) for i in range(6)]
    settings = SETTINGS.model_copy(update={"fit_speech_s": 1.0, "folds": 2})
    scorers = sync.choose_scorers(tracks, settings)
    assert {scorers.of(t.subject).fitted_on for t in tracks} == {"own set, without fold 0", "own set, without fold 1"}
    assert scorers.of("a stranger") is scorers.general
    folds = avsync.folds_of(tracks, 2)
    assert all(scorers.of(t.subject) is scorers.folds[f] for t, f in zip(tracks, folds, strict=True))


def test_scorers_travel_to_the_last_bit_and_not_as_code(rng: np.random.Generator) -> None:
    tracks = [noise(f"spéaker/{i}", 100, rng) for i in range(6)]
    fitted = sync.choose_scorers(tracks, SETTINGS.model_copy(update={"fit_speech_s": 1.0, "folds": 2}))
    for scorers in (fitted, sync.choose_scorers([], SETTINGS)):  # the second knows no speaker
        again = sync.Scorers.from_bytes(scorers.to_bytes())
        assert again.content() == scorers.content() and again.by_subject == scorers.by_subject
        assert [s.fitted_on for s in (again.general, *again.folds)] == [s.fitted_on for s in (scorers.general, *scorers.folds)]
    assert again.of("a stranger").curve(tracks[0].lips, tracks[0].mel).tolist() == (
        scorers.general.curve(tracks[0].lips, tracks[0].mel).tolist()
    )
    pickled = io.BytesIO()
    np.savez(pickled, lip_maps=np.array([print], object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        sync.Scorers.from_bytes(pickled.getvalue())


def test_align_takes_the_offsets_out(rng: np.random.Generator) -> None:
    late = [0, 0, 3, 0, -2, 0]
    tracks = []
    for i, d in enumerate(late):
        made = noise(f"s{i}", 300, rng)
        loud = np.convolve(rng.normal(size=320), np.hanning(5), "same")
        made.lips[:, 6:, 1] += 3 * loud[10:310, None]
        made.mel[:, 12:30] += 3 * loud[10 - d : 310 - d, None]  # the sound comes d frames after the lips
        tracks.append(made)
    fit = sync.align(tracks, SETTINGS.model_copy(update={"folds": 2}), "test", zero=None)
    assert list(fit.offsets) == late
    assert [len(pair[0]) for pair in fit.pairs()] == [300, 300, 297, 300, 298, 300]


def test_windows_and_threshold_of_a_segment(rng: np.random.Generator) -> None:
    scorer = sync.shipped_scorer()
    long, short = noise("a", 250, rng), noise("b", 60, rng)
    segment, windows = sync.score_segment(long, scorer, 10.0, SETTINGS)
    assert [(w.start_s, w.length_s) for w in windows] == [(10.0, 5.0), (12.48, 5.0), (14.96, 5.0)]
    assert segment.windows == 3 and segment.threshold == pytest.approx(scorer.null / np.sqrt(249 / 25))
    segment, windows = sync.score_segment(short, scorer, 0.0, SETTINGS)
    assert len(windows) == 1 and windows[0].length_s == pytest.approx(2.4)
    assert segment.threshold == pytest.approx(scorer.null / np.sqrt(2.4))


def test_what_is_fitted_on_does_not_depend_on_shards_and_is_bounded() -> None:
    rows = [dataclasses.replace(GOOD, clip_id=f"c{i}", lip_motion=None if i % 5 == 0 else 0.05) for i in range(40)]
    settings = SETTINGS.model_copy(update={"fit_at_most_s": 30})
    table = to_arrow(rows, Measure)
    whole = sync.to_fit_on([table], settings)
    for shards in ([table[:7], table[7:8], table[8:]], [table[20:], table[:20]]):
        assert [row.clip_id for row in sync.to_fit_on(shards, settings)] == [row.clip_id for row in whole]
    assert len(whole) == 8 and all(row.lip_motion for row in whole)  # of 4 s each
    assert sync.to_fit_on([table[:0]], settings) == []
    assert len(sync.to_fit_on([table], SETTINGS)) == 32
