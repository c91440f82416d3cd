"""The ablations of Landmarks2Latents as a table: errors of each variant, and paired differences from the full model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from evaluation.blocks import Cell, Column, Table, Tone
from evaluation.statistics import compare, summarise
from space_data.files import atomic_file
from space_models.l2l.metrics import ON_S2L, OTHER_TAKE, TRACKED, ClipError

FULL = "full"
DIGITS = 3
CONDITIONS = {
    TRACKED: "tracked landmarks, portrait = first frame",
    OTHER_TAKE: "tracked landmarks, portrait of another take",
    ON_S2L: "S2L's landmarks (in use), portrait = first frame",
}
WORSE, BETTER, UNCLEAR = "worse than full", "better than full", "does not show"
TONES: dict[str, Tone] = {WORSE: "good", BETTER: "warn", UNCLEAR: "quiet", "": "plain"}


SeedErrors = list[list[ClipError]]
"""Errors of the same clips by models that differ in their seed alone."""


@dataclass(frozen=True)
class Row:
    """One system under one condition: mean error, and its paired difference from the full model (+ = worse) with an interval."""

    system: str
    condition: str
    error: float
    difference: float | None
    low: float | None
    high: float | None
    clips: int
    identities: int
    seed_errors: Sequence[float]
    """mean error of each seed's model"""

    @property
    def verdict(self) -> str:
        """What the interval says, as it is printed: what begins behind the last digit does not show."""
        if self.low is None or self.high is None:
            return ""
        if round(self.low, DIGITS) > 0:
            return WORSE
        return BETTER if round(self.high, DIGITS) < 0 else UNCLEAR


def over_seeds(errors: SeedErrors) -> list[ClipError]:
    """Each clip's mean error over seeds."""
    rows = []
    for same in zip(*errors, strict=True):
        assert len({(e.clip_id, e.condition) for e in same}) == 1, "all seeds are judged on the same clips in the same order"
        rows.append(replace(same[0], error=float(np.mean([e.error for e in same]))))
    return rows


def rows_of(errors: Mapping[str, SeedErrors], draws: int, seed: int) -> list[Row]:
    """The table: systems in the order in which they stand, under each condition; ``errors`` has one of `FULL`.

    A clip's error is the mean over seeds; intervals are over identities, and know nothing of seeds: `Row.seed_errors` does.
    """
    full = {(e.clip_id, e.condition): e.error for e in over_seeds(errors[FULL])}
    rows = []
    for condition in dict.fromkeys(e.condition for e in errors[FULL][0]):
        for system, of_system in errors.items():
            own = [e for e in over_seeds(of_system) if e.condition == condition]
            by_seed = [float(np.mean([e.error for e in one if e.condition == condition])) for one in of_system]
            values, subjects = [e.error for e in own], [e.subject for e in own]
            mean = summarise(values, subjects)
            assert mean.mean is not None
            base = [full[e.clip_id, condition] for e in own]
            d = compare(values, base, subjects, draws, seed).difference if system != FULL else None
            low, high, difference = (d.low, d.high, d.mean) if d else (None, None, None)
            rows.append(Row(system, condition, mean.mean, difference, low, high, mean.n_ok, mean.n_identities, by_seed))
    return rows


def interval(row: Row) -> str:
    """A difference with its interval, as text."""
    if row.difference is None or row.low is None or row.high is None:
        return ""
    return f"{row.difference:+.{DIGITS}f} [{row.low:+.{DIGITS}f}, {row.high:+.{DIGITS}f}]"


def seed_range(row: Row) -> str:
    """Least and largest mean error of the seeds, as text; empty where they do not differ."""
    low, high = (f"{end:.{DIGITS}f}" for end in (min(row.seed_errors), max(row.seed_errors)))
    return "" if low == high else f"{low}-{high}"


def write_rows(path: Path, rows: Sequence[Row], command: str) -> None:
    """Write the table as JSON."""
    with atomic_file(path) as part:
        part.write_text(json.dumps({"command": command, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def read_rows(path: Path) -> list[Row]:
    """What `write_rows` wrote."""
    return [Row(**row) for row in json.loads(path.read_text())["rows"]]


def ablation_table(generator: str, rows: Sequence[Row]) -> Table:
    """For the benchmark page."""
    cells: list[list[Cell | str]] = []
    for r in rows:
        error, verdict = Cell(r.error, f"{r.error:.{DIGITS}f}"), Cell(r.verdict, tone=TONES[r.verdict])
        cells.append([CONDITIONS[r.condition], r.system, error, seed_range(r), interval(r), verdict])
    labels = ("driven by", "L2L", "error", "seeds", "against full", "95 % interval says")
    columns = [Column(label, "number") if label == "error" else Column(label) for label in labels]
    n = rows[0]
    seeds = f"mean of {len(n.seed_errors)} seeds, " if len(n.seed_errors) > 1 else ""
    caption = (
        f"{generator}: latent error in s.d., weighted by what each latent shows (a still face: about 1), {seeds}{n.clips} test "
        f"clips of {n.identities} identities; lower is better. Differences are paired by clip, intervals resample identities."
    )
    return Table(columns, cells, caption)
