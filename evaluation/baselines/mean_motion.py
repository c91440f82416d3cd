"""The portrait held in the recording's mean expression and head pose: the best that a face can do which does not move.

Distances to the recording's landmarks are least for their mean, so a metric that prefers this to a face that speaks measures
where the face is, not how it moves. An oracle: it looks at the recording.
"""

from itertools import islice

import numpy as np

from evaluation.baselines.drawn import drawn, held
from evaluation.ours import Models
from evaluation.systems import MEAN_MOTION, Assignment, Rendering
from space_data.features import face_track
from space_data.landmarks import PoseTrack
from space_data.media.video import decode_video
from space_models.generators import pose_at
from space_models.portrait import portrait_of_crop


class MeanMotion:
    """Holds the mean of what was recorded."""

    name = MEAN_MOTION.name

    def __init__(self, models: Models) -> None:
        self._models = models

    def render(self, assignment: Assignment) -> Rendering:
        """One expression and one pose for all frames.

        Raises:
            SpaceError: no face in the portrait or the recording.
        """
        portrait = portrait_of_crop(assignment.portrait, assignment.clip_id)
        track = face_track(islice((frame.rgb for frame in decode_video(assignment.recording)), assignment.n_frames))
        pose = pose_at(track.pose, portrait.rgb.shape[0] / assignment.portrait.shape[0])
        mean = PoseTrack.from_array(pose.as_array().mean(axis=0, keepdims=True))
        normalised = np.repeat(track.normalised.mean(axis=0, keepdims=True), assignment.n_frames, 0)
        return drawn(assignment, portrait, normalised, held(mean, assignment.n_frames), self._models)
