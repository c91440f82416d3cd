"""The judges that not every machine has: published weights, or a package that is optional."""

from dataclasses import dataclass
from pathlib import Path

from evaluation import face_descriptor
from evaluation.metrics.entry import JUDGES, Judge
from space_data import weights

WEIGHTS: dict[Judge, str] = {"syncnet": weights.SYNCNET, "lpips": weights.LPIPS, "whisper": weights.WHISPER}
"""Those that are published weights, by their name in `space_data.weights`."""


@dataclass(frozen=True)
class Judges:
    """Verified files of a machine; None where there are none."""

    syncnet: Path | None = None
    identity: Path | None = None
    lpips: Path | None = None
    """the folder of two files"""
    whisper: Path | None = None

    @staticmethod
    def here(folder: Path) -> "Judges":
        """What is installed, and in the ``folder`` of weights.

        Raises:
            SpaceError: a file of the right name but another content.
        """
        found = {name: weights.find(of, folder) for name, of in WEIGHTS.items()}
        return Judges(found["syncnet"], face_descriptor.find(), found["lpips"], found["whisper"])

    def names(self) -> frozenset[Judge]:
        """Those that are here."""
        return frozenset(name for name in JUDGES if getattr(self, name) is not None)

    def hashes(self) -> list[str]:
        """Of the published weights that are here."""
        there = [WEIGHTS[name] for name in sorted(WEIGHTS) if name in self.names()]
        return [file.sha256 for name in there for file in weights.declaration(name).files]

    def absences(self, folder: Path) -> list[str]:
        """A line for each that is absent: what it would measure, and what would bring it into the ``folder``."""
        lines = [weights.absence(of, folder) for name, of in WEIGHTS.items() if name not in self.names()]
        return [*lines, *([face_descriptor.ABSENT] if self.identity is None else [])]
