"""Votes with the names put back: of the server's database, and of the files that raters saved."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evaluation.study.database import Vote, Votes
from evaluation.study.manifest import FORMAT, RECORDING, Answer, Catch, Study, StudyFolder, Trial
from space_data.errors import SpaceError, first_problem

FIRST_WINS, TIE, SECOND_WINS = 1.0, 0.5, 0.0


@dataclass(frozen=True)
class Judgement:
    """One vote: between ``first`` and ``second`` (in the order of the study's pair; of a catch, the recording first)."""

    rater: str
    list_number: int
    trial: str
    question: str
    clip: str
    catch: Catch | None
    first: str
    second: str
    score: float
    """of ``first``: 1 preferred, 0.5 no difference, 0 the other preferred"""
    answer: Answer
    """as the rater gave it: a is on the left"""
    seconds: float
    plays: int


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SavedAnswer(_Strict):
    """An answer in a saved file."""

    trial: str
    question: str
    answer: Answer
    seconds: Annotated[float, Field(ge=0)]
    plays: Annotated[int, Field(ge=0)]


class SavedAnswers(_Strict):
    """The file that the page saves."""

    format: Literal[1] = FORMAT
    study: str
    rater: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    list: Annotated[int, Field(ge=0)]
    answers: tuple[SavedAnswer, ...]


def collected(folder: StudyFolder, study: Study, files: Sequence[Path]) -> list[Judgement]:
    """Every vote of the database, if there is one, and of ``files``, each once, sorted by rater, trial and question.

    Raises:
        SpaceError: a file that is not of this study, a rater with two lists, or two different answers to one question.
    """
    votes: dict[tuple[str, str, str], Vote] = {}
    lists: dict[str, int] = {}
    if folder.votes.is_file():
        database = Votes(folder.votes, study)
        _merge(str(folder.votes), database.all(), database.lists(), votes, lists)
        database.close()
    for path in files:
        saved = _read(path, study)
        own = [Vote(saved.rater, a.trial, a.question, a.answer, a.seconds, a.plays) for a in saved.answers]
        _merge(str(path), own, {saved.rater: saved.list}, votes, lists)
    trials = [{trial.id: trial for trial in one.trials} for one in study.lists]
    found = []
    for key in sorted(votes):
        vote = votes[key]
        number = lists[vote.rater]
        trial = trials[number].get(vote.trial)
        if trial is None or vote.question not in study.lists[number].questions:
            raise SpaceError(f"rater {vote.rater}: answer to trial {vote.trial}, {vote.question}, not in list {number + 1}")
        found.append(_judgement(study, vote, number, trial))
    return found


def _merge(
    source: str, new: Iterable[Vote], new_lists: dict[str, int], votes: dict[tuple[str, str, str], Vote], lists: dict[str, int]
) -> None:
    for rater, number in new_lists.items():
        if lists.setdefault(rater, number) != number:
            raise SpaceError(f"{source}: rater {rater} on list {number + 1}, elsewhere on list {lists[rater] + 1}")
    for vote in new:
        known = votes.setdefault((vote.rater, vote.trial, vote.question), vote)
        if known.answer != vote.answer:
            raise SpaceError(
                f"{source}: rater {vote.rater}, trial {vote.trial}, {vote.question}: {vote.answer!r}, elsewhere {known.answer!r}"
            )


def _read(path: Path, study: Study) -> SavedAnswers:
    try:
        saved = SavedAnswers.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SpaceError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise SpaceError(f"{path}: not a file of answers ({first_problem(error)})") from error
    if saved.study != study.study_id:
        raise SpaceError(f"{path}: answers to study {saved.study}, need {study.study_id}")
    if saved.list >= len(study.lists):
        raise SpaceError(f"{path}: list {saved.list + 1}, need one of 1 to {len(study.lists)}")
    return saved


def _judgement(study: Study, vote: Vote, number: int, trial: Trial) -> Judgement:
    pairs: tuple[tuple[str, str], ...] = study.pairs if trial.catch is None else ((RECORDING, trial.catch),)
    first, second = next(pair for pair in pairs if set(pair) == {trial.left, trial.right})
    wins = "a" if trial.left == first else "b"
    score = TIE if vote.answer == "tie" else FIRST_WINS if vote.answer == wins else SECOND_WINS
    return Judgement(
        rater=vote.rater, list_number=number, trial=trial.id, question=vote.question, clip=trial.clip, catch=trial.catch,
        first=first, second=second, score=score, answer=vote.answer, seconds=vote.seconds, plays=vote.plays,
    )  # fmt: skip
