"""Distances between faces: pose-free and in the picture, each split into what is constant over the clip and what moves.

One constant per clip - lips that are a little too thick - makes most of a distance, and lets a still face win; the split says so.
Distances are in x and y: the mesh's depth is a guess that viewers never see.
"""

import numpy as np
from numpy.typing import NDArray

from evaluation.detected_face import DetectedFace
from evaluation.metrics.entry import MeanStatistics, Measure, Metric, Pair, mean_of
from evaluation.metrics.lips import DETECTOR
from space_data.landmarks import FACE, MOUTH, posed

Indices = NDArray[np.int64]
REGIONS: dict[str, Indices] = {"mouth": MOUTH, "face": FACE}


def points_of(track: DetectedFace, points: Indices) -> NDArray[np.float64]:
    """Normalised x and y (T, N, 2), IOD."""
    return np.asarray(track.normalised[:, points, :2], np.float64)


def posed_points(track: DetectedFace, points: Indices, iod_px: float) -> NDArray[np.float64]:
    """x and y in the picture (T, N, 2), in units of ``iod_px``."""
    return np.asarray(posed(track.normalised[:, points], track.pose)[..., :2], np.float64) / iod_px


def distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> MeanStatistics:
    """Mean Euclidean distance of points (T, N, 2); lost frames are left out."""
    return MeanStatistics.of(np.linalg.norm(y - x, axis=-1))


def constant_distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> MeanStatistics:
    """Mean length of the points' mean differences over the frames: what a clip is off by all the time."""
    difference = (y - x)[np.isfinite(y - x).all(axis=(1, 2))]
    return MeanStatistics.of(np.linalg.norm(difference.mean(axis=0), axis=-1)) if len(difference) else MeanStatistics()


def moving_distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> MeanStatistics:
    """As ``distance``, after the points' mean difference over the frames is taken off."""
    difference = (y - x)[np.isfinite(y - x).all(axis=(1, 2))]
    if not len(difference):
        return MeanStatistics()
    return MeanStatistics.of(np.linalg.norm(difference - difference.mean(axis=0), axis=-1))


def velocity_distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> MeanStatistics:
    """Distance of the displacements from frame to frame; gaps are not bridged."""
    return distance(np.diff(x, axis=0), np.diff(y, axis=0))


def of_region(region: str) -> Measure:
    """All statistics of one region."""
    points = REGIONS[region]
    names = (f"ld_{region}", f"ld_constant_{region}", f"ld_motion_{region}", f"lvd_{region}", f"ld_posed_{region}")

    def measured(pair: Pair) -> dict[str, MeanStatistics]:
        x, y = points_of(pair.reference, points), points_of(pair.candidate, points)
        iod_px = float(np.nanmean(pair.reference.pose.scale))
        in_picture = (posed_points(track, points, iod_px) for track in (pair.reference, pair.candidate))
        values = (distance(x, y), constant_distance(x, y), moving_distance(x, y), velocity_distance(x, y), distance(*in_picture))
        return dict(zip(names, values, strict=True))

    return Measure(names, measured)


MEASURES = tuple(of_region(region) for region in REGIONS)

_POSE_FREE = "Pose-free, in inter-ocular distances instead of pixels; frames paired by index; lost frames are not bridged."


def _metrics_of(region: str, title: str, which: str) -> tuple[Metric, ...]:
    def metric(
        statistic: str, metric_id: str, name: str, unit: str, definition: str, source: str, departures: str, posed_: bool = False
    ) -> Metric:
        return Metric(
            metric_id, f"{title} {name}", unit, "lower", (f"{statistic}_{region}",), mean_of(f"{statistic}_{region}"),
            definition, f"{source} {DETECTOR}.", departures, 4, needs_pose=posed_,
        )  # fmt: skip

    return (
        metric(
            "ld", f"ld_{region}/mediapipe78-xy/v1", "distance", "IOD",
            f"Mean Euclidean distance (x, y) between {which} of the two videos in normalised space, frame by frame.",
            "After LMD (Chen et al. 2018) and LD (MakeItTalk).", _POSE_FREE,
        ),
        metric(
            "ld_motion", f"ld_motion_{region}/mediapipe78-xy/v1", "distance, motion", "IOD",
            "The same after each point's mean difference over the clip is taken off.", "Ours.",
            "What is left of a still face is how far the recording moves.",
        ),
        metric(
            "ld_constant", f"ld_constant_{region}/mediapipe78-xy/v1", "distance, constant", "IOD",
            "Mean length of each point's mean difference over the clip.", "Ours.", "Says how a face is shaped, not how it moves.",
        ),
        metric(
            "lvd", f"lvd_{region}/mediapipe78-xy/v1", "velocity distance", "IOD/frame",
            f"Mean Euclidean distance between the two videos' frame-to-frame displacements of {which}, 25 frames per second.",
            "After LVD (MakeItTalk; EAT).",
            "Only neighbouring frames count. Motion costs: read it beside the velocity correlation.",
        ),
        metric(
            "ld_posed", f"ld_posed_{region}/mediapipe78-xy/v1", "distance in the picture", "IOD",
            f"Mean Euclidean distance (x, y) between {which} in the picture, in the recording's mean inter-ocular distance.",
            "After LMD.", "Head motion counts.", True,
        ),
    )  # fmt: skip


MOUTH_METRICS = _metrics_of("mouth", "mouth", "the 20 lip points")
FACE_METRICS = _metrics_of("face", "face", "the 68 iBUG points")
LD_MOUTH, LD_MOTION_MOUTH, LD_CONSTANT_MOUTH, LVD_MOUTH, LD_POSED_MOUTH = MOUTH_METRICS
LD_FACE, LD_MOTION_FACE, LD_CONSTANT_FACE, LVD_FACE, LD_POSED_FACE = FACE_METRICS
METRICS = (*MOUTH_METRICS, *FACE_METRICS)
