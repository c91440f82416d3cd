"""Closed lips: answers known by hand."""

import numpy as np
import pytest

from space_data.closures import Closures


def test_closures_within_two_frames_count_and_chance_is_no_zero() -> None:
    measured, speech = np.full(20, 0.1), np.ones(20, bool)
    measured[5] = measured[15] = 0.0
    late, far = (np.roll(measured, by) for by in (2, 3))
    assert Closures.of(measured, measured, speech).f1 == 1
    assert Closures.of(late, measured, speech).f1 == 1
    assert Closures.of(far, measured, speech).f1 == 0
    half = Closures.of(np.where(np.arange(20) < 10, measured, 0.1), measured, speech)
    assert (half.predicted, half.measured, half.measured_found) == (1, 2, 1) and half.f1 == pytest.approx(2 / 3)
    both = half + Closures.of(measured, measured, speech)
    assert (both.frames, both.share, both.measured_share) == (40, 3 / 40, 4 / 40)
    assert Closures.of(measured, measured, np.zeros(20, bool)).f1 == 0, "nobody speaks"
    assert Closures.of(np.zeros(20), measured, speech).f1 > 0.3, "a mouth that is always shut: quote the shuffled row"


def test_a_clip_of_one_frame_is_counted_too() -> None:
    closed, open_ = np.zeros(1), np.ones(1)
    assert Closures.of(closed, closed, np.ones(1, bool)) == Closures(1, 1, 1, 1, 1)
    assert Closures.of(open_, closed, np.ones(1, bool)) == Closures(0, 0, 1, 0, 1)
    assert Closures.of(np.zeros(0), np.zeros(0), np.zeros(0, bool)).f1 == 0
