"""The judges that not every machine has: published weights, or a package that is optional."""

from dataclasses import dataclass
from pathlib import Path

from evaluation import face_descriptor, second_detector
from evaluation.metrics.entry import JUDGES, Judge
from space_data import weights

WEIGHTS: dict[Judge, str] = {"syncnet": weights.SYNCNET, "lpips": weights.LPIPS, "whisper": weights.WHISPER}
"""Those that are published weights, by their name in `space_data.weights`."""

JUDGED: dict[Judge, str] = {"whisper": "A/V score, confidence and offset on the states of Whisper's encoder"}
"""What is measured with weights that are declared for something else, too."""


@dataclass(frozen=True)
class Judges:
    """Verified files of a machine; None where there are none."""

    syncnet: Path | None = None
    identity: Path | None = None
    lpips: Path | None = None
    """the folder of two files"""
    whisper: Path | None = None
    second: Path | None = None
    """the folder, where the settings want a detector"""
    detector: str = "none"
    """which one"""

    @staticmethod
    def here(folder: Path, detector: str = "none") -> "Judges":
        """What is installed, and in the ``folder`` of weights; the second ``detector`` where it is wanted.

        Raises:
            SpaceError: a file of the right name but another content; no weights of a detector that is wanted.
        """
        found = {name: weights.find(of, folder) for name, of in WEIGHTS.items()}
        second = second_detector.find(folder, detector)
        return Judges(found["syncnet"], face_descriptor.find(), found["lpips"], found["whisper"], second, detector)

    def names(self) -> frozenset[Judge]:
        """Those that are here."""
        return frozenset(name for name in JUDGES if getattr(self, name) is not None)

    def files(self) -> list[tuple[str, str]]:
        """Name and SHA-256 of each file of published weights that is used."""
        used = [(WEIGHTS[name], getattr(self, name)) for name in sorted(WEIGHTS) if name in self.names()]
        used += [(name, self.second) for name in second_detector.NETWORKS[self.detector]] if self.second else []
        return [(file.name, file.sha256) for name, found in used for file in weights.declaration(name).behind(found)]

    def hashes(self) -> list[str]:
        """Of those files."""
        return [sha256 for _, sha256 in self.files()]

    def absences(self, folder: Path) -> list[str]:
        """A line for each that is absent: what it would measure, and what would bring it into the ``folder``."""
        lines = [weights.absence(of, folder, JUDGED.get(name, "")) for name, of in WEIGHTS.items() if name not in self.names()]
        lines += [face_descriptor.ABSENT] if self.identity is None else []
        return [*lines, *([second_detector.ABSENT] if self.second is None else [])]
