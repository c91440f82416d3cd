"""The full-size picture: what must not change does not, what must move moves by the pixel."""

import numpy as np
import pytest

from space_models.generators.compact.canvas import SIZE_PX
from space_models.generators.compact.composite import CanvasFrame, composite, without_tears
from space_models.generators.compact.motion import FLOW_SIDE
from space_models.generators.warp_background import Background

POSE = np.float32([10, -5, 7, 150, 250, 240, 0])
OTHER = np.float32([-10, 5, -3, 160, 270, 250, 0])


@pytest.fixture
def photo(rng: np.random.Generator) -> np.ndarray:
    return np.repeat(np.repeat(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8), 8, 0), 8, 1)


def frame(shown: float = 1.0, displacement: tuple[float, float] = (0.0, 0.0), pose: np.ndarray = POSE) -> CanvasFrame:
    field = np.tile(np.float32(displacement)[:, None, None], (1, FLOW_SIDE, FLOW_SIDE))
    paint = np.tile(np.float32([1.0, 0.5, 0.0]), (SIZE_PX, SIZE_PX, 1))
    return CanvasFrame(field, paint, np.full((SIZE_PX, SIZE_PX), shown, np.float32), POSE, pose)


def test_no_displacement_gives_the_photo_itself_whatever_the_pose(photo: np.ndarray) -> None:
    assert np.array_equal(composite(photo, frame()), photo)
    assert np.array_equal(composite(photo, frame(pose=OTHER)), photo)


def test_displacement_is_in_the_sources_plane(photo: np.ndarray) -> None:
    """One tenth of an IOD to the right in the source's head's plane is 15 pixels along its roll."""
    roll = np.deg2rad(7)
    drawn = composite(photo, frame(displacement=(0.1 * np.cos(roll), -0.1 * np.sin(roll)), pose=OTHER))  # along the picture's x
    assert np.abs(drawn[:, :490].astype(int) - photo[:, 15:505]).mean() < 0.5


def test_only_the_person_moves_before_a_background(photo: np.ndarray) -> None:
    roll = np.deg2rad(7)
    moving = frame(displacement=(0.1 * np.cos(roll), -0.1 * np.sin(roll)))  # what is 15 pixels to the right is shown
    plate, person = np.full_like(photo, 9), np.zeros((512, 512), np.float32)
    person[:, :256] = 1
    drawn = composite(photo, moving, Background(plate, person))
    assert np.array_equal(drawn[:, :240], composite(photo, moving)[:, :240])
    assert (drawn[:, 243:] == 9).all()
    assert np.array_equal(composite(photo, frame(), Background(plate, person)), photo), "what rests is the photo"


def test_paint_covers_where_nothing_is_shown_and_nowhere_else(photo: np.ndarray) -> None:
    painted = composite(photo, frame(shown=0.1))
    assert np.abs(painted.astype(int) - [255, 128, 0]).max() <= 1
    half = frame()
    shown = np.ones((SIZE_PX, SIZE_PX), np.float32)
    shown[: SIZE_PX // 4] = 0.0  # the upper rows of the canvas: above the eyes
    drawn = composite(photo, CanvasFrame(half.displacement, half.painted, shown, POSE, POSE))
    assert np.array_equal(drawn[300:], photo[300:])
    assert np.abs(drawn[20, 256].astype(int) - [255, 128, 0]).max() <= 2


def test_skin_that_is_mostly_shown_stays_the_photo(photo: np.ndarray) -> None:
    assert np.array_equal(composite(photo, frame(shown=0.8)), photo)


def test_a_tear_of_a_turned_portrait_is_smoothed_on_the_temple_and_not_at_the_mouth() -> None:
    torn = np.zeros((FLOW_SIDE, FLOW_SIDE, 2), np.float32)
    torn[::2] = 0.2  # every other row of cells
    mended = without_tears(torn, 12.0)
    temple, mouth = (np.ptp(mended[row : row + 2, column, 0]) for row, column in ((8, 6), (45, 32)))
    assert temple < 0.02 and mouth == pytest.approx(0.2)
    assert np.array_equal(without_tears(torn, 4.0), torn), "a portrait that looks ahead"
