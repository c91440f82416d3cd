"""The switch of a video conference (SPACE's project page): a person's camera drives the portrait while it is there, the speech
alone when it stops, and the camera again when it comes back.

Both make tracks of the same frames, so that nothing waits and the lips keep their time; between them runs a weight that takes
`FADE_S` from one to the other. No landmark moves faster than the faster of the two and 1.5 / `FADE_S` of their distance; nor does
a face jump that is seen again before it has faded: what it has moved meanwhile is caught up with in `FADE_S`.
Motion of the camera is taken against the person's first `LEARN_S` with a face in them: until then the speech drives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.facemesh import FaceMeshTracker
from space_data.landmarks import PoseTrack, estimate_pose, mesh_to_landmarks, normalise
from space_data.media.video import decode_video
from space_data.timebase import VIDEO_FPS, frame_centre_s, frames_in
from space_models.portrait import Portrait
from space_models.posegen.pose import N_ANGLES, pose_columns
from space_models.retarget import TRANSLATION_SHARE, neutral_of, retarget
from space_models.tracks import Tracks

Array = NDArray[np.float32]

FADE_S, LEARN_S = 0.4, 1.0
MOST_TURN_DEG = 20.0


@dataclass(frozen=True)
class CameraFrame:
    """A face that the camera saw: normalised landmarks (78, 3), and its pose (7,), ``PoseTrack.as_array``."""

    normalised: Array
    pose: Array


class Switch:
    """Mixes tracks of the speech with what the camera sees, frame by frame; parts of any length give the same."""

    def __init__(self, portrait: Portrait) -> None:
        self._portrait = portrait
        self._learning: list[CameraFrame] = []
        self._usual: tuple[Array, PoseTrack, Array] | None = None
        """the person's resting face, usual poses, and their middle (6,)"""
        self._share = 0.0
        """0: speech, 1: camera; runs at a steady pace"""
        self._last: tuple[Array, Array] | None = None
        """landmarks (78, 3) and pose (6,) of the last face that was seen, which is held while the camera fades"""
        self._is_gap, self._ease = False, 0.0
        self._leap = np.zeros((0,), np.float32), np.zeros((0,), np.float32)
        """from the face that comes after a gap to the one that was held; goes within `FADE_S`, as `_ease` runs from 1 to 0"""

    def __call__(self, tracks: Tracks, seen: Sequence[CameraFrame | None]) -> Tracks:
        """``tracks`` of T edited frames, moved towards the T that the camera saw; None: it saw no face, or there is no camera."""
        edited, pose = tracks.edited.copy(), tracks.pose.copy()
        for index, frame in enumerate(seen):
            self._see(frame)
            is_there = frame is not None and self._last is not None
            pace = 1 / (FADE_S * VIDEO_FPS)
            self._share = float(np.clip(self._share + (pace if is_there else -pace), 0.0, 1.0))
            self._ease = max(self._ease - pace, 0.0)
            if self._share > 0 and self._last is not None:
                weight, (face, turn) = _smooth(self._share), self._shown(self._last)
                edited[index] += weight * (face - edited[index])
                pose[index] += weight * (turn - pose[index])
        return replace(tracks, edited=edited, pose=pose)

    def _shown(self, seen: tuple[Array, Array]) -> tuple[Array, Array]:
        """The face that is mixed in: the one `seen` last, or on the way to it after a gap."""
        if not self._ease:
            return seen
        weight = _smooth(self._ease)
        return seen[0] + weight * self._leap[0], seen[1] + weight * self._leap[1]

    def _see(self, frame: CameraFrame | None) -> None:
        if frame is None:
            self._is_gap = True
            return
        if self._usual is None:
            self._learning.append(frame)
            if len(self._learning) < frames_in(LEARN_S):
                return
            poses = PoseTrack.from_array(np.stack([each.pose for each in self._learning]))
            middle = np.median(pose_columns(poses), axis=0)
            self._usual = neutral_of(np.stack([each.normalised for each in self._learning])), poses, middle.astype(np.float32)
            self._learning = []
        neutral, poses, middle = self._usual
        turned = pose_columns(PoseTrack.from_array(frame.pose[None]), poses)[0] - middle
        turned[:N_ANGLES] = np.clip(turned[:N_ANGLES], -MOST_TURN_DEG, MOST_TURN_DEG)
        turned[N_ANGLES:] *= TRANSLATION_SHARE
        face = retarget(frame.normalised[None], neutral, self._portrait.normalised)[0]
        now = face, turned.astype(np.float32)
        if self._is_gap and self._share > 0 and self._last is not None:  # it has not faded out: no jump to where the head is now
            held = self._shown(self._last)
            self._leap, self._ease = (held[0] - now[0], held[1] - now[1]), 1.0
        self._is_gap, self._last = False, now


def _smooth(share: float) -> np.float32:
    """Smoothstep: at most 1.5 times as steep as straight."""
    return np.float32(share**2 * (3 - 2 * share))


def camera_of(video: Path, away_s: Sequence[tuple[float, float]] = ()) -> Iterator[CameraFrame | None]:
    """A video as a camera: what it sees at each frame of the 25 Hz clock, nothing in the spans ``away_s`` and after its end.

    Raises:
        MediaError: no video, or nothing of it decodes.
    """
    number, shown = 0, None
    with FaceMeshTracker() as tracker:
        for frame in decode_video(video):
            while frame_centre_s(number) < frame.pts_s:  # the one before is on screen until this one is there
                yield shown if _is_there(number, away_s) else None
                number += 1
            mesh = tracker(frame.rgb)
            shown = None if mesh is None else camera_frame(mesh)
        yield shown if _is_there(number, away_s) else None
    while True:
        yield None


def _is_there(number: int, away_s: Sequence[tuple[float, float]]) -> bool:
    return not any(begin <= frame_centre_s(number) < end for begin, end in away_s)


def camera_frame(mesh: Array) -> CameraFrame:
    """From the detector's mesh (478, 3) in pixels."""
    pose = estimate_pose(mesh[None])
    return CameraFrame(normalise(mesh_to_landmarks(mesh[None]), pose)[0], pose.as_array()[0])
