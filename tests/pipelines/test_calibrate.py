"""`space calibrate`: a folder of one's own clips in, a file for `animate` out; what cannot be used is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipelines.calibrate import calibrate_folder, table_of
from pipelines.cli import app
from space_data.errors import SpaceError
from space_data.media.encode import write_video
from space_data.params import load_params
from space_models.animate import ASSETS
from space_models.motion import load_motion_models
from space_models.s2l.calibrate import calibrated, load_calibration

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml", ["animate.speech_encoder=log-mel"])


def test_a_clip_of_ones_own_is_learnt_from(shared_media: Path, tmp_path: Path) -> None:
    own, out = tmp_path / "own", tmp_path / "made" / "me.safetensors"
    own.mkdir()
    shutil.copy(shared_media / "mead_sad_m_1080p_444.mp4", own / "a.mp4")
    (own / "broken.mp4").write_bytes(b"no video")
    found = calibrate_folder(own, out, PARAMS, ASSETS)
    assert set(found.figures) == {"before", "after"} and found.figures["before"]["lip_gap_r"] > 0.3
    shown = table_of(found)
    assert shown.row_count == len(found.figures["before"])
    models = load_motion_models(ASSETS, PARAMS)
    assert calibrated(models.s2l, load_calibration(out), str(out)) is not models.s2l


def test_what_cannot_be_used_is_named(astronaut: np.ndarray, tmp_path: Path) -> None:
    out = tmp_path / "me.safetensors"
    with pytest.raises(SpaceError, match="no such folder"):
        calibrate_folder(tmp_path / "nowhere", out, PARAMS, ASSETS)
    with pytest.raises(SpaceError, match=r"name ends in '\.txt'"):
        calibrate_folder(tmp_path, tmp_path / "me.txt", PARAMS, ASSETS)
    with pytest.raises(SpaceError, match="no usable video among 0 files"):
        calibrate_folder(tmp_path, out, PARAMS, ASSETS)
    write_video(tmp_path / "mute.mp4", [astronaut] * 50)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(SpaceError, match="no usable video among 2 files"):
        calibrate_folder(tmp_path, out, PARAMS, ASSETS)
    assert not out.exists()


def test_the_command_takes_other_models(tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "me.safetensors"), "--models", str(tmp_path)]
    told = CliRunner().invoke(app, ["calibrate", str(tmp_path), *options])
    assert told.exit_code != 0 and isinstance(told.exception, SpaceError) and str(tmp_path / "s2l") in str(told.exception)
