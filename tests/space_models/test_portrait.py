"""Portraits: what is found in good pictures, and one clear line for bad ones."""

import logging
import re

import cv2
import numpy as np
import pytest

from space_data.crop import CROP_SIZE_PX, FACE_SHARE
from space_data.errors import SpaceError
from space_data.landmarks import lip_gap, posed
from space_data.media.images import read_image, write_image
from space_models import portrait as portrait_module
from space_models.portrait import load_portrait, portrait_of_crop


def test_astronaut_is_cropped_and_measured(astronaut):
    portrait = load_portrait(astronaut, "astronaut")
    assert portrait.rgb.shape == (CROP_SIZE_PX, CROP_SIZE_PX, 3) and portrait.rgb.dtype == np.uint8
    assert portrait.mesh.shape == (478, 3) and portrait.landmarks.shape == portrait.normalised.shape == (78, 3)
    face_height = np.ptp(portrait.mesh[:, 1]) / CROP_SIZE_PX
    assert face_height == pytest.approx(FACE_SHARE, abs=0.02)
    assert abs(float(portrait.pose.yaw_deg[0])) < 5  # she looks at the camera
    assert lip_gap(portrait.normalised) > 0.05  # and shows her teeth
    # the face is about 93 px wide in this picture
    assert any("93 px wide" in warning for warning in portrait.warnings)


def test_normalised_landmarks_and_pose_give_the_landmarks_back(astronaut):
    portrait = load_portrait(astronaut)
    np.testing.assert_allclose(posed(portrait.normalised[None], portrait.pose)[0], portrait.landmarks, atol=0.01)


def test_a_path_and_its_pixels_give_the_same(astronaut, tmp_path):
    write_image(tmp_path / "a.png", astronaut)
    from_file, from_pixels = load_portrait(tmp_path / "a.png"), load_portrait(astronaut)
    np.testing.assert_array_equal(from_file.rgb, from_pixels.rgb)
    np.testing.assert_allclose(from_file.landmarks, from_pixels.landmarks, atol=1e-4)


def test_of_two_faces_the_larger_is_taken_with_a_warning(astronaut, caplog):
    small = cv2.resize(astronaut[:300, 80:380], (240, 240), interpolation=cv2.INTER_AREA)
    picture = np.full((560, 900, 3), 190, np.uint8)
    picture[40:552, 380:892] = astronaut
    picture[120:360, 60:300] = small
    with caplog.at_level(logging.WARNING):
        portrait = load_portrait(picture, "pair")
    assert any("2 faces found, the largest" in warning for warning in portrait.warnings)
    assert "pair: 2 faces" in caplog.text
    assert portrait.box.x0 + portrait.box.side / 2 > 500


def test_no_face_is_one_clear_line():
    with pytest.raises(SpaceError, match=r"grey: no human face found in the 320x240 px picture"):
        load_portrait(np.full((240, 320, 3), 128, np.uint8), "grey")


def test_not_a_picture(tmp_path):
    (tmp_path / "not.jpg").write_text("not a picture")
    for bad in (tmp_path / "missing.jpg", tmp_path / "not.jpg", tmp_path):
        with pytest.raises(SpaceError):
            load_portrait(bad)
    with pytest.raises(SpaceError, match="uint8 RGB"):
        load_portrait(np.zeros((64, 64), np.uint8))


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("two_people.jpg", "2 faces"),
        ("tiny_face_561.jpg", "px wide"),
    ],
)
def test_doubtful_real_portraits_carry_a_warning(shared_media, name, word):
    assert any(word in warning for warning in load_portrait(shared_media / name).warnings)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dog_png_named.jpg", "no human face found in the 512x512 px picture"),
        ("profile_rgba_png_named.jpg", "turned 5. degrees to the side, need 45 or less"),
        ("partial_face.jpg", "cut by the edge of the picture, .. % of it visible, need 93 %"),
    ],
)
def test_real_pictures_that_cannot_be_animated_say_why(shared_media, name, words):
    with pytest.raises(SpaceError, match=words):
        load_portrait(shared_media / name)


def test_a_tiny_face_says_its_size(astronaut):
    tiny = cv2.resize(astronaut, (128, 128), interpolation=cv2.INTER_AREA)
    with pytest.raises(SpaceError, match=r"tiny: face 2. px wide, need 40 px"):
        load_portrait(tiny, "tiny")


