"""How well S2L's landmarks meet recorded ones. Distances in IOD, in normalised space.

Every figure has its trivial opponents beside it: the portrait held still, the portrait with the training set's mean
displacement, the same network fed with another clip's sound (``shuffled``). Closures above all: a mouth that shuts at random
times for as long as a real one reaches a closure F1 of .45-.5.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from space_data import landmarks as lm
from space_data.closures import Closures
from space_data.schema import EMOTIONS, NEUTRAL, emotion_known
from space_models.dataset import TrackClip, resting_faces
from space_models.retarget import relaxed
from space_models.s2l.features import speech_of
from space_models.s2l.model import S2L
from space_models.s2l.output import OutputSettings
from space_models.s2l.stream import NATURAL, predict

Track = NDArray[np.floating]


def mouth_distance(predicted: Track, reference: Track) -> float:
    """LMD: mean distance of the mouth's landmarks in the plane, (T, 78, 3) each."""
    return float(np.linalg.norm(predicted[:, lm.MOUTH, :2] - reference[:, lm.MOUTH, :2], axis=-1).mean())


def mouth_velocity_distance(predicted: Track, reference: Track) -> float:
    """LVD: the same of their changes from frame to frame."""
    return mouth_distance(np.diff(predicted, axis=0), np.diff(reference, axis=0)) if len(reference) > 1 else 0.0


def correlation(a: Track, b: Track) -> float:
    """Pearson's r; 0 where one of them does not move (by more than float32 does)."""
    moves = len(a) > 1 and min(a.std(dtype=np.float64), b.std(dtype=np.float64)) > 1e-6
    return float(np.corrcoef(a, b)[0, 1]) if moves else 0.0


@dataclass
class LipFigures:
    """Figures of many clips: means of the clips', closures from the sums."""

    rows: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    closures: Closures = Closures()

    def add(self, predicted: Track, reference: Track, speech: NDArray[np.bool_]) -> None:
        """One clip's landmarks, (T, 78, 3) each, and its frames of speech (T,)."""
        gap, measured = lm.lip_gap(predicted), lm.lip_gap(reference)
        one = {
            "lmd_mouth": mouth_distance(predicted, reference),
            "lvd_mouth": mouth_velocity_distance(predicted, reference),
            "lip_gap_r": correlation(gap, measured),
            "lip_width_r": correlation(lm.lip_width(predicted), lm.lip_width(reference)),
            "lip_velocity_r": correlation(np.diff(gap), np.diff(measured)),
            "lip_gap_sd_ratio": float(gap.std() / max(measured.std(), 1e-6)),
        }
        for name, value in one.items():
            self.rows[name].append(value)
        self.closures = self.closures + Closures.of(gap, measured, speech)

    def summary(self, middle: Callable[[list[float]], float] = np.mean) -> dict[str, float]:  # type: ignore[assignment]
        """All of them: the ``middle`` over clips, shares of closed frames and their F1."""
        found = {name: float(middle(values)) for name, values in self.rows.items()}
        closed = self.closures
        return found | {"closed_share": closed.share, "closed_share_measured": closed.measured_share, "closure_f1": closed.f1}


@dataclass(frozen=True)
class Baseline:
    """What a model that hears nothing would predict: mean ``displacement`` from a resting face, or the mean ``face``, (78, 3)."""

    displacement: NDArray[np.float32]
    face: NDArray[np.float32]

    @staticmethod
    def of(clips: list[TrackClip]) -> "Baseline":
        """Over ``clips``, each counted once."""
        faces = resting_faces(clips)
        moved = [c.normalised.mean(0) - relaxed(faces[c.clip.subject]) for c in clips]
        return Baseline(np.mean(moved, axis=0), np.mean([c.normalised.mean(0) for c in clips], axis=0))


def evaluate(
    model: S2L, clips: list[TrackClip], baseline: Baseline | None = None, settings: OutputSettings = NATURAL
) -> dict[str, float]:
    """Figures of what ``animate`` shows, on held-out ``clips``.

    The portrait is the subject's resting face (``resting_faces``: from the subject's own clips, these among them), or, as in the
    benchmark's videos, the clip's first frame, open mouth, grimace and all (``first_``). ``_still`` holds the portrait, ``_mean``
    is the portrait brought to rest + the training set's mean displacement, ``_mean_face`` the training set's mean face.
    Correlations, amplitudes and closures are those of ``first``.
    """
    rows: dict[str, list[float]] = defaultdict(list)
    figures, shuffled = LipFigures(), LipFigures()
    by_emotion: dict[str, LipFigures] = defaultdict(LipFigures)
    resting = resting_faces(clips)
    for i, clip in enumerate(clips):
        reference, speech, emotion = clip.normalised, speech_of(clip, model.config.encoder), clip.clip.emotion
        portraits = (("", resting[clip.clip.subject], NEUTRAL), ("first_", reference[0], emotion))
        for name, portrait, worn in portraits:
            track = predict(model, speech, portrait, emotion, worn, settings)
            still = np.broadcast_to(portrait, reference.shape)
            rows[f"{name}lmd_mouth"].append(mouth_distance(track, reference))
            rows[f"{name}lvd_mouth"].append(mouth_velocity_distance(track, reference))
            rows[f"{name}lmd_mouth_still"].append(mouth_distance(still, reference))
            rows[f"{name}lvd_mouth_still"].append(mouth_velocity_distance(still, reference))
            if baseline is not None:
                moved = np.broadcast_to(relaxed(portrait) + baseline.displacement, reference.shape)
                rows[f"{name}lmd_mouth_mean"].append(mouth_distance(moved, reference))
        if baseline is not None:
            rows["lmd_mouth_mean_face"].append(mouth_distance(np.broadcast_to(baseline.face, reference.shape), reference))
        figures.add(track, reference, clip.speaking)
        by_emotion[_label(emotion)].add(track, reference, clip.speaking)
        other = np.resize(speech_of(clips[i - 1], model.config.encoder), speech.shape)
        shuffled.add(predict(model, other, reference[0], emotion, emotion, settings), reference, clip.speaking)
    found = {name: float(np.mean(values)) for name, values in rows.items()}
    lips = {name: value for name, value in figures.summary().items() if name not in ("lmd_mouth", "lvd_mouth")}
    emotions = {f"closure_f1_{name}": own.closures.f1 for name, own in by_emotion.items() if name}
    chance = {"closure_f1_shuffled": shuffled.closures.f1, "lip_gap_r_shuffled": shuffled.summary()["lip_gap_r"]} if clips else {}
    return found | lips | emotions | chance


def watched(model: S2L, clip: TrackClip) -> dict[str, float]:
    """The two figures of the learning curve: mouth distance and lip-gap correlation from the clip's first frame."""
    figures, emotion = LipFigures(), clip.clip.emotion
    track = predict(model, speech_of(clip, model.config.encoder), clip.normalised[0], emotion, emotion)
    figures.add(track, clip.normalised, clip.speaking)
    return {name: figures.summary()[name] for name in ("lmd_mouth", "lip_gap_r")}


def _label(emotion: NDArray[np.floating]) -> str:
    """The strongest emotion of a mixture; empty where it is unknown or none."""
    return EMOTIONS[int(emotion.argmax())] if emotion_known(emotion) and emotion.any() else ""
