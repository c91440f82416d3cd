"""Tracks moved into a crop: equal to what tracking the crop's own landmarks gives; frames by time stamp; gaps as everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space_data.crop import CropBox
from space_data.errors import SpaceError
from space_data.features import track_of_meshes
from space_data.landmarks import IRISES, N_LANDMARKS, N_MESH, PoseTrack, estimate_pose, mesh_to_landmarks, posed, template_mesh
from space_data.timebase import nearest_frames
from space_data.tracks import SourceTrack, pose_in_crop, track_in_crop

SIZE_PX = 512


def turning_meshes(n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """A trembling template that turns, nods and walks to the right, (T, 478, 3) px of the source picture."""
    eyes = template_mesh()[list(np.repeat([159, 386], 5))]
    ramp = np.linspace(-1.0, 1.0, n_frames).astype(np.float32)
    translation = np.stack([500 + 90 * ramp, 300 - 40 * ramp, 30 * ramp], axis=1)
    pose = PoseTrack(35 * ramp, 12 * ramp, -20 * ramp, 130 + 30 * ramp, translation)
    mesh = np.concatenate([template_mesh(), eyes])
    return posed(mesh + rng.normal(0, 0.01, (n_frames, N_MESH, 3)), pose)


def track_of(meshes: np.ndarray, pts_s: np.ndarray) -> SourceTrack:
    """What ``measure`` stores of meshes."""
    found = np.isfinite(meshes).all(axis=(1, 2))
    return SourceTrack(pts_s, mesh_to_landmarks(meshes), estimate_pose(meshes), found)


@given(st.integers(-300, 700), st.integers(-300, 700), st.integers(40, 1500), st.integers(64, 1024))
def test_a_crop_of_the_track_is_the_track_of_the_crop(x0: int, y0: int, side: int, size_px: int) -> None:
    """In depth, scale and angles, too: the pose fitted to the cropped mesh is the cropped pose."""
    meshes, box = turning_meshes(8, np.random.default_rng(5)), CropBox(x0, y0, side)
    ours = track_in_crop(track_of(meshes, np.arange(8) / 25), box, size_px, 0.0, 8)
    wanted = track_of_meshes(box.transform(meshes, size_px))
    np.testing.assert_allclose(ours.normalised, wanted.normalised, atol=2e-5)
    np.testing.assert_allclose(ours.pose.as_array()[:, :3], wanted.pose.as_array()[:, :3], atol=2e-3)
    px = size_px / side
    np.testing.assert_allclose(ours.pose.as_array()[:, 3:], wanted.pose.as_array()[:, 3:], atol=1e-3 * max(1, px))
    np.testing.assert_allclose(ours.landmarks_px, box.transform(mesh_to_landmarks(meshes), size_px), atol=2e-3 * max(1, px))


def test_a_pose_in_the_crop_by_hand() -> None:
    """Twice the size, 100 px to the left and 50 up: scale and depth double, angles stay."""
    pose = PoseTrack.from_array(np.float32([[10, -5, 3, 80, 300, 200, -12]]))
    moved = pose_in_crop(pose, CropBox(100, 50, 256), 512)
    np.testing.assert_array_equal(moved.as_array(), np.float32([[10, -5, 3, 160, 400, 300, -24]]))


@pytest.mark.parametrize("fps", [12.5, 23.976, 25.0, 29.97, 50.0, 60.0])
@pytest.mark.parametrize("start_s", [0.0, 0.04, 0.7331])
def test_frames_are_those_that_an_aligned_video_shows(fps: float, start_s: float, rng: np.random.Generator) -> None:
    n = int(4 * fps)
    track = track_of(turning_meshes(n, rng), np.arange(n) / fps)
    shown = nearest_frames(track.pts_s, start_s, 60)
    np.testing.assert_array_equal(track.at_25_hz(start_s, 60).landmarks_px, track.landmarks_px[shown])


def test_lost_frames_are_filled_and_marked_as_in_a_tracked_video(rng: np.random.Generator) -> None:
    meshes, box = turning_meshes(9, rng), CropBox(250, 60, 400)
    meshes[[0, 3, 4, 8]] = np.nan
    ours = track_in_crop(track_of(meshes, np.arange(9) / 25), box, SIZE_PX, 0.0, 9)
    wanted = track_of_meshes(box.transform(meshes, SIZE_PX))
    np.testing.assert_array_equal(ours.interpolated, wanted.interpolated)
    np.testing.assert_allclose(ours.normalised, wanted.normalised, atol=2e-5)
    np.testing.assert_allclose(ours.pose.as_array(), wanted.pose.as_array(), atol=2e-3)


def test_no_face_in_the_frames_that_count() -> None:
    meshes = turning_meshes(50, np.random.default_rng(1))
    meshes[25:] = np.nan
    track = track_of(meshes, np.arange(50) / 25)
    with pytest.raises(SpaceError, match="no face in any of 25 frames"):
        track_in_crop(track, CropBox(0, 0, 512), SIZE_PX, 1.0, 25)


def test_irises_that_a_tracker_lacks(rng: np.random.Generator) -> None:
    track = track_of(turning_meshes(4, rng), np.arange(4) / 25)
    assert track.has_irises
    points = track.landmarks_px.copy()
    points[:, IRISES] = np.nan
    assert not SourceTrack(track.pts_s, points, track.pose, track.found).has_irises
    nothing = SourceTrack(np.zeros(0), np.zeros((0, N_LANDMARKS, 3), np.float32), track.pose[:0], np.zeros(0, bool))
    assert nothing.has_irises, "without any face nothing is missing"
