"""The shipped Speech2Landmarks for Whisper with the published weights: people it never met, whose lips are known exactly."""

from pathlib import Path

import numpy as np
import pytest

from space_data.landmarks import lip_gap
from space_data.params import load_params
from space_data.synthetic.performance import exact_normalised, people, perform
from space_data.timebase import frames_to_samples
from space_models.animate import ASSETS
from space_models.motion import load_motion_models, s2l_folders
from space_models.s2l.stream import predict

SEED, N_PEOPLE, SETTLED = 99, 4, 10
"""Not the corpus' seed; frames after which the fade from the first face is over."""


@pytest.fixture(scope="module")
def heard_by(published_encoder: object, request: pytest.FixtureRequest) -> dict[str, float]:
    """Mean correlation of the lip gap with the exact one, over people and by speech encoder."""
    if "whisper-tiny.en" not in s2l_folders(ASSETS):
        pytest.skip("no Speech2Landmarks for whisper-tiny.en is shipped")
    params = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
    features = params.features.model_copy(update={"weights": request.config.getoption("--weights")})
    rows: dict[str, list[float]] = {"log-mel": [], "whisper-tiny.en": []}
    for number, person in enumerate(people(SEED, N_PEOPLE, "t")):
        performance = perform(person, "neutral", 1.0, np.random.default_rng([SEED, number]))
        truth = exact_normalised(person.identity, performance.controls)
        audio = np.asarray(performance.audio, np.float32)[: frames_to_samples(len(truth))]
        for name, found in rows.items():
            taste = params.animate.model_copy(update={"speech_encoder": name})
            models = load_motion_models(ASSETS, params.model_copy(update={"features": features, "animate": taste}))
            assert models.encoder.spec.name == name == models.s2l.config.encoder
            said = predict(models.s2l, models.encoder.encode(audio), truth[0])
            gaps = [lip_gap(track)[SETTLED : len(said)] for track in (said, truth)]
            found.append(float(np.corrcoef(*gaps)[0, 1]))
    return {name: float(np.mean(found)) for name, found in rows.items()}


def test_lips_follow_speech_and_better_than_by_log_mel(heard_by: dict[str, float]) -> None:
    assert heard_by["whisper-tiny.en"] >= 0.7
    assert heard_by["whisper-tiny.en"] > heard_by["log-mel"]
