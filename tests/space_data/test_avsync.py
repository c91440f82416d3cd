"""The audio-visual scorer on made-up speech: lips that follow known sound, so every offset is known by hand."""

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from space_data import avsync
from space_data.avsync import LAGS, LIP_POINTS, MAX_LAG_FRAMES, Scorer, Track
from space_data.errors import SpaceError
from space_data.landmarks import MOUTH
from space_data.speech import MEL_BANDS

N_POINTS = len(LIP_POINTS)


def talker(name: str, n_frames: int, late_frames: int, rng: np.random.Generator) -> Track:
    """Two hidden signals drive two lip movements and two groups of bands; the sound comes ``late_frames`` after the lips."""
    white = rng.normal(size=(n_frames + 80, 2))
    hidden = np.stack([np.convolve(w, np.hanning(5), "same") for w in white.T], axis=1)
    lips_hidden, mel_hidden = hidden[40 : 40 + n_frames], hidden[40 - late_frames : 40 - late_frames + n_frames]
    lips = rng.normal(scale=0.01, size=(n_frames, N_POINTS, 2))
    lower = MOUTH[7] <= LIP_POINTS
    lips[:, lower, 1] += 0.05 * lips_hidden[:, :1]
    lips[:, :, 0] += 0.03 * lips_hidden[:, 1:] * np.linspace(-1, 1, N_POINTS)
    mel = rng.normal(scale=0.3, size=(n_frames, MEL_BANDS))
    mel[:, 12:30] += mel_hidden[:, :1]
    mel[:, 30:] += mel_hidden[:, 1:]
    return Track(f"{name}/clip", name, lips.astype(np.float32), mel.astype(np.float32), np.ones(n_frames, bool))


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    rng = np.random.default_rng(1)
    tracks = [talker(f"t{i}", 250, 0, rng) for i in range(6)]
    return avsync.fit([track.shifted(0) for track in tracks], "test")


@pytest.mark.parametrize("late_frames", [-9, -3, 0, 1, 6, 12])
def test_planted_offset_is_found_with_its_sign(scorer: Scorer, rng: np.random.Generator, late_frames: int) -> None:
    track = talker("new", 150, late_frames, rng)
    score = avsync.score_clip(track.lips, track.mel, scorer)
    assert score.offset_frames == late_frames  # + = audio late
    assert score.confidence > scorer.threshold(len(track))
    untrained = avsync.read_curve(avsync.untrained_curve(track.lips, track.mel))
    assert untrained.offset_frames == late_frames


def test_the_fit_of_a_stream_is_what_cca_is_on_all_frames_at_once(rng: np.random.Generator) -> None:
    """Projections are white, and correlate with their own counterpart only, in the ratio of the weights."""
    pairs = [talker(f"t{i}", 120 + 10 * i, 0, rng).shifted(0) for i in range(6)]
    fitted = avsync.fit((pair for pair in pairs), "test")
    left = np.concatenate([avsync.lip_context(lips) for lips, _ in pairs]) @ fitted.lip_map
    right = np.concatenate([avsync.mel_context(mel) for _, mel in pairs]) @ fitted.mel_map
    np.testing.assert_allclose(left.T @ left / len(left), np.eye(avsync.COMPONENTS), atol=1e-8)
    np.testing.assert_allclose(right.T @ right / len(right), np.eye(avsync.COMPONENTS), atol=1e-8)
    crossed = left.T @ right / len(left)
    np.testing.assert_allclose(crossed, np.diag(np.diag(crossed)), atol=1e-8)
    np.testing.assert_allclose(np.diag(crossed) / np.trace(crossed), fitted.weights, atol=1e-8)


def test_the_fit_keeps_no_pair(rng: np.random.Generator) -> None:
    """Eight times the speech takes no more memory at its peak."""
    one = talker("one", 100, 0, rng).shifted(0)
    peaks = []
    for count in (10, 80):
        tracemalloc.start()
        avsync.fit((tuple(part.copy() for part in one) for _ in range(count)), "test")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


def test_at_zero_tells_in_sync_from_out_of_sync(scorer: Scorer, rng: np.random.Generator) -> None:
    good, off = talker("a", 150, 1, rng), talker("a", 150, 6, rng)
    assert avsync.score_clip(good.lips, good.mel, scorer).at_zero > 0.5
    assert avsync.score_clip(off.lips, off.mel, scorer).at_zero < 0.3


