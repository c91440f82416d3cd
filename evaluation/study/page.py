"""The page that raters get: one HTML file that opens from a disk or from the server, and what it may know.

It holds the lists of all raters, for a page on a disk cannot ask anybody for its own; of a trial it knows an id, a file and which
half stands left. It does not know which trials are catches.
"""

import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import evaluation
from evaluation.blocks import script_safe
from evaluation.study.manifest import FORMAT, Study
from space_data.files import atomic_file

FOLDERS = [Path(__file__).resolve().parent / "templates", Path(evaluation.__path__[0]) / "templates"]


def public_plan(study: Study) -> dict[str, Any]:
    """What raters' browsers may know."""
    return {
        "format": FORMAT,
        "study": study.study_id,
        "questions": {question.id: question.text for question in study.questions},
        "lists": [
            {
                "questions": one.questions,
                "trials": [{"id": trial.id, "media": trial.media, "swapped": trial.is_swapped} for trial in one.trials],
            }
            for one in study.lists
        ],
    }


def write_page(folder: Path, study: Study) -> None:
    """Write ``folder/index.html``; its media are ``folder/media``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDERS), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    plan = Markup(script_safe(json.dumps(public_plan(study))))
    judgements = len(study.lists[0].trials) * len(study.questions)
    html = environment.get_template("study.html").render(
        texts=study.texts, plan=plan, n_lists=len(study.lists), n_trials=len(study.lists[0].trials),
        n_questions=len(study.questions), n_judgements=judgements,
    )  # fmt: skip
    with atomic_file(folder / "index.html") as part:
        part.write_text(html, encoding="utf-8")
