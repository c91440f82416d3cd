"""What a study is, on disk.

    STUDY/study.json      the researcher's half: names, key, lists, rule; raters never get it
    STUDY/page/           all that raters get: index.html and media/
    STUDY/votes.sqlite    what `space study serve` received
    STUDY/analysis/       what `space study analyse` made
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from space_data.errors import SpaceError, first_problem
from space_data.files import atomic_file

Answer = Literal["a", "b", "tie"]
"""A stands on the left (above, where wide videos meet a narrow screen), B on the right."""
Catch = Literal["frozen", "mismatched"]
Share = Annotated[float, Field(ge=0, le=1)]
FORMAT: Final = 1
RECORDING = "the recording"
"""The better side of a catch trial."""
FROZEN: Final = "frozen"
MISMATCHED: Final = "mismatched"
CATCHES: tuple[Catch, ...] = (MISMATCHED, FROZEN)
"""The worse side: the recording's pictures from last to first, whose lips say something else, or its first picture alone."""


class Frozen(BaseModel):
    """A part of a study: no unknown keys, no changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(Frozen):
    """What is asked about a pair. ``catches``: the catch trials in which the recording is the only right answer to it."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    text: Annotated[str, Field(min_length=1)]
    catches: tuple[Catch, ...] = ()


class Rule(Frozen):
    """Whose votes count, stated when the study is built: who did less is left out of the main figures, and named."""

    least_catch_share: Share
    """of the catch answers, right"""
    least_answered_share: Share
    """of the list's answers, given"""


class Trial(Frozen):
    """One pair on one clip, as one rater sees it. ``left`` and ``right`` are systems; of a catch, ``RECORDING`` and its kind."""

    id: str
    media: str
    is_swapped: bool
    """the file's right half stands on the left"""
    left: str
    right: str
    clip: str
    catch: Catch | None

    @property
    def right_answer(self) -> Answer:
        """Of a catch trial."""
        return "a" if self.left == RECORDING else "b"


class RaterList(Frozen):
    """What one rater is asked: ``questions`` in the order of each trial."""

    questions: tuple[str, ...]
    trials: tuple[Trial, ...]


class Texts(Frozen):
    """What raters read before they begin."""

    title: Annotated[str, Field(min_length=1)]
    contact: str
    consent: tuple[str, ...]
    """paragraphs"""


class Study(Frozen):
    """The whole of a study."""

    format: Literal[1] = FORMAT
    study_id: str
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    seed: int
    texts: Texts
    systems: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    clips: tuple[str, ...]
    left_out: Mapping[str, str]
    """clips that some system lacks, and which"""
    questions: tuple[Question, ...]
    rule: Rule
    lists: tuple[RaterList, ...]


@dataclass(frozen=True)
class StudyFolder:
    """Where a study's files lie."""

    root: Path

    @property
    def manifest(self) -> Path:
        """The researcher's half."""
        return self.root / "study.json"

    @property
    def page(self) -> Path:
        """All that raters get."""
        return self.root / "page"

    @property
    def media(self) -> Path:
        """The pairs' videos."""
        return self.page / "media"

    @property
    def votes(self) -> Path:
        """The database of the server."""
        return self.root / "votes.sqlite"

    def read(self) -> Study:
        """The study.

        Raises:
            SpaceError: there is none, or it is not one.
        """
        if not self.manifest.is_file():
            raise SpaceError(f"{self.root}: no study here (need study.json, which `space study build` makes)")
        try:
            return Study.model_validate_json(self.manifest.read_bytes())
        except ValidationError as error:
            raise SpaceError(f"{self.manifest}: {first_problem(error)}") from error

    def write(self, study: Study) -> None:
        """Write ``study.json``, atomically."""
        with atomic_file(self.manifest) as part:
            part.write_text(study.model_dump_json(indent=1), encoding="utf-8")


def blind_name(key: str, *parts: str) -> str:
    """A name that says nothing to who lacks ``key``: HMAC-SHA-256 of ``parts``, 128 bits of it as hexadecimal."""
    return hmac.new(bytes.fromhex(key), "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:32]
