"""Ingest and measure on tiny clips and bad files: nothing is lost, and the number of workers changes no byte."""


import numpy as np
import pytest
from tiny_clips import bad_and_good_folder, folder_params

from pipelines import ingest, measure
from pipelines.job import Layout
from space_data.schema import Clip, FrameRow, LedgerRow, Measure, SoundRow
from space_data.tables import read_arrow, read_table


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Layout]:
    """Ingested and measured with one worker and with two."""
    from skimage.data import astronaut

    root = bad_and_good_folder(tmp_path_factory.mktemp("in") / "set", astronaut())
    layouts = []
    for workers in (1, 2):
        layout = Layout.in_folder(tmp_path_factory.mktemp(f"out{workers}"))
        params = folder_params(root, workers)
        ingest.run(params, layout)
        measure.run(params, layout)
        layouts.append(layout)
    return layouts


def test_same_bytes_for_one_and_two_workers(measured: list[Layout]) -> None:
    one, two = measured
    files = sorted(p.relative_to(one.data) for p in one.data.rglob("*.parquet") if ".cache" not in p.parts)
    assert len(files) == 8  # clips, measures, two shards each of frames and sound, two ledgers
    for file in files:
        assert (one.data / file).read_bytes() == (two.data / file).read_bytes(), file


def test_every_file_is_accounted_for(measured: list[Layout]) -> None:
    ledger = {row.clip_id: (row.status, row.reason) for row in read_table(measured[0].ledger("ingest"), LedgerRow)}
    assert ledger == {
        "set/a/cut": ("kept", ""),
        "set/b/mute": ("kept", ""),
        "set/empty": ("rejected", "empty_file"),
        "set/text": ("rejected", "not_media"),
        "set/half": ("rejected", "unreadable"),
    }
    assert [clip.clip_id for clip in read_table(measured[0].clips, Clip)] == ["set/a/cut", "set/b/mute"]


def test_scores_of_the_clips(measured: list[Layout]) -> None:
    first, second, mute = read_table(measured[0].measures, Measure)
    assert [first.clip_id, second.clip_id, mute.clip_id] == ["set/a/cut#0", "set/a/cut#1", "set/b/mute"]
    assert (first.first_frame, first.end_frame, second.first_frame, second.end_frame) == (0, 20, 20, 40)
    assert first.length_s == pytest.approx(0.8, abs=1e-6) and mute.length_s == pytest.approx(0.48, abs=1e-6)
    assert first.has_audio and not mute.has_audio and mute.audio_s == 0
    assert first.speech_share == 0 and first.peak_level_db == pytest.approx(-13.5, abs=1.5)  # a 0.3 sine
    assert mute.lost_share == 0 and mute.face_width_px is not None and 60 < mute.face_width_px < 140
    assert mute.yaw_median_deg is not None and mute.yaw_median_deg < 20 and mute.several_faces_share == 0
    assert mute.reblur_ratio is not None and mute.reblur_ratio < 0.4 and mute.frame_difference > 0.5


def test_frames_and_sound(measured: list[Layout]) -> None:
    frames = read_table(measured[0].frames, FrameRow)
    wanted = [("set/a/cut", i) for i in range(40)] + [("set/b/mute", i) for i in range(12)]
    assert [(f.clip_id, f.frame) for f in frames] == wanted
    cut = frames[:40]
    assert [f.shot for f in cut] == [0] * 20 + [1] * 20
    np.testing.assert_allclose([f.pts_s for f in cut], np.arange(40) / 25, atol=1e-6)
    assert cut[20].frame_difference > 5 * cut[10].frame_difference
    # a portrait that moves one pixel to the right per frame
    x = np.array([f.landmarks_px[0] for f in frames[40:]])
    assert np.polyfit(np.arange(12), x, 1)[0] == pytest.approx(1.0, abs=0.2)
    sound = read_arrow(measured[0].sound, SoundRow)
    assert set(sound["clip_id"].to_pylist()) == {"set/a/cut"} and len(sound) >= 160
