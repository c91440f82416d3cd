"""A video as portrait: the frame whose faults are known to be the least is taken; what is no video is told as before."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.landmarks import lip_gap
from space_data.media.encode import write_video, write_wav
from space_models.portrait import load_portrait
from space_models.video_portrait import LOOK_HZ, read_portrait_picture


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Path:
    """Two seconds: nobody, a blurred face, at 1.25 s the sharp one, a blurred one again."""
    path = tmp_path_factory.mktemp("filmed") / "clip.mp4"
    blurred = cv2.GaussianBlur(astronaut, (0, 0), 2.5)
    frames = [np.full_like(astronaut, 90)] * 2 + [blurred] * 3 + [astronaut] + [blurred] * 2
    write_video(path, frames, fps=int(LOOK_HZ), crf=4)
    return path


def test_the_sharpest_frame_is_taken_and_told(filmed: Path, astronaut: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        picture = read_portrait_picture(filmed)
    assert "frame at 1.25 s is the portrait" in caplog.text
    assert np.abs(picture.astype(int) - astronaut).mean() < 3
    assert load_portrait(filmed).box.side == pytest.approx(load_portrait(astronaut).box.side, abs=8)


def test_of_a_real_talk_a_frame_with_lips_nearly_shut_and_eyes_open(shared_media: Path) -> None:
    portrait = load_portrait(shared_media / "vfr_m_700.mp4")
    assert abs(portrait.pose.yaw_deg[0]) < 15 and lip_gap(portrait.normalised) < 0.05


def test_a_video_without_a_face_and_files_that_are_none(tmp_path: Path) -> None:
    write_video(tmp_path / "wall.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 10)
    with pytest.raises(SpaceError, match="no face found in the first 10 s of the video"):
        load_portrait(tmp_path / "wall.mp4")
    write_wav(tmp_path / "sound.wav", np.zeros(16_000, np.float32))
    for name in ("sound.wav", "none.mp4"):
        with pytest.raises(SpaceError, match="not a readable picture|no such file"):
            load_portrait(tmp_path / name)
