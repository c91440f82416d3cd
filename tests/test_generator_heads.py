"""``benchmarks.generator_heads``: figures of all clips together, by hand; the still photo follows nothing."""

import numpy as np
import pytest

from benchmarks.generator_heads import SERIES, Clip, Seen, closed, pooled, still
from space_data.landmarks import PoseTrack


def seen(*values: float) -> Seen:
    series = np.array(values, np.float32)
    return Seen(np.zeros((len(series), 78, 3), np.float32), dict.fromkeys(SERIES, series), 1.0)


def test_pooled_figures_let_each_clip_count_by_what_happens_in_it() -> None:
    truths = [seen(9, 0, 4, 0), seen(9, 5, 5.1, 5)]  # a blink; noise about another mean
    drawn = [seen(9, 1, 3, 1), seen(9, 7, 6.9, 7)]  # half as strong; the noise reversed
    r, slope = pooled("eye opening", drawn, truths)
    assert r > 0.99 and slope == pytest.approx(0.5, abs=0.01)
    assert pooled("yaw", truths, truths) == pytest.approx((1, 1))


def test_the_first_frame_is_left_out_of_pooled_figures() -> None:
    assert pooled("yaw", [seen(100, 1, 2)], [seen(0, 1, 2)]) == pytest.approx((1, 1))


def test_the_still_photo_follows_nothing() -> None:
    truth = seen(1, 2, 3)
    assert pooled("yaw", [still(truth)], [truth]) == (0, 0)


def test_closures_are_counted_over_all_clips_in_speech_without_the_first_frame() -> None:
    shut, wide = [0.0] * 9, [0.1] * 9
    truths, drawn = [seen(*shut), seen(*wide)], [seen(*shut), seen(*shut)]
    pose, nothing = PoseTrack.from_array(np.zeros((9, 7), np.float32)), np.zeros(9, np.float32)
    speaking = np.arange(9) < 5
    clips = [Clip("a", "b", [], nothing, pose, nothing, nothing, speaking, None)] * 2
    share, recorded, f1 = closed(drawn, clips, truths)
    assert (share, recorded) == (1.0, 0.5) and f1 == pytest.approx(2 / 3)  # precision .5, recall 1