def test_shifted_takes_the_offset_out(scorer: Scorer, rng: np.random.Generator) -> None:
    track = talker("a", 150, 5, rng)
    lips, mel = track.shifted(5)
    assert len(lips) == len(mel) == 145
    assert avsync.score_clip(lips, mel, scorer).offset_frames == 0


def test_unknown_offsets_are_found_while_fitting(rng: np.random.Generator) -> None:
    late = [0, 3, 0, -4, 0, 8, 0, 0, 2, 0]
    tracks = [talker(f"t{i}", 200, d, rng) for i, d in enumerate(late)]
    folds = avsync.folds_of(tracks, 3)
    scorers = avsync.fit_aligned(tracks, folds, "test", np.zeros(len(tracks), np.int64))
    found = [avsync.read_curve(scorers[f].curve(t.lips, t.mel)).offset_frames for t, f in zip(tracks, folds, strict=True)]
    assert found == late


def test_a_folds_scorer_is_the_fit_of_all_other_folds_to_the_bit(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(avsync, "ROUNDS", 1)
    tracks = [talker(f"t{i}", 120 + 10 * i, 0, rng) for i in range(7)]
    folds = avsync.folds_of(tracks, 3)
    offsets = [int(LAGS[avsync.untrained_curve(t.lips, t.mel).argmax()]) for t in tracks]
    for fold, scorer in enumerate(avsync.fit_aligned(tracks, folds, "test", np.zeros(len(tracks), np.int64))):
        rest = [t.shifted(offset) for t, offset, own in zip(tracks, offsets, folds, strict=True) if own != fold]
        alone = avsync.fit(rest, "test")
        assert 0 < len(rest) < len(tracks)
        for one, other in ((scorer.lip_map, alone.lip_map), (scorer.mel_map, alone.mel_map), (scorer.weights, alone.weights)):
            assert one.tobytes() == other.tobytes()


def test_the_zero_comes_from_the_reference(rng: np.random.Generator) -> None:
    tracks = [talker(f"t{i}", 200, 2, rng) for i in range(6)]
    folds = avsync.folds_of(tracks, 2)
    for reference in (2, 0):  # all 2 late, against a reference that knows, and one that says they are in sync
        scorers = avsync.fit_aligned(tracks, folds, "test", np.full(6, reference))
        assert avsync.score_clip(tracks[0].lips, tracks[0].mel, scorers[folds[0]]).offset_frames == reference


def test_mismatched_sound_stays_below_the_threshold(rng: np.random.Generator) -> None:
    tracks = [talker(f"t{i}", 150, 0, rng) for i in range(8)]
    folds = avsync.folds_of(tracks, 2)
    scorers = avsync.fit_aligned(tracks, folds, "test", np.zeros(8, np.int64))
    null = avsync.null_level(tracks, folds, scorers)
    wrong = [
        avsync.score_clip(a.lips, b.mel, scorers[0]).confidence * np.sqrt(150 / 25) > null
        for a in tracks for b in tracks if a is not b
    ]  # fmt: skip
    own = [avsync.score_clip(t.lips, t.mel, scorers[f]) for t, f in zip(tracks, folds, strict=True)]
    right = [score.confidence * np.sqrt(150 / 25) > null for score in own]
    assert np.mean(wrong) < 0.15 and all(right)


def test_chance_is_five_percent_at_the_threshold_and_a_half_at_the_median(scorer: Scorer) -> None:
    at = scorer.threshold(125)
    assert scorer.chance(at, 125) == pytest.approx(0.05)
    assert scorer.chance(avsync.NULL_MEDIAN * at, 125) == pytest.approx(0.5)
    assert scorer.chance(2 * at, 125) < 1e-4 and scorer.chance(0.0, 125) > 0.99


def test_chance_follows_mismatched_pairs(rng: np.random.Generator) -> None:
    """Shares of mismatched pairs above a level are what ``chance`` says of it: the law and its constant, on made-up signals."""
    tracks = [talker(f"t{i}", 150, 0, rng) for i in range(30)]
    folds = avsync.folds_of(tracks, 2)
    scorers = avsync.fit_aligned(tracks, folds, "test", np.zeros(30, np.int64))
    fitted = dataclasses.replace(scorers[0], null=avsync.null_level(tracks, folds, scorers))
    judged = [t for t, f in zip(tracks, folds, strict=True) if f == 0]
    found = np.array([avsync.score_clip(a.lips, b.mel, fitted).confidence for a in judged for b in tracks if a is not b])
    for expected in (0.5, 0.2, 0.05):
        level = next(c for c in np.linspace(0, 2, 2001) if fitted.chance(float(c), 150) <= expected)
        assert np.mean(found >= level) == pytest.approx(expected, abs=0.4 * expected + 0.01)


def test_null_level_does_not_rise_when_all_say_the_same(rng: np.random.Generator) -> None:
    """In RAVDESS or GRID other speakers' sound fits these lips too; backwards it does not."""
    one = talker("t0", 150, 0, rng)
    others = [talker(f"t{i}", 150, 0, rng) for i in range(1, 8)]
    folds = np.zeros(8, np.int64)
    fitted = [avsync.fit([t.shifted(0) for t in (one, *others)], "test")]
    same = [dataclasses.replace(one, subject=f"t{i}") for i in range(8)]
    usual = avsync.null_level([one, *others], folds, fitted)
    assert avsync.null_level(same, folds, fitted) < 1.3 * usual
    forwards = avsync.score_clip(same[0].lips, same[1].mel, fitted[0]).confidence * np.sqrt(150 / 25)
    assert forwards > 2 * usual


def test_folds_keep_speakers_together(rng: np.random.Generator) -> None:
    tracks = [talker(name, 30 + 10 * i, 0, rng) for i, name in enumerate("abcabdeab")]
    folds = avsync.folds_of(tracks, 2)
    assert set(folds) == {0, 1}
    assert all(len({f for t, f in zip(tracks, folds, strict=True) if t.subject == s}) == 1 for s in "abcde")


def test_threshold_falls_with_the_square_root_of_length(scorer: Scorer) -> None:
    assert scorer.threshold(100) == pytest.approx(scorer.threshold(400) * 2)


def test_saved_scorer_gives_the_same_curve(scorer: Scorer, rng: np.random.Generator, tmp_path: Path) -> None:
    track = talker("a", 120, 3, rng)
    scorer.save(tmp_path / "a.npz")
    scorer.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = Scorer.load(tmp_path / "a.npz")
    np.testing.assert_allclose(again.curve(track.lips, track.mel), scorer.curve(track.lips, track.mel), atol=1e-5)
    assert again.fitted_on == "test"


def test_lag_curve_of_a_shifted_copy_is_one_at_its_lag(rng: np.random.Generator) -> None:
    signal = rng.normal(size=(200, 1))
    curve = avsync.lag_curve(signal[20:180], signal[16:176], np.ones(1))
    assert LAGS[curve.argmax()] == 4 and curve.max() == pytest.approx(1.0)


def test_silence_has_no_offset(scorer: Scorer) -> None:
    curve = scorer.curve(np.zeros((100, N_POINTS, 2), np.float32), np.zeros((100, MEL_BANDS), np.float32))
    assert avsync.read_curve(curve).confidence == 0


def test_windows() -> None:
    assert avsync.window_starts(300, 125, 62) == [0, 62, 124]
    assert avsync.window_starts(80, 125, 62) == [0]


def test_bad_input_is_named(scorer: Scorer, tmp_path: Path) -> None:
    lips, mel = np.zeros((100, N_POINTS, 2), np.float32), np.zeros((99, MEL_BANDS), np.float32)
    with pytest.raises(SpaceError, match="lips .* and mel"):
        avsync.score_clip(lips, mel, scorer)
    with pytest.raises(SpaceError, match="10 frames, need 20"):
        avsync.score_clip(lips[:10], mel[:10], scorer)
    with pytest.raises(SpaceError, match="no such scorer"):
        Scorer.load(tmp_path / "none.npz")


def test_shipped_scorers_are_two() -> None:
    from pipelines.stages.sync import SHIPPED_EVALUATION, shipped_scorer

    one, other = shipped_scorer(), shipped_scorer(SHIPPED_EVALUATION)
    assert not np.allclose(one.lip_map, other.lip_map)
    assert 0.3 < one.null < 1.0 and 0.3 < other.null < 1.0
    assert len(LAGS) == 2 * MAX_LAG_FRAMES + 1
