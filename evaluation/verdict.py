"""What became of a video on its way to a canonical clip, kept beside it: a unit of work hands it on as a file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.canonical import Canonical, Expected, canonicalise
from evaluation.reasons import NotCanonical


@dataclass(frozen=True)
class Verdict:
    """What became of a video on its way: a canonical clip, or one of `REASONS` with a word on it."""

    reason: str = ""
    detail: str = ""
    canonical: Canonical | None = None

    def save(self, path: Path) -> None:
        """Write as JSON; of the canonical file only its name."""
        path.write_text(json.dumps({**asdict(self), "canonical": self.canonical and _plain(self.canonical)}))

    @staticmethod
    def load(path: Path) -> "Verdict":
        """Inverse of `save`; the canonical file is looked for beside ``path``."""
        facts = json.loads(path.read_text())
        found = facts["canonical"]
        canonical = Canonical(**{**found, "path": path.parent / found["path"]}) if found else None
        return Verdict(facts["reason"], facts["detail"], canonical)


def _plain(canonical: Canonical) -> dict[str, Any]:
    return {**asdict(canonical), "path": canonical.path.name}


def judge(path: Path, expected: Expected, out: Path) -> Verdict:
    """`canonicalise`, with its refusal as a value."""
    try:
        return Verdict(canonical=canonicalise(path, expected, out))
    except NotCanonical as refusal:
        return Verdict(refusal.reason, refusal.detail)
