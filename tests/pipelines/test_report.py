"""The report stage: media beside the page, close-ups where lips move, stages in order, curves as columns."""

import errno
import hashlib
import html
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_benchmark import COLUMNS, benchmark

from evaluation.distributions import set_metrics
from evaluation.frame_features import INCEPTION_NAMES, DctColour
from pipelines.layout import Layout
from pipelines.stages import report
from space_data.avsync import Scorer
from space_data.errors import SpaceError
from space_data.features import canonical_pose
from space_data.landmarks import INNER_LIP_PAIRS
from space_data.media.encode import write_video, write_wav
from space_data.media.lossless import write_lossless
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.schema import FAILED, Aggregate, AlignedClip, SynthesizedClip, SynthesizedFrame
from space_data.store import Place
from space_data.tables import write_table

SSIM_ID = next(metric.metric_id for metric in COLUMNS if metric.name == "ssim")


@pytest.fixture
def videos(tmp_path, rng) -> list[SynthesizedClip]:
    """Two systems of one clip of 60 frames, 64 px."""
    clips = []
    for system, level in (("ground_truth", 40), ("ours_warp", 200)):
        path = tmp_path / f"{system}.mp4"
        write_video(path, [np.full((64, 64, 3), level, np.uint8)] * 60)
        clips.append(SynthesizedClip(system, "set/ada/00", "ada", "calm", 1.0, "", "", "", str(path), 60, 64, "kept", ""))
    return clips


def test_samples_are_copied_under_short_names(videos, tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / "07-gone.mp4").write_text("of an earlier run")
    placed = report.place_videos(videos, folder)
    assert placed["ours_warp", "set/ada/00"] == "media/01-ours_warp.mp4"
    assert {p.name for p in folder.iterdir()} == {"01-ground_truth.mp4", "01-ours_warp.mp4"}
    assert report.place_videos([], folder) == {} and not list(folder.iterdir())


def test_somebodys_own_media_are_not_emptied(videos, tmp_path):
    """``space benchmark report ~/holiday`` where there is a folder ``media``."""
    mine = tmp_path / "media" / "wedding.mp4"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(SpaceError, match=r"media/wedding\.mp4: no video of an earlier report, .* need another OUT"):
        report.place_videos(videos, mine.parent)
    assert mine.read_text() == "mine" and list(mine.parent.iterdir()) == [mine]
    with pytest.raises(SpaceError, match=r"ours_warp\.mp4: no folder, need one"):
        report.check_media(Path(videos[1].video) / "media")


def test_a_full_disk_is_told_in_a_line(videos, tmp_path, monkeypatch):
    def full(source, target):
        Path(target).write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(SpaceError, match=r"01-ground_truth\.mp4: cannot be written \(No space left on device\)"):
        report.place_videos(videos, tmp_path / "media")
    assert not list((tmp_path / "media").iterdir()), "no half video"


def test_what_browsers_do_not_play_is_coded_with_its_sound(videos, tmp_path):
    write_lossless(tmp_path / "a.mkv", [np.full((64, 64, 3), 90, np.uint8)] * 60)
    write_wav(tmp_path / "a.wav", np.full(60 * 640, 0.25, np.float32))
    clip = replace(videos[0], video=str(tmp_path / "a.mkv"), audio=str(tmp_path / "a.wav"))
    placed = report.place_videos([clip], tmp_path / "media")
    path = tmp_path / placed["ground_truth", "set/ada/00"]
    frames = [frame.rgb for frame in decode_video(path)]
    assert path.suffix == ".mp4" and len(frames) == 60 and abs(frames[0].mean() - 90) < 3
    assert decode_audio(path)[5000:-5000] == pytest.approx(0.25, abs=0.05)


def test_failed_videos_have_no_strip(videos, rng):
    failed = [replace(videos[0], status=FAILED, video=""), videos[1]]
    data = replace(benchmark(rng), clips=failed)
    assert [title for title, _ in report.strips(data, "set/ada/00", report.equal_times, 16)] == ["Ours, warp"]


def test_strips_follow_the_order_of_the_tables(videos, rng):
    found = report.strips(replace(benchmark(rng), clips=videos[::-1]), "set/ada/00", report.equal_times, 16)
    assert [title for title, _ in found] == ["Ground truth", "Ours, warp"]
    assert all(address.startswith("data:image/jpeg") for _, address in found)


def test_equal_times_hold_both_ends(videos):
    times = report.equal_times(videos[0])
    assert min(times) == 0 and max(times) == 59 and len(times) == report.SHEET_FRAMES


def test_busiest_window_is_where_the_lips_move():
    gap = np.zeros(100)
    gap[60:80] = np.sin(np.arange(20))
    begin = report.busiest(gap, 20)
    assert begin == 60
    gap[:3] = np.nan
    assert report.busiest(gap, 20) == 60
    assert report.busiest(gap[:10], 20) == 0 and report.busiest(np.zeros(0), 20) == 0


def test_mouth_close_up_is_centred_on_the_mouth(rng):
    data = benchmark(rng)
    look = report.mouth_looker(data, "set/ada/00")
    boxes = look(next(c for c in data.clips if c.system == "ours_warp"))
    assert boxes and 7 not in boxes, "frames without a face are left out"
    box = next(iter(boxes.values()))
    assert (box.x0 + box.side / 2, box.y0 + box.side / 2) == (256, 330) and box.side == 90


