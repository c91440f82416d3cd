"""How controls that make landmarks of their own become pictures: drawn by the renderer that needs no trained model."""

import numpy as np
from numpy.typing import NDArray

from evaluation.ours import Models
from evaluation.systems import Assignment, Rendering
from space_data.landmarks import PoseTrack
from space_models.animate import COMMENT, render
from space_models.generators import DEFAULT_RENDERER, Driving
from space_models.portrait import Portrait
from space_models.speech_file import speech_features


def drawn(
    assignment: Assignment, portrait: Portrait, normalised: NDArray[np.float32], pose: PoseTrack, models: Models
) -> Rendering:
    """The portrait with landmarks ``normalised`` (T, 78, 3) in ``pose``, T rows in pixels of the portrait's crop."""
    driving = Driving(normalised, pose, speech_features(assignment.speech).features, assignment.emotion)
    frames = render(DEFAULT_RENDERER, portrait, driving, models.params, models.folder)
    return Rendering(frames, normalised, pose, COMMENT)


def held(pose: PoseTrack, n_frames: int) -> PoseTrack:
    """A pose of one row for ``n_frames``."""
    return PoseTrack.from_array(np.repeat(pose.as_array(), n_frames, 0))
