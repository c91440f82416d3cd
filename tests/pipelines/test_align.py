"""Align: pictures by time stamp, sound moved by its offset, lengths that agree exactly; the whole stage on small clips."""

import dataclasses
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_up_measures import CLIP

from pipelines.layout import Layout
from pipelines.stages import align
from pipelines.stages.align import Playhead, Segment, common_piece, face_outline, piece_sound, place
from space_data.crop import CropBox, crop_box
from space_data.errors import SpaceError
from space_data.facemesh import track_faces
from space_data.landmarks import estimate_pose, mesh_to_landmarks
from space_data.media.encode import write_video
from space_data.media.probe import probe
from space_data.media.sound import decode_audio
from space_data.media.video import Frame, decode_video
from space_data.params import load_params
from space_data.schema import FAILED, KEPT, REJECTED, AlignedClip, Clip, Decision, FrameRow, LedgerRow
from space_data.tables import read_table, write_sharded, write_table
from space_data.timebase import AUDIO_HZ, VIDEO_FPS, frame_centre_s, frames_to_samples, nearest_frames, seconds_to_samples

REPOSITORY = Path(__file__).resolve().parents[2]
BOX = CropBox(0, 0, 512)


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


@pytest.mark.parametrize(
    ("start_s", "n_frames", "offset", "audio_frames", "expected"),
    [
        (0.0, 50, 0.0, 50, (0.0, 50)),
        (0.0, 50, 0.0, 40, (0.0, 40)),  # sound ends early
        (0.0, 50, 3.0, 50, (0.0, 47)),  # sound is late: its first 3 frames go, pictures lose their last 3
        (0.0, 50, -3.0, 50, (0.12, 47)),  # sound is early: pictures lose their first 3
        (0.0, 50, -2.5, 50, (0.12, 47)),  # whole frames only
        (1.0, 25, -3.0, 50, (1.0, 25)),  # a later segment has sound before it
        (1.0, 25, 10.0, 50, (1.0, 15)),
        (5.0, 25, 0.0, 50, (5.0, 0)),  # no sound left at all
    ],
)
def test_common_piece_by_hand(start_s: float, n_frames: int, offset: float, audio_frames: int, expected: tuple) -> None:
    piece = common_piece(Segment("c", start_s, n_frames, offset, BOX), frames_to_samples(audio_frames))
    assert (piece.start_s, piece.n_frames) == (pytest.approx(expected[0]), expected[1])


@pytest.mark.parametrize("offset", [-4.0, -1.5, 0.0, 2.0, 7.0])
def test_a_late_click_is_moved_back_to_its_frame(offset: float) -> None:
    """A click that belongs to 2 s on the pictures' clock and is ``offset`` frames late ends up where it belongs."""
    audio = np.zeros(seconds_to_samples(4.0), np.float32)
    audio[seconds_to_samples(2.0 + offset / VIDEO_FPS)] = 1.0
    piece = common_piece(Segment("c", 0.0, 100, offset, BOX), len(audio))
    sound = piece_sound(audio, piece, offset)
    assert len(sound) == frames_to_samples(piece.n_frames)
    assert piece.start_s + sound.argmax() / AUDIO_HZ == pytest.approx(2.0, abs=1e-4)


def test_outline_gives_the_crop_of_the_whole_mesh(astronaut: np.ndarray) -> None:
    """Training video (78 landmarks) and portraits (whole mesh) must be cropped alike: within 4 % of the side."""
    picture = np.ascontiguousarray(np.pad(astronaut[0:300, 90:390], ((200, 200), (200, 200), (0, 0))))
    meshes = track_faces([picture] * 3)
    whole = crop_box(meshes, 700, 700)
    ours = crop_box(face_outline(mesh_to_landmarks(meshes), estimate_pose(meshes)), 700, 700)
    assert ours.side == pytest.approx(whole.side, rel=0.04)
    assert abs(ours.x0 - whole.x0) < 0.04 * whole.side and abs(ours.y0 - whole.y0) < 0.04 * whole.side


