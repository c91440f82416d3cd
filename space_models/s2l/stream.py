"""S2L as a stream: speech comes in chunks of frames, landmarks go out ``lookahead_frames`` later. A file is one chunk.

    state = start(model, portrait)
    state, landmarks = step(model, state, speech)      # as often as speech comes
    landmarks = finish(model, state)                   # the last frames, which wait for sound that will not come

``predict`` is that fold over one chunk; chunks of any size give the same (tested). What passes from chunk to chunk: the decayed
statistics of the input, the tails of the convolutions and of the filter, the LSTM's state, the emotions of frames that are not
shown yet, and the fade from the photo.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS
from space_data.schema import EMOTIONS, NEUTRAL
from space_models.s2l.features import InputState, Statistics
from space_models.s2l.model import S2L
from space_models.s2l.network import NetworkState
from space_models.s2l.output import Fade, OutputSettings, Points, Speaker, faded, spoken

NATURAL = OutputSettings(articulation=1.0, fade_s=0.2)


@dataclass(frozen=True)
class StreamState:
    """Between two chunks."""

    speaker: Speaker
    settings: OutputSettings
    speech: InputState
    network: NetworkState
    seen_frames: int = 0
    """frames of speech so far"""
    last_sample: NDArray[np.float32] | None = None
    """of the normalised speech, (1, C)"""
    emotions: NDArray[np.float32] | None = None
    """mixtures (lookahead, 9) of the frames that wait for sound"""
    fade: Fade = Fade()


def start(
    model: S2L,
    portrait: Points,
    portrait_emotion: NDArray[np.floating] = NEUTRAL,
    settings: OutputSettings = NATURAL,
    statistics: Statistics | None = None,
    shown: NDArray[np.floating] | None = None,
) -> StreamState:
    """A stream in which ``portrait`` (78, 3; normalised) will speak.

    Args:
        model: see ``load_s2l``.
        portrait: its landmarks as they are in the photo.
        portrait_emotion: mixture (9,) that the photo shows; all NaN is taken as the null condition.
        settings: how the prediction is shown.
        statistics: of the whole utterance (``SpeechInput.statistics_of``), where it is known; else they are gathered as it runs.
        shown: the mixtures (..., 9) that will be asked for, where they are known; other ones then open the lips a little more.

    Raises:
        SpaceError: a portrait of another shape.
    """
    if portrait.shape != (N_LANDMARKS, 3):
        raise SpaceError(f"s2l: portrait {portrait.shape}, need normalised landmarks ({N_LANDMARKS}, 3)")
    speaker = model.speaker(portrait, portrait_emotion, shown)
    return StreamState(speaker, settings, model.speech_input.start(statistics), model.network.initial_state(1))


def step(
    model: S2L, state: StreamState, speech: NDArray[np.floating], emotion: NDArray[np.floating] = NEUTRAL
) -> tuple[StreamState, Points]:
    """Hear n frames of ``speech`` (n, P, W) and show the landmarks (m, 78, 3) that are ready.

    ``emotion``: mixture of each of these n frames (n, 9), or of all of them (9,). It goes with the sound: a frame is shown in its
    own mixture, not in that of the sound ahead.

    Raises:
        SpaceError: speech of another shape than the model's, or as many mixtures as there are no frames.
    """
    n_frames, wanted = len(speech), (model.config.per_frame, model.config.speech_width)
    if speech.shape[1:] != wanted:
        raise SpaceError(f"s2l: speech {speech.shape}, need (frames, {wanted[0]}, {wanted[1]}) of {model.config.encoder}")
    emotion = model.learnt(np.atleast_2d(emotion))
    if len(emotion) not in (1, n_frames):
        raise SpaceError(f"s2l: {len(emotion)} emotions for {n_frames} frames of speech, need one for each or one for all")
    if n_frames == 0:
        return state, np.zeros((0, N_LANDMARKS, 3), np.float32)
    input_state, normalised = model.speech_input.step(state.speech, speech.reshape(-1, wanted[1]))
    mixtures = np.broadcast_to(emotion, (n_frames, len(EMOTIONS)))
    return _advance(model, replace(state, speech=input_state, last_sample=normalised[-1:]), normalised, mixtures)


def finish(model: S2L, state: StreamState) -> Points:
    """The frames that were waiting for sound: the last sample is held."""
    if state.last_sample is None:
        return np.zeros((0, N_LANDMARKS, 3), np.float32)
    ahead = model.config.lookahead_frames
    held = np.repeat(state.last_sample, ahead * model.config.per_frame, axis=0)
    return _advance(model, state, held, np.zeros((ahead, len(EMOTIONS)), np.float32))[1]


def predict(
    model: S2L,
    speech: NDArray[np.floating],
    portrait: Points,
    emotion: NDArray[np.floating] = NEUTRAL,
    portrait_emotion: NDArray[np.floating] = NEUTRAL,
    settings: OutputSettings = NATURAL,
    known: bool = True,
) -> Points:
    """Landmarks (T, 78, 3) of ``portrait`` saying ``speech`` (T, P, W); see ``start`` and ``step``.

    ``known``: normalise by the whole utterance, as files are; False: as a live stream does.
    """
    statistics = model.speech_input.statistics_of(speech.reshape(-1, speech.shape[-1])) if known and len(speech) else None
    begun = start(model, portrait, portrait_emotion, settings, statistics, model.learnt(np.asarray(emotion)))
    state, landmarks = step(model, begun, speech, emotion)
    return np.concatenate([landmarks, finish(model, state)])


def hear(
    model: S2L, state: StreamState, speech: NDArray[np.floating], emotion: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the network's last layers see in the T frames of ``speech``: (T, hidden) and (T, FILTER_RANK); for fitting."""
    _, normalised = model.speech_input.step(state.speech, speech.reshape(-1, speech.shape[-1]))
    ahead = model.config.lookahead_frames
    held = np.repeat(normalised[-1:], ahead * model.config.per_frame, axis=0)
    with torch.no_grad():
        samples = torch.from_numpy(np.concatenate([normalised, held])[None])
        face = torch.from_numpy(state.speaker.face.reshape(1, -1))
        output = model(samples, face, torch.from_numpy(model.learnt(emotion)[None]))
    return output.hidden[0, ahead:].numpy(), output.patterns[0, ahead:].numpy()


@torch.no_grad()
def _advance(
    model: S2L, state: StreamState, normalised: NDArray[np.float32], mixtures: NDArray[np.floating]
) -> tuple[StreamState, Points]:
    """Let the network hear n frames; the landmarks of those that have their look-ahead now."""
    n_frames, ahead = len(mixtures), model.config.lookahead_frames
    if n_frames == 0:
        return state, np.zeros((0, N_LANDMARKS, 3), np.float32)
    waiting = np.repeat(mixtures[:1], ahead, axis=0) if state.emotions is None else state.emotions
    queue = np.concatenate([waiting, mixtures]).astype(np.float32)
    shown = queue[:n_frames]
    face = torch.from_numpy(state.speaker.face.reshape(1, -1))
    output = model(torch.from_numpy(normalised[None]), face, torch.from_numpy(shown[None]), state.network)
    first = max(0, ahead - state.seen_frames)  # what the network says before it has heard so far ahead is of no frame
    displacement = model.network.mixed(output)[0, first:].numpy()
    points = spoken(displacement, shown[first:], state.speaker, model.gap_map, state.settings)
    points, fade = faded(points.astype(np.float32), state.speaker, state.fade, state.settings)
    after = replace(
        state, network=output.state, seen_frames=state.seen_frames + n_frames, emotions=queue[n_frames:], fade=fade
    )
    return after, points
