"""The warp generator end to end on the public-domain portrait: identity, mouth interior, blink, gaze, pose, bad input."""

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.facemesh import mesh_of_image
from space_data.landmarks import (
    IRISES,
    LID_PAIRS,
    PoseTrack,
    angles_deg,
    estimate_pose,
    eye_aspect_ratio,
    gaze,
    lip_gap,
    mesh_to_landmarks,
    normalise,
    posed,
    rotation_matrix,
)
from space_data.params import Warp
from space_models.generators.warp import WarpGenerator, hidden_side_factor, soft_clip, upsample_aligned
from space_models.generators.warp_mesh import FOLD_OVER_EYES, LID_UPPER, LIP_LOWER, LIP_UPPER, LOWER_BROW_FOLLOWS
from space_models.portrait import Portrait, load_portrait
from space_models.retarget import HEAD_PIVOT, close_smile

PARAMS = Warp(sharpen=0.5, max_yaw_deg=20, max_pitch_deg=14, max_roll_deg=20)


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    from skimage.data import astronaut

    return load_portrait(astronaut())


@pytest.fixture(scope="module")
def render(portrait):
    """Render normalised landmarks (T, 78, 3) with head angles added to the portrait's own."""
    generator = WarpGenerator(PARAMS)
    state = generator.prepare(portrait)

    def frames(normalised: np.ndarray, yaw=0.0, pitch=0.0, roll=0.0) -> list[np.ndarray]:
        normalised = np.atleast_3d(normalised).reshape(-1, 78, 3)
        rotation = rotation_matrix(*(np.asarray(a) for a in (yaw, pitch, roll))) @ portrait.pose.rotation()[0]
        scale = float(portrait.pose.scale[0])
        pivot = posed(HEAD_PIVOT[None, None], portrait.pose)[0, 0]
        n = len(normalised)
        angles = [np.full(n, float(a), np.float32) for a in angles_deg(rotation)]
        translation = np.repeat((pivot - scale * rotation @ HEAD_PIVOT)[None], n, axis=0).astype(np.float32)
        pose = PoseTrack(*angles, np.full(n, scale, np.float32), translation)
        return list(generator.render(state, posed(normalised, pose)))

    return frames


def _measure(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, PoseTrack]:
    mesh = mesh_of_image(frame)
    assert mesh is not None
    pose = estimate_pose(mesh[None])
    return mesh, normalise(mesh_to_landmarks(mesh[None]), pose)[0], pose


def _opened(face: np.ndarray, by: float) -> np.ndarray:
    moved = face.copy()
    moved[[65, 66, 67], 1] += by * np.array([0.85, 1.0, 0.85])
    moved[[55, 56, 57, 58, 59], 1] += by * np.array([0.6, 0.95, 1.0, 0.95, 0.6])
    moved[4:13, 1] += 0.9 * by * np.array([0.3, 0.5, 0.75, 0.95, 1.0, 0.95, 0.75, 0.5, 0.3])
    return moved


def _lids(face: np.ndarray, share: float) -> np.ndarray:
    moved = face.copy()
    for upper, lower in LID_PAIRS:
        moved[upper] = moved[lower] + share * (moved[upper] - moved[lower])
    return moved


def _mouth_luma(frame: np.ndarray, mesh: np.ndarray, share: float) -> float:
    """Mean brightness of a small patch of the mouth opening, `share` of the way from the upper to the lower lip."""
    upper, lower = mesh[LIP_UPPER[4:7], :2].mean(axis=0), mesh[LIP_LOWER[4:7], :2].mean(axis=0)
    x, y = (upper + share * (lower - upper)).astype(int)
    return float(frame[y - 2 : y + 3, x - 6 : x + 7].mean())


def test_at_rest_the_photo_comes_out(portrait, render):
    difference = np.abs(render(portrait.normalised)[0].astype(int) - portrait.rgb)
    assert difference.mean() < 0.1
    assert (difference > 8).mean() < 0.002


def test_a_static_background_does_not_move(portrait, render):
    frame = render(_opened(portrait.normalised, 0.2), yaw=8)[0]
    np.testing.assert_array_equal(frame[:200, :10], portrait.rgb[:200, :10])


def test_lip_gap_follows_and_the_cavity_is_dark(portrait, render):
    commanded = np.linspace(0, 0.25, 5)
    frames = render(np.stack([_opened(portrait.normalised, by) for by in commanded]))
    measured = [_measure(frame) for frame in frames]
    gaps = np.array([lip_gap(face) for _, face, _ in measured])
    assert np.corrcoef(commanded, gaps)[0, 1] > 0.97
    assert np.polyfit(commanded, gaps, 1)[0] > 0.5  # of 0.9 commanded; the detector compresses mouths as wide as these
    for frame, (mesh, _, _), by in zip(frames, measured, commanded, strict=True):
        if by > 0.1:  # teeth above, dark below
            assert _mouth_luma(frame, mesh, 0.25) > 110
            assert _mouth_luma(frame, mesh, 0.75) < 0.55 * _mouth_luma(frame, mesh, 0.25)


