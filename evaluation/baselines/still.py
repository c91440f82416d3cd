"""The portrait, for the whole clip: what a system scores that does nothing. Pixel metrics like it more than they should."""

from itertools import repeat

from evaluation.systems import STILL, Assignment, Rendering


class Still:
    """Repeats the portrait."""

    name = STILL.name

    def render(self, assignment: Assignment) -> Rendering:
        """The portrait, once per frame."""
        return Rendering(repeat(assignment.portrait, assignment.n_frames))
