"""Is the default corpus curated as it was planted? ``python -m benchmarks.planted``, after ``dvc repro filter``.

Every clean clip has to be kept, every spoilt one to be kept or not as the manifest says, a hard cut to be cut there; what is kept
has to have the planted offset. Prints a row per spoilt clip with its reasons and its offset in frames (+ = audio late), and ends
with status 1 where something was decided otherwise.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.layout import Layout
from pipelines.readers.synthetic import DATASET
from space_data.schema import Decision
from space_data.tables import read_table

CUT = "hard_cut"
NEAR_FRAMES = 0.5
"""So near an offset has to be found."""


def as_planted(row: dict[str, str], segments: list[Decision]) -> bool:
    """Whether the segments of a clip were decided as its row of the manifest says; no segments: it was not readable."""
    kept = [segment.status == "kept" for segment in segments]
    if row["defect"] == CUT:
        return len(kept) > 1
    if row["keep"] == "no":
        return not any(kept)
    return kept == [True] and abs(segments[0].offset_frames - float(row["planted_offset_frames"])) < NEAR_FRAMES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    layout = Layout.in_folder(parser.parse_args().data)
    with (layout.corpus / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    segments: defaultdict[str, list[Decision]] = defaultdict(list)
    for decision in read_table(layout.decisions, Decision):
        segments[decision.source_clip_id.removeprefix(f"{DATASET}/")].append(decision)
    wrong = [row["clip"] for row in rows if not as_planted(row, segments[row["clip"]])]
    table = Table("planted", "to be kept", "kept", "reasons", "offset, planted", "offset, found")
    for row in rows:
        if row["defect"]:
            own = segments[row["clip"]]
            reasons = " ".join(dict.fromkeys(code for one in own for code in one.reasons.split())) if own else "unreadable"
            found = " ".join(f"{one.offset_frames:+.1f}" for one in own)
            kept = f"{sum(one.status == 'kept' for one in own)} of {len(own)}"
            table.add_row(row["defect"], row["keep"], kept, reasons, row["planted_offset_frames"], found)
    console = Console(width=140)
    console.print(table)
    clean = [row for row in rows if not row["defect"]]
    console.print(f"{sum(row['clip'] not in wrong for row in clean)} of {len(clean)} clean clips kept at offset 0")
    console.print(f"otherwise than planted: {', '.join(wrong) or 'none'}")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
