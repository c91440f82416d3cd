"""A face that is followed through a video: a mesh and a time per frame; no video, no picture: named."""

from pathlib import Path

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.media.encode import write_video
from space_models.video_face import follow_face


def test_frames_without_a_face_are_nan_and_have_their_times(tmp_path: Path) -> None:
    path = tmp_path / "grey.mp4"
    write_video(path, (np.full((64, 64, 3), 90, np.uint8) for _ in range(5)))
    meshes, times_s = follow_face(path)
    assert meshes.shape == (5, 478, 3) and np.isnan(meshes).all()
    assert times_s == pytest.approx(np.arange(5) / 25)


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("not a video")
    with pytest.raises(SpaceError, match="text.mp4"):
        follow_face(path)
