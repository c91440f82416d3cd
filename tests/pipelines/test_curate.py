"""``space data curate``: bad folders are named; a folder in which nothing is worth keeping still gets its ledger and its page."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_clips import bad_and_good_folder, folder_params

from pipelines.curate import curate
from pipelines.stages import CURATION
from pipelines.stages.align import aligned_clips
from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS, NOSE, PoseTrack, posed
from space_data.media.probe import probe
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.schema import KEPT, REJECTED, AlignedClip, FeatureFrame, LedgerRow, SegmentCrop
from space_data.tables import has_table, read_table
from space_data.timebase import frames_to_samples


def test_bad_folders(tmp_path: Path) -> None:
    params = folder_params(tmp_path)
    with pytest.raises(SpaceError, match="no such folder"):
        curate(tmp_path / "none", tmp_path / "out", params)
    with pytest.raises(SpaceError, match="lies inside the input folder"):
        curate(tmp_path, tmp_path / "out", params)
    (tmp_path / "in").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(SpaceError, match="is a file .need a folder"):
        curate(tmp_path / "file", tmp_path / "out", params)
    with pytest.raises(SpaceError, match="file: is a file, need an empty or new folder as --out"):
        curate(tmp_path / "in", tmp_path / "file", params)
    with pytest.raises(SpaceError, match="no video in this folder"):
        curate(tmp_path / "in", tmp_path / "out", params)


def test_the_whole_ledger_is_written_once_and_also_when_a_stage_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads every shard of every ledger: of hundreds, in a bucket, that takes minutes."""
    (tmp_path / "in").mkdir()
    written: list[tuple[str, ...]] = []

    def module(name: str) -> SimpleNamespace:
        def run(*_: object) -> None:
            if name == stops:
                raise SpaceError("stopped")

        return SimpleNamespace(run=run)

    monkeypatch.setattr("pipelines.curate.stage_module", module)
    monkeypatch.setattr("pipelines.curate.write_whole_ledger", lambda place, layout, stages: written.append(tuple(stages)))
    monkeypatch.setattr("pipelines.curate.write_audit", lambda *_: None)
    monkeypatch.setattr("pipelines.curate._is_any_kept", lambda _: True)
    for stops in ("ingest", "segment", ""):
        if stops:
            with pytest.raises(SpaceError, match="^stopped$"):
                curate(tmp_path / "in", tmp_path / "out", folder_params(tmp_path))
        else:
            curate(tmp_path / "in", tmp_path / "out", folder_params(tmp_path))
    assert written == [("ingest", "measure"), tuple(stage for stage in CURATION if stage != "align")]


def test_a_folder_with_other_files_is_not_written_into(tmp_path: Path) -> None:
    """Stages replace files and folders of ``out``: a user's own ``align`` must not be one of them, not even as the input."""
    mine = tmp_path / "out" / "align" / "mine.mp4"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"x")
    (tmp_path / "in").mkdir()
    for source, message in ((tmp_path / "in", "not of an earlier run"), (mine.parent, "lies inside .*out, whose folders")):
        with pytest.raises(SpaceError, match=message):
            curate(source, tmp_path / "out", folder_params(source))
    assert mine.read_bytes() == b"x"


REAL = {
    "clean_f_524_glasses": (KEPT, set()),
    "vfr_m_700": (KEPT, set()),
    "profile_lowres_f_224": (REJECTED, {"low_resolution", "profile"}),
    "anime_no_audio_704x1216": (REJECTED, {"no_audio"}),
}
"""What the manifest of the real clips wants for some of them."""
LONG = "é" * 121
"""Behind nine bytes and before a suffix of four: the longest name there can be."""


def test_real_clips_end_to_end(shared_media: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "real", tmp_path / "out"
    root.mkdir()
    for name in REAL:
        (root / f"{name}{LONG if name == 'vfr_m_700' else ''}.mp4").symlink_to(shared_media / f"{name}.mp4")
    curate(root, out, folder_params(root, workers=2, screen=True))
    assert has_table(out / "features" / "crops") and not (out / "align").exists(), "nobody asked for pixels"
    layout = curate(root, out, folder_params(root, workers=2, screen=True), pixels=True)
    decided: dict[str, tuple[str, set[str]]] = {}
    for row in read_table(out / "ledger.parquet", LedgerRow):
        if row.stage == "filter":
            reasons = decided.setdefault(row.clip_id.removeprefix("real/").removesuffix(LONG), (row.status, set()))[1]
            reasons |= {row.reason} - {""}
    assert decided == REAL
    aligned = aligned_clips(layout)
    assert [clip.clip_id for clip in aligned] == ["real/clean_f_524_glasses", f"real/vfr_m_700{LONG}"]
    frames = read_table(out / "features" / "frames", FeatureFrame)
    for clip in aligned:
        info = probe(clip.video)
        assert (info.width, info.height, info.fps, info.audio_hz) == (512, 512, 25.0, 16_000)
        assert sum(1 for _ in decode_video(clip.video)) == clip.n_frames
        assert len(decode_audio(clip.audio)) == frames_to_samples(clip.n_frames)
        pose = PoseTrack.from_array(np.stack([f.pose for f in frames if f.clip_id == clip.clip_id]))
        assert len(pose) == clip.n_frames
        landmarks = posed(np.stack([f.normalised for f in frames if f.clip_id == clip.clip_id]).reshape(-1, N_LANDMARKS, 3), pose)
        nose_x, nose_y = np.median(landmarks[:, NOSE, :2].mean(axis=1), axis=0)
        # One of them is a tight crop already, with the nose at 0.62 of its height: nothing is left to choose there.
        assert abs(nose_x - 256) < 60 and abs(nose_y - 276) < 60, "the face is in the middle"
        assert landmarks[..., :2].min() > 0 and landmarks[..., :2].max() < 512, "and never leaves the picture"
        assert np.abs(pose.roll_deg).max() < 25, "and upright"


def test_nothing_kept_and_nothing_lost(tmp_path: Path, astronaut: np.ndarray) -> None:
    root = bad_and_good_folder(tmp_path / "set", astronaut)
    (root / "a" / "cut.mp4").rename(root / "a" / f"cut{LONG}.mp4")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    out = tmp_path / "out"
    curate(root, out, folder_params(root), pixels=True)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert (out / "audit" / "index.html").is_file()
    rows = read_table(out / "ledger.parquet", LedgerRow)
    final = {row.clip_id: row.reason for row in rows if row.status == "rejected" and row.stage == "ingest"}
    assert final == {"set/empty": "empty_file", "set/text": "not_media", "set/half": "unreadable"}
    reasons = {row.clip_id: set() for row in rows if row.stage == "filter"}  # type: dict[str, set[str]]
    for row in rows:
        if row.stage == "filter":
            reasons[row.clip_id].add(row.reason)
    assert set(reasons) == {f"set/a/cut{LONG}#0", f"set/a/cut{LONG}#1", "set/b/mute"}
    assert "no_audio" in reasons["set/b/mute"] and "no_speech" in reasons[f"set/a/cut{LONG}#0"]
    assert all("too_short" in found for found in reasons.values())
    assert read_table(out / "features" / "crops", SegmentCrop) == [], "empty, not those of an earlier run"
    assert read_table(out / "align" / "clips", AlignedClip) == []
    media = out / "align" / "media" / "00000" / "a.mp4"
    media.parent.mkdir(parents=True)
    media.write_bytes(b"x")
    curate(root, out, folder_params(root))
    assert not list((out / "align").rglob("*.parquet")) and media.exists(), "tables go with the pixels that nobody asks for"
