"""The benchmark of planted shifts on made-up talkers: what it counts is known by hand."""

import csv
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fit_shipped_sync, sync_shifts
from benchmarks.sync_shifts import Trial
from pipelines.stages import sync
from space_data import avsync
from space_data.avsync import LIP_POINTS, Scorer, Track
from space_data.errors import SpaceError
from space_data.speech import MEL_BANDS, log_mel
from space_data.timebase import AUDIO_HZ, SAMPLES_PER_FRAME


def talker(name: str, n_frames: int, late: int, rng: np.random.Generator) -> Track:
    """Lips that follow eight bands of the sound, which comes ``late`` frames after them."""
    mel = rng.normal(size=(n_frames + 20, MEL_BANDS)).astype(np.float32)
    points = np.linspace(-1, 1, len(LIP_POINTS))
    lips = np.stack([mel[:, :4].mean(axis=1)[:, None] * points, mel[:, 4:8].mean(axis=1)[:, None] * points**2], axis=-1)
    lips = lips + rng.normal(scale=0.05, size=lips.shape)
    return Track(name, name.split("#")[0], lips[10 : 10 + n_frames].astype(np.float32), mel[10 - late : 10 - late + n_frames],
                 np.ones(n_frames, bool))  # fmt: skip


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    rng = np.random.default_rng(0)
    return avsync.fit([talker(f"t{i}", 250, 0, rng).shifted(0) for i in range(4)], "test")


def test_planted_shifts_are_really_moved_sound(scorer: Scorer, rng: np.random.Generator) -> None:
    track = talker("a", 140, 2, rng)
    trials = sync_shifts.trials_of([track], lambda _: scorer, 4.0)
    assert {t.found - t.shift for t in trials} == {2}
    # windows of 100 frames begin at 0 and would at 50; sound moved by +k begins k frames earlier, and there is none before 0
    assert sorted(t.shift for t in trials) == list(range(-10, 1))
    assert sync_shifts.hits(trials, {"a": 2}).all() and not sync_shifts.hits(trials, {"a": 4}).any()
    assert sync_shifts.own_reference(trials) == {"a": 2}


@pytest.mark.parametrize("frames", [3, -4])
def test_moved_sound_gives_moved_features(frames: int, rng: np.random.Generator) -> None:
    """Cutting the file elsewhere and cutting the features elsewhere are the same, but for the analysis windows at the ends."""
    samples = rng.normal(scale=0.1, size=2 * AUDIO_HZ).astype(np.float32)
    begin = 10 * SAMPLES_PER_FRAME
    cut = samples[begin - frames * SAMPLES_PER_FRAME :][:AUDIO_HZ]
    whole, part = avsync.mel_frames(log_mel(samples)), avsync.mel_frames(log_mel(cut))
    np.testing.assert_allclose(part[2:-2], whole[10 - frames :][2 : len(part) - 2], atol=1e-4)


def test_windows_without_speech_are_left_out(scorer: Scorer, rng: np.random.Generator) -> None:
    track = talker("a", 140, 0, rng)
    track.speech[:] = False
    assert sync_shifts.trials_of([track], lambda _: scorer, 4.0) == []


def test_segments_of_a_clip_share_its_offset(scorer: Scorer, rng: np.random.Generator) -> None:
    tracks = [talker("a#0", 100, 3, rng), talker("a#1", 60, 3, rng), talker("b", 100, -1, rng)]
    assert sync_shifts.clip_offsets(tracks, lambda _: scorer) == {"a": 3, "b": -1}
    assert sync_shifts.consensus([{"a": 3}, {"a": 3}, {"a": 9}]) == {"a": 3}
    assert sync_shifts.whole_clips(tracks, lambda _: scorer, {"a": 3, "b": 5}) == (1, 2)


def test_bootstrap_draws_speakers_not_trials() -> None:
    subjects = ["a"] * 90 + ["b"] * 10
    low, high = sync_shifts.bootstrap(np.array([True] * 90 + [False] * 10), subjects, np.random.default_rng(0))
    assert (low, high) == (0.0, 1.0)  # a draw of two speakers has b twice, or a twice, in a quarter of the cases each


def test_area_under_curve_by_hand() -> None:
    assert sync_shifts.area_under_curve([2, 3], [1, 0]) == 1.0
    assert sync_shifts.area_under_curve([1], [1]) == 0.5
    assert sync_shifts.area_under_curve([1, 3], [2, 2]) == 0.5


def test_mismatched_sound_is_another_speakers(scorer: Scorer, rng: np.random.Generator) -> None:
    tracks = [talker(f"s{i}", 100, 0, rng) for i in range(5)]
    own = [t.confidence for t in sync_shifts.trials_of(tracks, lambda _: scorer, 4.0) if t.shift == 0]
    wrong = [t.confidence for t in sync_shifts.mismatched(tracks, lambda _: scorer, 4.0)]
    assert len(wrong) == 15 and sync_shifts.area_under_curve(own, wrong) == 1.0
    assert all(isinstance(t, Trial) for t in sync_shifts.mismatched(tracks[:1], lambda _: scorer, 4.0))  # no other speaker


def test_the_list_of_real_clips_keeps_speakers_apart() -> None:
    rows = fit_shipped_sync.read_list()
    speakers = {use: {row.speaker for row in rows if row.use == use} for use in ("filter", "evaluation", "test")}
    assert len(rows) == len({row.sha256 for row in rows}) and all(len(row.sha256) == 64 and len(row.commit) == 40 for row in rows)
    assert min(len(speakers["filter"]), len(speakers["evaluation"])) >= 20
    assert len(set().union(*speakers.values())) == sum(len(names) for names in speakers.values())


def test_a_speaker_with_two_uses_or_a_missing_file_is_named(tmp_path: Path) -> None:
    head = ["file", "speaker", "use", "repo", "commit", "path", "sha256"]
    rows = [["a.mp4", "s1", "filter", "o/r", "c", "x/a.mp4", "0"], ["b.mp4", "s1", "test", "o/r", "c", "x/b.mp4", "0"]]
    with open(tmp_path / "list.csv", "w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    with pytest.raises(SpaceError, match="speaker s1 is used for filter and for test"):
        fit_shipped_sync.read_list(tmp_path / "list.csv")
    listed = fit_shipped_sync.Listed(*rows[0])
    with pytest.raises(SpaceError, match="missing .get x/a.mp4 of github.com/o/r at c"):
        fit_shipped_sync.check_files([listed], tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"other")
    with pytest.raises(SpaceError, match="SHA-256 [0-9a-f]{64}, need 0"):
        fit_shipped_sync.check_files([listed], tmp_path)


def test_the_shipped_scorers_share_no_speaker() -> None:
    """The card names what was fitted on, and the two share no speaker."""
    cards = json.loads((files("space_data") / "assets" / "sync_scorers.json").read_text())
    one, other = cards[sync.SHIPPED], cards[sync.SHIPPED_EVALUATION]
    for key in ("rendered_subjects", "real_clips_sha256"):
        assert one[key] and other[key] and not set(one[key]) & set(other[key])
    assert sync.shipped_scorer().fitted_on == one["fitted_on"]
