"""Does the face stay the same person's? Descriptors of both faces, frame by frame. Only where dlib's descriptor is installed."""

import numpy as np

from evaluation.face_descriptor import NAME
from evaluation.metrics.entry import MeanStatistics, Measure, Metric, Pair, mean_of
from space_data.errors import SpaceError

ID_NAMES = ("id_cosine", "id_distance")
PUBLISHED = "King 2017, dlib_face_recognition_resnet_model_v1 (dlib 20)"
ALIGNED = (
    "Faces are found by FaceMesh and cut out by dlib's rule from five of its points, not by dlib's own detectors. Of the sampled "
    "frames of aligned crops. The descriptor sees pose and expression, too: a still face is near for that reason."
)


def identity(pair: Pair) -> dict[str, MeanStatistics]:
    """Cosine and Euclidean distance of the descriptors of the same frames; frames without one of the faces are left out.

    Raises:
        SpaceError: descriptors of different sizes.
    """
    if pair.descriptors is None:
        return {}
    x, y = (np.asarray(one, np.float64) for one in pair.descriptors)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise SpaceError(f"face descriptors: {x.shape} against {y.shape}, need (frames, dimensions) of one network")
    n = min(len(x), len(y))
    x, y = x[:n], y[:n]
    cosine = (x * y).sum(axis=1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))
    return {"id_cosine": MeanStatistics.of(cosine), "id_distance": MeanStatistics.of(np.linalg.norm(x - y, axis=1))}


MEASURES = (Measure(ID_NAMES, identity, "identity"),)


def metrics_at(every_frames: int) -> tuple[Metric, ...]:
    """Both, of one frame in ``every_frames``."""
    protocol = f"{NAME}-facemesh5-every{every_frames}/v1"
    cosine = Metric(
        f"id_cos/{protocol}", "identity similarity", "", "higher", ("id_cosine",), mean_of("id_cosine"),
        "Mean cosine between the face descriptors of the system's and of the recording's frame at the same time.", PUBLISHED,
        f"{ALIGNED} dlib compares by distance: cosines of different people are high, too (about 0.8).", 3,
    )  # fmt: skip
    distance = Metric(
        f"id_distance/{protocol}", "identity distance", "", "lower", ("id_distance",), mean_of("id_distance"),
        "Mean Euclidean distance between those descriptors; below 0.6 dlib says that it is one person.", PUBLISHED, ALIGNED, 3,
    )  # fmt: skip
    return cosine, distance