# ---- the stage on small clips: a picture with a moving bar, a click in the sound ----

SIZE, FPS, SECONDS = 96, 50, 4.0


def clip_of(clip_id: str, path: Path) -> Clip:
    return dataclasses.replace(
        CLIP, clip_id=clip_id, path=str(path), dataset="t", subject="s", emotion="happy", intensity=0.5, duration_s=SECONDS,
        fps=FPS, header_frames=int(SECONDS * FPS), width_px=SIZE, height_px=SIZE, audio_hz=AUDIO_HZ,
    )  # fmt: skip


def decision_of(clip_id: str, segment: int, start_s: float, end_s: float, offset: float, status: str = KEPT) -> Decision:
    return Decision(
        clip_id=f"{clip_id}#{segment}" if segment else clip_id, source_clip_id=clip_id, segment=segment, status=status,
        reasons="" if status == KEPT else "blurred", warnings="", first_frame=int(start_s * FPS), end_frame=int(end_s * FPS),
        start_s=start_s, end_s=end_s, offset_frames=offset, sync_confidence=0.5,
    )  # fmt: skip


def frame_rows(clip_id: str, landmarks: np.ndarray, pose: np.ndarray) -> list[FrameRow]:
    box = np.array([10, 10, 80, 80], np.float32)
    return [
        FrameRow(
            clip_id=clip_id, frame=i, pts_s=i / FPS, width_px=SIZE, height_px=SIZE, shot=0, found=True,
            landmarks_px=landmarks.ravel(), pose=pose, box=box, faces=1, second_face=0.0, detector_score=0.9, photo_score=1.0,
            reblur_ratio=0.2, reblur_coarse=0.1, luma_mean=100.0, luma_sd=40.0, frame_difference=1.0,
        )
        for i in range(int(SECONDS * FPS))
    ]  # fmt: skip


@pytest.fixture
def world(tmp_path: Path, astronaut: np.ndarray) -> Layout:
    """Clip ``t/a``: grey level = 60 * second, click at 3.2 s. ``t/broken``: not a video. Decisions with and without offsets."""
    layout = Layout(tmp_path / "data", tmp_path / "reports", tmp_path / "cache")
    audio = np.zeros(seconds_to_samples(SECONDS), np.float32)
    audio[seconds_to_samples(3.2)] = 0.9
    frames = (np.full((SIZE, SIZE, 3), int(60 * i / FPS), np.uint8) for i in range(int(SECONDS * FPS)))
    write_video(tmp_path / "a.mp4", frames, fps=FPS, crf=1, audio=audio)
    (tmp_path / "broken.mp4").write_text("no video")
    mesh = track_faces([astronaut])[:, :468] * (SIZE / 512)
    meshes = np.concatenate([mesh, mesh[:, :10]], axis=1)
    landmarks, pose = mesh_to_landmarks(meshes)[0], estimate_pose(meshes).as_array()[0]
    write_table(layout.clips, [clip_of("t/a", tmp_path / "a.mp4"), clip_of("t/broken", tmp_path / "broken.mp4")], Clip)
    rows = frame_rows("t/a", landmarks, pose) + frame_rows("t/broken", landmarks, pose)
    write_sharded(layout.frames, rows, FrameRow, 2)
    decisions = [
        decision_of("t/a", 0, 0.0, 1.6, 0.0),
        decision_of("t/a", 1, 2.0, 4.0, 5.0),
        decision_of("t/a", 2, 1.6, 2.0, 0.0),
        decision_of("t/a", 3, 0.0, 0.1, 0.0, REJECTED),
        decision_of("t/broken", 0, 0.0, 4.0, 0.0),
    ]
    write_table(layout.decisions, decisions, Decision)
    return layout


