"""Training stages on clips with and without labels: the card says what was learnt, and no figure is NaN."""

import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from made_up_features import GENERATOR, write_features
from torch import nn

from pipelines.layout import Layout
from pipelines.stages import train_l2l, train_posegen, train_s2l
from space_data.errors import SpaceError
from space_data.params import load_params
from space_data.schema import EMOTIONS, UNKNOWN
from space_models.checkpoints import Card, save_model
from space_models.generators.renderers import load_keypoint_renderer
from space_models.l2l import load_l2l
from space_models.posegen.model import load_posegen
from space_models.s2l.model import load_s2l

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
SMALL = {"hidden": 8, "batch": 4, "frames": 30, "steps": 3}
S2L, L2L = {"s2l": PARAMS.s2l.model_copy(update=SMALL)}, {"l2l": PARAMS.l2l.model_copy(update=SMALL | {"s2l_share": 0.0})}


@pytest.mark.parametrize(("stage", "load"), [(train_s2l, load_s2l), (train_l2l, load_l2l)])
@pytest.mark.parametrize(
    ("learnt", "tested"),
    [(("neutral", UNKNOWN), UNKNOWN), ((UNKNOWN,), "happy"), (("neutral", "happy"), UNKNOWN), (("neutral", "happy"), "happy")],
)
def test_the_card_says_which_conditions_were_learnt(
    learnt: tuple[str, ...], tested: str, stage: ModuleType, load, tmp_path: Path, rng: np.random.Generator
) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": learnt, "val": (tested,), "test": (tested,)}, rng)
    stage.run(PARAMS.model_copy(update=S2L | L2L), layout)
    folder = layout.model(f"l2l/{GENERATOR}" if stage is train_l2l else stage.MODEL)
    config = load(folder).config
    assert config.labelled == bool(set(learnt) & set(EMOTIONS)) and config.unlabelled == (UNKNOWN in learnt)
    assert all(math.isfinite(value) for value in json.loads((folder / "metrics.json").read_text()).values())


def test_l2l_learns_from_the_landmarks_of_s2l_too(tmp_path: Path, rng: np.random.Generator) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {split: ("neutral", "happy") for split in ("train", "val", "test")}, rng)
    train_s2l.run(PARAMS.model_copy(update=S2L), layout)
    settings = PARAMS.l2l.model_copy(update=SMALL | {"s2l_share": 0.5})
    train_l2l.run(PARAMS.model_copy(update={"l2l": settings}), layout)
    figures = json.loads((layout.model(f"l2l/{GENERATOR}") / "metrics.json").read_text())
    for condition in ("tracked", "on_s2l"):
        assert {f"latent_error_{condition}{system}" for system in ("", "_ridge", "_still")} <= set(figures)
    assert figures["latent_error_tracked"] < figures["latent_error_tracked_still"], "latents are linear in landmarks here"


def test_latents_of_other_weights_are_not_driven(tmp_path: Path, rng: np.random.Generator) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral",), "val": ("neutral",), "test": ("neutral",)}, rng)
    train_l2l.run(PARAMS.model_copy(update=L2L), layout)
    save_model(layout.model(GENERATOR), nn.Linear(1, 1), Card(GENERATOR, {}, "", "test"))
    with pytest.raises(SpaceError, match="with weights 000000000000"):
        load_keypoint_renderer(GENERATOR, layout.models.local(), PARAMS)


def test_head_motion_is_learnt_from_the_same_tables(tmp_path: Path, rng: np.random.Generator) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral", "happy"), "val": ("happy",), "test": ("happy",)}, rng)
    train_posegen.run(PARAMS, layout)
    folder = layout.model(train_posegen.MODEL)
    assert load_posegen(folder).config.memory_frames == PARAMS.posegen.memory_frames
    metrics, card = (json.loads((folder / name).read_text()) for name in ("metrics.json", "card.json"))
    assert metrics["nll"] < metrics["nll_mean_predictor"] and all(math.isfinite(value) for value in metrics.values())
    assert "2 people" in card["notes"] and "left out" in card["notes"]  # two people are too few to believe in speech


def test_head_motion_without_held_out_people_has_no_figures(tmp_path: Path, rng: np.random.Generator) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral",), "val": (), "test": ()}, rng)
    train_posegen.run(PARAMS, layout)
    assert json.loads((layout.model(train_posegen.MODEL) / "metrics.json").read_text()) == {}


def test_the_data_hash_of_head_motion_knows_people_and_poses_not_shards(tmp_path: Path, rng: np.random.Generator) -> None:
    def data_hash(folder: str, seed: int) -> str:
        layout = Layout.in_folder(tmp_path / folder)
        write_features(layout, {"train": ("neutral", "happy"), "val": (), "test": ()}, np.random.default_rng(seed))
        train_posegen.run(PARAMS, layout)
        return str(json.loads((layout.model(train_posegen.MODEL) / "card.json").read_text())["data_hash"])

    assert data_hash("a", 1) == data_hash("b", 1) != data_hash("c", 2)
