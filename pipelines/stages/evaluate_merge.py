"""The rows of one identity: what was measured of every system on its clips, the scores that follow, and their means.

The second half of stage ``evaluate`` runs a unit per identity: whatever a figure of one needs is there, so the driver gets a row
per system, metric and identity, and never sees a clip's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from evaluation.aggregate import identity_means, scores_of
from evaluation.metrics import catalogue
from evaluation.metrics.entry import Judge
from evaluation.score_clip import OK, failed_clip
from space_data.params import Evaluate
from space_data.schema import ClipStatistic, IdentityMean, LedgerRow, Score, TraceFrame, arrow_schema
from space_data.tables import in_order, read_arrow, read_table, write_arrow, write_table

STATISTICS, TRACES, SCORES, MEANS = "statistics", "traces", "scores", "identities"
TABLES: dict[str, type] = {STATISTICS: ClipStatistic, TRACES: TraceFrame, SCORES: Score, MEANS: IdentityMean}
SUFFIX = ".arrow"


@dataclass(frozen=True)
class Scored:
    """One system on one clip: the folder with its rows, or why there are none."""

    system: str
    clip_id: str
    subject: str
    folder: str = ""
    status: str = OK
    detail: str = ""


@dataclass(frozen=True)
class Identity:
    """What a worker needs to merge all that was measured of one identity."""

    scored: tuple[Scored, ...]
    ledger: tuple[LedgerRow, ...]
    judges: tuple[Judge, ...]
    size_px: int


def merge_identity(unit: Identity, settings: Evaluate, folder: Path) -> None:
    """Unit function: ``statistics``, ``traces``, ``scores``, ``identities`` and the ledger of one identity."""
    rows = [row for one in unit.scored for row in statistics_of(one, unit.judges)]
    metrics = catalogue(unit.size_px, settings, unit.judges)
    scores = scores_of(rows, metrics)
    write_table(folder / f"{STATISTICS}{SUFFIX}", rows, ClipStatistic)
    write_table(folder / f"{SCORES}{SUFFIX}", scores, Score)
    write_table(folder / f"{MEANS}{SUFFIX}", identity_means(scores, metrics), IdentityMean)
    write_arrow(folder / f"{TRACES}{SUFFIX}", _traces(unit.scored))
    write_table(folder / f"ledger{SUFFIX}", unit.ledger, LedgerRow)


def statistics_of(one: Scored, judges: Sequence[Judge]) -> list[ClipStatistic]:
    """The statistics that were measured; of a failure rows that say so."""
    if not one.folder:
        return failed_clip(one.system, one.clip_id, one.subject, one.status, one.detail, judges)
    return read_table(Path(one.folder) / f"{STATISTICS}{SUFFIX}", ClipStatistic)


def _traces(scored: Sequence[Scored]) -> pa.Table:
    """A row per frame: columns, for as objects they would take ten times the memory."""
    found = [read_arrow(Path(one.folder) / f"{TRACES}{SUFFIX}", TraceFrame) for one in scored if one.folder]
    return in_order(pa.concat_tables([arrow_schema(TraceFrame).empty_table(), *found]), "system", "clip_id", "frame")
