"""Training stages on clips with and without labels: the card says what was learnt, and no figure is NaN."""

import json
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest
import torch
from made_up_features import GENERATOR, write_features
from safetensors.torch import load_file
from torch import nn

from pipelines import training
from pipelines.job.keys import module_version
from pipelines.layout import Layout
from pipelines.stages import train_l2l, train_posegen, train_s2l
from space_data import tables
from space_data.errors import SpaceError
from space_data.params import Params, load_params
from space_data.schema import EMOTIONS, UNKNOWN, FeatureClip, FeatureFrame, emotion_vector
from space_data.tables import by_clip, merge_shards, read_arrow, read_table, vectors, write_table
from space_models.checkpoints import Card, save_model
from space_models.dataset import TrackClip
from space_models.generators.renderers import load_keypoint_renderer
from space_models.l2l import load_l2l
from space_models.l2l.clips import LatentClip
from space_models.posegen.model import load_posegen
from space_models.s2l.fit import fit_input
from space_models.s2l.model import load_s2l

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml", ["job.workers=1"])
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


def test_l2l_streams_a_set_that_does_not_fit(tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP_ROWS", 60)
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": EMOTIONS[:6], "val": EMOTIONS[:3], "test": EMOTIONS[:3]}, rng)
    train_s2l.run(PARAMS.model_copy(update=S2L), layout)
    made: list[list[str]] = []
    make = train_l2l.Latents.__call__

    def watched(self: train_l2l.Latents, clips: Sequence[TrackClip]) -> list[LatentClip]:
        made.append([clip.clip_id for clip in clips])
        return make(self, clips)

    monkeypatch.setattr(train_l2l.Latents, "__call__", watched)
    settings = PARAMS.l2l.model_copy(update=SMALL | {"s2l_share": 0.5, "steps": 12})
    training = PARAMS.training.model_copy(update={"stream_groups": 2, "stream_draws": 2, "held_out_clips": 2})
    train_l2l.run(PARAMS.model_copy(update={"l2l": settings, "training": training}), layout)
    held_out, blocks = [ids for ids in made if "train" not in ids[0]], [ids for ids in made if "train" in ids[0]]
    assert [len(ids) for ids in held_out] == [2, 2] and {len(ids) for ids in blocks} == {2}
    assert len({clip_id for ids in blocks for clip_id in ids}) == 6
    card = json.loads((layout.model(f"l2l/{GENERATOR}") / "card.json").read_text())
    assert card["notes"].startswith("6 filmed clips") and card["held_out"] == "2 clips of split test"
    assert card["metrics"]["latent_error_tracked"] < card["metrics"]["latent_error_tracked_still"]


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


def trains(stage: ModuleType, params: Params, layout: Layout, caplog: pytest.LogCaptureFixture) -> bool:
    """Run the stage; whether it learnt, instead of taking the kept state."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        stage.run(params, layout)
    return "going on at step 1 of 1" not in caplog.text


def small(**changes: int) -> Params:
    """Params of little training."""
    sections = {name: section.model_copy(update=changes) for name, section in (S2L | L2L).items()}
    return PARAMS.model_copy(update=sections)


def changed(params: Params, section: str, **values: object) -> Params:
    """Params with other values in one section."""
    return params.model_copy(update={section: getattr(params, section).model_copy(update=values)})


def move(layout: Layout, clip_id: str, split: str) -> None:
    """Put a clip into another split, as the reader of another corpus would have it."""
    rows = [replace(r, split=split) if r.clip_id == clip_id else r for r in read_table(layout.feature_clips, FeatureClip)]
    frames = dict(by_clip(read_arrow(layout.feature_frames, FeatureFrame)))
    for each in ("train", "val", "test"):
        own = {r.clip_id: lambda r=r: frames[r.clip_id] for r in rows if r.split == each}
        merge_shards(layout.feature_split(each), own, FeatureFrame, 1)
    write_table(layout.feature_clips, rows, FeatureClip)


def spoil(layout: Layout, split: str, column: str, frame: int) -> None:
    """Make one number of a column NaN in every clip of a split."""
    clips = dict(by_clip(read_arrow(layout.feature_split(split), FeatureFrame)))
    for clip_id, rows in clips.items():
        values = vectors(rows, column).copy()
        values[frame, 3] = np.nan
        at = rows.schema.get_field_index(column)
        spoilt = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        clips[clip_id] = rows.set_column(at, rows.schema.field(at), spoilt)
    merge_shards(layout.feature_split(split), {i: lambda t=t: t for i, t in clips.items()}, FeatureFrame, 1)


def lose(layout: Layout, frames: slice, wild: float) -> None:
    """Lose the face in some frames of every training clip: its landmarks and pose are then anything."""
    clips = dict(by_clip(read_arrow(layout.feature_split("train"), FeatureFrame)))
    for clip_id, rows in clips.items():
        lost = np.zeros(len(rows), bool)
        lost[frames] = True
        columns = {"interpolated": pa.array(lost)}
        for name in ("normalised", "pose"):
            values = vectors(rows, name).copy()
            values[frames] += wild
            columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        for name, column in columns.items():
            at = rows.schema.get_field_index(name)
            rows = rows.set_column(at, rows.schema.field(at), column)
        clips[clip_id] = rows
    merge_shards(layout.feature_split("train"), {i: lambda t=t: t for i, t in clips.items()}, FeatureFrame, 1)


@pytest.mark.parametrize("stage", [train_s2l, train_posegen, train_l2l], ids=lambda stage: stage.STAGE)
def test_frames_without_a_face_teach_nothing(stage: ModuleType, tmp_path: Path, rng: np.random.Generator) -> None:
    layout, params = Layout.in_folder(tmp_path), changed(small(steps=4), "l2l", s2l_share=0.5)
    write_features(layout, {"train": ("neutral", "happy", "sad"), "val": ("happy",)}, rng)
    train_s2l.run(params, layout)
    folder = layout.model(f"l2l/{GENERATOR}" if stage is train_l2l else stage.MODEL)
    made = []
    for wild in (0.5, 1.0, 0.0):
        frames = slice(20, 27) if wild else slice(0, 0)
        lose(layout, frames, wild)
        stage.run(params, layout)
        made.append(load_file(folder / "weights.safetensors"))
        lose(layout, frames, -wild)
    # The recurrent part of L2L sees what stands there on its way to the frames after it; nothing is asked of it there.
    names = ("weight", "shape_scale") if stage is train_l2l else tuple(made[0])
    same, other = (all(torch.equal(made[0][name], each[name]) for name in names) for each in made[1:])
    assert same and not other, "what is lost is left out, whatever stands there"


def relabel(layout: Layout, split: str, column: str, value: object) -> None:
    """Change a label of all clips of a split."""
    rows = read_table(layout.feature_clips, FeatureClip)
    write_table(layout.feature_clips, [replace(r, **{column: value}) if r.split == split else r for r in rows], FeatureClip)


def test_whatever_decides_the_weights_changes_them(
    tmp_path: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    layout, params = Layout.in_folder(tmp_path), small(steps=1)
    write_features(layout, {"train": ("neutral", "happy", "sad"), "val": ("happy",), "test": ("happy",)}, rng)
    assert trains(train_s2l, params, layout, caplog) and not trains(train_s2l, params, layout, caplog)
    only_where = changed(params, "training", device="cpu", devices=1)
    assert not trains(train_s2l, only_where, layout, caplog)
    assert trains(train_s2l, changed(params, "training", gradient_clip=0.5), layout, caplog), "a setting of all models"
    relabel(layout, "train", "emotion", emotion_vector("angry", 0.5))
    assert trains(train_s2l, params, layout, caplog), "a label"
    relabel(layout, "train", "subject", "somebody")
    assert trains(train_s2l, params, layout, caplog), "whose clips they are"
    move(layout, "set/train/happy", "val")
    assert trains(train_s2l, params, layout, caplog), "what is held out"


@pytest.mark.parametrize("stage", [train_s2l, train_l2l], ids=lambda stage: stage.STAGE)
def test_what_is_at_hand_and_watched_changes_the_weights(
    stage: ModuleType, tmp_path: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP_ROWS", 60)
    layout, few = Layout.in_folder(tmp_path), {"stream_groups": 2, "stream_draws": 2, "validation_clips": 2}
    write_features(layout, {"train": EMOTIONS[:4], "val": ("happy", "sad"), "test": ("happy",)}, rng)
    params = changed(small(steps=1), "training", **few)
    assert trains(stage, params, layout, caplog) and not trains(stage, params, layout, caplog)
    for key, value in {"stream_groups": 3, "stream_draws": 3, "validation_clips": 1}.items():
        assert trains(stage, changed(params, "training", **{key: value}), layout, caplog), key


def test_code_that_fits_what_training_starts_from_is_known_to_the_state(
    tmp_path: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, params, edited = Layout.in_folder(tmp_path), small(steps=1), fit_input.__module__
    write_features(layout, {"train": ("neutral", "happy"), "val": ("happy",)}, rng)
    assert trains(train_s2l, params, layout, caplog)
    monkeypatch.setattr(training, "module_version", lambda module: module_version(module) + "x" * (module == edited))
    assert trains(train_s2l, params, layout, caplog), "the kept state holds what the code before the edit had fitted"


def test_figures_of_the_clips_that_the_gap_map_is_fitted_to_say_so(tmp_path: Path, rng: np.random.Generator) -> None:
    for held_out, said in ((("val",), True), (("val", "test"), False)):
        layout = Layout.in_folder(tmp_path / "-".join(held_out))
        write_features(layout, {"train": ("neutral",)} | dict.fromkeys(held_out, ("happy",)), rng)
        train_s2l.run(small(steps=1), layout)
        card = json.loads((layout.model("s2l") / "card.json").read_text())
        assert ("of the clips to which the map of lip gaps is fitted" in card["notes"]) == said


def test_s2l_speaks_an_unlabelled_clip_as_unknown_for_l2l(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral", UNKNOWN)}, rng)
    train_s2l.run(small(steps=1), layout)
    told: list[tuple[bool, bool]] = []
    spoken = train_l2l.predict

    def watched(s2l, speech, portrait, emotion, worn, shown):  # type: ignore[no-untyped-def]
        told.append((bool(np.isnan(emotion).all()), bool(np.isnan(worn).all())))
        return spoken(s2l, speech, portrait, emotion, worn, shown)

    monkeypatch.setattr(train_l2l, "predict", watched)
    train_l2l.run(changed(small(steps=1), "l2l", s2l_share=0.5), layout)
    assert sorted(told) == [(False, False), (True, True)], "one of the clips is labelled, neutral"


@pytest.mark.parametrize("stage", [train_s2l, train_l2l, train_posegen], ids=lambda stage: stage.STAGE)
@pytest.mark.parametrize(("split", "column"), [("train", "log_mel"), ("test", "pose"), ("val", "normalised")])
def test_a_feature_that_is_no_number_is_named(
    stage: ModuleType, split: str, column: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    if stage is train_posegen and column == "normalised":
        pytest.skip("PoseGen reads no landmarks")
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral",), "val": ("happy",), "test": ("sad",)}, rng)
    spoil(layout, split, column, frame=10)
    with pytest.raises(SpaceError, match=rf"clip set/{split}/\w+: {column} of frame 10 .* is no number"):
        stage.run(small(steps=1), layout)
    assert not layout.model(stage.MODEL).exists()


def test_an_ablation_of_l2l_is_trained_anew(tmp_path: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture) -> None:
    layout, params = Layout.in_folder(tmp_path), small(steps=1)
    write_features(layout, {"train": ("neutral", "happy"), "val": ("happy",), "test": ("happy",)}, rng)
    assert trains(train_l2l, params, layout, caplog) and not trains(train_l2l, params, layout, caplog)
    for change in ({"normalise": False}, {"frames": 29}, {"batch": 3}):
        assert trains(train_l2l, changed(params, "l2l", **change), layout, caplog), change


@pytest.mark.parametrize("stage", [train_s2l, train_l2l], ids=lambda stage: stage.STAGE)
def test_overfitting_one_clip_writes_nothing(
    stage: ModuleType, tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral", "happy"), "val": ("happy",)}, rng)
    before = sorted(tmp_path.rglob("*"))
    stage.run(small(steps=30), layout, overfit_one_clip=True)
    assert sorted(tmp_path.rglob("*")) == before
    began, ended = re.search(r"loss (\S+) -> (\S+) ", capsys.readouterr().out).groups()
    assert float(ended) < float(began)


@pytest.mark.parametrize("stage", [train_s2l, train_l2l], ids=lambda stage: stage.STAGE)
def test_without_a_clip_that_is_held_out_there_are_no_figures(
    stage: ModuleType, tmp_path: Path, rng: np.random.Generator
) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral", "happy")}, rng)
    stage.run(small(steps=1), layout)
    folder = layout.model(f"l2l/{GENERATOR}" if stage is train_l2l else stage.MODEL)
    assert json.loads((folder / "metrics.json").read_text()) == {}
    card = json.loads((folder / "card.json").read_text())
    assert card["metrics"] == {} and card["held_out"] == "none: no figures"
