"""From speech to motion: Speech2Landmarks, the edits and the head's pose, as tracks.

The benchmark's own systems run the same functions as `space animate`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.params import Params
from space_data.schema import NEUTRAL
from space_data.speech_encoder import SpeechEncoder
from space_models.checkpoints import CARD_FILE, from_config, load_card
from space_models.controls.asked import Controls, DrivingVideos, is_table
from space_models.controls.edits import edited
from space_models.controls.head import GENERATED, STILL, generated, read_pose_file
from space_models.portrait import Portrait
from space_models.posegen.model import PoseGen, load_posegen
from space_models.s2l import stream
from space_models.s2l.calibrate import calibrated, load_calibration
from space_models.s2l.model import S2L, load_s2l
from space_models.s2l.network import S2LConfig
from space_models.s2l.output import OutputSettings
from space_models.speech_encoders import AUTO, chosen_encoder
from space_models.speech_file import Speech
from space_models.tracks import SPEECH, SPOKEN, Tracks

Array = NDArray[np.float32]


@dataclass(frozen=True)
class MotionModels:
    """What turns speech into motion."""

    s2l: S2L
    posegen: PoseGen
    encoder: SpeechEncoder
    """what S2L hears with"""


def load_motion_models(folder: Path, params: Params, calibration: Path | None = None) -> MotionModels:
    """S2L, with the speech encoder it learnt with, and PoseGen from ``folder`` (``models`` of the pipeline, or the shipped ones).

    Of several S2L the one for ``animate.speech_encoder`` is taken. ``calibration``: a file of ``space calibrate``, made for it.

    Raises:
        SpaceError: a model or the encoder's weights are missing or damaged, or one was made for another.
    """
    trained = s2l_folders(folder)
    weights, wanted = Path(params.features.weights), params.animate.speech_encoder
    only = next(iter(trained)) if len(trained) == 1 and wanted == AUTO else wanted
    layers = {name: load_card(path, "s2l").config.get("encoder_layers", ()) for name, path in trained.items()}
    encoder = chosen_encoder(only, layers, weights)
    s2l = load_s2l(trained[encoder.spec.name])
    if s2l.config.encoder_sha256 != encoder.spec.weights_sha256:
        raise SpaceError(
            f"{trained[encoder.spec.name]}: learnt with {encoder.spec.name} {s2l.config.encoder_sha256[:12]}, its weights in "
            f"{weights} are {encoder.spec.weights_sha256[:12]} (another release of them? train S2L anew)"
        )
    if calibration is not None:
        s2l = calibrated(s2l, load_calibration(calibration), str(calibration))
    return MotionModels(s2l, load_posegen(folder / "posegen"), encoder)


def s2l_folders(folder: Path) -> dict[str, Path]:
    """By speech encoder the folders in ``folder`` that hold an S2L.

    Raises:
        SpaceError: none does.
    """
    there = [path for path in (folder / "s2l", *sorted(folder.glob("s2l-*"))) if (path / CARD_FILE).is_file()]
    return {from_config(path, load_card(path, "s2l"), S2LConfig).encoder: path for path in there or [folder / "s2l"]}


def make_tracks(
    models: MotionModels,
    portrait: Portrait,
    speech: Speech,
    params: Params,
    controls: Controls = Controls(),
    seed: int = 0,
    portrait_emotion: Array = NEUTRAL,
) -> Tracks:
    """Motion of ``portrait`` speaking ``speech``.

    Args:
        models: see ``load_motion_models``.
        portrait: who speaks.
        speech: T frames.
        params: what the controls leave open.
        controls: what is asked for.
        seed: of head motion, blinks and gaze.
        portrait_emotion: mixture (9,) that the photo shows already.
    """
    rest = Tracks.at_rest(portrait, speech.features)
    return revised(rest, models, portrait, speech, params, controls, seed, portrait_emotion, complete=True)


def revised(
    tracks: Tracks,
    models: MotionModels,
    portrait: Portrait,
    speech: Speech,
    params: Params,
    controls: Controls,
    seed: int = 0,
    portrait_emotion: Array = NEUTRAL,
    complete: bool = False,
) -> Tracks:
    """``tracks`` of this portrait with what ``controls`` name made anew, and what follows from it; see ``make_tracks``.

    The tracks' stage says from where on: an emotion that is named lets S2L speak anew, another control the edits be made anew.
    ``complete``: everything is made, what is not named by its default.
    """
    videos = DrivingVideos()
    named = controls.columns(portrait, len(tracks), seed, params.animate, videos, complete)
    tracks = replace(tracks, **named)  # type: ignore[arg-type]
    if complete or "emotion" in named:
        tracks = replace(tracks, stage=SPEECH)
    elif controls.named:
        tracks = tracks.back_to(SPOKEN)
    if tracks.stage == SPEECH:
        tracks = spoken(tracks, models, portrait, speech, params, portrait_emotion)
    if complete or controls.names_pose:
        tracks = replace(tracks, pose=_pose(tracks, models.posegen, params, controls, seed, videos, complete))
    return edited(tracks) if tracks.stage == SPOKEN else tracks


def spoken(
    tracks: Tracks, models: MotionModels, portrait: Portrait, speech: Speech, params: Params, portrait_emotion: Array
) -> Tracks:
    """The tracks as S2L speaks them with their emotions."""
    shown = OutputSettings(params.animate.articulation, params.animate.fade_s)
    states = models.encoder.encode(speech.audio)
    face = stream.predict(models.s2l, states, portrait.normalised, tracks.emotion, portrait_emotion, shown)
    return replace(tracks, spoken=face, stage=SPOKEN)


def _pose(
    tracks: Tracks, posegen: PoseGen, params: Params, controls: Controls, seed: int, videos: DrivingVideos, complete: bool
) -> Array:
    """Offsets (T, 6): a source, times the strength, plus what is added."""
    head = head_of(controls, len(tracks), videos)
    if controls.pose == GENERATED or (controls.pose is None and complete):
        return head + generated(posegen, tracks.speech, seed, params.animate, params.warp, controls.pose_strength)
    if controls.pose is None:
        return head + tracks.pose * np.float32(1.0 if controls.pose_strength is None else controls.pose_strength)
    return head


def head_of(controls: Controls, n_frames: int, videos: DrivingVideos) -> Array:
    """Offsets (n_frames, 6) of a file or video that is named, times the strength, plus what is added: all but the generated."""
    added = controls.added_pose(n_frames)
    if controls.pose in (None, STILL, GENERATED):
        return added
    source = str(controls.pose)
    moved = read_pose_file(Path(source), n_frames) if is_table(source) else videos.of(source).pose(n_frames)
    return moved * np.float32(1.0 if controls.pose_strength is None else controls.pose_strength) + added
