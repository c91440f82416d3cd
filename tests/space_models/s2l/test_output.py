"""The recipe of S2L's output: answers known by hand."""

import numpy as np
import pytest
from made_up_talk import config, loud_network, made_up_speech, template_face

from space_data import landmarks as lm
from space_data.closures import CLOSED_GAP_IOD
from space_data.schema import EMOTIONS, UNKNOWN, emotion_vector
from space_data.speech_encoder import LOG_MEL
from space_models.retarget import REST_GAP_IOD, relaxed, with_lip_gap
from space_models.s2l import output
from space_models.s2l.output import Fade, GapMap, OutputSettings, Speaker, faded, fit_gap_map, spoken
from space_models.s2l.stream import predict

FACE = template_face()
NATURAL = OutputSettings(articulation=1.0, fade_s=0.2)
CALM = np.zeros((1, 9), np.float32)


def speaker(constant: float = 0.0, opening: float = 0.0) -> Speaker:
    """Of the template's face; ``constant`` is a shift of the mouth to the right, ``opening`` is that of 'surprised'."""
    moved, openings = np.zeros((78, 3), np.float32), np.zeros(10, np.float32)
    moved[lm.MOUTH, 0], openings[EMOTIONS.index("surprised")] = constant, opening
    return Speaker(FACE, FACE, moved, openings)


def opened(gap: float) -> np.ndarray:
    """Displacement (1, 78, 3) that gives the template this lip gap."""
    return with_lip_gap(FACE[None], np.array([gap])) - FACE


def test_a_smiling_photo_is_brought_to_rest_and_a_closed_mouth_is_left() -> None:
    smile = FACE.copy()
    smile[[65, 66, 67], 1] += 0.12
    assert lm.lip_gap(relaxed(smile)) == pytest.approx(REST_GAP_IOD, abs=1e-3)
    closed = FACE.copy()
    closed[[65, 66, 67], 1] = closed[[63, 62, 61], 1]
    assert relaxed(closed) == pytest.approx(closed, abs=1e-6)


def test_the_gap_is_set_by_lips_and_chin_alone() -> None:
    moved = with_lip_gap(np.repeat(FACE[None], 3, 0), np.array([0.0, 0.1, 0.3]))
    assert lm.lip_gap(moved) == pytest.approx([0.0, 0.1, 0.3], abs=1e-6)
    still = np.setdiff1d(np.arange(78), [*lm.MOUTH, *lm.JAW])
    assert (moved[:, still] == FACE[still]).all()


def test_a_map_is_fitted_between_quantiles_and_goes_on_with_slope_one() -> None:
    predicted = np.linspace(0.05, 0.15, 500)
    gap_map = GapMap.fit(predicted, 3 * (predicted - 0.05))
    assert gap_map(np.array([0.05, 0.1, 0.15])) == pytest.approx([0.0, 0.15, 0.3], abs=1e-4)
    assert gap_map(np.array([0.0, 0.2])) == pytest.approx([0.0, 0.35], abs=1e-4), "held below, slope 1 above"
    assert GapMap.identity()(predicted) == pytest.approx(predicted, abs=1e-6)


def test_a_map_gives_averaged_lips_their_closures_back(rng: np.random.Generator) -> None:
    """Averaging keeps the order of frames and loses the ends of their range: the map brings both back."""
    measured = np.clip(rng.normal(0.08, 0.07, 2000), 0, None)
    averaged = 0.03 + 0.6 * measured
    gap_map = fit_gap_map(averaged, np.zeros(2000), measured)
    assert (averaged < CLOSED_GAP_IOD).mean() == 0
    closed = (measured < CLOSED_GAP_IOD).mean()
    assert (gap_map(averaged) < CLOSED_GAP_IOD).mean() == pytest.approx(closed, abs=0.02)


def test_an_emotion_that_parts_the_lips_lets_them_meet() -> None:
    gap_map = GapMap(np.float32([0.04, 0.14]), np.float32([0.0, 0.1]))
    gaps, added = np.array([0.04, 0.07, 0.2]), np.full(3, 0.03)
    assert gap_map.opened(gaps, np.zeros(3)) == pytest.approx([0.0, 0.03, 0.16], abs=1e-6)
    # .04 - .03 is below the map: shut. .07 is a closure + the emotion's .03: shut. .2: the emotion's gap is back.
    assert gap_map.opened(gaps, added) == pytest.approx([0.0, 0.0, 0.13 + 0.03], abs=1e-6)
    fitted = fit_gap_map(np.array([0.07, 0.2]), np.full(2, 0.03), np.array([0.0, 0.16]))
    assert fitted.opened(np.array([0.07, 0.2]), np.full(2, 0.03)) == pytest.approx([0.0, 0.16], abs=1e-5)


def test_openings_go_by_intensity_and_unknown_has_its_own() -> None:
    who = speaker(opening=0.04)
    who.openings[output.UNKNOWN_EMOTION] = 0.01
    asked = np.stack([CALM[0], emotion_vector("surprised", 0.5), emotion_vector("happy", 1.0), emotion_vector(UNKNOWN, 0.0)])
    assert who.opening(asked) == pytest.approx([0.0, 0.02, 0.0, 0.01])


def test_articulation_is_the_share_of_the_map() -> None:
    gap_map = GapMap(np.float32([0.04, 0.14]), np.float32([0.0, 0.1]))
    for articulation, wanted in ((0.0, 0.05), (0.5, 0.03), (1.0, 0.01)):
        points = spoken(opened(0.05), CALM, speaker(), gap_map, OutputSettings(articulation, 0.0))
        assert lm.lip_gap(points) == pytest.approx([wanted], abs=1e-5)


def test_half_of_the_constant_is_taken_off_and_the_gap_is_left() -> None:
    points = spoken(opened(0.05), CALM, speaker(constant=0.04), GapMap.identity(), NATURAL)
    assert points[0, 54, 0] - FACE[54, 0] == pytest.approx(-0.02, abs=1e-6)
    assert lm.lip_gap(points) == pytest.approx([0.05], abs=1e-6)


def test_the_first_frame_is_the_photo_and_it_fades() -> None:
    said = np.repeat(FACE[None], 20, 0)
    said[:, 54, 0] += 0.1
    shown, fade = faded(said, speaker(), Fade(), NATURAL)
    assert shown[0] == pytest.approx(FACE, abs=1e-6)
    left = (said - shown)[:, 54, 0]
    assert left == pytest.approx(0.1 * np.exp(-np.arange(20) / 25 / 0.2), abs=1e-6)
    assert fade.shown == 20
    assert (faded(said, speaker(), Fade(), OutputSettings(1.0, 0.0))[0] == said).all()


def test_a_stream_begins_with_the_photo_whatever_the_photo_does(rng: np.random.Generator) -> None:
    smile = FACE.copy()
    smile[[65, 66, 67], 1] += 0.2
    model = loud_network(config())
    shown = predict(model, made_up_speech(LOG_MEL, 5, rng), smile, emotion_vector("happy", 1.0))
    assert shown[0] == pytest.approx(smile, abs=1e-5)
