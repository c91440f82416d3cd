"""Motion transfer: fixed points and answers known by hand."""

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.landmarks import IRISES, LID_PAIRS, eye_aspect_ratio, lip_gap
from space_models.portrait import load_portrait
from space_models.retarget import close_smile, neutral_of, retarget


@pytest.fixture(scope="module")
def portrait():
    from skimage.data import astronaut

    return load_portrait(astronaut())


def _opened(face: np.ndarray, by: float) -> np.ndarray:
    moved = face.copy()
    moved[[65, 66, 67], 1] += by
    return moved


def test_a_driver_at_rest_with_the_same_face_changes_nothing(portrait):
    face = portrait.normalised
    result = retarget(np.repeat(face[None], 4, axis=0), face, portrait.normalised)
    np.testing.assert_allclose(result, np.repeat(face[None], 4, axis=0), atol=1e-5)


def test_the_drivers_size_does_not_matter(portrait, rng):
    face = portrait.normalised
    driver = face + rng.normal(0, 0.01, (6, 78, 3)).astype(np.float32)
    photo = portrait.normalised
    np.testing.assert_allclose(retarget(driver, face, photo), retarget(1.3 * driver, 1.3 * face, photo), atol=1e-4)


def test_lip_opening_is_added_to_the_portrait(portrait):
    face = portrait.normalised
    result = retarget(_opened(face, 0.1)[None], face, portrait.normalised)
    assert lip_gap(result)[0] - lip_gap(face) == pytest.approx(0.1, abs=1e-4)


def test_a_smiling_photo_closes_its_mouth_with_the_driver(portrait):
    closed = portrait.normalised.copy()
    middle = (closed[[61, 62, 63], 1] + closed[[67, 66, 65], 1]) / 2
    closed[[61, 62, 63], 1] = closed[[67, 66, 65], 1] = middle
    result = retarget(closed[None], closed, portrait.normalised)
    assert lip_gap(portrait.normalised) > 0.05
    assert lip_gap(result)[0] == pytest.approx(0.0, abs=1e-4)
    np.testing.assert_array_equal(close_smile(closed, 0.1, 1.0), closed)  # nothing to close


def test_a_tracked_blink_shuts_the_eyes(portrait):
    face = portrait.normalised
    blink = face.copy()
    for upper, lower in LID_PAIRS:  # trackers see 0.29 of the opening at full closure
        blink[upper] = blink[lower] + 0.29 * (blink[upper] - blink[lower])
    assert eye_aspect_ratio(retarget(blink[None], face, portrait.normalised)).max() < 0.01


def test_gaze_moves_the_irises_only(portrait):
    face = portrait.normalised
    looking = face.copy()
    looking[IRISES, 0] += 0.05
    result = retarget(looking[None], face, portrait.normalised)[0]
    np.testing.assert_allclose(result[IRISES, 0] - face[IRISES, 0], 0.05, atol=1e-3)
    np.testing.assert_allclose(result[:68], face[:68], atol=1e-5)


def test_neutral_ignores_speech_and_blinks(portrait):
    face = portrait.normalised
    blink = face.copy()
    for upper, lower in LID_PAIRS:
        blink[upper] = blink[lower]
    track = np.stack([face] * 6 + [_opened(face, 0.2)] * 6 + [blink] * 3)
    np.testing.assert_allclose(neutral_of(track), face, atol=1e-6)
    with pytest.raises(SpaceError, match="no face in any of 3"):
        neutral_of(np.full((3, 78, 3), np.nan))


def test_shapes_are_checked(portrait):
    with pytest.raises(SpaceError, match="retarget"):
        retarget(np.zeros((5, 68, 3)), np.zeros((78, 3)), portrait.normalised)
