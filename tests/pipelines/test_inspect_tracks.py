"""`space inspect`: a page with the curves of what is in the tracks, and a video of as many frames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.inspect_tracks import VIDEO_NAME, curves_of, drawn, inspect
from space_data.errors import SpaceError
from space_data.media.encode import write_video
from space_data.media.images import write_image
from space_data.media.video import decode_video
from space_models.portrait import Portrait, load_portrait
from space_models.tracks import EDITED, Tracks

N_FRAMES = 12


@pytest.fixture(scope="module")
def portrait(astronaut: np.ndarray) -> Portrait:
    return load_portrait(astronaut)


@pytest.fixture(scope="module")
def tracks(portrait: Portrait) -> Tracks:
    rest = Tracks.at_rest(portrait, np.zeros((N_FRAMES, 160), np.float32))
    pose = rest.pose.copy()
    pose[:, 0] = np.linspace(0, 20, N_FRAMES)
    return replace(rest, pose=pose, lids=np.linspace(0, 1, N_FRAMES, dtype=np.float32), stage=EDITED)


def test_the_page_shows_what_moves(tracks: Tracks, tmp_path: Path) -> None:
    tracks.write(tmp_path / "a.parquet")
    page = inspect(tmp_path / "a.parquet", None, None, None)
    text = page.read_text()
    assert page == tmp_path / "a-inspect" / "index.html" and VIDEO_NAME in text and "0.48 s" in text
    assert "Head against the photo" in text and "Gaze in the picture" not in text, "nothing that stays at zero"
    assert len(list(decode_video(page.with_name(VIDEO_NAME)))) == N_FRAMES
    assert {name for curves in curves_of(tracks) for name in curves.lines} >= {"yaw", "lids (share closed)"}


def test_lines_lie_on_the_face_of_the_photo(tracks: Tracks, portrait: Portrait, astronaut: np.ndarray, tmp_path: Path) -> None:
    write_image(tmp_path / "p.png", astronaut)
    write_video(tmp_path / "v.mp4", [portrait.rgb] * N_FRAMES, crf=1)
    over = next(drawn(tracks, tmp_path / "p.png", tmp_path / "v.mp4"))
    changed = np.argwhere(np.abs(over.astype(int) - portrait.rgb).max(-1) > 60)
    low, high = portrait.landmarks[:, :2].min(0), portrait.landmarks[:, :2].max(0)
    assert len(changed) > 500
    assert changed.min(0)[::-1] == pytest.approx(low, abs=4) and changed.max(0)[::-1] == pytest.approx(high, abs=4)


def test_a_video_needs_its_photo_and_a_square(tracks: Tracks, astronaut: np.ndarray, tmp_path: Path) -> None:
    tracks.write(tmp_path / "a.parquet")
    write_image(tmp_path / "p.png", astronaut)
    write_video(tmp_path / "v.mp4", [np.zeros((64, 128, 3), np.uint8)] * N_FRAMES)
    with pytest.raises(SpaceError, match="needs --image"):
        inspect(tmp_path / "a.parquet", None, None, tmp_path / "v.mp4")
    with pytest.raises(SpaceError, match="128x64, need the square video"):
        inspect(tmp_path / "a.parquet", None, tmp_path / "p.png", tmp_path / "v.mp4")
