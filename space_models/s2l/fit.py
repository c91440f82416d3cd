"""What S2L keeps beside its learnt weights, each fitted in one pass: before training the input's statistics and the utterances
that tell the network's constant, after it the map of the lip gap.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from space_data import landmarks as lm
from space_data.schema import NEUTRAL, NEUTRAL_LABEL
from space_models.dataset import TrackClip, resting_faces
from space_models.s2l.augment import Augmentation, another_room
from space_models.s2l.features import speech_of
from space_models.s2l.model import S2L
from space_models.s2l.output import GapMap, OutputSettings, fit_gap_map
from space_models.s2l.stream import predict

AS_AVERAGED = OutputSettings(articulation=0.0, fade_s=0.0)
"""Landmarks with the network's own lip gap."""


PRIOR_UTTERANCES = 100
"""So many tell what speech is like before any is heard."""


@torch.no_grad()
def fit_input(model: S2L, clips: list[TrackClip], change: Augmentation, seed: int) -> None:
    """From training clips: the input's prior (for states, their principal components, too) and the neutral utterances.

    The prior of log-mel is that of speech in rooms: clean espeak-ng has twice the range of real recordings.
    """
    sounds = [speech_of(c, model.config.encoder).reshape(-1, model.config.speech_width) for c in clips]
    if model.speech_input.config.levelled:
        torch.manual_seed(seed)
        few = sounds[:: max(1, len(sounds) // PRIOR_UTTERANCES)]
        sounds = [in_a_room(sound, change.noise_below_peak_db) for sound in few]
    model.speech_input.fit(sounds)
    model.neutral_speech.copy_(torch.from_numpy(neutral_speech(clips, model)))


def in_a_room(log_power: NDArray[np.float32], noise_below_peak_db: tuple[float, float]) -> NDArray[np.float32]:
    """An utterance (F, W) as augmentation has it."""
    batch = torch.tensor(log_power)[None]
    everywhere = torch.ones(batch.shape[:2], dtype=torch.bool)
    return np.asarray(another_room(batch, everywhere, noise_below_peak_db)[0].numpy())


def neutral_speech(clips: list[TrackClip], model: S2L) -> NDArray[np.float32]:
    """15 s of normalised neutral utterances (samples, C), one per subject in order of ids; of any where none is neutral."""
    calm = [c for c in clips if c.emotion[NEUTRAL_LABEL] > 0] or clips
    one_each = {c.clip.subject: c for c in sorted(calm, key=lambda c: c.clip_id, reverse=True)}
    pieces = []
    for clip in sorted(one_each.values(), key=lambda c: c.clip_id):
        speech = speech_of(clip, model.config.encoder).reshape(-1, model.config.speech_width)
        known = model.speech_input.start(model.speech_input.statistics_of(speech))
        pieces.append(model.speech_input.step(known, speech)[1])
    return np.resize(np.concatenate(pieces), model.neutral_speech.shape)


def gaps_of(model: S2L, clips: list[TrackClip]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """In the frames of speech of ``clips``, each from its first frame and from its subject's resting face: the network's lip gap,
    what the emotion adds to it (``Speaker.opening``), and the measured gap, (F,) each."""
    resting = resting_faces(clips)
    found: list[tuple[NDArray[np.floating], ...]] = []
    for clip in clips:
        speech, emotion = speech_of(clip, model.config.encoder), clip.emotion
        for portrait, worn in ((clip.normalised[0], emotion), (resting[clip.clip.subject], NEUTRAL)):
            gap = lm.lip_gap(predict(model, speech, portrait, emotion, worn, AS_AVERAGED))
            shown = model.learnt(np.tile(emotion, (len(clip), 1)))
            opening = model.speaker(portrait, worn, shown).opening(shown)
            usable = clip.speaking & ~clip.interpolated
            found.append((gap[usable], opening[usable], lm.lip_gap(clip.normalised)[usable]))
    predicted, opening, measured = (np.concatenate(column).astype(np.float64) for column in zip(*found, strict=True))
    return predicted, opening, measured


@torch.no_grad()
def fit_gap(model: S2L, clips: list[TrackClip]) -> None:
    """Set the model's gap map from validation ``clips``."""
    set_gap_map(model, fit_gap_map(*gaps_of(model, clips)))


def set_gap_map(model: S2L, gap_map: GapMap) -> None:
    """Give the model a gap map."""
    with torch.no_grad():
        model.gap_knots.copy_(torch.from_numpy(np.stack([gap_map.predicted, gap_map.measured])))
