"""The metrics of the benchmark, one list: `MEASURES` of a clip and the `catalogue` of columns that follow from them."""

from evaluation.metrics import head, landmarks, lips, pictures, sync
from evaluation.metrics.entry import Means, MeanStatistics, Measure, Metric, Need, Pair
from space_data.params import Evaluate

MEASURES: tuple[Measure, ...] = (
    *lips.MEASURES, *landmarks.MEASURES, *head.MEASURES, *sync.MEASURES, *pictures.MEASURES,
)  # fmt: skip
HEADLINE = (lips.LIP_VELOCITY_R, lips.LIP_LAG, lips.LIP_AMPLITUDE, lips.CLOSURE_F1)
"""What the page is about, in this order."""


def catalogue(size_px: int, settings: Evaluate, with_syncnet: bool) -> tuple[Metric, ...]:
    """All columns of single clips, in the order of the tables.

    Args:
        size_px: of the crops that are compared.
        with_syncnet: whether its weights are there.
    """
    syncnet = sync.SYNCNET_METRICS if with_syncnet else ()
    own = (*lips.METRICS, *sync.METRICS, *syncnet, *landmarks.METRICS, *head.METRICS)
    return (*own, *pictures.metrics_at(size_px, settings.ssim_every_frames))


def values_of(means: Means, metrics: tuple[Metric, ...]) -> dict[str, float | None]:
    """Each metric's value by id; None where a statistic is missing or the metric is undefined."""
    return {m.metric_id: m.value(means) if all(name in means for name in m.statistics) else None for m in metrics}


__all__ = ["HEADLINE", "MEASURES", "MeanStatistics", "Means", "Measure", "Metric", "Need", "Pair", "catalogue", "values_of"]