def test_a_face_that_fills_the_picture_is_found(astronaut):
    mesh = load_portrait(astronaut).box.inverse(load_portrait(astronaut).mesh)
    (x0, y0), (x1, y1) = mesh[:, :2].min(axis=0).astype(int), mesh[:, :2].max(axis=0).astype(int)
    close_up = cv2.resize(astronaut[y0:y1, x0 - 4 : x1 + 4], None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    assert load_portrait(close_up).mesh.shape == (478, 3)


@pytest.mark.parametrize("name", ["obama_half_body.jpg", "bw_photo_2048.jpg"])
def test_good_real_portraits_carry_none(shared_media, name):
    assert load_portrait(shared_media / name).warnings == ()


@pytest.mark.parametrize(
    ("quarters", "words"), [(1, "90 degrees to the right"), (2, "180 degrees"), (3, "90 degrees to the left")]
)
def test_a_head_that_lies_is_turned_upright(astronaut, quarters, words):
    upright, lying = load_portrait(astronaut), load_portrait(np.rot90(astronaut, quarters))
    np.testing.assert_array_equal(lying.rgb, upright.rgb)
    assert lying.warnings == (f"picture turned by {words}, head up", *upright.warnings)


def turned(picture, to_the_right_deg):
    """The picture turned about its middle, in a frame that holds all of it."""
    side = int(1.42 * max(picture.shape))
    turn = cv2.getRotationMatrix2D((picture.shape[1] / 2, picture.shape[0] / 2), -to_the_right_deg, 1)
    turn[:, 2] += side / 2 - np.array([picture.shape[1] / 2, picture.shape[0] / 2])
    return cv2.warpAffine(picture, turn, (side, side), borderValue=(127, 127, 127))


@pytest.mark.parametrize(("angle_deg", "side", "back"), [(45, "right", "left"), (-45, "left", "right"), (135, "right", "left")])
def test_a_tilted_head_is_refused_with_its_angle(astronaut, angle_deg, side, back):
    with pytest.raises(
        SpaceError, match=rf"tilted \d+ degrees to the {side}, need .* 30 \(turn .* by \d+ .* to the {back}\)"
    ) as caught:
        load_portrait(turned(astronaut, angle_deg))
    assert float(re.findall(r"\d+", str(caught.value))[0]) == pytest.approx(abs(angle_deg), abs=8)


@pytest.mark.parametrize("angle_deg", [-15, 15])
def test_a_slightly_tilted_head_is_left_as_it_is(astronaut, angle_deg):
    portrait = load_portrait(turned(astronaut, angle_deg))
    assert float(portrait.pose.roll_deg[0]) == pytest.approx(angle_deg, abs=8)
    assert not any("turned by" in warning for warning in portrait.warnings)


@pytest.mark.parametrize("name", ["obama_half_body.jpg", "cruise_565x800.jpg", "f_closed_mouth_474.png", "f_lowres_256.png"])
def test_every_quarter_turn_of_real_portraits_is_found(shared_media, name):
    upright = read_image(shared_media / name)
    for quarters in range(4):
        np.testing.assert_array_equal(load_portrait(np.rot90(upright, quarters)).rgb, load_portrait(upright).rgb)


def test_a_crop_is_not_cropped_again(astronaut):
    crop = load_portrait(astronaut).rgb
    portrait = portrait_of_crop(crop)
    assert (portrait.rgb == crop).all() and (portrait.box.x0, portrait.box.y0, portrait.box.side) == (0, 0, 512)
    np.testing.assert_allclose(portrait.landmarks, load_portrait(astronaut).landmarks, atol=1.5)
    small = portrait_of_crop(crop[::2, ::2])
    assert small.rgb.shape == (512, 512, 3) and abs(small.landmarks - portrait.landmarks).mean() < 4


def test_a_crop_must_be_square_and_hold_a_face(astronaut):
    with pytest.raises(SpaceError, match="square"):
        portrait_of_crop(astronaut[:, :300])
    with pytest.raises(SpaceError, match="no face"):
        portrait_of_crop(np.zeros((512, 512, 3), np.uint8))


def test_a_panorama_is_searched_without_a_frame_of_its_length(astronaut, monkeypatch):
    seen = []
    find = portrait_module.face_finder().boxes
    monkeypatch.setattr(portrait_module.face_finder(), "boxes", lambda rgb: (seen.append(rgb.shape), find(rgb))[1])
    panorama = np.full((512, 12_000, 3), 120, np.uint8)
    with pytest.raises(SpaceError, match="12000x512 px picture .* cut it closer around the head if the face is small"):
        load_portrait(panorama)
    assert max(height * width for height, width, _ in seen) <= 4096**2, "framed by half its length it has 150 million pixels"


def test_a_face_that_fills_a_large_picture_is_found_where_it_is_in_a_small_one(astronaut):
    close = astronaut[75:170, 175:270]
    boxes = []
    for side in (1000, 4000):
        rgb = cv2.resize(close, (side, side), interpolation=cv2.INTER_CUBIC)
        assert not len(portrait_module.face_finder().boxes(rgb)), "needs the frame"
        boxes.append(portrait_module._faces(rgb)[0, :4] / side)
    np.testing.assert_allclose(boxes[0], boxes[1], atol=0.02)
