"""Timelines: a YAML or JSON file of controls that change over time.

    emotion: [{time_s: 0, happy: 0}, {time_s: 4, happy: 1}]
    blinks:  [{time_s: 1.2}, {time_s: 3, duration_s: 0.5}]
    gaze:    [{time_s: 0}, {time_s: 1, yaw_deg: -20}]

Between two points values run straight; before the first and after the last they are held. What a point does not name is neutral.
"""

import logging
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from space_data.errors import SpaceError, first_problem
from space_data.schema import EMOTIONS
from space_data.timebase import frame_start_s
from space_data.yaml_files import read_yaml
from space_models.controls.blinks import BLINK_RANGE_S, USUAL_BLINK_S
from space_models.controls.gaze import MOST_DEG

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]
Share = Annotated[float, Field(ge=0, le=1)]
EyeAngle = Annotated[float, Field(ge=-MOST_DEG, le=MOST_DEG)]
HeadAngle = Annotated[float, Field(ge=-90, le=90)]
Shift = Annotated[float, Field(ge=-0.3, le=0.3)]
"""IOD"""


class Point(BaseModel):
    """Values at a time."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    time_s: Annotated[float, Field(ge=0)]

    def values(self) -> list[float]:
        """All but the time, in the order of the fields."""
        return [getattr(self, name) for name in type(self).model_fields if name != "time_s"]


class EmotionPoint(Point):
    """Intensity per emotion; the names are ``EMOTIONS`` in their order."""

    neutral: Share = 0
    calm: Share = 0
    happy: Share = 0
    sad: Share = 0
    angry: Share = 0
    fearful: Share = 0
    disgusted: Share = 0
    surprised: Share = 0
    contempt: Share = 0


class Blink(Point):
    """The lids are shut at this time."""

    duration_s: Annotated[float, Field(ge=BLINK_RANGE_S[0], le=BLINK_RANGE_S[1])] = USUAL_BLINK_S


class LidsPoint(Point):
    """How far the lids are closed, beside the blinks."""

    closed: Share = 0


class GazePoint(Point):
    """Direction in the picture."""

    yaw_deg: EyeAngle = 0
    pitch_deg: EyeAngle = 0


class MouthPoint(Point):
    """Of the lips."""

    gain: Annotated[float, Field(ge=0, le=3)] = 1
    closure: Share = 0


class FacePoint(Point):
    """Shifts of groups of landmarks, IOD."""

    brow_up: Shift = 0
    corner_up: Shift = 0
    corner_out: Shift = 0
    jaw_down: Shift = 0


class PosePoint(Point):
    """Added to the head's motion."""

    yaw_deg: HeadAngle = 0
    pitch_deg: HeadAngle = 0
    roll_deg: HeadAngle = 0
    x_iod: Shift = 0
    y_iod: Shift = 0
    scale: Annotated[float, Field(gt=0.5, lt=2)] = 1


class Timeline(BaseModel):
    """Lists of points per control; a control that is not named is left to the flags."""

    model_config = ConfigDict(extra="forbid")
    emotion: tuple[EmotionPoint, ...] | None = None
    blinks: tuple[Blink, ...] | None = None
    lids: tuple[LidsPoint, ...] | None = None
    gaze: tuple[GazePoint, ...] | None = None
    mouth: tuple[MouthPoint, ...] | None = None
    face: tuple[FacePoint, ...] | None = None
    pose: tuple[PosePoint, ...] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Timeline":
        for name in type(self).model_fields:
            times_s = [point.time_s for point in getattr(self, name) or ()]
            if getattr(self, name) == ():
                raise ValueError(f"{name} has no points")
            if any(later <= earlier for earlier, later in zip(times_s, times_s[1:], strict=False)):
                raise ValueError(f"times of {name} must increase, found {times_s}")
        return self

    @property
    def named(self) -> set[str]:
        """The controls in it."""
        return {name for name in type(self).model_fields if getattr(self, name) is not None}

    def warn_beyond(self, n_frames: int) -> None:
        """Say which points lie after the end of the speech."""
        end_s = frame_start_s(n_frames)
        for name in sorted(self.named):
            late = [point.time_s for point in getattr(self, name) if point.time_s > end_s]
            if late:
                logger.warning("timeline: %s at %g s, the speech ends at %.2f s", name, late[0], end_s)


assert list(EmotionPoint.model_fields)[1:] == list(EMOTIONS)


def sampled(points: tuple[Any, ...], n_frames: int) -> Array:
    """The values of ``points`` at the starts of the frames, (n_frames, fields)."""
    times_s = [frame_start_s(i) for i in range(n_frames)]
    at_s, values = [point.time_s for point in points], np.array([point.values() for point in points])
    return np.stack([np.interp(times_s, at_s, column) for column in values.T], 1).astype(np.float32)


def read_timeline(path: Path) -> Timeline:
    """Read and check a timeline.

    Raises:
        SpaceError: no such file, not YAML, or the first thing that is wrong in it.
    """
    try:
        return Timeline.model_validate(read_yaml(path, "a timeline in YAML or JSON (docs/animate.md)"))
    except ValidationError as error:
        raise SpaceError(f"{path}: {first_problem(error)} (docs/animate.md says what a timeline holds)") from error
