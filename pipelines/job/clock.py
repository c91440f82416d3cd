"""What a stage tells of itself when it ends: how many, how fast, with what result."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipelines.layout import Layout
from space_data import progress
from space_data.schema import STATUSES
from space_data.store import written

STAGE_FACTS = ("stage", "clips", "computed", "seconds", "clips_per_s", *STATUSES)
"""What every stage tells of itself; anything else in its line is a note of its own."""


@dataclass
class StageClock:
    """What a stage tells about itself when it ends: see ``stage_clock``."""

    clips: int = 0
    computed: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    notes: dict[str, str] = field(default_factory=dict)


def stage_line(facts: Mapping[str, Any]) -> str:
    """A stage's facts as text, e.g. ``115 clips in 5.5 s (21.1/s); kept 112, rejected 3, failed 0``."""
    fates = ", ".join(f"{status} {facts[status]}" for status in STATUSES)
    kept_before = f", {facts['clips'] - facts['computed']} from earlier runs" if facts["computed"] < facts["clips"] else ""
    notes = "".join(f"; {name} {value}" for name, value in facts.items() if name not in STAGE_FACTS)
    return f"{facts['clips']} clips in {facts['seconds']:.1f} s ({facts['clips_per_s']:.1f}/s{kept_before}); {fates}{notes}"


@contextmanager
def stage_clock(layout: Layout, stage: str) -> Iterator[StageClock]:
    """Time a stage: fill in the ``StageClock``; at the end its line is printed and kept in ``reports/stages/<stage>.json``."""
    clock = StageClock()
    began_s = time.perf_counter()
    yield clock
    seconds = time.perf_counter() - began_s
    facts = {
        "stage": stage, "clips": clock.clips, "computed": clock.clips if clock.computed is None else clock.computed,
        "seconds": round(seconds, 2), "clips_per_s": round(clock.clips / max(seconds, 1e-9), 3),
        **{status: clock.counts[status] for status in STATUSES}, **clock.notes,
    }  # fmt: skip
    with written(layout.timing(stage)) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n")
    if not progress.is_quiet():
        # One line, so that it also reads well in a log; `report` prints all stages as one table.
        print(f"{stage}: {stage_line(facts)}")
