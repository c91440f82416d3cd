"""The metrics of the benchmark, one list: `MEASURES` of a clip and the `catalogue` of columns that follow from them."""

from collections.abc import Collection

from evaluation.metrics import head, identity, landmarks, lips, pictures, second, sync
from evaluation.metrics.entry import JUDGES, Judge, Means, MeanStatistics, Measure, Metric, Need, Pair
from space_data.params import Evaluate

MEASURES: tuple[Measure, ...] = (
    *lips.MEASURES, *landmarks.MEASURES, *head.MEASURES, *sync.MEASURES, *pictures.MEASURES,
    *identity.MEASURES, *second.MEASURES,
)  # fmt: skip
HEADLINE = (lips.LIP_VELOCITY_R, lips.LIP_LAG, lips.LIP_AMPLITUDE, lips.CLOSURE_F1)
"""What the page is about, in this order."""


def catalogue(size_px: int, settings: Evaluate, judges: Collection[str] = JUDGES) -> tuple[Metric, ...]:
    """All columns of single clips, in the order of the tables.

    Args:
        size_px: of the crops that are compared.
        judges: those that are here; columns of others are left out.
    """
    columns = (
        *lips.METRICS, *sync.METRICS, *sync.WHISPER_METRICS,
        *sync.syncnet_metrics(settings.syncnet_protocol, settings.second_detector == second.FACE_ALIGNMENT),
        *landmarks.METRICS, *second.metrics(settings.second_detector), *head.METRICS,
        *identity.metrics_at(settings.frechet_every_frames),
        *pictures.metrics_at(size_px, settings.ssim_every_frames),
    )  # fmt: skip
    known = {name for measure in measures_of(judges) for name in measure.names}
    return tuple(column for column in columns if known.issuperset(column.statistics))


def measures_of(judges: Collection[str]) -> tuple[Measure, ...]:
    """Those that can be taken with the judges that are here."""
    return tuple(measure for measure in MEASURES if measure.need not in JUDGES or measure.need in judges)


def values_of(means: Means, metrics: tuple[Metric, ...]) -> dict[str, float | None]:
    """Each metric's value by id; None where a statistic is missing or the metric is undefined."""
    return {m.metric_id: m.value(means) if all(name in means for name in m.statistics) else None for m in metrics}


__all__ = [
    "HEADLINE", "JUDGES", "Judge", "MEASURES", "MeanStatistics", "Means", "Measure", "Metric", "Need", "Pair", "catalogue",
    "measures_of", "values_of",
]  # fmt: skip