def test_meant_gaps_come_from_the_tracks(tmp_path):
    rows = []
    for frame in range(4):
        points = np.zeros((78, 3), np.float32)
        for _, lower in INNER_LIP_PAIRS:
            points[lower, 1] = 0.1 * frame
        rows.append(SynthesizedFrame("ours_warp", "set/ada/00", frame, points.ravel(), canonical_pose(1, 64).as_array()[0]))
    write_table(tmp_path / "tracks.parquet", rows, SynthesizedFrame)
    np.testing.assert_allclose(
        report.meant_gaps(tmp_path / "tracks.parquet")["ours_warp", "set/ada/00"], [0, 0.1, 0.2, 0.3], atol=1e-6
    )


def test_columns_of_sets_are_those_that_were_measured():
    settings = load_params(Path(__file__).resolve().parents[2] / "params.yaml").evaluate
    both = [(name, True) for name in INCEPTION_NAMES.values()]
    for names in (both, [(DctColour.name, False)]):
        wanted = [m.column for name, is_fid in names for m in set_metrics(name, is_fid, settings.frechet_every_frames)]
        rows = [Aggregate("still", m.metric_id, 1.0, None, None, None, None, None, 1, 1, 1, 0) for m in wanted]
        found = report.set_columns(rows, settings)
        assert [m.metric_id for m in found] == [m.metric_id for m in wanted] and len({m.title for m in found}) == len(found)
    assert report.set_columns([], settings) == []


def test_stages_come_in_the_order_of_the_pipeline(tmp_path):
    layout = replace(Layout(), reports=Place.of(tmp_path))
    for stage in ("synthesize", "ingest", "report", "something_new"):
        layout.timing(stage).put(json.dumps({"stage": stage, "seconds": 1}).encode())
    assert [f["stage"] for f in report.stage_facts(layout)] == ["ingest", "synthesize", "something_new"]


def test_worst_clips_of_every_metric_can_be_played(rng):
    data = benchmark(rng)
    bad = "ours_warp", "set/ned/00", SSIM_ID
    scores = [replace(s, value=-9.0) if (s.system, s.clip_id, s.metric) == bad else s for s in data.scores]
    assert "set/ned/00" in report.worst_of(replace(data, scores=scores), 1)
    assert report.worst_of(data, 1) <= set(data.clip_ids)


def test_curves_become_columns(tmp_path):
    (tmp_path / "s2l").mkdir()
    (tmp_path / "s2l" / "curves.csv").write_text("step,loss,val_loss\n10,1.5,\n20,1.0,1.25\n")
    curves = report.training_curves(replace(Layout(), models=Place.of(tmp_path)))
    assert curves == {"s2l": {"step": [10.0, 20.0], "loss": [1.5, 1.0], "val_loss": [None, 1.25]}}
    assert report.training_curves(replace(Layout(), models=Place.of(tmp_path / "none"))) == {}


def test_the_whole_page(tmp_path, rng, videos):
    """Tables on disk -> a page whose media exist."""
    from space_data.schema import Score, TraceFrame

    layout = Layout.in_folder(tmp_path / "run")
    params = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
    data = benchmark(rng)
    keep = {clip.system for clip in videos}
    measured = [metric.column for metric in set_metrics(DctColour.name, False, params.evaluate.frechet_every_frames)]
    names = {made_up.metric_id: real.metric_id for made_up, real in zip(data.sets, measured, strict=True)}
    rows = [replace(r, metric=names.get(r.metric, r.metric)) for r in data.rows]
    write_table(layout.synthesized_clips, videos, SynthesizedClip)
    write_table(layout.synthesized_tracks, [], SynthesizedFrame)
    aligned = AlignedClip(
        "set/ada/00", "set/ada/00", "set", "ada", "calm", 1.0, "it", "test", "v", "a", 60, 64, 0.0, 0.0, 0.0, 64.0, 0.0
    )
    write_table(layout.aligned_clips, [aligned], AlignedClip)
    write_table(layout.scores, [s for s in data.scores if s.system in keep and s.clip_id == "set/ada/00"], Score)
    traces = [replace(t, mouth_x_px=32.0, mouth_y_px=40.0, iod_px=20.0) for t in data.traces]
    write_table(layout.traces, traces, TraceFrame)
    write_table(layout.aggregates, [r for r in rows if r.system in keep], Aggregate)
    maps = np.zeros((250, 6)), np.zeros((440, 6)), np.full(6, 1 / 6)
    Scorer(*maps, null=0.65, fitted_on="three clips of nobody scored").save(layout.evaluation_scorer)
    weights = layout.models.local() / "s2l" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"numbers")
    report.run(params, layout)
    page = (layout.benchmark / "index.html").read_text()
    assert "media/01-ours_warp.mp4" in page and (layout.benchmark / "media" / "01-ours_warp.mp4").is_file()
    assert "three clips of nobody scored" in page and "language (it)" in page
    assert "FID stand-in (not FID)" in page and "KID stand-in" in page
    exported = json.loads((layout.benchmark / "results.json").read_text())
    assert {row["system"] for row in exported["figures"]} == keep and exported["provenance"]["test list"] == ""
    said = exported["provenance"]
    assert said["A/V scorer"] == "three clips of nobody scored" and said["command"] == "dvc repro"
    assert said["seeds"].startswith(f"synthesize {params.synthesize.seed}, ") and said["machine"] and said["revision"]
    assert said["cards"] == "none" and said["trained weights"] == "s2l " + hashlib.sha256(b"numbers").hexdigest()[:12]
    assert all(html.escape(fact) in page for fact in said.values()), "the page and the file say the same"
    assert (layout.benchmark / "results.csv").read_text().startswith("system,clip_id,metric,value,status,reason")
    assert r"\toprule" in (layout.benchmark / "results.tex").read_text()
    assert "@software" in (layout.benchmark / "cite.bib").read_text()
    assert json.loads(layout.timing("report").read())["clips"] == 1
