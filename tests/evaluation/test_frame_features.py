"""Frame features: what the stand-in sees, and that the network has the official file's interface."""

import cv2
import numpy as np
import pytest

from evaluation import frame_features
from evaluation.frame_features import DctColour, Inception
from evaluation.frechet import frechet_distance
from space_data import weights


def test_stand_in_has_69_numbers_per_picture(astronaut):
    features = DctColour()(np.stack([astronaut, astronaut[:, ::-1]]))
    assert features.shape == (2, 69) and features.dtype == np.float32
    assert DctColour()(np.zeros((0, 64, 64, 3), np.uint8)).shape == (0, 69)


def test_dct_basis_is_orthonormal():
    basis = frame_features._dct_basis(8)
    np.testing.assert_allclose(basis @ basis.T, np.eye(8), atol=1e-6)


def test_flat_picture_sits_on_the_floor():
    features = DctColour()(np.full((1, 256, 256, 3), 64, np.uint8))[0]
    np.testing.assert_allclose(features[:63], np.log(frame_features.ENERGY_FLOOR))
    np.testing.assert_allclose(features[63:], [2, 2, 2, 0, 0, 0], atol=1e-6)


def test_stand_in_orders_blur(astronaut, rng):
    shots = np.stack([np.roll(astronaut, int(s), axis=1) for s in rng.integers(-40, 40, 12)])
    reference = DctColour()(shots)
    distances = [
        frechet_distance(DctColour()(np.stack([cv2.GaussianBlur(s, (0, 0), sd) for s in shots])), reference)
        for sd in (0.5, 1.5, 4)
    ]
    assert distances == sorted(distances)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """Seeded weights in the layout of the official file."""
    import torch
    from pytorch_fid import inception
    from torchvision.models import Inception3

    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(Inception3, "load_state_dict", lambda *_: None)
        network = inception.fid_inception_v3()
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return cv2.GaussianBlur(rng.integers(0, 255, (3 * 64, 64, 3)).astype(np.uint8), (0, 0), 2).reshape(3, 64, 64, 3)


def test_legacy_features_are_pytorch_fids_own(seeded, pictures, monkeypatch):
    """Its network, its resize, its normalisation, fed as its command feeds it: pictures as floats in [0, 1]."""
    import torch
    from pytorch_fid import inception

    state = torch.load(seeded, weights_only=True)
    monkeypatch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: state)
    theirs = inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval()
    with torch.no_grad():
        expected = theirs(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255)[0].flatten(1).numpy()
    ours = Inception(seeded, "legacy")(pictures)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5)
    assert np.abs(ours - Inception(seeded, "clean")(pictures)).max() > 10 * np.abs(ours - expected).max()


def test_the_hub_is_left_as_it_was_and_nothing_is_fetched(seeded, monkeypatch):
    import torch

    frame_features._inception.cache_clear()
    before = torch.hub.get_dir()
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_: pytest.fail("a download"))
    Inception(seeded, "legacy")
    assert torch.hub.get_dir() == before


@pytest.mark.parametrize("resize", ["legacy", "clean"])
def test_features_do_not_depend_on_the_batch(seeded, pictures, resize):
    inception = Inception(seeded, resize)
    together = inception(pictures)
    assert together.shape == (3, 2048) and np.isfinite(together).all()
    np.testing.assert_allclose(inception(pictures[1:2])[0], together[1], rtol=1e-3, atol=1e-4)
    assert inception(pictures[:0]).shape == (0, 2048)


def test_clean_input_of_a_flat_picture_and_of_an_edge():
    """PIL's bicubic overshoots at an edge and is cut back to what pictures can hold."""
    flat = frame_features._clean_input(np.full((1, 64, 64, 3), 128, np.uint8)).numpy()
    assert flat.shape == (1, 3, 299, 299) and np.abs(flat).max() == 0
    edge = np.zeros((1, 64, 64, 3), np.uint8)
    edge[:, :, 32:] = 255
    assert frame_features._clean_input(edge).numpy().min() == -1 and frame_features._clean_input(edge).numpy().max() == 127 / 128


def test_absent_weights_choose_the_stand_in_and_say_so(tmp_path, caplog):
    with caplog.at_level("INFO"):
        chosen = frame_features.choose(tmp_path)
    assert [type(one) for one in chosen] == [DctColour] and not chosen[0].is_fid
    assert "inception-2015-12-05" in caplog.text and "space weights fetch" in caplog.text


def test_a_false_file_is_refused(tmp_path):
    from space_data.errors import SpaceError

    (tmp_path / weights.declaration(weights.INCEPTION).file).write_bytes(b"<html>not found</html>")
    with pytest.raises(SpaceError, match="22 bytes"):
        frame_features.choose(tmp_path)
