"""Pasting back against answers known by hand, on made-up pictures; and the warp on a real portrait."""

from pathlib import Path

import numpy as np
import pytest

from space_data.crop import CROP_SIZE_PX, CropBox
from space_data.landmarks import PoseTrack
from space_data.params import load_params
from space_models.generators import RENDERERS, Driving
from space_models.paste import EDGE_FADE, LARGEST_SIDE_PX, MOST_MACROBLOCKS, pasted, renderer_for, video_size
from space_models.portrait import SOURCE_MAX_PX, Portrait, load_portrait

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")


def portrait_in(picture: np.ndarray, box: CropBox) -> Portrait:
    """A portrait whose crop is `box` of a picture, without a face."""
    rgb = box.apply(picture, CROP_SIZE_PX, padding="soft")
    pose = PoseTrack.from_array(np.array([[0, 0, 0, 80, 256, 256]], np.float32))
    points = np.zeros((478, 3), np.float32)
    return Portrait(rgb, picture, points, points[:78], pose, points[:78], box, ())


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    """Noise with room to both sides, of an odd width: whatever moves by a pixel shows."""
    return rng.integers(40, 200, (600, 701, 3), dtype=np.uint8)


@pytest.mark.parametrize("box", [CropBox(50, 20, 512), CropBox(60, 90, 300), CropBox(-100, -40, 640), CropBox(400, 200, 512)])
def test_a_crop_at_rest_gives_the_picture_bit_for_bit(picture: np.ndarray, box: CropBox) -> None:
    portrait = portrait_in(picture, box)
    (whole,) = pasted([portrait.at_size(max(box.side, CROP_SIZE_PX)).rgb], portrait)
    np.testing.assert_array_equal(whole, picture[:, :700])


def test_a_change_lands_where_the_crop_was_cut_and_nowhere_else(picture: np.ndarray) -> None:
    portrait = portrait_in(picture, CropBox(50, 20, 512))
    brighter = portrait.rgb.copy()
    brighter[100:140, 200:260] += 17
    expected = picture[:, :700].copy()
    expected[120:160, 250:310] += 17
    (whole,) = pasted([brighter], portrait)
    np.testing.assert_array_equal(whole, expected)


def test_a_crop_that_was_enlarged_is_reduced_again(picture: np.ndarray) -> None:
    portrait = portrait_in(picture, CropBox(60, 90, 256))  # half of 512
    (whole,) = pasted([portrait.rgb + np.uint8(20)], portrait)
    change = whole.astype(int) - picture[:, :700]
    assert set(np.unique(change[110:320, 80:300])) == {20}
    outside = np.ones(change.shape[:2], bool)
    outside[90:346, 60:316] = False
    assert (change[outside] == 0).all()


def test_the_change_fades_out_at_edges_within_the_picture_only(picture: np.ndarray) -> None:
    portrait = portrait_in(picture, CropBox(-100, 20, 512))  # the picture's own edge is at the left
    (whole,) = pasted([portrait.rgb + np.uint8(20)], portrait)
    change = whole.astype(int) - picture[:, :700]
    band = round(EDGE_FADE * 512)
    assert (change[200, 0] == 20).all()
    right = change[200, 412 - band - 2 : 412, 0]
    assert right[0] == 20 and right[-1] == 1 and (np.diff(right) <= 0).all()
    assert (change[20, 200] == 1).all() and (change[19] == 0).all()


