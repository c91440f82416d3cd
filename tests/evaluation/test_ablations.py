"""The table of L2L's ablations: what an interval says, and that it comes back from its file."""

from pathlib import Path

import pytest

from evaluation.ablations import BETTER, UNCLEAR, WORSE, ablation_table, read_rows, rows_of, write_rows
from space_models.l2l.metrics import TRACKED, ClipError


def errors(*values: float) -> list[ClipError]:
    return [ClipError(f"clip{i}", f"person{i // 2}", TRACKED, value) for i, value in enumerate(values)]


FULL_ERRORS = (0.5, 0.6, 0.4, 0.5, 0.6, 0.5)


def test_verdicts_follow_the_paired_interval(tmp_path: Path) -> None:
    found = {
        "full": errors(*FULL_ERRORS),
        "no audio": errors(*(value + 0.1 for value in FULL_ERRORS)),
        "no emotion": errors(*(value - 0.1 for value in FULL_ERRORS)),
        "no landmarks": errors(0.6, 0.7, 0.3, 0.4, 0.7, 0.4),  # one person worse, one better, one both
    }
    rows = rows_of(found, 2000, 1)
    assert [row.verdict for row in rows] == ["", WORSE, BETTER, UNCLEAR]
    worse = rows[1]
    assert (worse.difference, worse.low, worse.high) == pytest.approx((0.1, 0.1, 0.1))
    assert (worse.clips, worse.identities) == (6, 3) and worse.error == pytest.approx(0.1 + sum(FULL_ERRORS) / 6)
    write_rows(tmp_path / "a.json", rows, "test")
    assert read_rows(tmp_path / "a.json") == rows
    table = ablation_table("a", rows)
    assert len(table.rows) == 4 and table.rows[1][3] == "+0.100 [+0.100, +0.100]"
