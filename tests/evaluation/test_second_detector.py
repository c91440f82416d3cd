"""The second detector as judge: the same metrics under other ids, a video that only it cannot see, S3FD's boxes, no weights."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.detected_face import DetectedFace
from evaluation.judges import Judges
from evaluation.measured_video import MeasuredVideo
from evaluation.metrics import MeanStatistics, Pair, landmarks, lips, second, values_of
from evaluation.second_detector import SecondLook, find
from evaluation.syncnet_clip import as_mesh_boxes
from space_data.errors import SpaceError
from space_data.face_alignment_backend import FOREHEAD_SHARE
from space_data.features import canonical_pose
from space_data.landmarks import IRISES, MESH_TO_78, N_MESH, posed, template_mesh
from space_models.syncnet import crop_track

N = 40


def face(seed: int) -> DetectedFace:
    mesh = np.zeros((N_MESH, 3))
    mesh[:468] = template_mesh()
    points = np.repeat(mesh[MESH_TO_78][None], N, axis=0) + np.random.default_rng(seed).normal(0, 0.02, (N, 78, 3))
    return DetectedFace(points.astype(np.float32), canonical_pose(N, 512))


def values(pair: Pair, measures: tuple, metrics: tuple) -> list[float | None]:
    means = {n: one.mean() for measure in measures for n, one in measure.of(pair).items() if one.count}
    found = values_of(means, metrics)
    return [found[metric.metric_id] for metric in metrics]


def test_the_same_faces_give_the_same_figures_under_ids_of_their_own():
    theirs, made, other = face(1), face(2), face(3)
    speaking = np.ones(N, bool)
    seen = Pair(other, other, speaking, second=(theirs, made))
    wanted = values(Pair(theirs, made, speaking), (*lips.MEASURES, *landmarks.MEASURES), (*lips.METRICS, *landmarks.METRICS))
    assert values(seen, second.MEASURES, second.metrics("face_alignment")) == wanted and None not in wanted[2:]
    perfect = Pair(other, other, speaking, second=(made, made))
    assert values(perfect, second.MEASURES, second.metrics("face_api"))[0] == pytest.approx(1)
    for detector, prefix in (("face_alignment", "fan_"), ("face_api", "faceapi_")):
        columns = second.metrics(detector)
        assert all(one.metric_id.startswith(prefix) and "mediapipe" not in one.metric_id for one in columns)
        assert all("MediaPipe" not in one.source for one in columns)
    assert second.metrics("none") == ()


def test_without_it_there_is_nothing():
    pair = Pair(face(1), face(2), np.ones(N, bool))
    assert all(measure.of(pair) == {} for measure in second.MEASURES)


class Backend:
    """Gives the frame's first grey level as its box, three at a time."""

    batch_frames = 3

    def __init__(self) -> None:
        self.batches: list[int] = []

    def look(self, frames):
        self.batches.append(len(frames))
        boxes = np.array([[0, 0, 100, 100]] * len(frames), np.float32) + np.array([[f[0, 0, 0]] for f in frames], np.float32)
        boxes[:, 1] += FOREHEAD_SHARE * (boxes[:, 3] - boxes[:, 1])
        return boxes

    def finish(self):
        count = sum(self.batches)
        points, pose = posed(face(1).normalised[:count], canonical_pose(count, 512)), canonical_pose(count, 512).as_array()
        points[:, IRISES] = np.nan
        points[1], pose[1] = np.nan, np.nan
        return points, pose

    def close(self):
        self.batches.append(0)


def test_frames_go_in_batches_and_come_back_as_faces_and_s3fds_boxes(tmp_path):
    backend = Backend()
    look = SecondLook(backend)
    for level in range(7):
        look.take(np.full((8, 8, 3), level, np.uint8))
    seen, boxes = look.finish()
    assert backend.batches == [3, 3, 1, 0]
    assert boxes == pytest.approx(np.array([[level, level, 100 + level, 100 + level] for level in range(7)]), abs=1e-4)
    assert seen.found().tolist() == [True, False, *[True] * 5] and len(seen) == 7
    kept = MeasuredVideo(face(1), np.zeros((N, 4), np.float32), {}, MeanStatistics(1, 1), seen, boxes)
    kept.save(tmp_path / "m.npz")
    again = MeasuredVideo.load(tmp_path / "m.npz")
    assert again.second is not None and np.array_equal(again.second.normalised, seen.normalised, equal_nan=True)
    assert np.array_equal(again.second_boxes, boxes)
    look = SecondLook(Backend(), gives_boxes=False)
    for _ in range(3):
        look.take(np.zeros((8, 8, 3), np.uint8))
    seen, no_boxes = look.finish()
    MeasuredVideo(face(1), np.zeros((N, 4), np.float32), {}, MeanStatistics(1, 1), seen, no_boxes).save(tmp_path / "m.npz")
    again = MeasuredVideo.load(tmp_path / "m.npz")
    assert no_boxes is None and again.second is not None and again.second_boxes is None


def test_syncnets_crop_is_s3fds_box():
    boxes = np.array([[100.0 + i, 50, 220 + i, 210] for i in range(20)])
    track = crop_track(as_mesh_boxes(boxes))
    assert track[10] == pytest.approx([(boxes[10, 0] + boxes[10, 2]) / 2, 130, 80])


def test_what_is_wanted_and_not_there_is_an_error_that_names_the_command(tmp_path: Path):
    assert find(tmp_path, "none") is None and Judges.here(tmp_path).second is None
    with pytest.raises(SpaceError, match=r"space weights fetch face-alignment-s3fd --folder .*, or set it to none"):
        find(tmp_path, "face_alignment")
    with pytest.raises(SpaceError, match=r"space weights fetch face-api-68 --folder .*, or set it to none"):
        find(tmp_path, "face_api")
    assert any("evaluate.second_detector: face_api" in line for line in Judges.here(tmp_path).absences(tmp_path))
