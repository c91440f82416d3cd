"""Controls that drive a system with other sound than the clip's: plausible motion, wrong words or a wrong time.

What metrics of lip sync must punish (``mismatched_audio``), and must find the size and sign of (``shifted_audio``).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluation.systems import SHIFT_FRAMES, Assignment, Rendering, System
from space_data.timebase import frames_to_samples

Sound = NDArray[np.float32]


def mismatched(assignment: Assignment) -> Sound:
    """Sound (samples,) in which something else is said."""
    return assignment.mismatched_speech


def shifted(assignment: Assignment) -> Sound:
    """The clip's sound (samples,), `SHIFT_FRAMES` late, of the same length: silence first, its end is lost."""
    delay = min(frames_to_samples(SHIFT_FRAMES), len(assignment.speech))
    return np.concatenate([np.zeros(delay, np.float32), assignment.speech[: len(assignment.speech) - delay]])


class DrivenBy:
    """Another system, under another name, hearing what ``sound`` makes of its assignment."""

    def __init__(self, name: str, system: System, sound: Callable[[Assignment], Sound]) -> None:
        self.name = name
        self._system, self._sound = system, sound

    def render(self, assignment: Assignment) -> Rendering:
        """The system's rendering of the other sound."""
        return self._system.render(replace(assignment, speech=self._sound(assignment)))
