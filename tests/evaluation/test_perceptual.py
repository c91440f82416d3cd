"""LPIPS: by hand with made-up weights, its authors' package on the same ones, and the way from files to figures."""

import numpy as np
import pytest
import torch
from torchvision.models import alexnet

from evaluation import perceptual
from evaluation.judges import Judges
from evaluation.perceptual import BACKBONE_FILE, HEADS_FILE, Lpips, picture_distance
from space_data import weights
from space_data.errors import SpaceError

CHANNELS = (64, 192, 384, 256, 256)


@pytest.fixture(scope="module")
def states() -> tuple[dict, dict]:
    """Random weights in the layout of the published files."""
    torch.manual_seed(0)
    return alexnet().state_dict(), {f"lin{k}.model.1.weight": torch.rand(1, n, 1, 1) for k, n in enumerate(CHANNELS)}


@pytest.fixture(scope="module")
def network(states) -> Lpips:
    return Lpips(*states)


@pytest.fixture
def noisy(astronaut, rng) -> np.ndarray:
    return np.clip(astronaut + rng.normal(0, 20, astronaut.shape), 0, 255).astype(np.uint8)


def test_the_same_picture_is_at_no_distance(network, astronaut, noisy):
    assert picture_distance(network, astronaut, astronaut).mean() == 0
    assert picture_distance(network, astronaut, noisy).mean() > 0


def test_by_hand(states):
    """Convolutions of constants: layer 1 sees (1, 0, ...) in one picture, (0, 1, 0, ...) in the other, whose squared difference
    is (1, 1, 0, ...); its weights are 2 and 3, those of the other layers 0: 5 wherever a pixel is."""
    backbone, heads = ({name: torch.zeros_like(value) for name, value in state.items()} for state in states)
    backbone["features.0.weight"][0, :, 5, 5], backbone["features.0.weight"][1, :, 5, 5] = 1.0, -1.0
    heads["lin0.model.1.weight"][0, :2, 0, 0] = torch.tensor([2.0, 3.0])
    white, black = (np.full((64, 64, 3), grey, np.uint8) for grey in (255, 0))
    assert picture_distance(Lpips(backbone, heads), white, black).mean() == pytest.approx(5.0, rel=1e-6)


def test_malformed_pictures_and_weights_are_refused(network, states, astronaut):
    with pytest.raises(SpaceError, match="against"):
        picture_distance(network, astronaut, astronaut[:-1])
    with pytest.raises(SpaceError, match="float64"):
        picture_distance(network, astronaut, astronaut / 255)
    with pytest.raises(SpaceError, match=r"lpips: picture \(62, 64\), at least 63 px"):
        picture_distance(network, astronaut[:62, :64], astronaut[:62, :64])
    assert np.isfinite(picture_distance(network, astronaut[:63, :63], astronaut[9:72, :63]).mean())
    with pytest.raises(SpaceError, match="LPIPS: weights of another network"):
        Lpips(states[0], {})
    with pytest.raises(SpaceError, match="LPIPS: weights of another network"):
        Lpips({"features.0.weight": torch.zeros(1)}, states[1])


def test_equals_its_authors_package(states, tmp_path, astronaut, noisy, monkeypatch):
    lpips = pytest.importorskip("lpips", reason="the package lpips is not installed")
    monkeypatch.setattr(lpips.pretrained_networks.tv, "alexnet", lambda **_: loaded(states[0]))
    theirs = lpips.LPIPS(net="alex", pretrained=False, verbose=False)
    theirs.load_state_dict(states[1], strict=False)

    def tensor(rgb: np.ndarray) -> torch.Tensor:
        return lpips.im2tensor(rgb)

    with torch.no_grad():
        wanted = float(theirs.eval()(tensor(astronaut), tensor(noisy)))
    assert picture_distance(Lpips(*states), astronaut, noisy).mean() == pytest.approx(wanted, rel=1e-5)


def loaded(state: dict) -> torch.nn.Module:
    network = alexnet()
    network.load_state_dict(state)
    return network


def test_from_files_to_figures(states, tmp_path, monkeypatch, astronaut, noisy, network):
    """Through the table of weights: absent, other files, and the declared ones."""
    nothing = Judges.here(tmp_path)
    assert nothing.lpips is None and any("space weights fetch lpips-alex" in line for line in nothing.absences(tmp_path))
    folder = tmp_path / "lpips-alex"
    folder.mkdir()
    torch.save(states[0], folder / BACKBONE_FILE)
    assert Judges.here(tmp_path).lpips is None, "one of two files"
    torch.save(states[1], folder / HEADS_FILE)
    with pytest.raises(SpaceError, match="weights lpips-alex have 244408911"):
        Judges.here(tmp_path)
    monkeypatch.setattr(weights, "check", lambda *_: "")
    there = Judges.here(tmp_path)
    assert there.lpips == folder and "lpips" in there.names() and len(there.hashes()) == 2
    assert not any("lpips" in line for line in there.absences(tmp_path))
    found = picture_distance(perceptual.load(folder), astronaut, noisy)
    assert found.mean() == picture_distance(network, astronaut, noisy).mean()
