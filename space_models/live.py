"""A portrait that speaks while the sound comes: the parts of `animate`, each as a stream.

    live = Live(Motion(models, portrait, params, controls), portrait, renderer)
    for frame in live.hear(samples): ...        # as often as 16 kHz sound comes, any number of samples
    for frame in live.end(): ...                # the last frames, which wait for sound that will not come

A frame comes two frames and 10 ms after its sound (S2L's look-ahead and the window of the log-mel); where Whisper hears, which
looks 160 ms ahead itself, after 240 ms. Chunks of any size give the same frames. Against the whole-clip call only the speech's
statistics differ, which a stream gathers as it runs (and what Whisper hears around a frame: 2 s before it, 160 ms after); blinks
and gaze are the same, and head motion follows the same random numbers. Memory: a fixed amount of sound, and some 80 bytes of
controls per frame.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.live_log_mel import LiveLogMel
from space_data.params import Params
from space_data.schema import NEUTRAL
from space_data.speech_encoder import LOG_MEL
from space_data.timebase import VIDEO_FPS, frame_start_s
from space_models.controls.asked import Controls, DrivingVideos
from space_models.controls.edits import edited
from space_models.controls.head import GENERATED, generated_bounds
from space_models.generators import Frame, Renderer
from space_models.motion import MotionModels, head_of
from space_models.portrait import Portrait
from space_models.posegen import stream as pose_stream
from space_models.s2l import stream as s2l_stream
from space_models.s2l.output import OutputSettings
from space_models.speech_encoders import SlidingWhisper, WhisperStates
from space_models.switch import CameraFrame, Switch
from space_models.tracks import SPOKEN, Tracks

Array = NDArray[np.float32]

HORIZON_FRAMES = 60 * VIDEO_FPS
"""For which controls are worked out at first; then for twice as long."""
WINDOW_S = 0.01
"""Of the log-mel's window beyond its frame."""
MARGIN_FRAMES = VIDEO_FPS
"""At a horizon's end, where a blink that begins beyond it is missing."""


class RunningMean:
    """Mean-normalises log-mel (n, 4, 40) per band by what has been heard so far: (n, 160)."""

    def __init__(self, width: int) -> None:
        self._total, self._count = np.zeros(width), 0

    def __call__(self, frames: Array) -> Array:
        """The next frames."""
        normalised = np.empty((len(frames), int(np.prod(frames.shape[1:]))), np.float32)
        for index, frame in enumerate(frames):
            bands = frame.reshape(-1, len(self._total))
            self._total += bands.sum(axis=0)
            self._count += len(bands)
            normalised[index] = (bands - self._total / self._count).ravel()
        return normalised