def test_too_few_pixels_replace_the_box_without_a_seam() -> None:
    ramp = np.repeat((np.arange(900) // 4).astype(np.uint8)[:, None, None], 900, 1).repeat(3, 2)
    portrait = portrait_in(ramp, CropBox(50, 20, 800))
    (whole,) = pasted([portrait.rgb], portrait)
    assert np.abs(whole.astype(int) - ramp).max() <= 1  # enlarged from 512: a smooth picture comes back
    dark = np.zeros_like(portrait.rgb)
    (whole,) = pasted([dark], portrait)
    assert whole[400, 400].max() == 0 and np.abs(np.diff(whole[400, :, 0].astype(int))).max() < 8


def test_frames_are_arrays_of_their_own(picture: np.ndarray) -> None:
    portrait = portrait_in(picture, CropBox(50, 20, 512))
    first, second = pasted([portrait.rgb, portrait.rgb + np.uint8(20)], portrait)
    assert (first == picture[:, :700]).all() and not (second == first).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (640, 480)), ((701, 601), (700, 600)), ((1, 1), (2, 2)), ((8192, 1024), (4096, 512)), ((512, 4096),) * 2],
)
def test_video_sizes_known_by_hand(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert video_size(*size) == expected


@pytest.mark.parametrize("size", [(6000, 4000), (4096, 4096), (4000, 6000), (3073, 3073), (12000, 8000)])
def test_video_sizes_stay_within_the_level_in_proportion(size: tuple[int, int]) -> None:
    width, height = video_size(*size)
    assert width % 2 == height % 2 == 0 and max(width, height) <= LARGEST_SIDE_PX
    assert -(-width // 16) * -(-height // 16) <= MOST_MACROBLOCKS
    assert width / height == pytest.approx(size[0] / size[1], rel=2e-3)
    assert width * height > 0.98 * MOST_MACROBLOCKS * 256


def test_a_large_picture_is_reduced_as_a_whole(rng: np.random.Generator) -> None:
    wide = np.full((40, 2 * LARGEST_SIDE_PX, 3), 100, np.uint8)
    portrait = portrait_in(wide, CropBox(1000, 4, 32))
    (whole,) = pasted([portrait.rgb + np.uint8(50)], portrait)
    assert whole.shape == (20, LARGEST_SIDE_PX, 3)
    assert whole[10, 508].tolist() == [150] * 3 and whole[10, 100].tolist() == [100] * 3


def moving(portrait: Portrait) -> Driving:
    """Six frames of a turning head."""
    pose = np.repeat(portrait.pose.as_array(), 6, 0)
    pose[:, 0] += np.linspace(-10, 10, 6)
    pose[:, 2] += np.linspace(6, -6, 6)
    face, unused = np.repeat(portrait.normalised[None], 6, 0), np.zeros((6, 160), np.float32)
    return Driving(face, PoseTrack.from_array(pose), unused, np.zeros(9, np.float32))


@pytest.mark.parametrize("quarters", [0, 1])
def test_a_real_head_moves_in_a_picture_that_stays(astronaut: np.ndarray, quarters: int) -> None:
    portrait = load_portrait(np.rot90(astronaut, quarters))  # lying: it comes out head up
    renderer = renderer_for(RENDERERS["warp"], portrait, Path("none"), PARAMS)
    frames = np.stack(list(pasted(renderer.render(renderer.prepare(portrait), moving(portrait)), portrait)))
    change = np.abs(frames.astype(int) - astronaut).max(axis=(0, 3))
    box, outside = portrait.box, np.ones((512, 512), bool)
    outside[box.y0 : box.y0 + box.side, box.x0 : box.x0 + box.side] = False
    assert change[outside].max() == 0
    edge = change[box.y0 : box.y0 + box.side, box.x0 : box.x0 + box.side].copy()
    edge[1:-1, 1:-1] = 0
    assert edge.max() <= 2  # no seam
    assert change[~outside].max() > 60


def test_warp_draws_as_many_pixels_as_the_photo_has(shared_media: Path) -> None:
    portrait = load_portrait(shared_media / "bw_photo_2048.jpg")
    assert portrait.box.side == SOURCE_MAX_PX and portrait.picture.shape[0] < 2048
    renderer = renderer_for(RENDERERS["warp"], portrait, Path("none"), PARAMS)
    assert renderer.size_px == SOURCE_MAX_PX
    rest = Driving(portrait.normalised[None], portrait.pose, np.zeros((1, 160), np.float32), np.zeros(9, np.float32))
    (whole,) = pasted(renderer.render(renderer.prepare(portrait), rest), portrait)
    assert np.abs(whole.astype(int) - portrait.picture[: whole.shape[0], : whole.shape[1]]).mean() < 0.1
