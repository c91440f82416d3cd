"""Features without pixels: length and sound of the rendered segment exactly, its tracked faces to what two looks differ by."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_up_segments import decision_of, filmed

from pipelines.job.packs import BLOBS
from pipelines.stages import segment_features
from pipelines.stages.align import RENDERED_FILE, align_source
from pipelines.stages.align import Source as RenderSource
from pipelines.stages.segment_features import (
    FATES_FILE,
    Fate,
    Source,
    crop_row,
    features_of_segments,
    read_fates,
    sources_of,
    tracks_hash,
)
from space_data.errors import SpaceError
from space_data.features import face_track, speech_track
from space_data.landmarks import IRISES, N_LANDMARKS, PoseTrack
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import Params, load_params
from space_data.schema import Clip, FeatureFrame, FrameRow
from space_data.store import Place
from space_data.tables import by_clip, read_arrow, read_table, vectors, write_table

REPOSITORY = Path(__file__).resolve().parents[2]
PARAMS: Params = load_params(REPOSITORY / "params.yaml").model_copy(deep=True)
SETTINGS = PARAMS.features.model_copy(update={"min_frames": 20})
SIZE_PX = 256


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> tuple[Clip, Path]:
    """4 s at 30 fps of a portrait that slides through a larger picture and is lost in the last second; its measured frames."""
    folder = tmp_path_factory.mktemp("world")
    wide = np.pad(astronaut[0:280, 80:380], ((20, 60), (160, 160), (0, 0)), mode="edge")
    sliding = [np.ascontiguousarray(wide[:, 80 - i // 2 : 460 - i // 2]) for i in range(90)]
    lost = [np.full_like(sliding[0], 127)] * 30
    clip = filmed(folder, "sliding", sliding + lost, PARAMS, np.random.default_rng(4))
    return clip, folder / "sliding" / "frames.arrow"


def source_of(world: tuple[Clip, Path], *decisions: tuple[int, tuple[int, int], float]) -> Source:
    clip, frames = world
    ((source, _),) = sources_of([decision_of(clip, *d) for d in decisions], {clip.clip_id: clip}, Place.of(frames), SIZE_PX)
    return source


def fates_in(folder: Path) -> list[Fate]:
    return read_fates((folder / FATES_FILE).read_bytes())


def frames_of(folder: Path) -> dict:
    return dict(by_clip(read_arrow(folder / "frames.arrow", FeatureFrame)))


def test_same_pieces_sound_and_faces_as_the_rendered_segments(world: tuple[Clip, Path], tmp_path: Path) -> None:
    source = source_of(world, (0, (0, 35), -3.0), (1, (36, 70), 2.5))
    features_of_segments(source, SETTINGS, tmp_path)
    fates = fates_in(tmp_path)
    crops = tuple(crop_row(source, *pair) for pair in zip(source.segments, [fate.piece for fate in fates], strict=True))
    assert [row.n_frames for row in crops] == [32, 34], "three frames of sound are missing before the first segment"
    (tmp_path / "aligned").mkdir()
    align_source(RenderSource(source.clip, crops, "unused"), PARAMS.align.crf, tmp_path / "aligned")
    stems = [rendered["stem"] for rendered in json.loads((tmp_path / "aligned" / RENDERED_FILE).read_text())]
    for stem, row in zip(stems, crops, strict=True):
        rows = frames_of(tmp_path)[row.clip_id]
        spoken, pictures = (tmp_path / "aligned" / BLOBS / f"{stem}.{suffix}" for suffix in ("wav", "mp4"))
        frames = [frame.rgb for frame in decode_video(pictures)]
        assert len(rows) == row.n_frames == len(frames) == len(decode_audio(spoken)) // 640
        speech = speech_track(decode_audio(spoken), row.n_frames)
        np.testing.assert_array_equal(vectors(rows, "log_mel").ravel(), speech.log_mel.ravel())
        np.testing.assert_array_equal(vectors(rows, "mfcc").ravel(), speech.mfcc.ravel())
        face = face_track(frames)
        apart = np.linalg.norm((vectors(rows, "normalised").reshape(-1, N_LANDMARKS, 3) - face.normalised)[..., :2], axis=-1)
        assert apart.mean() < 0.01, "1 % of the inter-ocular distance: what two looks at one face differ by"
        pose = PoseTrack.from_array(vectors(rows, "pose"))
        assert np.abs(pose.yaw_deg - face.pose.yaw_deg).max() < 2
        np.testing.assert_allclose(pose.scale, face.pose.scale, rtol=0.02)
        np.testing.assert_allclose(pose.translation[:, :2], face.pose.translation[:, :2], atol=2.0)


def test_no_picture_is_decoded(world: tuple[Clip, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(clip: Clip) -> Iterator[None]:
        raise AssertionError("pixels")

    monkeypatch.setattr(segment_features, "pictures", forbidden)
    features_of_segments(source_of(world, (0, (0, 35), 0.0)), SETTINGS, tmp_path)
    assert len(frames_of(tmp_path)["set/sliding#0"]) == 35


def test_a_tracker_without_irises_gets_the_mesh(world: tuple[Clip, Path], tmp_path: Path) -> None:
    clip, frames = world
    features_of_segments(source_of(world, (0, (0, 35), 0.0)), SETTINGS, tmp_path)
    wanted = vectors(frames_of(tmp_path)["set/sliding#0"], "normalised")
    blind = []
    for row in read_table(frames, FrameRow):
        points = row.landmarks_px.reshape(N_LANDMARKS, 3).copy()
        points[IRISES] = np.nan
        blind.append(dataclasses.replace(row, landmarks_px=points.ravel()))
    write_table(tmp_path / "blind.parquet", blind, FrameRow)
    features_of_segments(source_of((clip, tmp_path / "blind.parquet"), (0, (0, 35), 0.0)), SETTINGS, tmp_path)
    found = vectors(frames_of(tmp_path)["set/sliding#0"], "normalised")
    assert np.isfinite(found).all() and np.abs(found - wanted).mean() < 0.01


def test_segments_that_are_no_use(world: tuple[Clip, Path], tmp_path: Path) -> None:
    source = source_of(world, (0, (0, 30), 0.0), (1, (30, 42), 0.0), (2, (44, 88), 0.0), (3, (64, 88), 0.0))
    features_of_segments(source, SETTINGS, tmp_path)
    good, short, partly, mostly = fates_in(tmp_path)
    assert (good.reason, good.piece.n_frames) == ("", 30)
    assert (short.reason, short.value, short.threshold) == ("too_short", 12.0, 20.0)
    assert (partly.reason, partly.threshold) == ("face_lost", 0.1) and partly.value == pytest.approx(13 / 44, abs=0.05)
    assert mostly.reason == "face_lost" and mostly.value is not None and mostly.value > 0.4
    assert list(frames_of(tmp_path)) == ["set/sliding#0"]


def test_nothing_left_is_a_table_without_rows(world: tuple[Clip, Path], tmp_path: Path) -> None:
    features_of_segments(source_of(world, (0, (0, 10), 0.0)), SETTINGS, tmp_path)
    assert frames_of(tmp_path) == {}


def test_tables_that_do_not_belong_together(world: tuple[Clip, Path], tmp_path: Path) -> None:
    clip, frames = world
    stranger = dataclasses.replace(clip, clip_id="set/other")
    with pytest.raises(SpaceError, match="no frames of kept clip set/other"):
        list(sources_of([decision_of(stranger, 0, (0, 35))], {stranger.clip_id: stranger}, Place.of(frames), SIZE_PX))
    with pytest.raises(SpaceError, match="set/other is not among the clips"):
        list(sources_of([decision_of(stranger, 0, (0, 35))], {clip.clip_id: clip}, Place.of(frames), SIZE_PX))
    source = dataclasses.replace(source_of(world, (0, (0, 35), 0.0)), clip=stranger)
    with pytest.raises(SpaceError, match="no frames of kept clip set/other"):
        features_of_segments(source, SETTINGS, tmp_path)


def test_the_hash_of_tracks_follows_what_is_used(world: tuple[Clip, Path]) -> None:
    rows = read_arrow(world[1], FrameRow)
    first = tracks_hash(rows)
    brighter = rows.set_column(rows.schema.get_field_index("luma_mean"), "luma_mean", [np.zeros(len(rows), np.float64)])
    later = rows.set_column(rows.schema.get_field_index("pts_s"), "pts_s", [np.asarray(rows["pts_s"]) + 0.01])
    assert tracks_hash(brighter) == first != tracks_hash(later)
