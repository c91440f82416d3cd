"""The benchmark page's section on how much seeds differ."""

from collections.abc import Sequence

from evaluation.blocks import Block, Cell, Column, Note, Table
from evaluation.diversity import METRICS
from space_data.schema import Aggregate

SAID = (
    "The same clip with other seeds, beside the same person in other recordings: how far two takes are apart, frame by frame. "
    "No rank and no mark: neither more nor less is better than the recordings'."
)


def diversity_blocks(rows: Sequence[Aggregate]) -> list[Block]:
    """A row per metric: ours, the recordings, on how many clips and identities."""
    by_id = {row.metric: row for row in rows}
    lines: list[list[Cell | str | float | int | None]] = []
    for metric in METRICS:
        row = by_id.get(metric.metric_id)
        if row is None or row.mean is None:
            continue
        interval = f" [{row.low:.{metric.digits}f}, {row.high:.{metric.digits}f}]" if row.low is not None else ""
        ours = Cell(row.mean, f"{row.mean:.{metric.digits}f}{interval}")
        recorded = "-" if row.recording is None else f"{row.recording:.{metric.digits}f}"
        lines.append([f"{metric.title}, {metric.unit}", ours, recorded, f"{row.n_ok} of {row.n_total}", row.n_identities])
    if not lines:
        return [Note("Not measured: no test clip could be made with a second seed.", "warn")]
    columns = [
        Column("spread of"), Column("ours, between seeds"), Column("a person, between recordings"), Column("clips"),
        Column("identities"),
    ]  # fmt: skip
    ids = ", ".join(metric.metric_id for metric in METRICS)
    said = "root mean square difference between two takes, frame by frame, over all pairs of takes."
    return [Table(columns, lines), Note(f"{ids}: {said} {METRICS[0].departures} {METRICS[0].source}")]
