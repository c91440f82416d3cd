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


def test_inception_has_the_official_interface(tmp_path, monkeypatch):
    """Seeded weights in the official layout load strictly and give 2048 finite numbers, whatever the batch."""
    import torch
    from torch_fidelity import feature_extractor_inceptionv3 as network

    torch.manual_seed(0)
    monkeypatch.setattr(network.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
    monkeypatch.setattr(network.torch, "load", lambda *_, **__: {})
    blank = network.FeatureExtractorInceptionV3("blank", ["2048"], feature_extractor_weights_path="none")
    monkeypatch.undo()
    torch.save(blank.state_dict(), tmp_path / "weights.pth")
    inception = Inception(tmp_path / "weights.pth")
    pictures = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3)).astype(np.uint8)
    together = inception(pictures)
    assert together.shape == (3, 2048) and np.isfinite(together).all()
    np.testing.assert_allclose(inception(pictures[1:2])[0], together[1], rtol=1e-3, atol=1e-4)


def test_absent_weights_choose_the_stand_in_and_say_so(tmp_path, caplog):
    with caplog.at_level("INFO"):
        chosen = frame_features.choose(tmp_path)
    assert not chosen.is_fid and isinstance(chosen, DctColour)
    assert "inception-2015-12-05" in caplog.text and "space weights fetch" in caplog.text


def test_a_false_file_is_refused(tmp_path):
    from space_data.errors import SpaceError

    (tmp_path / weights.declaration(weights.INCEPTION).file).write_bytes(b"<html>not found</html>")
    with pytest.raises(SpaceError, match="22 bytes"):
        frame_features.choose(tmp_path)
