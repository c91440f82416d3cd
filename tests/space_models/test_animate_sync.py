"""The written file of `space animate`, measured again: the shipped models on the public-domain portrait and espeak-ng speech."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from benchmarks.animate_sync import Written, audio_lag, blink_count, inputs_of, lag_of, measure
from space_data.avsync import Scorer
from space_data.params import load_params
from space_models.animate import animate
from space_models.portrait import load_portrait
from space_models.speech_file import load_speech

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("sync")
    [image], [sound] = inputs_of(None, folder)
    animate(image=image, audio=sound, out=folder / "o.mp4", tracks=folder / "o.parquet", params=PARAMS, seed=3)
    scorer = Scorer.load(Path(str(files("space_data") / "assets" / "sync_scorer.npz")))
    return measure(folder / "o.mp4", load_speech(sound).audio, folder / "o.parquet", load_portrait(image), scorer)


def test_lips_and_sound_are_where_they_must_be(written: Written) -> None:
    assert written.in_sync
    assert (written.lip_lag_frames, written.audio_lag_samples, written.audio_start_s) == (0, 0, 0.0)
    assert written.lip_r > 0.9 and written.audio_r > 0.95
    assert 0 <= written.audio_surplus_s < 0.15  # the end of the last AAC frame


def test_a_scorer_that_knows_neither_finds_them_in_sync(written: Written) -> None:
    assert abs(written.scorer_offset_frames) <= 1 and written.scorer_confidence > 0.2


def test_the_face_lives_and_the_picture_stays_sharp(written: Written) -> None:
    assert written.face_found == 1.0
    assert written.blinks_found == written.blinks_told >= 1
    assert written.yaw_range_deg > 1
    assert written.sharpness > 0.7


def test_lags_are_found_with_their_sign(rng: np.random.Generator) -> None:
    told = np.convolve(rng.normal(size=200), np.ones(5), "same")
    assert lag_of(np.roll(told, 3), told, 10) == 3
    sound = rng.normal(size=32_000).astype(np.float32)
    late = np.concatenate([np.zeros(1024, np.float32), sound])
    lag, r = audio_lag(late, sound)
    assert lag == 1024 and r > 0.9
    assert audio_lag(sound, late)[0] == -1024
    assert audio_lag(sound, sound) == (0, pytest.approx(1.0, abs=1e-4))


def test_blinks_are_counted_as_dips_of_the_opening() -> None:
    opening = np.full(100, 0.3)
    opening[20:24], opening[60:63], opening[80:84] = 0.12, 0.15, 0.26  # two blinks and a glance down
    assert blink_count(opening) == 2
