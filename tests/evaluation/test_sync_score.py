"""The benchmark's sync scorer: fitted without the scored identities, finds planted lags, refuses what is too short."""

import numpy as np
import pytest

from evaluation import sync_score
from evaluation.detected_face import DetectedFace
from space_data.features import canonical_pose
from space_data.landmarks import INNER_LIP_PAIRS, N_LANDMARKS
from space_data.schema import FeatureClip, FeatureFrame
from space_data.speech import log_mel
from space_data.tables import stream_clips, write_table
from space_data.timebase import AUDIO_HZ, SAMPLES_PER_FRAME, features_to_frames, seconds_to_samples

SUBJECTS = ("ada", "bob", "eve", "tom")


def speech_like(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose loudness changes several times a second."""
    samples = seconds_to_samples(seconds)
    knots = rng.uniform(0.02, 1, int(seconds * 6) + 2)
    envelope = np.interp(np.arange(samples) / AUDIO_HZ * 6, np.arange(len(knots)), knots)
    return (0.3 * envelope * rng.normal(size=samples)).astype(np.float32)


def talking_face(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Landmarks (T, 78, 3) whose lower lip opens with the loudness."""
    loudness = features_to_frames(log_mel(audio)).mean(axis=(1, 2))
    opening = 0.1 * (loudness - loudness.min()) / max(np.ptp(loudness), 1e-6)
    points = np.repeat(rng.normal(0, 0.3, (1, N_LANDMARKS, 3)), len(opening), axis=0)
    for _, lower in INNER_LIP_PAIRS:
        points[:, lower, 1] += opening
    return (points + rng.normal(0, 2e-3, points.shape)).astype(np.float32)


def write_features(folder, seconds: float, rng: np.random.Generator) -> None:
    rows, clips = [], []
    for subject in SUBJECTS:
        audio = speech_like(seconds, rng)
        points, mel = talking_face(audio, rng), features_to_frames(log_mel(audio))
        clip_id = f"set/{subject}/1"
        pose = canonical_pose(1, 512).as_array()[0]
        rows += [
            FeatureFrame(
                clip_id, i, False, points[i].ravel(), pose, 0.3, 0.3, 0.0, 0.0, mel[i].ravel(), np.zeros(52, np.float32), True
            )
            for i in range(len(points))
        ]
        clips.append(FeatureClip(clip_id, "video", "set", subject, "en", "train", np.zeros(9, np.float32), len(points)))
    write_table(folder / "frames", rows, FeatureFrame)
    write_table(folder / "clips.parquet", clips, FeatureClip)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    write_features(folder, 55.0, np.random.default_rng(5))
    return sync_score.fit_scorer(folder / "frames", folder / "clips.parquet", {"tom"})


def face_of(points: np.ndarray) -> DetectedFace:
    return DetectedFace(points, canonical_pose(len(points), 512))


def test_scored_identities_are_left_out(scorer):
    assert scorer.fitted_on.startswith("3 clips") and "3 identities" in scorer.fitted_on


@pytest.mark.parametrize("late_frames", [0, 4, -3])
def test_planted_lag_is_found(scorer, late_frames):
    rng = np.random.default_rng(9)
    audio = speech_like(5.0, rng)
    points = talking_face(audio, rng)
    heard = np.roll(audio, late_frames * SAMPLES_PER_FRAME)
    score = sync_score.clip_scorer(scorer, heard, len(points))(face_of(points))
    assert score is not None and abs(score.offset_frames - late_frames) <= 1
    in_sync = sync_score.clip_scorer(scorer, audio, len(points))(face_of(points))
    assert score.at_zero <= in_sync.at_zero


def test_the_wrong_sound_scores_lower(scorer, rng):
    audio, other = speech_like(5.0, rng), speech_like(5.0, rng)
    face = face_of(talking_face(audio, rng))
    right = sync_score.clip_scorer(scorer, audio, len(face))(face)
    wrong = sync_score.clip_scorer(scorer, other, len(face))(face)
    assert right.at_zero > wrong.at_zero + 0.2


def test_a_lost_frame_is_interpolated(scorer, rng):
    audio = speech_like(5.0, rng)
    points = talking_face(audio, rng)
    points[40:43] = np.nan
    score = sync_score.clip_scorer(scorer, audio, len(points))(face_of(points))
    assert score is not None and np.isfinite(score.confidence) and abs(score.offset_frames) <= 1


def test_too_short_is_none(scorer, rng):
    audio = speech_like(1.0, rng)
    points = talking_face(audio, rng)
    assert sync_score.clip_scorer(scorer, audio, len(points))(face_of(points)) is None


def test_little_speech_falls_back_on_the_shipped_scorer(tmp_path, monkeypatch, scorer, rng):
    write_features(tmp_path, 5.0, rng)
    monkeypatch.setattr(sync_score, "shipped_scorer", lambda: scorer)
    assert sync_score.fit_scorer(tmp_path / "frames", tmp_path / "clips.parquet", {"tom"}) is scorer


def test_clips_are_read_one_after_the_other(tmp_path, monkeypatch, rng):
    """The fit has had a clip before the next one is read; of others' row groups nothing is used."""
    write_features(tmp_path, 5.0, rng)
    read: list[str] = []

    def counted(*arguments):
        for clip_id, rows in stream_clips(*arguments):
            read.append(clip_id)
            yield clip_id, rows

    monkeypatch.setattr(sync_score, "stream_clips", counted)
    seen = [len(read) for _ in sync_score.pairs_of(tmp_path / "frames", {"set/ada/1", "set/bob/1", "set/eve/1"})]
    assert seen == [1, 2, 3]
