"""From aligned pictures and sound to what the models see: the one function that training data and ``animate`` share.

A face is followed by the mesh tracker, its head pose removed, and its landmarks kept in normalised space; sound becomes log-mel
and MFCC features, four per video frame. The two halves are exact where they can be: ``posed(normalised, pose)`` gives the
landmarks in pixels back.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space_data.crop import FACE_CENTRE_Y, FACE_SHARE
from space_data.errors import SpaceError
from space_data.facemesh import track_faces
from space_data.landmarks import (
    N_LANDMARKS,
    PoseTrack,
    estimate_pose,
    eye_aspect_ratio,
    gaze,
    mesh_to_landmarks,
    normalise,
    posed,
    template_mesh,
)
from space_data.schema import FeatureFrame
from space_data.speech import cepstra, log_mel, runs, speech_mask
from space_data.timebase import FEATURES_PER_FRAME, features_to_frames, fit_samples

SPEAKING_FEATURES = FEATURES_PER_FRAME // 2
"""A video frame counts as speech when at least half of its 10 ms features do."""


@dataclass(frozen=True)
class FaceTrack:
    """One face over T frames of aligned video."""

    normalised: NDArray[np.float32]
    """(T, 78, 3), IOD, head pose removed"""
    pose: PoseTrack
    """in pixels of the aligned picture"""
    interpolated: NDArray[np.bool_]
    """(T,): no face was found in this frame; landmarks and pose are interpolated in time"""

    def __len__(self) -> int:
        return len(self.interpolated)

    @property
    def landmarks_px(self) -> NDArray[np.float32]:
        """Landmarks in pixels of the aligned picture, (T, 78, 3)."""
        return posed(self.normalised, self.pose)

    @property
    def eye_opening(self) -> NDArray[np.float32]:
        """Eye aspect ratio, (T, 2), image left first."""
        return eye_aspect_ratio(self.normalised)

    @property
    def gaze(self) -> NDArray[np.float32]:
        """Iris position between the eye corners, (T, 2), eye widths, x right, y down."""
        return gaze(self.normalised)


@dataclass(frozen=True)
class SpeechTrack:
    """Speech features of T video frames."""

    log_mel: NDArray[np.float32]
    """(T, 4, 40), natural log of mel power with the floor of ``speech.log_mel``; no mean removed"""
    mfcc: NDArray[np.float32]
    """(T, 4, 13)"""
    speaking: NDArray[np.bool_]
    """(T,): voice activity"""

    def __len__(self) -> int:
        return len(self.speaking)


def face_track(frames: Iterable[NDArray[np.uint8]]) -> FaceTrack:
    """Follow the face through aligned RGB frames (any iterable: they are looked at one by one).

    Raises:
        SpaceError: no frames, or no face in any of them.
    """
    return track_of_meshes(track_faces(frames))


def track_of_meshes(meshes: NDArray[np.floating]) -> FaceTrack:
    """Pose, normalised landmarks and gaps of meshes (T, 478, 3) in pixels; frames without a face are NaN.

    Raises:
        SpaceError: no frames, or no face in any of them.
    """
    pose = estimate_pose(meshes)
    return track_without_gaps(normalise(mesh_to_landmarks(meshes), pose), pose, np.isfinite(meshes).all(axis=(1, 2)))


def track_without_gaps(normalised: NDArray[np.float32], pose: PoseTrack, found: NDArray[np.bool_]) -> FaceTrack:
    """The face track of normalised landmarks (T, 78, 3) and poses, of which those ``found`` (T,) count.

    Lost frames get the pose and the normalised landmarks that lie linearly between their neighbours (before the first and
    after the last face: the nearest one's), which keeps head motion and speech apart also where the face was lost.

    Raises:
        SpaceError: no frames, or no face in any of them.
    """
    if not found.any():
        raise SpaceError(f"face track: no face in any of {len(found)} frames, at least one needed")
    vectors = np.concatenate([pose.as_array(), normalised.reshape(len(found), -1)], axis=1)
    vectors = fill_gaps(vectors, found)
    n_pose = pose.as_array().shape[1]
    return FaceTrack(
        normalised=vectors[:, n_pose:].reshape(-1, N_LANDMARKS, 3),
        pose=PoseTrack.from_array(vectors[:, :n_pose]),
        interpolated=~found,
    )


def fill_gaps(vectors: NDArray[np.float32], found: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Replace the rows of ``vectors`` (T, n) that were not ``found`` (T,) by linear interpolation in time; ends are held."""
    result = np.array(vectors, np.float32)
    for begin, end in runs(~found):
        before, after = begin - 1, end  # found, where they exist: runs are maximal
        if before < 0:
            result[begin:end] = result[after]
        elif after == len(found):
            result[begin:end] = result[before]
        else:
            share = (np.arange(begin, end) - before)[:, None] / (after - before)
            result[begin:end] = (1 - share) * result[before] + share * result[after]
    return result


def speech_track(audio: NDArray[np.float32], n_frames: int) -> SpeechTrack:
    """Speech features of 16 kHz mono ``audio`` (samples,), cut or padded with silence to ``n_frames`` video frames."""
    sound = fit_samples(audio, n_frames)
    speaking = features_to_frames(speech_mask(sound).astype(np.float32)).sum(axis=1) >= SPEAKING_FEATURES
    features = log_mel(sound)
    return SpeechTrack(features_to_frames(features), features_to_frames(cepstra(features)), np.asarray(speaking, bool))


def feature_rows(clip_id: str, face: FaceTrack, speech: SpeechTrack) -> list[FeatureFrame]:
    """Rows of the feature table for one clip.

    Raises:
        SpaceError: face and speech are of different length.
    """
    if len(face) != len(speech):
        raise SpaceError(f"clip {clip_id}: {len(face)} video frames against sound for {len(speech)}, the same number needed")
    pose, eyes, looks = face.pose.as_array(), face.eye_opening, face.gaze
    return [
        FeatureFrame(
            clip_id=clip_id,
            frame=frame,
            interpolated=bool(face.interpolated[frame]),
            normalised=face.normalised[frame].ravel(),
            pose=pose[frame],
            eye_opening_left=float(eyes[frame, 0]),
            eye_opening_right=float(eyes[frame, 1]),
            gaze_x=float(looks[frame, 0]),
            gaze_y=float(looks[frame, 1]),
            log_mel=speech.log_mel[frame].ravel(),
            mfcc=speech.mfcc[frame].ravel(),
            speech=bool(speech.speaking[frame]),
        )
        for frame in range(len(face))
    ]


def canonical_pose(n_frames: int, size_px: int) -> PoseTrack:
    """The pose of tracks without a picture: frontal, the template face placed in ``size_px`` squared as by the crop rule."""
    low, high = template_mesh()[:, :2].min(axis=0), template_mesh()[:, :2].max(axis=0)
    scale = FACE_SHARE * size_px / (high[1] - low[1])
    centre = np.array([0.5 * size_px, FACE_CENTRE_Y * size_px])
    translation = np.append(centre - scale * (low + high) / 2, 0.0).astype(np.float32)
    still = np.zeros(n_frames, np.float32)
    return PoseTrack(still, still, still, np.full(n_frames, scale, np.float32), np.tile(translation, (n_frames, 1)))
