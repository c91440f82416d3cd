"""Units that failed: how often they were tried, and why they are not tried again.

A failed unit leaves ``<key>.failed.json`` beside the kept results. It is tried ``job.attempts`` times, over all runs together;
then it stays failed, with the reason and traceback of its last attempt, until its content, the settings or the code change: these
are its key. To try again earlier, delete the file or raise ``job.attempts``.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from space_data.files import atomic_file

SUFFIX = ".failed.json"


@dataclass(frozen=True)
class Failure:
    """What the last of ``attempts`` came to."""

    unit_id: str
    attempts: int
    reason: str
    detail: str
    threshold: float | None = None


def _file(folder: Path) -> Path:
    return folder.with_name(folder.name + SUFFIX)


def known_failure(folder: Path) -> Failure | None:
    """The failure recorded for the unit whose result would lie in ``folder``, if any."""
    file = _file(folder)
    return Failure(**json.loads(file.read_text())) if file.is_file() else None


def record_failure(folder: Path, answer: dict[str, Any]) -> Failure:
    """Count one more failed attempt; ``answer`` says which unit, and why."""
    before = known_failure(folder)
    failure = Failure(
        answer["unit_id"], 1 + (before.attempts if before else 0), answer["reason"], answer["detail"], answer.get("threshold")
    )
    with atomic_file(_file(folder)) as part:
        part.write_text(json.dumps(asdict(failure), indent=1))
    return failure


def forget_failure(folder: Path) -> None:
    """The unit has succeeded."""
    _file(folder).unlink(missing_ok=True)


def as_answer(failure: Failure) -> dict[str, Any]:
    """The failure of a unit that is not tried again, in the form of a worker's answer."""
    detail = f"quarantined after {failure.attempts} attempts. {failure.detail}"
    return {"unit_id": failure.unit_id, "reason": failure.reason, "detail": detail, "threshold": failure.threshold}
