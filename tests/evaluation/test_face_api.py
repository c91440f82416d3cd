"""face-api's points: the package's own answers on seeded weights, the way to a face, depth and pose, the files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from declared_weights import declared_as, declared_file

from evaluation import face_api
from evaluation.face_api import FACE_PX, LAYOUT_FILE, WEIGHTS_FILE, FaceApi, FaceApiBackend, read_arrays, with_depth
from evaluation.second_detector import SecondLook
from space_data import weights
from space_data.errors import SpaceError
from space_data.landmarks import IBUG68, IRISES, MESH_TO_78, PoseTrack, posed, template_mesh

POINTS = [0, 30, 48, 67]
TFJS = [
    [[-0.00291444, -0.06388605], [-0.03326435, -0.3909902], [-0.22945486, -0.06840506], [0.06213861, 0.39506727]],
    [[0.00646047, -0.06924425], [-0.01752687, -0.37930322], [-0.22298983, -0.06408583], [0.06539486, 0.40470561]],
]
"""``POINTS`` of ``seeded_faces`` by @vladmandic/face-api 1.7.15 (TensorFlow.js, CPU) with ``seeded_bytes``."""


def seeded_layout() -> list[dict]:
    """The list of a file of TensorFlow.js, with the published names and shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for k, (inside, outside) in enumerate(((3, 32), (32, 64), (64, 128), (128, 256))):
        for conv in range(4):
            a, name = inside if conv == 0 else outside, f"dense{k}/conv{conv}"
            if k == conv == 0:
                shapes[f"{name}/filters"] = (3, 3, 3, 32)
            else:
                shapes |= {f"{name}/depthwise_filter": (3, 3, a, 1), f"{name}/pointwise_filter": (1, 1, a, outside)}
            shapes[f"{name}/bias"] = (outside,)
    shapes |= {"fc/weights": (256, 136), "fc/bias": (136,)}
    entries = []
    for name, shape in shapes.items():
        fan = 9 if "depthwise" in name else 27 if "filters" in name else 100 if "bias" in name else shape[-2]
        reach = 1.5 / fan**0.5
        packed = {"dtype": "uint8", "scale": 2 * reach / 255, "min": -reach}
        entries.append({"name": name, "shape": list(shape), "dtype": "float32", "quantization": packed})
    return [{"paths": [WEIGHTS_FILE], "weights": entries}]


def seeded_bytes() -> bytes:
    count = sum(int(np.prod(entry["shape"])) for group in seeded_layout() for entry in group["weights"])
    return np.random.default_rng(0).integers(0, 256, count, dtype=np.uint8).tobytes()


def seeded_faces() -> torch.Tensor:
    coarse = np.random.default_rng(1).integers(0, 256, (2, 7, 7, 3))
    return torch.from_numpy(np.repeat(np.repeat(coarse, 16, axis=1), 16, axis=2).astype(np.float32)).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def network() -> FaceApi:
    return FaceApi(read_arrays(seeded_bytes(), seeded_layout()))


def test_equals_the_package_on_seeded_weights(network):
    found = network(seeded_faces()).numpy()
    assert found.shape == (2, 68, 2) and found[:, POINTS] == pytest.approx(np.array(TFJS), abs=1e-5)
    assert network(seeded_faces()[1:])[0].numpy() == pytest.approx(found[1], abs=1e-6), "whatever the batch"


def test_malformed_weights_are_refused(network):
    assert len(seeded_bytes()) == weights.declaration(weights.FACE_API).files[0].bytes, "the published number of weights"
    with pytest.raises(SpaceError, match="356839 bytes of weights end within fc/bias"):
        read_arrays(seeded_bytes()[:-1], seeded_layout())
    with pytest.raises(SpaceError, match=r"fc/weights \(256, 10\), need \(256, 136\)"):
        FaceApi({"fc/weights": np.zeros((256, 10), np.float32)})
    with pytest.raises(SpaceError, match="another network"):
        FaceApi({})


def template() -> np.ndarray:
    return template_mesh()[MESH_TO_78[IBUG68]].astype(np.float32)