def test_a_smile_closes_over_its_teeth(portrait, render):
    closed = close_smile(portrait.normalised, 0.0, 0.6)
    _, face, _ = _measure(render(closed)[0])
    assert lip_gap(face) < 0.4 * lip_gap(portrait.normalised)


def test_teeth_are_drawn_behind_closed_lips(portrait, render):
    """A portrait whose photo has a closed mouth: the render of the closed smile, opened again."""
    closed_photo = load_portrait(render(close_smile(portrait.normalised, 0.0, 0.6))[0])
    generator = WarpGenerator(PARAMS)
    state = generator.prepare(closed_photo)
    assert not state.mouth.is_open
    target = posed(_opened(closed_photo.normalised, 0.25)[None], closed_photo.pose)
    frame = next(generator.render(state, target))
    mesh = mesh_of_image(frame)
    assert _mouth_luma(frame, mesh, 0.6) < 90
    assert _mouth_luma(frame, mesh, 0.18) > _mouth_luma(frame, mesh, 0.6) + 40


def test_eyes_close(portrait, render):
    frames = render(np.stack([_lids(portrait.normalised, share) for share in (1.0, 0.0)]))
    opening, closed = (float(eye_aspect_ratio(_measure(frame)[1]).mean()) for frame in frames)
    assert closed < 0.6 * opening  # what FaceMesh reads off eyes that are shut


def test_a_blink_leaves_the_brows_alone(portrait):
    mesh = WarpGenerator(PARAMS).prepare(portrait).mesh
    lids = np.zeros(68)
    lids[[37, 38, 43, 44]] = 1.0
    moved = mesh.operator @ lids
    assert moved[np.concatenate(LID_UPPER)].max() == pytest.approx(1.0, abs=0.1)
    assert np.abs(moved[list(LOWER_BROW_FOLLOWS)]).max() < 0.01  # the brow's lower edge
    assert moved[np.concatenate(FOLD_OVER_EYES)].max() < 0.35  # 0.5 without the fold's own constraint


def test_irises_follow_the_gaze(portrait, render):
    shifts = np.linspace(-0.06, 0.06, 5)
    targets = np.repeat(portrait.normalised[None], 5, axis=0)
    targets[:, IRISES, 0] += shifts[:, None]
    measured = [float(gaze(_measure(frame)[1])[0]) for frame in render(targets)]
    assert np.corrcoef(shifts, measured)[0, 1] > 0.95
    assert measured[-1] - measured[0] > 0.1


def test_head_pose_follows_up_to_the_limit(portrait, render):
    own = portrait.pose
    for yaw in (-12.0, 12.0):
        pose = _measure(render(portrait.normalised, yaw=yaw)[0])[2]
        assert float(pose.yaw_deg[0] - own.yaw_deg[0]) == pytest.approx(yaw, abs=1.5)  # .76 of it untuned
    for pitch in (-8.0, 8.0):
        pose = _measure(render(portrait.normalised, pitch=pitch)[0])[2]
        assert float(pose.pitch_deg[0] - own.pitch_deg[0]) == pytest.approx(pitch, abs=1.5)
    rolled = _measure(render(portrait.normalised, roll=8)[0])[2]
    assert float(rolled.roll_deg[0] - own.roll_deg[0]) == pytest.approx(8, abs=2)
    far = _measure(render(portrait.normalised, yaw=60)[0])[2]
    assert abs(float(far.yaw_deg[0] - own.yaw_deg[0])) < 25


def test_frames_do_not_depend_on_their_neighbours(portrait, render):
    targets = np.stack([_opened(portrait.normalised, by) for by in (0.0, 0.2, 0.1)])
    together = render(targets)
    np.testing.assert_array_equal(together[2], render(targets[2])[0])


def test_opening_changes_the_picture_without_popping(portrait, render):
    frames = np.stack(render(np.stack([_opened(portrait.normalised, by) for by in np.linspace(0, 0.2, 21)]))).astype(np.int16)
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert change.max() < 1.6 * np.median(change)


def test_bad_driving_is_told(portrait):
    generator = WarpGenerator(PARAMS)
    state = generator.prepare(portrait)
    with pytest.raises(SpaceError, match=r"\(3, 68, 3\)"):
        next(generator.render(state, np.zeros((3, 68, 3), np.float32)))
    lost = np.repeat(portrait.landmarks[None], 2, axis=0)
    lost[1] = np.nan
    with pytest.raises(SpaceError, match="1 of 2 driving frames"):
        next(generator.render(state, lost))


def test_upsampled_photo_keeps_every_pixel(rng):
    picture = rng.integers(0, 256, (16, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(upsample_aligned(picture)[::2, ::2], picture)


def test_soft_clip_is_the_identity_then_saturates():
    assert soft_clip(10.0, 20.0) == 10.0
    assert soft_clip(-15.0, 20.0) == -15.0
    assert 15 < soft_clip(18.0, 20.0) < 18
    assert soft_clip(-90.0, 20.0) == pytest.approx(-20.0, abs=0.01)


def test_a_turned_photo_turns_less():
    assert hidden_side_factor(-15.0) == 1.0
    assert hidden_side_factor(35.0) == pytest.approx(0.5)
    assert hidden_side_factor(-80.0) == pytest.approx(0.2)
