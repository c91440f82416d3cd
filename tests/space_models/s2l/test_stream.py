"""S2L as a stream: chunks of any size give what one call gives, and no frame depends on sound beyond its look-ahead."""


import numpy as np
import pytest
from made_up_talk import config, loud_network, made_up_speech, template_face

from space_data import landmarks as lm
from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, UNKNOWN, emotion_vector
from space_data.speech_encoder import LOG_MEL, SPEECH_ENCODERS, WHISPER_TINY_EN
from space_models.s2l.output import OutputSettings
from space_models.s2l.stream import NEUTRAL, finish, predict, start, step

FACE = template_face()
PLAIN = OutputSettings(articulation=0.0, fade_s=0.0)
N_FRAMES = 53


def streamed(model, speech: np.ndarray, emotion: np.ndarray, chunk: int, known: bool) -> np.ndarray:
    """The landmarks of ``speech`` heard in chunks."""
    statistics = model.speech_input.statistics_of(speech.reshape(-1, speech.shape[-1])) if known else None
    state, shown = start(model, FACE, statistics=statistics), []
    for begin in range(0, len(speech), chunk):
        state, points = step(model, state, speech[begin : begin + chunk], emotion[begin : begin + chunk])
        shown.append(points)
    return np.concatenate([*shown, finish(model, state)])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("lookahead_frames", [0, 1, 2])
@pytest.mark.parametrize("encoder", SPEECH_ENCODERS)
def test_chunks_of_any_size_give_what_one_call_gives(
    encoder: str, lookahead_frames: int, known: bool, rng: np.random.Generator
) -> None:
    model = loud_network(config(encoder, lookahead_frames, unlabelled=True))
    speech = made_up_speech(encoder, N_FRAMES, rng)
    emotion = np.linspace(0, 1, N_FRAMES)[:, None] * emotion_vector("surprised", 1.0)
    emotion[20:30] = emotion_vector(UNKNOWN, 0.0)
    whole = predict(model, speech, FACE, emotion, known=known)
    assert whole.shape == (N_FRAMES, lm.N_LANDMARKS, 3)
    for chunk in (1, 3, 25):
        assert streamed(model, speech, emotion, chunk, known) == pytest.approx(whole, abs=2e-6), chunk


@pytest.mark.parametrize("lookahead_frames", [0, 1, 2])
def test_it_hears_no_further_ahead_than_it_says(lookahead_frames: int, rng: np.random.Generator) -> None:
    model = loud_network(config(LOG_MEL, lookahead_frames))
    sound = made_up_speech(LOG_MEL, 40, rng)
    changed = sound.copy()
    changed[25] -= 1.0
    before, after = (predict(model, x, FACE, settings=PLAIN, known=False) for x in (sound, changed))
    moved = np.abs(before - after).max(axis=(1, 2))
    assert moved[: 25 - lookahead_frames].max() < 1e-6 < 1e-4 < moved[25 - lookahead_frames]


def test_frames_come_as_soon_as_their_look_ahead_is_there(rng: np.random.Generator) -> None:
    model, speech = loud_network(config(lookahead_frames=2)), made_up_speech(LOG_MEL, 6, rng)
    state, counts = start(model, FACE), []
    for frame in speech:
        state, points = step(model, state, frame[None])
        counts.append(len(points))
    assert counts == [0, 0, 1, 1, 1, 1] and len(finish(model, state)) == 2


@pytest.mark.parametrize("n_frames", [0, 1, 2])
def test_streams_shorter_than_the_look_ahead_are_whole(n_frames: int, rng: np.random.Generator) -> None:
    model, speech = loud_network(config(lookahead_frames=2)), made_up_speech(LOG_MEL, 3, rng)[:n_frames]
    assert predict(model, speech, FACE).shape == (n_frames, lm.N_LANDMARKS, 3)


def test_an_emotion_goes_with_its_own_frame_not_with_the_sound_ahead(rng: np.random.Generator) -> None:
    model, speech = loud_network(config()), made_up_speech(LOG_MEL, 40, rng)
    late = np.zeros((40, 9), np.float32)
    late[20:] = emotion_vector("happy", 1.0)
    calm, switched = (predict(model, speech, FACE, e, settings=PLAIN) for e in (NEUTRAL, late))
    assert np.abs(calm[:20] - switched[:20]).max() < 1e-5  # without AVX2 the last bits depend on the frames beside
    assert np.abs(calm[20] - switched[20]).max() > 1e-3


def test_intensity_zero_is_neutral_exactly(rng: np.random.Generator) -> None:
    model, speech = loud_network(config()), made_up_speech(LOG_MEL, 20, rng)
    calm = predict(model, speech, FACE, NEUTRAL)
    for label in EMOTIONS:
        assert (predict(model, speech, FACE, emotion_vector(label, 0.0)) == calm).all()
    assert (predict(model, speech, FACE, emotion_vector("neutral", 1.0)) == calm).all()
    assert np.abs(predict(model, speech, FACE, emotion_vector("happy", 1.0)) - calm).max() > 1e-3


def test_mixtures_lie_between_their_parts(rng: np.random.Generator) -> None:
    """On average over the frames: FiLM's scale is linear in the mixture, the network behind it is not quite."""
    model, speech = loud_network(config()), made_up_speech(LOG_MEL, 50, rng)
    wanted = emotion_vector("happy", 0.5) + emotion_vector("angry", 0.5)
    said = [predict(model, speech, FACE, emotion_vector(e, 1.0), settings=PLAIN).mean(0) for e in ("happy", "angry")]
    mixed = predict(model, speech, FACE, wanted, settings=PLAIN).mean(0)
    assert np.linalg.norm(mixed - np.mean(said, axis=0)) < 0.5 * np.linalg.norm(said[0] - said[1])


def test_loudness_is_not_heard_in_a_file_and_only_at_first_in_a_stream(rng: np.random.Generator) -> None:
    model, speech = loud_network(config()), made_up_speech(LOG_MEL, 40, rng) + 30
    quiet = speech - 5
    file, stream = ([predict(model, x, FACE, settings=PLAIN, known=known) for x in (speech, quiet)] for known in (True, False))
    assert file[0] == pytest.approx(file[1], abs=1e-4)
    assert stream[0] == pytest.approx(stream[1], abs=1e-4), "above the quiet start, a stream follows the level at once"


def test_unknown_is_neutral_for_a_model_without_null(rng: np.random.Generator) -> None:
    speech = made_up_speech(LOG_MEL, 10, rng)
    for unlabelled in (False, True):
        model = loud_network(config(unlabelled=unlabelled))
        same = (predict(model, speech, FACE, emotion_vector(UNKNOWN, 1.0)) == predict(model, speech, FACE)).all()
        assert same != unlabelled


def test_what_does_not_fit_is_named(rng: np.random.Generator) -> None:
    model = loud_network(config(WHISPER_TINY_EN))
    state = start(model, FACE)
    with pytest.raises(SpaceError, match=r"s2l: speech \(5, 4, 40\), need \(frames, 2, 384\) of whisper-tiny.en"):
        step(model, state, made_up_speech(LOG_MEL, 5, rng))
    with pytest.raises(SpaceError, match="s2l: 3 emotions for 5 frames of speech"):
        step(model, state, made_up_speech(WHISPER_TINY_EN, 5, rng), np.zeros((3, 9), np.float32))
    with pytest.raises(SpaceError, match=r"s2l: portrait \(68, 3\), need"):
        start(model, FACE[:68])

