"""Pieces of segments: sound moved by its offset, lengths that agree exactly; crops around the outline of the face."""

import numpy as np
import pytest

from space_data.crop import CropBox, crop_box
from space_data.facemesh import track_faces
from space_data.landmarks import IRISES, estimate_pose, mesh_to_landmarks
from space_data.segments import Segment, common_piece, face_outline, piece_sound
from space_data.timebase import AUDIO_HZ, VIDEO_FPS, frames_to_samples, seconds_to_samples

BOX = CropBox(0, 0, 512)


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


def test_the_outline_needs_no_irises(rng: np.random.Generator) -> None:
    """A tracker without them gives NaN there, which the crop rule takes for frames without a face."""
    meshes = rng.normal(0, 1, (3, 478, 3)).astype(np.float32)
    landmarks = mesh_to_landmarks(meshes)
    landmarks[:, IRISES] = np.nan
    assert np.isfinite(face_outline(landmarks, estimate_pose(meshes))).all()


@pytest.mark.parametrize("offset", [-7.3, -2.5, 0.0, 1.4, 3.0])
@pytest.mark.parametrize("start_s", [0.0, 0.02, 1.0, 2.37])
def test_the_piece_of_a_piece_is_the_piece(offset: float, start_s: float) -> None:
    """So that who renders a piece needs no other rule than who described it."""
    samples = frames_to_samples(90)
    piece = common_piece(Segment("c", start_s, 60, offset, BOX), samples)
    assert common_piece(Segment("c", piece.start_s, piece.n_frames, offset, BOX), samples) == piece
