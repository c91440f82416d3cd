"""What two audits' comparison looks like: as text, as a CSV file, as a page."""

import pyarrow as pa
import pyarrow.compute as pc

from evaluation.blocks import Bar, Bars, Cell, Column, Note, Segment, Stat, Table, Tone
from evaluation.html import Page
from pipelines.audit.diff import CAUSE_WORDS, KINDS, Changes, Run
from pipelines.job.reasons import REASONS

SHOWN_ROWS = 2000
"""Of the page."""


def explanation(row: dict[str, object]) -> str:
    """One line of the printed list: what came or went, with value and bound on both sides."""
    parts = [f"{row['state_a'] or 'absent'} -> {row['state_b'] or 'absent'}"]
    if row["reason"]:
        parts.append(f"{row['reason']} {row['went']} ({_pair(row, 'value')}{_pair(row, 'bound')})".replace(" ()", ""))
    if row["cause"]:
        parts.append(f"differs: {row['cause']}")
    return "; ".join(parts)


def _pair(row: dict[str, object], name: str) -> str:
    numbers = [row[f"{name}_{side}"] for side in "ab"]
    if all(number is None for number in numbers):
        return ""
    shown = " -> ".join("?" if number is None else f"{number:.4g}" for number in numbers)
    known = {number for number in numbers if number is not None}
    text = f"{numbers[0]:.4g}" if None not in numbers and len(known) == 1 else shown
    return f"{', ' if name == 'bound' else ''}{name} {text}"


def summary(changes: Changes, most: int) -> str:
    """The comparison as text: counts by kind, then the first ``most`` changes."""
    lines = [f"{changes.units[0]:,} clips and segments in A, {changes.units[1]:,} in B"]
    lines += [f"{n:>9,}  {kind}: {KINDS[kind]}" for kind, n in changes.kinds.items() if n]
    lines.append(unchanged_line(changes))
    lines += [f"{row['clip_id']}: {explanation(row)}" for row in changes.rows.slice(0, most).to_pylist()]
    left = changes.rows.num_rows - most
    return "\n".join([*lines, f"... and {left:,} more (--csv FILE writes all)"] if left > 0 else lines)


def diff_page(a: Run, b: Run, changes: Changes) -> Page:
    """The comparison as a page; at most ``SHOWN_ROWS`` rows of it."""
    page = Page("Two audits compared", f"A: {a.name}   B: {b.name}")
    tones: dict[str, Tone] = dict(zip(KINDS, ("good", "warn", "quiet", "accent", "bad"), strict=True))  # type: ignore[arg-type]
    page.stats = [Stat(kind, f"{n:,}", KINDS[kind], tones[kind]) for kind, n in changes.kinds.items()]
    section = page.section("Reasons that came or went", "Over the clips that are in both runs and whose state changed.")
    shared = changes.rows.filter(pc.invert(pc.is_in(changes.rows.column("kind"), pa.array(["new", "gone"]))))
    counts = pc.value_counts(pc.binary_join_element_wise(shared.column("reason"), shared.column("went"), " ")).to_pylist()
    bars = [
        Bar(e["values"], [Segment(e["counts"], "warn" if e["values"].endswith("came") else "good")], f"{e['counts']:,}",
            REASONS.get(e["values"].split(" ")[0], ""))
        for e in sorted(counts, key=lambda e: -e["counts"]) if e["values"].strip()
    ]  # fmt: skip
    section.add(Bars(bars, legend=[("came", "warn"), ("went", "good")]) if bars else Note("None."))
    section.add(Note(unchanged_line(changes)))
    shown = changes.rows.slice(0, SHOWN_ROWS)
    section = page.section("Clips", f"{shown.num_rows:,} of {changes.rows.num_rows:,} rows; the CSV file has all.")
    columns = [
        Column("clip", "code"), Column("change", "badge"), Column("A"), Column("B"), Column("reason"),
        Column("", help="came or went"), Column("value A", "number"), Column("value B", "number"),
        Column("bound A", "number"), Column("bound B", "number"),
        Column("what differs"),
    ]  # fmt: skip
    rows = [[r["clip_id"], Cell(r["kind"], tone=tones[r["kind"]]), *list(r.values())[2:]] for r in shown.to_pylist()]
    section.add(Table(columns, rows, searchable=True))
    return page


def unchanged_line(changes: Changes) -> str:
    """How many clips stayed as they are, and in how many of those the evidence moved all the same."""
    moved = ", ".join(f"{CAUSE_WORDS[cause]} in {n:,}" for cause, n in changes.moved.items() if n)
    also = f"; of these differ {moved}" if moved else ""
    only = f" Only one of the runs has {', '.join(changes.left_out)}: not compared." if changes.left_out else ""
    return f"{changes.same:,} clips are in the same state for the same reasons{also}.{only}"
