"""One held-out person told each emotion: on landmarks, and rendered and tracked again. What `emotion_response` measures.

Everything but the emotion is the same in all runs: portrait, sound, seed; the head is still, and lids and eyes are not commanded
(a blink hides how open the eyes are). So each run is compared with intensity 0 frame by frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.detected_face import DetectedFace
from evaluation.emotion_response import ADDED, ADDED_VIDEO, LANDMARKS, VIDEO, Run, mixture_name
from evaluation.fer import Judge
from space_data.closures import Closures
from space_data.crop import CropBox
from space_data.errors import SpaceError
from space_data.facemesh import track_faces
from space_data.landmarks import PoseTrack, lip_gap
from space_data.params import EmotionStage, Params
from space_data.schema import EMOTIONS, NEUTRAL, NEUTRAL_LABEL, emotion_vector
from space_data.timebase import frames_in
from space_models.controls.asked import Controls
from space_models.controls.emotion import parse_emotion
from space_models.generators import DEFAULT_RENDERER, RENDERERS, Driving, find
from space_models.motion import MotionModels, make_tracks
from space_models.portrait import Portrait
from space_models.s2l.metrics import correlation
from space_models.speech_file import Speech

Array = NDArray[np.float32]
Frame = NDArray[np.uint8]

SETTLED_S = 0.6
"""By then 5 % of the start from the photo is left (``animate.fade_s``); mean faces are of what follows."""
SHEET_PX, CLOSE_UP = 160, 1.35
"""Side of a face in the strips, and how much larger than the face's box the square is that it shows."""
BLANK = 245
"""Grey of what is left free in a strip."""
FULL = 1.0
MIXTURES = "mixtures"
"""Name of the strip of mixtures."""


@dataclass(frozen=True)
class Person:
    """A portrait at rest and a neutral recording: T frames of ``speech``, of the lips' ``recorded_gap`` and of ``speaking``."""

    subject: str
    portrait: Portrait
    speech: Speech
    recorded_gap: Array
    speaking: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not len(self.speech) == len(self.recorded_gap) == len(self.speaking):
            lengths = f"{len(self.speech)} frames of speech, {len(self.recorded_gap)} of gaps, {len(self.speaking)} of marks"
            raise SpaceError(f"emotion {self.subject}: {lengths}, need the same number")


@dataclass(frozen=True)
class Measured:
    """Of one person: all runs, whether intensity 0 equals neutral to the bit, and strips of faces by name, (H, W, 3)."""

    runs: list[Run]
    same_as_neutral: bool
    strips: Mapping[str, Frame]


def mixtures_of(settings: EmotionStage) -> list[Array]:
    """Each emotion at each intensity, and the mixtures: (9,) each."""
    emotions = [name for index, name in enumerate(EMOTIONS) if index != NEUTRAL_LABEL]
    single = [emotion_vector(name, intensity) for name in emotions for intensity in settings.intensities]
    return [*single, *(parse_emotion(text) for text in settings.mixtures)]


def measure_person(
    person: Person,
    directions: Array,
    filmed: bool,
    params: Params,
    models: MotionModels,
    folder: Path,
    judge: Judge | None = None,
) -> Measured:
    """Drive a person with everything.

    Args:
        directions: the corpus' directions (9, 78, 3), added to the neutral face as trivial opponent.
        filmed: whether to render and track, too.
        folder: of the models.
        judge: who looks at the rendered frames, too.

    Raises:
        SpaceError: shorter than ``SETTLED_S``, or no face in the rendered frames.
    """
    n_frames, settled = len(person.speech), frames_in(SETTLED_S)
    if n_frames <= settled:
        raise SpaceError(f"emotion {person.subject}: {n_frames} frames of speech, need more than {settled} (emotion.speech_s?)")

    def driven(mixture: Array) -> tuple[Array, PoseTrack]:
        asked = Controls(emotion=mixture, pose="still", blinks="off", gaze="photo")
        driving = make_tracks(models, person.portrait, person.speech, params, asked, params.emotion.seed).driving(person.portrait)
        return driving.normalised, driving.pose

    neutral, pose = driven(NEUTRAL)
    told = {mixture_name(mixture): (mixture, driven(mixture)[0]) for mixture in mixtures_of(params.emotion)}
    tracks = {"": (NEUTRAL, neutral), **told}
    same = np.array_equal(neutral, driven(emotion_vector("neutral", FULL))[0])
    later = slice(settled, None)
    runs = [
        run_of(person, LANDMARKS, mixture, points[later], neutral[later], points, neutral) for mixture, points in tracks.values()
    ]
    for mixture, _ in tracks.values():
        if mixture.any():
            added = (neutral + np.tensordot(mixture, directions, 1)).astype(np.float32)
            runs.append(run_of(person, ADDED, mixture, added[later], neutral[later], added, neutral))
    if not filmed:
        return Measured(runs, same, {})
    film = Film(person, pose, tracks, directions, params, folder, judge)
    return Measured([*runs, *film.runs()], same, film.strips())


