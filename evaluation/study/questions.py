"""What raters are asked, and in which order.

The questions of a trial come one after the other, each shown before its own presentation of the pair, and attributes come
before the overall judgement, in an order that rotates over raters: so ITU-T Rec. P.835 (11/2003) has speech, background and
overall quality judged, that listeners attend to one thing at a time. The GENEA challenges keep their aspects apart for the same
reason, in studies of their own (Kucherenko et al., ACM Transactions on Graphics, 2024, arXiv 2303.08737); build with one question
to do as they do.
"""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evaluation.study.manifest import FROZEN, MISMATCHED, Question
from space_data.errors import SpaceError, first_problem
from space_data.yaml_files import read_yaml

QUESTIONS = (
    Question(id="lip_sync", text="In which video do the lips fit the speech better?", catches=(MISMATCHED, FROZEN)),
    Question(id="head_motion", text="In which video does the head move more naturally?", catches=(FROZEN,)),
    Question(id="expression", text="In which video does the face express better what is said?"),
    Question(id="preference", text="Which video do you prefer, all in all?", catches=(FROZEN,)),
)
"""The default: three attributes, and the overall judgement last."""


def chosen_questions(choice: str) -> tuple[Question, ...]:
    """Questions named by ``choice``: ids of ``QUESTIONS`` joined by commas, or a YAML file of such entries; empty: all.

    Raises:
        SpaceError: an unknown id, an id twice, or a file that holds no such list.
    """
    if not choice:
        return QUESTIONS
    if choice.endswith((".yaml", ".yml")):
        found = _read(Path(choice))
    else:
        known = {question.id: question for question in QUESTIONS}
        unknown = [name for name in choice.split(",") if name not in known]
        if unknown:
            raise SpaceError(f"questions: unknown {unknown[0]!r}, need some of {', '.join(known)}, or a .yaml file")
        found = tuple(known[name] for name in choice.split(","))
    ids = [question.id for question in found]
    if len(set(ids)) < len(ids) or not ids:
        raise SpaceError(f"questions: {', '.join(ids) or 'none'}, need one or more, each once")
    return found


def _read(path: Path) -> tuple[Question, ...]:
    try:
        return TypeAdapter(tuple[Question, ...]).validate_python(read_yaml(path, "questions (docs/study.md)"))
    except ValidationError as error:
        raise SpaceError(f"{path}: {first_problem(error)} (need a list of entries with id, text and, if any, catches)") from error


def order_for(rater: int, questions: tuple[Question, ...]) -> tuple[str, ...]:
    """Ids in the order for one rater: all but the last rotated by the rater's number, the last stays last."""
    *attributes, overall = [question.id for question in questions]
    turn = rater % max(1, len(attributes))
    return (*attributes[turn:], *attributes[:turn], overall)
