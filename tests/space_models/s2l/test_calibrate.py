"""Calibration: an offset and a slope that are known by hand are found, on clips that were left out; files that do not fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_talk import config, loud_network, made_up_speech, template_face

from space_data import landmarks as lm
from space_data.errors import SpaceError
from space_models.retarget import with_lip_gap
from space_models.s2l.calibrate import Take, calibrate, calibrated, load_calibration, save_calibration
from space_models.s2l.model import S2L
from space_models.s2l.stream import predict

FACE = template_face()


def model() -> S2L:
    found = loud_network(config())
    found.weights_sha256 = "a" * 64
    return found


def takes(model: S2L, n: int, rng: np.random.Generator, shift: float = 0.05) -> list[Take]:
    """A speaker whose mouth sits ``shift`` to the right of where the model has it, and whose lips open half as far."""
    found = []
    for i in range(n):
        speech = made_up_speech("log-mel", 80, rng)
        said = predict(model, speech, FACE)
        said[:, lm.MOUTH, 0] += shift
        said = with_lip_gap(said, 0.5 * np.clip(lm.lip_gap(said), 0, None))
        found.append(Take(f"take {i}", said, speech, np.ones(80, bool), np.ones(80, bool)))
    return found


def test_what_is_off_is_put_right_on_clips_that_were_left_out(rng: np.random.Generator) -> None:
    of = model()
    own = takes(of, 4, rng)
    found = calibrate(of, own)
    before, after = found.figures["before"], found.figures["after"]
    assert after["lmd_mouth"] < 0.7 * before["lmd_mouth"]
    assert abs(after["lip_gap_sd_ratio"] - 1) < 0.5 * abs(before["lip_gap_sd_ratio"] - 1)
    fresh = takes(of, 1, rng)[0]
    better = calibrated(of, found, "me")
    said = [predict(m, fresh.speech, fresh.normalised[0]) for m in (of, better)]
    errors = [np.abs(track - fresh.normalised)[20:, lm.MOUTH].mean() for track in said]
    assert errors[1] < 0.8 * errors[0]


def test_a_single_clip_is_cut_in_two(rng: np.random.Generator) -> None:
    of = model()
    assert calibrate(of, takes(of, 1, rng)).figures["after"]["lmd_mouth"] > 0


def test_too_little_speech_is_refused(rng: np.random.Generator) -> None:
    of = model()
    quiet = [Take(t.name, t.normalised, t.speech, np.zeros(80, bool), t.found) for t in takes(of, 2, rng)]
    with pytest.raises(SpaceError, match="calibration: 0 frames of speech with a face, need 72"):
        calibrate(of, quiet)


def part_of(take: Take, spoken: slice, found: slice = slice(None)) -> Take:
    """A take in which somebody speaks, or has a face, in some frames only."""
    speaking, seen = np.zeros((2, len(take.normalised)), bool)
    speaking[spoken] = seen[found] = True
    return replace(take, speaking=speaking, found=seen)


NOTHING, FEW, ALL = slice(0, 0), slice(0, 11), slice(None)


@pytest.mark.parametrize("mute", [{"spoken": NOTHING}, {"spoken": FEW}, {"spoken": ALL, "found": NOTHING}])
def test_takes_that_say_nothing_are_left_out(
    mute: dict[str, slice], rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    of = model()
    own = takes(of, 3, rng)
    found = calibrate(of, [own[0], part_of(own[1], **mute), own[2]])
    assert "left out: take 1: " in caplog.text
    assert found.figures == calibrate(of, [own[0], own[2]]).figures


@pytest.mark.parametrize("spoken", [slice(0, 73), slice(87, 160)])
def test_a_single_clip_that_is_half_silent_is_cut_where_it_speaks(spoken: slice, rng: np.random.Generator) -> None:
    of = model()
    first, second = takes(of, 2, rng)
    whole = Take(
        "both", *(np.concatenate([getattr(t, f) for t in (first, second)]) for f in ("normalised", "speech", "speaking", "found"))
    )
    found = calibrate(of, [part_of(whole, spoken)])
    assert all(np.isfinite(value) for figures in found.figures.values() for value in figures.values())


def test_files_come_back_and_fit_their_model_alone(tmp_path: Path, rng: np.random.Generator) -> None:
    of = model()
    found = calibrate(of, takes(of, 2, rng))
    save_calibration(tmp_path / "me.safetensors", found)
    again = load_calibration(tmp_path / "me.safetensors")
    speech = made_up_speech("log-mel", 10, rng)
    first, second = (predict(calibrated(of, c, "me"), speech, FACE) for c in (found, again))
    assert (first == second).all() and again.figures == found.figures
    of.weights_sha256 = "b" * 64
    with pytest.raises(SpaceError, match="me: made for the model aaaaaaaaaaaa, need bbbbbbbbbbbb"):
        calibrated(of, again, "me")
    (tmp_path / "broken.safetensors").write_bytes((tmp_path / "me.safetensors").read_bytes()[:100])
    with pytest.raises(SpaceError, match="broken.safetensors: not a calibration"):
        load_calibration(tmp_path / "broken.safetensors")
    with pytest.raises(SpaceError, match="none.safetensors: no such file"):
        load_calibration(tmp_path / "none.safetensors")
