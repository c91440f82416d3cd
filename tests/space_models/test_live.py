"""A stream: the same for any chunks, near the whole-clip call, and no larger after an hour."""

from pathlib import Path

import numpy as np
import pytest
from whisper_files import seeded_encoder

from space_data import landmarks as lm
from space_data.errors import SpaceError
from space_data.params import load_params
from space_data.speech_encoder import WHISPER_TINY_EN
from space_data.synthetic.espeak import Voice, speak
from space_models.animate import ASSETS
from space_models.controls.asked import Controls
from space_models.generators import DEFAULT_RENDERER, RENDERERS
from space_models.live import HORIZON_FRAMES, Live, Motion
from space_models.motion import MotionModels, load_motion_models, make_tracks
from space_models.portrait import Portrait, load_portrait
from space_models.s2l.model import load_s2l
from space_models.speech_encoders import WhisperStates
from space_models.speech_file import speech_features

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml", ["animate.speech_encoder=log-mel"])
CONTROLS = Controls(blinks="30", pose_offset_deg=(2.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def models() -> MotionModels:
    return load_motion_models(ASSETS, PARAMS)


@pytest.fixture(scope="module")
def portrait(astronaut: np.ndarray) -> Portrait:
    return load_portrait(astronaut)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return speak("The quick brown fox jumps over the lazy dog, and nobody minds at all.", Voice("en-us", "f2")).audio


def streamed(models: MotionModels, portrait: Portrait, sound: np.ndarray, chunks: list[int]) -> dict[str, np.ndarray]:
    """Columns of a stream that hears chunks of these sizes by turns."""
    motion, parts, at, turn = Motion(models, portrait, PARAMS, CONTROLS, seed=3), [], 0, 0
    while at < len(sound):
        size = chunks[turn % len(chunks)]
        parts.append(motion.hear(sound[at : at + size]))
        at, turn = at + size, turn + 1
    parts.append(motion.hear(sound[:0], ends=True))
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("edited", "pose", "lids", "gaze_deg")}


def test_chunks_of_any_size_give_the_same(models: MotionModels, portrait: Portrait, sound: np.ndarray) -> None:
    whole = streamed(models, portrait, sound, [len(sound)])
    for chunks in ([320], [1, 5000, 640], [16000]):
        parts = streamed(models, portrait, sound, chunks)
        assert all(parts[name].shape == whole[name].shape for name in whole)
        assert parts["edited"] == pytest.approx(whole["edited"], abs=1e-4)
        assert parts["pose"] == pytest.approx(whole["pose"], abs=1e-4)
        assert np.array_equal(parts["lids"], whole["lids"]) and np.array_equal(parts["gaze_deg"], whole["gaze_deg"])


def test_a_stream_is_near_the_whole_clip(models: MotionModels, portrait: Portrait, sound: np.ndarray) -> None:
    live = streamed(models, portrait, sound, [640])
    clip = make_tracks(models, portrait, speech_features(sound), PARAMS, CONTROLS, seed=3)
    n_frames = len(clip)
    assert len(live["edited"]) == n_frames and np.array_equal(live["lids"], clip.lids)
    gaps = [lm.lip_gap(points)[25:] for points in (live["edited"], clip.edited)]
    assert np.corrcoef(*gaps)[0, 1] > 0.97
    assert np.corrcoef(live["pose"][25:, 0], clip.pose[25:, 0])[0, 1] > 0.9
    assert np.abs(live["edited"][25:] - clip.edited[25:]).mean() < 0.005, "IOD"


def test_a_frame_comes_two_frames_and_a_window_after_its_sound(
    models: MotionModels, portrait: Portrait, sound: np.ndarray
) -> None:
    motion, drawn = Motion(models, portrait, PARAMS), 0
    for index in range(50):
        drawn += len(motion.hear(sound[index * 160 : (index + 1) * 160]))  # 10 ms each
        heard_s = (index + 1) * 0.01
        assert drawn == max(0, int((heard_s - 0.01) / 0.04 + 1e-6) - 2)


@pytest.fixture(scope="module")
def whisper(models: MotionModels) -> MotionModels:
    """S2L that hears by a Whisper with random weights: what it says means nothing, when it says it does."""
    s2l = load_s2l(ASSETS / "s2l-whisper-tiny.en")
    return MotionModels(s2l, models.posegen, WhisperStates(seeded_encoder(), s2l.config.encoder_layers))


def test_where_whisper_hears_chunks_give_the_same_240_ms_later(
    whisper: MotionModels, models: MotionModels, portrait: Portrait, sound: np.ndarray
) -> None:
    part = sound[: 640 * 40 + 100]
    whole, log_mel = (streamed(each, portrait, part, [len(part)]) for each in (whisper, models))
    parts = streamed(whisper, portrait, part, [320, 3000, 77])
    assert all(len(parts[name]) == len(whole[name]) == 40 for name in whole)
    for name in whole:
        assert parts[name] == pytest.approx(whole[name], abs=1e-4)
    assert np.abs(whole["edited"] - log_mel["edited"]).max() > 0.01, "it is Whisper that is heard"
    assert whole["pose"] == pytest.approx(log_mel["pose"], abs=1e-4), "the head follows the log-mel"
    motion, drawn = Motion(whisper, portrait, PARAMS), 0
    assert motion.delay_s == pytest.approx(0.24) and Motion(models, portrait, PARAMS).delay_s == pytest.approx(0.09)
    for index in range(40):
        drawn += len(motion.hear(sound[index * 320 : (index + 1) * 320]))  # 20 ms each
        assert drawn == max(0, int((0.02 * (index + 1) - 0.24) / 0.04 + 1e-6))


def test_controls_beyond_the_first_horizon_are_those_of_a_longer_one(models: MotionModels, portrait: Portrait) -> None:
    motion = Motion(models, portrait, PARAMS, Controls(blinks="20"), seed=5)
    silence = np.zeros(HORIZON_FRAMES * 640 + 10 * 16_000, np.float32)
    lids = np.concatenate([motion.hear(part).lids for part in np.array_split(silence, 7)])
    expected = Controls(blinks="20").columns(portrait, 2 * HORIZON_FRAMES, 5, PARAMS.animate, motion._videos, True)["lids"]
    assert len(lids) > HORIZON_FRAMES and np.array_equal(lids, expected[: len(lids)])


def test_frames_are_drawn_as_the_tracks_say(models: MotionModels, portrait: Portrait, sound: np.ndarray) -> None:
    renderer = RENDERERS[DEFAULT_RENDERER].load(ASSETS, PARAMS)
    live = Live(Motion(models, portrait, PARAMS), portrait, renderer)
    frames = [*live.hear(sound[:8000]), *live.end()]
    assert len(frames) == 12 and frames[0].shape == (512, 512, 3)
    assert np.abs(frames[0].astype(int) - portrait.rgb).mean() < 1, "the first frame is the photo"


def test_what_cannot_stream_is_said(models: MotionModels, portrait: Portrait) -> None:
    class Whole:
        spec = type("Spec", (), {"name": WHISPER_TINY_EN})

    with pytest.raises(SpaceError, match="--speech-encoder log-mel"):
        Motion(MotionModels(models.s2l, models.posegen, Whole()), portrait, PARAMS)  # type: ignore[arg-type]
    compact = RENDERERS["compact"].load(ASSETS, PARAMS)
    with pytest.raises(SpaceError, match="need one that draws landmarks"):
        Live(Motion(models, portrait, PARAMS), portrait, compact)
