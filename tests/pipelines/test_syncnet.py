"""The SyncNet stage with seeded weights on tiny clips: its rows are the direct computation; without weights it says so."""

import dataclasses
import logging
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from declared_weights import declared_as, declared_file
from seeded import rng, seed_network
from tiny_clips import drifting, folder_params

from pipelines.job.stage import Context
from pipelines.job.unit import Unit
from pipelines.layout import Layout
from pipelines.stages import syncnet as stage
from space_data import weights
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.media.encode import write_video
from space_data.media.probe import probe
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import Params
from space_data.schema import Clip, FrameRow, LedgerRow, Measure, SyncNetScore, arrow_schema
from space_data.tables import read_table, write_sharded
from space_models import syncnet

BOX = np.array([70.0, 40.0, 150.0, 140.0], np.float32)
SECONDS = 3.0
PARTS = 2


def filled(row_class: type, **values) -> object:
    """A row with zeros and empty texts for what the stage does not read."""
    for field in arrow_schema(row_class):
        if pa.types.is_fixed_size_list(field.type):
            empty = np.zeros(field.type.list_size, np.float32)
        else:
            empty = "" if pa.types.is_string(field.type) else False if pa.types.is_boolean(field.type) else 0
        values.setdefault(field.name, None if field.nullable else empty)
    return row_class(**values)


def add_clip(root: Path, name: str, picture: np.ndarray, fps: int, voice: bool) -> tuple[Clip, list[FrameRow]]:
    """A drifting portrait of 3 s and what ``measure`` would say of its frames."""
    n_frames = round(SECONDS * fps)
    audio = (0.1 * rng(name).standard_normal(round(SECONDS * 16000))).astype(np.float32) if voice else None
    write_video(root / f"{name}.mp4", drifting(picture, n_frames), fps=fps, audio=audio)
    path = str(root / f"{name}.mp4")
    sha256 = sha256_of(path)
    clip = filled(
        Clip, clip_id=name, path=path, sha256=sha256, video_sha256=sha256, audio_codec=probe(path).audio_codec, duration_s=SECONDS
    )
    rows = [
        filled(FrameRow, clip_id=name, frame=i, pts_s=i / fps, found=True, box=BOX + np.float32([i, 0, i, 0]))
        for i in range(n_frames)
    ]
    return clip, rows


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Three clips: two segments at 25 fps, one at 30 fps with a gap in its boxes, one without sound and one too short."""
    from skimage.data import astronaut

    root = tmp_path_factory.mktemp("raw")
    layout = Layout.in_folder(tmp_path_factory.mktemp("out"))
    picture = np.ascontiguousarray(astronaut()[0:256, 96:352])
    kinds = (("a", 25, True), ("b", 30, True), ("c", 25, False))
    made = [add_clip(root, name, picture, fps, voice) for name, fps, voice in kinds]
    for row in made[1][1][30:40]:
        row.box[:] = np.nan
    write_sharded(layout.clips, [clip for clip, _ in made], Clip, PARTS)
    write_sharded(layout.frames, [row for _, rows in made for row in rows], FrameRow, PARTS)
    spans = {"a#1": (1.5, 3.0), "a#0": (0.0, 1.48), "a#2": (0.2, 1.0), "b": (0.0, 3.0), "c": (0.0, 3.0)}
    segments = [
        filled(Measure, clip_id=i, source_clip_id=i[0], segment=n, start_s=begin, end_s=end)
        for n, (i, (begin, end)) in enumerate(spans.items())
    ]
    write_sharded(layout.measures, segments, Measure, PARTS)
    return layout


@pytest.fixture
def params(tmp_path: Path) -> Params:
    params = folder_params(tmp_path)
    return params.model_copy(update={"syncnet": params.syncnet.model_copy(update={"weights": str(tmp_path / "weights")})})


@pytest.fixture
def seeded_weights(params: Params, monkeypatch: pytest.MonkeyPatch) -> syncnet.SyncNet:
    """The network, whose seeded weights are declared in place of the published ones."""
    net = seed_network(syncnet.SyncNet(), "syncnet")
    path = Path(params.syncnet.weights) / "seeded.model"
    path.parent.mkdir()
    torch.save(net.state_dict(), path)
    monkeypatch.setattr(weights, "declared", lambda: {weights.SYNCNET: declared_as(declared_file(path))})
    return net


def directly(net: syncnet.SyncNet, clip: Clip, frame_of: list[int], boxes: np.ndarray, start_s: float) -> SyncNetScore:
    """One segment's row without stage, stream or batches: the crops of all frames at once."""
    frames = [frame.rgb for frame in decode_video(clip.path)]
    half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    track = syncnet.crop_track(boxes)
    assert track is not None
    np.testing.assert_allclose(track[6:-6, 2], 1.1 * half[6:-6], rtol=1e-6)
    crops = np.stack([syncnet.face_crop(frames[i], place) for i, place in zip(frame_of, track, strict=True)])
    begin = round(start_s * 16000)
    sound = syncnet.as_int16(decode_audio(clip.path)[begin : begin + 640 * len(frame_of)])
    windows = len(frame_of) - 5
    lips = net.lips(torch.from_numpy(crops[:-1, ..., ::-1].copy()).permute(0, 3, 1, 2).float())
    found = syncnet.score(lips, syncnet.sound_embeddings(net, sound, windows, 1000))
    return SyncNetScore("", found.windows, found.offset_frames, found.confidence, found.distance)


