"""Tracks: the same after their file, edited by hand, for another photo; from where on they are made anew."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from made_up_talk import config, loud_network

from space_data import landmarks as lm
from space_data.errors import SpaceError
from space_data.params import load_params
from space_data.speech_encoder import LogMel
from space_models.controls.asked import Controls
from space_models.controls.emotion import parse_emotion
from space_models.motion import MotionModels, make_tracks, revised
from space_models.portrait import Portrait, load_portrait
from space_models.posegen.model import PoseGen, PoseGenConfig
from space_models.speech_file import Speech, speech_features
from space_models.tracks import EDITED, LATENTS, SPEECH, SPOKEN, Tracks

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
N_FRAMES = 50


@pytest.fixture(scope="module")
def portrait(astronaut: np.ndarray) -> Portrait:
    return load_portrait(astronaut)


@pytest.fixture(scope="module")
def speech() -> Speech:
    time_s = np.arange(N_FRAMES * 640) / 16_000
    return speech_features((np.sign(np.sin(2 * np.pi * 120 * time_s)) * 0.3 * np.abs(np.sin(9 * time_s))).astype(np.float32))


@pytest.fixture(scope="module")
def models() -> MotionModels:
    torch.manual_seed(0)
    posegen = PoseGen(PoseGenConfig(lookahead_frames=2, memory_frames=4))
    posegen.noise += torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.01, 0.01, 0.005], dtype=torch.float64))
    return MotionModels(loud_network(config()), posegen, LogMel())


@pytest.fixture(scope="module")
def tracks(models: MotionModels, portrait: Portrait, speech: Speech) -> Tracks:
    return make_tracks(models, portrait, speech, PARAMS, Controls(blinks="1,"), seed=4)


def same(a: Tracks, b: Tracks) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in Tracks.__dataclass_fields__)


def test_a_file_holds_all_of_them(tracks: Tracks, tmp_path: Path) -> None:
    assert tracks.stage == EDITED and np.abs(tracks.pose).max() > 0.1 and tracks.lids.max() == 1
    tracks.write(tmp_path / "a.parquet")
    assert same(Tracks.read(tmp_path / "a.parquet"), tracks)
    made = replace(tracks, latents=np.ones((N_FRAMES, 3), np.float32), latents_of="compact abc", stage=LATENTS)
    made.write(tmp_path / "b.parquet")
    assert same(Tracks.read(tmp_path / "b.parquet"), made)


def test_the_hash_is_of_what_is_in_them_and_not_of_a_file(tracks: Tracks, tmp_path: Path) -> None:
    tracks.write(tmp_path / "a.parquet")
    assert Tracks.read(tmp_path / "a.parquet").sha256() == tracks.sha256()
    nudged = tracks.lids.copy()
    nudged[3] = np.nextafter(nudged[3], np.float32(2))
    swapped = replace(tracks, brow_up=tracks.lids, lids=tracks.brow_up)
    others = (replace(tracks, lids=nudged), replace(tracks, stage=SPOKEN), tracks.first(N_FRAMES - 1), swapped)
    assert len({tracks.sha256(), *(other.sha256() for other in others)}) == 5


def test_nothing_named_changes_nothing_and_a_control_only_what_it_names(
    tracks: Tracks, models: MotionModels, portrait: Portrait, speech: Speech
) -> None:
    def again(**asked: object) -> Tracks:
        return revised(tracks, models, portrait, speech, PARAMS, Controls(**asked))  # type: ignore[arg-type]

    assert same(again(), tracks)
    open_eyes = again(blinks="off")
    assert open_eyes.lids.max() == 0 and np.array_equal(open_eyes.pose, tracks.pose)
    assert np.array_equal(open_eyes.edited[:, lm.MOUTH], tracks.edited[:, lm.MOUTH])
    assert lm.eye_aspect_ratio(open_eyes.edited)[25].min() > 2 * lm.eye_aspect_ratio(tracks.edited)[25].min()
    happy = again(emotion=parse_emotion("happy:1"))
    assert np.abs(happy.spoken - tracks.spoken).max() > 1e-3 and np.array_equal(happy.lids, tracks.lids)
    half = again(pose_strength=0.5, pose_offset_deg=(3.0, 0.0, 0.0))
    assert half.pose == pytest.approx(tracks.pose * 0.5 + np.array([3, 0, 0, 0, 0, 0]), abs=1e-5)
    assert np.array_equal(half.spoken, tracks.spoken)


def test_a_column_changed_by_hand_counts_from_the_stage_that_is_written(
    tracks: Tracks, models: MotionModels, portrait: Portrait, speech: Speech, tmp_path: Path
) -> None:
    """As a table of pandas: other float types, no metadata of ours."""
    tracks.write(tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet").to_pandas()
    table["mouth_gain"] = 0.0
    drawn = {}
    for stage in (EDITED, SPOKEN):
        table["stage"] = stage
        pq.write_table(pa.Table.from_pandas(table), tmp_path / "b.parquet")
        drawn[stage] = revised(Tracks.read(tmp_path / "b.parquet"), models, portrait, speech, PARAMS, Controls()).edited
    assert np.array_equal(drawn[EDITED], tracks.edited), "drawn as it is"
    assert lm.lip_gap(drawn[EDITED])[5:].max() > 0.05 and lm.lip_gap(drawn[SPOKEN])[5:].max() < 1e-3, "edits made anew"
    anew = revised(replace(tracks, spoken=tracks.spoken * 0, stage=SPEECH), models, portrait, speech, PARAMS, Controls())
    assert anew.spoken == pytest.approx(tracks.spoken, abs=1e-6), "S2L speaks anew"


def test_another_photo_takes_the_motion_and_keeps_its_face(tracks: Tracks, portrait: Portrait) -> None:
    assert tracks.for_portrait(portrait) is tracks
    narrow = portrait.normalised * np.array([0.9, 1.1, 1.0], np.float32)
    other = Portrait(**{**vars(portrait), "normalised": narrow})
    moved = tracks.for_portrait(other)
    jaw = slice(0, 17)
    apart = (moved.edited - tracks.edited)[:, jaw]
    assert apart.std(0).mean() < 0.1 * tracks.edited[:, jaw].std(0).mean(), "the motion is the same ..."
    assert apart.mean(0) == pytest.approx(narrow[jaw] - portrait.normalised[jaw], abs=0.03), "... and the face its own"
    told, shown = (lm.lip_gap(points) for points in (tracks.edited, moved.edited))
    assert np.corrcoef(told, shown)[0, 1] > 0.99
    drawn = replace(tracks, latents=np.ones((N_FRAMES, 3), np.float32), latents_of="compact abc", stage=LATENTS)
    drawn = drawn.for_portrait(other)
    assert drawn.latents is None and drawn.stage == EDITED, "latents were of the other face"


def replaced(name: str, values: list[Any]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(name), name, pa.array(values))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop_columns(["lids"]), "no lids in it"),
        (lambda t: t.slice(0, 0), "no rows in it"),
        (lambda t: t.slice(1), "frames are not 0 to 48"),
        (lambda t: pa.concat_tables([t, t]), "frames are not 0 to 99"),
        (replaced("lids", [float("nan")] * N_FRAMES), "column lids of frame 0"),
        (replaced("pose", [[1.0]] * N_FRAMES), "column pose of shape"),
        (replaced("stage", ["done"] * N_FRAMES), "stage 'done', need one"),
        (replaced("stage", ["edited", "spoken"] * 25), "several photos, stages"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_tracks_is_named(change, words: str, tracks: Tracks, tmp_path: Path) -> None:
    tracks.write(tmp_path / "a.parquet")
    pq.write_table(change(pq.read_table(tmp_path / "a.parquet")), tmp_path / "b.parquet")
    with pytest.raises(SpaceError, match=words) as caught:
        Tracks.read(tmp_path / "b.parquet")
    assert "\n" not in str(caught.value)
