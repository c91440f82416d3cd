"""Training stages on clips with and without labels: the card says what was learnt, and no figure is NaN."""

import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from made_up_features import write_features

from pipelines.layout import Layout
from pipelines.stages import train_l2l, train_posegen, train_s2l
from space_data.params import load_params
from space_data.schema import EMOTIONS, UNKNOWN
from space_models.l2l import load_l2l
from space_models.posegen import load_posegen
from space_models.s2l.model import load_s2l

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
SMALL = {"hidden": 8, "batch": 4, "frames": 30, "steps": 3}


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
    small = {name: getattr(PARAMS, name).model_copy(update=SMALL) for name in ("s2l", "l2l")}
    stage.run(PARAMS.model_copy(update=small), layout)
    folder = layout.model(stage.MODEL)
    config = load(folder).config
    assert config.labelled == bool(set(learnt) & set(EMOTIONS)) and config.unlabelled == (UNKNOWN in learnt)
    assert all(math.isfinite(value) for value in json.loads((folder / "metrics.json").read_text()).values())


def test_head_motion_is_learnt_from_the_same_tables(tmp_path: Path, rng: np.random.Generator) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral", "happy"), "val": ("happy",), "test": ("happy",)}, rng)
    small = PARAMS.posegen.model_copy(update={"hidden": 8, "batch": 2, "keys": 4, "steps": 3})
    train_posegen.run(PARAMS.model_copy(update={"posegen": small}), layout)
    folder = layout.model(train_posegen.MODEL)
    assert load_posegen(folder).config.hidden == 8
    assert all(math.isfinite(value) for value in json.loads((folder / "metrics.json").read_text()).values())
