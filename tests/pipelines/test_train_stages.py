"""Training stages on clips with and without labels: the card says what was learnt, and no figure is NaN."""

import json
import logging
import math
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from made_up_features import write_features

from pipelines.layout import Layout
from pipelines.stages import train_l2l, train_posegen, train_s2l
from space_data.params import Params, load_params
from space_data.schema import EMOTIONS, UNKNOWN, FeatureClip, FeatureFrame, emotion_vector
from space_data.tables import by_clip, merge_shards, read_arrow, read_table, write_table
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


def trains(stage: ModuleType, params: Params, layout: Layout, caplog: pytest.LogCaptureFixture) -> bool:
    """Run the stage; whether it learnt, instead of taking the kept state."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        stage.run(params, layout)
    return "going on at step 3 of 3" not in caplog.text


CHANGES = {
    train_posegen: ("posegen", {"keys": 5}),
    train_l2l: ("l2l", {"normalise": False}),
    train_s2l: ("s2l", {"lookahead_frames": 1}),
}


@pytest.mark.parametrize("stage", CHANGES, ids=lambda stage: stage.STAGE)
def test_whatever_decides_the_weights_changes_them(
    stage: ModuleType, tmp_path: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral", "happy"), "val": ("happy",), "test": ("happy",)}, rng)
    section, change = CHANGES[stage]
    small = SMALL if stage is not train_posegen else {"hidden": 8, "batch": 2, "keys": 4, "steps": 3}
    params = PARAMS.model_copy(update={section: getattr(PARAMS, section).model_copy(update=small)})
    assert trains(stage, params, layout, caplog) and not trains(stage, params, layout, caplog)
    changed = getattr(params, section).model_copy(update=change)
    assert trains(stage, params.model_copy(update={section: changed}), layout, caplog), "a setting"
    assert trains(stage, params, layout, caplog), "back again: one state is kept"
    shared = params.training.model_copy(update={"gradient_clip": 0.5})
    assert trains(stage, params.model_copy(update={"training": shared}), layout, caplog), "a shared setting"
    assert trains(stage, params, layout, caplog)
    shared = params.training.model_copy(update={"device": "cpu"})
    assert not trains(stage, params.model_copy(update={"training": shared}), layout, caplog), "only where it runs"

    rows = read_table(layout.feature_clips, FeatureClip)
    labelled = [replace(r, emotion=emotion_vector("sad", 0.5)) if r.split == "train" else r for r in rows]
    write_table(layout.feature_clips, labelled, FeatureClip)
    if stage is not train_posegen:  # which never sees an emotion
        assert trains(stage, params, layout, caplog), "a label"
    moved = [replace(r, split="val") if r.clip_id == "set/train/happy" else r for r in labelled]
    write_table(layout.feature_clips, moved, FeatureClip)
    frames = dict(by_clip(read_arrow(layout.feature_frames, FeatureFrame)))
    for split in ("train", "val", "test"):
        own = {r.clip_id: lambda r=r: frames[r.clip_id] for r in moved if r.split == split}
        merge_shards(layout.feature_split(split), own, FeatureFrame, 1)
    assert trains(stage, params, layout, caplog), "a split"


@pytest.mark.parametrize("stage", CHANGES, ids=lambda stage: stage.STAGE)
def test_overfitting_one_clip_writes_nothing(
    stage: ModuleType, tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral", "happy"), "val": ("happy",)}, rng)
    before = sorted(tmp_path.rglob("*"))
    small = {
        "s2l": PARAMS.s2l.model_copy(update={**SMALL, "steps": 30}),
        "l2l": PARAMS.l2l.model_copy(update={**SMALL, "steps": 30}),
        "posegen": PARAMS.posegen.model_copy(update={"hidden": 8, "batch": 2, "keys": 4, "steps": 30}),
    }
    stage.run(PARAMS.model_copy(update=small), layout, overfit_one_clip=True)
    assert sorted(tmp_path.rglob("*")) == before
    began, ended = re.search(r"loss (\S+) -> (\S+) ", capsys.readouterr().out).groups()
    assert float(ended) < float(began)


@pytest.mark.parametrize("stage", CHANGES, ids=lambda stage: stage.STAGE)
def test_without_a_clip_that_is_held_out_there_are_no_figures(
    stage: ModuleType, tmp_path: Path, rng: np.random.Generator
) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral", "happy")}, rng)
    small = {
        "s2l": PARAMS.s2l.model_copy(update=SMALL), "l2l": PARAMS.l2l.model_copy(update=SMALL),
        "posegen": PARAMS.posegen.model_copy(update={"hidden": 8, "batch": 2, "keys": 4, "steps": 3}),
    }  # fmt: skip
    stage.run(PARAMS.model_copy(update=small), layout)
    folder = layout.model(stage.MODEL)
    assert json.loads((folder / "metrics.json").read_text()) == {}
    card = json.loads((folder / "card.json").read_text())
    assert card["metrics"] == {} and card["held_out"] == "none: no figures"