def test_depth_and_pose_follow_from_the_points():
    rows = np.tile(np.float32([0, 0, 0, 100, 200, 210, 0]), (6, 1))
    rows[:, 0], rows[:, 1], rows[:, 2] = (0, 10, -20, 35, 15, 0), (0, 5, -10, 10, 20, 0), (0, 3, 5, -8, 10, 0)
    meant = PoseTrack.from_array(rows)
    points = posed(np.repeat(template()[None], 6, axis=0), meant)
    points[5] = np.nan
    deep, pose = with_depth(points[..., :2])
    assert pose.as_array()[:5, :3] == pytest.approx(rows[:5, :3], abs=0.2), "degrees"
    assert pose.scale[:5] == pytest.approx(rows[:5, 3], rel=1e-3)
    depth = points[:5, :, 2] - points[:5, :, 2].mean(1, keepdims=True)
    assert deep[:5, :, 2] - deep[:5, :, 2].mean(1, keepdims=True) == pytest.approx(depth, abs=0.5), "of 100 px between the eyes"
    assert np.isnan(deep[5]).all() and np.isnan(pose.scale[5])


class Template:
    """A network that puts the template face where it belongs if the crop is centred on it; what it was shown is kept."""

    def __init__(self) -> None:
        self.shown: list[torch.Tensor] = []

    def __call__(self, faces: torch.Tensor) -> torch.Tensor:
        self.shown.append(faces)
        face = template()[:, :2]
        middle, side = (face.min(0) + face.max(0)) / 2, np.ptp(face, axis=0).max() * face_api.MARGIN
        return torch.from_numpy((face - middle) / side + 0.5).float().expand(len(faces), 68, 2)


def test_a_face_is_looked_at_twice_and_what_is_none_has_no_points(astronaut):
    seen = Template()
    backend = FaceApiBackend(seen)  # type: ignore[arg-type]
    blank = np.full_like(astronaut, 90)
    boxes = backend.look([astronaut, blank, astronaut])
    assert [len(faces) for faces in seen.shown] == [2, 2] and seen.shown[0].shape[1:] == (3, FACE_PX, FACE_PX)
    assert np.isnan(boxes[1]).all() and (boxes[0] == boxes[2]).all()
    x, y = (boxes[0, :2] + boxes[0, 2:]) / 2
    assert 180 < x < 270 and 80 < y < 180, "where her face is"
    assert backend.look([blank]).shape == (1, 4)
    landmarks, pose = backend.finish()
    assert landmarks.shape == (4, 78, 3) and np.isnan(landmarks[:, IRISES]).all() and np.isnan(pose[[1, 3]]).all()
    assert np.isfinite(landmarks[[0, 2]][:, IBUG68]).all() and pose[0, :3] == pytest.approx([0, 0, 0], abs=0.5)
    assert np.isnan(backend.photo_score(0, astronaut))
    empty = FaceApiBackend(seen).finish()  # type: ignore[arg-type]
    assert empty[0].shape == (0, 78, 3) and empty[1].shape == (0, 7)


def test_points_come_back_to_where_they_were_cut(astronaut):
    """A network that says "the middle" gets the middle of the square back, in pixels of the picture."""
    middle = lambda faces: torch.full((len(faces), 68, 2), 0.5)  # noqa: E731
    found = FaceApiBackend(middle)._points_in([(astronaut, np.array([100.0, 60.0, 80.0]))])  # type: ignore[arg-type]
    assert found[0] == pytest.approx(np.tile([100.0, 60.0], (68, 1)))


def test_files_become_a_second_look(tmp_path: Path, monkeypatch, astronaut):
    folder = tmp_path / "face-api-68"
    folder.mkdir()
    (folder / WEIGHTS_FILE).write_bytes(seeded_bytes())
    (folder / LAYOUT_FILE).write_text(json.dumps(seeded_layout()))
    files = [declared_file(folder / name, f"face-api-68/{name}") for name in (WEIGHTS_FILE, LAYOUT_FILE)]
    monkeypatch.setattr(weights, "declared", lambda: {weights.FACE_API: declared_as(*files)})
    look = SecondLook.at(tmp_path, "face_api")
    for _ in range(3):
        look.take(astronaut)
    seen, boxes = look.finish()
    assert boxes is None and len(seen) == 3 and (seen.normalised[:, IRISES] == 0).all()
