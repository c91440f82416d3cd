"""The covers that the portrait benchmark paints lie over the mouth, have the colour asked for and leave the rest as it is."""

import numpy as np
import pytest

from benchmarks.portrait_changes import covers, hand, mask, microphone, rotated
from benchmarks.portrait_checks import Answer, is_right
from space_models.portrait import load_portrait

FOREHEAD, EYES, CHEEKS, LIPS, CHIN = 9, (159, 386), (50, 280), (11, 16), 152


@pytest.fixture(scope="module")
def face(astronaut):
    portrait = load_portrait(astronaut)
    return portrait.rgb, portrait.mesh


def patch(rgb, mesh, *points):
    """Median colour of 5 x 5 pixels around each mesh point, over all points."""
    places = mesh[list(points), :2].astype(int)
    return np.median([rgb[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3) for x, y in places], axis=(0, 1))


def test_a_mask_has_its_colour_from_nose_to_chin_and_ends_below_the_eyes(face, rng):
    rgb, mesh = face
    covered = mask(rgb, mesh, (60, 120, 200), rng)
    blue, red = (patch(covered, mesh, *LIPS)[channel] for channel in (2, 0))
    assert blue > 2 * red and patch(covered, mesh, CHIN)[2] > 2 * patch(covered, mesh, CHIN)[0]
    eyes_end = int(mesh[list(EYES), 1].max())
    assert np.array_equal(covered[:eyes_end], rgb[:eyes_end])


def test_a_mask_of_many_colours_has_many(face, rng):
    rgb, mesh = face
    plain, patches = (mask(rgb, mesh, (200, 150, 160), rng, patches=kind).astype(float) for kind in (False, True))
    middle = mesh[LIPS[0], :2].astype(int)
    area = (slice(middle[1] - 20, middle[1] + 20), slice(middle[0] - 40, middle[0] + 40))
    assert patches[area].std(axis=(0, 1)).min() > 2 * plain[area].std(axis=(0, 1)).max()


def test_a_hand_has_the_skins_colour_and_hides_the_lips(face, rng):
    rgb, mesh = face
    covered = hand(rgb, mesh, rng)
    skin, lips, cover = patch(rgb, mesh, *CHEEKS), patch(rgb, mesh, *LIPS), patch(covered, mesh, *LIPS)
    off_skin = [float(np.linalg.norm(colour / colour.sum() - skin / skin.sum())) for colour in (cover, lips)]
    assert off_skin[0] < 0.5 * off_skin[1]
    assert np.array_equal(patch(covered, mesh, FOREHEAD), patch(rgb, mesh, FOREHEAD))


@pytest.mark.parametrize("grey", [40, 120])
def test_a_microphone_is_grey_over_the_lips_and_as_light_as_asked_for(face, rng, grey):
    rgb, mesh = face
    ball = patch(microphone(rgb, mesh, grey, rng), mesh, *LIPS)
    assert np.ptp(ball) < 10 and 0.8 * grey < ball.mean() < 2.5 * grey


def test_covers_are_made_of_the_generator_alone(face):
    rgb, mesh = face
    before = rgb.copy()
    first, again, other = (dict(covers(rgb, mesh, {"red": (150, 40, 45)}, np.random.default_rng(seed))) for seed in (1, 1, 2))
    assert list(first) == ["mask red", "mask of many colours", "hand", "microphone, dark", "microphone, light"]
    for kind in first:
        assert np.array_equal(first[kind], again[kind]) and not np.array_equal(first[kind], other[kind])
    assert np.array_equal(rgb, before)


def test_pictures_turn_clockwise():
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[0, 0] = 255  # top left goes to top right
    assert rotated(rgb, 90).shape == (60, 40, 3) and rotated(rgb, 90)[0, -1, 0] == 255
    bar = np.zeros((101, 101, 3), np.uint8)
    bar[:40, 50] = 255  # from twelve to half past one
    rows, columns = np.nonzero(rotated(bar, 45)[..., 0] > 200)
    middle = (rotated(bar, 45).shape[0] - 1) / 2
    assert (rows < middle).all() and (columns > middle).all() and np.abs(rows + columns - 2 * middle).max() <= 3


@pytest.mark.parametrize(
    ("taken", "turned_deg", "said_deg", "true_deg", "right"),
    [
        (True, 0, 2, 0, True), (True, 180, -175, 180, True), (True, 0, 2, 180, False), (True, 90, 95, 120, False),
        (False, 0, 47, 45, True), (False, 0, 4, 0, False), (False, 0, -133, 45, False), (False, 0, None, 45, False),
    ],
)  # fmt: skip
def test_right_is_upright_or_a_refusal_with_the_angle(face, taken, turned_deg, said_deg, true_deg, right):
    portrait = load_portrait(face[0]) if taken else None
    assert is_right(Answer(portrait, "", turned_deg, said_deg), true_deg) is right
