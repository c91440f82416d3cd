"""Each planted defect is in the file it is said to be in."""

from pathlib import Path

import numpy as np
import pytest

from space_data.media.container import MediaError
from space_data.media.probe import probe
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.synthetic.corpus import HARMLESS
from space_data.synthetic.defects import DEFECTS, Take, plant, shifted


@pytest.fixture(scope="module")
def takes() -> tuple[Take, Take]:
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (32, 32, 3), np.uint8).repeat(4, 0).repeat(4, 1)

    def take(seed: int) -> Take:
        frames = [np.roll(texture // (seed + 1), 3 * i, axis=1) for i in range(50)]
        click = np.zeros(50 * 640, np.float32)
        click[20 * 640 : 20 * 640 + 300] = np.sin(np.arange(300) * 0.3)
        return Take(frames, click)

    return take(0), take(1)


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_defect_is_written_the_same_way_twice(defect: str, takes: tuple[Take, Take], tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        plant(defect, *takes, tmp_path / name, np.random.default_rng(3))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("defect", ["truncated", "empty", "text_as_mp4"])
def test_broken_files_are_broken(defect: str, takes: tuple[Take, Take], tmp_path: Path) -> None:
    plant(defect, *takes, tmp_path / "x.mp4", np.random.default_rng(0))
    with pytest.raises(MediaError):
        probe(tmp_path / "x.mp4")


def test_shifts_move_the_sound_by_the_named_frames(takes: tuple[Take, Take], tmp_path: Path) -> None:
    for name, frames in (("audio_early_6", -6), ("audio_late_4", 4)):
        assert plant(name, *takes, tmp_path / f"{name}.mp4", np.random.default_rng(0)) == {"offset_frames": frames}
        audio = decode_audio(tmp_path / f"{name}.mp4")
        assert abs(int(np.argmax(np.abs(audio) > 0.4)) - (20 + frames) * 640) < 60
    assert len(shifted(takes[0].audio, 3)) == len(takes[0].audio)


def test_a_rotated_clip_decodes_upright(takes: tuple[Take, Take], tmp_path: Path) -> None:
    wide = Take([frame[:64] for frame in takes[0].frames], takes[0].audio)
    plant("rotated", wide, wide, tmp_path / "r.mp4", np.random.default_rng(0))
    assert probe(tmp_path / "r.mp4").rotation_deg in (90, 270)
    first = next(decode_video(tmp_path / "r.mp4")).rgb
    assert first.shape == wide.frames[0].shape
    assert np.abs(first.astype(int) - wide.frames[0]).mean() < 12


def test_variable_rate_keeps_the_time_of_each_frame(takes: tuple[Take, Take], tmp_path: Path) -> None:
    planted = plant("variable_frame_rate", *takes, tmp_path / "v.mp4", np.random.default_rng(0))
    times = np.array([frame.pts_s for frame in decode_video(tmp_path / "v.mp4")])
    assert len(times) == planted["frames"] < 50
    assert planted["mean_fps"] < load_params().filter.mean_rate_hz.reject and "variable_frame_rate" not in HARMLESS
    assert np.allclose(times / 0.04, np.round(times / 0.04), atol=1e-3)


def test_sound_defects(takes: tuple[Take, Take], tmp_path: Path) -> None:
    for name in ("silent", "no_audio", "stereo_44k"):
        plant(name, *takes, tmp_path / f"{name}.mp4", np.random.default_rng(0))
    assert np.abs(decode_audio(tmp_path / "silent.mp4")).max() < 1e-3
    assert not probe(tmp_path / "no_audio.mp4").has_audio
    stereo = probe(tmp_path / "stereo_44k.mp4")
    assert (stereo.audio_hz, stereo.audio_channels) == (44_100, 2)


def test_picture_defects(takes: tuple[Take, Take], tmp_path: Path) -> None:
    size = takes[0].frames[0].shape[0]
    for name in ("two_faces", "frozen", "dark", "hard_cut"):
        plant(name, *takes, tmp_path / f"{name}.mp4", np.random.default_rng(0))
    assert probe(tmp_path / "two_faces.mp4").width == 2 * size
    frozen = [frame.rgb for frame in decode_video(tmp_path / "frozen.mp4")]
    assert np.abs(frozen[30].astype(int) - frozen[40]).mean() < 1.5
    assert next(decode_video(tmp_path / "dark.mp4")).rgb.mean() < 30
    cut = [frame.rgb.mean() for frame in decode_video(tmp_path / "hard_cut.mp4")]
    assert cut[24] > 1.5 * cut[25]


def test_blur_leaves_no_edge(takes: tuple[Take, Take], tmp_path: Path) -> None:
    planted = plant("blur", *takes, tmp_path / "b.mp4", np.random.default_rng(0))
    assert planted["blur_px"] == pytest.approx(1.5)  # 3 px at 256
    blurred = next(decode_video(tmp_path / "b.mp4")).rgb.astype(int)

    def steepness(rgb: np.ndarray) -> float:
        return float(np.percentile(np.abs(np.diff(rgb.astype(int), axis=1)), 99))

    assert steepness(blurred) < 0.4 * steepness(takes[0].frames[0])
    assert abs(blurred.mean() - takes[0].frames[0].mean()) < 6  # the light stays