def params_with(workers: int):
    params = load_params(REPOSITORY / "params.yaml")
    small = params.align.model_copy(update={"size_px": 64, "min_frames": 20, "crf": 1})
    return params.model_copy(update={"align": small, "job": params.job.model_copy(update={"workers": workers, "shards": 2})})


def test_stage(world: Layout) -> None:
    align.run(params_with(workers=1), world)
    rows = {row.clip_id: row for row in read_table(world.aligned_clips, AlignedClip)}
    assert sorted(rows) == ["t/a", "t/a#1"]
    ledger = {row.clip_id: (row.status, row.reason) for row in read_table(world.ledger("align"), LedgerRow)}
    assert ledger == {
        "t/a": (KEPT, ""), "t/a#1": (KEPT, ""), "t/a#2": (REJECTED, "too_short"), "t/broken": (FAILED, "error"),
    }  # fmt: skip
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
    assert (late.applied_offset_frames, late.n_frames) == (5.0, 45), "five frames of sound are missing at the end"
    # The click at 3.2 s was 5 frames late: on the pictures' clock it belongs to 3.0 s.
    assert late.start_s + decode_audio(late.audio).argmax() / AUDIO_HZ == pytest.approx(3.0, abs=0.002)


def test_two_clips_never_share_a_file(tmp_path: Path) -> None:
    """A second link would write through the first into the kept result."""
    kept = tmp_path / "kept.mp4"
    kept.write_bytes(b"first")
    place(kept, tmp_path / "out" / "a-s0.mp4")
    with pytest.raises(SpaceError, match="two clips want this file"):
        place(tmp_path / "other.mp4", tmp_path / "out" / "a-s0.mp4")
    assert kept.read_bytes() == b"first"


def test_long_ids_and_ids_that_look_alike_get_files_of_their_own(world: Layout) -> None:
    """Too long in two ways, ``#`` against ``-s``, upper and lower case, composed and decomposed, a folder called like a file."""
    names = ["é" * 126, "é" * 125 + "è", "b#1", "b-s1", "K", "k", "\u00e9", "e\u0301", "x", "x.mp4/y", "deep/" * 300 + "z"]
    ids = sorted(f"t/{name}" for name in names)
    source = read_table(world.clips, Clip)[0]
    rows = [row for row in read_table(world.frames, FrameRow) if row.clip_id == source.clip_id]
    write_table(world.clips, [dataclasses.replace(source, clip_id=i) for i in ids], Clip)
    write_sharded(world.frames, [dataclasses.replace(row, clip_id=i) for i in ids for row in rows], FrameRow, 2)
    write_table(world.decisions, [decision_of(i, 0, 0.0, 1.6, 0.0) for i in ids], Decision)
    align.run(params_with(workers=2), world)
    aligned = read_table(world.aligned_clips, AlignedClip)
    assert [row.clip_id for row in aligned] == ids
    assert all(probe(row.video).header_frames == row.n_frames for row in aligned)
    alike = {unicodedata.normalize("NFC", row.video).casefold() for row in aligned}
    assert len(alike) == len(ids)


def test_same_bytes_for_any_number_of_workers_and_from_the_cache(world: Layout, tmp_path: Path) -> None:
    def outputs(layout: Layout) -> dict[str, bytes]:
        return {str(p.relative_to(layout.aligned)): p.read_bytes() for p in sorted(layout.aligned.rglob("*")) if p.is_file()}

    align.run(params_with(workers=1), world)
    first = outputs(world)
    align.run(params_with(workers=1), world)
    assert outputs(world) == first, "second run, from kept results"
    for workers in (2, 4):
        align.run(params_with(workers), dataclasses.replace(world, cache=tmp_path / f"cache-of-{workers}"))
        assert outputs(world) == first, f"{workers} workers"


def test_kept_clip_without_frames_is_a_stale_table(world: Layout) -> None:
    write_sharded(world.frames, [], FrameRow, 2)
    with pytest.raises(SpaceError, match="no frames of kept clip t/a"):
        align.run(params_with(workers=1), world)
