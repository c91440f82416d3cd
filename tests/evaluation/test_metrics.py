"""Statistics merge to the figure of the whole, whatever the partition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import metrics
from evaluation.metrics import MeanStatistics, MomentStatistics

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30)


def test_mean_of_nothing_is_none():
    assert MeanStatistics().mean() is None
    assert MeanStatistics.of(np.array([np.nan])).mean() is None


def test_mean_leaves_lost_frames_out():
    statistics = MeanStatistics.of(np.array([[1.0, np.nan], [3.0, 5.0]]))
    assert statistics == MeanStatistics(9.0, 3)


@given(VALUES, st.integers(0, 30))
def test_means_merge(values, cut):
    whole = MeanStatistics.of(np.array(values))
    parts = MeanStatistics.of(np.array(values[:cut])) + MeanStatistics.of(np.array(values[cut:]))
    assert parts.count == whole.count
    assert parts.mean() == pytest.approx(whole.mean(), abs=1e-9)


@given(VALUES, st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_moments_merge(values, cut, seed):
    x = np.array(values)
    y = np.random.default_rng(seed).normal(0, 1, len(x)) + x
    whole = MomentStatistics.of(x, y)
    parts = MomentStatistics.of(x[:cut], y[:cut]) + MomentStatistics.of(x[cut:], y[cut:])
    for name in ("count", "mean_x", "mean_y", "xx", "yy", "xy"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-9, abs=1e-6)


def test_moments_known_by_hand():
    statistics = MomentStatistics.of(np.array([1.0, 2.0, 3.0, np.nan]), np.array([-2.0, -4.0, -6.0, 1.0]))
    assert statistics.count == 3
    assert statistics.correlation() == pytest.approx(-1.0)
    assert statistics.deviation_ratio() == pytest.approx(2.0)


def test_a_constant_side_has_no_correlation():
    statistics = MomentStatistics.of(np.arange(5.0), np.zeros(5))
    assert statistics.correlation() is None
    assert statistics.deviation_ratio() == 0.0
    assert MomentStatistics.of(np.zeros(5), np.arange(5.0)).deviation_ratio() is None


def test_metric_ids_are_unique_and_versioned():
    columns = [*metrics.LANDMARK_METRICS, *metrics.SYNC_METRICS, metrics.psnr_metric(512), metrics.ssim_metric(512, 5)]
    columns += [metrics.frechet_metric("x", True, 5), metrics.frechet_metric("x", False, 5)]
    ids = [column.metric_id for column in columns]
    assert len(set(ids)) == len(ids)
    assert all(metric_id.split("/")[-1].startswith("v") for metric_id in ids)


def test_a_stand_in_is_never_called_fid():
    stand_in = metrics.frechet_metric("dct", False, 5)
    assert not stand_in.metric_id.startswith("fid")
    assert "not FID" in stand_in.title
    assert metrics.frechet_metric("inception", True, 5).metric_id.startswith("fid/")