def test_rows_equal_direct_computation(layout: Layout, params: Params, seeded_weights: syncnet.SyncNet) -> None:
    stage.run(params, layout)
    clips = {clip.clip_id: clip for clip in read_table(layout.clips, Clip)}
    moving = np.arange(75)[:, None] * np.array([1, 0, 1, 0]) + BOX
    # the frame on screen in the middle of each 25 fps frame: the 38th begins at 1.52 s, in the middle of the first from 1.5 s
    at_30 = [int((i + 0.5) / 25 * 30 + 1e-6) for i in range(75)]
    wanted = {
        "a#0": directly(seeded_weights, clips["a"], list(range(37)), moving[:37], 0.0),
        "a#1": directly(seeded_weights, clips["a"], list(range(38, 75)), moving[38:75], 1.5),
        "b": directly(seeded_weights, clips["b"], at_30, (np.array(at_30)[:, None] * [1, 0, 1, 0] + BOX), 0.0),
    }
    rows = {row.clip_id: row for row in read_table(layout.syncnet, SyncNetScore)}
    assert set(rows) == set(wanted), "a#2 is too short, c has no sound"
    for clip_id, row in rows.items():
        assert (row.windows, row.offset_frames) == (wanted[clip_id].windows, wanted[clip_id].offset_frames), clip_id
        # the bridged gap differs by less than a pixel from the track without one
        assert row.distance == pytest.approx(wanted[clip_id].distance, rel=1e-3 if clip_id == "b" else 1e-5)
        assert row.confidence == pytest.approx(wanted[clip_id].confidence, abs=row.distance * (1e-3 if clip_id == "b" else 1e-5))
    ledger = read_table(layout.ledger("syncnet"), LedgerRow)
    assert [(row.clip_id, row.status) for row in ledger] == [("a", "kept"), ("b", "kept"), ("c", "kept")]


def test_without_weights_the_table_is_empty(layout: Layout, params: Params, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        stage.run(params, layout)
    assert "space weights fetch syncnet-v2 --folder" in caplog.text and "syncnet_v2.model" in caplog.text
    assert read_table(layout.syncnet, SyncNetScore) == [] and read_table(layout.ledger("syncnet"), LedgerRow) == []


def test_another_file_under_the_name_is_refused(layout: Layout, params: Params) -> None:
    folder = Path(params.syncnet.weights)
    folder.mkdir()
    (folder / "syncnet_v2.model").write_bytes(b"<html>not found</html>")
    with pytest.raises(SpaceError, match="22 bytes"):
        stage.run(params, layout)


def test_new_boxes_are_new_work(layout: Layout, params: Params, tmp_path: Path) -> None:
    other = Layout.in_folder(tmp_path / "other")
    for name in ("ingest", "measure", "segment"):
        shutil.copytree(layout.stage(name), other.stage(name))

    def units(weights: str = "w", weights_sha256: str = "hash") -> dict[str, Unit]:
        context = Context(params, other, PARTS, {"weights": weights, "weights_sha256": weights_sha256})
        return {unit.unit_id: unit for part in range(PARTS) for unit in stage.items(context, part)}

    def changed(after: dict[str, Unit]) -> set[str]:
        assert after.keys() == before.keys()
        return {name for name in before if before[name].content != after[name].content}

    measures, before = read_table(other.measures, Measure), units()
    assert {name: [s.clip_id for s in unit.value.segments] for name, unit in before.items()} == {
        "a": ["a#0", "a#2", "a#1"], "b": ["b"], "c": ["c"],
    }  # fmt: skip
    assert changed(units("elsewhere")) == set() and changed(units(weights_sha256="of others")) == {"a", "b", "c"}
    later = [dataclasses.replace(row, end_s=2.9) if row.clip_id == "b" else row for row in measures]
    write_sharded(other.measures, later, Measure, PARTS)
    assert changed(units()) == {"b"}
    write_sharded(other.measures, measures, Measure, PARTS)
    clips = read_table(other.clips, Clip)
    heard = [dataclasses.replace(clip, audio_track=1) if clip.clip_id == "a" else clip for clip in clips]
    write_sharded(other.clips, heard, Clip, PARTS)
    assert changed(units()) == {"a"}, "another sound track"
    write_sharded(other.clips, clips, Clip, PARTS)
    frames = read_table(other.frames, FrameRow)
    moved = [dataclasses.replace(row, box=row.box + 1) if row.clip_id == "a" and row.frame == 7 else row for row in frames]
    write_sharded(other.frames, moved, FrameRow, PARTS)
    assert changed(units()) == {"a"}
    write_sharded(other.measures, [dataclasses.replace(measures[0], clip_id="d", source_clip_id="d")], Measure, PARTS)
    with pytest.raises(SpaceError, match="no frames of clip d"):
        units()
    write_sharded(other.measures, [dataclasses.replace(row, screened="no_face") for row in measures], Measure, PARTS)
    assert units() == {}