class Motion:
    """Tracks as sound comes, before anything is drawn.

    Raises:
        SpaceError: the S2L hears with an encoder that cannot follow a stream.
    """

    def __init__(
        self, models: MotionModels, portrait: Portrait, params: Params, controls: Controls = Controls(), seed: int = 0,
        portrait_emotion: Array = NEUTRAL,
    ) -> None:  # fmt: skip
        self._whisper = SlidingWhisper(models.encoder) if isinstance(models.encoder, WhisperStates) else None
        if self._whisper is None and models.encoder.spec.name != LOG_MEL:
            raise SpaceError(f"stream: S2L hears with {models.encoder.spec.name}, need {LOG_MEL} (--speech-encoder {LOG_MEL})")
        self._models, self._portrait, self._params, self._seed = models, portrait, params, seed
        self._controls, self._videos = controls, DrivingVideos()
        self._mel, self._heard = LiveLogMel(), LiveLogMel().start()
        self._states = None if self._whisper is None else self._whisper.start()
        self._mean = RunningMean(LiveLogMel.spec.width)
        shown = OutputSettings(params.animate.articulation, params.animate.fade_s)
        self._speaker = s2l_stream.start(models.s2l, portrait.normalised, portrait_emotion, shown)
        strength = params.animate.pose_strength if controls.pose_strength is None else controls.pose_strength
        self._is_generated = controls.pose in (None, GENERATED)
        self._head = pose_stream.start(
            models.posegen, np.random.default_rng([seed, 0]), generated_bounds(params.warp), strength
        )
        self._horizon = 0
        self._columns: dict[str, Array] = {}
        self._extend(HORIZON_FRAMES)
        self._told = self._spoken = self._drawn = 0
        width = LiveLogMel.spec.width * LiveLogMel.spec.per_frame
        self._waiting = {
            "speech": np.zeros((0, width), np.float32), "spoken": portrait.normalised[None][:0],
            "pose": np.zeros((0, 6), np.float32),
        }  # fmt: skip

    @property
    def delay_s(self) -> float:
        """From the end of a frame's sound to its tracks: the window of the log-mel, S2L's look-ahead, and Whisper's."""
        ahead_s = frame_start_s(self._models.s2l.config.lookahead_frames)
        return ahead_s + (WINDOW_S if self._whisper is None else self._whisper.delay_ms / 1000)

    def _extend(self, n_frames: int) -> None:
        """Work the controls out for ``n_frames``."""
        self._columns = self._controls.columns(
            self._portrait, n_frames, self._seed, self._params.animate, self._videos, complete=True
        )
        self._columns.setdefault("emotion", np.zeros((n_frames, len(NEUTRAL)), np.float32))
        self._columns["pose"] = head_of(self._controls, n_frames, self._videos)
        self._horizon = n_frames

    def hear(self, audio: Array, ends: bool = False) -> Tracks:
        """The tracks of the frames that are ready, 0 or more, after ``audio`` (samples,) at 16 kHz more."""
        self._heard, mel = self._mel.step(self._heard, audio, ends)
        while self._told + len(mel) > self._horizon - MARGIN_FRAMES:
            self._extend(2 * self._horizon)
        self._told += len(mel)
        speech = mel
        if self._whisper is not None and self._states is not None:
            self._states, speech = self._whisper.step(self._states, audio, ends)
        emotion = self._columns["emotion"][self._spoken : self._spoken + len(speech)]
        self._spoken += len(speech)
        normalised = self._mean(mel)
        self._speaker, spoken = s2l_stream.step(self._models.s2l, self._speaker, speech, emotion if len(speech) else NEUTRAL)
        self._head, pose = pose_stream.step(self._models.posegen, self._head, normalised)
        if ends:
            spoken = np.concatenate([spoken, s2l_stream.finish(self._models.s2l, self._speaker)])
            pose = np.concatenate([pose, pose_stream.finish(self._models.posegen, self._head)])
        for name, new in (("speech", normalised), ("spoken", spoken), ("pose", pose)):
            self._waiting[name] = np.concatenate([self._waiting[name], new])
        ready = min(map(len, self._waiting.values()))
        part = {name: values[:ready] for name, values in self._waiting.items()}
        self._waiting = {name: values[ready:] for name, values in self._waiting.items()}
        shown = slice(self._drawn, self._drawn + ready)
        self._drawn += ready
        part |= {name: values[shown] for name, values in self._columns.items() if name != "pose"}
        part["pose"] = (part["pose"] if self._is_generated else 0) + self._columns["pose"][shown]
        rest = Tracks.at_rest(self._portrait, part.pop("speech"))
        return edited(replace(rest, stage=SPOKEN, **part))  # type: ignore[arg-type]


class Live:
    """`Motion`, a camera that takes over while it sees a face (`space_models.switch`), and a renderer that draws landmarks.

    Raises:
        SpaceError: the renderer draws latents, or see `Motion`.
    """

    def __init__(
        self, motion: Motion, portrait: Portrait, renderer: Renderer[object], camera: Iterator[CameraFrame | None] | None = None
    ) -> None:
        if renderer.latents_of:
            raise SpaceError("stream: this generator draws latents, need one that draws landmarks (--generator warp)")
        self._motion, self._portrait, self._renderer = motion, portrait, renderer
        self._camera, self._switch = camera, Switch(portrait)
        self._state, self.size_px = renderer.prepare(portrait), renderer.size_px

    def hear(self, audio: Array, ends: bool = False, newest_only: bool = False) -> Iterator[Frame]:
        """Frames that are ready after ``audio`` more, drawn as they are taken.

        ``newest_only``: to catch up, only the last of them is drawn and stands for all.
        """
        tracks = self._motion.hear(audio, ends)
        if not len(tracks):
            return
        if self._camera is not None:
            tracks = self._switch(tracks, list(islice(self._camera, len(tracks))))
        driving = tracks.driving(self._portrait)
        if newest_only:
            [frame] = self._renderer.render(self._state, driving[-1:])
            yield from [frame] * len(tracks)
        else:
            yield from self._renderer.render(self._state, driving)

    def end(self) -> Iterator[Frame]:
        """The rest."""
        return self.hear(np.zeros(0, np.float32), ends=True)
