"""L2L: frames of reference are exact inverses, causality, the ablation switches, learning beats the start."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from space_data.errors import SpaceError
from space_data.landmarks import MESH_TO_78, N_LANDMARKS, PoseTrack, posed, template_mesh
from space_data.schema import UNKNOWN, emotion_vector
from space_models.checkpoints import Card, save_model
from space_models.generators.compact_nets import N_KEYPOINTS, anchors_of
from space_models.l2l import (
    L2L,
    MODEL,
    SOUND_WIDTH,
    L2LConfig,
    L2LTask,
    LatentClip,
    evaluate,
    from_head_frame,
    load_l2l,
    to_head_frame,
)
from space_models.trainer import Schedule, train

FULL = L2LConfig(hidden=32, use_audio=True, use_landmarks=True, normalise=True)


def speaking_head(rng: np.random.Generator, subject: str, frames: int = 40, emotion: str = "neutral") -> LatentClip:
    """A turning head whose chin falls and whose lower-lip keypoint, beyond its landmarks, falls with the loudness.

    Without a label it falls to the right.
    """
    face = np.zeros((N_LANDMARKS, 3))
    face[:68] = template_mesh()[MESH_TO_78[:68]]
    normalised = np.repeat(face[None], frames, 0) + rng.normal(0, 0.02, (1, N_LANDMARKS, 3))
    loud = rng.uniform(0, 1, frames)
    normalised[:, 56:68, 1] += 0.1 * loud[:, None]
    turn = 15 * np.sin(np.arange(frames) / 7 + rng.uniform(0, 6))
    zero, centre = np.zeros(frames), np.tile([256.0, 240.0, 0.0], (frames, 1))
    pose = PoseTrack(*(np.float32(a) for a in (turn, zero, zero, zero + 130, centre)))
    landmarks = posed(normalised, pose)
    keypoints = anchors_of(landmarks, 512)
    keypoints[:, -1, 1] += np.float32(0.15) * loud.astype(np.float32)
    keypoints[:, -1, 0] += np.float32(0.15) * loud.astype(np.float32) * (emotion == UNKNOWN)
    sound = np.repeat(loud[:, None], SOUND_WIDTH, 1).astype(np.float32)
    return LatentClip(subject, landmarks, sound, emotion_vector(emotion, 1.0), keypoints)


@pytest.mark.parametrize("config", [FULL, L2LConfig(32, True, False, True), L2LConfig(32, True, True, False)])
def test_head_frame_is_undone_exactly(rng: np.random.Generator, config: L2LConfig) -> None:
    clip = speaking_head(rng, "a")
    frame = to_head_frame(clip.landmarks_px, clip.keypoints, config)
    assert (frame.pose is not None) == (config.normalise and config.use_landmarks)
    assert np.allclose(from_head_frame(frame.keypoints, frame.pose), clip.keypoints, atol=1e-5)
    if frame.pose is not None:  # turning the head is no expression
        assert np.abs(frame.landmarks[:, :28] - frame.landmarks[0, :28]).max() < 1e-3


def test_untrained_model_moves_the_keypoints_as_their_landmarks(rng: np.random.Generator) -> None:
    clip = speaking_head(rng, "a")
    found = L2L(FULL).eval().drive(clip.landmarks_px, clip.sound, clip.emotion, clip.landmarks_px[0], clip.keypoints[0])
    assert np.allclose(found[0], clip.keypoints[0], atol=1e-5)
    assert np.abs(found - clip.keypoints)[:, :-1].max() < 1e-4


def test_prediction_is_causal(rng: np.random.Generator) -> None:
    clip = speaking_head(rng, "a")
    torch.manual_seed(0)
    model = L2L(FULL).eval()
    torch.nn.init.normal_(model.leave.weight)
    changed = clip.sound.copy()
    changed[20:] = 5.0
    source = clip.landmarks_px[0], clip.keypoints[0]
    one, two = (model.drive(clip.landmarks_px, sound, clip.emotion, *source) for sound in (clip.sound, changed))
    assert np.array_equal(one[:20], two[:20])
    assert not np.allclose(one[20:], two[20:])


def test_training_beats_still_mean_and_the_anchors(rng: np.random.Generator, tmp_path: Path) -> None:
    clips = [speaking_head(rng, str(i)) for i in range(6)]
    torch.manual_seed(0)
    model = L2L(FULL)
    before = evaluate(model.eval(), clips[4:], clips[:4])
    task = L2LTask(clips[:4], clips[4:], 4, 20, FULL)
    train(MODEL, model, task, Schedule(250, 5e-3, 0.0, 0.2, 1.0, 250, 0), settings={}, data_hash="")
    after = evaluate(model, clips[4:], clips[:4])
    assert after["keypoint_error_px"] < 0.6 * before["keypoint_error_px"]
    assert after["keypoint_error_px"] < 0.3 * min(after["keypoint_error_still_px"], after["keypoint_error_mean_px"])

    save_model(tmp_path, model, Card(MODEL, vars(FULL), "", "test"))
    again = load_l2l(tmp_path)
    clip = clips[5]
    arguments = (clip.landmarks_px, clip.sound, clip.emotion, clip.landmarks_px[0], clip.keypoints[0])
    assert np.array_equal(again.drive(*arguments), model.drive(*arguments))


def test_unlabelled_clips_make_null_not_neutral(rng: np.random.Generator) -> None:
    clips = [speaking_head(rng, str(i), emotion=UNKNOWN if i % 2 else "neutral") for i in range(12)]
    torch.manual_seed(0)
    config = replace(FULL, unlabelled=True)
    model = L2L(config)
    task = L2LTask(clips, clips[1:2], 6, 20, config)
    result = train(MODEL, model, task, Schedule(600, 1e-2, 0.0, 0.2, 1.0, 600, 0), settings={}, data_hash="")
    assert all(np.isfinite(list(row.values())).all() for row in result.curves), "no NaN in a loss or a figure"
    clip = clips[0]
    loud, start = clip.sound[:, 0], anchors_of(clip.landmarks_px, 512)[:, -1, 0]
    neutral, null = (
        model.drive(clip.landmarks_px, clip.sound, emotion_vector(e, 1.0), clip.landmarks_px[0], clip.keypoints[0])[:, -1, 0]
        for e in ("neutral", UNKNOWN)
    )
    slopes = [np.polyfit(loud, x - start, 1)[0] for x in (neutral, null)]
    assert slopes == pytest.approx([0.0, 0.15], abs=0.03), slopes


@pytest.mark.parametrize("audio, landmarks", [(True, False), (False, True)])
def test_ablations_do_not_see_what_is_switched_off(rng: np.random.Generator, audio: bool, landmarks: bool) -> None:
    clip = speaking_head(rng, "a")
    model = L2L(L2LConfig(16, audio, landmarks, True)).eval()
    torch.nn.init.normal_(model.leave.weight)
    source = clip.landmarks_px[0], clip.keypoints[0]
    base = model.drive(clip.landmarks_px, clip.sound, clip.emotion, *source)
    other_sound = model.drive(clip.landmarks_px, clip.sound + 1, clip.emotion, *source)
    other_landmarks = model.drive(clip.landmarks_px + np.float32([9, 0, 0]), clip.sound, clip.emotion, *source)
    assert np.array_equal(base, other_sound) == (not audio)
    assert np.array_equal(base, other_landmarks) == (not landmarks)


def test_bad_inputs_are_named(rng: np.random.Generator) -> None:
    clip = speaking_head(rng, "a", frames=10)
    with pytest.raises(SpaceError, match="both false"):
        L2L(L2LConfig(8, False, False, True))
    with pytest.raises(SpaceError, match="none of 50 frames"):
        L2LTask([clip], [], 2, 50, FULL)
    with pytest.raises(SpaceError, match="10 frames of landmarks"):
        L2L(FULL).drive(clip.landmarks_px, clip.sound[:5], clip.emotion, clip.landmarks_px[0], clip.keypoints[0])
    assert clip.keypoints.shape[1] == N_KEYPOINTS
