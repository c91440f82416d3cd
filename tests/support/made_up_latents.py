"""Made-up people whose latents follow from gap, loudness and emotion, and a small L2L's settings."""

import numpy as np

from space_data.landmarks import INNER_LIP_PAIRS, MESH_TO_78, template_mesh
from space_data.params import load_params
from space_data.schema import UNKNOWN, emotion_vector
from space_models.generators import LatentSpec
from space_models.l2l import L2LConfig
from space_models.l2l.clips import LatentClip
from space_models.l2l.inputs import SOUND

STAGE = load_params().l2l
NO_DECAY = {"speech_decay": 0.0, "emotion_decay": 0.0}
SMALL = STAGE.model_copy(update={"hidden": 24, "batch": 6, "frames": 20, "s2l_share": 0.0} | NO_DECAY)
FACE = np.vstack([template_mesh(), np.zeros((10, 3))])[MESH_TO_78].astype(np.float32)
SPEC = LatentSpec.declared("made up", "0" * 64, np.float64([4, 1, 1])).measured(np.zeros(3), np.float64([0.05, 0.1, 0.2]), ())


def config(**changes: bool) -> L2LConfig:
    """Of a small network."""
    switches = {"use_audio": True, "use_landmarks": True, "normalise": True, "use_emotion": True} | changes
    return L2LConfig(SPEC, SMALL.hidden, **switches)


def speaking(rng: np.random.Generator, subject: str, take: int = 0, emotion: str = "neutral", frames: int = 60) -> LatentClip:
    """A mouth that opens at random. Latent 0 is the gap; 1 the loudness, which no landmark shows; 2 stands for the emotion."""
    face = FACE + np.random.default_rng(int(subject)).normal(0, 0.02, FACE.shape).astype(np.float32)
    gap, loud = rng.uniform(0, 0.2, frames), rng.uniform(-1, 1, frames)
    landmarks = np.repeat(face[None], frames, 0).astype(np.float32)
    for _, lower in INNER_LIP_PAIRS:
        landmarks[:, lower, 1] += gap
    sound = np.repeat(loud[:, None], SOUND, 1).astype(np.float32)
    z = np.stack([gap, 0.2 * loud, np.full(frames, 0.4 * (emotion == "happy") - 0.4 * (emotion == UNKNOWN))], 1)
    found = np.ones(frames, bool)
    return LatentClip(f"{subject}-{take}", subject, landmarks, sound, emotion_vector(emotion, 1.0), z.astype(np.float32), found)


def people(rng: np.random.Generator, n: int, emotions: tuple[str, ...] = ("neutral",)) -> list[LatentClip]:
    """A take per emotion of each of ``n`` people."""
    return [speaking(rng, str(i), take, emotion) for i in range(n) for take, emotion in enumerate(emotions)]
