"""The switch: bounded steps, the camera's face while it is there, the speech's when it is not, for parts of any length."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from space_data import landmarks as lm
from space_data.landmarks import PoseTrack
from space_data.media.encode import write_video
from space_data.timebase import VIDEO_FPS, frames_in
from space_models.portrait import Portrait, load_portrait
from space_models.posegen.pose import apply_pose
from space_models.retarget import with_lip_gap
from space_models.switch import FADE_S, LEARN_S, CameraFrame, Switch, camera_of
from space_models.tracks import EDITED, Tracks

N_FRAMES = 200
LEARNT = frames_in(LEARN_S)
AWAY = slice(90, 130)


@pytest.fixture(scope="module")
def portrait(astronaut: np.ndarray) -> Portrait:
    return load_portrait(astronaut)


@pytest.fixture(scope="module")
def speech(portrait: Portrait) -> Tracks:
    """A mouth that opens and shuts once a second, on a still head."""
    rest = Tracks.at_rest(portrait, np.zeros((N_FRAMES, 160), np.float32))
    gap = 0.1 * (1 + np.sin(2 * np.pi * np.arange(N_FRAMES) / VIDEO_FPS))
    return replace(rest, edited=with_lip_gap(rest.spoken, gap), stage=EDITED)


@pytest.fixture(scope="module")
def camera(portrait: Portrait) -> list[CameraFrame | None]:
    """Another face that speaks otherwise and turns its head by 10 degrees; away for a while."""
    face = portrait.normalised * np.array([1.1, 0.95, 1.0], np.float32)
    gap = 0.08 * (1 + np.sin(2 * np.pi * np.arange(N_FRAMES) / 40))
    offsets = np.zeros((N_FRAMES, 6))
    offsets[:, 0] = 10 * np.sin(2 * np.pi * np.arange(N_FRAMES) / 100)
    poses = apply_pose(offsets, portrait.pose).as_array()
    faces = with_lip_gap(np.repeat(face[None], N_FRAMES, 0), gap)
    frames: list[CameraFrame | None] = [CameraFrame(*each) for each in zip(faces, poses, strict=True)]
    frames[AWAY] = [None] * (AWAY.stop - AWAY.start)
    return frames


def test_who_is_there_drives(portrait: Portrait, speech: Tracks, camera: list[CameraFrame | None]) -> None:
    mixed = Switch(portrait)(speech, camera)
    fade = frames_in(FADE_S) + 1
    assert np.array_equal(mixed.edited[: LEARNT - 1], speech.edited[: LEARNT - 1]), "until the person is known"
    by_camera = slice(LEARNT + fade, AWAY.start)
    told = np.array([lm.lip_gap(each.normalised) for each in camera[by_camera] if each is not None])
    assert np.corrcoef(lm.lip_gap(mixed.edited[by_camera]), told)[0, 1] > 0.99
    yaw = 10 * np.sin(2 * np.pi * np.arange(N_FRAMES) / 100)
    assert np.corrcoef(mixed.pose[by_camera, 0], yaw[by_camera])[0, 1] > 0.999
    by_speech = slice(AWAY.start + fade, AWAY.stop)
    assert np.array_equal(mixed.edited[by_speech], speech.edited[by_speech]) and not mixed.pose[by_speech].any()
    again = slice(AWAY.stop + fade, N_FRAMES)
    assert np.abs(mixed.edited[again] - speech.edited[again]).max() > 0.01


def test_no_step_is_larger_than_that_of_either_and_the_fades(
    portrait: Portrait, speech: Tracks, camera: list[CameraFrame | None]
) -> None:
    mixed = Switch(portrait)(speech, camera)
    always = [frame if frame is not None else camera[AWAY.start - 1] for frame in camera]
    alone = Switch(portrait)(speech, always)
    apart = np.abs(alone.edited - speech.edited).max()
    own = max(np.abs(np.diff(tracks.edited, axis=0)).max() for tracks in (speech, alone))
    bound = own + 1.5 / (FADE_S * VIDEO_FPS) * apart
    assert np.abs(np.diff(mixed.edited, axis=0)).max() <= bound
    hard = speech.edited.copy()
    hard[LEARNT:] = alone.edited[LEARNT:]
    hard[AWAY] = speech.edited[AWAY]
    assert np.abs(np.diff(hard, axis=0)).max() > np.abs(np.diff(mixed.edited, axis=0)).max(), "what a hard cut does"


def test_parts_of_any_length_give_the_same(portrait: Portrait, speech: Tracks, camera: list[CameraFrame | None]) -> None:
    whole, switch, at, parts = Switch(portrait)(speech, camera), Switch(portrait), 0, []
    for size in (1, 60, 7, 132):
        part = replace(speech, edited=speech.edited[at : at + size], pose=speech.pose[at : at + size])
        parts.append(switch(part, camera[at : at + size]))
        at += size
    assert np.array_equal(np.concatenate([part.edited for part in parts]), whole.edited)
    assert np.array_equal(np.concatenate([part.pose for part in parts]), whole.pose)


def test_a_camera_that_never_sees_a_face_changes_nothing(portrait: Portrait, speech: Tracks) -> None:
    assert np.array_equal(Switch(portrait)(speech, [None] * N_FRAMES).edited, speech.edited)


@pytest.mark.parametrize("fps", [25, 50, 10])
def test_a_video_is_seen_on_the_clock_and_then_nothing(fps: int, portrait: Portrait, tmp_path: Path) -> None:
    blank = np.full_like(portrait.rgb, 128)
    shown = [portrait.rgb] * fps + [blank] * fps  # a second of a face, a second without
    write_video(tmp_path / "a.mp4", shown, fps=fps, crf=10)
    seen = list(islice(camera_of(tmp_path / "a.mp4", [(0.2, 0.4)]), 60))
    there = np.array([frame is not None for frame in seen])
    assert there[:5].all() and not there[5:10].any() and there[10:25].all() and not there[26:].any()
    pose = PoseTrack.from_array(np.stack([frame.pose for frame in seen if frame is not None]))
    assert pose.yaw_deg == pytest.approx(portrait.pose.yaw_deg[0], abs=2)
