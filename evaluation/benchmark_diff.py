"""What differs between two benchmarks: figures of `results.json` side by side, and whether they are of the same clips."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.table import Table

from evaluation.results import VERSION, Results
from space_data.errors import SpaceError, first_problem

RESULTS = "results.json"


@dataclass(frozen=True)
class Difference:
    """One figure of both; None where a benchmark has none."""

    system: str
    metric: str
    before: float | None
    after: float | None
    outside: bool
    """the new figure lies outside the old one's interval"""


def read_results(path: Path) -> dict[str, Any]:
    """A ``results.json``, or the one in a folder.

    Raises:
        SpaceError: there is none, or of another version, or one that is not as `Results` says.
    """
    file = path / RESULTS if path.is_dir() else path
    try:
        found = json.loads(file.read_text())
    except OSError as error:
        raise SpaceError(f"{file}: cannot be read ({error.strerror}; `space benchmark report` writes it)") from error
    except ValueError as error:
        raise SpaceError(f"{file}: no results of a benchmark ({error})") from error
    version = found.get("version") if isinstance(found, dict) else None
    if version != VERSION:
        raise SpaceError(f"{file}: results of version {version!r}, need {VERSION} (made by another release?)")
    try:
        Results.model_validate(found)
    except ValidationError as error:
        raise SpaceError(f"{file}: no results of a benchmark ({first_problem(error)})") from error
    return found


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Figures that differ or that one of the two lacks, in the order of the second's tables, then the first's."""
    old, new = ({(row["system"], row["metric"]): row for row in one["figures"]} for one in (before, after))
    found = []
    for key in [*new, *(key for key in old if key not in new)]:
        one, other = (rows.get(key) or {} for rows in (old, new))
        if one.get("mean") != other.get("mean") or not one or not other:
            low, high, mean = one.get("low"), one.get("high"), other.get("mean")
            outside = low is not None and high is not None and mean is not None and not low <= mean <= high
            found.append(Difference(*key, one.get("mean"), mean, outside))
    return found


def notes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What makes figures incomparable: other clips, another protocol of a metric."""
    said = []
    first, second = set(before["clips"]), set(after["clips"])
    if first != second:
        counts = len(first & second), len(first - second), len(second - first)
        said.append("other clips: {} common, {} only before, {} only after".format(*counts))
    lists = [one["provenance"].get("test list") for one in (before, after)]
    if lists[0] != lists[1]:
        said.append(f"test list: {lists[0]} before, {lists[1]} after")
    protocols = [{m["id"].split("/")[0]: m["id"] for m in one["metrics"]} for one in (before, after)]
    changed = sorted(name for name in protocols[0].keys() & protocols[1].keys() if protocols[0][name] != protocols[1][name])
    said += [f"another protocol: {protocols[0][name]} before, {protocols[1][name]} after" for name in changed]
    return said


def as_table(found: Sequence[Difference]) -> Table:
    """For the terminal."""
    table = Table("system", "metric", "before", "after", "change", "beyond the interval")
    for one in found:
        figures = ["–" if value is None else f"{value:.4f}" for value in (one.before, one.after)]
        change = "" if one.before is None or one.after is None else f"{one.after - one.before:+.4f}"
        table.add_row(one.system, one.metric, *figures, change, "yes" if one.outside else "")
    return table
