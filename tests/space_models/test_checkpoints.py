"""Models on disk: exact round trip, and one-line errors for every way in which a folder can be wrong."""

import json

import pytest
import torch
from torch import nn

from space_data.errors import SpaceError
from space_models.checkpoints import CARD_FILE, WEIGHTS_FILE, Card, load_card, load_weights, save_model

CARD = Card(model="s2l", config={"width": 3}, data_hash="d", command="python -m pipelines.stages train_s2l", metrics={"gap": 0.5})


@pytest.fixture
def saved(tmp_path):
    model = nn.LSTM(3, 4)
    save_model(tmp_path, model, CARD)
    return tmp_path, model


def test_round_trip(saved) -> None:
    folder, model = saved
    card = load_card(folder, "s2l")
    assert (card.config, card.metrics, card.data_hash) == ({"width": 3}, {"gap": 0.5}, "d")
    other = nn.LSTM(3, 4)
    load_weights(folder, card, other)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_saving_twice_gives_the_same_bytes(saved) -> None:
    folder, model = saved
    before = [(folder / name).read_bytes() for name in (WEIGHTS_FILE, CARD_FILE)]
    save_model(folder, model, CARD)
    assert before == [(folder / name).read_bytes() for name in (WEIGHTS_FILE, CARD_FILE)]


def test_wrong_folders_are_named(saved, tmp_path) -> None:
    folder, _ = saved
    with pytest.raises(SpaceError, match="no such model"):
        load_card(tmp_path / "nowhere", "s2l")
    with pytest.raises(SpaceError, match="holds model 's2l', need 'posegen'"):
        load_card(folder, "posegen")
    text = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(text | {"version": 99}))
    with pytest.raises(SpaceError, match="version 99"):
        load_card(folder, "s2l")
    (folder / CARD_FILE).write_text("{}")
    with pytest.raises(SpaceError, match="not a model card"):
        load_card(folder, "s2l")


def test_damaged_or_foreign_weights_are_refused(saved) -> None:
    folder, _ = saved
    card = load_card(folder, "s2l")
    with pytest.raises(SpaceError, match="another shape"):
        load_weights(folder, card, nn.LSTM(3, 5))
    with pytest.raises(SpaceError, match="missing .*unknown"):
        load_weights(folder, card, nn.Linear(3, 5))
    (folder / WEIGHTS_FILE).write_bytes((folder / WEIGHTS_FILE).read_bytes()[:-4])
    with pytest.raises(SpaceError, match="not the file its card describes"):
        load_weights(folder, card, nn.LSTM(3, 4))
