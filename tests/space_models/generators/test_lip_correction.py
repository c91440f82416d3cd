"""Gaps that a tracker reads as they were wanted: whatever draws the lips, without leaps, and the photo left alone."""

import numpy as np
import pytest

from space_models.generators.lip_correction import (
    BEYOND_IOD,
    SHUT_IOD,
    SPEAKING_IOD,
    SPEAKING_RISE_IOD,
    STEEPEST,
    STEEPEST_OPENING,
    TOLD_IOD,
    TOUCHING_IOD,
    GapCorrection,
)

OWN_GAPS = (-0.01, 0.0, 0.003, 0.011, 0.014, 0.016, 0.05, 0.114, 0.27)
READERS = {
    "as told": lambda told: told,
    "half": lambda told: 0.5 * told,
    "a seam of teeth": lambda told: told + 0.03,
    "no face": lambda told: np.full(len(told), np.nan),
    "noise": lambda told: np.random.default_rng(0).random(len(told)),
}


@pytest.mark.parametrize("own", OWN_GAPS)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("tried", [TOLD_IOD, BEYOND_IOD])
def test_correction_is_monotone_never_jumps_and_leaves_the_photo_alone(own, reader, tried):
    correction = GapCorrection.measure(own, READERS[reader], tried)
    gaps = np.linspace(-0.05, 0.5, 2000)
    told = correction(gaps)
    slopes = np.diff(told) / np.diff(gaps)
    assert np.isfinite(told).all()
    assert slopes.min() >= -1e-6
    assert slopes.max() < (4.5 if tried is TOLD_IOD else 1.5 * STEEPEST + SPEAKING_IOD / SPEAKING_RISE_IOD)
    assert correction(np.array(max(own, 0.0))) == pytest.approx(max(own, 0.0), abs=1e-6)


def test_correction_undoes_what_the_tracker_reads():
    correction = GapCorrection.measure(0.1, lambda told: 0.8 * told + 0.02)
    for wanted in (0.05, 0.07, 0.15, 0.2):
        assert 0.8 * correction(np.array(wanted)) + 0.02 == pytest.approx(wanted, abs=0.012)


def test_lips_that_touch_are_drawn_shut():
    assert GapCorrection.measure(0.1, lambda told: told)(np.array(SHUT_IOD)) == pytest.approx(0.0, abs=1e-6)
    assert GapCorrection.measure(0.004, lambda told: told)(np.array(SHUT_IOD)) == pytest.approx(0.004, abs=1e-6)
    crossing = GapCorrection.measure(0.1, lambda told: told, BEYOND_IOD)
    assert crossing(np.array(TOUCHING_IOD)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("own", [0.08, 0.15, 0.25])
@pytest.mark.parametrize(
    ("told", "found"),
    [
        pytest.param([0.0, 0.02, 0.045, 1.0], [0.0, 0.0, 0.045, 1.0], id="nothing below .02"),
        pytest.param([0.0, 0.01, 0.06, 1.0], [0.0, 0.04, 0.06, 1.0], id="much at .01"),
    ],
)
def test_lips_told_to_part_a_little_are_read_as_parted_whatever_the_portrait(own, told, found):
    """Of many open mouths nothing is read until lips are drawn .02 apart: .03, told at most 1.5 times more, was read as shut."""

    def read(gaps: np.ndarray) -> np.ndarray:
        return np.interp(gaps, told, found)

    correction = GapCorrection.measure(own, read)
    for wanted in (0.0, 0.0225, 0.03, 0.045):
        assert read(correction(np.array(wanted))) == pytest.approx(wanted, abs=0.006)


def test_lips_that_stay_apart_are_told_to_cross_where_they_may():
    def read(told: np.ndarray) -> np.ndarray:
        return np.maximum(0.8 * told + 0.03, 0)  # apart by .03 when told to meet, by .014 when told -.02

    warned, allowed = (GapCorrection.measure(0.1, read, tried) for tried in (TOLD_IOD, BEYOND_IOD))
    assert read(warned(np.array(0.0))) == pytest.approx(0.03)
    assert read(allowed(np.array(0.0))) < TOUCHING_IOD
    assert read(warned(np.array(0.05))) == pytest.approx(0.05, abs=0.01)


def test_lips_that_may_cross_and_are_to_stay_apart_are_told_to_part_more():
    """Speech draws them nearer than the trial; not where they are to touch, and not at the photo's own gap."""
    told = 0.1 * np.array([0.15, 0.3, 0.9, 1.0, 1.5])
    shut_to_own = (told[:2] - TOUCHING_IOD) / (0.1 - TOUCHING_IOD) * 0.1  # of the trial: straight from lips that touch
    more = GapCorrection.measure(0.1, lambda told: told, BEYOND_IOD)(told) - told
    more[:2] += told[:2] - shut_to_own
    assert more[[0, 3, 4]] == pytest.approx(0.0, abs=1e-6)
    assert more[1] == pytest.approx(SPEAKING_IOD, abs=0.005) and 0 < more[2] < 0.3 * SPEAKING_IOD


def test_a_mouth_that_opens_late_is_never_told_less_than_was_asked():
    """A shut photo behind L2L: nothing is seen below .08, and the trial ends before the widest gaps are read."""

    def read(told: np.ndarray) -> np.ndarray:
        return np.clip(0.5 * (told - 0.08), 0, None)

    gaps = np.array([0.03, 0.1, 0.2, 0.24])
    crossing, meeting = (GapCorrection.measure(0.003, read, tried)(gaps) for tried in (BEYOND_IOD, TOLD_IOD))
    assert (crossing >= gaps).all()
    assert (meeting[1:] >= gaps[1:]).all()


def test_a_mouth_that_opens_late_is_told_more_until_it_has_caught_up():
    """As drawn from a shut photo behind L2L, which passes on more of a gap in speech than in the trial."""

    def drawn(gap: np.ndarray) -> np.ndarray:
        return np.clip(gap - 0.03, 0, None)  # of the gap between the drawing's own keypoints

    correction = GapCorrection.measure(0.003, lambda told: drawn(0.45 * told), BEYOND_IOD)
    wanted = np.array([0.06, 0.09, 0.12, 0.2])
    spoken = drawn(0.72 * wanted + 0.45 * (correction(wanted) - wanted))
    assert spoken == pytest.approx(wanted, abs=0.015)
    assert np.abs(drawn(0.72 * wanted) - wanted).min() > 0.04, "without the trial"
    assert correction(np.array(0.03)) == pytest.approx(STEEPEST_OPENING * (0.03 - TOUCHING_IOD), abs=0.01), "no leap"


def test_a_smile_is_told_to_cross_far():
    """A photo of a broad smile: of what is told .2 is drawn."""
    correction = GapCorrection.measure(0.14, lambda told: 0.2 * told + 0.055, BEYOND_IOD)
    assert correction(np.array(0.0)) == pytest.approx(BEYOND_IOD[0], abs=0.01)


def test_a_face_that_cannot_be_read_crosses_nothing():
    unread = GapCorrection.measure(0.1, lambda told: np.full(len(told), np.nan), BEYOND_IOD)
    assert unread(np.array([0.0, 0.1])) == pytest.approx([0.0, 0.1])
