"""Filmed people as S2L sees and hears them: a video's face and sound on the 25 fps clock, with their offset taken out."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.avsync import LAGS, Scorer, lip_points, mel_frames
from space_data.errors import SpaceError
from space_data.features import speech_track, track_of_meshes
from space_data.landmarks import PoseTrack
from space_data.media.sound import decode_audio
from space_data.speech import log_mel
from space_data.timebase import fit_samples, frames_in, frames_to_samples, nearest_frames, samples_to_frames
from space_models.video_face import follow_face

LARGEST_OFFSET_FRAMES = 8
"""Sound and picture of public clips are often some frames apart; more is looked for nowhere."""
SHORTEST_FRAMES = 38


@dataclass(frozen=True)
class OwnClip:
    """T frames of one face that speaks."""

    name: str
    normalised: NDArray[np.float32]
    """landmarks, (T, 78, 3)"""
    pose: PoseTrack
    interpolated: NDArray[np.bool_]
    """(T,): no face was found"""
    audio: NDArray[np.float32]
    """16 kHz, (640 T,), in time with the picture"""
    speaking: NDArray[np.bool_]
    """(T,)"""
    offset_frames: int
    """that was taken out, + = the sound was late"""

    def __len__(self) -> int:
        return len(self.normalised)


def shipped_scorer() -> Scorer:
    """The audio-visual scorer of the repository: not S2L itself, which would find the offset that suits it."""
    return Scorer.load(Path(str(files("space_data") / "assets" / "sync_scorer.npz")))


def read_own_clip(path: Path, scorer: Scorer) -> OwnClip:
    """Decode, follow the face on the 25 fps clock, find the offset within +-8 frames and take it out.

    Raises:
        SpaceError: no video or no sound in it, no face, or less than 1.5 s of both together.
    """
    meshes, times_s = follow_face(path)
    sound = decode_audio(path)
    n_frames = min(samples_to_frames(len(sound)), frames_in(times_s[-1]) + 1)
    face = track_of_meshes(meshes[nearest_frames(times_s, 0.0, n_frames)])
    curve = scorer.curve(lip_points(face.normalised), mel_frames(log_mel(fit_samples(sound, n_frames))))
    near = np.abs(LAGS) <= LARGEST_OFFSET_FRAMES
    late = int(LAGS[near][curve[near].argmax()])
    first, last = max(0, -late), n_frames - max(0, late)
    if last - first < SHORTEST_FRAMES:
        raise SpaceError(f"{path}: {last - first} frames with sound, need {SHORTEST_FRAMES}")
    audio = fit_samples(sound[frames_to_samples(first + late) : frames_to_samples(last + late)], last - first)
    shown = slice(first, last)
    return OwnClip(
        path.stem, face.normalised[shown], face.pose[shown], face.interpolated[shown], audio,
        speech_track(audio, last - first).speaking, late,
    )  # fmt: skip
