"""Statistics merge to the figure of the whole, whatever the partition; every metric has an id of its own and its statistics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.metrics import JUDGES, MEASURES, MeanStatistics, catalogue, landmarks, lips, sync
from evaluation.metrics.entry import correlation_of, deviations_of, moments
from space_data.params import load_params

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30)


def means_of(sums: dict[str, MeanStatistics]) -> dict[str, float]:
    return {name: one.total / one.count for name, one in sums.items()}


def test_mean_of_nothing_is_none():
    assert MeanStatistics().mean() is None
    assert MeanStatistics.of(np.array([np.nan])).mean() is None


def test_mean_leaves_lost_frames_out():
    assert MeanStatistics.of(np.array([[1.0, np.nan], [3.0, 5.0]])) == MeanStatistics(9.0, 3)


@given(VALUES, st.integers(0, 30))
def test_means_merge(values, cut):
    whole = MeanStatistics.of(np.array(values))
    parts = MeanStatistics.of(np.array(values[:cut])) + MeanStatistics.of(np.array(values[cut:]))
    assert parts.count == whole.count
    assert parts.mean() == pytest.approx(whole.mean(), abs=1e-9)


@given(st.integers(3, 40), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_moments_merge_to_numpys_correlation(n, cut, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(0.1, 0.05, n)
    y = x + rng.normal(0, 0.05, n)
    parts = [moments("m", x[part], y[part]) for part in (slice(0, cut), slice(cut, None))]
    means = means_of({name: parts[0][name] + parts[1][name] for name in parts[0]})
    assert correlation_of("m", means) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
    assert deviations_of("m", means) == pytest.approx((x.std(), y.std()), rel=1e-9)


def test_a_constant_side_has_no_correlation():
    for constant in (0.0, 0.1, 1e-3):
        means = means_of(moments("m", np.arange(7.0), np.full(7, constant)))
        assert correlation_of("m", means) is None and deviations_of("m", means)[1] == 0.0


def test_pairs_with_a_lost_side_are_left_out():
    sums = moments("m", np.array([1.0, 2.0, 3.0, np.nan]), np.array([-2.0, -4.0, -6.0, 1.0]))
    assert sums["m_x"].count == 3 and correlation_of("m", means_of(sums)) == pytest.approx(-1.0)


def test_no_judge_that_hears_ranks_upwards():
    """A regression to the mean outscores recorded lips on them (docs/sync.md): they may only be near to the recording's."""
    assert {metric.better for metric in (*sync.METRICS, *sync.WHISPER_METRICS, *sync.syncnet_metrics("direct"))} == {"recording"}


def test_metric_ids_are_unique_and_versioned_and_their_statistics_exist_once():
    columns = catalogue(512, load_params().evaluate)
    ids = [column.metric_id for column in columns]
    assert len(set(ids)) == len(ids) and all(one.split("/")[-1].startswith("v") for one in ids)
    names = [name for measure in MEASURES for name in measure.names]
    assert len(set(names)) == len(names), "a statistic is computed in one place"
    assert {name for column in columns for name in column.statistics} <= set(names)
    assert all(column.definition and column.source for column in columns)
    settings = load_params().evaluate.model_copy(update={"second_detector": "face_api"})
    here = {name: {c.name for c in catalogue(512, settings, {name})} for name in JUDGES}
    without = {c.name for c in catalogue(512, settings, ())}
    assert {name: found - without for name, found in here.items()} == {
        "syncnet": {"lse_d", "lse_c", "syncnet_offset_frames"}, "identity": {"id_cos", "id_distance"}, "lpips": {"lpips"},
        "second": {f"faceapi_{metric.name}" for metric in (*lips.METRICS, *landmarks.METRICS)},
        "whisper": {"whisper_at_zero", "whisper_confidence", "whisper_offset_frames"},
    }  # fmt: skip
