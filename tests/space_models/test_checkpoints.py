"""Models on disk: exact round trip, and one-line errors for every way in which a folder can be wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from space_data.errors import SpaceError
from space_models import checkpoints
from space_models.animate import ASSETS
from space_models.checkpoints import CARD_FILE, WEIGHTS_FILE, Card, load_card, load_weights, save_model
from space_models.generators.compact import load_compact
from space_models.l2l import load_l2l
from space_models.motion import s2l_folders
from space_models.posegen.model import load_posegen
from space_models.s2l.model import load_s2l

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


LOADERS = {"s2l": load_s2l, "posegen": load_posegen, "l2l/compact": load_l2l, "compact": load_compact}


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("change", [lambda c: c | {"new_key": 1}, lambda c: dict(list(c.items())[1:]), lambda c: list(c)])
def test_a_card_of_another_release_is_named(name: str, change: Callable[[dict], Any], tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(ASSETS / name, folder)
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(card | {"config": change(card["config"])}))
    with pytest.raises(SpaceError, match=f"{CARD_FILE}: not a configuration of {name} .*written by another release"):
        LOADERS[name](folder)
    if name == "s2l":
        with pytest.raises(SpaceError, match="not a configuration of s2l"):
            s2l_folders(tmp_path)


@pytest.mark.parametrize("name", LOADERS)
def test_a_value_of_another_type_is_named(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(ASSETS / name, folder)
    card = json.loads((folder / CARD_FILE).read_text())
    for key in [key for key, value in card["config"].items() if isinstance(value, int | float | str)]:
        (folder / CARD_FILE).write_text(json.dumps(card | {"config": card["config"] | {key: [3]}}))
        with pytest.raises(SpaceError, match=rf"not a configuration of {name} \({key} is \[3\], need .*changed by hand"):
            LOADERS[name](folder)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: dict, path: Path, metadata: object) -> None:
        path.write_bytes(b"a part of it")
        raise SafetensorError("I/O error: No space left on device (os error 28)")  # as on a full tmpfs; it is no OSError

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(SpaceError, match=rf"{WEIGHTS_FILE}: cannot be written \(.*No space left"):
        save_model(tmp_path, nn.LSTM(3, 4), CARD)
    assert not list(tmp_path.iterdir())
