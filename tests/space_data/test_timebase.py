"""Conversions whose answers are known by hand."""

import numpy as np

from space_data import timebase


def test_a_frame_owns_640_samples_and_four_features() -> None:
    assert timebase.SAMPLES_PER_FRAME == 640
    assert timebase.FEATURES_PER_FRAME == 4
    assert timebase.frames_to_samples(25) == timebase.AUDIO_HZ
    assert timebase.samples_to_frames(639) == 0
    assert timebase.samples_to_frames(640) == 1


def test_frames_in_forgives_rounding_but_not_a_missing_sample() -> None:
    assert timebase.frames_in(3 * 0.04) == 3  # 0.12 is a little less than 3/25 in binary
    assert timebase.frames_in(0.119) == 2
    assert timebase.frames_in(0.0) == 0


def test_nearest_frames_shows_each_25_fps_frame_once_at_the_same_rate() -> None:
    pts_s = np.arange(10) / 25
    assert timebase.nearest_frames(pts_s, 0.0, 10).tolist() == list(range(10))
    assert timebase.nearest_frames(pts_s, 0.08, 3).tolist() == [2, 3, 4]


def test_nearest_frames_follows_time_stamps_not_indices() -> None:
    # 30 fps for a second, of which the second frame is missing (variable rate), and a late start.
    pts_s = np.delete(np.arange(30) / 30, 1) + 0.5
    chosen = timebase.nearest_frames(pts_s, 0.5, 25)
    shown_s = pts_s[chosen]
    centres_s = 0.5 + (np.arange(25) + 0.5) / 25
    assert (shown_s <= centres_s).all()
    assert (centres_s - shown_s).max() <= 2 / 30
    assert timebase.nearest_frames(pts_s, 0.0, 1).tolist() == [0]


def test_fit_samples_cuts_and_pads() -> None:
    audio = np.ones(1000, np.float32)
    assert len(timebase.fit_samples(audio, 1)) == 640
    padded = timebase.fit_samples(audio, 2)
    assert len(padded) == 1280
    assert padded[1000:].sum() == 0


def test_features_to_frames_groups_by_four_and_drops_the_rest() -> None:
    features = np.arange(9 * 2, dtype=np.float32).reshape(9, 2)
    grouped = timebase.features_to_frames(features)
    assert grouped.shape == (2, 4, 2)
    assert grouped[1, 0, 0] == 8
