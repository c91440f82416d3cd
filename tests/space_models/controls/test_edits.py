"""Edits whose effect on the landmarks is known."""

from dataclasses import replace

import numpy as np
import pytest

from space_data import landmarks as lm
from space_models.controls.edits import edited, moved_groups, shaped_lips, with_blinks, with_gaze
from space_models.controls.gaze import EYE_WIDTHS_PER_RADIAN
from space_models.portrait import Portrait
from space_models.retarget import with_lip_gap
from space_models.tracks import EDITED, Tracks


@pytest.fixture
def face() -> np.ndarray:
    """The template's landmarks with pupils in the middle of the eyes, (78, 3)."""
    points = np.vstack([lm.template_mesh(), np.zeros((10, 3))])[lm.MESH_TO_78].astype(np.float32)
    points[lm.IRIS_LEFT] = points[[36, 39]].mean(0)
    points[lm.IRIS_RIGHT] = points[[42, 45]].mean(0)
    return points


@pytest.fixture
def rest(face: np.ndarray, astronaut_portrait: Portrait) -> Tracks:
    """Four frames of a face at rest."""
    still = np.repeat(face[None], 4, 0)
    return replace(Tracks.at_rest(astronaut_portrait, np.zeros((4, 160), np.float32)), spoken=still, edited=still)


def test_a_full_blink_shuts_the_eyes_and_leaves_the_rest(face: np.ndarray) -> None:
    track = np.repeat(face[None], 3, 0)
    shut = with_blinks(track, np.array([0.0, 0.5, 1.0], np.float32))
    opening = lm.eye_aspect_ratio(shut).mean(1)
    assert opening[0] == pytest.approx(lm.eye_aspect_ratio(track).mean(1)[0])
    assert opening[1] == pytest.approx(opening[0] / 2, rel=0.05)
    assert opening[2] < 1e-5
    untouched = np.setdiff1d(np.arange(78), [37, 38, 40, 41, 43, 44, 46, 47])
    assert (shut[:, untouched] == track[:, untouched]).all()


def test_gaze_turns_to_the_side_that_yaw_has(face: np.ndarray) -> None:
    track = np.repeat(face[None], 2, 0)
    moved = lm.gaze(with_gaze(track, np.array([[0, 0], [20, -10]], np.float32)))
    expected = np.deg2rad([-20, -10]) * EYE_WIDTHS_PER_RADIAN  # yaw + is to the image left, where x is less
    assert moved[1] - moved[0] == pytest.approx(expected, abs=1e-5)


def test_the_upper_lid_rides_on_the_eye_and_the_lower_one_follows(face: np.ndarray) -> None:
    moved = with_gaze(face[None], np.array([[20, 10]], np.float32))[0] - face
    iris = moved[lm.IRIS_LEFT, 1].mean()
    assert iris > 0, "pitch + is down"
    assert moved[[37, 38], 1] == pytest.approx([iris] * 2, abs=1e-5)
    assert (0.3 * iris < moved[[40, 41], 1]).all() and (moved[[40, 41], 1] < iris).all()
    assert (moved[[36, 37, 39, 41], 0] == 0).all() and (moved[[36, 39]] == 0).all(), "to the side, and at the corners, lids stay"


def test_eyes_that_look_up_or_down_still_shut(rest: Tracks) -> None:
    for pitch in (-15.0, 15.0):
        gaze = np.full_like(rest.gaze_deg, pitch)
        shut = edited(replace(rest, gaze_deg=gaze, lids=np.ones_like(rest.lids))).edited
        for upper, lower in lm.LID_PAIRS:
            assert shut[:, upper] == pytest.approx(shut[:, lower], abs=1e-6)


def test_eyes_stay_where_they_look_while_the_head_turns(rest: Tracks) -> None:
    pose = rest.pose.copy()
    pose[:, 0] = [0, 5, 10, 10]
    turned = edited(replace(rest, pose=pose))
    shift = np.rad2deg((lm.gaze(turned.edited) - lm.gaze(rest.edited))[:, 0] / EYE_WIDTHS_PER_RADIAN)
    assert shift == pytest.approx([0, 5, 10, 10], abs=0.01), "x right: against the head, which turns left"


def test_groups_of_landmarks_move_alone(face: np.ndarray) -> None:
    track, one, none = face[None], np.array([0.05], np.float32), np.zeros(1, np.float32)
    brows = moved_groups(track, one, none, none, none) - track
    assert brows[0, lm.BROWS, 1] == pytest.approx(-0.05) and not np.delete(brows[0], lm.BROWS, 0).any()
    corners = moved_groups(track, none, one, one, none)
    assert lm.lip_width(corners)[0] == pytest.approx(lm.lip_width(track)[0] + 0.1, abs=1e-3)
    assert corners[0, 48, 1] == pytest.approx(face[48, 1] - 0.05)
    jaw = moved_groups(track, none, none, none, one)
    assert lm.lip_gap(jaw)[0] == pytest.approx(lm.lip_gap(track)[0] + 0.05, abs=1e-5) and jaw[0, 8, 1] > face[8, 1]


@pytest.mark.parametrize("closure", [0.0, 0.5, 1.0])
def test_lips_open_by_the_gain_and_close_by_the_closure(face: np.ndarray, closure: float) -> None:
    gaps = np.linspace(0, 0.2, 41, dtype=np.float32)
    spoken = with_lip_gap(np.repeat(face[None], 41, 0), gaps)
    shaped = lm.lip_gap(shaped_lips(spoken, np.full(41, 1.5, np.float32), np.full(41, closure, np.float32)))
    assert (np.diff(shaped) > -1e-6).all(), "what was wider open stays so"
    assert shaped[0] == pytest.approx(0, abs=1e-5) and shaped[-1] == pytest.approx(0.3, abs=1e-4)
    assert shaped[3] / gaps[3] == pytest.approx(1.5 * (1 - closure * np.exp(-0.25)), abs=1e-3)


def test_lips_that_are_asked_nothing_are_the_spoken_ones_to_the_bit(rest: Tracks) -> None:
    same = edited(rest)
    assert same.stage == EDITED and np.array_equal(same.edited, rest.spoken)