def run_of(
    person: Person, medium: str, mixture: Array, points: Array, neutral: Array, every: Array | None, every_neutral: Array | None
) -> Run:
    """A run from the faces (F, 78, 3) of some frames and the neutral run's of the same; ``every``: those of all frames from the
    first, and the neutral run's, where there are such."""
    found = np.isfinite(points).all((1, 2)) & np.isfinite(neutral).all((1, 2))
    if not found.any():
        raise SpaceError(f"emotion {person.subject}: no face found in {len(points)} frames of {mixture_name(mixture)} ({medium})")
    change = (points[found].astype(np.float64) - neutral[found]).mean(0)
    if every is None or every_neutral is None:
        return Run(person.subject, medium, mixture, change)
    gap, gap_neutral = lip_gap(every), lip_gap(every_neutral)
    recorded, speaking = person.recorded_gap[: len(gap)], person.speaking[: len(gap)]
    seen = np.isfinite(gap) & np.isfinite(gap_neutral)
    return Run(
        person.subject, medium, mixture, change, Closures.of(gap, recorded, speaking & seen),
        Closures.of(gap, gap_neutral, speaking & seen), correlation(gap[seen], gap_neutral[seen]),
    )  # fmt: skip


class Film:
    """One person's runs as rendered frames. Neutral and single emotions at full intensity are drawn frame by frame, so that
    closures can be counted; of the others every few frames do."""

    def __init__(
        self, person: Person, pose: PoseTrack, tracks: Mapping[str, tuple[Array, Array]], directions: Array, params: Params,
        folder: Path, judge: Judge | None,
    ) -> None:  # fmt: skip
        settings = params.emotion
        self._person, self._pose, self._tracks, self._directions = person, pose, tracks, directions
        self._intensities = settings.intensities
        self._n_frames = len(person.speech)
        self._some = np.arange(frames_in(SETTLED_S), self._n_frames, settings.filmed_every_frames)
        gap = lip_gap(tracks[""][1][self._some])
        self._shown = int(np.argmin(abs(gap - np.median(gap))))
        """which of these frames the strips show: one with the lips as open as usual"""
        self._renderer = find(RENDERERS, DEFAULT_RENDERER, "renderer").load(folder, params)
        self._state = self._renderer.prepare(person.portrait)
        self._close_up = close_up(person.portrait.landmarks)
        self._pictures: dict[str, Frame] = {}
        self._judge = judge

    def runs(self) -> list[Run]:
        """All of them, tracked."""
        person, every = self._person, np.arange(self._n_frames)
        points = self._tracks[""][1]
        neutral, calm = self._tracked("", points, every, self._tracks[""][0])
        neutral_some, _ = self._tracked("", points, self._some, self._tracks[""][0])
        neutral_run = run_of(person, VIDEO, self._tracks[""][0], neutral[self._some], neutral[self._some], neutral, neutral)
        found = [(neutral_run, calm)]
        for name, (mixture, points) in self._tracks.items():
            if not name:
                continue
            single = np.count_nonzero(mixture) == 1
            if single and mixture.max() == FULL:
                faces, seen = self._tracked(name, points, every, mixture)
                found.append((run_of(person, VIDEO, mixture, faces[self._some], neutral[self._some], faces, neutral), seen))
                added = self._tracks[""][1] + np.tensordot(mixture, self._directions, 1).astype(np.float32)
                drawn, seen = self._tracked(None, added, self._some, mixture)
                found.append((run_of(person, ADDED_VIDEO, mixture, drawn, neutral_some, None, None), seen))
            else:
                faces, seen = self._tracked(name, points, self._some, mixture)
                found.append((run_of(person, VIDEO, mixture, faces, neutral_some, None, None), seen))
        return [replace(run, expressions=None if seen is None or calm is None else np.stack([calm, seen])) for run, seen in found]

    def strips(self) -> dict[str, Frame]:
        """Faces of one frame side by side: per emotion at intensity 0 and up; neutral and the mixtures."""
        emotions = [name for index, name in enumerate(EMOTIONS) if index != NEUTRAL_LABEL]
        names = {name: ["", *(f"{name}:{intensity:g}" for intensity in self._intensities)] for name in emotions}
        mixed = [name for name, (mixture, _) in self._tracks.items() if np.count_nonzero(mixture) > 1]
        names |= {MIXTURES: ["", *mixed]} if mixed else {}
        longest = max(len(columns) for columns in names.values())
        blank = np.full((SHEET_PX, SHEET_PX, 3), BLANK, np.uint8)
        return {
            row: np.hstack([self._pictures[name] for name in columns] + [blank] * (longest - len(columns)))
            for row, columns in names.items()
        }

    def _tracked(
        self, name: str | None, points: Array, frames: NDArray[np.int64], mixture: Array
    ) -> tuple[Array, NDArray[np.float64] | None]:
        """Render ``frames`` and track them: (F, 78, 3) normalised, and what the judge sees in those of them that all runs have;
        the picture for the strips is kept under ``name``."""
        tracks = Driving(points[frames], self._pose[frames], self._person.speech.features[frames], mixture)
        drawn = list(self._renderer.render(self._state, tracks))
        if name is not None:
            picture = drawn[int(np.flatnonzero(frames == self._some[self._shown])[0])]
            self._pictures[name] = self._close_up.apply(picture, SHEET_PX)
        some = [drawn[k] for k in np.flatnonzero(np.isin(frames, self._some))]
        seen = self._judge.look(some) if self._judge else None
        return DetectedFace.from_mesh(track_faces(drawn)).normalised, seen


def close_up(landmarks_px: Array) -> CropBox:
    """The square around a face's landmarks (78, 3)."""
    low, high = landmarks_px[:, :2].min(0), landmarks_px[:, :2].max(0)
    side = round(CLOSE_UP * float((high - low).max()))
    x, y = (low + high) / 2 - side / 2
    return CropBox(round(float(x)), round(float(y)), side)


def strip_names(strips: Sequence[str]) -> list[str]:
    """Names of strips in the order of the emotions, mixtures last."""
    order = [*EMOTIONS, MIXTURES]
    return sorted(strips, key=order.index)
