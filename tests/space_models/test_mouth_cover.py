"""Covered mouths: covers painted on a real face are seen, bare and grey faces are left in peace."""

import cv2
import numpy as np
import pytest

from space_data.media.images import read_image
from space_models.mouth_cover import covered_mouth
from space_models.portrait import load_portrait

MASK_OUTLINE = (197, 117, 93, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 323, 346)


def masked(rgb, mesh, colour):
    return cv2.fillPoly(rgb.copy(), [mesh[list(MASK_OUTLINE), :2].astype(np.int32)], colour)


def over_the_mouth(rgb, mesh, colour):
    """A disc of one colour with a lit edge, as a microphone or a fist, from nose to chin."""
    middle = tuple(int(v) for v in mesh[[13, 14], :2].mean(axis=0))
    radius = int(0.4 * np.linalg.norm(mesh[33, :2] - mesh[263, :2]))
    return cv2.circle(cv2.circle(rgb.copy(), middle, radius, colour, -1), middle, radius, [int(0.8 * c) for c in colour], 3)


@pytest.mark.parametrize("colour", [(150, 190, 215), (230, 230, 228), (28, 28, 30), (70, 120, 90), (150, 40, 45)])
def test_a_mask_of_any_colour_is_a_warning(astronaut, colour):
    portrait = load_portrait(astronaut)
    covered = load_portrait(masked(portrait.rgb, portrait.mesh, colour))
    assert any("mouth covered" in warning for warning in covered.warnings)


@pytest.mark.parametrize("colour", [(30, 30, 32), (120, 120, 120), None])
def test_a_microphone_or_a_hand_is_a_warning(astronaut, colour):
    portrait = load_portrait(astronaut)
    skin = tuple(int(v) for v in portrait.rgb[portrait.mesh[50, 1].astype(int), portrait.mesh[50, 0].astype(int)])
    covered = over_the_mouth(portrait.rgb, portrait.mesh, colour or skin)
    assert "no lips" in (covered_mouth(covered, portrait.mesh) or "")


def test_a_bare_mouth_is_none(astronaut):
    assert not any("mouth" in warning for warning in load_portrait(astronaut).warnings)


def test_of_a_grey_picture_nothing_is_said(astronaut):
    portrait = load_portrait(astronaut)
    grey = np.repeat(cv2.cvtColor(over_the_mouth(portrait.rgb, portrait.mesh, (30, 30, 30)), cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    assert covered_mouth(grey, portrait.mesh) is None


@pytest.mark.parametrize(
    "name",
    [
        "obama_half_body.jpg", "cruise_565x800.jpg", "f_closed_mouth_474.png", "f_lowres_256.png", "bw_photo_2048.jpg",
        "painting_rgba_510.png", "cartoon3d_852.jpg", "two_people.jpg", "tiny_face_561.jpg", "mic_near_mouth_rgba.png",
    ],
)  # fmt: skip
def test_bare_real_mouths_are_none(shared_media, name):
    """The last one holds a microphone below his mouth."""
    assert not any("mouth" in warning for warning in load_portrait(read_image(shared_media / name)).warnings)
