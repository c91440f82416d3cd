"""Features stage: what it writes equals the pure functions, speech-only tracks join exactly, lost faces are rejected."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipelines.layout import Layout
from pipelines.readers import Utterance
from pipelines.stages import features
from space_data.features import canonical_pose, face_track, speech_track
from space_data.landmarks import N_LANDMARKS, PoseTrack, estimate_pose, mesh_to_landmarks, posed
from space_data.media.encode import write_video, write_wav
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.schema import (
    EMOTIONS,
    KEPT,
    REJECTED,
    UNKNOWN,
    AlignedClip,
    FeatureClip,
    FeatureFrame,
    LedgerRow,
    UtteranceFrame,
)
from space_data.tables import by_clip, read_arrow, read_table, vectors, write_table
from space_data.timebase import frames_to_samples

REPOSITORY = Path(__file__).resolve().parents[2]
N_FRAMES = 12


def aligned_clip(folder: Path, name: str, frames: list[np.ndarray], rng: np.random.Generator) -> AlignedClip:
    sound = rng.normal(0, 0.05, frames_to_samples(len(frames))).astype(np.float32)
    write_video(folder / f"{name}.mp4", frames, audio=sound)
    write_wav(folder / f"{name}.wav", sound)
    return AlignedClip(
        clip_id=f"set/{name}", source_clip_id=f"set/{name}", dataset="set", subject="s1", emotion="happy", intensity=0.5,
        language="en", split="val", video=str(folder / f"{name}.mp4"), audio=str(folder / f"{name}.wav"), n_frames=len(frames),
        size_px=256, start_s=0.0, crop_x0_px=0.0, crop_y0_px=0.0, crop_side_px=256.0, applied_offset_frames=0.0,
    )  # fmt: skip


@pytest.fixture
def layout(tmp_path: Path, astronaut: np.ndarray, rng: np.random.Generator) -> Layout:
    """Two aligned clips: a face that slides, and one with a face in 3 of 12 frames."""
    layout = Layout(tmp_path / "data", tmp_path / "reports", tmp_path / "cache")
    layout.aligned.mkdir(parents=True)
    sliding = [np.ascontiguousarray(np.roll(astronaut[0:256, 96:352], 2 * i, axis=1)) for i in range(N_FRAMES)]
    lost = sliding[:3] + [np.full((256, 256, 3), 127, np.uint8)] * (N_FRAMES - 3)
    clips = [aligned_clip(layout.aligned, "sliding", sliding, rng), aligned_clip(layout.aligned, "lost", lost, rng)]
    write_table(layout.aligned_clips, clips, AlignedClip)
    return layout


def params_with(workers: int = 1, reader: str = "folder"):
    params = load_params(REPOSITORY / "params.yaml")
    job = params.job.model_copy(update={"workers": workers, "shards": 2})
    return params.model_copy(update={"job": job, "data": params.data.model_copy(update={"reader": reader})})


def frames_of(layout: Layout) -> dict:
    return dict(by_clip(read_arrow(layout.feature_frames, FeatureFrame)))


def test_stage_writes_what_the_pure_functions_give(layout: Layout) -> None:
    features.run(params_with(), layout)
    (clip,) = read_table(layout.feature_clips, FeatureClip)
    assert (clip.clip_id, clip.kind, clip.split, clip.n_frames) == ("set/sliding", "video", "val", N_FRAMES)
    assert clip.emotion[EMOTIONS.index("happy")] == 0.5 and clip.emotion.sum() == 0.5
    rows = frames_of(layout)["set/sliding"]
    face = face_track(frame.rgb for frame in decode_video(clip.video))
    speech = speech_track(decode_audio(clip.audio), N_FRAMES)
    np.testing.assert_array_equal(vectors(rows, "normalised"), face.normalised.reshape(N_FRAMES, -1))
    np.testing.assert_array_equal(vectors(rows, "pose"), face.pose.as_array())
    np.testing.assert_array_equal(vectors(rows, "log_mel"), speech.log_mel.reshape(N_FRAMES, -1))
    np.testing.assert_array_equal(vectors(rows, "mfcc"), speech.mfcc.reshape(N_FRAMES, -1))


def test_an_unlabelled_clip_has_no_emotion_not_even_neutral(layout: Layout) -> None:
    clip = dataclasses.replace(read_table(layout.aligned_clips, AlignedClip)[0], emotion=UNKNOWN, intensity=0.0)
    row = features.clip_row(features.FeatureUnit(clip, None, clip.split, clip.size_px), N_FRAMES)
    assert np.isnan(row.emotion).all()


def test_stored_pose_and_landmarks_give_the_tracked_pixels(layout: Layout) -> None:
    from space_data.facemesh import track_faces

    features.run(params_with(), layout)
    rows = frames_of(layout)["set/sliding"]
    stored = vectors(rows, "normalised").reshape(-1, N_LANDMARKS, 3)
    pixels = posed(stored, PoseTrack.from_array(vectors(rows, "pose")))
    meshes = track_faces(frame.rgb for frame in decode_video(layout.aligned / "sliding.mp4"))
    np.testing.assert_allclose(pixels, mesh_to_landmarks(meshes), atol=2e-3)
    assert len(estimate_pose(meshes)) == N_FRAMES


def test_too_many_lost_frames_are_a_rejection_with_its_value(layout: Layout) -> None:
    features.run(params_with(), layout)
    ledger = {row.clip_id: row for row in read_table(layout.ledger("features"), LedgerRow)}
    assert ledger["set/sliding"].status == KEPT
    lost = ledger["set/lost"]
    assert (lost.status, lost.reason, lost.threshold) == (REJECTED, "face_lost", 0.1)
    assert lost.value is not None and 0.1 < lost.value <= 0.75


def test_same_bytes_for_any_number_of_workers(layout: Layout, tmp_path: Path) -> None:
    def tables(layout: Layout) -> dict[str, bytes]:
        files = sorted(layout.features.rglob("*.parquet"))
        return {str(p.relative_to(layout.features)): p.read_bytes() for p in files}

    features.run(params_with(workers=1), layout)
    first = tables(layout)
    assert len(first) == 7, "the clips, and two shards of each split"
    for workers in (2, 4):
        features.run(params_with(workers), dataclasses.replace(layout, cache=tmp_path / f"cache-of-{workers}"))
        assert tables(layout) == first, f"{workers} workers"


def test_speech_only_tracks_join_with_the_canonical_pose(
    layout: Layout, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = rng.normal(0, 0.3, (20, N_LANDMARKS * 3)).astype(np.float32)
    write_table(tmp_path / "u.parquet", [UtteranceFrame(i, row) for i, row in enumerate(track)], UtteranceFrame)
    sound = rng.normal(0, 0.05, frames_to_samples(18)).astype(np.float32)  # two frames shorter than the track
    write_wav(tmp_path / "u.wav", sound)
    spoken = Utterance("set/u", tmp_path / "u.wav", tmp_path / "u.parquet", "set", "voice-1", "sad", 1.0, "fr")
    monkeypatch.setattr(features, "list_utterances", lambda reader, root: [spoken])
    features.run(params_with(), layout)
    clip = {row.clip_id: row for row in read_table(layout.feature_clips, FeatureClip)}["set/u"]
    assert (clip.kind, clip.language, clip.n_frames, clip.video) == ("speech_only", "fr", 18, "")
    rows = frames_of(layout)["set/u"]
    np.testing.assert_array_equal(vectors(rows, "normalised"), track[:18])
    np.testing.assert_array_equal(vectors(rows, "pose"), canonical_pose(18, params_with().align.size_px).as_array())
    np.testing.assert_array_equal(
        vectors(rows, "log_mel").reshape(18, 4, 40), speech_track(decode_audio(spoken.audio), 18).log_mel
    )
