"""Align: pictures by time stamp, sound moved by its offset, lengths that agree exactly; the whole stage on small clips."""

import dataclasses
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from made_up_measures import CLIP

from pipelines.layout import Layout
from pipelines.stages import align
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.media.encode import write_video
from space_data.media.probe import probe
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.schema import FAILED, KEPT, AlignedClip, Clip, LedgerRow, SegmentCrop
from space_data.store import Place
from space_data.tables import read_table, write_sharded
from space_data.timebase import AUDIO_HZ, frame_centre_s, frames_to_samples, seconds_to_samples

REPOSITORY = Path(__file__).resolve().parents[2]
SIZE, FPS, SECONDS = 96, 50, 4.0
SHARDS = 2


def clip_of(clip_id: str, path: Path) -> Clip:
    return dataclasses.replace(
        CLIP, clip_id=clip_id, path=str(path), sha256=sha256_of(path), video_sha256=sha256_of(path), dataset="t", subject="s",
        emotion="happy", intensity=0.5, duration_s=SECONDS, fps=FPS, header_frames=int(SECONDS * FPS), width_px=SIZE,
        height_px=SIZE, audio_hz=AUDIO_HZ,
    )  # fmt: skip


def crop_of(clip_id: str, segment: int, start_s: float, n_frames: int, offset: float) -> SegmentCrop:
    return SegmentCrop(
        clip_id=f"{clip_id}#{segment}" if segment else clip_id, source_clip_id=clip_id, start_s=start_s, n_frames=n_frames,
        offset_frames=offset, crop_x0_px=8, crop_y0_px=8, crop_side_px=80, size_px=64,
    )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Layout:
    """Clip ``t/a``: grey level = 60 * second, click at 3.2 s. ``t/broken``: not a video. Segments with and without offsets."""
    layout = Layout.in_folder(tmp_path / "run")
    audio = np.zeros(seconds_to_samples(SECONDS), np.float32)
    audio[seconds_to_samples(3.2)] = 0.9
    frames = (np.full((SIZE, SIZE, 3), int(60 * i / FPS), np.uint8) for i in range(int(SECONDS * FPS)))
    write_video(tmp_path / "a.mp4", frames, fps=FPS, crf=1, audio=audio)
    (tmp_path / "broken.mp4").write_text("no video")
    broken = dataclasses.replace(clip_of("t/broken", tmp_path / "broken.mp4"), split="test")
    write_sharded(layout.clips, [clip_of("t/a", tmp_path / "a.mp4"), broken], Clip, SHARDS)
    crops = [crop_of("t/a", 0, 0.0, 40, 0.0), crop_of("t/a", 1, 2.0, 45, 5.0), crop_of("t/broken", 0, 0.0, 40, 0.0)]
    write_sharded(layout.segment_crops, crops, SegmentCrop, SHARDS)
    return layout


def params_with(workers: int, splits: list[str] | None = None):
    params = load_params(REPOSITORY / "params.yaml")
    small = params.align.model_copy(update={"crf": 1, "splits": splits or params.align.splits})
    return params.model_copy(update={"align": small, "job": params.job.model_copy(update={"workers": workers, "shards": SHARDS})})


def test_stage(world: Layout) -> None:
    align.run(params_with(workers=1), world)
    rows = {row.clip_id: row for row in align.aligned_clips(world)}
    assert sorted(rows) == ["t/a", "t/a#1"]
    ledger = {row.clip_id: (row.status, row.reason) for row in read_table(world.ledger("align"), LedgerRow)}
    assert ledger == {"t/a": (KEPT, ""), "t/a#1": (KEPT, ""), "t/broken": (FAILED, "error")}
    for row in rows.values():
        info = probe(row.video)
        frames = list(decode_video(row.video))
        assert (info.width, info.height, info.fps) == (64, 64, 25.0)
        assert len(frames) == row.n_frames and frames[0].pts_s == 0.0
        assert len(decode_audio(row.audio)) == frames_to_samples(row.n_frames)
        # Pictures: the grey level tells the time on the source's clock, 60 levels a second (flat pictures lose up to 3).
        shown = np.array([frame.rgb.mean() for frame in frames])
        truth = [60 * (row.start_s + frame_centre_s(i)) for i in range(row.n_frames)]
        np.testing.assert_allclose(shown, truth, atol=3.2)
    late = rows["t/a#1"]
    assert (late.applied_offset_frames, late.n_frames, late.size_px) == (5.0, 45, 64)
    # The click at 3.2 s was 5 frames late: on the pictures' clock it belongs to 3.0 s.
    assert late.start_s + decode_audio(late.audio).argmax() / AUDIO_HZ == pytest.approx(3.0, abs=0.002)


