"""A clip is its pictures and its sound, wherever they lie."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_measures import CLIP
from tiny_clips import buzz

from space_data.clip_media import Playhead, has_sound, pictures, sound
from space_data.errors import SpaceError
from space_data.media.encode import write_video, write_wav
from space_data.media.video import Frame
from space_data.timebase import frame_centre_s, nearest_frames


def quarters() -> list[np.ndarray]:
    """25 frames of 64x48 whose four quarters are 10, 80, 150 and 220 bright."""
    picture = np.zeros((48, 64, 3), np.uint8)
    for i, level in enumerate((10, 80, 150, 220)):
        picture[24 * (i // 2) : 24 * (i // 2 + 1), 32 * (i % 2) : 32 * (i % 2 + 1)] = level
    return [picture] * 25


def test_the_whole_file(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", quarters(), audio=buzz(25))
    clip = replace(CLIP, path=str(tmp_path / "a.mp4"))
    assert len(list(pictures(clip))) == 25 and len(list(pictures(clip, at_most_hz=5))) == 5
    assert abs(len(sound(clip).samples) - 16000) < 1200 and has_sound(clip)


def test_a_part_of_the_time_and_of_the_picture(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", quarters(), audio=buzz(25), crf=1)
    crop = np.array([32, 24, 64, 48], np.float32)
    clip = replace(CLIP, path=str(tmp_path / "a.mp4"), part_start_s=0.2, part_end_s=0.6, part_crop_px=crop)
    frames = list(pictures(clip))
    assert len(frames) == 10 and frames[0].pts_s == pytest.approx(0) and frames[0].rgb.shape == (24, 32, 3)
    assert abs(frames[0].rgb.mean() - 220) < 3
    assert len(sound(clip).samples) == 6400


def test_sound_in_a_file_of_its_own(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", quarters())
    write_wav(tmp_path / "a.wav", buzz(20))
    clip = replace(CLIP, path=str(tmp_path / "a.mp4"), audio_path=str(tmp_path / "a.wav"))
    assert len(sound(clip).samples) == 20 * 640


def test_a_crop_outside_the_picture_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", quarters())
    clip = replace(CLIP, path=str(tmp_path / "a.mp4"), part_crop_px=np.array([32, 24, 96, 48], np.float32))
    with pytest.raises(SpaceError, match=r"crop \(32, 24\) to \(96, 48\) in a picture of 64x48"):
        next(pictures(clip))


def frames_at(pts_s: np.ndarray) -> Iterator[Frame]:
    """Frames that carry their own index as grey level."""
    for index, time_s in enumerate(pts_s):
        yield Frame(float(time_s), np.full((2, 2, 3), index, np.uint8))


@pytest.mark.parametrize("fps", [12.5, 23.976, 25.0, 29.97, 30.0, 50.0, 60.0])
@pytest.mark.parametrize("start_s", [0.0, 0.04, 0.7331])
def test_playhead_shows_what_nearest_frames_chooses(fps: float, start_s: float) -> None:
    pts_s = np.arange(int(4 * fps)) / fps
    playhead = Playhead(frames_at(pts_s))
    shown = [int(playhead.at(start_s + frame_centre_s(i))[0, 0, 0]) for i in range(60)]
    assert shown == nearest_frames(pts_s, start_s, 60).tolist()


def test_playhead_with_irregular_times_by_hand() -> None:
    playhead = Playhead(frames_at(np.array([0.1, 0.13, 0.5])))
    # Before the first frame began: the first. At 0.5 exactly: the frame that begins there.
    assert [int(playhead.at(t)[0, 0, 0]) for t in (0.0, 0.12, 0.13, 0.499, 0.5, 9.0)] == [0, 0, 1, 1, 2, 2]


def test_every_second_frame_of_fifty_per_second() -> None:
    """Frame centres coincide with time stamps: rounding must not make the step uneven."""
    for start_s in np.arange(40) / 50:
        shown = nearest_frames(np.arange(200) / 50, float(start_s), 40)
        assert set(np.diff(shown)) == {2}


def test_video_without_frames() -> None:
    with pytest.raises(SpaceError, match="without frames"):
        Playhead(iter(())).at(0.0)
