"""The landmark and lip metrics once more, as a second detector sees both videos: ids of their own, no place in the headline."""

from collections.abc import Mapping
from dataclasses import replace

from evaluation.metrics import landmarks, lips
from evaluation.metrics.entry import Means, MeanStatistics, Measure, Metric, Pair

PREFIX = "fan_"
SEEN_BY = "face-alignment 1.5 (S3FD, 3D-FAN), 68 points in whole pixels, pose removed by a 3-D similarity on upper-face points"


def _measure(measure: Measure) -> Measure:
    def measured(pair: Pair) -> Mapping[str, MeanStatistics]:
        if pair.second is None:
            return {}
        reference, candidate = pair.second
        n_frames = len(reference)
        found = measure.of(Pair(reference, candidate, pair.speaking[:n_frames]))
        return {PREFIX + name: one for name, one in found.items()}

    return Measure(tuple(PREFIX + name for name in measure.names), measured, "second")


def _metric(metric: Metric) -> Metric:
    def value(means: Means) -> float | None:
        return metric.value({name: means[PREFIX + name] for name in metric.statistics})

    name, protocol, version = metric.metric_id.split("/")
    return replace(
        metric, metric_id=f"{PREFIX}{name}/{protocol.replace('mediapipe78', '3dfan68')}/{version}", value=value,
        title=f"{metric.title}, 3D-FAN", statistics=tuple(PREFIX + statistic for statistic in metric.statistics),
        source=metric.source.replace(lips.DETECTOR, SEEN_BY),
    )  # fmt: skip


MEASURES = tuple(_measure(measure) for measure in (*lips.MEASURES, *landmarks.MEASURES))
METRICS = tuple(_metric(metric) for metric in (*lips.METRICS, *landmarks.METRICS))
