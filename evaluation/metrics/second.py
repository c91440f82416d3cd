"""The landmark and lip metrics once more, as a second detector sees both videos: ids of their own, no place in the headline."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from evaluation.metrics import landmarks, lips
from evaluation.metrics.entry import Means, MeanStatistics, Measure, Metric, Pair

PREFIX = "second_"
"""Of the statistics, whichever detector saw them."""


@dataclass(frozen=True)
class Detector:
    """How a detector's columns are called."""

    prefix: str
    points: str
    """in place of ``mediapipe78`` in a protocol's name"""
    title: str
    seen_by: str


FACE_ALIGNMENT = "face_alignment"
DETECTORS = {
    FACE_ALIGNMENT: Detector(
        "fan_", "3dfan68", "3D-FAN",
        "face-alignment 1.5 (S3FD, 3D-FAN), 68 points in whole pixels, pose removed by a 3-D similarity on upper-face points",
    ),
    "face_api": Detector(
        "faceapi_", "faceapi68", "face-api",
        "face-api's network (@vladmandic/face-api 1.7.15), 68 points in two looks, faces by OpenCV's frontal cascades, depth of "
        "a template, pose removed by a 3-D similarity on upper-face points",
    ),
}  # fmt: skip


def _measure(measure: Measure) -> Measure:
    def measured(pair: Pair) -> Mapping[str, MeanStatistics]:
        if pair.second is None:
            return {}
        reference, candidate = pair.second
        n_frames = len(reference)
        found = measure.of(Pair(reference, candidate, pair.speaking[:n_frames]))
        return {PREFIX + name: one for name, one in found.items()}

    return Measure(tuple(PREFIX + name for name in measure.names), measured, "second")


def _metric(metric: Metric, by: Detector) -> Metric:
    def value(means: Means) -> float | None:
        return metric.value({name: means[PREFIX + name] for name in metric.statistics})

    name, protocol, version = metric.metric_id.split("/")
    return replace(
        metric, metric_id=f"{by.prefix}{name}/{protocol.replace('mediapipe78', by.points)}/{version}", value=value,
        title=f"{metric.title}, {by.title}", statistics=tuple(PREFIX + statistic for statistic in metric.statistics),
        source=metric.source.replace(lips.DETECTOR, by.seen_by),
    )  # fmt: skip


MEASURES = tuple(_measure(measure) for measure in (*lips.MEASURES, *landmarks.MEASURES))


def metrics(detector: str) -> tuple[Metric, ...]:
    """The columns of a ``detector``; none of ``none``."""
    if detector not in DETECTORS:
        return ()
    return tuple(_metric(metric, DETECTORS[detector]) for metric in (*lips.METRICS, *landmarks.METRICS))
