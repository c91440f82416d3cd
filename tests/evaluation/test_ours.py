"""Our systems are `space animate`: the same portrait, speech, emotion and seed give the same tracks and the same video."""

from pathlib import Path

import numpy as np
import pytest
from made_up_talk import config, loud_network

from evaluation import ours
from evaluation.ours import Models, Ours
from evaluation.systems import Assignment
from space_data.media.encode import write_wav
from space_data.media.images import write_image
from space_data.media.output import write_titled
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.schema import emotion_vector
from space_data.speech_encoder import LogMel
from space_data.timebase import frames_to_samples
from space_models import animate, motion
from space_models.controls.asked import Controls
from space_models.generators import DEFAULT_RENDERER
from space_models.portrait import load_portrait, portrait_of_crop
from space_models.posegen.model import PoseGen, PoseGenConfig
from space_models.tracks import Tracks

N_FRAMES = 20
PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")


@pytest.fixture(autouse=True)
def small_models(monkeypatch):
    """Models that need no training, for both ways in."""
    import torch

    posegen = PoseGen(PoseGenConfig(lookahead_frames=2, memory_frames=4)).eval()
    posegen.noise += torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.01, 0.01, 0.005], dtype=torch.float64))
    models = motion.MotionModels(loud_network(config()), posegen, LogMel())
    for module in (motion, ours):
        monkeypatch.setattr(module, "load_motion_models", lambda *arguments: models)


@pytest.fixture(scope="module")
def crop(astronaut):
    return load_portrait(astronaut).rgb


def test_ours_equals_animate(crop, tmp_path, monkeypatch, rng):
    envelope = np.abs(np.sin(np.arange(frames_to_samples(N_FRAMES)) / 3000))
    write_wav(tmp_path / "speech.wav", (0.2 * envelope * rng.normal(size=len(envelope))).astype(np.float32))
    write_image(tmp_path / "portrait.png", crop)
    monkeypatch.setattr(animate, "load_portrait", lambda path: portrait_of_crop(crop))
    animate.animate(
        image=tmp_path / "portrait.png", audio=tmp_path / "speech.wav", out=tmp_path / "animate.mp4", params=PARAMS,
        controls=Controls(emotion=emotion_vector("happy", 0.5)), portrait_emotion=emotion_vector("happy", 0.5), seed=3,
        tracks=tmp_path / "tracks.parquet",
    )  # fmt: skip

    speech = decode_audio(tmp_path / "speech.wav")
    clip = Assignment("set/a/1", crop, speech, emotion_vector("happy", 0.5), N_FRAMES, 3, None, tmp_path / "none.mp4")
    rendering = Ours(DEFAULT_RENDERER, Models(tmp_path, PARAMS)).render(clip)
    write_titled(tmp_path / "ours.mp4", rendering.frames, title="", audio=speech, subq=animate.PICTURE_SUBQ)

    driving = Tracks.read(tmp_path / "tracks.parquet").driving(portrait_of_crop(crop))
    np.testing.assert_array_equal(driving.normalised, rendering.normalised)
    np.testing.assert_array_equal(driving.pose.as_array(), rendering.pose.as_array())
    for a, b in zip(decode_video(tmp_path / "animate.mp4"), decode_video(tmp_path / "ours.mp4"), strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)


def test_another_seed_moves_otherwise(crop, tmp_path, rng):
    speech = rng.normal(0, 0.1, frames_to_samples(N_FRAMES)).astype(np.float32)
    poses = [
        Ours(DEFAULT_RENDERER, Models(tmp_path, PARAMS))
        .render(Assignment("c", crop, speech, emotion_vector("neutral", 1.0), N_FRAMES, seed, None, tmp_path / "none.mp4"))
        .pose.as_array()
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(poses[0], poses[1])
    assert np.abs(poses[0] - poses[2]).max() > 0.01


def test_generated_video_says_so(crop, tmp_path, rng):
    speech = rng.normal(0, 0.1, frames_to_samples(5)).astype(np.float32)
    clip = Assignment("c", crop, speech, emotion_vector("neutral", 1.0), 5, 1, None, tmp_path / "none.mp4")
    assert "Generated" in Ours(DEFAULT_RENDERER, Models(tmp_path, PARAMS)).render(clip).comment