def test_only_the_wanted_splits_get_pixels(world: Layout) -> None:
    align.run(params_with(workers=1, splits=["train"]), world)
    assert [row.clip_id for row in read_table(world.aligned_clips, AlignedClip)] == ["t/a", "t/a#1"]
    assert {row.clip_id for row in read_table(world.ledger("align"), LedgerRow)} == {"t/a", "t/a#1"}
    align.run(params_with(workers=1, splits=["val"]), world)
    assert read_table(world.aligned_clips, AlignedClip) == [] and not list(Path(world.aligned).rglob("*.mp4"))


def test_two_clips_never_share_a_file(world: Layout) -> None:
    """Not even two whose pictures and sound are the same."""
    write_sharded(world.segment_crops, [crop_of("t/a", number, 0.0, 40, 0.0) for number in (0, 1)], SegmentCrop, SHARDS)
    align.run(params_with(workers=1), world)
    first, second = align.aligned_clips(world)
    assert first.audio_sha256 == second.audio_sha256
    files = {first.video, first.audio, second.video, second.audio}
    assert len(files) == 4 and {str(path) for path in Path(world.aligned / "media").glob("*/*/*.*")} == files
    assert all(sha256_of(row.video) == row.video_sha256 and sha256_of(row.audio) == row.audio_sha256 for row in (first, second))


def test_long_ids_and_ids_that_look_alike_get_files_of_their_own(world: Layout) -> None:
    """Too long in two ways, ``#`` against ``-s``, upper and lower case, composed and decomposed, a folder called like a file."""
    names = ["é" * 126, "é" * 125 + "è", "b#1", "b-s1", "K", "k", "\u00e9", "e\u0301", "x", "x.mp4/y", "deep/" * 300 + "z"]
    ids = sorted(f"t/{name}" for name in names)
    source = read_table(world.clips, Clip)[0]
    write_sharded(world.clips, [dataclasses.replace(source, clip_id=i) for i in ids], Clip, SHARDS)
    write_sharded(world.segment_crops, [crop_of(i, 0, 0.0, 40, 0.0) for i in ids], SegmentCrop, SHARDS)
    align.run(params_with(workers=2), world)
    aligned = align.aligned_clips(world)
    assert [row.clip_id for row in aligned] == ids
    assert all(probe(row.video).header_frames == row.n_frames for row in aligned)
    alike = {unicodedata.normalize("NFC", row.video).casefold() for row in aligned}
    assert len(alike) == len(ids)


def test_same_bytes_for_any_number_of_workers_and_from_the_cache(world: Layout, tmp_path: Path) -> None:
    def outputs(layout: Layout) -> dict[str, bytes]:
        folder = Path(layout.aligned)
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    align.run(params_with(workers=1), world)
    first = outputs(world)
    align.run(params_with(workers=1), world)
    assert outputs(world) == first, "second run, from kept results"
    for workers in (2, 4):
        align.run(params_with(workers), dataclasses.replace(world, cache=Place.of(tmp_path / f"cache-of-{workers}")))
        assert outputs(world) == first, f"{workers} workers"


def test_a_crop_of_no_clip_is_a_stale_table(world: Layout) -> None:
    write_sharded(world.clips, [clip for clip in read_table(world.clips, Clip) if clip.clip_id != "t/a"], Clip, SHARDS)
    with pytest.raises(SpaceError, match="clip t/a is not in"):
        align.run(params_with(workers=1), world)
