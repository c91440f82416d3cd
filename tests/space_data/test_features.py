"""Feature extraction: exact inverses, gaps, agreement of picture and sound, answers known by hand."""

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.features import (
    FaceTrack,
    canonical_pose,
    face_track,
    feature_rows,
    fill_gaps,
    speech_track,
    track_of_meshes,
)
from space_data.landmarks import (
    N_LANDMARKS,
    N_MESH,
    OUTER_EYE_CORNERS,
    PoseTrack,
    mesh_to_landmarks,
    posed,
    template_mesh,
)
from space_data.speech import log_mel, mfcc
from space_data.timebase import AUDIO_HZ, frames_to_samples


def moving_meshes(n_frames: int) -> tuple[np.ndarray, PoseTrack]:
    """The template, irises added, turning from -20 to +20 degrees of yaw while it moves right: (T, 478, 3) px and its pose."""
    eyes = template_mesh()[list(np.repeat([159, 386], 5))]
    mesh = np.concatenate([template_mesh(), eyes])
    ramp = np.linspace(0.0, 1.0, n_frames).astype(np.float32)
    zero = np.zeros_like(ramp)
    translation = np.stack([200 + 50 * ramp, 240 + zero, zero], axis=1)
    pose = PoseTrack(40 * ramp - 20, 5 + zero, zero, 100 + zero, translation)
    return posed(np.broadcast_to(mesh, (n_frames, N_MESH, 3)), pose), pose


def test_pose_and_normalised_landmarks_come_apart_exactly() -> None:
    meshes, pose = moving_meshes(9)
    track = track_of_meshes(meshes)
    np.testing.assert_allclose(track.pose.yaw_deg, pose.yaw_deg, atol=1e-2)
    np.testing.assert_allclose(track.pose.translation, pose.translation, atol=1e-2)
    # The head only turned and moved: in normalised space nothing moves, and the eye corners are one unit apart.
    assert np.ptp(track.normalised, axis=0).max() < 1e-3
    left, right = OUTER_EYE_CORNERS
    np.testing.assert_allclose(np.linalg.norm(track.normalised[:, right] - track.normalised[:, left], axis=-1), 1.0, atol=1e-3)
    assert not track.interpolated.any()


def test_posed_gives_the_pixels_back(rng: np.random.Generator) -> None:
    meshes, _ = moving_meshes(7)
    meshes = meshes + rng.normal(0, 2, meshes.shape).astype(np.float32)
    np.testing.assert_allclose(track_of_meshes(meshes).landmarks_px, mesh_to_landmarks(meshes), atol=2e-3)


def test_lost_frames_are_interpolated_and_flagged() -> None:
    meshes, pose = moving_meshes(9)
    meshes[[0, 3, 4, 8]] = np.nan
    track = track_of_meshes(meshes)
    assert track.interpolated.tolist() == [True, False, False, True, True, False, False, False, True]
    # Inside, on the line between the neighbours (the motion is linear); at the ends, the nearest frame.
    np.testing.assert_allclose(track.pose.yaw_deg[1:8], pose.yaw_deg[1:8], atol=2e-2)
    np.testing.assert_allclose(track.pose.yaw_deg[[0, 8]], pose.yaw_deg[[1, 7]], atol=2e-2)
    assert np.isfinite(track.landmarks_px).all()


def test_fill_gaps_by_hand() -> None:
    values = np.array([[np.nan], [1.0], [np.nan], [np.nan], [4.0], [np.nan]], np.float32)
    filled = fill_gaps(values, np.isfinite(values[:, 0]))
    assert filled[:, 0].tolist() == [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]
    assert np.isnan(values).sum() == 4, "the argument must stay as it was"


def test_no_face_at_all_is_an_error() -> None:
    with pytest.raises(SpaceError, match="no face in any of 3 frames"):
        track_of_meshes(np.full((3, N_MESH, 3), np.nan, np.float32))
    with pytest.raises(SpaceError, match="no face in any of 0 frames"):
        face_track([])
    with pytest.raises(SpaceError, match="no face in any of 2 frames"):
        face_track([np.full((128, 128, 3), 127, np.uint8)] * 2)


def test_speech_track_has_four_features_per_frame_of_the_same_sound(rng: np.random.Generator) -> None:
    audio = rng.normal(0, 0.1, frames_to_samples(10)).astype(np.float32)
    track = speech_track(audio, 10)
    assert track.log_mel.shape == (10, 4, 40) and track.mfcc.shape == (10, 4, 13) and track.speaking.shape == (10,)
    np.testing.assert_array_equal(track.log_mel.reshape(40, 40), log_mel(audio))
    np.testing.assert_array_equal(track.mfcc.reshape(40, 13), mfcc(audio))


def test_a_click_lands_in_its_frame() -> None:
    audio = np.zeros(frames_to_samples(8), np.float32)
    audio[frames_to_samples(5) + 200] = 1.0  # 12.5 ms into frame 5
    energy = speech_track(audio, 8).log_mel.max(axis=2)
    assert np.unravel_index(energy.argmax(), energy.shape) == (5, 1)


def test_short_sound_is_padded_and_long_sound_cut() -> None:
    second = np.zeros(AUDIO_HZ, np.float32)
    assert len(speech_track(second, 30)) == 30
    assert len(speech_track(second, 20)) == 20
    assert not speech_track(second, 20).speaking.any()


def test_rows_carry_the_arrays(rng: np.random.Generator) -> None:
    meshes, _ = moving_meshes(3)
    face, speech = track_of_meshes(meshes), speech_track(rng.normal(0, 0.1, frames_to_samples(3)).astype(np.float32), 3)
    rows = feature_rows("set/clip", face, speech)
    assert [row.frame for row in rows] == [0, 1, 2] and {row.clip_id for row in rows} == {"set/clip"}
    np.testing.assert_array_equal(rows[2].normalised.reshape(N_LANDMARKS, 3), face.normalised[2])
    np.testing.assert_array_equal(rows[1].pose, face.pose.as_array()[1])
    np.testing.assert_array_equal(rows[1].log_mel.reshape(4, 40), speech.log_mel[1])
    assert rows[0].eye_opening_left == pytest.approx(float(face.eye_opening[0, 0]))
    with pytest.raises(SpaceError, match="3 video frames against sound for 4"):
        feature_rows("set/clip", face, speech_track(np.zeros(frames_to_samples(4), np.float32), 4))


def test_canonical_pose_puts_the_template_where_the_crop_rule_puts_faces() -> None:
    pose = canonical_pose(2, 512)
    points = posed(np.broadcast_to(template_mesh(), (2, 468, 3)), pose)
    low, high = points[0, :, :2].min(axis=0), points[0, :, :2].max(axis=0)
    assert (high[1] - low[1]) / 512 == pytest.approx(0.42, abs=1e-4)
    np.testing.assert_allclose((low + high) / 2 / 512, [0.5, 0.48], atol=1e-4)


def test_a_real_face_is_followed(astronaut: np.ndarray) -> None:
    """The portrait slides 3 px to the right per frame: the pose moves with it, the normalised face stays."""
    crop = astronaut[0:300, 90:390]
    frames = [np.ascontiguousarray(np.roll(crop, 3 * i, axis=1)) for i in range(8)]
    track: FaceTrack = face_track(frames)
    assert not track.interpolated.any()
    shift = np.diff(track.pose.translation[:, 0]).mean()
    assert shift == pytest.approx(3.0, abs=0.4)
    assert np.ptp(track.normalised[..., :2], axis=0).mean() < 0.03
    assert (track.eye_opening > 0.1).all()
