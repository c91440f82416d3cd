"""The table of L2L's ablations: what an interval says, and that it comes back from its file."""

from pathlib import Path

import pytest

from evaluation.ablations import (
    BETTER,
    UNCLEAR,
    WORSE,
    Row,
    ablation_table,
    over_seeds,
    read_rows,
    rows_of,
    seed_range,
    write_rows,
)
from space_models.l2l.metrics import TRACKED, ClipError


def errors(*values: float) -> list[ClipError]:
    return [ClipError(f"clip{i}", f"person{i // 2}", TRACKED, value) for i, value in enumerate(values)]


FULL_ERRORS = (0.5, 0.6, 0.4, 0.5, 0.6, 0.5)


def test_verdicts_follow_the_paired_interval(tmp_path: Path) -> None:
    found = {
        "full": [errors(*FULL_ERRORS)],
        "no audio": [errors(*(value + 0.1 for value in FULL_ERRORS))],
        "no emotion": [errors(*(value - 0.1 for value in FULL_ERRORS))],
        "no landmarks": [errors(0.6, 0.7, 0.3, 0.4, 0.7, 0.4)],  # one person worse, one better, one both
    }
    rows = rows_of(found, 2000, 1)
    assert [row.verdict for row in rows] == ["", WORSE, BETTER, UNCLEAR]
    worse = rows[1]
    assert (worse.difference, worse.low, worse.high) == pytest.approx((0.1, 0.1, 0.1))
    assert (worse.clips, worse.identities) == (6, 3) and worse.error == pytest.approx(0.1 + sum(FULL_ERRORS) / 6)
    write_rows(tmp_path / "a.json", rows, "test")
    assert read_rows(tmp_path / "a.json") == rows
    table = ablation_table("a", rows)
    assert len(table.rows) == 4 and table.rows[1][4] == "+0.100 [+0.100, +0.100]"


def test_seeds_are_averaged_clip_by_clip_and_their_range_is_shown() -> None:
    two = [errors(0.4, 0.6), errors(0.6, 0.8)]
    assert [e.error for e in over_seeds(two)] == pytest.approx([0.5, 0.7])
    full, other = rows_of({"full": two, "no audio": [errors(0.5, 0.7), errors(0.5, 0.7)]}, 100, 1)
    assert full.seed_errors == pytest.approx([0.5, 0.7]) and seed_range(full) == "0.500-0.700" and seed_range(other) == ""
    assert other.difference == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.0004, 0.002, UNCLEAR), (0.0006, 0.002, WORSE), (-0.002, -0.0004, UNCLEAR), (-0.002, -0.0006, BETTER)],
)
def test_what_would_be_printed_as_zero_does_not_show(low: float, high: float, verdict: str) -> None:
    row = Row("no emotion", "tracked", 1.0, (low + high) / 2, low, high, 9, 3, [1.0])
    assert row.verdict == verdict
