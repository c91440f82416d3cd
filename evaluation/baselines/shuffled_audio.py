"""A system that hears another clip's speech: plausible motion, wrong words. What sync metrics must punish."""

from dataclasses import replace

from evaluation.systems import Assignment, Rendering, System
from space_data.errors import SpaceError


class ShuffledAudio:
    """Drives another system with `Assignment.other_speech`."""

    name = "shuffled_audio"

    def __init__(self, system: System) -> None:
        self._system = system

    def render(self, assignment: Assignment) -> Rendering:
        """The other system's rendering of the wrong speech.

        Raises:
            SpaceError: the set has no other clip to take speech from.
        """
        if assignment.other_speech is None:
            raise SpaceError(f"clip {assignment.clip_id}: the only test clip, shuffled_audio needs a second one")
        return self._system.render(replace(assignment, speech=assignment.other_speech))
